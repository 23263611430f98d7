"""Numbers and their units in a text, in one form however they are written: 1,500 ml, １５００毫升, fifteen hundred.

Owns what counts as the same number. Where two readings are possible the stricter one is taken: 1.500 is one and a half,
never 1,500, and 30 min is not 30 s. Knows no answers and no passages.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from math import gcd

from rag.answerers.generative.units import UNIT_PATTERN, is_unit_pair, unit_named

NO_UNIT = ""


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number as it stands at `start` to `end` of a text. value: canonical digits; unit: canonical or `NO_UNIT`."""

    start: int
    end: int
    value: str
    unit: str

    def agrees_with(self, other: "Quantity") -> bool:
        """Whether both name the same amount; a unit that is missing on one side is not taken for the same here."""
        return self.value == other.value and (self.unit == other.unit or is_unit_pair(self.unit, other.unit))


_SIGN = r"(?:(?<![A-Za-z0-9)\]])[-−+±]|minus |零下|负)"
_NUMBER = re.compile(
    rf"(?P<sign>{_SIGN})?(?<![A-Za-z0-9_])(?<!\d[.,])(?<![A-Za-z][-_./])"
    r"(?P<digits>\d{1,3}(?: \d{3}){1,4}(?:[.,]\d{1,30}+)?(?!\d|[.,]\d)"
    r"|\d{1,30}+(?:[.,'’]\d{1,30}+){0,8}(?!\d))(?P<power>\^[-−+]?\d{1,30})?"
    r"(?P<ordinal>st\b|nd\b|rd\b|th\b)?"
    r"(?P<times>\s?(?:thousand|million|billion|百万|千万|万|萬|亿|億|千|百)(?![a-z]))?"
)
_FRACTION = re.compile(
    rf"(?P<sign>{_SIGN})?(?<![A-Za-z0-9_/.,^])(?:(?P<whole>\d{{1,3}})[ -])?(?P<over>\d{{1,2}})/(?P<under>\d{{1,4}})"
    r"(?!\d|/|[.,]\d)"
)
_UNDER = frozenset((3, 4, 5, 6, 8, 10, 12, 16, 32, 64))
"""What a fraction with more than one part is a fraction of; 220/230 are two numbers."""

_GROUPED = re.compile(r"(?P<whole>[1-9]\d{0,2}(?:[ ’]\d{3})+)(?:[.,](?P<rest>\d+))?")
_PERCENT_ZH = re.compile(r"百分之([零〇一二两兩三四五六七八九十百点\d.]{1,12})")
_ZH_DIGITS = {c: n for n, c in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2, "兩": 2}
_ZH_POWERS = {"十": 10, "百": 100, "千": 1000, "万": 10_000, "萬": 10_000, "亿": 10**8, "億": 10**8}
_ZH_NUMBER = re.compile(r"(?P<sign>零下|负)?(?P<digits>[零〇一二两兩三四五六七八九十百千万萬亿億]{1,15})")
_EN_ONES = re.findall(
    r"\w+",
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen",
)
_EN_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_EN_WORDS = {word: n for n, word in enumerate(_EN_ONES)} | {word: 20 + 10 * n for n, word in enumerate(_EN_TENS)}
_EN_POWERS = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9}
_EN_WORD = rf"(?:{'|'.join([*_EN_WORDS, *_EN_POWERS])})"
_EN_NUMBER = re.compile(
    rf"\b(?P<sign>minus )?(?P<words>{_EN_WORD}(?:(?:[\s-]| and ){_EN_WORD}){{0,8}})\b", re.IGNORECASE
)
_EN_TIMES = re.compile(r"\b(?:twice|thrice)\b", re.IGNORECASE)
_UNIT = re.compile(rf"[\s-]?(?:{UNIT_PATTERN})")
_RANGE = re.compile(r"\s?(?:[-–—~～/]|to|and|or|bis|至|到|或|,|、)\s?")
_POWERS = {
    "thousand": 1000, "million": 10**6, "billion": 10**9, "百万": 10**6, "千万": 10**7,
    "万": 10**4, "萬": 10**4, "亿": 10**8, "億": 10**8, "千": 1000, "百": 100,
}  # fmt: skip


def quantities_in(text: str) -> list[Quantity]:
    """The numbers of `text`, which is in the form of `facts.plain`, in order and without overlaps.

    Left out: "one" and 一 without a unit, which are articles, and Chinese numerals within words (十分, 万一).
    """
    found: list[Quantity] = []
    taken = 0
    for each in sorted(_all(text), key=lambda each: (each.start, -each.end)):
        if each.start >= taken:
            found.append(each)
            taken = each.end
    return _with_shared_units(text, found)


def _all(text: str) -> Iterator[Quantity]:
    for match in _NUMBER.finditer(text):
        yield from _written_in_digits(text, match)
    for match in _FRACTION.finditer(text):
        if (value := _fraction(int(match["whole"] or 0), int(match["over"]), int(match["under"]))) is not None:
            unit, end = _unit_at(text, match.end())
            yield Quantity(match.start(), end, _canonical(_signed(value, match["sign"])), unit)
    for match in _PERCENT_ZH.finditer(text):
        inner = match[1]
        value = _chinese(inner) if inner[0] in _ZH_DIGITS or inner[0] == "十" else _decimal(inner)
        if value is not None:
            yield Quantity(match.start(), match.end(), _canonical(value), "%")
    for match in _ZH_NUMBER.finditer(text):
        unit, end = _unit_at(text, match.end())
        value = _chinese(match["digits"])
        is_bare = len(match["digits"]) == 1 or match["digits"] in ("十分", "万一", "千万", "百万")
        ordinal = text[match.start() - 1 : match.start()] == "第"
        if text[match.start() : end] == "十分":  # "very", more often than ten minutes
            continue
        if value is None or (unit == NO_UNIT and is_bare and not ordinal) or (ordinal and match["digits"] == "一"):
            continue
        yield Quantity(match.start(), end, _canonical(_signed(value, match["sign"])), unit)
    for match in _EN_NUMBER.finditer(text):
        unit, end = _unit_at(text, match.end())
        value = _english(match["words"])
        if value is None or (match["words"].lower() in ("one", "zero") and unit in (NO_UNIT, "times")):
            continue
        yield Quantity(match.start(), end, _canonical(_signed(value, match["sign"])), unit)
    for match in _EN_TIMES.finditer(text):
        yield Quantity(match.start(), match.end(), "2" if match[0].lower() == "twice" else "3", "times")


def _written_in_digits(text: str, match: re.Match[str]) -> Iterator[Quantity]:
    digits = match["digits"]
    unit, end = _unit_at(text, match.end())
    follows = text[match.end() : match.end() + 1]
    if unit == NO_UNIT and not match["ordinal"] and (follows == "_" or (follows.isascii() and follows.isalpha())):
        return  # a code that begins with digits
    value = _decimal(digits)
    if match["power"]:
        value = _to_power(value, int(match["power"][1:].replace("−", "-")))
    if value is None:
        start = match.start("digits")
        if re.fullmatch(r"\d+(?:,\d+)+", digits) and not match["power"]:  # a list without spaces: 1,2,3
            for part in digits.split(","):
                yield Quantity(start, start + len(part), part, NO_UNIT)
                start += len(part) + 1
        return
    if match["times"]:
        value *= _POWERS[match["times"].strip()]
    is_code = len(digits) > 1 and digits[0] == "0" and digits.isdigit() and not match["power"]
    canonical = digits if is_code else _canonical(_signed(value, match["sign"]))
    yield Quantity(match.start(), end, canonical, unit)


def _decimal(digits: str) -> Decimal | None:
    """The value of digits with separators; None where they are no single number (a version, a list)."""
    plain = digits.replace("'", "’")
    if grouped := _GROUPED.fullmatch(plain):
        return Decimal(re.sub("[ ’]", "", grouped["whole"]) + "." + (grouped["rest"] or "0"))
    if " " in plain or "’" in plain:
        return None
    commas, dots = plain.count(","), plain.count(".")
    if commas and dots:
        decimal = max(",.", key=plain.rfind)
        whole, _, rest = plain.rpartition(decimal)
        thousands = "." if decimal == "," else ","
        if decimal in whole or not _is_grouped(whole.split(thousands)):
            return None
        return Decimal(whole.replace(thousands, "") + "." + rest)
    if commas:
        if _is_grouped(plain.split(",")):
            return Decimal(plain.replace(",", ""))
        return Decimal(plain.replace(",", ".")) if commas == 1 else None
    if dots > 1:
        return None
    try:
        return Decimal(plain)
    except InvalidOperation:
        return None


def _is_grouped(groups: list[str]) -> bool:
    return 1 <= len(groups[0]) <= 3 and groups[0][0] != "0" and all(len(group) == 3 for group in groups[1:])


def _fraction(whole: int, over: int, under: int) -> Decimal | None:
    """The value of `1 1/2`; None where two numbers are meant rather than a fraction: 110/220, 24/7."""
    if not 0 < over < under or gcd(over, under) > 1 or not (over == 1 or under in _UNDER):
        return None
    return whole + Decimal(over) / under


def _to_power(base: Decimal | None, exponent: int) -> Decimal | None:
    """The value of 10^3 or of 4^2; None for what is not written so with amounts, and for no base."""
    is_amount = 1 <= exponent <= 3 or (base == 10 and abs(exponent) <= 30)
    return None if base is None or not is_amount else base**exponent


def _signed(value: Decimal, sign: str | None) -> Decimal:
    """`value` under what stands in front of it; a plus changes nothing."""
    is_negative = (sign or "").strip().lower() in ("-", "−", "minus", "零下", "负")
    return value.copy_negate() if is_negative else value  # which keeps all digits, as -value does not


def _canonical(value: Decimal) -> str:
    digits = format(value, "f")
    digits = digits.rstrip("0").rstrip(".") if "." in digits else digits
    return digits if value else "0"


def _chinese(digits: str) -> Decimal | None:
    """The value of a Chinese numeral, spoken (一百二十) or digit by digit (二〇二四); None for neither."""
    whole, point, rest = digits.partition("点")
    if point:
        head, tail = _chinese(whole), [_ZH_DIGITS.get(c) for c in rest]
        return None if head is None or None in tail or not tail else Decimal(f"{head}." + "".join(map(str, tail)))
    if all(c in _ZH_DIGITS for c in whole):
        return Decimal("".join(str(_ZH_DIGITS[c]) for c in whole)) if whole else None
    total, section, last = 0, 0, 0
    is_after_power = True
    for character in whole:
        if character in _ZH_DIGITS:
            last = _ZH_DIGITS[character]
            is_after_power = False
        elif character not in _ZH_POWERS:
            return None
        elif _ZH_POWERS[character] >= 10_000:
            total += (section + last) * _ZH_POWERS[character]
            section = last = 0
        else:
            section += (1 if is_after_power or not last else last) * _ZH_POWERS[character]
            last, is_after_power = 0, True
    return Decimal(total + section + last)


def _english(words: str) -> Decimal | None:
    """The value of number words; None when there is no number among them, such as "hundred"s of."""
    total, section = 0, 0
    parts = re.findall(_EN_WORD, words, re.IGNORECASE)
    if parts[0].lower() in _EN_POWERS:
        return None
    for part in map(str.lower, parts):
        if part in _EN_WORDS:
            section += _EN_WORDS[part]
        elif part == "hundred":
            section *= 100
        else:
            total += section * _EN_POWERS[part]
            section = 0
    return Decimal(total + section)


def _unit_at(text: str, position: int) -> tuple[str, int]:
    """The unit right behind a number, and where it ends."""
    if match := _UNIT.match(text, position):
        return unit_named(match[0].strip(" -\n\t")), match.end()
    return NO_UNIT, position


def _with_shared_units(text: str, found: list[Quantity]) -> list[Quantity]:
    """The same with the unit of "10 to 30 °C" also at the 10."""
    for place in range(len(found) - 2, -1, -1):
        this, following = found[place], found[place + 1]
        if this.unit == NO_UNIT and following.unit != NO_UNIT and _RANGE.fullmatch(text[this.end : following.start]):
            found[place] = Quantity(this.start, this.end, this.value, following.unit)
    return found
