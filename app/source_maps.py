"""Where a page's text stands on the page, as one column of bytes.

Owns the format. What it means is `ingestion.types.ParsedPage`'s: little-endian int32, either triples (start in text,
glyph index, length), or, of a page that was read by text recognition, -1 and then rows of six (start in text, length,
x0, y0, x1, y1), one for each recognised line.
"""

from dataclasses import dataclass

import numpy as np

from ingestion.types import LineBox, ParsedPage

_RUN, _LINE = 3, 6
_OF_LINES = np.array([-1], dtype="<i4").tobytes()


@dataclass(frozen=True, slots=True)
class SourceMap:
    """One of the two is empty."""

    runs: tuple[tuple[int, int, int], ...]
    line_boxes: tuple[LineBox, ...]


def pack(page: ParsedPage) -> bytes:
    if page.line_boxes:
        return _OF_LINES + np.array(page.line_boxes, dtype="<i4").tobytes()
    return np.array(page.source_map, dtype="<i4").tobytes()


def unpack(packed: bytes, text_length: int | None = None) -> SourceMap:
    """Raises `ValueError` for bytes of another format, and for numbers that lead outside a text of `text_length`."""
    is_of_lines = packed.startswith(_OF_LINES)
    rows = np.frombuffer(packed, "<i4", offset=len(_OF_LINES) if is_of_lines else 0)
    rows = rows.reshape(-1, _LINE if is_of_lines else _RUN).astype(np.int64)
    ends = rows[:, 0] + rows[:, 1 if is_of_lines else 2]
    if (rows < 0).any() or (text_length is not None and (ends > text_length).any()):
        raise ValueError("its source map points outside of its text")
    found = tuple(tuple(row) for row in rows.tolist())
    return SourceMap((), found) if is_of_lines else SourceMap(found, ())
