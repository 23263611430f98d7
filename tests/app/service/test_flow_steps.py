"""Every kind of step, each with its ways: what is said, what waits, where it goes on."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import Mock
from zoneinfo import ZoneInfo

import httpx
import pytest

from app.db import Database
from app.errors import Unavailable
from app.models import KnowledgeBase
from app.service.flows.flows import Expectation
from app.service.flows.schema import STEP_KINDS
from app.service.tools import DeskTools
from app.service.turn import HandOffReason, HandOffWanted
from rag.errors import IndexDamaged, ModelFailed
from rag.types import Answer, AnswerKind
from tests.app.service.flow_stage import FakeTools, Stage, collect, flow_of, say
from tests.conftest import sqlite_database

SLOTS = """\
  order: {type: order_number, pattern: "A[0-9]{3}"}
  colour: {type: choice, options: [{value: r, label: {en: Red, zh: 红}}, {value: b, label: {en: Blue, zh: 蓝}}]}
  why: {type: text}"""


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    with sqlite_database(tmp_path_factory.mktemp("database")) as opened:
        yield opened


@pytest.fixture
def stage(tmp_path: Path, database: Database) -> Stage:
    return Stage(tmp_path / "flows", database)


def answering(*responses: httpx.Response) -> FakeTools:
    """Tools whose API gives these responses, in turn; the last for ever."""
    left = list(responses)
    return FakeTools(httpx.Client(transport=httpx.MockTransport(lambda _: left.pop(0) if len(left) > 1 else left[0])))


def slots(*names: str) -> str:
    return "\n".join(line for line in SLOTS.splitlines() if line.split(":")[0].strip() in names)


def test_collect_asks_takes_and_gives_up(stage: Stage) -> None:
    asks = collect("order", "wrong: {en: 'No, like A123', zh: 不对}, tries: 2, otherwise: out, next: done")
    stage.write("it", flow_of(asks, say("out", "Out", "end"), say("done", "{order}"), slots=slots("order")))
    assert stage.begin("it").text == "What order?"
    assert stage.say("A12").text == "No, like A123"
    assert stage.say("a123").text == "A123"
    stage.begin("it")
    stage.say("1")
    last = stage.say("2")
    assert (last.text, last.is_over, last.slots) == ("Out", True, {})


def test_collect_takes_what_was_said_before_and_with_another_answer(stage: Stage) -> None:
    stage.write(
        "it",
        flow_of(collect("order"), collect("colour"), collect("why"), say("a", "{order} {colour} {why}"), slots=SLOTS),
    )
    assert stage.begin("it", "the blue one of A123 please").text == "What why?"
    assert stage.say("it is red: A999").text == "A123 Blue it is red: A999"
    assert stage.begin("it").text == "What order?"
    assert stage.say("A123, the red one").text == "What why?"
    assert stage.begin("it", "A123 or A124").text == "What order?"  # no guess
    assert stage.begin("it", slots={"order": "A777", "colour": "pink", "other": 1}).text == "What colour?"


def test_reject_asks_again_and_gives_up(stage: Stage) -> None:
    source = flow_of(
        collect("order", "tries: 2, otherwise: out"),
        "  - {id: no, kind: reject, slot: order, text: {en: 'No {order}', zh: '没有{order}'}}",
        say("out", "Out"),
        slots=slots("order"),
    )
    stage.write("it", source)
    assert stage.begin("it", "A123").text == "No A123"
    assert stage.say("A124").text == "No A124"
    last = stage.say("A125")
    assert (last.text, last.is_over) == ("No A125\n\nOut", True)


def test_call_takes_what_comes_back_and_branches_by_status(stage: Stage) -> None:
    source = flow_of(
        collect("order"),
        """\
  - id: call
    kind: call
    api: shop
    path: /orders/{order}
    take: {state: "a.b[0]", when: when}
    may_be_missing: [when]
    on: {404: none, 409: taken}
    failed: bad""",
        say("good", "{state}", "end"),
        say("none", "None", "end"),
        say("taken", "Taken {order}", "end"),
        say("bad", "Bad"),
        slots=slots("order"),
        apis="  shop: {url: http://shop.example/base, retries: 0}",
    )
    stage.write("it", source)
    for response, text in (
        (httpx.Response(200, json={"a": {"b": ["packed"]}}), "packed"),
        (httpx.Response(200, json={"a": {"b": ["2026-03-05T10:00:00Z"]}}), "5 March 2026"),
        (httpx.Response(200, json={"a": {"b": []}}), "Bad"),
        (httpx.Response(404), "None"),
        (httpx.Response(409, text="<html>"), "Taken A123"),
        (httpx.Response(302, headers={"location": "http://evil.example"}), "Bad"),
        (httpx.Response(500), "Bad"),
    ):
        stage.tools = answering(response)
        assert stage.begin("it", "A123").text == text


MAKING = flow_of(
    collect("order"),
    """\
  - id: make
    kind: call
    api: shop
    method: POST
    path: /made
    body: {order: "{order}"}
    on: {404: unknown}
    failed: again""",
    "  - {id: more, kind: confirm, text: {en: More, zh: 还要吗}, yes: make, no: end, otherwise: end}",
    "  - {id: again, kind: confirm, text: {en: Again, zh: 再试吗}, yes: make, no: end, otherwise: end}",
    "  - {id: unknown, kind: reject, slot: order, text: {en: 'No {order}', zh: '没有{order}'}}",
    slots=slots("order"),
    apis="  shop: {url: http://shop.example, retries: 0}",
)


def test_call_has_one_key_until_it_is_known_how_it_ended(stage: Stage) -> None:
    """A time-out, a turn made again, a stop and a second message: none of them does the work twice."""
    keys: list[str] = []
    endings: list[int | None] = []

    def shop(request: httpx.Request) -> httpx.Response:
        keys.append(request.headers["idempotency-key"])
        status = endings.pop(0)
        if status is None:
            raise httpx.ReadTimeout("too slow")
        return httpx.Response(status, json={})

    stage.write("it", MAKING)
    stage.tools = FakeTools(httpx.Client(transport=httpx.MockTransport(shop)))

    def says(text: str, *ends: int | None, state: Any = None) -> str:
        endings[:] = ends
        stage.state = state or stage.state
        return stage.say(text).text

    stage.begin("it")
    first = stage.state
    assert says("A123", None) == "Again"  # it may have been made
    assert says("yes", 500) == "Again"
    assert says("A123", 200, state=first) == "More"  # the turn again, or another message after a stop
    assert len(set(keys)) == 1
    made = stage.state
    assert says("yes", 200) == "More"  # meant a second time
    assert says("yes", 200, state=made) == "More"
    assert says("A124", 200, state=first) == "More"  # another order is no repetition, whatever came of the first
    assert keys[3] == keys[4]
    assert len({keys[0], keys[3], keys[5]}) == 3
    stage.begin("it")
    assert says("A123", 404) == "No A123"
    assert says("A123", 200) == "More"
    assert len({keys[0], *keys[6:]}) == 3  # another run, and another call of it


def test_branch_compares_and_never_fails(stage: Stage) -> None:
    source = flow_of(
        collect("order"),
        """\
  - id: which
    kind: branch
    cases:
      - {if: "length(customer.name) > `3` && order == 'A123'", next: long}
      - {if: "customer.age >= `18`", next: adult}
      - {if: "sum(customer)", next: long}
    otherwise: other""",
        say("long", "Long", "end"),
        say("adult", "Adult", "end"),
        say("other", "Other"),
        slots=slots("order"),
    )
    stage.write("it", source)
    for customer, text in (
        ({"name": "Annabel"}, "Long"),
        ({"name": "Al", "age": 18}, "Adult"),
        ({"name": "Al", "age": "18"}, "Other"),
        (None, "Other"),
    ):
        assert stage.begin("it", "A123", customer=customer).text == text


def test_say_is_in_the_language_of_the_turn_and_shows_values_only(stage: Stage) -> None:
    stage.write("it", flow_of(collect("why"), say("a", "[{why}] {customer.name} {today}"), slots=slots("why")))
    assert stage.begin("it", "你好").text == "什么why？"
    odd = "{order} ${secret.SHOP_TOKEN} {customer.__class__} %s\u202e <b>"
    shown = stage.say(odd, customer={"name": {"en": "Ann", "zh": "安"}}).text
    assert shown == "[{order} ${secret.SHOP_TOKEN} {customer.__class__} %s  <b>] Ann 22 November 2026"


@pytest.mark.parametrize("zone", ["Asia/Shanghai", None])
def test_today_is_the_companys_day(stage: Stage, monkeypatch: pytest.MonkeyPatch, zone: str | None) -> None:
    """Half past midnight in Shanghai, when it is the day before in UTC: by the office's clock, else the machine's."""
    monkeypatch.setenv("TZ", "America/New_York" if zone else "Asia/Shanghai")
    time.tzset()
    try:
        stage.tools.zone = ZoneInfo(zone) if zone else None
        stage.write(
            "it",
            flow_of(
                collect("bought"),
                say("told", "{bought}, {today}"),
                collect("order"),
                slots="  bought: {type: date, must_be: past}\n" + slots("order"),
            ),
        )
        midnight = datetime(2026, 11, 22, 16, 30, tzinfo=UTC)
        stage.begin("it", at=midnight)
        assert stage.say("yesterday", at=midnight).text.startswith("22 November 2026, 23 November 2026")
        assert stage.begin("it", "今天", at=midnight).slots == {"bought": "2026-11-23"}
        assert stage.begin("it", "上周三", at=midnight).slots == {"bought": "2026-11-18"}  # it is Monday
        assert (stage.state or {})["timezone"] == zone
        assert stage.flows.reminder(stage.state or {}, "en").endswith("What order?")
    finally:
        monkeypatch.undo()
        time.tzset()


def test_the_companys_clock_is_that_of_its_office_hours() -> None:
    def zone(service: dict[str, Any]) -> ZoneInfo | None:
        named = KnowledgeBase(settings={"service": service})
        return DeskTools(Mock(), named, Mock(), Mock()).timezone()

    assert zone({}) is None
    assert zone({"office_hours": {"timezone": "Asia/Shanghai", "days": {}}}) == ZoneInfo("Asia/Shanghai")


def test_confirm_goes_both_ways_and_gives_up(stage: Stage) -> None:
    source = flow_of(
        "  - {id: sure, kind: confirm, text: {en: Sure, zh: 确定吗}, yes: y, no: n, tries: 2, otherwise: out}",
        say("y", "Yes", "end"),
        say("n", "No", "end"),
        say("out", "Out"),
    )
    stage.write("it", source)
    for said, text in (("of course!", "Yes"), ("no way", "No"), ("好的", "Yes"), ("不要", "No")):
        assert stage.begin("it").choices == ["Yes", "No"]
        assert stage.say(said).text == text
    stage.begin("it")
    assert stage.say("perhaps").text == "I did not understand that.\n\nSure"
    assert stage.expects("How much is it?") is Expectation.OTHER
    assert stage.expects("no thanks") is Expectation.FITS
    assert stage.say("perhaps").text == "Out"


ANSWER = "  - {{id: {0}, kind: answer, question: {{en: 'About {{order}}', zh: '关于{{order}}'}}{1}}}"


def test_answer_quotes_the_manuals_with_citations_of_their_own(stage: Stage) -> None:
    stage.write(
        "it",
        flow_of(
            collect("order"),
            ANSWER.format("a", ""),
            ANSWER.format("b", ", not_found: none"),
            say("none", "None"),
            slots=slots("order"),
        ),
    )
    reply = stage.begin("it", "A123")
    assert stage.tools.asked == ["About A123", "About A123"]
    assert reply.text == (
        "Empty the pipes [1]. Pack it upright [2].\n\nEmpty the pipes [3]. Pack it upright [4].\n\nNone"
    )
    assert [each.marker for each in reply.citations] == [1, 2, 3, 4]
    stage.tools = FakeTools(answer_kind=AnswerKind.NOT_IN_MANUALS)
    assert stage.begin("it", "A123").text == "Nothing found.\n\nNone"


@pytest.mark.parametrize(
    ("error", "way", "text"),
    [
        (
            ModelFailed("The model is down.", transient=True),
            "",
            "A123\n\nI cannot look into our manuals just now.\n\nNone",
        ),
        (IndexDamaged("It cannot be read."), ", not_found: none", "A123\n\nNone"),
        (Unavailable("There is no index yet."), ", not_found: none", "A123\n\nNone"),
    ],
)
def test_answer_goes_on_where_the_manuals_cannot_be_asked(
    stage: Stage, caplog: pytest.LogCaptureFixture, error: Exception, way: str, text: str
) -> None:
    """What was called before it in the turn has been done: the turn is kept."""

    class Broken(FakeTools):
        def answer(self, question: str) -> Answer:
            raise error

    source = flow_of(
        collect("order"),
        "  - {id: make, kind: call, api: shop, method: POST, path: /made, take: {made: a}, failed: none}",
        say("tell", "{made}"),
        ANSWER.format("a", way),
        say("none", "None"),
        slots=slots("order"),
        apis="  shop: {url: http://shop.example}",
    )
    stage.write("it", source)
    stage.begin("it")
    stage.tools = Broken(answering(httpx.Response(200, json={"a": "A123"})).client)
    reply = stage.say("A123")
    assert (reply.text, reply.is_over) == (text, True)
    assert [each["status"] for each in reply.flow["calls"]] == [200]
    assert str(error) in caplog.text
    stage.begin("it", "你好")
    chinese = stage.say("A123", language="zh").text
    assert way or "目前暂时无法查阅手册。" in chinese


def test_search_products_shows_them_and_lets_choose(stage: Stage) -> None:
    source = flow_of(
        "  - {id: look, kind: search_products, text: {en: 'Found:', zh: 找到：}, limit: 2, into: found, none: none}",
        collect("product"),
        say("chosen", "{product} costs {chosen.product.price}", "end"),
        say("none", "None"),
        slots="  product: {type: choice, options_from: found}",
    )
    stage.write("it", source)
    stage.tools.products = [
        {"sku": "K1", "name": "Kettle One", "price": 49.5, "currency": "EUR", "stock": 2},
        {"sku": "K2", "name": "Kettle Two", "stock": 0},
        {"sku": "K3", "name": "Kettle Three"},
    ]
    reply = stage.begin("it", "a kettle under 100")
    assert stage.tools.asked == ["a kettle under 100"]
    assert reply.text == "Found:\n- Kettle One · 49.50 EUR · in stock\n- Kettle Two · sold out\n\nWhat product?"
    assert reply.choices == ["Kettle One", "Kettle Two"]
    assert [each["sku"] for each in reply.details["products_found"]] == ["K1", "K2"]
    assert stage.say("the first").text == "Kettle One costs 49.5"
    stage.tools.compared = [("", "Kettle One", "Kettle Two"), ("price", 49.5, None), ("lid", True, "a | b")]
    reply = stage.begin("it", "Kettle One or Kettle Two?")
    assert reply.text == ("Compared | Kettle One | Kettle Two\nprice | 49.5 | –\nlid | yes | a / b\n\nWhat product?")
    assert reply.choices == ["Kettle One", "Kettle Two"]
    stage.tools.compared, stage.tools.products = [], []
    assert stage.begin("it").text == "None"


def decide(table: str, feature: str = "length(order)") -> str:
    return (
        f'  - {{id: decide, kind: decide, table: {table}, features: {{n: "{feature}", c: customer.tier}}, into: d, '
        "failed: bad}"
    )


@pytest.mark.parametrize(
    ("table", "feature", "text"),
    [("risk", "length(order)", "approve 12"), ("missing", "length(order)", "Bad"), ("risk", "sum(order)", "Bad")],
)
def test_decide_keeps_what_was_decided_and_why(stage: Stage, table: str, feature: str, text: str) -> None:
    source = flow_of(
        collect("order"),
        decide(table, feature),
        say("good", "{d.result} {d.score}", "end"),
        say("bad", "Bad"),
        slots=slots("order"),
    )
    stage.write("it", source)
    reply = stage.begin("it", "A123", customer={"tier": "gold"})
    assert reply.text == text
    (decision,) = reply.details["decisions"]
    assert decision["table"] == table
    if text != "Bad":
        assert decision["inputs"] == {"n": 4, "c": "gold"}
        assert decision["fired"] == ["rule 3"]
    else:
        assert decision["problem"]


def test_decide_knows_what_the_customer_wrote_to_this_flow(stage: Stage) -> None:
    """All messages of it, and of no other; in JSON between the turns."""
    source = flow_of(
        collect("order"),
        collect("colour"),
        "  - {id: decide, kind: decide, table: risk, features: {mood: said.sentiment, most: said.amount, "
        "in: said.currency, counts: said.counts, mails: said.entities.email}, into: d, failed: bad}",
        say("good", "{d.result}", "end"),
        say("bad", "Bad"),
        slots=slots("order", "colour"),
    )
    stage.write("it", source)

    def decided(*said: str) -> dict[str, Any]:
        stage.begin("it", said[0])
        replies = [stage.say(each) for each in said[1:]]
        return dict(replies[-1].details["decisions"][0]["inputs"])

    upset = decided("This is useless, I paid €649 for 2 filters", "A123", "红, c@d.example, 气死我了")
    assert upset == {"mood": -1.0, "most": 649.0, "in": "EUR", "counts": [2.0], "mails": ["c@d.example"]}
    pleased = decided("hello", "A123 " + "x" * 5000, "red, thanks")
    assert pleased == {"mood": 1.0, "most": None, "in": None, "counts": None, "mails": None}
    stage.begin("it")
    stage.say("A123 " + "x" * 5000)
    assert len((stage.state or {})["said"]) == 4000


def test_hand_off_says_to_whom_and_why(stage: Stage) -> None:
    hand_off = (
        "  - {id: out, kind: hand_off, group: returns, note: 'Order {order}, {colour}', text: {en: Wait, zh: 稍等}}"
    )
    stage.write(
        "it",
        flow_of(
            collect("order", "otherwise: out, next: ask_colour"),
            collect("colour"),
            hand_off,
            slots=slots("order", "colour"),
        ),
    )
    stage.begin("it", "A123")
    reply = stage.say("red")
    assert (reply.text, reply.kind, reply.is_over) == ("Wait", AnswerKind.HAND_OFF, True)
    assert reply.hand_off == HandOffWanted(HandOffReason.FLOW, "returns", "Order A123, Red")


def test_no_kind_is_left_out() -> None:
    """Each kind has a test here that is named after it."""
    tested = [name.removeprefix("test_") for name in globals() if name.startswith("test_")]
    assert all(any(name.startswith(f"{kind}_") for name in tested) for kind in STEP_KINDS)


@pytest.mark.parametrize(
    ("slot", "said", "expected"),
    [
        ("order", "A123", Expectation.FITS),
        ("order", "is A123 there yet?", Expectation.FITS),
        ("order", "123", Expectation.FITS),
        ("order", "is the X200 waterproof?", Expectation.OTHER),
        ("order", "I want to speak to someone", Expectation.OTHER),
        ("order", "stop", Expectation.CANCEL),
        ("order", "取消", Expectation.CANCEL),
        ("colour", "red", Expectation.FITS),
        ("colour", "Is the red one cheaper?", Expectation.OTHER),
        ("colour", "有没有红的？", Expectation.OTHER),
        ("why", "it leaks a little", Expectation.FITS),
        ("why", "What do you mean?", Expectation.OTHER),
        ("why", "转人工", Expectation.OTHER),
        ("why", "never mind", Expectation.CANCEL),
    ],
)
def test_what_a_message_is_to_what_is_waited_for(stage: Stage, slot: str, said: str, expected: Expectation) -> None:
    stage.write("it", flow_of(collect(slot), slots=slots(slot)))
    stage.begin("it", "xyz")
    assert stage.expects(said) is expected


def test_state_of_another_making_ends_with_a_person_and_never_fails(stage: Stage) -> None:
    stage.write("it", flow_of(collect("order"), slots=slots("order")))
    stage.begin("it")
    good = dict(stage.state or {})
    oddities: list[dict[str, Any]] = [{}, {**good, "step": "gone"}, {**good, "step": None}, {"name": "it"}]
    for odd in oddities:
        stage.state = odd
        assert stage.flows.reminder(odd, "en") == ""
        assert stage.say("A123").hand_off is not None
