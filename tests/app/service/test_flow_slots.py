"""Every type of slot: which answers are one, which are none, and what is taken from a message nobody asked for."""

from datetime import date
from typing import Any

import pytest
from pydantic import TypeAdapter

from app.service.flows.schema import SLOT_TYPES, Slot
from app.service.flows.slots import Asked, labels, values_in, volunteered_in

TODAY = date(2026, 11, 22)  # a Sunday
_SLOT: TypeAdapter[Slot] = TypeAdapter(Slot)

ORDER = {"type": "order_number", "pattern": "(OR|RT)-?[0-9]{5}"}
PAST = {"type": "date", "must_be": "past"}
FUTURE = {"type": "date", "must_be": "future"}
COLOUR = {
    "type": "choice",
    "options": [
        {"value": "red", "label": {"en": "Red", "zh": "红色"}, "also": {"en": ["scarlet"], "zh": ["红"]}},
        {"value": "dark_red", "label": {"en": "Dark red", "zh": "深红色"}},
        {"value": "blue", "label": {"en": "Blue", "zh": "蓝色"}},
    ],
}
FROM_API = {"type": "choice", "options_from": "items"}
EMAIL = {"type": "email"}
MONEY = {"type": "amount", "currencies": ["EUR", "CNY"], "at_most": 100_000}
WORLD = {"type": "amount", "currencies": ["EUR", "USD", "GBP", "CNY"]}
NUMBER = {"type": "number", "at_least": 0, "at_most": 1000}
FRACTION = {"type": "number", "whole": False}
TEXT = {"type": "text", "at_most": 20}
YES_NO = {"type": "yes_no"}


def eur(amount: float) -> dict[str, Any]:
    return {"amount": amount, "currency": "EUR"}


def yuan(amount: float) -> dict[str, Any]:
    return {"amount": amount, "currency": "CNY"}


def usd(amount: float) -> dict[str, Any]:
    return {"amount": amount, "currency": "USD"}


def gbp(amount: float) -> dict[str, Any]:
    return {"amount": amount, "currency": "GBP"}


# (slot, what was said, the value when it was asked for or None, the value when it was not or None)
SAID: list[tuple[dict[str, Any], str, Any, Any]] = [
    (ORDER, "it's or-10023, thanks", "OR-10023", "OR-10023"),
    (ORDER, "我的订单OR-10023到哪了", "OR-10023", "OR-10023"),
    (ORDER, "ＯＲ－１００２３", "OR-10023", "OR-10023"),
    (ORDER, "OR-100234", None, None),
    (ORDER, "XOR-10023", None, None),
    (ORDER, "OR-10023 or RT-10024", None, None),
    (ORDER, "10023", None, None),
    (PAST, "2026-03-05", "2026-03-05", "2026-03-05"),
    (PAST, "on March 5th", "2026-03-05", "2026-03-05"),
    (PAST, "5 Dec", "2025-12-05", "2025-12-05"),
    (FUTURE, "5 Dec", "2026-12-05", "2026-12-05"),
    (PAST, "05.03.2026", "2026-03-05", "2026-03-05"),
    (PAST, "yesterday", "2026-11-21", "2026-11-21"),
    (PAST, "last monday", "2026-11-16", "2026-11-16"),
    (FUTURE, "next friday", "2026-11-27", "2026-11-27"),
    (PAST, "two weeks ago", "2026-11-08", "2026-11-08"),
    (PAST, "2026年3月5日", "2026-03-05", "2026-03-05"),
    (PAST, "三月五号买的", "2026-03-05", "2026-03-05"),
    (PAST, "前天", "2026-11-20", "2026-11-20"),
    (FUTURE, "后天", "2026-11-24", "2026-11-24"),
    (FUTURE, "大后天", "2026-11-25", "2026-11-25"),
    (PAST, "上周三", "2026-11-11", "2026-11-11"),
    (FUTURE, "下周一", "2026-11-23", "2026-11-23"),
    (PAST, "三天前", "2026-11-19", "2026-11-19"),
    (FUTURE, "两周后", "2026-12-06", "2026-12-06"),
    (PAST, "15号", "2026-11-15", None),
    (FUTURE, "二十五号吧", "2026-11-25", None),
    (PAST, "31号", "2026-10-31", None),
    (PAST, "我在15号楼", None, None),
    (PAST, "上个月5号", "2026-10-05", "2026-10-05"),
    (PAST, "上月三十一日", "2026-10-31", "2026-10-31"),
    (FUTURE, "下个月5号", "2026-12-05", "2026-12-05"),
    (PAST, "这个月五号", "2026-11-05", "2026-11-05"),
    (PAST, "on the 15th", "2026-11-15", None),
    (PAST, "the 25th.", "2026-10-25", None),
    (PAST, "the 5th of last month", "2026-10-05", "2026-10-05"),
    (PAST, "on the 2nd floor, the 3rd one", None, None),
    (PAST, "一百天前", "2026-08-14", "2026-08-14"),
    (PAST, "一百二十天前", "2026-07-25", "2026-07-25"),
    (PAST, "前年3月5日", "2024-03-05", "2024-03-05"),
    (PAST, "大前年三月五日", "2023-03-05", "2023-03-05"),
    (FUTURE, "后年3月5日", "2028-03-05", "2028-03-05"),
    (PAST, "周三周四", None, None),
    (PAST, "星期三号码没了", "2026-11-18", "2026-11-18"),
    (PAST, "三個月前", "2026-08-24", "2026-08-24"),
    (PAST, "tomorrow", None, None),
    (FUTURE, "2026-03-05", None, None),
    (PAST, "31.02.2026", None, None),
    (PAST, "may I send it back", None, None),
    (PAST, "from March 5 to March 9", None, None),
    (COLOUR, "the red one please", "red", "red"),
    (COLOUR, "dark red", "dark_red", "dark_red"),
    (COLOUR, "scarlet!", "red", "red"),
    (COLOUR, "深红色的", "dark_red", "dark_red"),
    (COLOUR, "我要蓝色", "blue", "blue"),
    (COLOUR, "2", "dark_red", None),
    (COLOUR, "第三个", "blue", None),
    (COLOUR, "dark", "dark_red", None),
    (COLOUR, "red or blue", None, None),
    (COLOUR, "I am bored", None, None),
    (FROM_API, "the coffee machine", "LT-300", None),
    (FROM_API, "LT-300", "LT-300", "LT-300"),
    (FROM_API, "滤水芯", "WF-3", "WF-3"),
    (EMAIL, "Anna.B+x@Example.co.uk is mine.", "anna.b+x@example.co.uk", "anna.b+x@example.co.uk"),
    (EMAIL, "anna@example", None, None),
    (EMAIL, "a@b.example c@d.example", None, None),
    (EMAIL, "我的邮箱是anna@example.cn", "anna@example.cn", "anna@example.cn"),
    (MONEY, "€1,299.50", eur(1299.5), eur(1299.5)),
    (MONEY, "1.299,50 euros", eur(1299.5), eur(1299.5)),
    (MONEY, "about 1.299 EUR", eur(1299.0), eur(1299.0)),
    (MONEY, "200 元以下", yuan(200.0), yuan(200.0)),
    (MONEY, "1.5万元", yuan(15000.0), yuan(15000.0)),
    (MONEY, "￥99", yuan(99.0), yuan(99.0)),
    (MONEY, "200", eur(200.0), None),
    (MONEY, "200 dollars", None, None),
    (MONEY, "200000 euros", None, None),
    (WORLD, "200块5", yuan(200.5), yuan(200.5)),
    (WORLD, "200块50", yuan(200.5), yuan(200.5)),
    (WORLD, "5块5分", yuan(5.05), yuan(5.05)),
    (WORLD, "三块五毛", yuan(3.5), None),
    (WORLD, "200块5天内退", yuan(200.0), yuan(200.0)),
    (WORLD, "1万5千", eur(15000.0), None),
    (WORLD, "1万5元", yuan(15000.0), yuan(15000.0)),
    (WORLD, "三百元", yuan(300.0), yuan(300.0)),
    (WORLD, "我付了两百块", yuan(200.0), yuan(200.0)),
    (WORLD, "二十塊錢", yuan(20.0), yuan(20.0)),
    (WORLD, "一千二", eur(1200.0), None),
    (WORLD, "一千零二元", yuan(1002.0), yuan(1002.0)),
    (WORLD, "我们一块去", yuan(1.0), None),
    (WORLD, "十分满意", None, None),
    (WORLD, "人民币200", yuan(200.0), yuan(200.0)),
    (WORLD, "200块美金", usd(200.0), usd(200.0)),
    (WORLD, "200加元", None, None),
    (WORLD, "200卢布", None, None),
    (WORLD, "200到300元", None, None),
    (WORLD, "块200", None, None),
    (WORLD, "5 pounds 50", gbp(5.5), gbp(5.5)),
    (WORLD, "5 pounds and 5 pence", gbp(5.05), gbp(5.05)),
    (WORLD, "5 pounds 5", None, None),
    (WORLD, "I paid 20 euros 15 days ago", eur(20.0), eur(20.0)),
    (WORLD, "pounds 50", None, None),
    (WORLD, "20 US dollars", usd(20.0), usd(20.0)),
    (WORLD, "about 20 bucks", usd(20.0), usd(20.0)),
    (WORLD, "US$20", usd(20.0), usd(20.0)),
    (WORLD, "USD 20", usd(20.0), usd(20.0)),
    (WORLD, "20 Canadian dollars", None, None),
    (WORLD, "A$20", None, None),
    (WORLD, "$20 CAD", None, None),
    (WORLD, "20 zł", None, None),
    (WORLD, "3 items", None, None),
    (WORLD, "1 299 €", eur(1299.0), eur(1299.0)),
    (WORLD, "1 299,50", eur(1299.5), None),
    (WORLD, "5k", eur(5000.0), None),
    (WORLD, "two hundred dollars", usd(200.0), usd(200.0)),
    (WORLD, "two hundred and five dollars", None, None),
    (WORLD, "200 - 300 euros", None, None),
    (WORLD, "quantity 200, thanks", eur(200.0), None),
    (NUMBER, "3", 3, None),
    (NUMBER, "要3个", 3, None),
    (NUMBER, "二十五个", 25, None),
    (NUMBER, "3-5", None, None),
    (NUMBER, "two", 2, None),
    (NUMBER, "两个", 2, None),
    (NUMBER, "2.5", None, None),
    (NUMBER, "-3", None, None),
    (NUMBER, "this one is quite good", None, None),
    (FRACTION, "2.5", 2.5, None),
    (FRACTION, "-3", -3, None),
    (TEXT, " it leaks ", "it leaks", None),
    (TEXT, "it leaks from below and above", None, None),
    (YES_NO, "yes please", True, None),
    (YES_NO, "No, thanks.", False, None),
    (YES_NO, "好的，谢谢", True, None),
    (YES_NO, "不用了", False, None),
    (YES_NO, "yes and no", None, None),
    (YES_NO, "maybe", None, None),
]
ITEMS = (
    {"value": "LT-300", "label": {"en": "LT-300 coffee machine", "zh": "LT-300 咖啡机"}},
    {"value": "WF-3", "label": {"en": "Water filter", "zh": "滤水芯"}},
    {"odd": 1},
    "nothing",
)


@pytest.mark.parametrize(("slot", "text", "asked", "unasked"), SAID, ids=[f"{s['type']}: {t}" for s, t, *_ in SAID])
def test_what_a_message_means(slot: dict[str, Any], text: str, asked: Any, unasked: Any) -> None:
    of = _SLOT.validate_python(slot)
    circumstances = Asked(TODAY, ITEMS if slot is FROM_API else ())  # type: ignore[arg-type]
    values = values_in(of, text, circumstances)
    assert (values[0] if len(values) == 1 else None) == asked
    volunteered = volunteered_in(of, text, circumstances)
    assert (volunteered[0] if len(volunteered) == 1 else None) == unasked


def test_no_type_is_left_out() -> None:
    assert {slot["type"] for slot, *_ in SAID} == set(SLOT_TYPES)


def test_what_can_be_chosen_is_offered_in_words() -> None:
    assert labels(_SLOT.validate_python(COLOUR), Asked(TODAY), "zh") == ["红色", "深红色", "蓝色"]
    assert labels(_SLOT.validate_python(FROM_API), Asked(TODAY, ITEMS), "en") == [  # type: ignore[arg-type]
        "LT-300 coffee machine",
        "Water filter",
    ]
    assert labels(_SLOT.validate_python(YES_NO), Asked(TODAY), "en") == ["Yes", "No"]
    assert labels(_SLOT.validate_python(TEXT), Asked(TODAY), "en") == []
