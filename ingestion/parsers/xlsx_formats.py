"""Shows a cell's number as its format says: dates, times, percentages, currencies, digits.

Owns the reading of number formats (ECMA-376 part 1, section 18.8.31). What they leave to the reader's country is
shown in one way for all: dates as 2026-03-05, month names in English, a point before decimals. Knows no cells.
"""

import math
import re
from datetime import datetime, timedelta
from functools import lru_cache

GENERAL = "General"

# Section 18.8.30; what depends on the country is written out. 27 to 36 and 50 to 58 are the Chinese ones.
BUILT_IN = {
    **{0: GENERAL, 1: "0", 2: "0.00", 3: "#,##0", 4: "#,##0.00", 9: "0%", 10: "0.00%", 11: "0.00E+00"},
    **{12: "# ?/?", 13: "# ??/??", 14: "yyyy-mm-dd", 15: "d-mmm-yy", 16: "d-mmm", 17: "mmm-yy"},
    **{18: "h:mm AM/PM", 19: "h:mm:ss AM/PM", 20: "h:mm", 21: "h:mm:ss", 22: "yyyy-mm-dd h:mm"},
    **{37: "#,##0;-#,##0", 38: "#,##0;-#,##0", 39: "#,##0.00;-#,##0.00", 40: "#,##0.00;-#,##0.00"},
    **{45: "mm:ss", 46: "[h]:mm:ss", 47: "mm:ss.0", 48: "##0.0E+0", 49: "@"},
    **{27: 'yyyy"年"m"月"', 28: 'm"月"d"日"', 29: 'm"月"d"日"', 30: "yyyy-mm-dd", 31: 'yyyy"年"m"月"d"日"'},
    **{32: 'h"时"mm"分"', 33: 'h"时"mm"分"ss"秒"', 34: "h:mm", 35: "h:mm:ss", 36: 'yyyy"年"m"月"'},
    **{50: 'yyyy"年"m"月"', 51: 'm"月"d"日"', 52: 'yyyy"年"m"月"', 53: 'm"月"d"日"', 54: 'm"月"d"日"'},
    **{55: "h:mm", 56: "h:mm:ss", 57: 'yyyy"年"m"月"', 58: 'm"月"d"日"'},
}

_TOKEN = re.compile(
    r'"([^"]*)"|\\(.)|[_*](.)|\[\$([^\]-]*)[^\]]*\]|(\[[hms]+\])|(\[[^\]]*\])'
    r"|(AM/PM|A/P|上午/下午)|(y+|m+|d+|h+|s+)|(\.0+)|(E[+-]0+)|([0#?.,/]+)|(.)",
    re.IGNORECASE | re.DOTALL,
)
_SECTION = re.compile(r'(?:"[^"]*"|\\.|\[[^\]]*\]|[^;"\\\[]|.)*?(?:;|\Z)', re.DOTALL)
_LONGEST_FORMAT = 400
_LAST_DAY = 2_958_466  # the first of January 10000
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def shown(value: float, code: str, *, from_1904: bool = False) -> str:
    """A number as the format shows it; as plain digits where the format is not understood."""
    if not math.isfinite(value):
        return ""
    sections = _sections(code)
    index = 1 if value < 0 and len(sections) > 1 else 2 if value == 0 and len(sections) > 2 else 0
    tokens = sections[index]
    if any(kind in ("date", "elapsed") for kind, _ in tokens):
        return _date(value, tokens, from_1904) if 0 <= value < _LAST_DAY else plain(value)
    if not any(kind == "digits" for kind, _ in tokens):
        is_general = any(kind in ("general", "text") for kind, _ in tokens) or not tokens
        return plain(value) if is_general else "".join(text for kind, text in tokens if kind == "literal")
    return _number(abs(value) if index == 1 else value, tokens)


def plain(value: float) -> str:
    """Digits without a format: up to 15 of them, no exponent unless it saves many noughts."""
    if value == int(value) and abs(value) < 1e15:
        return str(int(value))
    text = f"{value:.10g}" if abs(value) < 1e9 else f"{value:.15g}"
    return text.replace("e+", "E+").replace("e-", "E-")


@lru_cache(maxsize=4096)
def _sections(code: str) -> tuple[tuple[tuple[str, str], ...], ...]:
    """The sections of a format as (kind, text): literal, date, elapsed, half, fraction, digits, exponent, text..."""
    code = code[:_LONGEST_FORMAT]
    parts = [part.rstrip(";") if part.endswith(";") else part for part in _SECTION.findall(code) if part] or [code]
    return tuple(_tokens(part) for part in parts[:4])


def _tokens(section: str) -> tuple[tuple[str, str], ...]:
    if section.strip().lower() == "general":
        return (("general", ""),)
    tokens: list[tuple[str, str]] = []
    for match in _TOKEN.finditer(section):
        quoted, escaped, filler, currency, elapsed, condition, half, date, fraction, exponent, digits, other = (
            match.groups()
        )
        if elapsed is not None:
            tokens.append(("elapsed", elapsed.strip("[]").lower()))
        elif half is not None:
            tokens.append(("half", half))
        elif date is not None:
            tokens.append(("date", date.lower()))
        elif fraction is not None:
            after_seconds = tokens and tokens[-1][0] in ("date", "elapsed") and tokens[-1][1].startswith("s")
            tokens.append(("fraction" if after_seconds else "digits", fraction))
        elif exponent is not None:
            tokens.append(("exponent", exponent))
        elif digits is not None:
            tokens.append(("digits", digits))
        elif condition is None and filler is None:
            literal = next((text for text in (quoted, escaped, currency, other) if text is not None), "")
            tokens.append(("text", "") if literal == "@" and other else ("literal", literal))
    dates = any(kind in ("date", "elapsed") for kind, _ in tokens)
    # In dates, points, commas and strokes are only themselves.
    tokens = [("literal", text) if dates and kind == "digits" else (kind, text) for kind, text in tokens]
    return tuple(_with_minutes(tokens))


def _with_minutes(tokens: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Tells the m of minutes, which stand after hours or before seconds, from that of months."""
    times = [index for index, (kind, _) in enumerate(tokens) if kind in ("date", "elapsed")]
    for place, index in enumerate(times):
        kind, text = tokens[index]
        if kind == "date" and text in ("m", "mm"):
            before = tokens[times[place - 1]][1][0] if place else ""
            after = tokens[times[place + 1]][1][0] if place + 1 < len(times) else ""
            if before == "h" or after == "s":
                tokens[index] = ("date", "minute" if text == "m" else "minutes")
    return tokens


def _date(value: float, tokens: tuple[tuple[str, str], ...], from_1904: bool) -> str:
    # Excel counts a 29 February 1900 that never was.
    epoch = datetime(1904, 1, 1) if from_1904 else datetime(1899, 12, 30 if value >= 60 else 31)
    has_fraction = any(kind == "fraction" for kind, _ in tokens)
    milliseconds = round(value * 86_400_000) if has_fraction else round(value * 86_400) * 1000
    moment = epoch + timedelta(milliseconds=milliseconds)
    halves = any(kind == "half" for kind, _ in tokens)
    parts: list[str] = []
    for kind, text in tokens:
        if kind == "elapsed":
            unit = {"h": 3_600_000, "m": 60_000, "s": 1000}[text[0]]
            parts.append(f"{milliseconds // unit:0{len(text)}d}")
        elif kind == "half":
            names = ("上午", "下午") if "上" in text else ("AM", "PM")
            parts.append(names[moment.hour >= 12])
        elif kind == "fraction":
            parts.append("." + f"{moment.microsecond:06d}"[: len(text) - 1])
        elif kind == "date":
            parts.append(_date_part(moment, text, halves))
        else:
            parts.append(text)
    return "".join(parts).strip()


def _date_part(moment: datetime, text: str, halves: bool) -> str:
    hour = (moment.hour % 12 or 12) if halves else moment.hour
    match text[0], len(text):
        case "y", length:
            return f"{moment.year:04d}" if length > 2 else f"{moment.year % 100:02d}"
        case "m", _ if text.startswith("minute"):
            return f"{moment.minute:02d}" if text == "minutes" else str(moment.minute)
        case "m", length if length > 2:
            name = _MONTHS[moment.month - 1]
            return name if length == 4 else name[0] if length == 5 else name[:3]
        case "d", length if length > 2:
            return _DAYS[moment.weekday()] if length > 3 else _DAYS[moment.weekday()][:3]
        case letter, length:
            number = {"m": moment.month, "d": moment.day, "h": hour, "s": moment.second}[letter]
            return f"{number:02d}" if length > 1 else str(number)


def _number(value: float, tokens: tuple[tuple[str, str], ...]) -> str:
    digits = "".join(text for kind, text in tokens if kind == "digits")
    if "/" in digits:
        return plain(value)  # fractions: 0.5 says what 1/2 says
    value *= 100 ** sum(text.count("%") for kind, text in tokens if kind == "literal")
    whole, _, decimals = digits.partition(".")
    scale = len(whole) - len(whole.rstrip(",")) + len(decimals) - len(decimals.rstrip(","))
    value /= 1000**scale
    optional = len(decimals.strip(",")) - len(decimals.strip(",").rstrip("#?"))
    places = min(len(decimals.replace(",", "")), 30)
    if any(kind == "exponent" for kind, _ in tokens):
        text = f"{value:.{places}E}"
    else:
        text = f"{abs(value):{',' if ',' in whole.strip(',') else ''}.{places}f}"
        text = _padded(text, whole.count("0"))
    if optional and "." in text:
        kept = len(text) - optional
        text = text[:kept] + text[kept:].rstrip("0")
    sign = "-" if value < 0 and not text.startswith("-") and text.strip("0.,") else ""
    return _filled(sign, text.rstrip("."), tokens)


def _padded(text: str, digits: int) -> str:
    whole, point, decimals = text.partition(".")
    if "," not in whole:
        whole = whole.zfill(min(digits, 40))
    if digits == 0 and whole == "0" and decimals:
        whole = ""
    return whole + point + decimals


def _filled(sign: str, text: str, tokens: tuple[tuple[str, str], ...]) -> str:
    """The literals around the digits, which stand where the format's first digits stand."""
    parts: list[str] = [sign]
    for kind, literal in tokens:
        if kind == "digits" and text:
            parts.append(text)
            text = ""
        elif kind == "literal":
            parts.append(literal)
    return "".join(parts).strip()
