"""Reads the rows of one worksheet as they come, in constant memory.

Owns cells: their types, merged ranges, hidden rows and columns. The claimed dimension of a sheet is not believed:
only cells that are there count. Does not know how pages are made.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from ingestion.errors import BrokenFile
from ingestion.parsers.packages import Package
from ingestion.parsers.sheet_pages import Cell, Row
from ingestion.parsers.xlsx_formats import GENERAL, shown

MOST_COLUMNS = 16_384  # of any sheet, by the format
MOST_ROWS = 1_048_576
_LONGEST_CELL = 32_767
_WIDEST_REPEATED = 64  # columns: a merged cell wider than this is a title or a mistake
_MOST_MERGED = 100_000
_MOST_OPEN = 1_000  # merged ranges that reach over one row
_REFERENCE = re.compile(r"\$?([A-Za-z]{1,3})\$?(\d{1,7})\Z")
_MERGED = re.compile(rb"<(?:\w+:)?mergeCell\s[^>]{0,200}?ref\s*=\s*[\"']([A-Z0-9:$]{5,30})[\"']")
_PIECE = 1 << 20
_OVERLAP = 300


@dataclass(frozen=True, slots=True)
class Workbook:
    """What cells refer to: shared texts by number, format codes by style, and which calendar days are counted in."""

    strings: list[str]
    formats: list[str]
    from_1904: bool


@dataclass(frozen=True, slots=True)
class _Range:
    top: int
    left: int
    bottom: int
    right: int


@dataclass(slots=True)
class _Merged:
    """Merged ranges in the order of their first rows, and those that reach over the row under way, with their text."""

    waiting: list[_Range]
    open: list[tuple[_Range, Cell]] = field(default_factory=list)
    next: int = 0

    def fill(self, row: int, cells: dict[int, Cell]) -> None:
        """Repeats merged cells in a row that has something of its own."""
        self.open = [(each, cell) for each, cell in self.open if each.bottom >= row]
        while self.next < len(self.waiting) and self.waiting[self.next].top <= row:
            merged = self.waiting[self.next]
            self.next += 1
            cell = cells.get(merged.left) if merged.top == row else None
            if cell is not None and len(self.open) < _MOST_OPEN:
                spans_columns = merged.right > merged.left
                self.open.append((merged, Cell(cell.text, cell.is_text, spans_columns)))
        if not cells:
            return
        for merged, cell in self.open:
            for column in range(merged.left, min(merged.right, merged.left + _WIDEST_REPEATED - 1) + 1):
                if column == merged.left or column not in cells:
                    cells[column] = cell


class SheetReader:
    """One worksheet of an open package."""

    def __init__(self, package: Package, part: str, workbook: Workbook) -> None:
        self._package = package
        self._part = part
        self._workbook = workbook
        self._ready: list[Row] = []
        self._hidden_columns: list[range] = []
        self._hidden_rows = 0
        self._without_result = 0
        self._merged = _Merged([])
        self._row = 0
        self._row_hidden = False
        self._cells: dict[int, Cell] = {}
        self._column = -1
        self._type = ""
        self._style = 0
        self._has_formula = False
        self._value: list[str] = []
        self._length = 0
        self._collects = False
        self._guide = False

    def rows(self) -> Iterator[Row]:
        """The rows that hold and show anything. Raises `BrokenFile`."""
        self._merged = _Merged(self._merged_ranges())
        for _ in self._package.scan(self._part, self._start, self._end, self._text):
            yield from self._ready
            self._ready.clear()

    def notes(self) -> list[str]:
        """What an admin should know, once all rows have been read."""
        notes = []
        if self._hidden_rows or self._hidden_columns:
            notes.append("hidden rows or columns were left out; unhide them to include them.")
        if self._without_result:
            notes.append(f"{self._without_result:,} formulas have no saved result; open the file in Excel and save it.")
        return notes

    def _merged_ranges(self) -> list[_Range]:
        """The merged ranges, which a worksheet lists only after its rows."""
        found: set[bytes] = set()
        with self._package.open(self._part) as stream:
            tail = b""
            while (piece := stream.read(_PIECE)) and len(found) < _MOST_MERGED:
                found.update(_MERGED.findall(tail + piece))
                tail = (tail + piece)[-_OVERLAP:]
        ranges = []
        for reference in found:
            first, _, last = reference.decode("ascii").partition(":")
            (left, top), (right, bottom) = _place(first), _place(last)
            if 0 < top <= bottom and 0 <= left <= right:
                ranges.append(_Range(top, left, bottom, right))
        return sorted(ranges, key=lambda each: (each.top, each.left))

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        match name:
            case "c":
                column, _ = _place(attributes.get("r", ""))
                self._column = column if column >= 0 else self._column + 1
                if self._column >= MOST_COLUMNS:
                    raise BrokenFile(
                        f"{self._package.name} is damaged: row {self._row} has more columns than Excel allows"
                    )
                style = attributes.get("s", "0")
                self._type, self._style = attributes.get("t", "n"), int(style) if style.isdigit() else 0
                self._value, self._length, self._has_formula = [], 0, False
            case "v" | "t":
                self._collects = not self._guide
            case "f":
                self._has_formula = True
            case "rPh":
                self._guide = True
            case "row":
                number = attributes.get("r", "")
                self._row = int(number) if number.isdigit() and len(number) < 9 else self._row + 1
                if self._row > MOST_ROWS:
                    raise BrokenFile(f"{self._package.name} is damaged: it has more rows than Excel allows")
                self._row_hidden = attributes.get("hidden") in ("1", "true")
                self._cells, self._column = {}, -1
            case "col" if attributes.get("hidden") in ("1", "true"):
                first, last = attributes.get("min", ""), attributes.get("max", "")
                if first.isdigit() and last.isdigit() and len(self._hidden_columns) < MOST_COLUMNS:
                    self._hidden_columns.append(range(int(first) - 1, int(last)))

    def _text(self, content: str) -> None:
        if self._collects and self._length < _LONGEST_CELL:
            self._value.append(content)
            self._length += len(content)

    def _end(self, name: str) -> None:
        match name:
            case "v" | "t":
                self._collects = False
            case "rPh":
                self._guide = False
            case "c":
                self._end_cell()
            case "row":
                self._end_row()

    def _end_cell(self) -> None:
        value = "".join(self._value)[:_LONGEST_CELL]
        self._value = []
        if not value.strip():
            self._without_result += self._has_formula
            return
        cell = self._cell(value)
        if cell.text:
            self._cells[self._column] = cell

    def _cell(self, value: str) -> Cell:
        match self._type:
            case "s":
                known = value.isdigit() and len(value) < 10 and int(value) < len(self._workbook.strings)
                return Cell(self._workbook.strings[int(value)].strip() if known else "")
            case "str" | "inlineStr" | "e":
                return Cell(value.strip())
            case "b":
                return Cell("TRUE" if value.strip() == "1" else "FALSE", is_text=False)
            case "d":
                return Cell(value.strip().removesuffix("T00:00:00"), is_text=False)
        try:
            number = float(value)
        except ValueError:
            return Cell(value.strip())
        formats = self._workbook.formats
        code = formats[self._style] if self._style < len(formats) else GENERAL
        return Cell(shown(number, code, from_1904=self._workbook.from_1904), is_text=False)

    def _end_row(self) -> None:
        cells, self._cells = self._cells, {}
        self._merged.fill(self._row, cells)
        if self._row_hidden:
            self._hidden_rows += bool(cells)
            return
        if self._hidden_columns:
            cells = {at: cell for at, cell in cells.items() if not any(at in hidden for hidden in self._hidden_columns)}
        if cells:
            self._ready.append(Row(self._row, cells))


def _place(reference: str) -> tuple[int, int]:
    """Column from 0 and row from 1 of a reference such as "AB12"; (-1, 0) for what is none."""
    match = _REFERENCE.match(reference)
    if match is None:
        return -1, 0
    column = 0
    for letter in match[1].upper():
        column = column * 26 + ord(letter) - ord("A") + 1
    return column - 1, int(match[2])
