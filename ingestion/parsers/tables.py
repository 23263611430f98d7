"""Writes tables as rows, each with the names of its columns at hand.

Owns what a written row is, and how column names reach the rows of a long table. Knows no format.
"""

from collections.abc import Sequence

from ingestion.parsers.page_builder import PageBuilder, tidy

CELL_SEPARATOR = " | "
LONG_TABLE = 1_200
"""Characters beyond which a table may be cut into several passages; the rows of shorter ones stay with their header."""

_LONGEST_NAMES = 240
_LONGEST_NAME = 60


def column_names(header: Sequence[str]) -> str:
    """The names of the columns as a heading of the rows below: repeated ones once, of a very wide table the first."""
    names = ""
    for name in dict.fromkeys(tidy(name)[:_LONGEST_NAME] for name in header if name.strip()):
        longer = f"{names}{CELL_SEPARATOR}{name}" if names else name
        if len(longer) > _LONGEST_NAMES:
            break
        names = longer
    return names


def write_table(builder: PageBuilder, rows: Sequence[Sequence[str]], *, has_header: bool = True) -> None:
    """Writes the rows. In a long table the first row gives the others the names of their columns.

    So a row is found and embedded with them wherever the table is cut, and what is cited is the row alone.
    """
    written = [row for row in rows if any(cell.strip() for cell in row)]
    is_long = sum(len(cell) for row in written for cell in row) > LONG_TABLE
    names = column_names(written[0]) if written and has_header and is_long and len(written[0]) > 1 else ""
    for number, row in enumerate(written):
        builder.row(row, columns=names if number else "")
