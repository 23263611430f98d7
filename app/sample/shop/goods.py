"""What the demonstration shop sells: the two machines of the sample manual, what one needs for them, and its catalogue.

Owns names, prices and words in English and Chinese. Knows no HTML.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Language = Literal["en", "zh"]
Words = Mapping[Language, str]

CURRENCY = "€"
CATALOGUE = Path(__file__).with_name("catalogue.csv")
"""What flows search. Every product of it has a page."""


@dataclass(frozen=True, slots=True)
class Article:
    """`points` are what the page lists; `product` is how the manuals name it, where they do."""

    sku: str
    name: Words
    line: Words
    price: int
    drawing: str
    product: str | None = None
    points: tuple[tuple[Words, Words], ...] = ()

    @property
    def path(self) -> str:
        return f"products/{self.sku.lower()}"


def _words(english: str, chinese: str) -> Words:
    return {"en": english, "zh": chinese}


def _point(name: tuple[str, str], value: tuple[str, str]) -> tuple[Words, Words]:
    return _words(*name), _words(*value)


MACHINES = (
    Article(
        "LT-300",
        _words("Orvello LT-300", "奥维洛 LT-300"),
        _words("Six drinks, a steam wand, and nothing in the way.", "六种饮品，手动蒸汽，简单好用。"),
        649,
        "lt-300.svg",
        "LT-300",
        (
            _point(("Milk", "牛奶"), ("Steam wand, by hand", "蒸汽管，手动打奶")),
            _point(("Water tank", "水箱"), ("1.8 L", "1.8 升")),
            _point(("Bean hopper", "豆仓"), ("250 g", "250 克")),
            _point(("Ready to brew after", "预热时间"), ("45 s", "45 秒")),
            _point(("Grinder", "磨豆器"), ("Steel, 8 settings", "钢制，8 档")),
            _point(("Warranty", "保修"), ("24 months", "24 个月")),
        ),
    ),
    Article(
        "LT-300S",
        _words("Orvello LT-300S", "奥维洛 LT-300S"),
        _words("Fourteen drinks, milk by itself, ready in 28 seconds.", "十四种饮品，自动奶泡，28 秒即可冲煮。"),
        899,
        "lt-300s.svg",
        "LT-300S",
        (
            _point(("Milk", "牛奶"), ("Milk container, automatic", "奶壶，自动")),
            _point(("Water tank", "水箱"), ("2.4 L", "2.4 升")),
            _point(("Bean hopper", "豆仓"), ("350 g", "350 克")),
            _point(("Ready to brew after", "预热时间"), ("28 s", "28 秒")),
            _point(("Grinder", "磨豆器"), ("Ceramic, 13 settings", "陶瓷，13 档")),
            _point(("Warranty", "保修"), ("36 months", "36 个月")),
        ),
    ),
)

ACCESSORIES = (
    Article(
        "DS-15",
        _words("Descaler DS-15", "除垢剂 DS-15"),
        _words("One descaling of the LT-300S", "LT-300S 除垢一次用量"),
        12,
        "bottle.svg",
    ),
    Article(
        "WF-4",
        _words("Water filter WF-4", "滤水芯 WF-4"),
        _words("For 80 litres, LT-300S", "可过滤 80 升，适用 LT-300S"),
        19,
        "filter.svg",
    ),
    Article(
        "CT-20",
        _words("Cleaning tablets CT-20", "清洁片 CT-20"),
        _words("Pack of 10, both models", "10 片装，两款通用"),
        14,
        "tablets.svg",
    ),
    Article(
        "TB-30",
        _words("Transport box TB-30", "运输箱 TB-30"),
        _words("For moving, or sending it in", "搬家或送修时使用"),
        25,
        "box.svg",
    ),
)


def _from_catalogue() -> list[Article]:
    with CATALOGUE.open(encoding="utf-8", newline="") as file:
        return [
            Article(
                row["sku"],
                _words(row["name"], row["name_zh"] or row["name"]),
                _words(row["description"], ""),
                round(float(row["price"])),
                "lt-300.svg" if row["category"] == "coffee machine" else "box.svg",
            )
            for row in csv.DictReader(file)
        ]


ARTICLES = {article.path: article for article in (*_from_catalogue(), *MACHINES, *ACCESSORIES)}
"""By the path of its page. Those with words of their own go before those of the catalogue."""

QUESTIONS: Mapping[Language, tuple[str, ...]] = {
    "en": ("How long does descaling take on the LT-300S?", "Where is my order?", "I would like to return something"),
    "zh": ("LT-300S 除垢需要多长时间？", "我的订单到哪里了？", "我想退货"),
}
"""What a visitor may ask with one click."""
