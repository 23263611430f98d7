"""Numbers in a customer's message: digits with their separators, factors behind them, and Chinese numerals.

Owns how a number is written, in English and Chinese. Knows no currencies and no days.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from app.service.catalogue import quantities

_DIGITS = r"\d(?:[\d,.]{0,14}\d)?"
_NUMERAL = "[一二两三四五六七八九十][一二两三四五六七八九十百千万零〇]{0,20}"
_FEW = (
    *("zero", "one", "two", "three", "four", "five", "six"),
    *("seven", "eight", "nine", "ten", "eleven", "twelve"),
)
_NUMBER = re.compile(
    # Before it stands no letter, digit or separator, and no dash as in order numbers and days.
    r"(?:(?<![A-Za-z0-9_.,–—~−-])|(?P<minus>(?<![A-Za-z0-9_.,-])[-−]))(?:"
    rf"(?P<mixed>{_DIGITS}[百千万](?:\d{{1,4}}[十百千]){{0,3}}(?:\d{{1,4}})?)"
    rf"|(?P<digits>\d{{1,3}}(?: \d{{3}}){{1,4}}(?:[.,]\d{{1,2}})?|{_DIGITS})"
    r"(?P<times>\s?(?:k|thousand|grand|hundred)(?![a-z]))?"
    rf"|(?P<numeral>{_NUMERAL})"
    rf"|(?P<word>(?:{'|'.join(_FEW)})(?![a-z-]))(?P<word_times>\s(?:thousand|grand|hundred)(?![a-z]))?"
    r")(?!\d|[–—~-]\d)",
    re.IGNORECASE,
)
_GOES_ON = re.compile(
    r"(?:(?:twen|thir|for|fif|six|seven|eigh|nine)ty|hundred|thousand|million|point)[\s-](?:and\s)?$", re.IGNORECASE
)
_LONGEST_BEFORE = 16
_PARTS = re.compile(rf"({_DIGITS})([十百千万]?)")
_TIMES = {"k": 1000, "thousand": 1000, "grand": 1000, "hundred": 100, "": 1}
_POWERS = {"十": 10, "百": 100, "千": 1000, "万": 10_000}
_SHORT = re.compile(r"(?<=[百千万])[一二两三四五六七八九]$")
_BELOW = {"百": "十", "千": "百", "万": "千"}


class Number(NamedTuple):
    """A number and where it stands. `is_word` where it is written without digits."""

    value: float
    start: int
    end: int
    is_word: bool


def numbers_of(text: str) -> Iterator[Number]:
    """Every number, from left to right; what is a part of another number is none. `text` has one width (NFKC)."""
    for match in _NUMBER.finditer(text):
        value = _value(match)
        if value is not None and not _GOES_ON.search(text[max(0, match.start() - _LONGEST_BEFORE) : match.start()]):
            is_word = match["mixed"] is None and match["digits"] is None
            yield Number(-value if match["minus"] else value, match.start(), match.end(), is_word)


def numeral(text: str) -> float:
    """The number that Chinese numerals say, in full (一千二百) or short (一千二)."""
    short = _SHORT.search(text)
    return quantities.number_of(text + _BELOW[text[-2]] if short else text)


def number_of(digits: str) -> float | None:
    """1,299.50 and 1.299,50 alike; a single mark before three digits parts thousands, before others decimals.

    None for marks that stand where no number has them.
    """
    digits = digits.rstrip(",.")
    last = max(digits.rfind(","), digits.rfind("."))
    if last < 0:
        return float(digits)
    mark, other = digits[last], "," if digits[last] == "." else "."
    behind = len(digits) - last - 1
    is_decimal = digits.count(mark) == 1 and (behind != 3 or other in digits or digits[:last] == "0")
    whole, part = (digits[:last], digits[last + 1 :]) if is_decimal else (digits, "")
    groups = re.split(r"[,.]", whole)
    if len(groups) > 1 and (any(len(group) != 3 for group in groups[1:]) or not 1 <= len(groups[0]) <= 3):
        return None
    return float(f"{''.join(groups)}.{part or 0}")


def _value(match: re.Match[str]) -> float | None:
    if match["mixed"]:
        return _mixed(match["mixed"])
    if match["numeral"]:
        return numeral(match["numeral"])
    times = _TIMES[(match["times"] or match["word_times"] or "").strip().casefold()]
    if match["word"]:
        return float(_FEW.index(match["word"].casefold()) * times)
    number = number_of(match["digits"].replace(" ", ""))
    return None if number is None else number * times


def _mixed(text: str) -> float | None:
    """1万5千 and, shorter, 1万5; None for powers that do not come down."""
    total, before = 0.0, 0
    for digits, power in _PARTS.findall(text):
        number, times = number_of(digits), _POWERS.get(power, 1)
        if number is None or (before and times >= before):
            return None
        if not power and len(digits) == 1:
            times = before // 10
        total, before = total + number * times, times
    return total
