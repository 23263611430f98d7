"""What a passage can be quoted by: sentences, steps, items, table rows and labels.

Owns the cutting of a passage's text into units. Knows neither what they form together nor any question.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from rag.language import word_count
from rag.sentences import sentence_spans


class UnitKind(StrEnum):
    SENTENCE = "sentence"
    ROW = "row"
    LABEL = "label"  # a heading, a defined term, a line of code: short, and ended by no stop
    HEADING = "heading"  # one of the passage's own: the lead line names it, so it is never quoted
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
    rf"(?:step\s+)?[(（]?(?P<arabic>\d{{1,2}})(?:[.)．）、:](?=\s|[^\s\d])|(?=\s+[A-Z\u4e00-\u9fff]))|(?P<ring>[①-⑳⑴-⒇])"
    rf"|第?[(（]?(?P<chinese>[{CHINESE_NUMERALS}]{{1,3}})(?:[)）、]|步)",
    re.IGNORECASE,
)
BULLETED = re.compile(r"[-*+•◦▪●○■□·‣–—►➢✓]\s|[A-Za-z][.)]\s|[(（][A-Za-z][)）]")
STOP_AT_END = re.compile(r"[.!?…。！？；;]['\"’”」』)）\]]*\Z")
LEADS_ON = re.compile(r"[:：][\s*_]*\Z")
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

_HALF_STOPS = ";；"
_NO_WORD = re.compile(r"[\W_]+")
_LONGEST_LABEL = 12
_SIGNAL = re.compile(
    r"(?:danger|warning|caution|notice|note|tip|hint|important|attention)|危险|警告|小心|注意|当心|提示|说明|备注|重要",
    re.IGNORECASE,
)


def units_of(text: str, headings: Sequence[str] = ()) -> list[Unit]:
    """The units of a passage's text, in order; `headings` are its own. Time is linear in its length."""
    names = {plain(heading) for heading in headings}
    units: list[Unit] = []
    for number, (start, end) in enumerate(_lines(text)):
        if plain(text[start:end]) in names:
            units.append(Unit(UnitKind.HEADING, start, end, number))
        else:
            units.extend(_units_of_line(text, start, end, number))
    return units


def plain(text: str) -> str:
    """`text` reduced to its letters and digits, in lower case."""
    return _NO_WORD.sub("", text).casefold()


def cells_of(row: str) -> list[str]:
    """The cells of a table row, white space at their ends left out."""
    return [cell.strip() for cell in _CELL_BORDER.split(row)]


def _lines(text: str) -> list[tuple[int, int]]:
    """The text's paragraphs: its lines, where a line goes on in the next one both together."""
    lines: list[tuple[int, int]] = []
    for match in re.finditer(r"[^\n]*\S[^\n]*", text):
        start = match.start() + len(match[0]) - len(match[0].lstrip())
        end = match.start() + len(match[0].rstrip())
        if lines and _goes_on(text, lines[-1], start, end):
            lines[-1] = (lines[-1][0], end)
        else:
            lines.append((start, end))
    return lines


def _goes_on(text: str, before: tuple[int, int], start: int, end: int) -> bool:
    """Whether the line at `start` is the rest of a hard-wrapped line before it."""
    if text.count("\n", before[1], start) > 1:
        return False
    last_line = text[max(before[0], text.rfind("\n", before[0], before[1]) + 1) : before[1]]
    if STOP_AT_END.search(last_line) or LEADS_ON.search(last_line) or _ROW.search(last_line):
        return False
    if _marker(text, start) or _ROW.search(text, start, end):
        return False
    if _CODE.search(last_line) or _CODE.search(text[start:end]):
        return False
    if text[start].islower() and not re.match(r"\S*[(_=\[]", text[start:end]):
        return word_count(text[before[0] : before[1]]) >= 4
    return word_count(last_line) >= _LONGEST_LABEL  # too long for a heading


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
