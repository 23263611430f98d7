"""Groups a page's lines into headings, paragraphs, steps, list items, table rows, code and contents lines.

Owns how two neighbouring lines belong together. Offsets and text are made in `pdf_page`, from these groups.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

from ingestion.parsers.pdf_headings import LEADERS, Mark
from ingestion.parsers.pdf_lines import Line
from ingestion.parsers.pdf_profile import Profile
from ingestion.parsers.pdf_text import CJK_CHARACTER, PRIVATE
from ingestion.types import BlockKind

PARAGRAPH_GAP = 1.2  # baselines farther apart than this many leadings part paragraphs
CODE_GAP = 3.0
COLUMN_TOLERANCE = 3.0  # points by which cells of one column may be out of line
NEIGHBOURS = 3
FLUSH = 0.5  # points by which justified lines end apart
CONTENTS_LINES = 3
INDEX_SHARE = 0.5
INDEX_LINES = 10

STEP = re.compile(
    r"(?:[(（]?\d{1,3}[.)）、](?=\s|[^\W\d])|[(（](?:\d{1,3}|[a-zA-Z])[)）]|[a-zA-Z][.)]\s|[①-⑳⑴-⒇]"
    r"|第[一二三四五六七八九十\d]+步|步骤\s*[一二三四五六七八九十\d]+|Step\s+\d+|[一二三四五六七八九十]{1,3}、)"
)
BULLET = re.compile(rf"[•●○◦▪■□▶►‣⁃∙◆◇➢✓✔·{PRIVATE}]\s*[^\s•·.]|[-–—*\x80-\x9f]\s+\S|[•●○◦▪■□{PRIVATE}]$")
LONE_BULLET = re.compile(rf"[•●○◦▪■□{PRIVATE}]$")
STOP = re.compile(r"[.!?:;。！？：；…][\"'”’)）\]]?$")
NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
PAGE_AT_END = re.compile(r"\s(?:\d+|[ivxlc]+)$")
INDEX_LINE = re.compile(r"(?:,|\s)\s*\d+(?:[-–]\d+)?(?:,\s*\d+(?:[-–]\d+)?)*$")


class Joint(Enum):
    """How a line goes on from the one before it in its group."""

    FIRST = "first"
    WRAPPED = "wrapped"  # the line was full: the text flows on
    BROKEN = "broken"  # the line ended on purpose: keep the line break
    CELL = "cell"  # the line begins another cell of the row


@dataclass(slots=True)
class Group:
    """The lines of one block in reading order, each with how it goes on from the line before.

    `columns` are as a `Block` has them.
    """

    kind: BlockKind
    path: tuple[str, ...]
    lines: list[tuple[Line, Joint]] = field(default_factory=list)
    columns: str = ""

    def add(self, line: Line, joint: Joint) -> None:
        self.lines.append((line, joint if self.lines else Joint.FIRST))

    @property
    def last(self) -> Line:
        return self.lines[-1][0]


def group_lines(lines: Sequence[Line], marks: Sequence[Mark], path: tuple[str, ...], profile: Profile) -> list[Group]:
    """The page's blocks. `path` is the section that the page begins in."""
    kinds = line_kinds(lines, profile)
    rights = right_margins(lines)
    begins: dict[int, list[Mark]] = {}
    for mark in marks:
        begins.setdefault(mark.first, []).append(mark)
    groups: list[Group] = []
    current: Group | None = None
    heading_until = 0
    for number, line in enumerate(lines):
        for mark in begins.get(number, ()):
            path = mark.path
            current = None
            if mark.count:
                groups.append(Group(BlockKind.HEADING, path))
                heading_until = number + mark.count
        if number < heading_until:
            groups[-1].add(line, Joint.WRAPPED)
            continue
        joint = None if current is None else goes_on(current, line, kinds[number], rights[number], profile)
        if current is None or joint is None:
            current = Group(block_kind(line, kinds[number]), path)
            groups.append(current)
        current.add(line, joint or Joint.FIRST)
    for group in groups:  # the dots of a formula, not of a list: nothing followed them
        if group.kind is BlockKind.LIST_ITEM and len(group.lines) == 1 and LONE_BULLET.match(group.last.text):
            group.kind = BlockKind.PARAGRAPH
    return groups


def block_kind(line: Line, kind: BlockKind | None) -> BlockKind:
    if kind is not None:
        return kind
    if BULLET.match(line.text):
        return BlockKind.LIST_ITEM
    return BlockKind.STEP if STEP.match(line.text) else BlockKind.PARAGRAPH


def line_kinds(lines: Sequence[Line], profile: Profile) -> list[BlockKind | None]:
    """What each line is by itself; None for running text and items."""
    kinds: list[BlockKind | None] = [None] * len(lines)
    leaders = [bool(LEADERS.search(line.text)) for line in lines]
    contents = sum(leaders) >= CONTENTS_LINES
    indexed = sum(bool(INDEX_LINE.search(line.text)) for line in lines)
    index = indexed >= INDEX_LINES and indexed >= INDEX_SHARE * len(lines) and _short_lines(lines)
    for number, line in enumerate(lines):
        if line.place is not None:
            kinds[number] = BlockKind.TABLE_ROW
        elif leaders[number] or index or (contents and PAGE_AT_END.search(line.text)):
            kinds[number] = BlockKind.CONTENTS
        elif line.monospaced:
            kinds[number] = BlockKind.CODE
        elif line.cells and _is_row(number, lines):
            kinds[number] = BlockKind.TABLE_ROW
    return kinds


def _short_lines(lines: Sequence[Line]) -> bool:
    """Index entries are short; a page of measured values in sentences is not an index."""
    return sorted(len(line.text) for line in lines)[len(lines) // 2] <= 60


def _is_row(number: int, lines: Sequence[Line]) -> bool:
    """Whether a line with wide white space is a row: its cells are in line with a neighbour's."""
    line = lines[number]
    around = [*lines[max(0, number - NEIGHBOURS) : number], *lines[number + 1 : number + 1 + NEIGHBOURS]]
    columns = [x for other in around for x in ([x for _, x in other.cells] if other.cells else [other.x0])]
    return any(abs(x - column) <= COLUMN_TOLERANCE for _, x in line.cells for column in columns)


def right_margins(lines: Sequence[Line]) -> list[float]:
    """For each line, how far it could have reached. A column ends where the text jumps up the page."""
    margins: list[float] = []
    start = 0
    page = max((line.x1 for line in lines), default=0.0)
    for number in range(1, len(lines) + 1):
        if number < len(lines) and lines[number].y > lines[number - 1].y - 5 * lines[number].size:
            continue
        column = list(lines[start:number])
        reach = max(line.x1 for line in column) if len(column) >= NEIGHBOURS else page
        margins += [line.x1 if _ends_flush(column, place) else reach for place, line in enumerate(column)]
        start = number
    return margins


def _ends_flush(column: list[Line], place: int) -> bool:
    """Whether a line and one next to it end at one margin, as in a box narrower than the column."""
    line = column[place]
    beside = column[max(0, place - 1) : place] + column[place + 1 : place + 2]
    return any(
        abs(line.x1 - other.x1) < FLUSH and abs(line.x0 - other.x0) < 2 * line.size and len(other.text) > 20
        for other in beside
    )


def goes_on(group: Group, line: Line, kind: BlockKind | None, right: float, profile: Profile) -> Joint | None:
    """How `line` goes on from the group before it; None when it begins a block of its own."""
    last = group.last
    if line.place is not None or last.place is not None:
        if line.place is None or last.place is None or line.place[0] != last.place[0]:
            return None
        return Joint.WRAPPED if line.place == last.place else Joint.CELL
    down = line.y - last.y
    if group.kind is BlockKind.TABLE_ROW:
        return Joint.WRAPPED if _same_row(group, line, kind, down, profile) else None
    if kind is BlockKind.TABLE_ROW or kind is BlockKind.CONTENTS or group.kind is BlockKind.CONTENTS:
        return None
    if kind is BlockKind.CODE or group.kind is BlockKind.CODE:
        near = 0 <= down < CODE_GAP * profile.leading
        return Joint.BROKEN if kind is group.kind and near else None
    joint = _flows(group, line, right, profile)
    if joint is not None and _begins_item(group, line, joint):
        return None
    return joint


def _same_row(group: Group, line: Line, kind: BlockKind | None, down: float, profile: Profile) -> bool:
    """A cell that goes on in the next line begins in line with a column other than the first."""
    if kind is BlockKind.CODE or not 0 <= down < 2.2 * profile.leading:
        return group.last.hyphenated and kind is None
    first = group.lines[0][0]
    return any(abs(line.x0 - x) <= COLUMN_TOLERANCE for _, x in first.cells)


def _begins_item(group: Group, line: Line, joint: Joint) -> bool:
    """Whether a line that would go on is an item: a marker counts only where a sentence cannot be going on."""
    if BULLET.match(line.text):
        return True
    if not STEP.match(line.text):
        return False
    item = group.kind in (BlockKind.STEP, BlockKind.LIST_ITEM)
    beside = item and abs(line.x0 - group.lines[0][0].x0) < 0.5 * line.size
    return joint is Joint.BROKEN or beside or bool(STOP.search(group.last.text))


def _flows(group: Group, line: Line, right: float, profile: Profile) -> Joint | None:
    last = group.last
    down = line.y - last.y
    size = max(line.size, last.size)
    ended = bool(STOP.search(last.text))
    if last.hyphenated:
        return Joint.WRAPPED
    if down < -0.4 * size:  # the next column, or a drawing's label
        going_on = not ended and (line.text[0].islower() or CJK_CHARACTER.match(line.text[0]))
        return Joint.WRAPPED if going_on else None
    if down <= 0.4 * size:  # raised or lowered on the same line
        return Joint.WRAPPED
    usual = max(profile.leading * line.size / profile.body_size, 1.1 * size)
    if down > PARAGRAPH_GAP * usual:
        return None
    if abs(line.size - last.size) > 0.12 * size and down > 0.8 * usual:
        return None
    if _would_fit(line, right - last.x1):
        return None if ended else Joint.BROKEN
    left = group.lines[0][0].x0
    moved = abs(line.x0 - last.x0) > 0.8 * line.size
    if ended and moved and (len(group.lines) > 1 or line.x0 > left) and group.kind is BlockKind.PARAGRAPH:
        return None
    if line.x0 < left - 1.5 * line.size and len(group.lines) > 1 and ended:
        return None
    return Joint.WRAPPED


def _would_fit(line: Line, room: float) -> bool:
    """Whether the first word of `line` would have had room at the end of the line before it.

    A number keeps to the word behind it: "15 minutes" is hardly ever parted.
    """
    text = line.text
    width = (line.x1 - line.x0) / len(text)
    if CJK_CHARACTER.match(text[0]):
        return room > 3 * line.size
    words = text.split(maxsplit=2)
    word = len(" ".join(words[: 2 if NUMBER.fullmatch(words[0]) else 1]))
    return room > (word + 1) * width + 0.5 * line.size
