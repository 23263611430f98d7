"""Makes a page of recognised lines: its text, its blocks, and where each line stands.

Owns paragraphs, table rows and headings of a page that is known only by boxes and texts. In which order they are read
is `ocr_rows`'. Knows no engine.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ingestion.parsers.base import Limits
from ingestion.parsers.ocr_rows import CELL_GAP, OcrLine, Row, rows_of, usual_height
from ingestion.parsers.page_builder import PageBuilder, tidy
from ingestion.parsers.plain_blocks import line_kind
from ingestion.types import BlockKind, LineBox, ParsedPage

_PARAGRAPH_GAP = 0.7  # of a line's height beyond the usual distance
_INDENT = 1.5  # of a line's height
_LEADERS = re.compile(r"(?:\.{4,}|…{2,}|·{4,}|(?:\. ){4,})\s*[\divxlc]{1,5}\Z", re.IGNORECASE)
CELL_SEPARATOR = " | "


@dataclass(frozen=True, slots=True)
class Heading:
    """A section that begins at row `first`, with `count` rows of heading: none when its title is not printed."""

    first: int
    count: int
    path: tuple[str, ...]


def headings_by_height(rows: Sequence[Row]) -> list[Heading]:
    """The headings of a page that is alone in its document."""
    found = []
    path: list[tuple[int, str]] = []
    for number, row in enumerate(rows):
        if row.level:
            path = [above for above in path if above[0] < row.level] + [(row.level, row.text)]
            found.append(Heading(number, 1, tuple(title for _, title in path)))
    return found


def ocr_page(
    lines: Sequence[OcrLine],
    number: int,
    name: str,
    limits: Limits,
    *,
    warning: str | None,
    label: str | None = None,
    path: Sequence[str] = (),
    headings: Callable[[Sequence[Row]], Sequence[Heading]] = headings_by_height,
    points: float = 1.0,
) -> ParsedPage:
    """The page that recognised lines make: paragraphs, steps, items, table rows and headings, as far as boxes tell.

    `path` are the sections that are open at its top, `points` the size of a pixel on the page as displayed. Raises
    `TooLarge`.
    """
    rows = rows_of([replace(line, text=tidy(line.text)) for line in lines if line.text.strip()])
    writer = _PageWriter(PageBuilder(name, limits), usual_height(lines), path)
    written = 0
    for heading in headings(rows):
        end = heading.first + heading.count
        writer.write(rows[written : heading.first])
        writer.begin_section(heading.path, rows[heading.first : end])
        written = max(written, end)
    writer.write(rows[written:])
    page = writer.builder.page(number, label=label, warning=warning)
    return replace(page, line_boxes=tuple(_line_box(*place, points) for place in writer.places))


class _Writing:
    """The text of a block in the making, and where in it which piece stands."""

    def __init__(self, kind: BlockKind) -> None:
        self.kind = kind
        self.text = ""
        self.places: list[tuple[int, int, OcrLine]] = []

    def add(self, between: str, piece: OcrLine) -> None:
        self.text += between
        self.places.append((len(self.text), len(piece.text), piece))
        self.text += piece.text

    def add_row(self, row: Row) -> None:
        """Goes on with a row of a paragraph: no space within Chinese, and a word that a hyphen cuts put together."""
        between = " " if self.text else ""
        if re.search(r"[a-z]-\Z", self.text) and re.match(r"[a-z]", row.pieces[0].text):
            between, self.text = "", self.text[:-1]
            start, length, piece = self.places[-1]
            self.places[-1] = (start, length - 1, piece)
        elif _CJK.match(self.text[-1:]) and _CJK.match(row.pieces[0].text):
            between = ""
        for piece in row.pieces:
            self.add(between, piece)
            between = " "


class _PageWriter:
    """Makes blocks of rows. `places` are all pieces with (start, length) in the page's text."""

    def __init__(self, builder: PageBuilder, usual: float, path: Sequence[str]) -> None:
        self.builder = builder
        self.places: list[tuple[int, int, OcrLine]] = []
        self._usual = usual
        self._open_sections(path)

    def begin_section(self, path: Sequence[str], printed: Sequence[Row]) -> None:
        self._open_sections(path)
        if printed:
            heading = _Writing(BlockKind.HEADING)
            for row in printed:
                heading.add_row(row)
            self._end(heading)

    def write(self, rows: Sequence[Row]) -> None:
        """Blocks of rows that belong to one section."""
        paragraph: _Writing | None = None
        before: Row | None = None
        for row in rows:
            marked = line_kind(row.text)
            whole = _whole_row(row, self._usual)
            if paragraph and before and (whole or marked or _begins_paragraph(before, row, self._usual)):
                self._end(paragraph)
                paragraph = None
            if whole:
                self._end(whole)
            else:
                paragraph = paragraph or _Writing(marked or BlockKind.PARAGRAPH)
                paragraph.add_row(row)
            before = row
        if paragraph:
            self._end(paragraph)

    def _open_sections(self, path: Sequence[str]) -> None:
        for depth, title in enumerate(path, start=1):
            self.builder.section(depth, title)

    def _end(self, block: _Writing) -> None:
        self.builder.block(block.kind, block.text)
        start = self.builder.length - len(block.text)
        self.places += [(start + offset, length, piece) for offset, length, piece in block.places]


def _whole_row(row: Row, usual: float) -> _Writing | None:
    """The block of a row that is one by itself: a line of a contents list, or a table's."""
    is_contents = _LEADERS.search(row.text) is not None
    if not (is_contents or row.is_table_row):
        return None
    block = _Writing(BlockKind.CONTENTS if is_contents else BlockKind.TABLE_ROW)
    reach: float | None = None
    for piece in row.pieces:
        is_cell = not is_contents and reach is not None and piece.box[0] - reach > CELL_GAP * usual
        block.add(CELL_SEPARATOR if is_cell else " " if reach is not None else "", piece)
        reach = piece.box[2]
    return block


def _line_box(start: int, length: int, piece: OcrLine, points: float) -> LineBox:
    x0, y0, x1, y1 = (max(0, round(100 * points * edge)) for edge in piece.drawn or piece.box)
    return start, length, x0, y0, x1, y1


def _begins_paragraph(before: Row, row: Row, usual: float) -> bool:
    above, below = before.pieces[0].box, row.pieces[0].box
    gap = below[1] - max(piece.box[3] for piece in before.pieces)
    is_elsewhere = gap < -2 * usual  # the top of the next column
    indented = below[0] - above[0] > _INDENT * usual and line_kind(before.pieces[0].text) is None
    return gap > _PARAGRAPH_GAP * usual or is_elsewhere or indented


_CJK = re.compile("[\u3000-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uff00-\uffef]")
