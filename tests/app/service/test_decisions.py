"""Decision tables: what they say, what they are given, and what is wrong with a file."""

import json
import os
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from app.errors import NotFound
from app.service.decisions.decisions import Decisions
from app.service.decisions.errors import BadTable, Undecided
from app.service.decisions.features import features_of
from tests.installation import Installation

SHIPPED = resources.files("app.sample.shop").joinpath("decisions")
RISK = SHIPPED.joinpath("refund_risk.json").read_text(encoding="utf-8")
ASKED = {"amount": 649.0, "days_since_delivery": 10, "reason": "not_wanted", "returns_before": 0}


@pytest.fixture
def decisions(tmp_path: Path) -> Decisions:
    for name in ("refund_risk", "return_policy"):
        (tmp_path / f"{name}.json").write_text(SHIPPED.joinpath(f"{name}.json").read_text(encoding="utf-8"))
    return Decisions(tmp_path)


@pytest.mark.parametrize(
    ("given", "result", "rule"),
    [
        ({}, "approve", "changed_mind"),
        ({"days_since_delivery": 31}, "deny", "changed_mind_late"),
        ({"days_since_delivery": 31, "sentiment": -0.4}, "deny", "changed_mind_late"),
        ({"days_since_delivery": 31, "sentiment": -0.5}, "review", "changed_mind_late_upset"),
        ({"sentiment": -1}, "approve", "changed_mind"),
        ({"returns_before": 4}, "review", "many_returns"),
        ({"reason": "defective", "amount": 1500}, "review", "faulty_expensive"),
        ({"reason": "defective", "days_since_delivery": 400}, "approve", "faulty"),
        ({"reason": "defective", "days_since_delivery": 731}, "deny", "faulty_too_late"),
        ({"returns_before": None}, "approve", "changed_mind"),
    ],
)
def test_the_shipped_table_decides_and_tells_the_rule(
    decisions: Decisions, given: dict[str, Any], result: str, rule: str
) -> None:
    decided = decisions.evaluate("refund_risk", ASKED | given)

    assert (decided.result, [each["rule"] for each in decided.fired]) == (result, [rule])
    assert decided.score is not None
    assert 0 <= decided.score <= 1
    assert len(decided.version) == 64


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"amount": None}, '"amount" is a required property'),
        ({"amount": "much"}, "is not of type"),
        ({"amount": float("nan")}, "no number that can be computed with"),
        ({"amount": 1e300}, "no number that can be computed with"),
        ({"reason": "because"}, "reason"),
        ({"reason": "x" * 5_000}, "longer than"),
        ({"extra": 1}, "no input 'extra'"),
        ({"amount": object()}, "neither a number"),
        ({"amount": [[[[1]]]]}, "nested too deeply"),
    ],
)
def test_inputs_that_are_missing_or_wrong_decide_nothing(
    decisions: Decisions, given: dict[str, Any], told: str
) -> None:
    with pytest.raises(Undecided, match=told):
        decisions.evaluate("refund_risk", ASKED | given)


def _changed(change: Callable[[dict[str, Any]], object]) -> str:
    graph = json.loads(RISK)
    change(graph)
    return json.dumps(graph)


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("{", "is not JSON"),
        ("[]", "must be a JSON object"),
        ("[" * 100_000, "nested too deeply"),
        (_changed(lambda g: g["nodes"][1]["content"]["rules"][0].update(in_amount="> > 5")), "row 1, column Amount"),
        (_changed(lambda g: g["nodes"][1]["content"]["rules"][2].update(out_score="1 +")), "row 3, column Risk"),
        (_changed(lambda g: g["nodes"][1].update(type="functionNode")), "functionNode are not allowed"),
        (_changed(lambda g: g["nodes"][1].update(type="httpNode")), "httpNode are not allowed"),
        (_changed(lambda g: g["nodes"][0]["content"].update(schema="{")), '"schema" is not JSON'),
        (_changed(lambda g: g["nodes"][0]["content"].pop("schema")), "needs a JSON Schema of the inputs"),
        (_changed(lambda g: g["edges"].pop()), "no edges lead from the inputNode"),
        (_changed(lambda g: g["edges"][0].update(targetId="nowhere")), "a node that is not there"),
        (_changed(lambda g: g["nodes"].pop()), "exactly one outputNode"),
        (_changed(lambda g: g["nodes"][1]["content"].update(hitPolicy="foo")), "foo"),
    ],
)
def test_a_table_with_a_mistake_is_refused_and_what_was_there_goes_on_deciding(
    decisions: Decisions, source: str, told: str
) -> None:
    before = decisions.evaluate("refund_risk", ASKED)
    (decisions.folder / "refund_risk.json").write_text(source)
    (decisions.folder / "new_one.json").write_text(source)

    entries = {entry.name: entry for entry in decisions.entries()}

    assert told in "\n".join(map(str, entries["refund_risk"].problems))
    assert entries["refund_risk"].problems[0].file == "refund_risk.json"
    assert decisions.evaluate("refund_risk", ASKED) == before
    with pytest.raises(BadTable):
        decisions.evaluate("new_one", ASKED)


def test_a_changed_file_decides_anew_under_another_version_and_a_removed_one_is_gone(decisions: Decisions) -> None:
    before = decisions.evaluate("refund_risk", ASKED)
    path = decisions.folder / "refund_risk.json"
    path.write_text(RISK.replace('"<= 30"', '"<= 5"').replace('"> 30"', '"> 5"'))
    os.utime(path, ns=(1, 1))

    after = decisions.evaluate("refund_risk", ASKED)

    assert (before.result, after.result) == ("approve", "deny")
    assert before.version != after.version
    path.unlink()
    with pytest.raises(NotFound):
        decisions.evaluate("refund_risk", ASKED)


def test_tables_over_http(installation: Installation) -> None:
    folder = installation.services.decisions.folder
    folder.mkdir(parents=True)
    (folder / "refund_risk.json").write_text(RISK)

    listed = installation.get("/api/decisions")["tables"]
    checked = installation.post("/api/decisions/check", json={"source": "{}"})
    request = {"features": {"days_since_delivery": 3, "reason": "not_wanted"}, "text": "I want my 649 euros back!"}
    decided = installation.post("/api/decisions/refund_risk/evaluate", json=request)
    missing = installation.client.post("/api/decisions/none/evaluate", json={})

    assert [(each["name"], each["problems"]) for each in listed] == [("refund_risk", [])]
    assert checked["problems"][0]["reason"].startswith('"nodes" and "edges"')
    assert (decided["result"], decided["inputs"]["amount"], decided["fired"][0]["rule"]) == (
        "approve",
        649.0,
        "changed_mind",
    )
    assert missing.status_code == 404


def test_features_of_texts_in_both_languages() -> None:
    angry = features_of("This is unacceptable! Order OR-10021 cost me 1,299.00 EUR and 3 parts are missing.", "en")
    chinese = features_of("太差了，我要投诉！退我 200 元，不满意。", "zh")

    assert (angry["amount"], angry["currency"], angry["counts"]) == (1299.0, "EUR", [3.0])
    assert angry["entities"] == {"order_number": ["OR-10021"]}
    assert (angry["sentiment"], chinese["sentiment"]) == (-1.0, -1.0)
    assert (chinese["amount"], chinese["currency"]) == (200.0, "CNY")
    assert features_of("Thanks, not bad at all", "en")["sentiment"] == 1.0
    assert "amount" not in features_of("Where is it?", "en")
