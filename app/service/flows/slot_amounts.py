"""Amounts of money with their currency, and numbers alone, in a customer's message.

Owns how currencies are named and where their names stand, in English and Chinese. What may mean two amounts gives both,
and a number with a word behind it that may be a currency is none: the customer is asked.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from app.service.catalogue.quantities import MONEY, UNITS
from app.service.flows.slot_numbers import Number, numbers_of
from rag.chinese import simplified

_NAMES = {name: unit.name for name, unit in UNITS.items() if unit.kind == MONEY} | {
    **dict.fromkeys(("pound", "pounds", "pounds sterling", "british pounds"), "GBP"),
    **dict.fromkeys(
        ("us dollar", "us dollars", "u.s. dollars", "american dollars", "buck", "刀", "块美金", "块美元"), "USD"
    ),
    **dict.fromkeys(("hong kong dollars", "块港币"), "HKD"),
    **dict.fromkeys(("swiss franc", "swiss francs", "franc", "瑞士法郎"), "CHF"),
    **dict.fromkeys(("chinese yuan", "块人民币"), "CNY"),
    **dict.fromkeys(("japanese yen",), "JPY"),
    **dict.fromkeys(("块欧元",), "EUR"),
}
_BEFORE_ALSO = frozenset(("us$", "hk$", "nt$", "rmb", "人民币", *(code.casefold() for code in _NAMES.values())))
_SIGNS = frozenset("$€£¥")


def _one_of(names: Iterator[str]) -> str:
    """A pattern of names, the longest first; those of letters as words of their own."""
    found = sorted(names, key=len, reverse=True)
    return "|".join(
        re.escape(name) + (r"(?![a-z])" if name[-1].isascii() and name[-1].isalpha() else "") for name in found
    )


_BEFORE = re.compile(
    rf"(?<![a-z])(?P<name>{_one_of(name for name in _NAMES if name in _SIGNS or name in _BEFORE_ALSO)})\s?$",
    re.IGNORECASE,
)
_BEHIND = re.compile(rf"\s?(?P<name>{_one_of(iter(_NAMES))})", re.IGNORECASE)
_CODE = re.compile(r"\s?[A-Z]{3}(?![A-Za-z])")
_ANY = re.compile(rf"[$€£¥]|(?<![a-z])(?:{_one_of(name for name in _NAMES if name not in _SIGNS)})", re.IGNORECASE)
_FROM_TO = re.compile(r"\s?(?:to|or|till|到|至|或|[-–—~])\s?", re.IGNORECASE)
_LONGEST_BEFORE = 8

_DIGIT = "[0-9零一二两三四五六七八九]"
_JIAO = re.compile(
    rf"零?(?P<only>{_DIGIT})分(?!钟)|(?P<tenth>{_DIGIT})[毛角]?(?:(?P<hundredth>{_DIGIT})分?)?"
    r"(?=$|[\s,;!?。、)]|\.(?!\d)|[吧呢啊呀了的左以不多上])"
)
_HARMLESS = (
    r"\s*(?:$|[,.;:!?。、()]|[吧呢啊呀了的左右以上下之内到至或就多]"
    r"|(?:please|thanks?|for|or|in|at|to|and|but|each|total|altogether|max|maximum|approximately|roughly|i|it|is|was"
    r"|would|per|only|so|because|that|this|on|from|with|if|as|then|sorry|hello|hi|okay|ok|plus|including)(?![a-z]))"
)
_CENTS = re.compile(
    r"\s?(?:and\s)?(?P<sure>\d{1,2})\s?(?:cents?|pence|ct|p|c)(?![a-z])"
    rf"|\s?(?P<two>\d\d)(?![\d.,:/-]*\d)(?={_HARMLESS})"
    r"|\s(?P<doubt>\d{1,2})(?![\d.,:/-]*\d)(?!\s?(?:days?|weeks?|months?|years?|hours?|minutes?|times)\b)",
    re.IGNORECASE,
)
_BARE = re.compile(_HARMLESS, re.IGNORECASE)
_VALUES_OF = {sign: number for number, sign in enumerate("零一二三四五六七八九")} | {"两": 2}
_VALUES_OF |= {str(number): number for number in range(10)}
_FEW_WORDS = 3
"""In more words than these, "one" is seldom a number."""

_FIRST_SURE = 10
"""Numbers in words from here on are seldom anything else."""


class _Said(NamedTuple):
    """A number with a currency beside it: the amounts that it may be, more than one for a doubt."""

    amounts: tuple[float, ...]
    currency: str


def amounts_in(text: str, currencies: Sequence[str], *, may_be_bare: bool) -> list[dict[str, Any]]:
    """Every different amount as {amount, currency}; of a number alone only where that was asked for.

    An amount in a currency that is not among `currencies` is left out. `text` has one width (NFKC).
    """
    text = simplified(text)
    found = [
        {"amount": round(amount, 2), "currency": currency}
        for said in _named(text, was_asked=may_be_bare)
        if (currency := _meant(said.currency, currencies)) is not None
        for amount in said.amounts
        if amount >= 0
    ]
    if may_be_bare and _ANY.search(text) is None:
        found = [{"amount": round(number, 2), "currency": currencies[0]} for number in _bare(text)]
    return [each for place, each in enumerate(found) if each not in found[:place]]


def numbers_in(text: str) -> list[float]:
    """Every different number, in digits or, when it is all that was said, in words."""
    every = [each for each in numbers_of(simplified(text)) if not re.match("[A-Za-z]", text[each.end :])]
    found = [each.value for each in every if not each.is_word]
    if not found and _is_short(text):
        found = [each.value for each in every]
    return list(dict.fromkeys(found))


def _named(text: str, *, was_asked: bool) -> Iterator[_Said]:
    """The numbers with a currency in front or behind."""
    end = 0
    alone: Number | None = None
    for number in numbers_of(text):
        if number.start < end:
            continue
        first = max(end, number.start - _LONGEST_BEFORE)
        before = _BEFORE.search(text, first, number.start)
        behind = _BEHIND.match(text, number.end)
        if before is None and behind is None:
            alone = number
            continue
        name = (behind or before)["name"].casefold()  # type: ignore[index]  # one of them is there
        end = behind.end() if behind else number.end
        is_unsure = name == "块" and number.is_word and number.value < _FIRST_SURE and not was_asked
        if is_unsure or (behind is None and name in _SIGNS and _CODE.match(text, end)):
            alone = None  # 一块 is "together" as well, and $20 CAD no dollars that we know
            continue
        amounts, end = _with_parts(text, number.value, name, end)
        begins = before.start() if before else number.start
        if alone is not None and _FROM_TO.fullmatch(text, alone.end, begins):
            amounts = (alone.value, *amounts)
        alone = None
        yield _Said(amounts, _NAMES[name])


def _with_parts(text: str, whole: float, name: str, end: int) -> tuple[tuple[float, ...], int]:
    """What an amount may be with the cents behind its currency's name, and where it ends: 200块5, 5 pounds 50."""
    if not whole.is_integer():
        return (whole,), end
    if name[0] in "块元":
        jiao = _JIAO.match(text, end)
        if jiao is None:
            return (whole,), end
        tenths, hundredths = (_VALUES_OF.get(jiao[group] or "零", 0) for group in ("tenth", "hundredth"))
        hundredths = _VALUES_OF[jiao["only"]] if jiao["only"] else hundredths
        return (whole + tenths / 10 + hundredths / 100,), jiao.end()
    cents = _CENTS.match(text, end)
    if cents is None:
        return (whole,), end
    sure = cents["sure"] or cents["two"]
    if sure is not None:
        return (whole + int(sure) / 100,), cents.end()
    return (whole, whole + int(cents["doubt"]) / 100), cents.end()


def _bare(text: str) -> Iterator[float]:
    """The numbers alone behind which nothing stands that may be a currency, or something counted."""
    every = [each for each in numbers_of(text) if _BARE.match(text, each.end)]
    digits = [each for each in every if not each.is_word]
    words = [each for each in every if each.is_word and (each.value >= _FIRST_SURE or _is_short(text))]
    yield from (each.value for each in digits or words if each.value >= 0)


def _is_short(text: str) -> bool:
    return len(re.findall(r"[a-z']+|[\u4e00-\u9fff]+", text.casefold())) <= _FEW_WORDS


def _meant(currency: str, currencies: Sequence[str]) -> str | None:
    """¥ is written for two currencies."""
    if currency == "CNY" and currency not in currencies and "JPY" in currencies:
        return "JPY"
    return currency if currency in currencies else None
