"""Flow files: what is refused with file, line and reason; what is read anew; which version answers whom."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.db import Database
from app.errors import NotFound
from app.service.flows.checks import checked
from app.service.flows.errors import BadFlow, FlowProblem
from app.service.flows.flows import Flows
from tests.app.service.flow_stage import SAMPLES, Stage, collect, flow_of, say
from tests.conftest import sqlite_database

ASK = "  - {id: ask, kind: collect, slot: order, ask: {en: Which one, zh: 哪个？}, otherwise: end}"
ORDER = '  order: {type: order_number, pattern: "A[0-9]{3}"}'
API = "  shop: {url: http://127.0.0.1:1}"
GOOD = flow_of(say("hello", "Hello"), ASK, say("bye", "Bye {order}"), slots=ORDER)


def problems_of(source: str) -> list[FlowProblem]:
    with pytest.raises(BadFlow) as refused:
        checked("it.yaml", source)
    return list(refused.value.problems)


def call(more: str, id_: str = "call") -> str:
    return f"  - {{id: {id_}, kind: call, api: shop, failed: end, {more}}}"


# what is wrong -> (source, line, a part of the reason)
MISTAKES: dict[str, tuple[str, int, str]] = {
    "nothing": ("", 1, "is empty"),
    "no mapping": ("- a\n- b\n", 1, "should be a valid dictionary"),
    "no YAML": ("title: {en: A, zh: B\nsteps: x", 2, "is no YAML"),
    "a tab": ("title:\n\ten: A", 2, "is no YAML"),
    "an alias": ("title: &a {en: A, zh: B}\nsteps: *a", 1, "anchors"),
    "a tag": ("title: !!python/object/apply:os.system [x]", 1, "tags"),
    "a key twice": (GOOD + "title: {en: B, zh: B}\n", 8, "stands here twice"),
    "deep": ("a: " + "[" * 200 + "]" * 200, 1, "nested too deeply"),
    "a field too many": (GOOD + "stepps: []\n", 8, "is no field that belongs here"),
    "no steps": ("title: {en: A, zh: B}\n", 1, "is missing"),
    "a missing language": (GOOD.replace(", zh: 哪个？", ""), 6, "is missing"),
    "an empty text": (GOOD.replace("哪个？", "''"), 6, "at least 1 character"),
    "an unknown kind": (GOOD.replace("kind: collect", "kind: gather"), 6, "gather"),
    "no kind": (GOOD.replace("kind: collect, ", ""), 6, "kind"),
    "an unknown slot type": (GOOD.replace("order_number", "number_of_order"), 3, "number_of_order"),
    "a step that is not there": (GOOD.replace("otherwise: end", "otherwise: nowhere"), 6, "no step 'nowhere'"),
    "a step called end": (GOOD.replace("id: bye", "id: end"), 7, "'end' is taken"),
    "two steps of one name": (GOOD.replace("id: bye", "id: hello"), 7, "'hello' is taken"),
    "a slot that is not there": (GOOD.replace("slot: order", "slot: odrer"), 6, "no slot 'odrer'"),
    "a slot that nobody asks for": (flow_of(say("a", "A"), slots=ORDER), 3, "no step collects it"),
    "an unknown name in a text": (GOOD.replace("{order}", "{ordr}"), 7, "nothing is called 'ordr'"),
    "a name not known yet": (GOOD.replace("Hello", "Hello {order}"), 5, "has no value yet"),
    "a format in a text": (GOOD.replace("{order}", "{order!r:>100}"), 7, "brace that is no placeholder"),
    "an attribute in a text": (GOOD.replace("{order}", "{order.__class__}"), 7, "brace that is no placeholder"),
    "an unreachable step": (flow_of(say("a", "A", "end"), say("b", "B")), 4, "no way leads to 'b'"),
    "a round": (flow_of(say("a", "A"), say("b", "B", "a")), 4, "without waiting for the customer: a → b → a"),
    "a round over a filled slot": (
        flow_of(ASK, say("b", "B", "ask"), slots=ORDER),
        6,
        "ask → b → ask",
    ),
    "a name given twice a meaning": (
        flow_of(ASK, call("path: /, take: {order: a}"), slots=ORDER, apis=API),
        8,
        "has another meaning already",
    ),
    "no JMESPath": (flow_of(call('path: /, take: {a: "b["}'), apis=API), 5, "is no JMESPath"),
    "an unknown name in a condition": (
        flow_of('  - {id: a, kind: branch, cases: [{if: "nobody == `1`", next: end}], otherwise: end}'),
        3,
        "nothing is called 'nobody'",
    ),
    "an unknown API": (flow_of(call("path: /").replace("shop", "shpo"), apis=API), 5, "no API 'shpo'"),
    "an API by file": (flow_of(call("path: /"), apis=API.replace("http:", "file:")), 3, "http:// or https://"),
    "an API with a password": (flow_of(call("path: /"), apis="  shop: {url: http://a:b@c}"), 3, "password"),
    "a way up in a path": (flow_of(call("path: /a/../b"), apis=API), 5, "no . and .."),
    "a query in a path": (flow_of(call("path: '/a?b=c'"), apis=API), 5, "pattern"),
    "another host in a path": (flow_of(call("path: '@evil.example/'"), apis=API), 5, "pattern"),
    "free text in a path": (
        flow_of(collect("why"), call('path: "/a/{why}"'), slots="  why: {type: text}", apis=API),
        8,
        "free text",
    ),
    "a slot in a header": (
        flow_of(call("path: /"), apis='  shop: {url: http://a, headers: {X-A: "{order}"}}'),
        3,
        "plain ASCII",
    ),
    "a header that is the engine's": (
        flow_of(call("path: /"), apis="  shop: {url: http://a, headers: {Host: b}}"),
        3,
        "no header that a flow may set",
    ),
    "a secret outside headers": (flow_of(say("a", "${secret.TOKEN}")), 3, "brace that is no placeholder"),
    "a body that is not sent": (flow_of(call("path: /, body: {a: 1}"), apis=API), 5, "has no body"),
    "a brace in a body": (
        flow_of(call('path: /, method: POST, body: {a: ["{b!r}"]}'), apis=API),
        5,
        "brace that is no placeholder",
    ),
    "a pattern without an end": (GOOD.replace("{3}", "+"), 3, "not for patterns"),
    "a pattern for ever": (GOOD.replace("A[0-9]{3}", "A{0,50}A{0,50}A{0,50}"), 3, "too many ways"),
    "a pattern for nothing": (GOOD.replace("A[0-9]{3}", "A?"), 3, "matches nothing at all"),
    "a group repeated": (GOOD.replace("A[0-9]{3}", "(AB){2}"), 3, "repeats"),
    "a choice of nothing": (flow_of(collect("x"), slots="  x: {type: choice}"), 3, "options"),
    "options from nowhere": (
        flow_of(collect("x"), slots="  x: {type: choice, options_from: y}"),
        3,
        "no step gives 'y'",
    ),
    "a rejection that cannot be mended": (
        flow_of("  - {id: a, kind: reject, slot: order, text: {en: A, zh: B}}", slots=ORDER),
        5,
        "no step collects 'order'",
    ),
    "a character that cannot be kept": ("title: {en: 'a\0', zh: b}", 1, "NUL"),
}


@pytest.mark.parametrize("what", MISTAKES)
def test_a_mistake_is_refused_with_file_line_and_reason(what: str) -> None:
    source, line, reason = MISTAKES[what]
    problems = problems_of(source)
    assert [each.file for each in problems] == ["it.yaml"] * len(problems)
    assert any(each.line == line and reason in str(each) for each in problems), [str(each) for each in problems]


def test_every_mistake_is_told_at_once() -> None:
    source = GOOD.replace(", zh: 哪个？", "").replace("kind: say", "kind: speak")
    assert {each.line for each in problems_of(source)} == {5, 6, 7}


def test_the_shipped_flows_and_the_good_one_have_none() -> None:
    for path in SAMPLES.glob("*.yaml"):
        checked(path.name, path.read_text(encoding="utf-8"))
    checked("good.yaml", GOOD)


def test_yes_no_and_on_are_words_and_dates_are_text() -> None:
    flow = checked(
        "it.yaml",
        flow_of("  - {id: a, kind: confirm, text: {en: 2026-01-01, zh: no}, yes: end, no: end, otherwise: end}"),
    )
    assert flow.steps[0].text.en == "2026-01-01"  # type: ignore[union-attr]
    assert flow.steps[0].text.zh == "no"  # type: ignore[union-attr]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with sqlite_database(tmp_path) as opened:
        yield opened


@pytest.fixture
def stage(tmp_path: Path, database: Database) -> Stage:
    return Stage(tmp_path / "flows", database)


def test_a_conversation_goes_on_with_the_version_it_began_with(stage: Stage, database: Database) -> None:
    stage.write("it", GOOD)
    stage.begin("it")
    stage.write("it", GOOD.replace("Bye", "Farewell"))
    assert stage.flows.names() == ("it",)
    assert stage.say("A123").text == "Bye A123"
    stage.begin("it")
    stage.flows = Flows(stage.folder, database)  # another process
    assert stage.say("A123").text == "Farewell A123"


def test_a_flow_whose_file_is_gone_is_gone_through_to_its_end(stage: Stage, database: Database) -> None:
    stage.write("it", GOOD)
    stage.begin("it")
    (stage.folder / "it.yaml").unlink()
    assert stage.flows.names() == ()
    with pytest.raises(NotFound):
        stage.flows.begin("it", stage.turn("hello"))
    stage.flows = Flows(stage.folder, database)
    assert stage.say("A123").text == "Bye A123"


def test_a_broken_file_is_reported_and_the_last_good_version_answers(stage: Stage, database: Database) -> None:
    stage.write("it", GOOD)
    stage.begin("it")
    stage.write("it", GOOD.replace("Bye", "Farewell"))
    stage.begin("it")
    stage.write("it", GOOD)  # back to the first, which is now the last good one
    assert stage.begin("it").text.startswith("Hello")
    stage.write("it", GOOD.replace("otherwise: end", "otherwise: nowhere"), is_good=False)
    for flows in (stage.flows, Flows(stage.folder, database)):  # and after a restart
        stage.flows = flows
        stage.begin("it")
        assert stage.say("A123").text == "Bye A123"
        (entry,) = flows.library.entries()
        assert [(each.line, each.file) for each in entry.problems] == [(6, "it.yaml")]
    stage.write("it", GOOD.replace("Bye", "So long"))
    stage.begin("it")
    assert stage.say("A123").text == "So long A123"
    assert stage.flows.library.entries()[0].problems == ()


def test_a_file_that_was_never_good_is_listed_and_cannot_be_begun(stage: Stage) -> None:
    stage.write("it", "steps: 3", is_good=False)
    (stage.folder / "Other name.yaml").write_text(GOOD, encoding="utf-8")
    (stage.folder / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    (stage.folder / ".hidden.yaml").write_text(GOOD, encoding="utf-8")
    assert stage.flows.names() == ()
    assert [entry.name for entry in stage.flows.library.entries()] == ["Other name", "binary", "it"]
    assert all(entry.problems for entry in stage.flows.library.entries())


def test_a_change_of_the_same_length_within_the_same_moment_is_seen(stage: Stage) -> None:
    stage.flows.library.save("it", GOOD)
    path = stage.folder / "it.yaml"
    before = path.stat()
    stage.begin("it")
    stage.flows.library.save("it", GOOD.replace("Bye", "Ciao").replace("Hello", "Hell"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    assert stage.begin("it").text.startswith("Hell\n")


def test_a_version_that_is_nowhere_ends_with_a_person(stage: Stage) -> None:
    stage.write("it", GOOD)
    stage.begin("it")
    assert stage.state is not None
    stage.state["digest"] = "0" * 64
    reply = stage.say("A123")
    assert reply.is_over
    assert reply.hand_off is not None
    assert "cannot go on" in reply.text
