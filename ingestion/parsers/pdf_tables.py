"""Puts the lines of a page that stand in tables into rows and cells.

Owns what is a row: of ruled tables by their borders, of others by columns in line. A line over several cells is cut
into one line for each; the lines of a table follow each other row by row, cell by cell. The rest stay as they were.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from ingestion.parsers.pdf_blocks import line_kinds
from ingestion.parsers.pdf_lines import SPACES, Glyphs, Line
from ingestion.parsers.pdf_profile import Profile
from ingestion.parsers.pdf_rules import Cell, Grid
from ingestion.types import BlockKind

RISE = 0.3  # of a size: how far a line's middle is above its baseline
LEVEL = 0.45  # of a size: baselines no farther apart are on one level
BESIDE = 0.5  # of a size: white space between lines that stand side by side
BORDER_GAP = 0.06  # of a size: characters on either side of a border that stand farther apart are two cells
OVERLAP = 0.1  # of a size: so are those that overlap more, as where a word is too long for its cell
GAP_SHARE = 0.15  # of a grid's lines that may have gaps in line; with more, its rules do not part all columns
PADDING = 6.0  # points: the widest white space before a border that text is taken to keep
ROW_LEVELS = 40  # more lines than this in one row are columns of prose between rules
BOX_LEVELS = 12  # the same where there is but one row
ROW_GAP = 1.3  # rows are as many times farther apart than the lines of a cell
COLUMN_TOLERANCE = 3.0  # points by which a cell's lines may begin out of line
CELL_RISE = 5.0  # sizes: the farthest that a cell's first line is above the line its row was known by
NEIGHBOURS = 6
WIDE_LETTERS = 1.25  # times as wide as its line's usual letters may be those of a word
NEAR = 2.2  # sizes: the farthest that a cell's next line is below


def may_hold_table(lines: Sequence[Line]) -> bool:
    """Whether any lines of a page stand side by side, without which the search for rules can be spared."""
    return any(line.cells for line in lines) or any(
        below.y - above.y < 2 * below.size and (below.x0 > above.x1 or above.x0 > below.x1)
        for above, below in pairwise(lines)
    )


# --- ruled tables ------------------------------------------------------------------------------------------------


def place_in_grids(lines: Sequence[Line], grids: Sequence[Grid], characters: str, glyphs: Glyphs) -> list[Line]:
    """The lines in order, each grid's in rows and cells where its first line stood."""
    inside: dict[int, list[tuple[int, Cell, Line]]] = {}
    for number, line in enumerate(lines):
        home = next(
            (place for place, grid in enumerate(grids) if _cell(grid, line.x0, line.y, line.size) is not None), None
        )
        if home is not None:
            pieces = _cut(line, grids[home], characters, glyphs)
            inside.setdefault(home, []).extend((number, cell, piece) for cell, piece in pieces)
    placed: dict[int, list[Line]] = {}
    taken: set[int] = set()
    for home, held in inside.items():
        rows = _grid_rows(held, grids[home])
        if rows is None:
            continue
        numbers = {number for number, _, _ in held}
        placed[min(numbers)] = [line for cells in rows for line in _in_row(cells)]
        taken |= numbers
    result: list[Line] = []
    for number, line in enumerate(lines):
        result += placed.get(number, [] if number in taken else [line])
    return result


def _cell(grid: Grid, x: float, y: float, size: float) -> Cell | None:
    return grid.cell(x + 0.5, y - RISE * size)


def _cut(line: Line, grid: Grid, characters: str, glyphs: Glyphs) -> list[tuple[Cell, Line]]:
    """The line's pieces by cell. A word that reaches over a border belongs where it begins."""
    first = _cell(grid, line.x0, line.y, line.size)
    if first is None:
        return []
    if first == _cell(grid, line.x1 - 1.0, glyphs.baseline(line, line.end - 1), line.size):
        return [(first, line)]
    pieces: list[tuple[Cell, int]] = [(first, line.start)]
    right = line.x0
    fresh = True
    for index in range(line.start, line.end):
        if characters[index] in SPACES:
            fresh = True
            continue
        x0, x1 = glyphs.edges(index)
        if fresh or not -OVERLAP <= (x0 - right) / line.size <= BORDER_GAP:
            cell = _cell(grid, x0, glyphs.baseline(line, index), line.size) or pieces[-1][0]
            if cell != pieces[-1][0]:
                pieces.append((cell, index))
        right, fresh = x1, False
    ends = [*(start for _, start in pieces[1:]), line.end]
    return [
        (cell, glyphs.piece(line, characters, start, end, cells=True))
        for (cell, start), end in zip(pieces, ends, strict=True)
    ]


Row = dict[int, list[Line]]
"""The lines of each cell of a row that is not empty, by column."""


def _grid_rows(held: Sequence[tuple[int, Cell, Line]], grid: Grid) -> list[Row] | None:
    """A grid's rows from top to bottom; None when it is a drawing, a frame around prose or around code."""
    bands: dict[int, Row] = {}
    columns = {column: number for number, column in enumerate(sorted({cell[1] for _, cell, _ in held}))}
    for _, (band, column), line in held:
        bands.setdefault(band, {}).setdefault(columns[column], []).append(line)
    rows = [bands[band] for band in sorted(bands)]
    tallest = max(len(_levels(_lines_of(row))) for row in rows)
    if len(columns) < 2 or 2 * sum(len(row) > 1 for row in rows) < len(rows):
        return None
    if tallest > (BOX_LEVELS if len(rows) == 1 else ROW_LEVELS):
        return None
    lines = [line for _, _, line in held]
    if sum(_gaps_in_line(line, lines) for line in lines) > GAP_SHARE * len(lines):
        return None
    if len(rows) == 1 and 2 * sum(line.monospaced for line in lines) > len(lines):
        return None
    widths: dict[int, float] = {}
    for border, column in columns.items():
        held_here = [line for row in rows for line in row.get(column, ())]
        left, right = grid.xs[border], grid.xs[border + 1]
        padding = min(*(line.x0 - left for line in held_here), *(right - line.x1 for line in held_here), PADDING)
        widths[column] = right - left - 2 * max(padding, 0.0)
    body = _at_levels(rows[-1])  # below a header perhaps, and with no rules of its own
    if len(columns) > 2 and all(len(part) == len(columns) for part in body) and len(body) > (3 if len(rows) > 2 else 1):
        return [*rows[:-1], *body]
    if len(rows) > 2:
        return [part for row in rows for part in _unruled_rows(row, widths, 3)]
    return [part for row in rows for part in _unruled_rows(row, widths, 2)]


def _unruled_rows(row: Row, widths: dict[int, float], enough: int) -> list[Row]:
    """The rows between two rules: several where every level fills the first column and ended before it had to."""
    parts = _at_levels(row)
    first = min(row)
    if len(parts) < enough or any(first not in part or len(part) < 2 for part in parts):
        return [row]
    ended = [
        any(column in below and _had_room(above[column][-1], below[column][0], widths[column]) for column in above)
        for above, below in pairwise(parts)
    ]
    return parts if 2 * sum(ended) >= len(ended) else [row]


def _gaps_in_line(line: Line, lines: Iterable[Line]) -> bool:
    """Whether a gap in a line ends where one in another line does, as at a column that no rule parts off."""
    others = [x for other in lines if other is not line for _, x in other.cells]
    return any(abs(x - other) <= COLUMN_TOLERANCE for _, x in line.cells for other in others)


def _at_levels(row: Row) -> list[Row]:
    """A row cut into one for each baseline."""
    column = {id(line): column for column, lines in row.items() for line in lines}
    parts: list[Row] = []
    for level in _levels(_lines_of(row)):
        parts.append({})
        for line in level:
            parts[-1].setdefault(column[id(line)], []).append(line)
    return parts


def _had_room(above: Line, below: Line, width: float) -> bool:
    """Whether the first word of `below` would have had room on the line of `above`, in a column of this width."""
    word = re.match(r"\S*", below.text)
    needed = WIDE_LETTERS * (below.x1 - below.x0) * len(word.group() if word else "") / max(1, len(below.text))
    return width - (above.x1 - above.x0) > needed + 0.5 * above.size


# --- tables without rules ----------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Run:
    """Neighbouring lines that seem to be a table: numbers [first, last) of the page's lines."""

    first: int
    last: int


def place_in_columns(lines: Sequence[Line], characters: str, glyphs: Glyphs, profile: Profile) -> list[Line]:
    """The lines in order, those of unruled tables with wrapped cells in rows and cells.

    Tables of one line a row need nothing of this and stay as they are: `pdf_blocks` knows them by their gaps.
    """
    if not any(line.cells for line in lines):
        return list(lines)
    kinds = line_kinds(lines, profile)
    result: list[Line] = []
    done = 0
    for run in _runs(lines, kinds):
        held = lines[run.first : run.last]
        if all(kind is BlockKind.TABLE_ROW for kind in kinds[run.first : run.last]) and _one_line_each(held):
            continue
        rows = _column_rows(held, characters, glyphs)
        if rows is None:
            continue
        result += lines[done : run.first]
        result += [line for cells in rows for line in _in_row(cells)]
        done = run.last
    return [*result, *lines[done:]]


def _one_line_each(lines: Sequence[Line]) -> bool:
    left = min(line.x0 for line in lines)
    return all(line.x0 - left <= COLUMN_TOLERANCE for line in lines)


def _runs(lines: Sequence[Line], kinds: Sequence[BlockKind | None]) -> list[_Run]:
    """Runs of rows with the lines around them that can only be parts of their cells."""
    runs: list[_Run] = []
    number = 0
    while number < len(lines):
        if kinds[number] is not BlockKind.TABLE_ROW or lines[number].place is not None:
            number += 1
            continue
        run = _Run(number, number + 1)
        starts = {x for _, x in lines[number].cells}
        top, bottom = lines[number].y, lines[number].y
        while run.last < len(lines) and lines[run.last].place is None:
            line = lines[run.last]
            if not top - CELL_RISE * line.size < line.y < bottom + 1.5 * NEAR * line.size:
                break
            if kinds[run.last] is BlockKind.TABLE_ROW or _cells_in_line(line, starts):
                starts |= {x for _, x in line.cells}
                top = line.y
            elif kinds[run.last] is not None or not _continues(line, lines[run.first : run.last], starts):
                break
            bottom = max(bottom, line.y)
            run.last += 1
        if run.last - run.first > 1:
            runs.append(run)
        number = run.last
    return runs


def _cells_in_line(line: Line, starts: Iterable[float]) -> bool:
    """Whether a line has gaps, all of them before columns that are known."""
    return bool(line.cells) and all(any(abs(x - start) <= COLUMN_TOLERANCE for start in starts) for _, x in line.cells)


def _continues(line: Line, run: Sequence[Line], starts: Iterable[float]) -> bool:
    """Whether a line without gaps can be the rest of a cell: it begins with a column that is not the first."""
    close = any(
        abs(line.y - other.y) < NEAR * line.size and abs(line.size - other.size) < 0.1 * line.size
        for other in run[-NEIGHBOURS:]
    )
    return close and any(abs(line.x0 - start) <= COLUMN_TOLERANCE for start in starts)


def _column_rows(lines: Sequence[Line], characters: str, glyphs: Glyphs) -> list[Row] | None:
    """The rows of a run of lines; None when its columns overlap or its levels make no rows."""
    pieces = [piece for line in lines for piece in _at_gaps(line, characters, glyphs)]
    column = _columns(pieces)
    if column is None:
        return None
    rows: list[Row] = []
    for level in _row_levels(pieces, column):
        row: Row = {}
        for line in level:
            row.setdefault(column(line), []).append(line)
        if any(_side_by_side(cell) for cell in row.values()):
            return None  # gaps within a column: a list in a cell, or prose set wide
        rows.append(row)
    counts = Counter(column for row in rows for column in row)
    return None if counts[0] < len(rows) or min(counts.values()) < 2 else rows


def _side_by_side(lines: Sequence[Line]) -> bool:
    return any(len(level) > 1 for level in _levels(lines))


def _at_gaps(line: Line, characters: str, glyphs: Glyphs) -> list[Line]:
    starts = [line.start, *(after for after, _ in line.cells), line.end]
    return [glyphs.piece(line, characters, first, last) for first, last in pairwise(starts)]


def _columns(pieces: Sequence[Line]) -> Callable[[Line], int] | None:
    """Which column a piece is in: columns are what white space parts over all lines. None for fewer than two."""
    lefts: list[float] = []
    right = float("-inf")
    for piece in sorted(pieces, key=lambda piece: piece.x0):
        if piece.x0 > right + BESIDE * piece.size:
            lefts.append(piece.x0)
        right = max(right, piece.x1)
    if len(lefts) < 2:
        return None
    return lambda piece: sum(piece.x0 >= left - 0.01 for left in lefts) - 1


def _row_levels(pieces: Sequence[Line], column: Callable[[Line], int]) -> list[list[Line]]:
    """The pieces of each row: parted by leading if that leaves each one first cell, else by first cells."""
    levels = _levels(pieces)
    gaps = [below[0].y - above[0].y for above, below in pairwise(levels)]
    if gaps and max(gaps) > ROW_GAP * min(gaps):
        border = (max(gaps) + min(gaps)) / 2
        apart = _grouped(levels, [gap > border for gap in gaps])
        if all(_first_cells_are_one(group, column) for group in apart):
            return [[line for level in group for line in level] for group in apart]
    begins = [any(column(line) == 0 for line in level) for level in levels]
    return [[line for level in group for line in level] for group in _grouped(levels, begins[1:])]


def _grouped(levels: Sequence[list[Line]], parted: Sequence[bool]) -> list[list[list[Line]]]:
    groups = [[levels[0]]]
    for level, new in zip(levels[1:], parted, strict=True):
        if new:
            groups.append([])
        groups[-1].append(level)
    return groups


def _first_cells_are_one(group: Sequence[Sequence[Line]], column: Callable[[Line], int]) -> bool:
    """Whether the first column is filled by neighbouring levels, of which one at most looks like a row by itself."""
    filled = [number for number, level in enumerate(group) if any(column(line) == 0 for line in level)]
    whole = sum(any(column(line) > 0 for line in group[number]) for number in filled)
    return bool(filled) and filled[-1] - filled[0] == len(filled) - 1 and whole <= 1


# --- both --------------------------------------------------------------------------------------------------------


def _lines_of(row: Row) -> list[Line]:
    return [line for lines in row.values() for line in lines]


def _levels(lines: Iterable[Line]) -> list[list[Line]]:
    """Lines by baseline from top to bottom, each level from left to right."""
    levels: list[list[Line]] = []
    for line in sorted(lines, key=lambda line: line.y):
        if levels and line.y - levels[-1][-1].y <= LEVEL * line.size:
            levels[-1].append(line)
        else:
            levels.append([line])
    return [sorted(level, key=lambda line: line.x0) for level in levels]


def _in_row(cells: Row) -> list[Line]:
    """The lines of a row, cell by cell, each told its place."""
    row = min(line.start for line in _lines_of(cells))
    return [
        replace(line, cells=(), place=(row, column))
        for column in sorted(cells)
        for level in _levels(cells[column])
        for line in level
    ]
