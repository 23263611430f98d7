"""Puts recognised lines in reading order, and makes a page's text and blocks of them.

Owns columns, rows, paragraphs and headings of a page that is known only by boxes and texts. Knows no engine.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from ingestion.parsers.base import Limits
from ingestion.parsers.page_builder import PageBuilder
from ingestion.parsers.plain_blocks import line_kind
from ingestion.types import BlockKind, ParsedPage

Box = tuple[float, float, float, float]
"""(x0, y0, x1, y1) from the top-left."""

_COLUMN_GAP = 1.0  # of a line's height: white space that parts columns of prose
_COLUMN_LINES = 4  # a column of prose has at least as many lines,
_COLUMN_WIDTH = 10.0  # and they are mostly at least as many heights wide: narrower ones are a table's
_SAME_ROW = 0.5  # of the lower line's height: as much overlap puts two pieces on one row
_CELL_GAP = 1.2  # of a line's height: white space between pieces of a row that parts cells
_PARAGRAPH_GAP = 0.7  # of a line's height beyond the usual distance
_INDENT = 1.5  # of a line's height
_HEADING = 1.3  # of the usual height
_TITLE = 1.8
_LONGEST_HEADING = 80
_LEADERS = re.compile(r"(?:\.{4,}|…{2,}|·{4,}|(?:\. ){4,})\s*[\divxlc]{1,5}\Z", re.IGNORECASE)
_DEEPEST = 20


@dataclass(frozen=True, slots=True)
class OcrLine:
    """A piece of text and where it stands, in pixels; `score` is the engine's confidence, 0 to 1."""

    text: str
    box: Box
    score: float

    @property
    def height(self) -> float:
        return self.box[3] - self.box[1]


def in_reading_order(lines: Sequence[OcrLine]) -> list[OcrLine]:
    """Top to bottom and left to right, columns of prose one after another; rows of tables stay rows."""
    return [line for row in _rows_in_order(list(lines), 0) for line in row]


def ocr_page(lines: Sequence[OcrLine], number: int, name: str, limits: Limits, *, warning: str | None) -> ParsedPage:
    """The page that recognised lines make: paragraphs, steps, items, table rows and headings, as far as boxes tell."""
    builder = PageBuilder(name, limits)
    rows = _rows_in_order(list(lines), 0)
    usual = median([line.height for line in lines]) if lines else 1.0
    paragraph: list[str] = []
    kind = BlockKind.PARAGRAPH
    before: list[OcrLine] = []
    for row in rows:
        text = " ".join(line.text for line in row)
        level = _heading_level(row, text, usual)
        is_row = any(right.box[0] - left.box[2] > _CELL_GAP * usual for left, right in pairwise(row))
        marked = line_kind(text)
        if paragraph and (level or is_row or marked or _begins_paragraph(before, row, usual)):
            builder.block(kind, _joined(paragraph))
            paragraph = []
        if level:
            builder.heading(level, text)
        elif _LEADERS.search(text):
            builder.block(BlockKind.CONTENTS, text)
        elif is_row:
            builder.row(_cells(row, usual))
        else:
            kind = kind if paragraph else marked or BlockKind.PARAGRAPH
            paragraph.append(text)
        before = row
    if paragraph:
        builder.block(kind, _joined(paragraph))
    return builder.page(number, warning=warning)


def _rows_in_order(lines: list[OcrLine], depth: int) -> list[list[OcrLine]]:
    """Rows from top to bottom, each from left to right; of columns of prose the left one's first."""
    rows = _rows(lines)
    if depth < _DEEPEST and len(lines) >= 2 * _COLUMN_LINES:
        border = _column_border(lines)
        if border is not None:
            left = [line for line in lines if line.box[2] <= border]
            right = [line for line in lines if line.box[2] > border]
            return _rows_in_order(left, depth + 1) + _rows_in_order(right, depth + 1)
        bands = _bands(rows)
        if len(bands) > 1:
            return [row for band in bands for row in _rows_in_order(band, depth + 1)]
    return rows


def _rows(lines: list[OcrLine]) -> list[list[OcrLine]]:
    """Lines that overlap in height are one row."""
    rows: list[list[OcrLine]] = []
    for line in sorted(lines, key=lambda each: (each.box[1] + each.box[3], each.box[0])):
        last = rows[-1][-1] if rows else None
        if last is not None:
            overlap = min(last.box[3], line.box[3]) - max(last.box[1], line.box[1])
            if overlap > _SAME_ROW * min(last.height, line.height):
                rows[-1].append(line)
                continue
        rows.append([line])
    return [sorted(row, key=lambda each: each.box[0]) for row in rows]


def _column_border(lines: list[OcrLine]) -> float | None:
    """Where a white gap from top to bottom parts two columns of prose, if one does."""
    height = median(line.height for line in lines)
    edges = sorted((line.box[0], line.box[2]) for line in lines)
    reach = edges[0][1]
    for x0, x1 in edges:
        if x0 - reach > _COLUMN_GAP * height:
            left = [line for line in lines if line.box[2] <= reach]
            right = [line for line in lines if line.box[0] >= x0]
            if _is_prose(left, height) and _is_prose(right, height):
                return reach
        reach = max(reach, x1)
    return None


def _is_prose(lines: list[OcrLine], height: float) -> bool:
    if len(lines) < _COLUMN_LINES:
        return False
    return median(line.box[2] - line.box[0] for line in lines) >= _COLUMN_WIDTH * height


def _bands(rows: list[list[OcrLine]]) -> list[list[OcrLine]]:
    """The page above, within and below its columns: runs of rows with two wide pieces side by side, and the rest."""
    bands: list[list[OcrLine]] = []
    was_double: bool | None = None
    for row in rows:
        is_double = len(row) > 1
        if is_double is not was_double:
            bands.append([])
        bands[-1].extend(row)
        was_double = is_double
    merged: list[list[OcrLine]] = []
    for band in bands:  # a short last line of one column does not end the columns
        alone = len(band) == 1 and bool(merged) and band[0].box[2] - band[0].box[0] < 0.55 * _width(merged[-1])
        if alone or (merged and len(merged[-1]) > 1 and _column_border(merged[-1] + band) is not None):
            merged[-1].extend(band)
        else:
            merged.append(list(band))
    return merged


def _width(lines: list[OcrLine]) -> float:
    return max(line.box[2] for line in lines) - min(line.box[0] for line in lines)


def _heading_level(row: list[OcrLine], text: str, usual: float) -> int:
    """1 for a title, 2 for a heading, 0 for anything else, by the height of the letters."""
    height = max(line.height for line in row)
    if len(row) > 1 or len(text) > _LONGEST_HEADING or height < _HEADING * usual or not re.search(r"[^\W\d_]{2}", text):
        return 0
    return 1 if height >= _TITLE * usual else 2


def _begins_paragraph(before: list[OcrLine], row: list[OcrLine], usual: float) -> bool:
    above, below = before[0].box, row[0].box
    gap = below[1] - max(line.box[3] for line in before)
    is_elsewhere = gap < -2 * usual  # the top of the next column
    indented = below[0] - above[0] > _INDENT * usual and line_kind(before[0].text) is None
    return gap > _PARAGRAPH_GAP * usual or is_elsewhere or indented


def _cells(row: list[OcrLine], usual: float) -> list[str]:
    cells = [row[0].text]
    for left, right in pairwise(row):
        if right.box[0] - left.box[2] > _CELL_GAP * usual:
            cells.append(right.text)
        else:
            cells[-1] += f" {right.text}"
    return cells


def _joined(lines: list[str]) -> str:
    """The lines of a paragraph as one: no space within Chinese, and a word that a hyphen cuts put together."""
    text = lines[0]
    for line in lines[1:]:
        cut = re.search(r"[a-z]-\Z", text) is not None and re.match(r"[a-z]", line) is not None
        chinese = _CJK.match(text[-1:]) is not None and _CJK.match(line[:1]) is not None
        text = text[:-1] + line if cut else text + line if chinese else f"{text} {line}"
    return text


_CJK = re.compile("[\u3000-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uff00-\uffef]")
