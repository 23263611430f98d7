"""What is asked of whoever draws pages, and how it passes between two processes.

Owns the values and their JSON. How a page is drawn is `shown.page_image`'s, which this must not import: whoever
asks is not to load what opens files.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ingestion.types import LineBox

Spans = Sequence[tuple[int, int]]
"""(start, end) in a page's text."""

PDF = "application/pdf"
PICTURES = "image/"


@dataclass(frozen=True, slots=True)
class PageSource:
    """A page of a PDF or a picture, from 1, and where its text stands on it (`ParsedPage`)."""

    file: Path
    media_type: str
    number: int
    source_map: tuple[tuple[int, int, int], ...] = ()
    line_boxes: tuple[LineBox, ...] = ()


@dataclass(frozen=True, slots=True)
class DrawRequest:
    """`marked` is to be marked strongly, `around` lightly. `scale` is pixels a point; None: only boxes are wanted."""

    page: PageSource
    marked: tuple[tuple[int, int], ...]
    around: tuple[tuple[int, int], ...] = ()
    scale: float | None = None


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle around words of one line, in points (1/72 inch) on the page as displayed; origin top-left."""

    page: int
    x0: float
    y0: float
    x1: float
    y1: float


@dataclass(frozen=True, slots=True)
class Drawn:
    """A PNG, or the boxes of what was to be marked."""

    png: bytes
    boxes: tuple[Box, ...]


def has_page_pictures(media_type: str) -> bool:
    """Whether documents of this type are shown as their own pages."""
    return media_type == PDF or media_type.startswith(PICTURES)


def request_fields(request: DrawRequest) -> list[Any]:
    page = request.page
    place = [str(page.file), page.media_type, page.number, page.source_map, page.line_boxes]
    return [place, request.marked, request.around, request.scale]


def request_of(value: Any) -> DrawRequest:
    (file, media_type, number, source_map, line_boxes), marked, around, scale = value
    page = PageSource(Path(file), media_type, number, _rows(source_map), _rows(line_boxes))
    return DrawRequest(page, _rows(marked), _rows(around), scale)


def drawn_fields(drawn: Drawn) -> list[Any]:
    boxes = [(box.page, box.x0, box.y0, box.x1, box.y1) for box in drawn.boxes]
    return [base64.b64encode(drawn.png).decode(), boxes]


def drawn_of(value: Any) -> Drawn:
    """Raises `ValueError` or `TypeError`: who has drawn may have been taken over by a hostile file."""
    png, boxes = value
    return Drawn(base64.b64decode(png, validate=True), tuple(_box(*box) for box in boxes))


def _box(page: int, x0: float, y0: float, x1: float, y1: float) -> Box:
    if type(page) is not int:
        raise TypeError("a page that is no number")
    return Box(page, float(x0), float(y0), float(x1), float(y1))


def _rows(value: Any) -> tuple[Any, ...]:
    return tuple(tuple(row) for row in value)
