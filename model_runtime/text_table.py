"""Rows of text as a table of fixed width, for terminals and for the pages of the documentation. Knows no contents."""

from __future__ import annotations

from collections.abc import Sequence


def text_table(
    head: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 0, is_ruled: bool = True
) -> list[str]:
    """Lines of columns as wide as their widest cell, two blanks apart: the first `left` columns to the left, numbers to
    the right. With `is_ruled` a line of dashes stands under the head."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    rule = [["-" * width for width in widths]] if is_ruled else []
    return [_line(row, widths, left) for row in (head, *rule, *rows)]


def _line(row: Sequence[str], widths: Sequence[int], left: int) -> str:
    cells = [
        cell.ljust(width) if column < left else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    return "  ".join(cells).rstrip()
