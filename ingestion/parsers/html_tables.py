"""Reads the cells of HTML tables.

Owns what a cell's text is, and how cells that span rows or columns are repeated. Does not write blocks.
"""

from selectolax.lexbor import LexborNode

_WIDEST_REPEATED = 64
_TALLEST_REPEATED = 1_000


def is_data_table(table: LexborNode) -> bool:
    """Whether a table's cells are only text; others lay out a page, and are read as what they hold."""
    return table.css_first("table table, pre, ul, ol, h1, h2, h3, h4") is None


def table_rows(table: LexborNode) -> list[list[str]]:
    """The cells of each row; what spans several rows or columns is repeated in each of them."""
    rows: list[list[str]] = []
    hanging: dict[int, tuple[int, str]] = {}  # by column: rows still to be covered, and the text
    for row in table.css("tr"):
        cells: list[str] = []
        for cell in row.iter():
            if cell.tag not in ("td", "th"):
                continue
            _hang(cells, hanging)
            across = _span(cell, "colspan", _WIDEST_REPEATED)
            down = _span(cell, "rowspan", _TALLEST_REPEATED)
            text = cell_text(cell)
            for _ in range(across):
                if down > 1:
                    hanging[len(cells)] = (down, text)
                cells.append(text)
        _hang(cells, hanging)
        rows.append(cells)
        hanging = {column: (left - 1, text) for column, (left, text) in hanging.items() if left > 1}
    return rows


def cell_text(cell: LexborNode) -> str:
    # Between paragraphs there is a space, between pieces of mark-up in a word there is none.
    return cell.text(separator=" " if cell.css_first("p, br, div, li") else "")


def _hang(cells: list[str], hanging: dict[int, tuple[int, str]]) -> None:
    """Adds the cells that hang down from the rows above, up to the next free column."""
    while len(cells) in hanging:
        cells.append(hanging[len(cells)][1])


def _span(cell: LexborNode, name: str, most: int) -> int:
    digits = (cell.attributes.get(name) or "").strip()
    return min(max(int(digits), 1), most) if digits.isascii() and digits.isdigit() and len(digits) < 9 else 1
