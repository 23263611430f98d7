"""Numbers with their units, as customers and product files write them, in English and Chinese.

Owns what a number is, which units there are and how they are normalised. Knows no products and no constraints.
"""

import re
import unicodedata
from dataclasses import dataclass

from rag.chinese import simplified

MONEY = "money"


@dataclass(frozen=True, slots=True)
class Unit:
    """`kind` is what is measured (mass, volume, money …), `factor` how many of the kind's base unit one is.

    `name` is the unit as it is shown; of money the code of the currency, whose factor is 1: none is converted.
    """

    kind: str
    name: str
    factor: float = 1.0


NO_UNIT = Unit("", "")

_UNITS: dict[str, dict[str, tuple[float, str]]] = {
    "mass": {
        "mg": (0.001, "mg milligram milligrams 毫克"),
        "g": (1, "g gram grams gramme grammes gr 克"),
        "kg": (1000, "kg kgs kilo kilos kilogram kilograms 公斤 千克"),
        "斤": (500, "斤"),
        "lb": (453.59237, "lb lbs pound pounds 磅"),
        "oz": (28.349523, "oz ounce ounces 盎司"),
    },
    "volume": {
        "ml": (0.001, "ml millilitre millilitres milliliter milliliters 毫升"),
        "cl": (0.01, "cl"),
        "l": (1, "l litre litres liter liters 升 公升"),
    },
    "length": {
        "mm": (0.001, "mm millimetre millimetres millimeter millimeters 毫米"),
        "cm": (0.01, "cm centimetre centimetres centimeter centimeters 厘米 公分"),
        "m": (1, "m metre metres meter meters 米"),
        "km": (1000, "km kilometre kilometres kilometer kilometers 公里 千米"),
        "in": (0.0254, 'in inch inches " ″ 英寸 寸'),
        "ft": (0.3048, "ft foot feet 英尺"),
    },
    "power": {"W": (1, "w watt watts 瓦 瓦特"), "kW": (1000, "kw kilowatt kilowatts 千瓦")},
    "data": {
        "MB": (1, "mb megabyte megabytes 兆"),
        "GB": (1000, "gb gig gigs gigabyte gigabytes g流量"),
        "TB": (1_000_000, "tb terabyte terabytes"),
    },
    "data rate": {"Mbps": (1, "mbps mbit/s mb/s 兆每秒"), "Gbps": (1000, "gbps gbit/s gb/s")},
    "time": {
        "s": (1, "s sec secs second seconds 秒 秒钟"),
        "min": (60, "min mins minute minutes 分钟"),
        "h": (3600, "h hr hrs hour hours 小时 个小时"),
        "days": (86_400, "day days 天 日"),
        "weeks": (604_800, "week weeks 周 星期"),
        "months": (2_629_800, "month months mo 个月 月"),
        "years": (31_557_600, "year years yr yrs 年"),
    },
    "rate": {
        "ppm": (1, "ppm pages/min pages/minute 页/分 页/分钟 页每分钟"),
        "ipm": (1, "ipm"),
    },
    "voltage": {"V": (1, "v volt volts 伏 伏特")},
    "charge": {"mAh": (1, "mah 毫安时 毫安"), "Ah": (1000, "ah")},
    "energy": {"Wh": (1, "wh"), "kWh": (1000, "kwh 度电")},
    "frequency": {"Hz": (1, "hz 赫兹"), "kHz": (1000, "khz"), "MHz": (1_000_000, "mhz"), "GHz": (1e9, "ghz")},
    "sound": {"dB": (1, "db decibel decibels db(a) 分贝")},
    "pressure": {"bar": (1, "bar bars 巴")},
    "dots": {"dpi": (1, "dpi")},
    "temperature": {"°C": (1, "°c ℃ celsius 度 摄氏度")},
    "pixels": {"MP": (1, "mp megapixel megapixels 万像素 百万像素")},
    "sheets": {"sheets": (1, "sheet sheets 张")},
    "pages": {"pages": (1, "page pages 页")},
    "cups": {"cups": (1, "cup cups 杯")},
    MONEY: {
        "USD": (1, "$ us$ usd dollar dollars bucks 美元 美金"),
        "EUR": (1, "€ eur euro euros 欧元"),
        "GBP": (1, "£ gbp quid 英镑"),
        "CNY": (1, "¥ ￥ cny rmb yuan 元 块 块钱 元钱 人民币 元人民币"),
        "JPY": (1, "jpy yen 日元"),
        "CHF": (1, "chf francs"),
        "HKD": (1, "hk$ hkd 港币 港元"),
        "TWD": (1, "nt$ twd 新台币"),
    },
}

UNITS: dict[str, Unit] = {
    alias: Unit(kind, name, factor)
    for kind, units in _UNITS.items()
    for name, (factor, aliases) in units.items()
    for alias in aliases.split()
}
"""Every way of writing a unit, in lower case."""

_DIGITS = {sign: value for value, sign in enumerate("零一二三四五六七八九")} | {"两": 2, "〇": 0}
_POWERS = {"十": 10, "百": 100, "千": 1000, "万": 10_000}

NUMBER = (
    r"(?:\d{1,3}(?:\.\d{3})+,\d+|\d{1,3}(?:[,']\d{3})+(?:\.\d+)?|\d+(?:[.,]\d+)?)"
    r"(?:\s?(?:k|thousand|hundred|[十百千万]+)(?![a-z]))?"
    r"|[一二两三四五六七八九][十百千万][一二两三四五六七八九十百千万零〇]*"
)
"""Digits with their separators, a factor behind them, or a Chinese number of ten at least."""

_ASCII_UNITS = "|".join(sorted((re.escape(each) for each in UNITS if each.isascii()), key=len, reverse=True))
_OTHER_UNITS = "|".join(sorted((re.escape(each) for each in UNITS if not each.isascii()), key=len, reverse=True))
_SIGNS = r"us\$|hk\$|nt\$|[$€£¥￥]|(?:usd|eur|gbp|cny|rmb|chf|jpy)\b"
UNIT = rf"(?:[\s-]?(?:{_ASCII_UNITS})(?![a-z0-9])|\s?(?:{_OTHER_UNITS}))"

QUANTITY = re.compile(
    rf"(?:(?P<sign>{_SIGNS})\s?|(?<![a-z0-9_])(?<!\d[.,-])(?<![a-z]-))(?P<number>{NUMBER})(?P<unit>{UNIT})?(?![a-z0-9])"
)
_WHOLE = re.compile(rf"(?:(?P<sign>{_SIGNS})\s?)?(?P<sense>[-+−])?(?P<number>{NUMBER})\s?(?P<unit>[^\d]*)")
_INTERVAL = re.compile(
    rf"(?P<low>{NUMBER})(?P<first>{UNIT})?\s?(?:-|–|—|~|～|to|到|至)\s?(?P<high>{NUMBER})(?P<unit>[^\d]*)"
)


@dataclass(frozen=True, slots=True)
class Quantity:
    """From `low` to `high`, in `unit`; one number is both."""

    low: float
    high: float
    unit: Unit = NO_UNIT

    def in_base(self) -> tuple[float, float]:
        """Low and high in the kind's base unit."""
        return self.low * self.unit.factor, self.high * self.unit.factor


def folded(text: str) -> str:
    """Text as numbers, units and names are looked for in: NFKC, lower case, simplified characters."""
    return simplified(unicodedata.normalize("NFKC", text).lower())


def unit_of(text: str | None) -> Unit | None:
    """The unit that a folded text is; none for no text, None for what is no unit we know."""
    name = (text or "").strip(" -\t.")
    return UNITS.get(name) if name else NO_UNIT


def number_of(text: str) -> float:
    """The number in a folded text that `NUMBER` matched."""
    text = text.strip()
    match = re.fullmatch(r"([\d.,']*)\s?(k|thousand|hundred|[十百千万]+)?", text)
    if match is None or not match[1].strip():
        return _chinese_number(text)
    digits = match[1].strip().replace("'", "")
    if re.fullmatch(r"\d{1,3}(\.\d{3})+,\d+", digits):
        digits = digits.replace(".", "")
    elif re.fullmatch(r"\d{1,3}(,\d{3})+(\.\d+)?", digits):
        digits = digits.replace(",", "")
    number = float(digits.replace(",", "."))
    factor = match[2] or ""
    number *= {"k": 1000, "thousand": 1000, "hundred": 100}.get(factor, 1)
    for sign in factor:
        number *= _POWERS.get(sign, 1)
    return number


def quantity_in(text: str) -> Quantity | None:
    """The quantity that a whole value is ("1.7 l", "€ 1,299.00", "36-46"); None for anything else.

    An unknown unit is a kind of its own, so that "3 layers" and "5 layers" can be compared.
    """
    value = folded(text).strip()
    if len(value) > 60:
        return None
    if between := _INTERVAL.fullmatch(value):
        unit = _any_unit(between["unit"] or between["first"])
        low, high = number_of(between["low"]), number_of(between["high"])
        return Quantity(low, high, unit) if unit is not None and low <= high else None
    match = _WHOLE.fullmatch(value)
    if match is None:
        return None
    unit = UNITS[match["sign"]] if match["sign"] else _any_unit(match["unit"])
    if unit is None:
        return None
    number = number_of(match["number"]) * (-1 if match["sense"] in ("-", "−") else 1)
    return Quantity(number, number, unit)


def _any_unit(text: str | None) -> Unit | None:
    known = unit_of(text)
    if known is not None:
        return known
    name = (text or "").strip(" -.")
    return (
        Unit(name, name) if len(name) <= 20 and len(name.split()) <= 2 and not re.search(r"[,;/、()]", name) else None
    )


def _chinese_number(text: str) -> float:
    total = section = digit = 0
    for sign in text:
        if sign == "万":
            total, section, digit = total + (section + digit or 1) * 10_000, 0, 0
        elif sign in _POWERS:
            section, digit = section + (digit or 1) * _POWERS[sign], 0
        else:
            digit = _DIGITS.get(sign, 0)
    return float(total + section + digit)
