"""Days in a customer's message, in English and Chinese.

Owns which words may be a day; `dateparser` makes days of the English ones. A day without a year is the one that
`must_be` allows, and else the nearest.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import date, datetime, timedelta
from typing import Literal

import dateparser  # type: ignore[import-untyped]

from app.service.flows.slot_numbers import numeral
from rag.chinese import simplified

MustBe = Literal["past", "future", "any"]

_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|"
    r"nov(?:ember)?|dec(?:ember)?)\.?"
)
_WEEKDAY = r"(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?"
_COUNT = r"(?:\d{1,3}|an?|one|two|three|four|five|six|seven|eight|nine|ten|twelve)"
_YEAR_FIRST = re.compile(r"(?<!\d)(\d{4})\s?[-/.年]\s?(\d{1,2})\s?[-/.月]\s?(\d{1,2})(?:\s?[日号])?(?!\d)")
_YEAR_LAST = re.compile(r"(?<![\d/.-])(\d{1,2})[/.-](\d{1,2})[/.-](\d{4}|\d{2})(?![\d/.-])")
_CHINESE_YEARS = {"大前年": -3, "前年": -2, "去年": -1, "今年": 0, "明年": 1, "后年": 2}
_CHINESE_DAY = re.compile(rf"(?<!\d)(?:({'|'.join(_CHINESE_YEARS)})的?)?(\d{{1,2}})月(\d{{1,2}})[日号]?")
_CHINESE_OF_MONTH = re.compile(r"(上上|上|这|本|下下|下)个?月的?(\d{1,2})[日号]")
_CHINESE_ALONE = re.compile(r"(?<![\d年月第])(\d{1,2})[日号](?![\d店楼线门机房线电库柜桌])")
_CHINESE_NEAR = {
    "大前天": -3,
    "前天": -2,
    "昨天": -1,
    "昨日": -1,
    "今天": 0,
    "今日": 0,
    "明天": 1,
    "明日": 1,
    "后天": 2,
    "大后天": 3,
}
_CHINESE_NEAR_WORD = re.compile("|".join(sorted(_CHINESE_NEAR, key=len, reverse=True)))
_CHINESE_WEEKDAY = re.compile(r"(上上|上|这|本|下下|下)?(?:个)?(?:周|星期|礼拜)([一二三四五六日天])")
_CHINESE_AGO = re.compile(r"(\d{1,3})\s?(?:个)?(天|日|周|星期|礼拜|月)(?:以)?([前后])")
_ENGLISH = re.compile(
    rf"\b(?:{_MONTH}\s+\d{{1,2}}(?:st|nd|rd|th)?(?:,?\s+\d{{4}})?(?!\d)"
    rf"|\d{{1,2}}(?:st|nd|rd|th)?\s+(?:of\s+)?{_MONTH}(?:,?\s+\d{{4}})?(?!\d)"
    r"|(?:the\s+)?day\s+(?:before\s+yesterday|after\s+tomorrow)|yesterday|today|tomorrow"
    rf"|{_COUNT}\s+(?:day|week|month)s?\s+ago|in\s+{_COUNT}\s+(?:day|week|month)s?)\b",
    re.IGNORECASE,
)
_ENGLISH_OF_MONTH = re.compile(r"\b(\d{1,2})(?:st|nd|rd|th)\s+of\s+(last|this|next)\s+month\b", re.IGNORECASE)
_ENGLISH_ALONE = re.compile(
    r"\b(?:on\s+the\s+(\d{1,2})(?:st|nd|rd|th)\b(?!\s+(?:of|floor|line|page|day|time)\b)"
    r"|(\d{1,2})(?:st|nd|rd|th)(?=\s*(?:$|[,.;!?])))",
    re.IGNORECASE,
)
_ENGLISH_WEEKDAY = re.compile(rf"\b(?:(last|next|this|on)\s+)?({_WEEKDAY})\b", re.IGNORECASE)
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WORDS = {"a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8}
_WORDS |= {"nine": 9, "ten": 10, "twelve": 12}
_NUMERAL = re.compile(
    # The 三 of 周三 is a weekday, whatever stands behind it.
    r"(?<![周期拜一二两三四五六七八九十百千万])[一二两三四五六七八九十百零]+(?=\s?(?:个)?(?:天|日|号|周|星期|礼拜|月))"
)
_STEPS = {"上上": -2, "上": -1, "这": 0, "本": 0, None: 0, "下": 1, "下下": 2, "last": -1, "this": 0, "next": 1}


_Reader = Callable[[re.Match[str], date, MustBe], Iterator[date]]


def days_in(text: str, today: date, must_be: MustBe, *, may_be_short: bool) -> list[date]:
    """Every different day that is named, whether or not `must_be` allows it; `text` has one width (NFKC).

    With `may_be_short` also days of a month that is not named ("the 15th", 15号), which may be something else where
    nobody asked for a day.
    """
    found: list[date] = []
    rest = _NUMERAL.sub(lambda said: str(int(numeral(said[0]))), simplified(text))
    short: tuple[tuple[re.Pattern[str], _Reader], ...] = ((_CHINESE_ALONE, _day), (_ENGLISH_ALONE, _day))
    for pattern, read in (
        (_YEAR_FIRST, _year_first),
        (_YEAR_LAST, _year_last),
        (_CHINESE_DAY, _chinese_day),
        (_CHINESE_OF_MONTH, _chinese_of_month),
        (_CHINESE_AGO, _chinese_ago),
        (_CHINESE_NEAR_WORD, _chinese_near),
        (_CHINESE_WEEKDAY, _chinese_weekday),
        (_ENGLISH, _english),
        (_ENGLISH_OF_MONTH, _english_of_month),
        (_ENGLISH_WEEKDAY, _english_weekday),
        *(short if may_be_short else ()),
    ):
        for match in pattern.finditer(rest):
            with suppress(ValueError, OverflowError):  # the 31st of February is no day
                found += read(match, today, must_be)
        rest = pattern.sub(" ", rest)
    return list(dict.fromkeys(found))


def is_allowed(day: date, today: date, must_be: MustBe) -> bool:
    return must_be == "any" or day == today or (day < today) == (must_be == "past")


def _year_first(match: re.Match[str], today: date, must_be: MustBe) -> Iterator[date]:
    yield date(*map(int, match.groups()))


def _year_last(match: re.Match[str], today: date, must_be: MustBe) -> Iterator[date]:
    """5/3/2026 is the fifth of March, as in most of the world, unless there is no such month."""
    first, second, year = map(int, match.groups())
    year += 2000 if year < 100 else 0
    yield date(year, second, first) if second <= 12 else date(year, first, second)


def _chinese_day(match: re.Match[str], today: date, must_be: MustBe) -> Iterator[date]:
    year, month, day = match.groups()
    if year:
        yield date(today.year + _CHINESE_YEARS[year], int(month), int(day))
    else:
        yield _nearest(int(month), int(day), today, must_be)


def _nearest(month: int, day: int, today: date, must_be: MustBe) -> date:
    possible = []
    for year in (today.year - 1, today.year, today.year + 1):
        with suppress(ValueError):
            possible.append(date(year, month, day))
    if not possible:
        raise ValueError("no such day")
    allowed = [each for each in possible if is_allowed(each, today, must_be)]
    return min(allowed or possible, key=lambda each: abs(each - today))


def _chinese_of_month(match: re.Match[str], today: date, must_be: MustBe) -> Iterator[date]:
    yield _in_month(today, _STEPS[match[1]], int(match[2]))


def _english_of_month(match: re.Match[str], today: date, must_be: MustBe) -> Iterator[date]:
    yield _in_month(today, _STEPS[match[2].casefold()], int(match[1]))


def _in_month(today: date, months: int, day: int) -> date:
    years, month = divmod(today.month - 1 + months, 12)
    return date(today.year + years, month + 1, day)


def _day(match: re.Match[str], today: date, must_be: MustBe) -> Iterator[date]:
    """The nearest one of that number that is allowed; only every other month may have a 31st."""
    number = int(next(each for each in match.groups() if each))
    possible: list[date] = []
    for months in range(-2, 3):
        with suppress(ValueError):
            possible.append(_in_month(today, months, number))
    allowed = [each for each in possible if is_allowed(each, today, must_be)]
    yield from sorted(allowed, key=lambda each: abs(each - today))[:1]


def _chinese_ago(match: re.Match[str], today: date, must_be: MustBe) -> Iterator[date]:
    days = int(match[1]) * {"天": 1, "日": 1, "月": 30}.get(match[2], 7)
    yield today + timedelta(days=-days if match[3] == "前" else days)


def _chinese_near(match: re.Match[str], today: date, must_be: MustBe) -> Iterator[date]:
    yield today + timedelta(days=_CHINESE_NEAR[match[0]])


def _chinese_weekday(match: re.Match[str], today: date, must_be: MustBe) -> Iterator[date]:
    weekday = 6 if match[2] in "日天" else "一二三四五六".index(match[2])
    day = today + timedelta(days=weekday - today.weekday(), weeks=_STEPS[match[1]])
    if match[1] is None and not is_allowed(day, today, must_be):
        day += timedelta(weeks=1 if day < today else -1)
    yield day


def _english_weekday(match: re.Match[str], today: date, must_be: MustBe) -> Iterator[date]:
    """The one before or after today; "sat" and "sun" alone, which are words too, only with "last", "next" or "on"."""
    which, name = (match[1] or "").casefold(), match[2].casefold()
    if not which and len(name) < 6:
        return
    ahead = (_WEEKDAYS.index(name[:3]) - today.weekday()) % 7
    if which == "last" or (which != "next" and must_be == "past"):
        yield today - timedelta(days=(7 - ahead) if ahead or which == "last" else 0)
    else:
        yield today + timedelta(days=ahead or (7 if which == "next" else 0))


def _english(match: re.Match[str], today: date, must_be: MustBe) -> Iterator[date]:
    words = [str(_WORDS.get(word, word)) for word in match[0].casefold().replace(",", " ").split() if word != "of"]
    found = dateparser.parse(
        " ".join(words),
        languages=["en"],
        settings={
            "RELATIVE_BASE": datetime.combine(today, datetime.min.time()),
            "PREFER_DATES_FROM": "future" if must_be == "future" else "past" if must_be == "past" else "current_period",
            "RETURN_AS_TIMEZONE_AWARE": False,
            "REQUIRE_PARTS": ["day", "month"],
        },
    )
    if found is not None:
        yield found.date()
