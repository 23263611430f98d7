"""The two flows that ship, against the demonstration shop behind a real socket, in both languages."""

import shutil
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from app.db import Database
from app.sample.shop.api import FAILING, HUGE, MALFORMED, SLOW, Shop
from app.service.decisions.decisions import Decision, Decisions
from app.service.flows.flows import Expectation
from rag.types import AnswerKind
from tests.app.live_app import live
from tests.app.service.flow_stage import AT, SAMPLES, TOKEN, FakeTools, Stage
from tests.conftest import sqlite_database


class ShopTools(FakeTools):
    """Decides with the tables that ship."""

    tables = Decisions(SAMPLES.parent / "decisions")

    def decide(self, table: str, features: Mapping[str, Any]) -> Decision:  # type: ignore[override]
        return self.tables.evaluate(table, features)


@pytest.fixture(scope="module")
def shop_and_url() -> Iterator[tuple[Shop, str]]:
    shop = Shop(TOKEN, today=AT.date(), slow_s=0.6)
    with live(FastAPI(routes=shop.routes)) as client:
        yield shop, str(client.base_url).rstrip("/")


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    with sqlite_database(tmp_path_factory.mktemp("database")) as opened:
        yield opened


@pytest.fixture
def shop(shop_and_url: tuple[Shop, str]) -> Shop:
    shop, _ = shop_and_url
    shop.returns.clear()
    shop.keys.clear()
    shop.requests.clear()
    return shop


@pytest.fixture
def stage(shop: Shop, shop_and_url: tuple[Shop, str], database: Database, tmp_path: Path) -> Stage:
    """The shipped files, with short time-outs."""
    folder = tmp_path / "flows"
    shutil.copytree(SAMPLES, folder)
    for path in folder.glob("*.yaml"):
        path.write_text(path.read_text(encoding="utf-8").replace("timeout_s: 4", "timeout_s: 0.3"), encoding="utf-8")
    return Stage(folder, database, ShopTools(), shop=shop_and_url[1])


def test_a_wrong_order_number_is_asked_for_again_and_then_the_delivery_date_is_said(stage: Stage) -> None:
    assert stage.begin("order_status", "where is my order").text.startswith("What is your order number?")
    assert "OR-12345" in stage.say("it is 10022").text
    assert stage.say("OR-77777").text == "There is no order OR-77777 in our shop. Please look again at the number."
    last = stage.say("sorry: or-10022")
    assert last.text == "Your order OR-10022 is on its way. It will be with you on 24 November 2026."
    assert last.is_over
    assert last.slots == {"order": "OR-10022"}
    assert [call["status"] for call in last.flow["calls"]] == [200]


def test_the_same_in_chinese(stage: Stage) -> None:
    assert stage.begin("order_status", "我的订单到哪了").text.startswith("请提供您的订单号")
    assert stage.say("是一万零二十二号", language="zh").text.startswith("这不像是订单号")
    assert stage.say("ＯＲ－７７７７７", language="zh").text.startswith("我们没有找到订单 OR-77777")
    last = stage.say("OR-10022 谢谢", language="zh")
    assert last.text == "您的订单 OR-10022 已发货，预计 2026年11月24日 送达。"


def test_a_number_in_the_first_message_is_not_asked_for(stage: Stage) -> None:
    reply = stage.begin("order_status", "Where is my order OR-10021?")
    assert reply.text == "Your order OR-10021 was delivered on 12 November 2026."
    assert reply.is_over


def test_three_wrong_numbers_call_a_person(stage: Stage) -> None:
    stage.begin("order_status")
    stage.say("123")
    stage.say("OR-77777")  # of the right form, but there is none
    last = stage.say("456")
    assert last.kind is AnswerKind.HAND_OFF
    assert last.hand_off is not None
    assert last.hand_off.skill_group == "orders"
    assert "Without the order number" in last.text


@pytest.mark.parametrize(("said", "group"), [("yes please", "orders"), ("no thanks", None)])
def test_a_person_is_offered_for_a_lost_parcel(stage: Stage, said: str, group: str | None) -> None:
    asked = stage.begin("order_status", "OR-10024")
    assert asked.choices == ["Yes", "No"]
    assert "lost" in asked.text
    last = stage.say(said)
    assert last.is_over
    assert (last.hand_off.skill_group if last.hand_off else None) == group


@pytest.mark.parametrize("number", [FAILING, SLOW, MALFORMED, HUGE])
def test_a_shop_that_fails_in_any_way_ends_with_a_person(stage: Stage, number: str) -> None:
    reply = stage.begin("order_status", number)
    assert reply.text.startswith("I cannot look up orders at the moment.")
    assert reply.hand_off is not None
    assert reply.flow["calls"][0]["problem"] or reply.flow["calls"][0]["status"] == 500


def test_a_wrong_token_is_the_shops_trouble_and_is_told_to_nobody(stage: Stage) -> None:
    stage.tools.secrets["SHOP_TOKEN"] = "another-token-123"
    reply = stage.begin("order_status", "OR-10022")
    assert reply.hand_off is not None
    assert reply.flow["calls"][0]["status"] == 401
    assert "another-token-123" not in repr(reply)


def test_a_return_from_the_first_word_to_its_number(stage: Stage, shop: Shop) -> None:
    first = stage.begin("return", "I want to return something from OR-10021, it arrived damaged")
    assert first.text == "Which item do you want to send back?"
    assert first.choices == ["LT-300 coffee machine", "Water filter, pack of 3"]
    second = stage.say("the coffee machine")
    assert second.text == (
        "Empty the pipes [1]. Pack it upright [2].\n\n"
        "I would register the return of LT-300 coffee machine from order OR-10021; reason: It arrived damaged. "
        "Is that right?"
    )
    assert [each.quote for each in second.citations] == ["Empty the pipes.", "Pack it upright."]
    decided = second.details["decisions"][0]
    assert (decided["table"], decided["result"], decided["score"]) == ("refund_risk", "approve", 0.1)
    assert [each["rule"] for each in decided["fired"]] == ["faulty"]
    assert decided["inputs"] == {
        "amount": 649.0,
        "days_since_delivery": 10,
        "reason": "damaged",
        "returns_before": 0,
        "sentiment": 0.0,
    }
    last = stage.say("yes")
    assert last.text == "Done. Your return number is RT-5001. Write it on the outside of the parcel."
    assert shop.returns["RT-5001"] == {
        "number": "RT-5001",
        "order": "OR-10021",
        "sku": "LT-300",
        "reason": "damaged",
    }


def test_a_return_in_chinese(stage: Stage, shop: Shop) -> None:
    assert stage.begin("return", "我要退货").text.startswith("请提供订单号")
    assert stage.say("OR-10021", language="zh").choices == ["LT-300 咖啡机", "滤水芯（3 个装）"]
    assert stage.say("咖啡机").choices == ["无法正常使用", "收到时已损坏", "发错商品", "不想要了"]
    asked = stage.say("它坏了")
    assert asked.choices == ["是", "否"]
    assert "LT-300 咖啡机" in asked.text
    assert "无法正常使用" in asked.text
    assert stage.say("好的，确认").text.startswith("已办理。您的退货编号是 RT-5001")


def test_a_turn_made_again_after_a_crash_makes_no_second_return(stage: Stage, shop: Shop) -> None:
    stage.begin("return", "return OR-10021, the water filter, pack of 3: it does not work")
    before = stage.state
    assert stage.say("yes").text.startswith("Done. Your return number is RT-5001")
    stage.state, stage.turns = before, stage.turns - 1
    assert stage.say("yes").text.startswith("Done. Your return number is RT-5001")
    assert len(shop.returns) == 1
    stage.state = before  # stopped before it was kept: the customer says it in another message
    assert stage.say("yes").text.startswith("Done. Your return number is RT-5001")
    assert len(shop.returns) == 1
    stage.begin("return", "return OR-10021, the water filter, pack of 3: it does not work")
    assert stage.say("yes").text.startswith("There is a return for Water filter")  # another run, another key


@pytest.mark.parametrize(
    ("order", "says", "group"),
    [
        ("OR-10025", "was delivered 95 days ago", None),
        ("OR-10027", "A colleague has to look", "returns"),
        ("OR-10022", "has not been delivered", None),
        ("OR-88888", "There is no order OR-88888", None),
        (FAILING, "I cannot reach our shop", "returns"),
    ],
)
def test_returns_that_are_none(stage: Stage, shop: Shop, order: str, says: str, group: str | None) -> None:
    reply = stage.begin("return", f"return {order}: I don't need it")
    if reply.choices:
        reply = stage.say("the first one")
    assert says in reply.text
    assert (reply.hand_off.skill_group if reply.hand_off else None) == group
    assert shop.returns == {}


@pytest.mark.parametrize(
    "said", ["Return OR-10025, I am furious, this is ridiculous", "我要退货，OR-10025，太差了，我要投诉"]
)
def test_an_upset_customer_is_not_refused_by_a_table_alone(stage: Stage, said: str) -> None:
    """How they sound is known from an earlier message than the one after which it is decided."""
    stage.begin("return", said)
    stage.say("the first one" if said.isascii() else "第一个")
    reply = stage.say("I don't need it" if said.isascii() else "不需要了")
    (decided,) = reply.details["decisions"]
    assert (decided["inputs"]["sentiment"], decided["fired"][0]["rule"]) == (-1.0, "changed_mind_late_upset")
    assert reply.hand_off is not None


def test_an_interruption_leaves_the_flow_where_it_was(stage: Stage) -> None:
    stage.begin("return", "I want to return OR-10021")
    before = stage.state
    assert stage.expects("How long is the warranty?") is Expectation.OTHER
    assert stage.expects("I want to talk to a human") is Expectation.OTHER
    assert stage.flows.reminder(before or {}, "en") == "Back to “Return”: Which item do you want to send back?"
    assert stage.flows.reminder(before or {}, "zh") == "回到“退货”：您想退回哪件商品？"
    assert stage.flows.choices(before or {}, "zh") == ["LT-300 咖啡机", "滤水芯（3 个装）"]
    assert stage.expects("the water filter") is Expectation.FITS
    assert stage.say("water filter").text == "Why do you want to send it back?"


@pytest.mark.parametrize("said", ["cancel", "Never mind!", "取消", "算了吧", "forget it, thanks", "不用了"])
def test_it_can_be_cancelled_at_any_step(stage: Stage, said: str) -> None:
    stage.begin("return", "I want to return OR-10021")
    assert stage.expects(said) is Expectation.CANCEL
    reply = stage.say(said)
    assert reply.is_over
    assert reply.text.startswith(("All right, I have stopped this: Return", "好的，已停止：退货"))


def test_the_shop_is_the_same_at_every_start_and_counts_from_today() -> None:
    assert Shop(TOKEN, today=date(2026, 1, 1))._order_data("OR-10022")["delivery"] == "2026-01-03"
