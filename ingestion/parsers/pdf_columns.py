"""Finds the names of a table's columns and gives them to its rows, over as many pages as the table goes on.

Owns which rows are a header, what a page's first rows have to do with the page before, and the labels of cells that
are merged over several rows. Changes no text: names are for what is embedded. What is a row is `pdf_tables`'.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from statistics import median

from ingestion.parsers.page_builder import tidy
from ingestion.parsers.pdf_blocks import Group
from ingestion.parsers.tables import column_names
from ingestion.types import BlockKind, OpenTable

LONGEST_NAME = 60
SHORT_NAME = 24
"""Characters of a name that may be known by its shortness alone."""

LONGEST_VALUE = 24
SHORTER = 3  # times: so much shorter than what stands below it is a name of nothing but words
MOST_BELOW = 0.6  # of a column's cells, for it to be one of numbers
LONGEST_LABEL = 60
_GOES_ON = re.compile(r"(?i)\bcontinued\b|\(cont\b|续|接上页|接下页|转下页")
_LONGEST_NOTE = 80
_NAME = re.compile(r"[^\W\d_a-z]|[A-Z]")
_STOP = re.compile(r"[.。!！?？;；:：]$")


@dataclass(frozen=True, slots=True)
class _Row:
    """A row's cells by column, and whether all of it is bold."""

    group: Group
    cells: dict[int, str]
    bold: bool

    @property
    def text(self) -> str:
        return " | ".join(self.cells.values())


class Tables:
    """The tables of one document. `open` is the one that a page left off with, as whoever reads on needs it."""

    def __init__(self, open_: OpenTable | None = None) -> None:
        self.open = open_

    def interrupt(self) -> None:
        """A page whose rows are not known comes between."""
        self.open = None

    def name_columns(self, groups: Sequence[Group]) -> None:
        """Gives the rows of a page their columns' names; a header that is printed once more becomes `REPEATED`."""
        before, self.open = self.open, None
        content = [number for number, group in enumerate(groups) if not _is_note(group)]
        for first, rows in _runs(groups):
            is_first = not content or first <= content[0]
            table = _table(rows, before if is_first else None)
            if first + len(rows) > (content[-1] if content else -1):
                self.open = table


def _is_note(group: Group) -> bool:
    """Whether a block only says that a table goes on."""
    if group.kind is BlockKind.TABLE_ROW:
        return False
    text = " ".join(line.text for line, _ in group.lines)
    return len(text) <= _LONGEST_NOTE and _GOES_ON.search(text) is not None


def _runs(groups: Sequence[Group]) -> Iterator[tuple[int, list[_Row]]]:
    """Rows with nothing between them, with the number of the first."""
    number = 0
    for is_row, run in groupby(groups, key=lambda group: group.kind is BlockKind.TABLE_ROW):
        members = list(run)
        if is_row:
            yield number, [_Row(each, _cells(each), all(line.bold for line, _ in each.lines)) for each in members]
        number += len(members)


def _cells(group: Group) -> dict[int, str]:
    """The cells that are not empty. Of a row without rules the cells are numbered as they come."""
    cells: dict[int, str] = {}
    for line, _ in group.lines:
        if line.place is not None:
            column = line.place[1]
            cells[column] = tidy(f"{cells.get(column, '')} {line.text}")
        elif not cells:
            borders = [line.start, *(after for after, _ in line.cells), line.end]
            pieces = (line.text[a - line.start : b - line.start] for a, b in pairwise(borders))
            cells = dict(enumerate(tidy(piece) for piece in pieces))
    return cells


def _table(rows: Sequence[_Row], before: OpenTable | None) -> OpenTable:
    """Names the columns of a run of rows, which may go on with a table of the page before."""
    columns = max(max(row.cells, default=0) for row in rows) + 1
    texts = [row.text for row in rows]
    if before is not None and tuple(texts[: len(before.header)]) == before.header:
        return _repeated(rows, before)
    if before is not None and before.columns == columns and not _header_rows(rows):
        _name(rows, before.names, before.label)
        return OpenTable(before.names, before.header, columns, _last_label(rows, before.label))
    size = _header_rows(rows)
    if not size:
        titles = _title_rows(rows)
        return OpenTable("", tuple(texts[titles : titles + 1]), columns, "")
    titles = _title_rows(rows)
    header = rows[titles : titles + size]
    names = _names(header, columns)
    body = rows[titles + size :]
    _name(body, names, "")
    return OpenTable(names, tuple(row.text for row in header), columns, _last_label(body, ""))


def _repeated(rows: Sequence[_Row], before: OpenTable) -> OpenTable:
    """The rows below a header that stood on the page before: it is one, whatever it looks like."""
    size = len(before.header)
    columns = max(max(row.cells, default=0) for row in rows) + 1
    names = before.names or _names(rows[:size], columns)
    for row in rows[:size]:
        row.group.kind = BlockKind.REPEATED
    body = rows[size:]
    _name(body, names, before.label)
    return OpenTable(names, before.header, columns, _last_label(body, before.label))


def _name(rows: Sequence[_Row], names: str, label: str) -> None:
    """Gives the rows their columns' names, and those whose first cell is merged with one above its text too."""
    for row in rows:
        if 0 in row.cells:
            label = ""
        row.group.columns = " > ".join(filter(None, (names, label)))
        label = _label(row, label)


def _label(row: _Row, label: str) -> str:
    first = row.cells.get(0, "")
    return first[:LONGEST_LABEL] if first and row.group.lines[0][0].place is not None else label


def _last_label(rows: Sequence[_Row], label: str) -> str:
    for row in rows:
        label = _label(row, label)
    return label


def _title_rows(rows: Sequence[_Row]) -> int:
    """Rows of a single cell, above the header, say what the table is about."""
    titles = 0
    while titles < min(2, len(rows) - 1) and len(rows[titles].cells) == 1 and 0 in rows[titles].cells:
        titles += 1
    return titles


def _header_rows(rows: Sequence[_Row]) -> int:
    """How many rows, after titles, name the columns: 0 where nothing tells them from the rows below."""
    titles = _title_rows(rows)
    if len(rows) - titles < 3:
        return 0
    header, below = rows[titles], rows[titles + 1 :]
    if not _may_be_names(header):
        return 0
    second = below[0]
    if 0 in header.cells and 0 not in second.cells and set(second.cells) - set(header.cells) and _may_be_names(second):
        return 2  # names in two storeys, the first column's reaching over both
    return int(_is_bolder(header, below) or _is_above_numbers(header, below) or _is_shorter(header, below))


def _may_be_names(row: _Row) -> bool:
    cells = list(row.cells.values())
    return (
        len(cells) > 1
        and len(set(cells)) == len(cells)
        and all(0 < len(cell) <= LONGEST_NAME and not _STOP.search(cell) for cell in cells)
    )


def _is_bolder(header: _Row, below: Sequence[_Row]) -> bool:
    return header.bold and 2 * sum(row.bold for row in below) < len(below)


def _is_above_numbers(header: _Row, below: Sequence[_Row]) -> bool:
    """Whether a name without a digit stands over numbers, and no number over words."""
    differs = False
    for column, name in header.cells.items():
        cells = [row.cells[column] for row in below if column in row.cells]
        numbers = sum(_is_value(cell) for cell in cells)
        if _has_digit(name) and numbers < MOST_BELOW * len(cells):
            return False
        differs |= len(cells) > 1 and not _has_digit(name) and numbers >= MOST_BELOW * len(cells)
    return differs


def _is_shorter(header: _Row, below: Sequence[_Row]) -> bool:
    """Whether words with a capital, or Chinese ones, stand over much longer texts of a table with known places."""
    if header.group.lines[0][0].place is None:
        return False
    if not all(
        _NAME.match(name) and len(name) <= SHORT_NAME and not _has_digit(name) for name in header.cells.values()
    ):
        return False
    lengths = {column: [len(row.cells[column]) for row in below if column in row.cells] for column in header.cells}
    return any(each and median(each) >= SHORTER * len(header.cells[column]) for column, each in lengths.items())


def _is_value(text: str) -> bool:
    return _has_digit(text) and len(text) <= LONGEST_VALUE and len(text.split()) <= 3


def _has_digit(text: str) -> bool:
    return any(character.isdigit() for character in text)


def _names(header: Sequence[_Row], columns: int) -> str:
    """The columns' names; one that reaches over several columns stands before the name of each."""
    if len(header) == 1:
        return column_names(list(header[0].cells.values()))
    names = []
    above = ""
    for column in range(columns):
        above = header[0].cells.get(column, above)
        names.append(" ".join(filter(None, (above, header[1].cells.get(column, "")))))
    return column_names(names)
