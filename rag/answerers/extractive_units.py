"""What a passage can be quoted by: sentences, steps, items, table rows and labels, and the lists that they form.

Owns the reading of a passage's layout from its text alone. Knows no question and chooses nothing.
"""

import re
from dataclasses import dataclass, field
from enum import StrEnum

from rag.language import word_count
from rag.sentences import sentence_spans


class UnitKind(StrEnum):
    SENTENCE = "sentence"
    ROW = "row"
    LABEL = "label"  # a heading, a defined term, a line of code: short, and ended by no stop
    CRUMB = "crumb"  # leader dots, page turning: never quoted


@dataclass(frozen=True, slots=True)
class Unit:
    """A piece of a passage: `text[start:end]`. `line` numbers the lines (paragraphs) of the passage."""

    kind: UnitKind
    start: int
    end: int
    line: int


@dataclass(frozen=True, slots=True)
class ItemList:
    """Steps or items that belong together: units `first` to `last`, and the unit that leads to them, if any."""

    first: int
    last: int
    numbered: bool
    lead: int | None


@dataclass(frozen=True, slots=True)
class Layout:
    """A passage as units in order, and the lists among them. `rows` are runs (first, last) of table rows."""

    units: tuple[Unit, ...]
    lists: tuple[ItemList, ...]
    rows: tuple[tuple[int, int], ...]

    def list_at(self, unit: int) -> ItemList | None:
        return next((items for items in self.lists if items.first <= unit <= items.last), None)

    def rows_at(self, unit: int) -> tuple[int, int] | None:
        return next((run for run in self.rows if run[0] <= unit <= run[1]), None)


_CHINESE_NUMERALS = "一二三四五六七八九十"
_NUMBERED = re.compile(
    rf"(?:step\s+)?[(（]?(?P<arabic>\d{{1,2}})(?:[.)．）、:](?=\s|[^\s\d])|(?=\s+[A-Z\u4e00-\u9fff]))|(?P<ring>[①-⑳⑴-⒇])"
    rf"|第?[(（]?(?P<chinese>[{_CHINESE_NUMERALS}]{{1,3}})(?:[)）、]|步)",
    re.IGNORECASE,
)
_BULLETED = re.compile(r"[-*+•◦▪●○■□·‣–—►➢✓]\s|[A-Za-z][.)]\s|[(（][A-Za-z][)）]")
_STOP_AT_END = re.compile(r"[.!?…。！？；;]['\"’”」』)）\]]*\Z")
_LEADS_ON = re.compile(r"[:：][\s*_]*\Z")
_ROW = re.compile(r"\S\s*(?:\s\|\s|\t+)\s*\S")
_CRUMB = re.compile(
    r".*(?:\.\s?){5,}\d*\s*\Z|(?:next|previous|prev|up|home|back to top|contents|\[?top\]?|上一页|下一页|返回顶部|目录)"
    r"(?:\W+(?:next|previous|prev|up|home|contents|top|上一页|下一页|目录))*\W*\Z|[\W_]*\Z",
    re.IGNORECASE | re.DOTALL,
)
_CODE = re.compile(
    r"^\W*\w+ ?\([^()]*(?:\([^()]*\)[^()]*)*\)? ?[;.]*\Z|[;{}]\Z|^[\w\[\], ]{1,60} \+?= \S.*[^.]\Z|\. \. \."
)
"""A call, an assignment, a line that ends like a statement, or three dots set apart, as in `cell (m, n, . . .)`."""

_LONGEST_LABEL = 12
_LONGEST_GAP = 3


@dataclass(slots=True)
class _OpenList:
    first: int
    last: int
    last_line: int
    number: int | None
    bullets: bool = field(default=False)


def layout_of(text: str) -> Layout:
    """The units of a passage's text. Time is linear in its length."""
    lines = _lines(text)
    units: list[Unit] = []
    for number, (start, end) in enumerate(lines):
        units.extend(_units_of_line(text, start, end, number))
    return Layout(tuple(units), tuple(_lists(text, units)), tuple(_row_runs(units)))


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
    if _STOP_AT_END.search(last_line) or _LEADS_ON.search(last_line) or _ROW.search(last_line):
        return False
    if _marker(text, start) or _ROW.search(text, start, end):
        return False
    if _CODE.search(last_line) or _CODE.search(text[start:end]):
        return False
    if text[start].islower() and not re.match(r"\S*[(_=\[]", text[start:end]):
        return word_count(text[before[0] : before[1]]) >= 4
    return word_count(last_line) >= _LONGEST_LABEL  # too long for a heading


def _marker(text: str, start: int) -> re.Match[str] | None:
    return _NUMBERED.match(text, start) or _BULLETED.match(text, start)


def _units_of_line(text: str, start: int, end: int, number: int) -> list[Unit]:
    line = text[start:end]
    if _CRUMB.match(line):
        return [Unit(UnitKind.CRUMB, start, end, number)]
    if _ROW.search(line):
        return [Unit(UnitKind.ROW, start, end, number)]
    if not _marker(text, start) and _is_label(line):
        return [Unit(UnitKind.LABEL, start, end, number)]
    return [Unit(UnitKind.SENTENCE, start + first, start + last, number) for first, last in sentence_spans(line)]


def _is_label(line: str) -> bool:
    """Whether a line is a heading, a defined term or code rather than a sentence."""
    if _CODE.search(line):
        return word_count(line) <= 3 * _LONGEST_LABEL
    ended = _STOP_AT_END.search(line) or _LEADS_ON.search(line)
    return not ended and word_count(line) <= _LONGEST_LABEL


def _lists(text: str, units: list[Unit]) -> list[ItemList]:
    found: list[ItemList] = []
    current: _OpenList | None = None
    for index, unit in enumerate(units):
        if index and units[index - 1].line == unit.line:
            if current and current.last_line == unit.line:
                current.last = index  # the rest of an item
            continue
        numbered, bulleted = _NUMBERED.match(text, unit.start), _BULLETED.match(text, unit.start)
        if unit.kind in (UnitKind.ROW, UnitKind.CRUMB) or not (numbered or bulleted):
            continue
        number = _value(numbered) if numbered else None
        if current and _continues(current, number, unit.line):
            current.last, current.last_line = index, unit.line
            current.number = current.number if number is None else number
        else:
            if current:
                found.extend(_closed(text, units, current))
            current = _OpenList(index, index, unit.line, number)
    if current:
        found.extend(_closed(text, units, current))
    return found


def _continues(current: _OpenList, number: int | None, line: int) -> bool:
    """Whether an item goes on the list: the next number, or a bullet close by (within a step as well)."""
    if number is None:
        return line - current.last_line <= _LONGEST_GAP
    return current.number is not None and number == current.number + 1 and line - current.last_line <= 3 * _LONGEST_GAP


def _closed(text: str, units: list[Unit], current: _OpenList) -> list[ItemList]:
    """The finished list with its lead-in; a single numbered line is a heading, not a list."""
    numbered = current.number is not None
    if current.last_line == units[current.first].line and not (numbered and current.number != 1):
        return []
    lead = current.first - 1 if current.first else None
    if lead is not None:
        unit = units[lead]
        close = text.count("\n", unit.end, units[current.first].start) <= 2
        leads = unit.kind is UnitKind.LABEL or _LEADS_ON.search(text[unit.start : unit.end]) is not None
        lead = lead if close and leads else None
    return [ItemList(current.first, current.last, numbered, lead)]


def _value(numbered: re.Match[str]) -> int:
    if numbered["arabic"]:
        return int(numbered["arabic"])
    if numbered["ring"]:
        code = ord(numbered["ring"])
        return code - 0x2460 + 1 if code <= 0x2473 else code - 0x2474 + 1
    tens, _, ones = numbered["chinese"].rpartition("十")
    if "十" not in numbered["chinese"]:
        return _CHINESE_NUMERALS.index(numbered["chinese"][0]) + 1
    return (_CHINESE_NUMERALS.index(tens[0]) + 1 if tens else 1) * 10 + (
        _CHINESE_NUMERALS.index(ones[0]) + 1 if ones else 0
    )


def _row_runs(units: list[Unit]) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    for index, unit in enumerate(units):
        if unit.kind is not UnitKind.ROW:
            continue
        if runs and runs[-1][1] == index - 1:
            runs[-1] = (runs[-1][0], index)
        else:
            runs.append((index, index))
    return runs
