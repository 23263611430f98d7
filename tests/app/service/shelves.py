"""Small catalogues of different trades, written by hand, with what questions to them must find.

Each question has the filter a person would make of it, as a function over a row; tests and `benchmarks/catalogue.py`
compare the catalogue's filters with it.
"""

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Asked:
    """`fits` says which rows fulfil the question; `first` is the SKU that must come first, "" where any may."""

    text: str
    fits: Callable[[Row], bool]
    first: str = ""


@dataclass(frozen=True)
class Shelf:
    """`rows` have their SKU under `sku` besides the file's own name for it."""

    name: str
    rows: tuple[Row, ...]
    asked: tuple[Asked, ...]

    def write(self, path: Path) -> Path:
        """The catalogue as a CSV file."""
        names = list(dict.fromkeys(name for row in self.rows for name in row))
        first = next(iter(self.rows[0]))
        names = [name for name in names if name != "sku" or first == "sku"]
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, names, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(self.rows)
        return path


def _rows(header: str, table: str) -> tuple[Row, ...]:
    names = [name.strip() for name in header.split("|")]
    lines = [line for line in table.strip().splitlines() if line.strip()]
    cells = [[cell.strip() for cell in line.split("|")] for line in lines]
    rows = [{name: cell for name, cell in zip(names, each, strict=True) if cell} for each in cells]
    return tuple(row | {"sku": row[names[0]]} for row in rows)


def _n(row: Row, name: str) -> float:
    """The number at the beginning of a cell; -1 where there is none."""
    cell = row.get(name, "")
    digits = "".join(sign for sign in cell.split(" ")[0] if sign in "0123456789.")
    return float(digits) if digits else -1.0


SHOES = Shelf(
    "shoes",
    _rows(
        "sku | name | price | currency | brand | category | colour | material | weight | waterproof | gender | sizes",
        """
        S1 | Ridge Walker | 149.00 | USD | Norrheim | hiking boot | brown | leather | 620 g | yes | men | 40-47
        S2 | Ridge Walker W | 149.00 | USD | Norrheim | hiking boot | grey | leather, mesh | 540 g | yes | women | 36-42
        S3 | Fell Trail 3 | 119.00 | USD | Kestrel | trail shoe | black | mesh | 280 g | no | men | 39-46
        S4 | Fell Trail 3 GTX | 159.00 | USD | Kestrel | trail shoe | black, red | mesh | 310 g | yes | unisex | 36-47
        S5 | City Runner | 89.00 | USD | Kestrel | running shoe | white | mesh | 230 g | no | women | 35-41
        S6 | City Runner M | 89.00 | USD | Kestrel | running shoe | blue | mesh | 255 g | no | men | 40-46
        S7 | Harbour Sandal | 59.00 | USD | Lidao | sandal | brown | leather | 350 g | no | women | 36-41
        S8 | Puddle Boot | 39.00 | USD | Lidao | rain boot | yellow | rubber | 0.7 kg | yes | kids | 24-34
        S9 | Court Classic | 75.00 | USD | Lidao | sneaker | white, green | leather | 390 g | no | unisex | 36-46
        S10 | Winter Lodge | 210.00 | USD | Norrheim | winter boot | black | suede, wool | 0.82 kg | yes | women | 36-42
        """,
    ),
    (
        Asked("waterproof shoes under 150 dollars", lambda r: r["waterproof"] == "yes" and _n(r, "price") < 150),
        Asked("防水 150 美元以下", lambda r: r["waterproof"] == "yes" and _n(r, "price") <= 150),
        Asked("black or white shoes for women", lambda r: r["gender"] == "women" and r["sku"] in ("S5", "S10")),
        Asked("lightest shoe without leather", lambda r: "leather" not in r["material"], "S5"),
        Asked("不要皮革的，最便宜的", lambda r: "leather" not in r["material"], "S8"),
        Asked("something lighter than 0.3 kg", lambda r: r["sku"] in ("S3", "S5", "S6")),
        Asked("300克以内的鞋", lambda r: r["sku"] in ("S3", "S5", "S6")),
        Asked("Kestrel between 80 and 120", lambda r: r["brand"] == "Kestrel" and 80 <= _n(r, "price") <= 120),
        Asked("Norrheim 女款 靴子", lambda r: r["brand"] == "Norrheim" and r["gender"] == "women"),
        Asked("cheapest waterproof boot in size 45", lambda r: r["sku"] in ("S1", "S4"), "S1"),
        Asked("not waterproof, at most 75 dollars", lambda r: r["sku"] in ("S7", "S9")),
        Asked("hiking boots around 150", lambda r: r["category"] == "hiking boot"),
    ),
)

KETTLES = Shelf(
    "kettles (Chinese)",
    _rows(
        "货号 | 名称 | 价格 | 币种 | 库存 | 容量 | 功率 | 材质 | 颜色 | 保温 | 重量",
        """
        K1 | 经典电水壶 | 129 | CNY | 20 | 1.7升 | 1800瓦 | 不锈钢 | 银色 | 否 | 1.1公斤
        K2 | 恒温电水壶 | 299 | CNY | 5 | 1.5升 | 1500瓦 | 不锈钢 | 黑色 | 是 | 1.3公斤
        K3 | 玻璃养生壶 | 239 | CNY | 0 | 1.8升 | 1000瓦 | 玻璃 | 白色 | 是 | 1.6公斤
        K4 | 旅行电水壶 | 99 | CNY | 42 | 600毫升 | 700瓦 | 塑料 | 粉色 | 否 | 500克
        K5 | 手冲细嘴壶 | 359 | CNY | 8 | 900毫升 | 1200瓦 | 不锈钢 | 黑色 | 是 | 950克
        K6 | 大容量烧水壶 | 159 | CNY | 13 | 3升 | 2.2千瓦 | 不锈钢 | 银色 | 否 | 1.9公斤
        K7 | 儿童安全水壶 | 189 | CNY | 7 | 1升 | 1kW | 塑料 | 蓝色 | 是 | 800克
        """,
    ),
    (
        Asked("200元以下的不锈钢水壶", lambda r: r["材质"] == "不锈钢" and _n(r, "价格") <= 200),
        Asked("stainless steel kettle under 200 yuan", lambda r: r["材质"] == "不锈钢" and _n(r, "价格") < 200),
        Asked("带保温的，1升以上", lambda r: r["sku"] in ("K2", "K3", "K7")),
        Asked("keep warm and at least 1.5 litres", lambda r: r["sku"] in ("K2", "K3")),
        Asked("不要塑料，黑色", lambda r: r["颜色"] == "黑色"),
        Asked("三百到五百元", lambda r: 300 <= _n(r, "价格") <= 500),
        Asked("最轻的水壶", lambda r: True, "K4"),
        Asked("largest capacity", lambda r: True, "K6"),
        Asked("有现货 玻璃或者塑料的", lambda r: r["sku"] in ("K4", "K7")),
        Asked("功率不超过1000瓦", lambda r: r["sku"] in ("K3", "K4", "K7")),
        Asked("more than 1.5 kW", lambda r: r["sku"] in ("K1", "K6")),
    ),
)

PRINTERS = Shelf(
    "printers",
    _rows(
        "id | product | price_eur | stock | technology | speed | duplex | wifi | scanner | paper tray | weight (kg)",
        """
        P1 | Inkline 210 | 79.90 | 12 | inkjet | 9 ppm | no | yes | yes | 60 sheets | 4.1
        P2 | Inkline 540 | 149.00 | 3 | inkjet | 17 ppm | yes | yes | yes | 150 sheets | 7.9
        P3 | Lasero 30 | 129.00 | 8 | laser | 30 ppm | yes | no | no | 250 sheets | 9.5
        P4 | Lasero 34W | 189.00 | 0 | laser | 34 ppm | yes | yes | no | 250 sheets | 10.2
        P5 | Lasero C60 | 429.00 | 2 | colour laser | 28 ppm | yes | yes | yes | 300 sheets | 21
        P6 | Labelo T1 | 99.00 | 30 | thermal | 12 ppm | no | no | no |  | 1.3
        P7 | Workhorse 5500 | 899.00 | 1 | laser | 55 ppm | yes | yes | yes | 1,100 sheets | 38.5
        """,
    ),
    (
        Asked("laser printer with wifi under 200 euros", lambda r: r["technology"] == "laser" and r["sku"] == "P4"),
        Asked("无线 激光 打印机 200欧元以内", lambda r: r["sku"] == "P4"),
        Asked("at least 30 ppm", lambda r: _n(r, "speed") >= 30),
        Asked("双面打印，每分钟至少30页", lambda r: r["duplex"] == "yes" and _n(r, "speed") >= 30),
        Asked("printer with scanner, no more than 10 kg", lambda r: r["sku"] in ("P1", "P2")),
        Asked("fastest printer below 500", lambda r: _n(r, "price_eur") < 500, "P4"),
        Asked("without wifi", lambda r: r["wifi"] == "no"),
        Asked("not inkjet, in stock, 100 to 500 €", lambda r: r["sku"] in ("P3", "P5")),
        Asked("tray for 250 sheets or more", lambda r: r["sku"] in ("P3", "P4", "P5", "P7")),
        Asked("最便宜的激光打印机", lambda r: r["technology"] == "laser", "P3"),
    ),
)

PLANS = Shelf(
    "phone plans",
    _rows(
        "sku | name | monthly price | currency | data | minutes | contract | 5G | roaming | network",
        """
        T1 | Start | 7.99 | GBP | 2 GB | 250 | 1 month | no | no | Aire
        T2 | Start Plus | 12.00 | GBP | 10 GB | 1000 | 12 months | yes | yes | Aire
        T3 | Travel | 18.00 | GBP | 20 GB | 1000 | 1 month | yes | yes | Vela
        T4 | Family | 32.00 | GBP | 100 GB | 5000 | 24 months | yes | yes | Vela
        T5 | Data Only | 15.00 | GBP | 60 GB |  | 12 months | yes | no | Aire
        T6 | Senior | 5.50 | GBP | 500 MB | 500 | 24 months | no | no | Vela
        """,
    ),
    (
        Asked("at least 20 GB under 20 pounds", lambda r: r["sku"] in ("T3", "T5")),
        Asked("20GB以上 20英镑以下", lambda r: r["sku"] in ("T3", "T5")),
        Asked("5g with roaming, up to £18", lambda r: r["sku"] in ("T2", "T3")),
        Asked("more than 500 minutes", lambda r: r["sku"] in ("T2", "T3", "T4")),
        Asked("合约不超过12个月的 5G", lambda r: r["sku"] in ("T2", "T3", "T5")),
        Asked("contract of at most 12 months", lambda r: r["sku"] in ("T1", "T2", "T3", "T5")),
        Asked("流量最多的套餐", lambda r: True, "T4"),
        Asked("cheapest plan on Vela", lambda r: r["network"] == "Vela", "T6"),
        Asked("less than 5000 MB", lambda r: r["sku"] in ("T1", "T6")),
    ),
)

BICYCLES = Shelf(
    "bicycles (held out)",
    _rows(
        "article number | title | price (CHF) | quantity | kind | frame | gears | weight | motor | range | folding"
        " | wheel size",
        """
        B1 | Alp 9 | 2,499.00 | 2 | mountain bike | carbon | 12 | 11.2 kg | no |  | no | 29 in
        B2 | Alp 5 | 1,199.00 | 6 | mountain bike | aluminium | 11 | 13.8 kg | no |  | no | 29 in
        B3 | Volt City | 2,890.00 | 3 | city bike | aluminium | 8 | 24.5 kg | yes | 90 km | no | 28 in
        B4 | Volt Fold | 1,990.00 | 0 | folding bike | aluminium | 3 | 17.9 kg | yes | 45 km | yes | 20 in
        B5 | Pocket | 690.00 | 9 | folding bike | steel | 3 | 11.9 kg | no |  | yes | 16 in
        B6 | Rue | 549.00 | 14 | city bike | steel | 7 | 15.5 kg | no |  | no | 28 in
        B7 | Gravel One | 1,790.00 | 4 | gravel bike | carbon | 12 | 8.9 kg | no |  | no | 28 in
        B8 | Volt Alp | 4,750.00 | 1 | mountain bike | carbon | 12 | 22.1 kg | yes | 120 km | no | 29 in
        """,
    ),
    (
        Asked("mountain bike under 2000 francs", lambda r: r["sku"] == "B2"),
        Asked("carbon frame, lighter than 12 kg", lambda r: r["sku"] in ("B1", "B7")),
        Asked("碳纤维车架 12公斤以下", lambda r: r["sku"] in ("B1", "B7")),
        Asked("folding bike without a motor", lambda r: r["sku"] == "B5"),
        Asked("bike with motor and a range of at least 80 km", lambda r: r["sku"] in ("B3", "B8")),
        Asked("lightest bike", lambda r: True, "B7"),
        Asked("at least 8 gears, not carbon", lambda r: r["sku"] in ("B2", "B3")),
        Asked("可折叠的，2000瑞士法郎以下", lambda r: r["sku"] in ("B4", "B5")),
        Asked("28 inch wheels in stock below 1k", lambda r: r["sku"] == "B6"),
        Asked("最贵的山地车", lambda r: r["kind"] == "mountain bike", "B8"),
        Asked("between 1'000 and 2'000 CHF, aluminium or carbon", lambda r: r["sku"] in ("B2", "B4", "B7")),
    ),
)

SHELVES = (SHOES, KETTLES, PRINTERS, PLANS)
HELD_OUT = (BICYCLES,)
"""Written after the reader was finished, and nothing was changed for them."""
