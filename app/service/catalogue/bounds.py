"""Numbers with comparisons in a question: "under 200", "1.5 to 1.7 l", "at least 30 ppm", "200 元以下", "三百到五百".

Owns the words of comparisons in English and Chinese, and which column a number is about: one that is named beside it,
else one that measures what its unit does, else the price. Works on folded text; knows no products but by their columns.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from app.service.catalogue.constraints import ABOUT, Constraint
from app.service.catalogue.facts import Column, ColumnKind, Facts
from app.service.catalogue.products import Comparison, Understood
from app.service.catalogue.quantities import MONEY, NO_UNIT, QUANTITY, UNITS, Unit, number_of, unit_of

_NEAR = 28
"""Characters within which a name belongs to a number."""

_BEFORE: tuple[tuple[Comparison, str], ...] = (
    (
        Comparison.AT_MOST,
        r"\b(?:up to|at most|max|maximum|maximum of|no more than|not more than|not over|not above|not exceeding|within"
        r"|(?:can |to )?spend(?: up to)?|budget(?: of| is|:)?)"
        r"|<=|≤|不超过|不高于|不大于|不多于|最多|至多|不要超过|预算(?:是|为|在|:)?|上限",
    ),
    (
        Comparison.AT_LEAST,
        r"\b(?:at least|min|minimum|minimum of|no less than|not less than|not under|not below|no fewer than|starting at"
        r"|starting from)|>=|≥|不低于|不少于|不小于|至少|最少|起码",
    ),
    (
        Comparison.LESS,
        r"\b(?:under|below|(?:less|cheaper|lighter|smaller|fewer|shorter|lower|quieter|slower|thinner|narrower) than)"
        r"|<|低于|少于|小于|不到|不足|轻于|短于|便宜于",
    ),
    (
        Comparison.MORE,
        r"\b(?:over|above|exceeding|"
        r"(?:more|greater|heavier|larger|bigger|longer|faster|higher|wider|taller|stronger) than)"
        r"|>|高于|大于|超过|多于|长于|快于|重于",
    ),
    (
        Comparison.ABOUT,
        r"\b(?:around|about|approximately|approx\.?|roughly|circa|ca\.|near|close to)|~|大约|大概|约|差不多",
    ),
)
_AFTER: tuple[tuple[Comparison, str], ...] = (
    (
        Comparison.AT_MOST,
        r"(?:or|and) (?:less|under|below|cheaper|lower|fewer|lighter|smaller|shorter|quieter)\b"
        r"|max(?:imum)?\b|at most\b|tops\b|(?:及|或)?以下|以内|之内|之下|内",
    ),
    (Comparison.LESS, r"不到"),
    (
        Comparison.AT_LEAST,
        r"(?:or|and) (?:more|over|above|higher|longer|larger|bigger|up|faster|heavier|wider)\b"
        r"|plus\b|\+|min(?:imum)?\b|at least\b|(?:及|或)?以上|之上|往上|起",
    ),
    (Comparison.ABOUT, r"or so\b|or thereabouts\b|左右|上下|前后"),
)
_FILLER = r"(?:\s|:|a|an|the|of|for|is|at|only|的|为|是|在|有|达|到)*"
_BEFORE_AT = [(each, re.compile(rf"(?:{words}){_FILLER}$")) for each, words in _BEFORE]
_AFTER_AT = [(each, re.compile(rf"\s*(?:的)?(?:{words})")) for each, words in _AFTER]
_BETWEEN = re.compile(r"(?:\bbetween|\bfrom|介于|在|从)\s*$")
_JOINED = re.compile(r"\s*(?P<plain>-|–|—|~|～|\bto\b|到|至)\s*|\s*(?:and|和|与)\s*(?:[$€£¥]\s*)?")
_BETWEEN_AFTER = re.compile(r"\s*之间")
_A_MINUTE = re.compile(r"\b(?:per|a|each|every) minute\b|每分钟")
_FROM = re.compile(r"\bfrom\s*$")
_LOCAL_MONEY = frozenset({"元", "块", "块钱", "元钱"})
_POUNDS = frozenset({"pound", "pounds"})


@dataclass(frozen=True, slots=True)
class _Mention:
    """A number in the question: its place, value, and unit as far as it has one; `written` is the unit's own word."""

    start: int
    end: int
    number: float
    unit: Unit
    written: str


class BoundsReader:
    """Reads bounds of one catalogue's columns. Safe for threads."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        known = [column for column in facts.columns.values() if column.kind is ColumnKind.QUANTITY]
        self._columns = [column for column in known if column.name != "stock"]

    def read(self, question: str) -> tuple[list[Constraint], tuple[Understood, ...], str]:
        """Constraints, those that no column can tell, and the question without the words of both."""
        constraints: list[Constraint] = []
        cannot: list[Understood] = []
        rest = question
        for low, high, start, end, comparison in _ranges(question):
            before = max((constraint_end for constraint_end in self._ends(rest, start)), default=0)
            column = self._column(question, low, high, before, end, comparison)
            if column is None:
                if comparison is not Comparison.IS and (high or low).unit != NO_UNIT:
                    cannot.append(_untold(question[start:end].strip(), comparison, low, high))
                    rest = _blank(rest, start, end)
                continue
            constraints.append(self._constraint(column, low, high, comparison, question[start:end].strip()))
            rest = _blank(rest, start, end)
        possible = [each for each in constraints if self._has_currency(each)]
        cannot += [each.understood() for each in constraints if not self._has_currency(each)]
        return possible, tuple(cannot), rest

    @staticmethod
    def _ends(rest: str, start: int) -> Iterator[int]:
        """Where what was read before `start` ends: names before it belong to other numbers."""
        yield from (match.end() for match in re.finditer(r" {4,}", rest[:start]))

    def _column(
        self, question: str, low: _Mention, high: _Mention, floor: int, end: int, comparison: Comparison
    ) -> Column | None:
        """What the number is about, None when that cannot be told."""
        unit = self._shop_unit(high)
        named = self._named(question, low.start, high.end, floor, unit, high.written)
        if named is not None:
            return named
        if unit.kind == MONEY:
            return self._facts.columns["price"]
        if unit == NO_UNIT:
            return self._facts.columns["price"] if comparison is not Comparison.IS else None
        measuring = [column for column in self._columns if column.unit.kind == unit.kind and column.name != "price"]
        if not measuring:
            return None
        meant = [column for column in measuring if column.concept and column.concept.measures == unit.kind]
        return max(meant or measuring, key=lambda column: int(np.isfinite(column.low).sum()))

    def _named(self, question: str, start: int, end: int, floor: int, unit: Unit, written: str) -> Column | None:
        """The column whose name stands nearest to the number, or is the unit's own word ("500 minutes")."""
        nearest: tuple[int, Column] | None = None
        is_measured = any(column.unit.kind == unit.kind for column in self._columns)
        for column in self._columns:
            if (
                written
                and written in (*column.names, *(f"{name}s" for name in column.names))
                and (column.unit.kind in ("", unit.kind))
            ):
                return column
            fits = column.unit.kind == unit.kind or unit == NO_UNIT or (column.unit == NO_UNIT and not is_measured)
            if column.name == "price":
                fits = unit.kind in ("", MONEY)
            if not fits:
                continue
            for name in column.names:
                for match in re.finditer(_whole(name), question[max(floor, start - _NEAR) : end + _NEAR]):
                    at = max(floor, start - _NEAR)
                    away = min(abs(start - at - match.end()), abs(at + match.start() - end))
                    if not at + match.start() < start < at + match.end() and (nearest is None or away < nearest[0]):
                        nearest = (away, column)
        return nearest[1] if nearest else None

    def _shop_unit(self, mention: _Mention) -> Unit:
        """A customer's 元 is the shop's own money where it takes no yuan, and pounds may be money or a weight."""
        currencies = self._facts.currencies
        if mention.written in _LOCAL_MONEY and "CNY" not in currencies and self._facts.currency:
            return Unit(MONEY, self._facts.currency)
        if mention.written in _POUNDS and "GBP" in currencies:
            return UNITS["gbp"]
        return mention.unit

    def _constraint(
        self, column: Column, low: _Mention, high: _Mention, comparison: Comparison, said: str
    ) -> Constraint:
        unit = self._shop_unit(high)
        if unit == NO_UNIT:
            unit = Unit(MONEY, self._facts.currency) if column.name == "price" else column.unit
        elif column.unit == NO_UNIT and column.name != "price":
            unit = NO_UNIT  # the column only has numbers: they are compared as they stand
        first, last = low.number * unit.factor, high.number * unit.factor
        match comparison:
            case Comparison.AT_MOST | Comparison.LESS:
                return Constraint(column, comparison, said, high=last, unit=unit)
            case Comparison.AT_LEAST | Comparison.MORE:
                return Constraint(column, comparison, said, low=first, unit=unit)
            case Comparison.ABOUT:
                return Constraint(column, comparison, said, low=first * (1 - ABOUT), high=last * (1 + ABOUT), unit=unit)
        return Constraint(column, comparison, said, low=first, high=last, unit=unit)

    def _has_currency(self, constraint: Constraint) -> bool:
        """Prices are never converted: without products of that currency the constraint cannot be told."""
        if constraint.column.name != "price" or not constraint.unit.name:
            return True
        return constraint.unit.name in self._facts.currencies or "" in self._facts.currencies


def _ranges(question: str) -> Iterator[tuple[_Mention, _Mention, int, int, Comparison]]:
    """Low and high mention, from where to where it is said with the words of its comparison, and that."""
    mentions = list(_mentions(question))
    joined = {number for number, (one, other) in enumerate(pairwise(mentions)) if _is_range(question, one, other)}
    floor = 0
    for number, mention in enumerate(mentions):
        if number - 1 in joined:
            continue
        if number in joined:
            other = mentions[number + 1]
            low, high = _with_one_unit(mention, other)
            before = _BETWEEN.search(question[floor : mention.start])
            after = _BETWEEN_AFTER.match(question[other.end :])
            start = floor + before.start() if before else mention.start
            floor = other.end + (after.end() if after else 0)
            yield low, high, start, floor, Comparison.BETWEEN
            continue
        comparison, start, end = _comparison(question, floor, mention)
        floor = end
        yield mention, mention, start, end, comparison


def _mentions(question: str) -> Iterator[_Mention]:
    for match in QUANTITY.finditer(question):
        unit_text = (match["unit"] or match["sign"] or "").strip(" -")
        unit = unit_of(unit_text) or NO_UNIT
        if unit.kind == "pages" and _A_MINUTE.search(question):
            unit = UNITS["ppm"]
        start = match.start() + len(match[0]) - len(match[0].lstrip())
        yield _Mention(start, match.end(), number_of(match["number"]), unit, unit_text)


def _is_range(question: str, one: _Mention, other: _Mention) -> bool:
    match = _JOINED.fullmatch(question[one.end : other.start])
    if match is None or one.number > other.number:
        return False
    if one.unit.kind != other.unit.kind and NO_UNIT not in (one.unit, other.unit):
        return False
    return bool(match["plain"] or _BETWEEN.search(question[: one.start]) or _BETWEEN_AFTER.match(question[other.end :]))


def _with_one_unit(low: _Mention, high: _Mention) -> tuple[_Mention, _Mention]:
    """`800 g to 1.2 kg` in one unit, and `300 to 500 EUR` with the one it has."""
    if low.unit == NO_UNIT or low.unit == high.unit:
        return low, high
    if high.unit == NO_UNIT:
        return low, _Mention(high.start, high.end, high.number, low.unit, low.written)
    same = low.number * low.unit.factor / high.unit.factor
    return _Mention(low.start, low.end, same, high.unit, high.written), high


def _comparison(question: str, floor: int, mention: _Mention) -> tuple[Comparison, int, int]:
    """The comparison, and where its words and the number begin and end."""
    before, after = question[floor : mention.start], question[mention.end :]
    for comparison, pattern in _AFTER_AT:
        if match := pattern.match(after):
            leading = next((found for _, each in _BEFORE_AT if (found := each.search(before))), None)
            return comparison, floor + leading.start() if leading else mention.start, mention.end + match.end()
    for comparison, pattern in _BEFORE_AT:
        if match := pattern.search(before):
            return comparison, floor + match.start(), mention.end
    if match := _FROM.search(before):
        return Comparison.AT_LEAST, floor + match.start(), mention.end
    return Comparison.IS, mention.start, mention.end


def _untold(said: str, comparison: Comparison, low: _Mention, high: _Mention) -> Understood:
    values = (low.number, high.number) if comparison is Comparison.BETWEEN else (high.number,)
    return Understood("", comparison, values, high.unit.name, said, said)


def _whole(name: str) -> str:
    return rf"(?<![a-z0-9]){re.escape(name)}(?![a-z0-9])" if name.isascii() else re.escape(name)


def _blank(text: str, start: int, end: int) -> str:
    return text[:start] + " " * (end - start) + text[end:]
