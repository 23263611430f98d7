"""Builds a page of a document that has none of its own layout, block by block.

Owns the text's layout and the heading path. Knows no format.
"""

import re
from collections.abc import Iterable

from ingestion.errors import TooLarge
from ingestion.parsers.base import Limits
from ingestion.types import NO_PAGE, Block, BlockKind, ParsedPage

_ITEMS = (BlockKind.STEP, BlockKind.LIST_ITEM, BlockKind.TABLE_ROW)
_CJK = "\u3000-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uff00-\uffef"
_WRAPPED_CJK = re.compile(rf"(?<=[{_CJK}])[^\S\n]*\n\s*(?=[{_CJK}])")


def tidy(text: str) -> str:
    """One line: runs of white space as one space, and none where Chinese was only wrapped."""
    return " ".join(_WRAPPED_CJK.sub("", text).split())


class PageBuilder:
    """Collects blocks; `page()` gives them with their offsets. Rows and items stand on neighbouring lines."""

    def __init__(self, name: str, limits: Limits) -> None:
        self._name = name
        self._limit = limits.page_characters
        self._parts: list[str] = []
        self._length = 0
        self._blocks: list[Block] = []
        self._headings: list[tuple[int, str]] = []
        self._anchor: str | None = None

    def heading(self, level: int, text: str, anchor: str | None = None) -> None:
        """Begins a section; `level` 1 is the outermost of the usual ones, but any order is taken."""
        if not text.strip():
            return
        self._anchor = anchor or self._anchor
        self.section(level, text)
        self.block(BlockKind.HEADING, text)

    def section(self, level: int, name: str) -> None:
        """Begins a section whose name is not part of the text, such as a sheet's."""
        self._headings = [(above, heading) for above, heading in self._headings if above < level]
        self._headings.append((level, name.strip()))

    def block(self, kind: BlockKind, text: str, *, columns: str = "") -> None:
        """Adds a block to the current section; white space around it is cut off. Raises `TooLarge`.

        `columns` are the names of a row's columns.
        """
        text = text.strip("\n").rstrip() if kind is BlockKind.CODE else text.strip()
        if not text.strip():
            return
        if self._blocks:
            close = kind in _ITEMS and self._blocks[-1].kind in _ITEMS
            self._append("\n" if close else "\n\n")
        start = self._length
        self._append(text)
        path = tuple(heading for _, heading in self._headings)
        self._blocks.append(Block(kind, start, self._length, path, self._anchor, columns))
        if self._length > self._limit:
            raise TooLarge(
                f"{self._name} has more than {self._limit:,} characters: split it, or raise the limit in the settings"
            )

    def row(self, cells: Iterable[str], *, columns: str = "", anchor: str | None = None) -> None:
        """Adds a table row: its cells divided by " | ", unless all are empty. `anchor` is the row's own place."""
        texts = [tidy(cell) for cell in cells]
        if any(texts):
            self._anchor = anchor or self._anchor
            self.block(BlockKind.TABLE_ROW, " | ".join(texts), columns=columns)

    @property
    def length(self) -> int:
        """Characters so far."""
        return self._length

    def page(self, number: int = NO_PAGE, *, label: str | None = None, warning: str | None = None) -> ParsedPage:
        text = "".join(self._parts)
        return ParsedPage(number, text + "\n" if text else "", tuple(self._blocks), label, warning=warning)

    def _append(self, text: str) -> None:
        self._parts.append(text)
        self._length += len(text)
