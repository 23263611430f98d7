"""Blocks of text without mark-up: paragraphs, list items and steps, as blank lines and list marks show them.

Owns how plain text is read. Knows neither files nor encodings.
"""

import re
from collections.abc import Iterator

from ingestion.types import NO_PAGE, Block, BlockKind, ParsedPage

_STEP = re.compile(r"\s*(?:(?:[Ss]tep|步骤)[^\S\n]*\d{1,3}\b|\d{1,3}[.)．、](?!\d)|[(（]\d{1,3}[)）]|[①-⑳])")
_LIST_ITEM = re.compile(r"\s*(?:[-*+•◦▪●○■□‣–—][^\S\n]|[A-Za-z][.)][^\S\n]|[(（][A-Za-z][)）])")


def plain_page(text: str) -> ParsedPage:
    """One page of plain text: a block a paragraph, list item or step."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if text and not text.endswith("\n"):
        text += "\n"
    return ParsedPage(NO_PAGE, text, tuple(plain_blocks(text, 0, len(text), ())))


def plain_blocks(text: str, start: int, end: int, heading_path: tuple[str, ...]) -> Iterator[Block]:
    """The blocks of text[start:end], without white space at their ends."""
    kind, begin, stop = BlockKind.PARAGRAPH, start, start
    position = start
    for line in text[start:end].split("\n"):
        marked = line_kind(line)
        if marked is not None or not line.strip():
            if begin < stop:
                yield Block(kind, begin, stop, heading_path)
            kind = marked or BlockKind.PARAGRAPH
            begin = stop = position
        if content := line.strip():
            if begin == stop:
                begin = position + line.index(content[0])
            stop = position + len(line.rstrip())
        position += len(line) + 1
    if begin < stop:
        yield Block(kind, begin, stop, heading_path)


def line_kind(line: str) -> BlockKind | None:
    """What a line begins by its mark: a step, a list item, or nothing new."""
    if _STEP.match(line):
        return BlockKind.STEP
    if _LIST_ITEM.match(line):
        return BlockKind.LIST_ITEM
    return None
