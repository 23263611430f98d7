"""Finds the ruled tables of a PDF page: which of its thin lines and rectangles make up rows and columns.

Owns lines and cells. Knows nothing of text; `pdf_tables` puts the page's lines into the cells found here.
"""

import ctypes
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Any

import pypdfium2.raw as pdfium

from ingestion.parsers.pdf_document import Frame

THIN = 2.5  # points: a path no thicker is a line, a thicker one a rectangle with four edges
SHORT = 6.0  # points: shorter lines are dashes, ticks and signs
SAME = 2.0  # points by which strokes of one rule may be out of line
TOUCH = 3.0  # points by which rules that meet may miss each other
PATHS = 5_000
SEGMENTS = 500
RULES = 400
CELLS = 5_000
"""Bounds beyond which a page is a drawing, and a path or a grid of lines no table."""

Cell = tuple[int, int]
"""(row, column) of a grid, from 0."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A straight rule: `at` is its y when it lies, its x when it stands; it reaches from `first` to `last`."""

    at: float
    first: float
    last: float


@dataclass(frozen=True, slots=True)
class Grid:
    """A ruled table: the borders of its rows (`ys`) and columns (`xs`) in points, ascending.

    `origin` gives for each cell the top left one of those it is merged with (itself if with none).
    """

    xs: tuple[float, ...]
    ys: tuple[float, ...]
    origin: dict[Cell, Cell]

    def cell(self, x: float, y: float) -> Cell | None:
        """The cell at a point, as `origin` names it."""
        place = bisect_right(self.ys, y) - 1, bisect_right(self.xs, x) - 1
        return self.origin.get(place)


def read_grids(page: Any, frame: Frame) -> list[Grid]:
    """The ruled tables of an open page, those with fewer than two columns left out. The caller holds the lock."""
    lying: list[Rule] = []
    standing: list[Rule] = []
    for x0, y0, x1, y1 in _strokes(page, frame):
        if y1 - y0 <= THIN and x1 - x0 >= SHORT:
            lying.append(Rule((y0 + y1) / 2, x0, x1))
        elif x1 - x0 <= THIN and y1 - y0 >= SHORT:
            standing.append(Rule((x0 + x1) / 2, y0, y1))
    if len(standing) < 1 or len(lying) < 2:
        return []
    lying, standing = _joined(lying), _joined(standing)
    if len(lying) > RULES or len(standing) > RULES:
        return []
    grids = [_grid(*rules) for rules in _connected(lying, standing)]
    return [grid for grid in grids if grid is not None]


def _strokes(page: Any, frame: Frame) -> Iterator[tuple[float, float, float, float]]:
    """Displayed boxes of the page's straight lines and of its rectangles' edges."""
    paths = 0
    sides = [ctypes.c_float() for _ in range(4)]
    for number in range(pdfium.FPDFPage_CountObjects(page)):
        shape = pdfium.FPDFPage_GetObject(page, number)
        if pdfium.FPDFPageObj_GetType(shape) != pdfium.FPDF_PAGEOBJ_PATH:
            continue
        paths += 1
        if paths > PATHS:
            return
        segments = pdfium.FPDFPath_CountSegments(shape)
        if segments not in (2, 5):
            if segments <= SEGMENTS:
                yield from _drawn(shape, segments, frame)
            continue
        if not pdfium.FPDFPageObj_GetBounds(shape, *sides):
            continue
        x0, y0, x1, y1 = frame.box(*(side.value for side in sides))
        if segments == 2 or min(x1 - x0, y1 - y0) <= THIN:
            yield x0, y0, x1, y1
        else:
            yield from ((x0, y0, x1, y0), (x0, y1, x1, y1), (x0, y0, x0, y1), (x1, y0, x1, y1))


def _drawn(shape: Any, segments: int, frame: Frame) -> Iterator[tuple[float, float, float, float]]:
    """The straight pieces of a path of several lines, as some programs draw a whole table's."""
    matrix = pdfium.FS_MATRIX()
    pdfium.FPDFPageObj_GetMatrix(shape, matrix)
    x, y = ctypes.c_float(), ctypes.c_float()
    before: tuple[float, float] | None = None
    for number in range(segments):
        segment = pdfium.FPDFPath_GetPathSegment(shape, number)
        pdfium.FPDFPathSegment_GetPoint(segment, x, y)
        point = (
            matrix.a * x.value + matrix.c * y.value + matrix.e,
            matrix.b * x.value + matrix.d * y.value + matrix.f,
        )
        if pdfium.FPDFPathSegment_GetType(segment) == pdfium.FPDF_SEGMENT_LINETO and before is not None:
            yield frame.box(*before, *point)
        before = point


def _joined(rules: Iterable[Rule]) -> list[Rule]:
    """Rules with those in line that touch or overlap made one."""
    found: list[Rule] = []
    for line in _in_line(sorted(rules, key=lambda rule: rule.at)):
        at = sum(rule.at for rule in line) / len(line)
        line.sort(key=lambda rule: rule.first)
        first, last = line[0].first, line[0].last
        for rule in line[1:]:
            if rule.first > last + TOUCH:
                found.append(Rule(at, first, last))
                first = rule.first
                last = rule.last
            last = max(last, rule.last)
        found.append(Rule(at, first, last))
    return found


def _in_line(rules: Sequence[Rule]) -> Iterator[list[Rule]]:
    line: list[Rule] = []
    for rule in rules:
        if line and rule.at - line[-1].at > SAME:
            yield line
            line = []
        line.append(rule)
    if line:
        yield line


def _connected(lying: Sequence[Rule], standing: Sequence[Rule]) -> Iterator[tuple[list[Rule], list[Rule]]]:
    """The rules, lying and standing, of each drawing whose rules meet."""
    left = set(range(len(standing)))
    rows = set(range(len(lying)))
    while left:
        columns = {left.pop()}
        crossed: set[int] = set()
        fresh = set(columns)
        while fresh:
            reached = {row for row, column in product(rows, fresh) if _meet(lying[row], standing[column])}
            rows -= reached
            crossed |= reached
            fresh = {column for column, row in product(left, reached) if _meet(lying[row], standing[column])}
            left -= fresh
            columns |= fresh
        yield [lying[row] for row in crossed], [standing[column] for column in columns]


def _meet(lying: Rule, standing: Rule) -> bool:
    return (
        lying.first - TOUCH <= standing.at <= lying.last + TOUCH
        and standing.first - TOUCH <= lying.at <= standing.last + TOUCH
    )


def _grid(lying: Sequence[Rule], standing: Sequence[Rule]) -> Grid | None:
    if not lying:
        return None
    ys = _borders([rule.at for rule in lying] + _open_ends(standing, lying))
    xs = _borders([rule.at for rule in standing] + _open_ends(lying, standing))
    rows, columns = len(ys) - 1, len(xs) - 1
    if rows < 1 or columns < 2 or rows * columns > CELLS:
        return None
    origin: dict[Cell, Cell] = {}
    for row, column in product(range(rows), range(columns)):
        across, down = (xs[column] + xs[column + 1]) / 2, (ys[row] + ys[row + 1]) / 2
        place = (row, column)
        if row and not _ruled(lying, ys[row], across):
            place = origin[row - 1, column]
        elif column and origin[row, column - 1][0] == row and not _ruled(standing, xs[column], down):
            place = origin[row, column - 1]
        origin[row, column] = place
    return Grid(xs, ys, origin)


def _open_ends(rules: Sequence[Rule], borders: Sequence[Rule]) -> list[float]:
    """Where most of the rules end, if beyond the outermost borders: a table may be open at its sides."""
    first = Counter(round(rule.first) for rule in rules).most_common(1)[0][0]
    last = Counter(round(rule.last) for rule in rules).most_common(1)[0][0]
    inner, outer = min(rule.at for rule in borders), max(rule.at for rule in borders)
    return [float(end) for end, open_ in ((first, first < inner - TOUCH), (last, last > outer + TOUCH)) if open_]


def _borders(values: Iterable[float]) -> tuple[float, ...]:
    """Values that differ, those within `TOUCH` of each other as one."""
    ordered = sorted(values)
    parts = [0, *(number for number, (a, b) in enumerate(pairwise(ordered), 1) if b - a > TOUCH), len(ordered)]
    return tuple(sum(ordered[first:last]) / (last - first) for first, last in pairwise(parts))


def _ruled(rules: Iterable[Rule], at: float, across: float) -> bool:
    return any(abs(rule.at - at) <= TOUCH and rule.first <= across <= rule.last for rule in rules)
