"""The numbers of Word's automatic lists, which a file holds as rules and not as text.

Owns the counting. The rules are those of ECMA-376 part 1, section 17.9. Does not know blocks.
"""

import re
from dataclasses import dataclass, field

from lxml.etree import _Element

W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_PLACEHOLDER = re.compile(r"%([1-9])")
_ROMAN = ((1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl"))
_ROMAN_UNITS = ((10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i"))
_CHINESE_DIGITS = "零一二三四五六七八九"


@dataclass(frozen=True, slots=True)
class _Level:
    format: str
    text: str
    start: int


@dataclass(slots=True)
class Numbering:
    """Counts the paragraphs of each list as they come. Made from `word/numbering.xml`, or None for a file without."""

    root: _Element | None
    _levels: dict[str, dict[int, _Level]] = field(default_factory=dict)
    _counters: dict[str, list[int | None]] = field(default_factory=dict)
    _shared: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.root is None:
            return
        abstract = {item.get(f"{W}abstractNumId", ""): item for item in self.root.iter(f"{W}abstractNum")}
        for num in self.root.iter(f"{W}num"):
            num_id, abstract_id = num.get(f"{W}numId", ""), _value(num, "abstractNumId")
            levels = _levels(abstract[abstract_id]) if abstract_id in abstract else {}
            overrides = list(num.iter(f"{W}lvlOverride"))
            for override in overrides:
                level = int(override.get(f"{W}ilvl", "0"))
                levels.update(_levels(override))
                if (start := _value(override, "startOverride")) and level in levels:
                    levels[level] = _Level(levels[level].format, levels[level].text, int(start))
            self._levels[num_id] = levels
            # Lists that follow one definition count on, unless one begins anew.
            self._shared[num_id] = num_id if overrides else f"abstract {abstract_id}"

    def next_mark(self, num_id: str, level: int) -> tuple[str, bool]:
        """The mark of the next paragraph of a list, such as "3." or "-", and whether it is a number.

        Of a list that the file does not define, ("", False).
        """
        levels = self._levels.get(num_id, {})
        if level not in levels:
            return "", False
        if levels[level].format in ("bullet", "none"):
            return ("-" if levels[level].format == "bullet" else ""), False
        counters = self._counters.setdefault(self._shared[num_id], [None] * 9)
        current = counters[level]
        counters[level] = levels[level].start if current is None else current + 1
        counters[level + 1 :] = [None] * (8 - level)

        def number(match: re.Match[str]) -> str:
            index = int(match[1]) - 1
            rule = levels.get(index, levels[level])
            count = counters[index]
            return _formatted(rule.start if count is None else count, rule.format)

        return _PLACEHOLDER.sub(number, levels[level].text), True


def _levels(parent: _Element) -> dict[int, _Level]:
    found: dict[int, _Level] = {}
    for level in parent.iter(f"{W}lvl"):
        index, start = level.get(f"{W}ilvl", "0"), _value(level, "start")
        if index in tuple("012345678"):
            found[int(index)] = _Level(
                _value(level, "numFmt") or "decimal",
                _value(level, "lvlText"),
                int(start) if start.isdigit() else 1,
            )
    return found


def _value(parent: _Element, name: str) -> str:
    child = parent.find(f"{W}{name}")
    return "" if child is None else child.get(f"{W}val", "")


def _formatted(number: int, number_format: str) -> str:
    match number_format:
        case "lowerLetter" | "upperLetter":
            letters = chr(ord("a") + (number - 1) % 26) * ((number - 1) // 26 + 1) if number > 0 else str(number)
            return letters if number_format == "lowerLetter" else letters.upper()
        case "lowerRoman" | "upperRoman":
            roman = _roman(number)
            return roman if number_format == "lowerRoman" else roman.upper()
        case "chineseCounting" | "chineseCountingThousand" | "ideographDigital" | "japaneseCounting":
            return _chinese(number)
        case "decimalEnclosedCircle" | "decimalEnclosedCircleChinese" if 1 <= number <= 20:
            return chr(ord("①") + number - 1)
        case "decimalZero":
            return f"{number:02d}"
        case _:
            return str(number)


def _roman(number: int) -> str:
    if not 0 < number < 4000:
        return str(number)
    text = ""
    for value, letters in (*_ROMAN, *_ROMAN_UNITS):
        text += letters * (number // value)
        number %= value
    return text


def _chinese(number: int) -> str:
    if not 0 < number < 100:
        return str(number)
    tens, units = divmod(number, 10)
    ten = "" if tens == 0 else "十" if tens == 1 else _CHINESE_DIGITS[tens] + "十"
    return ten + (_CHINESE_DIGITS[units] if units else "")
