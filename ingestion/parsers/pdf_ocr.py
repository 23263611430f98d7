"""PDF pages whose own text is of no use: which they are, how they are drawn, and what is read from the drawing.

Owns how much of a page is a picture, the size of the drawing, and that the better of the two texts is kept. What
garbled text looks like is `readability`'s, recognition `ocr`'s, the making of blocks `ocr_layout`'s.
"""

import ctypes
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pypdfium2.raw as pdfium
from numpy.typing import NDArray

from ingestion.errors import BrokenFile
from ingestion.parsers.base import Limits
from ingestion.parsers.ocr import DOTS_PER_INCH, READ_BY_OCR, read_lines
from ingestion.parsers.ocr_layout import Heading, ocr_page
from ingestion.parsers.ocr_rows import Row
from ingestion.parsers.pdf_document import Frame
from ingestion.parsers.pdf_headings import Sections
from ingestion.parsers.pdf_lines import HYPHEN, Line
from ingestion.parsers.readability import TEXT_OF_PICTURE, is_garbled, needs_ocr
from ingestion.types import ParsedPage

PICTURE = "This page is a picture"
GARBLED = "Much of this page's text cannot be read as letters; its fonts are damaged."
NOTHING_FOUND = "no writing was found on it."

POINTS_PER_INCH = 72
LONGEST_SIDE = 4_000
"""Pixels of a drawing; larger pages are drawn at fewer dots per inch."""

RECOGNISED_RATIOS = (1.8, 1.3)
"""The sizes, over the body's, that titles and headings of recognised pages count as."""

_KEPT_SHARE = 0.5
"""Recognition that finds fewer letters than this share of the page's own text has missed what the page says."""

_OUTLINES = 150  # paths: as many on a page without text may be its letters
_NESTED = 3
_MOST_OBJECTS = 20_000
_CELLS = 64


@dataclass(frozen=True, slots=True)
class PagePicture:
    """A page as drawn: [height, width, 3] of blue, green, red.

    `points` is the size of a pixel, `text` what the file gives as the page's text.
    """

    pixels: NDArray[np.uint8]
    points: float
    text: str

    @property
    def is_garbled(self) -> bool:
        return is_garbled(self.text)


def picture_to_read(document: Any, index: int, page: Any, characters: str, frame: Frame) -> PagePicture | None:
    """The drawing of a page that had better be read from it, None for all others. The caller holds the lock.

    `page` is page `index` of `document`, as pdfium has it, `characters` its own text. Raises `PdfiumError`.
    """
    text = characters.replace(HYPHEN, "-")
    share = picture_share(page, frame) if _letters(text) < TEXT_OF_PICTURE else 0.0
    if not needs_ocr(text, share):
        return None
    scale = min(DOTS_PER_INCH / POINTS_PER_INCH, LONGEST_SIDE / max(1.0, frame.width, frame.height))
    drawn = document[index].render(scale=scale).to_numpy()
    return PagePicture(np.array(drawn[:, :, :3]), 1 / scale, text)


def read_picture(
    picture: PagePicture, number: int, label: str | None, sections: Sections, frame: Frame, limits: Limits
) -> ParsedPage | str | None:
    """The page as recognised; or, where its own text is to be kept, what to warn of, if anything.

    `sections` goes on over the page if it is kept. Raises `TooLarge`.
    """
    try:
        lines = read_lines(picture.pixels)
    except (BrokenFile, FileNotFoundError) as error:
        return f"{GARBLED if picture.is_garbled else f'{PICTURE}.'} It was not recognised: {error}"
    if _letters("".join(line.text for line in lines)) < max(1, _KEPT_SHARE * _letters(picture.text)):
        if picture.is_garbled:
            return f"{GARBLED} Text recognition found less."
        return None if _letters(picture.text) else f"{PICTURE}, and {NOTHING_FOUND}"

    def headings(rows: Sequence[Row]) -> list[Heading]:
        printed = [_as_line(row, picture.points, sections.profile.body_size) for row in rows]
        return [Heading(mark.first, mark.count, mark.path) for mark in sections.mark(number - 1, printed, frame)]

    return ocr_page(
        lines,
        number,
        f"Page {number}",
        limits,
        warning=READ_BY_OCR,
        label=label,
        path=sections.path,
        headings=headings,
        points=picture.points,
    )


def picture_share(page: Any, frame: Frame) -> float:
    """The part of a page's area that pictures cover, 0 to 1; all of it where so many paths may be drawn letters."""
    covered = np.zeros((_CELLS, _CELLS), dtype=bool)
    paths = 0
    edges = [ctypes.c_float() for _ in range(4)]
    for kind, thing in _objects(page):
        if kind == pdfium.FPDF_PAGEOBJ_PATH:
            paths += 1
        elif pdfium.FPDFPageObj_GetBounds(thing, *edges):
            x0, y0, x1, y1 = frame.box(*(edge.value for edge in edges))
            columns = _cells(x0, x1, frame.width)
            covered[_cells(y0, y1, frame.height), columns] = True
    return 1.0 if paths >= _OUTLINES else float(covered.mean())


def _objects(page: Any) -> Iterator[tuple[int, Any]]:
    """The paths of a page, its images, and its forms that hold images, each with its kind."""
    for number in range(min(_MOST_OBJECTS, pdfium.FPDFPage_CountObjects(page))):
        thing = pdfium.FPDFPage_GetObject(page, number)
        kind = pdfium.FPDFPageObj_GetType(thing)
        shows_picture = kind == pdfium.FPDF_PAGEOBJ_IMAGE or (
            kind == pdfium.FPDF_PAGEOBJ_FORM and _holds_image(thing, _NESTED)
        )
        if shows_picture or kind == pdfium.FPDF_PAGEOBJ_PATH:
            yield kind, thing


def _holds_image(form: Any, depth: int) -> bool:
    for number in range(min(_MOST_OBJECTS, pdfium.FPDFFormObj_CountObjects(form))):
        thing = pdfium.FPDFFormObj_GetObject(form, number)
        kind = pdfium.FPDFPageObj_GetType(thing)
        if kind == pdfium.FPDF_PAGEOBJ_IMAGE:
            return True
        if kind == pdfium.FPDF_PAGEOBJ_FORM and depth > 1 and _holds_image(thing, depth - 1):
            return True
    return False


def _cells(start: float, end: float, whole: float) -> slice:
    """The cells of a side that lie at least half within [start, end], as far as they are on the page."""
    first, last = (round(_CELLS * min(1.0, max(0.0, edge / max(1.0, whole)))) for edge in (start, end))
    return slice(first, last)


def _as_line(row: Row, points: float, body_size: float) -> Line:
    """A row as the lines of a text layer are, for the search for headings."""
    boxes = [piece.box for piece in row.pieces]
    size = body_size * (1.0, *RECOGNISED_RATIOS)[row.level]
    return Line(
        start=0,
        end=len(row.text),
        text=row.text,
        x0=points * min(box[0] for box in boxes),
        x1=points * max(box[2] for box in boxes),
        y=points * max(box[3] for box in boxes),
        size=size,
        monospaced=False,
        bold=False,
        hyphenated=False,
        place=(0, 0) if row.is_table_row else None,
    )


def _letters(text: str) -> int:
    return len("".join(text.split()))
