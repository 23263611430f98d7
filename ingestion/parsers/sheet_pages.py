"""Lays the rows of a spreadsheet or a CSV file out as pages of a few hundred rows, while they come.

Owns what of a sheet is a title, a header or a row, and how much goes on one page. Knows no file format.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from ingestion.parsers.base import Limits
from ingestion.parsers.page_builder import PageBuilder
from ingestion.parsers.tables import column_names
from ingestion.types import BlockKind, ParsedPage

ROWS_A_PAGE = 500
CHARACTERS_A_PAGE = 50_000
_MOST_TITLE_ROWS = 12
_LONGEST_COLUMN_NAME = 120


@dataclass(frozen=True, slots=True)
class Cell:
    """What a cell shows. `is_text` tells words from numbers and dates, `is_merged` is one that spans columns."""

    text: str
    is_text: bool = True
    is_merged: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """A row with anything in it: its number as the reader sees it, and its cells by column, counted from 0."""

    number: int
    cells: Mapping[int, Cell]


class SheetPages:
    """Makes the pages of one document, sheet after sheet, numbered through."""

    def __init__(self, name: str, limits: Limits) -> None:
        self._name = name
        self._limits = limits
        self._number = 0

    def pages(self, title: str, rows: Iterable[Row]) -> Iterator[ParsedPage]:
        """The pages of one sheet. `title`, if there is one, is their heading and label."""
        builder = self._builder(title)
        table = _Table()
        count = 0
        for row in rows:
            if count >= ROWS_A_PAGE or builder.length > CHARACTERS_A_PAGE:
                yield self._page(builder, title)
                builder, count = self._builder(title), 0
                table.go_on(builder)
            table.add(row, builder)
            count += 1
        if builder.length:
            yield self._page(builder, title)

    def _builder(self, title: str) -> PageBuilder:
        builder = PageBuilder(self._name, self._limits)
        if title:
            builder.section(1, title)
        return builder

    def _page(self, builder: PageBuilder, title: str) -> ParsedPage:
        self._number += 1
        return builder.page(self._number, label=title[:40] or None)


class _Table:
    """The table under way on a sheet: an empty row ends it, and the next one may have a header of its own."""

    def __init__(self) -> None:
        self._title = ""
        self._last = 0
        self._headers: list[Row] = []
        self._names = ""
        self._columns: tuple[int, ...] = ()
        self._has_rows = False
        self._titles = 0

    def add(self, row: Row, builder: PageBuilder) -> None:
        if self._last and row.number > self._last + 1:
            self._headers, self._has_rows, self._titles = [], False, 0  # the names stay until there are others
        self._last = row.number
        if not self._has_rows and self._is_header(row):
            if not self._headers or not any(cell.is_merged for cell in self._headers[-1].cells.values()):
                self._headers = []
            self._headers.append(row)
            self._write(row, builder, "")
            self._name_columns()
        elif not self._has_rows and not self._headers and self._is_title(row):
            self._titles += 1
            self._write_title(row, builder)
        else:
            self._has_rows = True
            self._write(row, builder, self._names)

    def go_on(self, builder: PageBuilder) -> None:
        """Begins a new page in the middle of a table."""
        if self._title:
            builder.section(2, self._title)

    def _is_header(self, row: Row) -> bool:
        """Words only, more than one, in a row that no rows with values have gone before (but a row of merged names)."""
        if self._headers and not any(cell.is_merged for cell in self._headers[-1].cells.values()):
            return False
        cells = [cell for cell in row.cells.values() if cell.text]
        different = {cell.text for cell in cells}
        if not self._headers and not self._titles and self._columns == tuple(sorted(row.cells)):
            return False  # after an empty row: as wide as the table above, so more of it
        return (
            len(different) > 1
            and all(cell.is_text and len(cell.text) <= _LONGEST_COLUMN_NAME for cell in cells)
            and len(self._headers) < 3
        )

    def _is_title(self, row: Row) -> bool:
        return self._titles < _MOST_TITLE_ROWS and len({cell.text for cell in row.cells.values() if cell.text}) == 1

    def _write_title(self, row: Row, builder: PageBuilder) -> None:
        text = next(cell.text for cell in row.cells.values() if cell.text)
        if self._titles == 1 and len(text) <= _LONGEST_COLUMN_NAME:
            self._title = text
            builder.heading(2, text, anchor_of(row))
        else:
            builder.block(BlockKind.PARAGRAPH, text)

    def _name_columns(self) -> None:
        columns = sorted({column for row in self._headers for column in row.cells})
        names = []
        for column in columns:
            levels = (row.cells[column].text for row in self._headers if column in row.cells)
            names.append(" ".join(dict.fromkeys(filter(None, levels))))
        self._columns, self._names = tuple(columns), column_names(names)

    def _write(self, row: Row, builder: PageBuilder, names: str) -> None:
        columns = sorted({*self._columns, *row.cells}) if names else sorted(row.cells)
        texts = [row.cells[column].text if column in row.cells else "" for column in columns]
        while texts and not texts[-1]:
            texts.pop()
        builder.row(texts, columns=names, anchor=anchor_of(row))


def anchor_of(row: Row) -> str:
    """The place of a row in the way spreadsheets name it."""
    first, last = min(row.cells), max(row.cells)
    return f"{column_name(first)}{row.number}:{column_name(last)}{row.number}"


def column_name(index: int) -> str:
    """The letters of a column counted from 0: A, Z, AA."""
    letters = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters
