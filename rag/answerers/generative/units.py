"""Units of measurement as manuals write them, in English and Chinese, each with one name.

Owns which spellings are the same unit. Converts nothing: 90 minutes are not looked for as 1.5 hours.
"""

import re

_SPELLINGS: dict[str, str] = {
    "ms": "ms|msec|millisecond|毫秒",
    "s": "s|sec|second|秒钟|秒鐘|秒",
    "min": "min|Min|minute|分钟|分鐘|分",
    "h": "h|hr|hour|个小时|個小時|小时|小時|钟头|鐘頭",
    "day": "day|天|日",
    "week": "week|个星期|星期|礼拜|周|週",
    "month": "month|个月|個月|月",
    "year": "year|yr|年",
    "mm": "mm|millimeter|millimetre|毫米",
    "cm": "cm|centimeter|centimetre|厘米|公分",
    "m": "m|meter|metre|米|公尺",
    "km": "km|kilometer|kilometre|千米|公里",
    "inch": 'inches|inch|″|"|英寸|英吋|吋',
    "ft": "ft|feet|foot|英尺",
    "mg": "mg|milligram|毫克",
    "g": "g|gram|克",
    "kg": "kg|KG|kilogram|kilo|千克|公斤",
    "lb": "lb|lbs|pound|磅",
    "oz": "oz|ounce",
    "ml": "ml|mL|milliliter|millilitre|毫升",
    "l": "l|L|liter|litre|公升|升",
    "mV": "mV|millivolt|毫伏",
    "V": "V|volt|伏特|伏",
    "kV": "kV|kilovolt|千伏",
    "mW": "mW|milliwatt|毫瓦",
    "W": "W|watt|瓦特|瓦",
    "kW": "kW|kilowatt|千瓦",
    "MW": "MW|megawatt|兆瓦",
    "kWh": "kWh|kilowatt-hour|kilowatt hour|度电|千瓦时",
    "mA": "mA|milliamp|毫安",
    "A": "A|amp|ampere|安培|安",
    "mAh": "mAh|毫安时",
    "Hz": "Hz|hertz|赫兹",
    "kHz": "kHz|kilohertz|千赫",
    "MHz": "MHz|megahertz|兆赫",
    "GHz": "GHz|gigahertz|吉赫",
    "°C": "°C|° C|degrees Celsius|degrees centigrade|degrees C|摄氏度|攝氏度",
    "°F": "°F|° F|degrees Fahrenheit|degrees F|华氏度|華氏度",
    "°": "°|degree|deg|度",
    "K": "K|kelvin",
    "%": "%|percent|per cent",
    "dB": "dB|decibel|分贝",
    "bar": "bar",
    "mbar": "mbar|millibar",
    "Pa": "Pa|pascal|帕",
    "hPa": "hPa|百帕",
    "kPa": "kPa|千帕",
    "MPa": "MPa|兆帕",
    "psi": "psi|PSI",
    "Nm": "Nm|N·m",
    "rpm": "rpm|r/min|revolutions per minute|转/分|轉/分",
    "KB": "KB|kB|kilobyte",
    "MB": "MB|megabyte",
    "GB": "GB|gigabyte",
    "TB": "TB|terabyte",
    "Mbps": "Mbps|Mbit/s|Mb/s",
    "MB/s": "MB/s",
    "Gbps": "Gbps|Gbit/s|Gb/s",
    "MP": "MP|megapixel|百万像素",
    "px": "px|pixel|像素",
    "dpi": "dpi|DPI",
    "Ω": "Ω|ohm|欧姆",
    "km/h": "km/h",
    "mph": "mph",
    "times": "time|×|x|X|次|回",
    "fold": "fold|倍",
    "page": "page|页|頁",
    "USD": "USD|dollar|美元",
    "EUR": "EUR|€|euro|欧元",
    "CNY": "CNY|RMB|元|块钱",
    "TWD": "TWD|NTD|新台币|新臺幣|新台幣",
}
_GENERIC = (frozenset(("°", "°C")), frozenset(("°", "°F")))


def _names() -> dict[str, str]:
    """The unit of each spelling; those of four letters and more also in the plural, in lower case."""
    names: dict[str, str] = {}
    for unit, spellings in _SPELLINGS.items():
        for spelling in spellings.split("|"):
            names[spelling] = unit
            if re.fullmatch("[A-Za-z -]{3,}", spelling):
                names.setdefault(spelling.lower(), unit)
                names.setdefault(spelling.lower() + "s", unit)
    return names


_NAMES = _names()


def _pattern() -> str:
    longest_first = sorted(_NAMES, key=len, reverse=True)
    each = (
        f"(?i:{re.escape(name)})(?![A-Za-z0-9])"
        if re.fullmatch("[a-z -]{4,}", name)
        else re.escape(name) + ("(?![A-Za-z0-9])" if name[-1].isascii() and name[-1].isalpha() else "")
        for name in longest_first
    )
    return "|".join(each).replace("|分|", "|分(?![之为成别])|").replace("|日|", "|日(?![常志历期])|")


UNIT_PATTERN = _pattern()
"""A regular expression for any spelling, the longest first."""


def unit_named(spelling: str) -> str:
    """The unit's one name. Raises `KeyError` for what `UNIT_PATTERN` does not match."""
    return _NAMES[spelling] if spelling in _NAMES else _NAMES[spelling.lower()]


def is_unit_pair(first: str, second: str) -> bool:
    """Whether one is the other in general: degrees, of whichever scale."""
    return frozenset((first, second)) in _GENERIC
