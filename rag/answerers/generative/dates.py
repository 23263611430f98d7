"""Dates and times of day in a text, in one form: 12 March 2024, March 12th 2024, 2024-03-12 and 2024年3月12日.

Owns the forms that can be read without a guess. 03/12/2024 could be two days and is left to be looked up as it stands.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_MONTHS = ("january february march april may june july august september october november december").split()  # noqa: SIM905
_MONTH = "|".join((*_MONTHS, *(f"{month[:3]}\\b\\.?" for month in _MONTHS), r"sept\b\.?"))
_DAY = r"(\d{1,2})(?:st|nd|rd|th)?"
_YEAR = r"((?:1[5-9]|20|21)\d\d)"
_EN_DAY_FIRST = re.compile(rf"(?<![\d.,]){_DAY}(?: of)? ({_MONTH})(?:,? {_YEAR})?(?!\d)", re.IGNORECASE)
_EN_MONTH_FIRST = re.compile(rf"\b({_MONTH}) {_DAY}(?:,? {_YEAR})?(?![\d:])", re.IGNORECASE)
_EN_MONTH_YEAR = re.compile(rf"\b({_MONTH})(?: of)?,? {_YEAR}(?!\d)", re.IGNORECASE)
_ISO = re.compile(rf"(?<!\d){_YEAR}[-/.](\d{{1,2}})[-/.](\d{{1,2}})(?!\d)")
_ZH = re.compile(r"(?:(\d{4}) ?年)? ?(\d{1,2}) ?月 ?(?:(\d{1,2}) ?[日号號])|(\d{4}) ?年 ?(\d{1,2}) ?月(?!内)")
_TIME = re.compile(r"(?<![\d:.])(\d{1,2}):(\d\d)(?::(\d\d))?(?![\d:])(?:\s?([ap])\.?m\b\.?)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Dated:
    """A date or a time as it stands at `start` to `end`: its parts by name, those that it names."""

    start: int
    end: int
    parts: tuple[tuple[str, str], ...]

    def includes(self, other: "Dated") -> bool:
        """Whether this one says all that the other says."""
        return set(other.parts) <= set(self.parts)


def dates_in(text: str) -> list[Dated]:
    """The dates and times of `text`, in order and without overlaps."""
    found: list[Dated] = []
    for each in sorted(_all(text), key=lambda each: (each.start, -each.end)):
        if not found or each.start >= found[-1].end:
            found.append(each)
    return found


def _all(text: str) -> Iterator[Dated]:
    for match in _EN_DAY_FIRST.finditer(text):
        yield _dated(match, match[3], _month(match[2]), match[1])
    for match in _EN_MONTH_FIRST.finditer(text):
        yield _dated(match, match[3], _month(match[1]), match[2])
    for match in _EN_MONTH_YEAR.finditer(text):
        yield _dated(match, match[2], _month(match[1]), None)
    for match in _ISO.finditer(text):
        yield _dated(match, match[1], match[2], match[3])
    for match in _ZH.finditer(text):
        yield _dated(match, match[1] or match[4], match[2] or match[5], match[3])
    for match in _TIME.finditer(text):
        parts = {"hour": match[1], "minute": match[2], "second": match[3], "half": match[4] and match[4].lower()}
        yield Dated(match.start(), match.end(), _named(parts))


def _dated(match: re.Match[str], year: str | None, month: str | None, day: str | None) -> Dated:
    return Dated(match.start(), match.end(), _named({"year": year, "month": month, "day": day}))


def _named(parts: dict[str, str | None]) -> tuple[tuple[str, str], ...]:
    return tuple((name, value.lstrip("0") or "0") for name, value in parts.items() if value)


def _month(name: str) -> str:
    return str(1 + next(n for n, month in enumerate(_MONTHS) if month.startswith(name.lower()[:3])))
