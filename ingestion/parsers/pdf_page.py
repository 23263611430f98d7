"""Turns the grouped lines of one PDF page into its text, blocks and source map."""

from collections import Counter
from collections.abc import Callable, Sequence

from ingestion.parsers.pdf_blocks import Group, Joint
from ingestion.parsers.pdf_lines import SPACES, Line
from ingestion.parsers.pdf_profile import Profile, unbroken_words
from ingestion.parsers.pdf_text import TextBuilder, copy_line, counter, joint, keeps_hyphen
from ingestion.types import Block, BlockKind

CELL_SEPARATOR = " | "
INDENT_LIMIT = 40

PageText = tuple[str, tuple[Block, ...], tuple[tuple[int, int, int], ...]]
"""(text, blocks, source map) of a page."""


def build_page(characters: str, groups: Sequence[Group], profile: Profile) -> PageText:
    """The text of a page. Blocks are contiguous: each ends with its newline, where the next begins."""
    builder = TextBuilder(characters)
    lines = [line for group in groups for line, _ in group.lines]
    count = counter(profile.words, Counter(unbroken_words(lines)))
    blocks = []
    for group in groups:
        start = builder.length
        if group.kind is BlockKind.CODE:
            _add_code(builder, group)
        else:
            _add_lines(builder, group, count)
        if builder.length > start:
            builder.add("\n")
            blocks.append(Block(group.kind, start, builder.length, group.path, columns=group.columns))
    return builder.text(), tuple(blocks), tuple(builder.runs)


def _add_lines(builder: TextBuilder, group: Group, count: Callable[[str], int]) -> None:
    before: Line | None = None
    for line, how in group.lines:
        if line.place is not None:
            builder.add(_before_cell(before, line))
        if before is not None and how is not Joint.CELL:
            builder.add(_between(before, line, how, count))
        _copy_cells(builder, line, group.kind)
        before = line
    if before is not None and before.hyphenated:
        builder.add("-")  # the word goes on in another block or on the next page


def _before_cell(before: Line | None, line: Line) -> str:
    """The separators between a line and the cell before it, one more for each empty cell."""
    if line.place is None:
        return ""
    if before is None or before.place is None:
        return CELL_SEPARATOR.lstrip() * line.place[1]
    word_end = "-" if before.hyphenated and line.place != before.place else ""
    return word_end + CELL_SEPARATOR * (line.place[1] - before.place[1])


def _between(before: Line, line: Line, how: Joint, count: Callable[[str], int]) -> str:
    if before.hyphenated:
        return "-" if keeps_hyphen(before.text, line.text, count) else ""
    return "\n" if how is Joint.BROKEN else joint(before.text, line.text)


def _copy_cells(builder: TextBuilder, line: Line, kind: BlockKind) -> None:
    if kind not in (BlockKind.TABLE_ROW, BlockKind.REPEATED):
        copy_line(builder, line.start, line.end)
        return
    start = line.start
    for after, _ in line.cells:
        end = start + len(builder.characters[start:after].rstrip(SPACES))
        copy_line(builder, start, end)
        builder.add(CELL_SEPARATOR)
        start = after
    copy_line(builder, start, line.end)


def _add_code(builder: TextBuilder, group: Group) -> None:
    """Code keeps its line breaks, and gets back the indentation that PDF has only as positions."""
    left = min(line.x0 for line, _ in group.lines)
    wide = [(line.x1 - line.x0) / len(line.text) for line, _ in group.lines if len(line.text) > 3]
    width = sorted(wide)[len(wide) // 2] if wide else 0.6 * group.last.size
    for number, (line, _) in enumerate(group.lines):
        if number:
            builder.add("\n")
        builder.add(" " * min(INDENT_LIMIT, round((line.x0 - left) / max(width, 1.0))))
        builder.copy(line.start, line.end)
        if line.hyphenated:
            builder.add("-")
