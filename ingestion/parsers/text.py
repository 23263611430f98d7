"""Reads plain text.

Owns which lines are headings: underlined ones, and numbered ones that stand alone. The rest of the blocks is
`plain_blocks`'s, the encoding `reading`'s.
"""

import re
from collections.abc import Iterator

from ingestion.errors import TooLarge
from ingestion.parsers.base import Limits, Source
from ingestion.parsers.plain_blocks import plain_blocks
from ingestion.parsers.reading import decode, read_bytes
from ingestion.types import NO_PAGE, Block, BlockKind, DocumentStart, ParsedPage

_UNDERLINE = re.compile(r"[^\S\n]*(={3,}|-{3,}|~{3,})[^\S\n]*\Z")
_NUMBER = r"\d{1,2}(?:\.\d{1,3}){0,4}"
_NUMBERED = re.compile(rf"(?P<number>{_NUMBER})(?P<dot>\.?)[^\S\n]+[^\W\d_]")
_NAMED = re.compile(
    r"(?:(?:Chapter|Part|Appendix)[^\S\n]+[\dA-Z]{1,4}\b|第[一二三四五六七八九十百\d]{1,4}(?P<rank>[章部篇节]))"
)
_UNDERLINE_LEVELS = {"=": 1, "-": 2, "~": 3}
_LONGEST_HEADING = 100


class TextParser:
    """Plain text: paragraphs between empty lines, list items, steps, and headings where they can be told."""

    media_type = "text/plain"

    def parse(self, source: Source, limits: Limits) -> Iterator[DocumentStart | ParsedPage]:
        """One document of one page. Raises `BrokenFile` for what is not text, `EmptyFile`, `TooLarge`."""
        text = decode(read_bytes(source.path, limits), source.path.name)
        if len(text) > limits.page_characters:
            raise TooLarge(
                f"{source.path.name} has more than {limits.page_characters:,} characters: split it,"
                " or raise the limit in the settings"
            )
        yield DocumentStart(source.external_id, source.title or source.path.stem, 1)
        if not text.endswith("\n"):
            text += "\n"
        yield ParsedPage(NO_PAGE, text, tuple(_blocks(text)))


def _blocks(text: str) -> Iterator[Block]:
    path: list[tuple[int, str]] = []
    end_of_heading = 0
    for level, start, end, stop in _headings(text):
        yield from plain_blocks(text, end_of_heading, start, tuple(heading for _, heading in path))
        path = [(above, heading) for above, heading in path if above < level]
        path.append((level, text[start:end]))
        yield Block(BlockKind.HEADING, start, stop, tuple(heading for _, heading in path))
        end_of_heading = stop
    yield from plain_blocks(text, end_of_heading, len(text), tuple(heading for _, heading in path))


def _headings(text: str) -> list[tuple[int, int, int, int]]:
    """Level, start, end, and end with the underline, of each heading line."""
    lines = text.split("\n")
    found: list[tuple[int, int, int, int, bool]] = []
    position = 0
    for index, line in enumerate(lines):
        start = position
        position += len(line) + 1
        heading = line.strip()
        if not heading or len(heading) > _LONGEST_HEADING or (index and lines[index - 1].strip()):
            continue
        below = lines[index + 1] if index + 1 < len(lines) else ""
        start += line.index(heading[0])
        end = start + len(heading)
        underline = _UNDERLINE.match(below)
        if underline:
            found.append((_UNDERLINE_LEVELS[underline[1][0]], start, end, position + len(below.rstrip()), False))
        elif not below.strip() and not heading.endswith(tuple(".,;:!?。，；：！？")):
            level, is_certain = _numbered_level(heading)
            if level:
                found.append((level, start, end, end, not is_certain))
    # "1. Introduction" may as well be a step: it counts only where sections like "1.1 Scope" are numbered too.
    numbered = any(level > 1 and not doubtful for level, *_, doubtful in found)
    return [(level, start, end, stop) for level, start, end, stop, doubtful in found if numbered or not doubtful]


def _numbered_level(heading: str) -> tuple[int, bool]:
    """The level that a heading's number shows, 0 for none, and whether it can be nothing but a heading."""
    if match := _NAMED.match(heading):
        return (2 if match["rank"] == "节" else 1), True
    if match := _NUMBERED.match(heading):
        level = match["number"].count(".") + 1
        return level, level > 1
    return 0, False
