"""What a passage can be quoted by: sentences, steps, items, table rows and labels.

Owns the cutting of a passage's text into units. Knows neither what they form together nor any question.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

from rag.language import word_count
from rag.sentences import sentence_spans


class UnitKind(StrEnum):
    SENTENCE = "sentence"
    ROW = "row"
    LABEL = "label"  # a heading, a defined term, a line of code: short, and ended by no stop
    HEADING = "heading"  # of a section, or of one in it: the lead line names it, so it is never quoted
    CRUMB = "crumb"  # leader dots, page turning, cross-references: never quoted


@dataclass(frozen=True, slots=True)
class Unit:
    """A piece of a passage: `text[start:end]`. `line` numbers the lines (paragraphs) of the passage."""

    kind: UnitKind
    start: int
    end: int
    line: int


CHINESE_NUMERALS = "一二三四五六七八九十"
NUMBERED = re.compile(
    rf"(?:step\s+)?[(（]?(?P<arabic>\d{{1,2}})(?:[.)．）、:](?=\s|[^\s\d])|(?P<bare>(?=\s+(?-i:[A-Z]|[\u4e00-\u9fff]))))|(?P<ring>[①-⑳⑴-⒇])"
    rf"|第?[(（]?(?P<chinese>[{CHINESE_NUMERALS}]{{1,3}})(?:[)）、]|步)",
    re.IGNORECASE,
)
BULLETED = re.compile(r"[-*+•◦▪●○■□·‣–—►➢✓]\s|[A-Za-z][.)]\s|[(（][A-Za-z][)）]")
STOP_AT_END = re.compile(r"[.!?…。！？；;]['\"’”」』)）\]]*\Z")
LEADS_ON = re.compile(r"[:：][\s*_]*\Z")
CAPTION = re.compile(r"(?:table|figure|fig\.|表格?|图)\s*[\dA-Z]+[-.\d]*\s*[:：.]?\s", re.IGNORECASE)
"""How the line over a table or under a picture begins; a sentence may begin so too (`Table 3 lists ...`)."""

_ROW = re.compile(r"\S\s*(?:\s\|\s|\t+)\s*\S")
_CRUMB = re.compile(
    r".*(?:\.\s?){5,}\d*\s*\Z|(?:next|previous|prev|up|home|back to top|contents|\[?top\]?|上一页|下一页|返回顶部|目录)"
    r"(?:\W+(?:next|previous|prev|up|home|contents|top|上一页|下一页|目录))*\W*\Z"
    r"|[\W_]*\Z|(?:see also|另请?参[阅见]|参见)\s*[:：].*\Z",
    re.IGNORECASE | re.DOTALL,
)
_CELL_BORDER = re.compile(r"\s\|\s|\t+")
_CODE = re.compile(
    r"^\W*\w+ ?\([^()]*(?:\([^()]*\)[^()]*)*\)? ?[;.]*\Z|[;{}]\Z|^[\w\[\], ]{1,60} \+?= \S.*[^.]\Z|\. \. \."
)
"""A call, an assignment, a line that ends like a statement, or three dots set apart, as in `cell (m, n, . . .)`."""

_SECTION_NUMBER = re.compile(r"(?:[A-Z]\.)?\d+(?:\.\d+)*(?=[\s.:：、])|[A-Z](?=\.?\s)")
_HEADING_WORD = re.compile(r"[.:：、]?\s+(?![a-z])[^\W\d_]")
_HEADING_LINES = 3
_LONGEST_HEADING = 300
_HALF_STOPS = ";；"
_NO_WORD = re.compile(r"[\W_]+")
_LONGEST_LABEL = 12
_SIGNAL = re.compile(
    r"(?:danger|warning|caution|notice|note|tip|hint|important|attention)|危险|警告|小心|注意|当心|提示|说明|备注|重要",
    re.IGNORECASE,
)


def units_of(text: str, headings: Sequence[str] = ()) -> list[Unit]:
    """The units of a passage's text, in order; `headings` are those over it. Time is linear in its length."""
    names = names_of(headings)
    above = _SECTION_NUMBER.match(headings[-1]) if headings else None
    units: list[Unit] = []
    for number, (start, end) in enumerate(_lines(text, names)):
        line = text[start:end]
        if is_one_of(names, line) or _is_section_below(above, line):
            units.append(Unit(UnitKind.HEADING, start, end, number))
        else:
            units.extend(_units_of_line(text, start, end, number))
    return units


def names_of(headings: Sequence[str]) -> frozenset[str]:
    """What `is_one_of` compares lines with: an outline may leave out the number that is printed, and the reverse."""
    return frozenset(name for heading in headings for name in (plain(heading), _unnumbered(heading)) if name)


def is_one_of(names: Collection[str], line: str) -> bool:
    """Whether a line is one of these headings."""
    return plain(line) in names or _unnumbered(line) in names


def _unnumbered(heading: str) -> str:
    return plain(_SECTION_NUMBER.sub("", heading, count=1)) if _SECTION_NUMBER.match(heading) else plain(heading)


def _is_section_below(above: re.Match[str] | None, line: str) -> bool:
    """Whether a line is the heading of a section within that of number `above`: short ones share a passage."""
    number = _SECTION_NUMBER.match(line) if above else None
    if above is None or number is None or not number[0].startswith(above[0] + "."):
        return False
    return _HEADING_WORD.match(line, number.end()) is not None and _is_label(line)


def plain(text: str) -> str:
    """`text` reduced to its letters and digits, in lower case."""
    return _NO_WORD.sub("", text).casefold()


def cells_of(row: str) -> list[str]:
    """The cells of a table row, white space at their ends left out."""
    return [cell.strip() for cell in _CELL_BORDER.split(row)]


def _lines(text: str, headings: Collection[str]) -> list[tuple[int, int]]:
    """The text's paragraphs: its lines, where a line goes on in the next one both together; headings by themselves."""
    printed = [
        (match.start() + len(match[0]) - len(match[0].lstrip()), match.start() + len(match[0].rstrip()))
        for match in re.finditer(r"[^\n]*\S[^\n]*", text)
    ]
    lines: list[tuple[int, int]] = []
    after_heading = True
    number = 0
    while number < len(printed):
        start, end = printed[number]
        height = _heading_lines(text, printed[number : number + _HEADING_LINES], headings)
        if not after_heading and not height and _goes_on(text, lines[-1], start, end):
            lines[-1] = (lines[-1][0], end)
        else:
            lines.append((start, printed[number + max(height, 1) - 1][1]))
        after_heading = height > 0
        number += max(height, 1)
    return lines


def _heading_lines(text: str, printed: Sequence[tuple[int, int]], headings: Collection[str]) -> int:
    """How many of these lines are one of the headings; 0 for none."""
    for height in range(1, len(printed) + 1):
        words = text[printed[0][0] : printed[height - 1][1]]
        if is_one_of(headings, words):
            return height
        if len(words) > _LONGEST_HEADING:
            break
    return 0


def _goes_on(text: str, before: tuple[int, int], start: int, end: int) -> bool:
    """Whether the line at `start` is the rest of a hard-wrapped line before it."""
    if text.count("\n", before[1], start) > 1:
        return False
    last_line = text[max(before[0], text.rfind("\n", before[0], before[1]) + 1) : before[1]]
    if STOP_AT_END.search(last_line) or LEADS_ON.search(last_line) or _ROW.search(last_line):
        return False
    if _begins_item(text, before[0], start) or _ROW.search(text, start, end):
        return False
    if _CODE.search(last_line) or _CODE.search(text[start:end]):
        return False
    if text[start].islower() and not re.match(r"\S*[(_=\[]", text[start:end]):
        return word_count(text[before[0] : before[1]]) >= 4
    return word_count(last_line) >= _LONGEST_LABEL  # too long for a heading


def _begins_item(text: str, before: int, start: int) -> bool:
    """Whether an item begins at `start`. A bare number may be one of a sentence: 1 must stand before 2."""
    marker = _marker(text, start)
    if marker is None or marker.re is BULLETED or marker["bare"] is None:
        return marker is not None
    earlier = NUMBERED.match(text, before)
    return bool(earlier and earlier["arabic"] and int(earlier["arabic"]) + 1 == int(marker["arabic"]))


def _marker(text: str, start: int) -> re.Match[str] | None:
    return NUMBERED.match(text, start) or BULLETED.match(text, start)


def _units_of_line(text: str, start: int, end: int, number: int) -> list[Unit]:
    line = text[start:end]
    if _CRUMB.match(line):
        return [Unit(UnitKind.CRUMB, start, end, number)]
    if _ROW.search(line) and not _is_signal(line):
        return [Unit(UnitKind.ROW, start, end, number)]
    if not _marker(text, start) and _is_label(line):
        return [Unit(UnitKind.LABEL, start, end, number)]
    sentences: list[Unit] = []
    for first, last in sentence_spans(line):
        if sentences and text[sentences[-1].end - 1] in _HALF_STOPS:
            sentences[-1] = Unit(UnitKind.SENTENCE, sentences[-1].start, start + last, number)
        else:
            sentences.append(Unit(UnitKind.SENTENCE, start + first, start + last, number))
    return sentences


def _is_label(line: str) -> bool:
    """Whether a line is a heading, a defined term or code rather than a sentence."""
    if _CODE.search(line):
        return word_count(line) <= 3 * _LONGEST_LABEL
    ended = STOP_AT_END.search(line) or LEADS_ON.search(line)
    return not ended and word_count(line) <= _LONGEST_LABEL


def _is_signal(line: str) -> bool:
    """Whether a row is a warning or a note in its box, `CAUTION | Let it cool down first.`, rather than of a table."""
    cells = cells_of(line)
    return len(cells) == 2 and _SIGNAL.fullmatch(cells[0].rstrip(":：!！ ")) is not None
