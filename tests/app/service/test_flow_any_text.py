"""Properties of flows: whatever is said, in whatever order, a turn ends well and nothing leaks."""

import json
import re
import shutil
from collections.abc import Iterator
from datetime import date
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.service.flows import patterns, words
from app.service.flows.checks import checked
from app.service.flows.errors import BadFlow, FlowProblem
from app.service.flows.flows import Expectation
from app.service.flows.slot_amounts import amounts_in
from app.service.flows.slot_dates import days_in
from tests.app.service.flow_stage import SAMPLES, TOKEN, FakeTools, Stage
from tests.conftest import sqlite_database

_WORDS = [
    "OR-10021",
    "OR-99999",
    "yes",
    "no",
    "取消",
    "the first",
    "坏了",
    "damaged",
    "2",
    "?",
    "cancel",
    "\0",
    "{order}",
]
_SAID = st.lists(
    st.one_of(st.text(max_size=80), st.lists(st.sampled_from(_WORDS), max_size=4).map(" ".join)), min_size=1, max_size=8
)
_JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
_ORDER = {
    "status": "delivered",
    "delivery": "2026-11-12",
    "days_since_delivery": 10,
    "items": [{"sku": "LT-300", "name": {"en": "Machine", "zh": "咖啡机"}, "price": 649.0}],
    "number": "RT-1",
}
_FIELDS = st.dictionaries(st.sampled_from(sorted(_ORDER)), _JSON, max_size=3)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The shipped flows, and one that takes any words; read once for all examples."""
    folder = tmp_path_factory.mktemp("stage")
    with sqlite_database(folder) as database:
        stage = Stage(folder / "flows", database, shop="http://shop.example:81")
        shutil.copytree(SAMPLES, folder / "flows")
        ask = "  - {id: ask, kind: collect, slot: why, ask: {en: Why, zh: 为何}, tries: 1, otherwise: end}"
        tell = "  - {id: tell, kind: say, text: {en: 'You: {why}', zh: '您：{why}'}}"
        stage.write("words", f"title: {{en: A, zh: B}}\nslots:\n  why: {{type: text}}\nsteps:\n{ask}\n{tell}\n")
        yield stage


@settings(max_examples=100)
@given(
    name=st.sampled_from(["order_status", "return"]),
    said=_SAID,
    status=st.sampled_from([200, 201, 302, 404, 409, 500]),
    odd=_FIELDS,
    decided=st.one_of(st.sampled_from(["approve", "deny", "review"]), _JSON),
)
def test_no_text_and_no_answer_of_an_api_can_break_a_flow(
    stage: Stage, name: str, said: list[str], status: int, odd: dict[str, Any], decided: Any
) -> None:
    sent: list[httpx.Request] = []

    def shop(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        told = {**_ORDER, **odd, "echo": request.headers["authorization"]}
        try:
            return httpx.Response(status, content=json.dumps(told).encode())
        except UnicodeEncodeError:
            return httpx.Response(status, content=b"\xff")

    stage.tools = FakeTools(httpx.Client(transport=httpx.MockTransport(shop)), decide_as=lambda _: decided)
    replies = [stage.begin(name, said[0])]
    for text in said[1:]:
        if stage.state is None:
            break
        assert isinstance(stage.expects(text), Expectation)
        stage.flows.reminder(stage.state, "zh")
        replies.append(stage.say(text))
    for reply in replies:
        assert TOKEN not in repr(reply)
        assert reply.is_over or reply.flow["step"]
        assert reply.text or reply.hand_off is not None
        assert len(reply.text) < 5000
    assert TOKEN not in json.dumps(stage.state)
    assert all((each.url.host, each.url.port) == ("shop.example", 81) for each in sent)
    for each in sent:
        assert each.url.path == "/returns" or each.url.path.startswith("/orders/OR-")


def _written(number: int) -> str:
    """A number below 100,000 as Chinese write it in full: 10305 is 一万零三百零五."""
    digits = f"{number:05}"
    full = "".join(
        ("零" if d == "0" else "零一二三四五六七八九"[int(d)] + p) for d, p in zip(digits, "万千百十 ", strict=True)
    )
    return re.sub("零+", "零", full.replace(" ", "")).strip("零")


@given(st.integers(1, 99_999), st.sampled_from(["", "元", "块钱", "人民币"]), st.integers(0, 99))
def test_an_amount_is_read_as_it_was_written_in_digits_and_numerals(whole: int, unit: str, cents: int) -> None:
    def read(text: str, currency: str = "CNY") -> list[dict[str, Any]]:
        found = amounts_in(text, [currency, "GBP"], may_be_bare=True)
        return [] if found == [{"amount": whole, "currency": currency}] else found

    exactly = {"amount": round(whole + cents / 100, 2), "currency": "GBP"}
    if unit or whole >= 10:
        assert read(f"一共{_written(whole)}{unit}左右") == []
    for text in (f"{whole}{unit}", f"{whole:,}{unit}", f"{whole:,}{unit}".replace(",", " "), f"{whole}.00 {unit}"):
        assert read(text) == []
    for text in (f"{whole} pounds {cents:02}", f"£{whole:,}.{cents:02}", f"GBP {whole},{cents:02}"):
        assert amounts_in(text, ["CNY", "GBP"], may_be_bare=True) == [exactly]


@given(st.text(max_size=200), st.text("0123456789零一两百千万块元毛分$€ .,-k", max_size=60))
def test_amounts_and_days_are_read_in_any_text(text: str, digits: str) -> None:
    for said in (text, digits):
        for may_be_bare in (True, False):
            for each in amounts_in(said, ["EUR", "CNY"], may_be_bare=may_be_bare):
                assert each["amount"] >= 0
                assert each["currency"] in ("EUR", "CNY")
            days_in(said, date(2026, 11, 22), "any", may_be_short=may_be_bare)


@given(st.text(max_size=400))
def test_the_lists_of_words_read_any_text(text: str) -> None:
    assert not (words.is_cancel(text) and len(words.plain(text)) > 60)
    assert words.yes_or_no(text) in (True, False, None)
    assert words.is_question(text) in (True, False)


def test_the_lists_of_words_take_no_time_for_what_is_made_to_take_long() -> None:
    for part in ("嗯", "no ", "that's right ", "not not ", "不用", "算了", "ok", "do it ", "yes no ", "好的"):
        for tail in ("", "x", "！"):
            words.yes_or_no(part * 30 + tail)
            words.is_cancel(part * 30 + tail)


_PIECES = (
    "A",
    "[0-9]",
    "\\d",
    "-",
    "{2}",
    "{1,9}",
    "?",
    "|",
    "(",
    ")",
    "*",
    "+",
    "{",
    "\\1",
    ".",
    "(?=",
    "^",
    "[^a]",
    "{0,99}",
)


@given(st.lists(st.sampled_from(_PIECES), min_size=1, max_size=12).map("".join), st.text("A01-", max_size=60))
def test_a_pattern_that_is_allowed_can_be_used(pattern: str, text: str) -> None:
    if patterns.mistake_in(pattern) is None:
        finder = patterns.finder(pattern)
        assert all(match[0] for match in finder.finditer(text))


def test_a_pattern_that_is_allowed_reads_a_long_text_at_once() -> None:
    worst = "A{0,12}A{0,12}A{0,9}B"
    assert patterns.mistake_in(worst) is None
    assert patterns.finder(worst).search("A" * 4000) is None  # would never end were the ways not bounded


def mistakes_in(source: str) -> tuple[FlowProblem, ...]:
    try:
        checked("it.yaml", source)
    except BadFlow as error:
        return error.problems
    return ()


@settings(max_examples=50)
@given(st.data())
def test_a_file_that_was_damaged_is_read_or_refused_with_a_line(data: st.DataObject) -> None:
    source = (SAMPLES / data.draw(st.sampled_from(["order_status.yaml", "return.yaml"]))).read_text(encoding="utf-8")
    start = data.draw(st.integers(0, len(source)))
    end = data.draw(st.integers(start, min(len(source), start + 200)))
    damaged = source[:start] + data.draw(st.text(max_size=20)) + source[end:]
    lines = damaged.count("\n") + 2
    assert all(each.reason and 1 <= each.line <= lines for each in mistakes_in(damaged))


@settings(max_examples=100)
@given(st.text(max_size=200))
def test_what_a_customer_says_in_their_own_words_comes_back_as_one_line_of_text(stage: Stage, said: str) -> None:
    stage.begin("words")
    reply = stage.say(said)
    if reply.slots:
        assert reply.slots == {"why": said.strip()}
        assert reply.text.startswith(("You:", "您："))
        assert "\n" not in reply.text
        assert "\0" not in reply.text
