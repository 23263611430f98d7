"""The values of slots in a customer's message: asked for just now, or said of their own accord.

Owns what each type of slot takes for a value, and in which form it is kept (JSON). What was asked for may be said
shortly; what was not must be beyond doubt. Knows no steps.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from app.service.flows import patterns, words
from app.service.flows.schema import (
    AmountSlot,
    ChoiceSlot,
    DateSlot,
    EmailSlot,
    NumberSlot,
    OrderNumberSlot,
    Slot,
    TextSlot,
    YesNoSlot,
)
from app.service.flows.slot_amounts import amounts_in, numbers_in
from app.service.flows.slot_dates import days_in, is_allowed
from app.service.flows.texts import shown
from rag.language import Language

_EMAIL = re.compile(
    r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,6}"
    r"[A-Za-z]{2,24}(?![A-Za-z0-9@-])"
)
_LITTLE = re.compile(
    r"\b(?:the|a|an|my|one|please|it|is|it's|i|would|like|that|this|number|option|return)\b|我的|那个|这个|请|要"
)
_LONGEST_READ = 4000
_ENGLISH_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")
_ORDINALS = {
    **{word: number for number, word in enumerate(_ENGLISH_ORDINALS)},
    **{f"第{sign}个": number for number, sign in enumerate("一二三四五六七八")},
}


@dataclass(frozen=True, slots=True)
class Asked:
    """The circumstances of a reading: the day it is, and the choices that a step before has taken."""

    today: date
    options: Sequence[Mapping[str, Any]] = ()


def values_in(slot: Slot, text: str, asked: Asked) -> list[Any]:
    """The different values that an answer to the slot's question may mean; one is an answer, more are a doubt."""
    folded = unicodedata.normalize("NFKC", text[:_LONGEST_READ])
    match slot:
        case OrderNumberSlot():
            return _distinct(_cased(found[0], slot.case) for found in patterns.finder(slot.pattern).finditer(folded))
        case DateSlot():
            return _days(slot, folded, asked, may_be_short=True)
        case ChoiceSlot():
            return _chosen(slot, folded, asked, may_be_short=True)
        case EmailSlot():
            return _distinct(found[0].lower() for found in _EMAIL.finditer(folded))
        case AmountSlot():
            amounts = amounts_in(folded, slot.currencies, may_be_bare=True)
            return [each for each in amounts if slot.at_least <= each["amount"] <= slot.at_most]
        case NumberSlot():
            numbers = [each for each in numbers_in(folded) if slot.at_least <= each <= slot.at_most]
            whole = [int(each) for each in numbers if each.is_integer()]
            return whole if slot.whole else [int(each) if each.is_integer() else each for each in numbers]
        case YesNoSlot():
            said = words.yes_or_no(text)
            return [] if said is None else [said]
        case TextSlot():
            said_text = text.strip()
            return [said_text] if 0 < len(said_text) <= slot.at_most else []


def volunteered_in(slot: Slot, text: str, asked: Asked) -> list[Any]:
    """The values beyond doubt in a message that was no answer to the slot's question."""
    match slot:
        case OrderNumberSlot() | EmailSlot():
            return values_in(slot, text, asked)
        case DateSlot():
            folded = unicodedata.normalize("NFKC", text[:_LONGEST_READ])
            return _days(slot, folded, asked, may_be_short=False)
        case ChoiceSlot():
            return _chosen(slot, unicodedata.normalize("NFKC", text[:_LONGEST_READ]), asked, may_be_short=False)
        case AmountSlot():
            folded = unicodedata.normalize("NFKC", text[:_LONGEST_READ])
            amounts = amounts_in(folded, slot.currencies, may_be_bare=False)
            return [each for each in amounts if slot.at_least <= each["amount"] <= slot.at_most]
        case _:
            return []


def _days(slot: DateSlot, text: str, asked: Asked, *, may_be_short: bool) -> list[str]:
    days = days_in(text, asked.today, slot.must_be, may_be_short=may_be_short)
    return [day.isoformat() for day in days if is_allowed(day, asked.today, slot.must_be)]


def is_sure_in_questions(slot: Slot) -> bool:
    """Whether a value of this type answers even where the message is a question: nobody says one by chance."""
    return isinstance(slot, OrderNumberSlot | EmailSlot | AmountSlot)


def known_value(slot: Slot, value: Any) -> Any:
    """A value that is known before a flow begins, as the slot keeps it; None when it is none of the slot's."""
    if isinstance(slot, YesNoSlot):
        return value if isinstance(value, bool) else None
    if isinstance(slot, AmountSlot) and isinstance(value, Mapping):
        value = f"{value.get('amount')} {value.get('currency')}"
    if not isinstance(value, str | int | float) or isinstance(slot, ChoiceSlot):
        of = slot.options if isinstance(slot, ChoiceSlot) else ()
        return next((each.value for each in of if each.value == value), None)
    found = values_in(slot, str(value), Asked(date.today()))
    return found[0] if len(found) == 1 else None


def labels(slot: Slot, asked: Asked, language: Language) -> list[str]:
    """What a customer may choose from, in words."""
    if isinstance(slot, YesNoSlot):
        return [words.PHRASES[language].yes, words.PHRASES[language].no]
    if not isinstance(slot, ChoiceSlot):
        return []
    return [shown(_label(each), language) for each in _options(slot, asked)]


def for_people(slot: Slot, value: Any, asked: Asked) -> Any:
    """A value with its label, where it has one; for `app.service.flows.texts.shown`."""
    if isinstance(slot, ChoiceSlot):
        found = next((each for each in _options(slot, asked) if each["value"] == value), None)
        return value if found is None else {"label": _label(found)}
    return value


def _options(slot: ChoiceSlot, asked: Asked) -> list[Mapping[str, Any]]:
    """[{value, label: text or {en, zh}, also: [text]}]; of what an API gave, only what has that form."""
    if slot.options_from is None:
        return [
            {"value": o.value, "label": {"en": o.label.en, "zh": o.label.zh}, "also": [*o.also.en, *o.also.zh]}
            for o in slot.options
        ]
    given = asked.options if isinstance(asked.options, list | tuple) else ()
    return [each for each in given if isinstance(each, Mapping) and isinstance(each.get("value"), str | int)]


def _label(option: Mapping[str, Any]) -> Any:
    return option.get("label") or str(option["value"])


def _chosen(slot: ChoiceSlot, text: str, asked: Asked, *, may_be_short: bool) -> list[Any]:
    """The options named in the text, by their longest names; asked for, also by their place or a part of their name."""
    options = _options(slot, asked)
    said = words.plain(text)
    exact = [option["value"] for option in options if said in _names_of(option)]
    if exact:
        return exact[:1]
    lengths = [
        max((len(name) for name in _names_of(option) if _stands_in(name, said)), default=0) for option in options
    ]
    named = [option["value"] for option, length in zip(options, lengths, strict=True) if length]
    if len(named) > 1:  # "jacket, red" names both "jacket" and "jacket, red"
        longest = max(lengths)
        within = [length for length in lengths if length == longest]
        if len(within) == 1 and _contains_all(options, lengths, longest):
            named = [options[lengths.index(longest)]["value"]]
    if named or not may_be_short:
        return _distinct(named)
    bare = _LITTLE.sub(" ", said).split()
    if not bare or len("".join(bare)) < 2:
        bare = said.split()
    place = _place(" ".join(bare))
    if 0 <= place < len(options):
        return [options[place]["value"]]
    if len("".join(bare)) < 2:
        return []
    return _distinct(
        option["value"]
        for option in options
        if any(all(_stands_in(w, name) for w in bare) for name in _names_of(option))
    )


def _place(said: str) -> int:
    """Of the option whose place was said: "2", "second", "第二个"; -1 when none was."""
    if said.isascii() and said.isdigit() and len(said) < 3:
        return int(said) - 1
    return _ORDINALS.get(said, -1)


def _contains_all(options: Sequence[Mapping[str, Any]], lengths: Sequence[int], longest: int) -> bool:
    """Whether the option with the longest name that was said holds the names of the others that were."""
    best = " ".join(_names_of(options[lengths.index(longest)]))
    others = [option for option, length in zip(options, lengths, strict=True) if 0 < length < longest]
    return all(any(name in best for name in _names_of(option)) for option in others)


def _names_of(option: Mapping[str, Any]) -> list[str]:
    label, also = option.get("label"), option.get("also")
    names = [str(option["value"]), *(label.values() if isinstance(label, Mapping) else [label] if label else [])]
    names += also if isinstance(also, list) else []
    return [name for each in names if isinstance(each, str) and (name := words.plain(each))]


def _stands_in(name: str, text: str) -> bool:
    """As words of their own in Latin letters, anywhere in Chinese."""
    if not name.isascii():
        return name in text
    return re.search(rf"(?<![a-z0-9]){re.escape(name)}(?![a-z0-9])", text) is not None


def _cased(text: str, case: str) -> str:
    return text.upper() if case == "upper" else text.lower() if case == "lower" else text


def _distinct(values: Any) -> list[Any]:
    return list(dict.fromkeys(values))
