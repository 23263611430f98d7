"""Texts of flows in both languages, with `{name}` in them; and values as people read them.

Owns the only form of placeholder there is: a name, or names with dots that lead through JSON objects. No attributes,
no format of a value, no code: a value can never do more in a text than stand there.
"""

import re
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

from rag.language import Language

PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_]*(?:\.[a-z][a-z0-9_]*)*)\}")
_DATE = re.compile(r"(\d{4})-(\d{2})-(\d{2})(?:[T ][\d:.+Z-]*)?")
_UNSEEN = re.compile(r"[\x00-\x1f\x7f\u2028\u2029\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]+")
_LONGEST_VALUE = 500
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_UNKNOWN: Mapping[Language, str] = {"en": "(not known)", "zh": "（未知）"}


def mistake_in(text: str) -> str | None:
    """A brace that is no placeholder, which is nearly always a slip."""
    rest = PLACEHOLDER.sub("", text)
    if "{" in rest or "}" in rest:
        return "has a brace that is no placeholder: write {name}, with small letters"
    return None


def names_in(text: str) -> frozenset[str]:
    """The names at which its placeholders begin."""
    return frozenset(name.partition(".")[0] for name in PLACEHOLDER.findall(text))


def rendered(text: str, values: Mapping[str, Any], language: Language) -> str:
    """The text with values in place of names. A value that is not there reads as not known."""
    return filled(text, values, lambda value: shown(value, language))


def filled(text: str, values: Mapping[str, Any], write: Callable[[Any], str]) -> str:
    """The text with `write(value)` in place of each name."""
    return PLACEHOLDER.sub(lambda found: write(value_of(found[1], values)), text)


def value_of(name: str, values: Mapping[str, Any]) -> Any:
    """The value a dotted name leads to through JSON objects, None where it leads nowhere."""
    value: Any = values
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def shown(value: Any, language: Language) -> str:
    """A value for people: dates and amounts as they are written in the language, one line, not endlessly long."""
    match value:
        case None | "":
            return _UNKNOWN[language]
        case bool():
            return {"en": ("no", "yes"), "zh": ("否", "是")}[language][value]
        case {"amount": amount, "currency": currency}:
            return f"{amount:,.2f} {currency}" if isinstance(amount, int | float) else f"{amount} {currency}"
        case {"en": _, "zh": _}:
            return shown(value[language], language)
        case {"label": label}:
            return shown(label, language)
        case list() | tuple():
            return ("、" if language == "zh" else ", ").join(shown(each, language) for each in value[:20])
        case float() if value.is_integer():
            return str(int(value))
        case str() if found := _DATE.fullmatch(value):
            return _date(found, language) or value
        case _:
            line = _UNSEEN.sub(" ", str(value)).strip()
            return line if len(line) <= _LONGEST_VALUE else f"{line[:_LONGEST_VALUE]}…"


def _date(found: re.Match[str], language: Language) -> str | None:
    try:
        day = date(*map(int, found.groups()))
    except ValueError:
        return None
    if language == "zh":
        return f"{day.year}年{day.month}月{day.day}日"
    return f"{day.day} {_MONTHS[day.month - 1]} {day.year}"
