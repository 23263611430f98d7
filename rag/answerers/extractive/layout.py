"""What the units of a passage form together: lists of steps or items, and tables.

Owns the reading of lists and tables from the units alone. Knows no question and chooses nothing.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from rag.answerers.extractive.units import (
    BULLETED,
    CHINESE_NUMERALS,
    LEADS_ON,
    NUMBERED,
    Unit,
    UnitKind,
    cells_of,
    plain,
    units_of,
)
from rag.language import word_count


@dataclass(frozen=True, slots=True)
class ItemList:
    """Steps or items that belong together: units `first` to `last`, and the unit that leads to them, if any.

    `items` are the units that begin an item. `numbers` are the first and the last number, None for bullets.
    """

    first: int
    last: int
    lead: int | None
    items: tuple[int, ...]
    numbers: tuple[int, int] | None

    def item_at(self, unit: int) -> range:
        """The units of the item that `unit` is in, from its marker on."""
        start = max(item for item in self.items if item <= unit)
        return range(start, next((item for item in self.items if item > unit), self.last + 1))


@dataclass(frozen=True, slots=True)
class Table:
    """Table rows that follow each other, units `first` to `last`, with the row that names the columns and a title.

    `header` is the first row, or None where the rows have none (the table may have begun in an earlier passage).
    """

    first: int
    last: int
    header: int | None
    title: int | None
    columns: int

    @property
    def rows(self) -> range:
        """The units of the rows below the header."""
        return range(self.first if self.header is None else self.first + 1, self.last + 1)


@dataclass(frozen=True, slots=True)
class Layout:
    """A passage as units in order, and the lists and tables that they form."""

    units: tuple[Unit, ...]
    lists: tuple[ItemList, ...]
    tables: tuple[Table, ...]

    def list_at(self, unit: int) -> ItemList | None:
        """The list that `unit` is in, or leads to."""
        inside = (items for items in self.lists if items.first <= unit <= items.last)
        return next(inside, None) or next((items for items in self.lists if items.lead == unit), None)

    def heading_over(self, position: int) -> Unit | None:
        """The last heading of the passage's own text before the character at `position`."""
        over = (unit for unit in self.units if unit.kind is UnitKind.HEADING and unit.end <= position)
        return max(over, key=lambda unit: unit.start, default=None)

    def table_at(self, unit: int) -> Table | None:
        """The table that `unit` is a row or the title of."""
        return next((t for t in self.tables if t.first <= unit <= t.last or t.title == unit), None)


_LONGEST_GAP = 3
_LONGEST_COLUMN_NAME = 4
_DIGIT = re.compile(r"\d")
_STOP = re.compile(r"[.!?。！？；;]\Z")


def layout_of(text: str, headings: Sequence[str] = ()) -> Layout:
    """The layout of a passage's text; `headings` are its own. Time is linear in the length of the text."""
    units = units_of(text, headings)
    return Layout(tuple(units), tuple(_lists(text, units)), tuple(_tables(text, units)))


@dataclass(slots=True)
class _OpenList:
    items: list[int]
    last: int
    last_line: int
    numbers: tuple[int, int] | None = field(default=None)


def _lists(text: str, units: list[Unit]) -> list[ItemList]:
    found: list[ItemList] = []
    current: _OpenList | None = None
    for index, unit in enumerate(units):
        if index and units[index - 1].line == unit.line:
            if current and current.last_line == unit.line:
                current.last = index  # the rest of an item
            continue
        numbered, bulleted = NUMBERED.match(text, unit.start), BULLETED.match(text, unit.start)
        if unit.kind not in (UnitKind.SENTENCE, UnitKind.LABEL) or not (numbered or bulleted):
            continue
        number = _value(numbered) if numbered else None
        if current and _continues(current, number, unit.line):
            current.items.append(index)
            current.last, current.last_line = index, unit.line
            if current.numbers and number is not None:
                current.numbers = (current.numbers[0], number)
        else:
            if current:
                found.extend(_closed(text, units, current))
            current = _OpenList([index], index, unit.line, None if number is None else (number, number))
    if current:
        found.extend(_closed(text, units, current))
    return found


def _continues(current: _OpenList, number: int | None, line: int) -> bool:
    """Whether an item goes on the list: the next number, or a bullet close by (within a step as well)."""
    if number is None:
        return line - current.last_line <= _LONGEST_GAP
    return bool(current.numbers and number == current.numbers[1] + 1 and line - current.last_line <= 3 * _LONGEST_GAP)


def _closed(text: str, units: list[Unit], current: _OpenList) -> list[ItemList]:
    """The finished list with its lead-in; a single line numbered 1 and a single bullet are no lists."""
    first = current.items[0]
    if current.last_line == units[first].line and not (current.numbers and current.numbers[0] > 1):
        return []
    lead = first - 1 if first else None
    if lead is not None:
        unit = units[lead]
        close = text.count("\n", unit.end, units[first].start) <= 2
        leads = unit.kind is UnitKind.LABEL or LEADS_ON.search(text[unit.start : unit.end]) is not None
        lead = lead if close and leads else None
    return [ItemList(first, current.last, lead, tuple(current.items), current.numbers)]


def _value(numbered: re.Match[str]) -> int:
    if numbered["arabic"]:
        return int(numbered["arabic"])
    if numbered["ring"]:
        code = ord(numbered["ring"])
        return code - 0x2460 + 1 if code <= 0x2473 else code - 0x2474 + 1
    tens, _, ones = numbered["chinese"].rpartition("十")
    if "十" not in numbered["chinese"]:
        return CHINESE_NUMERALS.index(numbered["chinese"][0]) + 1
    return (CHINESE_NUMERALS.index(tens[0]) + 1 if tens else 1) * 10 + (
        CHINESE_NUMERALS.index(ones[0]) + 1 if ones else 0
    )


def _tables(text: str, units: list[Unit]) -> list[Table]:
    """Runs of rows, divided where a line of column names comes again, as it does when a page turns."""
    runs: list[list[int]] = []
    headers: set[str] = set()
    for index, unit in enumerate(units):
        if unit.kind is not UnitKind.ROW:
            continue
        row = text[unit.start : unit.end]
        again = plain(row) in headers or (_names_columns(row) and _among_codes(text, units, runs, index))
        if runs and runs[-1][-1] == index - 1 and not again:
            runs[-1].append(index)
        else:
            runs.append([index])
            headers.add(plain(row))
    return [_table(text, units, run) for run in runs]


def _table(text: str, units: list[Unit], run: list[int]) -> Table:
    first = run[0]
    row = text[units[first].start : units[first].end]
    title = first - 1 if first and _is_title(text, units, first) else None
    header = first if _names_columns(row) and (len(run) > 2 or title is not None) else None
    return Table(first, run[-1], header, title, len(cells_of(row)))


def _names_columns(row: str) -> bool:
    """Whether a row may be the names of the columns: short cells, no sentences, no number or code in the first."""
    cells = cells_of(row)
    short = all(word_count(cell) <= _LONGEST_COLUMN_NAME and not _STOP.search(cell) for cell in cells)
    return short and not _DIGIT.search(cells[0])


def _among_codes(text: str, units: list[Unit], runs: list[list[int]], index: int) -> bool:
    """Whether the rows before and behind unit `index` all begin with a number or a code, as column names do not."""
    if not runs or runs[-1][-1] != index - 1 or index + 1 == len(units) or units[index + 1].kind is not UnitKind.ROW:
        return False
    around = [runs[-1][-1], index + 1]
    return all(_DIGIT.search(cells_of(text[units[n].start : units[n].end])[0]) for n in around)


def _is_title(text: str, units: list[Unit], first: int) -> bool:
    before = units[first - 1]
    if before.kind is UnitKind.ROW or text.count("\n", before.end, units[first].start) > 2:
        return False
    return before.kind is UnitKind.LABEL or LEADS_ON.search(text[before.start : before.end]) is not None
