"""What a text gives measures of: "Water tank | 1.8 L" says a capacity, and nobody has to write the word.

Owns which properties are measured in which units. A property is known by the terms that questions name it with, as
`terms.content_terms` makes them, so that a measure counts like the word.
"""

import re
from functools import cache

from rag.answerers.extractive.terms import content_terms
from rag.answerers.generative.units import UNIT_PATTERN, unit_named

_PROPERTIES = (
    ("capacity volume hold 容量 容积", "ml l oz mAh KB MB GB TB"),
    ("weight weigh mass 重量 净重", "mg g kg lb oz"),
    ("temperature 温度", "°C °F °"),
    ("voltage 电压", "mV V kV"),
    ("power wattage consumption 功率 功耗", "mW W kW MW kWh"),
    ("current 电流", "mA A"),
    ("frequency 频率", "Hz kHz MHz GHz"),
    ("pressure 压力 气压", "bar mbar Pa hPa kPa MPa psi"),
    ("noise loudness 噪音 噪声", "dB"),
    ("size dimension length width height depth thickness 尺寸 长度 宽度 高度 深度", "mm cm m inch ft"),
    ("distance diameter 距离 直径", "mm cm m km inch ft"),
    ("duration last 时长", "ms s min h"),
    ("speed 速度 转速", "rpm km/h mph Mbps MB/s Gbps"),
    ("torque 扭矩", "Nm"),
    ("resistance 电阻", "Ω"),
    ("resolution 分辨率", "MP px dpi"),
    ("price cost 价格 费用", "USD EUR CNY TWD"),
)
_MEASURE = re.compile(rf"(?<![A-Za-z0-9_-])\d[\d.,]*(?:\s?[–-]\s?\d[\d.,]*)?\s?({UNIT_PATTERN})")


def measured_in(text: str) -> frozenset[str]:
    """The terms of all properties that `text` gives a measure of."""
    units = {unit_named(spelling) for spelling in _MEASURE.findall(text.replace("℃", "°C"))}
    return frozenset().union(*(_properties_in(unit) for unit in units))


@cache
def _properties_in(unit: str) -> frozenset[str]:
    named = (words for words, units in _PROPERTIES if unit in units.split())
    return frozenset(term for words in named for word in words.split() for term in content_terms(word))
