"""Puts recognised lines in reading order: rows, columns of prose, and how high their letters are.

Owns what boxes tell of a page's layout. Knows neither engines nor blocks of text.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

Box = tuple[float, float, float, float]
"""(x0, y0, x1, y1) from the top-left."""

_COLUMN_GAP = 1.0  # of a line's height: white space that parts columns of prose
_COLUMN_LINES = 4  # a column of prose has at least as many lines,
_COLUMN_WIDTH = 10.0  # and they are mostly at least as many heights wide: narrower ones are a table's
_SAME_ROW = 0.5  # of the lower line's height: as much overlap puts two pieces on one row
CELL_GAP = 1.2  # of a line's height: white space between pieces of a row that parts cells
_HEADING = 1.3  # of the usual height
_TITLE = 1.8
_LONGEST_HEADING = 80
_DEEPEST = 20


@dataclass(frozen=True, slots=True)
class OcrLine:
    """A piece of text and where it stands, in pixels; `score` is the engine's confidence, 0 to 1.

    `box` is on the image as it was read; `drawn`, where the image had to be turned for that, is on the image as it was
    given, from the corner at which the line begins to the one at which it ends.
    """

    text: str
    box: Box
    score: float
    drawn: Box | None = None

    @property
    def height(self) -> float:
        return self.box[3] - self.box[1]


@dataclass(frozen=True, slots=True)
class Row:
    """Pieces side by side. `level` is 1 for letters as high as a title's, 2 for a heading's, 0 for others."""

    pieces: tuple[OcrLine, ...]
    is_table_row: bool
    level: int

    @property
    def text(self) -> str:
        return " ".join(piece.text for piece in self.pieces)


def rows_of(lines: Sequence[OcrLine]) -> list[Row]:
    """The rows of a page in reading order: top to bottom, columns of prose one after another."""
    usual = usual_height(lines)
    return [
        Row(
            tuple(row),
            any(right.box[0] - left.box[2] > CELL_GAP * usual for left, right in pairwise(row)),
            _heading_level(row, usual),
        )
        for row in _rows_in_order(list(lines), 0)
    ]


def usual_height(lines: Sequence[OcrLine]) -> float:
    return median([line.height for line in lines]) if lines else 1.0


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


def _heading_level(row: list[OcrLine], usual: float) -> int:
    """1 for a title, 2 for a heading, 0 for anything else, by the height of the letters."""
    text = row[0].text
    height = row[0].height
    if len(row) > 1 or len(text) > _LONGEST_HEADING or height < _HEADING * usual or not re.search(r"[^\W\d_]{2}", text):
        return 0
    return 1 if height >= _TITLE * usual else 2
