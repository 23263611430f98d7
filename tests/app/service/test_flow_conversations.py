"""Flows as customers meet them: through the HTTP API, every kind of step and type of slot, across a restart.

The router is told which flow a message begins; everything else is the service as it runs.
"""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.bootstrap import Services, build_services
from app.main import create_app
from app.sample.shop.api import Shop
from app.sample.shop.goods import CATALOGUE
from app.service.flows.checks import checked
from app.service.flows.schema import SLOT_TYPES, STEP_KINDS
from app.service.routing.router import Routing
from app.service.sites.visitor_shapes import VisitorMessage
from app.service.turn import Handler, HandOffReason, HandOffWanted
from app.shapes import MessageShape
from app.worker import run_until_idle
from model_runtime.fakes import HashingEmbedder
from tests.app.live_app import live
from tests.app.service.flow_stage import SAMPLES, TOKEN
from tests.conftest import settings_in

MANUAL = "Sending it in. Empty the pipes before sending the machine in. Pack it upright in its box."
EVERYTHING = """\
title: {en: Everything, zh: 全部}
apis:
  shop: {url: "http://127.0.0.1:1", headers: {Authorization: "Bearer ${secret.SHOP_TOKEN}"}}
slots:
  order: {type: order_number, pattern: "OR-[0-9]{5}"}
  mail: {type: email}
  bought: {type: date, must_be: past}
  reason: {type: choice, options: [{value: defective, label: {en: Broken, zh: 坏了}}]}
  paid: {type: amount, currencies: [EUR]}
  pieces: {type: number}
  opened: {type: yes_no}
  why: {type: text}
steps:
  - {id: a, kind: collect, slot: order, ask: {en: Order, zh: 订单号}, otherwise: out}
  - {id: b, kind: collect, slot: mail, ask: {en: E-mail, zh: 邮箱}, otherwise: out}
  - {id: c, kind: collect, slot: bought, ask: {en: Bought when, zh: 购买日期}, otherwise: out}
  - {id: d, kind: collect, slot: reason, ask: {en: Reason, zh: 原因}, otherwise: out}
  - {id: e, kind: collect, slot: paid, ask: {en: Paid, zh: 金额}, otherwise: out}
  - {id: f, kind: collect, slot: pieces, ask: {en: How many, zh: 数量}, otherwise: out}
  - {id: g, kind: collect, slot: opened, ask: {en: Opened, zh: 拆封了吗}, otherwise: out}
  - {id: h, kind: collect, slot: why, ask: {en: Tell me more, zh: 请说明}, otherwise: out}
  - {id: i, kind: call, api: shop, path: "/orders/{order}", take: {days: days_since_delivery},
     on: {404: j}, failed: out, next: k}
  - {id: j, kind: reject, slot: order, text: {en: "No {order}", zh: "没有{order}"}}
  - {id: k, kind: decide, table: refund_risk,
     features: {amount: paid.amount, days_since_delivery: days, reason: reason}, into: risk, failed: out}
  - {id: l, kind: branch, cases: [{if: "risk.result == 'approve' && opened", next: m}], otherwise: out}
  - {id: m, kind: answer, question: {en: What to do before sending the machine in, zh: 寄回前要做什么}}
  - {id: n, kind: search_products, text: {en: Found, zh: 找到}, none: o}
  - {id: o, kind: confirm, text: {en: "{pieces} for {paid}, {bought}, {mail}. A person", zh: 转人工吗}, yes: q, no: p,
     otherwise: q}
  - {id: p, kind: say, text: {en: Bye, zh: 再见}, next: end}
  - {id: q, kind: hand_off, group: returns, note: "{why}"}
  - {id: out, kind: say, text: {en: Sorry, zh: 抱歉}}
"""

A_PERSON = "请帮我转人工"
PERSON = HandOffWanted(HandOffReason.ASKED_FOR, note={"en": "Asked for a person.", "zh": "要求人工客服。"})


class Names:
    """Routes messages that name a flow to it, and everything else to the manuals."""

    def route(self, text: str, **_: Any) -> Routing:
        named = text.partition(":")[0] if ":" in text else None
        return Routing(Handler.FLOW, flow=named) if named else Routing(Handler.KNOWLEDGE)

    def person_asked_for(self, text: str) -> Routing | None:
        return Routing(Handler.HAND_OFF, hand_off=PERSON) if text == A_PERSON else None


def services_in(folder: Path, shop_url: str) -> Services:
    settings = settings_in(folder, service={"flow_api_urls": {"shop": shop_url}})
    services = build_services(settings, embedder=HashingEmbedder())
    services.router = Names()  # type: ignore[assignment]
    return services


@pytest.fixture(scope="module")
def shop_url() -> Iterator[str]:
    with live(FastAPI(routes=Shop(TOKEN, today=datetime.now(UTC).date()).routes)) as client:
        yield str(client.base_url).rstrip("/")


@pytest.fixture
def desk(tmp_path: Path, shop_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    monkeypatch.setenv("ANSWERDESK_SECRET_SHOP_TOKEN", TOKEN)
    services = services_in(tmp_path, shop_url)
    home = services.settings.home_folder
    shutil.copytree(SAMPLES, home / "flows")
    shutil.copytree(SAMPLES.parent / "decisions", home / "decisions")
    (home / "flows/everything.yaml").write_text(EVERYTHING, encoding="utf-8")
    with TestClient(create_app(services), base_url="http://127.0.0.1") as client:
        made = client.post(
            "/api/knowledge-bases", json={"name": "manuals", "settings": {"service": {}, "refuse_below": 0}}
        )
        assert made.status_code == 201, made.text
        files = [("files", ("manual.txt", MANUAL.encode()))]
        client.post("/api/knowledge-bases/manuals/documents", files=files).raise_for_status()
        run_until_idle(services)
        yield SimpleNamespace(client=client, folder=tmp_path, services=services)


def begin(client: TestClient) -> str:
    made = client.post("/api/conversations", json={"knowledge_base": "manuals"}).raise_for_status()
    return f"/api/conversations/{made.json()['id']}"


def say(client: TestClient, conversation: str, text: str) -> dict[str, Any]:
    answered = client.post(f"{conversation}/messages", json={"text": text})
    assert answered.status_code == 200, answered.text
    message: dict[str, Any] = answered.json()
    assert TOKEN not in answered.text
    return message


def test_every_kind_and_type_in_one_conversation(desk: SimpleNamespace) -> None:
    flow = checked("everything.yaml", EVERYTHING)
    assert {step.kind for step in flow.steps} == set(STEP_KINDS)
    assert {slot.type for slot in flow.slots.values()} == set(SLOT_TYPES)
    client, conversation = desk.client, begin(desk.client)
    for said, replied in (
        ("everything: hello", "Order"),
        ("OR-55555", "E-mail"),
        ("anna@example.org", "Bought when"),
        ("2026-01-05", "Reason"),
        ("broken", "Paid"),
        ("€649", "How many"),
        ("two", "Opened"),
        ("yes", "Tell me more"),
        ("it leaks from below", "No OR-55555"),
    ):
        assert say(client, conversation, said)["text"] == replied
    reply = say(client, conversation, "OR-10021")
    assert reply["text"].endswith("2 for 649.00 EUR, 5 January 2026, anna@example.org. A person")
    assert "Empty the pipes" in reply["text"]
    assert reply["citations"]
    assert (reply["kind"], [each["label"] for each in reply["choices"]]) == ("flow", ["Yes", "No"])
    last = say(client, conversation, "yes please")
    assert last["kind"] == "hand_off"
    assert last["text"]


def test_an_interruption_a_restart_and_a_cancellation(desk: SimpleNamespace, shop_url: str) -> None:
    client, conversation = desk.client, begin(desk.client)
    assert say(client, conversation, "order_status: where is it")["text"].startswith("What is your order number?")
    between = say(client, conversation, "What must I do before sending the machine in?")
    assert "Empty the pipes" in between["text"]
    assert "Back to “Order status”: What is your order number?" in between["text"]
    assert "OR-12345" in say(client, conversation, "10022")["text"]

    again = services_in(desk.folder, shop_url)
    with TestClient(create_app(again), base_url="http://127.0.0.1") as restarted:
        assert "is on its way" in say(restarted, conversation, "OR-10022")["text"]

    say(client, conversation, "return: OR-10021")
    assert say(client, conversation, "never mind")["text"] == "All right, I have stopped this: Return."
    assert say(client, conversation, "Pack it how?")["kind"] != "flow"


def test_the_same_in_chinese(desk: SimpleNamespace) -> None:
    client, conversation = desk.client, begin(desk.client)
    assert say(client, conversation, "order_status: 我的订单到哪了")["text"].startswith("请提供您的订单号")
    assert say(client, conversation, "OR-77777")["text"].startswith("我们没有找到订单 OR-77777")
    assert say(client, conversation, "算了")["text"] == "好的，已停止：订单状态。"


def test_who_is_called_in_the_middle_of_a_flow_sees_how_far_it_was(desk: SimpleNamespace) -> None:
    """Nobody is there: the assistant goes on, and the flow waits no longer."""
    client = desk.client
    conversation = begin(client)
    assert say(client, conversation, "order_status: 我的订单到哪里了？")["kind"] == "flow"
    assert say(client, conversation, A_PERSON)["kind"] == "hand_off"
    seen = client.get(conversation.replace("/api/", "/api/inbox/")).json()
    assert (seen["flow"]["name"], seen["flow"]["step"]) == ("order_status", "ask_order")
    assert seen["hand_offs"][0]["summary"].startswith("要求人工客服。\n顾客: order_status: 我的订单到哪里了？")
    assert say(client, conversation, "OR-10022")["kind"] != "flow"


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (
            "Compare KT-17B with KT-15C",
            ["Compared | KT-17 kettle black", "Price | 59.00 EUR | 49.00 EUR", "Stock | 14 | 17"],
        ),
        ("KT-17B 和 KT-15C 有什么区别？", ["对比 | KT-17 电水壶（黑色）", "价格 | 59.00 EUR | 49.00 EUR", "保修 | "]),
        ("A grinder for espresso", ["- GR-40 espresso grinder · 259.00 EUR · in stock"]),
        ("A machine with a grinder and a milk frother", ["- LT-300 coffee machine"]),
        ("有没有磨豆机？", ["- GR-20 磨豆机 · 119.00 EUR · 有货"]),
        ("A spaceship under 1 euro", ["- "]),
    ],
)
def test_the_flow_for_products_that_ships(desk: SimpleNamespace, asked: str, says: list[str]) -> None:
    client = desk.client
    client.post("/api/knowledge-bases", json={"name": "goods"}).raise_for_status()
    file = {"files": (CATALOGUE.name, CATALOGUE.read_bytes())}
    client.put("/api/knowledge-bases/goods/catalogue", files=file).raise_for_status()
    settings = {"service": {"catalogue": "goods"}, "refuse_below": 0}
    client.patch("/api/knowledge-bases/manuals", json={"settings": settings}).raise_for_status()
    reply = say(client, begin(client), f"product_search: {asked}")
    assert all(each in reply["text"] for each in says), reply["text"]
    assert "name_zh" not in reply["text"]
    products = VisitorMessage.of(MessageShape.model_validate(reply), set()).products
    if asked.startswith("有没有"):
        assert products[0]["attributes"]["颜色"] in ("silver", "black")
    assert not any(name.startswith("name") for each in products for name in each["attributes"])
