"""The dashboard's rows as a CSV file (RFC 4180), for spreadsheets.

Owns the columns, and that no text in a cell is taken for a formula. A knowledge base's name is somebody's free text.
"""

import csv
import io
from collections.abc import Sequence

from app.service.dashboard.shapes import DayFigures

_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # how cells begin that spreadsheets run

_COUNTS = (
    "conversations",
    "resolved_without_person",
    "share_without_person",
    "customer_messages",
    "answers",
    "unanswered",
    "failed",
    "hand_offs",
    "thumbs_up",
    "thumbs_down",
    "ratings",
    "stars",
)
_MEASURED = ("answer_ms", "first_reply_s")


def as_csv(rows: Sequence[DayFigures]) -> str:
    """A line a day and knowledge base under a line of names; what is not known is empty."""
    written = io.StringIO()
    lines = csv.writer(written)
    measured = [f"{name}_{quantile}" for name in _MEASURED for quantile in ("p50", "p95")]
    lines.writerow(["day", "knowledge_base", *_COUNTS, *measured])
    for row in rows:
        times = [value for name in _MEASURED for value in (getattr(row, name).p50, getattr(row, name).p95)]
        lines.writerow([row.day, _harmless(row.knowledge_base_name), *(getattr(row, name) for name in _COUNTS), *times])
    return written.getvalue()


def _harmless(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text
