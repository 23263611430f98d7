"""When a knowledge base refuses is set from its golden questions: over HTTP by a run, and by `answerdesk evaluate`."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.app.test_cli import CommandLine
from tests.installation import Installation

BASE = "/api/knowledge-bases/manuals"
MANUAL = """# Kettle K-7

## Removing limescale

Pour 300 mL of vinegar into the kettle. Wait 30 minutes. Rinse it three times.

## Error codes

E-42 means that the lid is open. Close the lid and press the blue lever.
"""
IN_THE_MANUAL = ("What does E-42 mean?", "How much vinegar goes into the kettle?", "How long do I wait?")
NOT_THERE = ("Which zoo has penguins?", "How much vinegar goes into a salad?", "What does E-99 mean?")
COPIES = 4


@pytest.fixture
def desk(installation: Installation) -> Installation:
    installation.upload(("kettle.md", MANUAL))
    installation.work()
    return installation


def golden(questions: tuple[str, ...], expected: Any, copies: int = COPIES) -> str:
    records = (
        {"id": f"{copy}: {question}", "question": question, "expected": expected}
        for copy in range(copies)
        for question in questions
    )
    return "".join(json.dumps(each) + "\n" for each in records)


def run(desk: Installation, **settings: Any) -> str:
    begun = desk.post(f"{BASE}/golden-runs", json={"settings": settings})
    desk.work()
    return str(begun["number"])


def calibrate(desk: Installation, number: str, wanted: float) -> tuple[int, dict[str, Any]]:
    answer = desk.client.post(f"{BASE}/golden-runs/{number}/calibrate", json={"false_answers": wanted})
    return answer.status_code, answer.json()


def test_a_run_sets_the_threshold_and_the_next_run_is_as_was_told(desk: Installation) -> None:
    questions = golden(IN_THE_MANUAL, {"document": "kettle.md"}) + golden(NOT_THERE, "not answerable")
    desk.post(f"{BASE}/golden-questions/file", content=questions.encode())
    desk.client.patch(BASE, json={"settings": {"false_answers": 0.2, "answer_passages": 4}})
    status, made = calibrate(desk, run(desk, refuse_below=0.0, doubt_below=0.0), 0.1)
    assert status == 200, made
    assert (made["answerable"], made["not_answerable"], made["questions_missing"]) == (12, 12, 0)
    assert made["false_answers"]["value"] == 0.0 < made["expected_false_answers"] == 1 / 13
    assert desk.get(BASE)["settings"] == {"answer_passages": 4, "refuse_below": made["refuse_below"]}
    figures = desk.get(f"{BASE}/golden-runs/{run(desk)}")["figures"]
    assert figures["false_answers"] == 0.0
    assert figures["false_refusals"] == made["false_refusals"]["value"]
    few = calibrate(desk, "2", 0.02)[1]
    assert few["questions_missing"] == 49 - 12
    assert few["expected_false_answers"] == 1 / 13 > few["wanted"]


@pytest.mark.parametrize("kind", ["sqlite"])
def test_what_cannot_be_calibrated_changes_nothing(desk: Installation) -> None:
    questions = golden(IN_THE_MANUAL, {"document": "kettle.md"}) + golden(NOT_THERE, "not answerable", copies=3)
    desk.post(f"{BASE}/golden-questions/file", content=questions.encode())

    def refused(number: str, status: int, says: str) -> None:
        found, told = calibrate(desk, number, 0.1)
        assert (found, says in told["error"]["message"]) == (status, True), told
        assert desk.get(BASE)["settings"] == {}

    refused(run(desk), 409, "add 1 more that the manuals do not answer")
    refused(run(desk, dense_weight=1.0), 409, "another dense_weight")
    refused(run(desk, answerer="generative"), 409, "Run 3 is failed")
    refused("7", 404, "7")
    assert desk.post(f"{BASE}/golden-runs", json={})["number"] == 4
    refused("4", 409, "Run 4 is queued")
    for wanted in (0, 0.6, None):
        assert desk.client.post(f"{BASE}/golden-runs/1/calibrate", json={"false_answers": wanted}).status_code == 422


def test_the_command_line_sets_the_threshold_and_says_what_it_costs(tmp_path: Path) -> None:
    (tmp_path / "kettle.md").write_text(MANUAL)
    questions, silent = tmp_path / "questions.jsonl", tmp_path / "silent.jsonl"
    silent.write_text(golden(NOT_THERE, "not answerable"))
    questions.write_text(golden(IN_THE_MANUAL, {"document": "kettle.md"}) + silent.read_text())
    line = CommandLine(tmp_path / "home")
    assert line.run("ingest", "--kb", "kettles", str(tmp_path / "kettle.md")).returncode == 0
    evaluate = ("evaluate", "--kb", "kettles", "--golden", str(questions))

    done = line.run(*evaluate, "--calibrate", "0.05", "--json")
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)["calibration"]
    (row,) = line.json("kb", "list")
    assert row["settings"] == {"refuse_below": made["refuse_below"]}
    assert f"Below a probability of {made['refuse_below']:g}" in done.stderr
    assert "Too few to expect 5.0%: add 7 questions" in done.stderr
    figures = line.json(*evaluate)
    assert (figures["false_answers"], figures["false_refusals"]) == (0.0, made["false_refusals"]["value"])

    for more, says in (
        (("--settings", '{"refuse_below": 0}'), "leave out"),
        (("--retrieval-only",), "leave out"),
        (("--golden", str(silent)), "add 10 more that they answer"),
        (("--save", str(tmp_path / "none" / "kept.json")), "does not exist; make it first"),
    ):
        failed = line.run(*evaluate, "--calibrate", "0.05", *more)
        assert (failed.returncode, says in failed.stderr) == (2, True), failed.stderr
        assert failed.stdout == "", "nothing has been asked"
    (row,) = line.json("kb", "list")
    assert row["settings"] == {"refuse_below": made["refuse_below"]}
