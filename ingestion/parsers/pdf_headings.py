"""Finds a page's headings and keeps the path of sections that the reader is in.

Headings come from the outline, each matched to its printed line; below the outline, or without one, from the look
of lines. Knows nothing of paragraphs; `pdf_blocks` cuts those between the headings found here.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ingestion.parsers.pdf_document import Frame, OutlineEntry
from ingestion.parsers.pdf_lines import Line
from ingestion.parsers.pdf_profile import HEADING_CHARACTERS, HEADING_RATIO, Profile
from ingestion.parsers.pdf_text import title_text

BELOW_OUTLINE_RATIO = 1.15  # where there is an outline, its absence from it is evidence against a heading
HEADING_LINES = 3
LABEL_PAGES = 3
LABEL_PAGES_OUTLINED = 2
PATH_DEPTH = 8

LEADERS = re.compile(r"(?:(?:[.·•]\s?){5,}|…{2,}|_{5,})\s*(?:\d+|[ivxlcIVXLC]+|[A-Z]{1,2}-\d+)?$")
NUMBERING = re.compile(
    r"(?:(?:chapter|part|appendix|section)?(?:\d+(?:\.\d+)*|[a-z](?:\.\d+)*|[ivxlc]+)?[.:):：、]?"
    r"|第[一二三四五六七八九十百零〇\d]+[章节篇部回编条]|附录[a-z\d]*|[一二三四五六七八九十]+、)"
)
NUMBER_LINE = re.compile(r"[^\W\d_]{2,}\.?\s(?:\d+|[IVXLC]+|[A-Z])[.:]?")  # "Kapitel 3" in any language
NUMBERED = re.compile(
    r"(?:[A-Z]\.)?\d+(?:\.\d+)*\.?\s+\S|[A-Z]\.\d+(?:\.\d+)*\s+\S|第[一二三四五六七八九十百\d]+[章节]"
)
DEPTH = re.compile(r"[A-Z\d]+(?:\.\d+)*")
SENTENCE_END = re.compile(r"[.,;:。，；：]$")
LETTER = re.compile(r"[^\W\d_]")

QUOTES = str.maketrans("‘’“”–—‐‑", "''\"\"----")

Level = tuple[int, int]
"""Sorts outer before inner: outline entries are (-1, depth), found headings (rank of size, depth of number)."""


@dataclass(frozen=True, slots=True)
class Mark:
    """The section that begins at line `first`. The next `count` lines are its heading; 0 when it is not printed."""

    first: int
    count: int
    path: tuple[str, ...]


class Sections:
    """Where in the document's sections the reader is. Pages must be marked in order."""

    def __init__(
        self, outline: dict[int, list[OutlineEntry]], profile: Profile, sections: Sequence[tuple[int, int, str]] = ()
    ) -> None:
        """`sections` are those that are open before the first page that will be marked, as `open` gave them."""
        self.outline = outline
        self.profile = profile
        self.stack: list[tuple[Level, str]] = [((rank, level), title) for rank, level, title in sections]

    @property
    def open(self) -> tuple[tuple[int, int, str], ...]:
        """The sections that go on, outermost first: (rank, level, title)."""
        return tuple((*level, title) for level, title in self.stack)

    @property
    def path(self) -> tuple[str, ...]:
        return tuple(title for _, title in self.stack[-PATH_DEPTH:])

    def mark(self, index: int, lines: Sequence[Line], frame: Frame) -> list[Mark]:
        """The sections that begin on page `index` (from 0), in the order of its lines."""
        found: dict[int, tuple[int, Level, str]] = {}
        unprinted: list[tuple[int, Level, str]] = []
        for entry in self.outline.get(index, ()):
            level = (-1, entry.level)
            y = None if entry.y is None else frame.point(0, entry.y)[1]
            match = match_title(entry.title, lines, y, taken=found)
            if match is None:
                unprinted.append((_line_below(lines, y), level, entry.title))
            else:
                first, count = match
                found[first] = (count, level, _joined(lines[first : first + count]))
        taken = {first + step for first, (count, _, _) in found.items() for step in range(count)}
        for first, count, level in self._by_look(lines, taken):
            found[first] = (count, level, _joined(lines[first : first + count]))
        marks = []
        places = [(first, 1, *what) for first, what in found.items()]
        places += [(first, 0, 0, level, title) for first, level, title in unprinted]
        for first, _, count, level, title in sorted(places, key=lambda place: place[:2]):
            self._enter(level, title)
            marks.append(Mark(first, count, self.path))
        return marks

    def _enter(self, level: Level, title: str) -> None:
        while self.stack and self.stack[-1][0] >= level:
            self.stack.pop()
        self.stack.append((level, title))

    def _by_look(self, lines: Sequence[Line], taken: set[int]) -> list[tuple[int, int, Level]]:
        """(first line, lines, level) of headings that size or weight shows."""
        found = []
        first = 0
        while first < len(lines):
            line = lines[first]
            above = lines[first - 1] if first else None
            count = 1
            if first in taken or not self._looks_like_heading(line, above):
                first += 1
                continue
            while count < HEADING_LINES and first + count < len(lines) and first + count not in taken:
                below = lines[first + count]
                same = abs(below.size - line.size) < 0.2 and below.bold == line.bold and below.place is None
                if not same or not 0 <= below.y - lines[first + count - 1].y < 1.6 * line.size:
                    break
                if NUMBERED.match(below.text):
                    break
                count += 1
            if len(_joined(lines[first : first + count])) <= HEADING_CHARACTERS * 1.5:
                found.append((first, count, self._level(line)))
            first += count
        return found

    def _looks_like_heading(self, line: Line, above: Line | None) -> bool:
        text = line.text
        if (
            line.monospaced
            or line.cells
            or line.place is not None
            or len(text) > HEADING_CHARACTERS
            or len(LETTER.findall(text)) < 2
        ):
            return False
        if LEADERS.search(text):
            return False
        ratio = line.size / self.profile.body_size
        pages = self.profile.labels[text]
        if pages >= LABEL_PAGES_OUTLINED if self.outline else pages >= LABEL_PAGES and ratio < HEADING_RATIO:
            return False
        if ratio >= (BELOW_OUTLINE_RATIO if self.outline else HEADING_RATIO):
            return True
        if not line.bold or SENTENCE_END.search(text) or ratio < 0.95 or len(text) > 80:
            return False
        apart = above is None or not 0 <= line.y - above.y < 1.3 * self.profile.leading
        return apart and (bool(NUMBERED.match(text)) or not text[0].islower())

    def _level(self, line: Line) -> Level:
        sizes = self.profile.sizes
        rank = next((rank for rank, size in enumerate(sizes) if line.size >= size - 0.15), len(sizes))
        number = DEPTH.match(line.text) if NUMBERED.match(line.text) else None
        return rank, number.group().rstrip(".").count(".") + 1 if number else 0


def match_title(
    title: str, lines: Sequence[Line], y: float | None, taken: dict[int, tuple[int, Level, str]]
) -> tuple[int, int] | None:
    """(first line, lines) of a title on its page, white space and numbering aside; the nearest to `y` of equals."""
    wanted = _squashed(title)
    bare = NUMBERING.sub("", wanted, count=1) or wanted
    best: tuple[float, float, int, int] | None = None
    for first, line in enumerate(lines):
        if first in taken or line.place is not None or LEADERS.search(line.text):
            continue
        squashed = ""
        for count in range(1, HEADING_LINES + 1):
            if first + count > len(lines) or len(squashed) > len(wanted) + 20:
                break
            squashed += _squashed(lines[first + count - 1].text)
            if not _same_title(squashed, wanted, bare):
                continue
            distance = 0.0 if y is None else abs(line.y - y)
            rank = (-round(line.size, 1), distance, first, count)
            best = rank if best is None or rank < best else best
            break
    if best is None:
        return None
    _, _, first, count = best
    if first and first - 1 not in taken and _is_number_line(lines[first - 1], lines[first]):
        return first - 1, count + 1
    return first, count


def _is_number_line(line: Line, heading: Line) -> bool:
    """Whether a line above a heading is its number set apart: "Chapter 3", "第 3 章"."""
    if line.place is not None:
        return False
    numbered = NUMBER_LINE.fullmatch(line.text) or NUMBERING.fullmatch(_squashed(line.text))
    return numbered is not None and line.size >= 0.6 * heading.size and line.y < heading.y


def _same_title(printed: str, wanted: str, bare: str) -> bool:
    if printed == wanted:
        return True
    for longer, shorter in ((printed, wanted), (wanted, printed), (printed, bare)):
        if len(shorter) >= 2 and longer.endswith(shorter):
            return NUMBERING.fullmatch(longer[: len(longer) - len(shorter)]) is not None
    return False


def _squashed(text: str) -> str:
    return re.sub(r"[\s_\ufffe\xad]+", "", text).casefold().translate(QUOTES)


def _joined(lines: Sequence[Line]) -> str:
    return title_text([line.text for line in lines])


def _line_below(lines: Sequence[Line], y: float | None) -> int:
    """The first line that stands at or below `y` on the page; the page's first where the place is not known."""
    if y is None:
        return 0
    return next((number for number, line in enumerate(lines) if line.y >= y - 2), len(lines))
