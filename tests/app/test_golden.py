"""Golden questions as an admin meets them: over HTTP, with a worker that asks, on both kinds of database."""

import json
import math
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import OperationalError

from app.bootstrap import Services
from app.evaluation import lease as evaluation_lease
from app.evaluation import worker as evaluation_worker
from app.evaluation.worker import GoldenRunner
from app.models import GoldenRun, KnowledgeBase
from rag.errors import ModelBusy, ModelUnreachable
from rag.evaluation.asking import ask
from tests.app.live_app import wait_until
from tests.installation import Installation

BASE = "/api/knowledge-bases/manuals"
MANUAL = """# Kettle K-7

## Removing limescale

Pour 300 mL of vinegar into the kettle. Wait 30 minutes. Rinse it three times.

## Error codes

E-42 means that the lid is open. Close the lid and press the blue lever.
"""
CODE = {"question": "What does E-42 mean?", "expected": {"document": "kettle.md", "answer": "the lid is open"}}
LOST = {"question": "What does E-42 mean here?", "expected": {"document": "other.md"}}
ANSWERS = {"refuse_below": 0.0, "doubt_below": 0.0}
REFUSES = {"refuse_below": 1.0, "doubt_below": 1.0}
SILENT = {"question": "Which zoo has penguins?", "expected": "not answerable"}


@pytest.fixture
def desk(installation: Installation) -> Installation:
    installation.upload(("kettle.md", MANUAL))
    installation.work()
    return installation


def jsonl(*records: dict[str, Any]) -> bytes:
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records).encode()


def upload(desk: Installation, *records: dict[str, Any]) -> dict[str, int]:
    counts: dict[str, int] = desk.post(f"{BASE}/golden-questions/file", content=jsonl(*records))
    return counts


def test_questions_are_added_changed_uploaded_and_deleted(desk: Installation) -> None:
    added = desk.post(f"{BASE}/golden-questions", json={**CODE, "name": "code", "history": ["I have a K-7."]})
    assert added["history"] == [{"role": "customer", "text": "I have a K-7."}]
    again = desk.client.post(f"{BASE}/golden-questions", json={**SILENT, "name": "code"})
    assert (again.status_code, again.json()["error"]["code"]) == (409, "conflict")
    assert upload(desk, {**CODE, "id": "code"}, SILENT) == {"added": 1, "changed": 1, "unchanged": 0}
    assert upload(desk, {**CODE, "id": "code"}, SILENT) == {"added": 0, "changed": 0, "unchanged": 2}
    listed = desk.get(f"{BASE}/golden-questions", limit=1)
    assert (listed["total"], listed["questions"][0]["id"]) == (2, added["id"])
    second = desk.get(f"{BASE}/golden-questions", cursor=listed["next_cursor"])["questions"][0]
    changed = desk.client.put(f"{BASE}/golden-questions/{second['id']}", json={**CODE, "question": "E-42?"}).json()
    assert (changed["name"], changed["question"]) == (second["name"], "E-42?")
    file = desk.client.get(f"{BASE}/golden-questions/file").text
    assert upload(desk, *map(json.loads, file.splitlines())) == {"added": 0, "changed": 0, "unchanged": 2}
    assert desk.client.delete(f"{BASE}/golden-questions/{added['id']}").status_code == 204
    assert desk.client.delete(f"{BASE}/golden-questions/{added['id']}").status_code == 404
    assert desk.get(f"{BASE}/golden-questions")["total"] == 1


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (jsonl(CODE) + b"{}\n", "line 2"),
        (b"\xff", "UTF-8"),
        (b"", "no questions"),
        (jsonl({**CODE, "question": "a\0b"}), "NUL"),
        (b'{"question": "a", "expected": "not answerable", "filter": {"version": [1, NaN]}}', "NaN"),
        (b'{"question": "a", "expected": "not answerable", "filter": {"version": "\\ud83d"}}', "half a character"),
        (jsonl({**CODE, "filter": {"version": {"deep": 1}}}), "needs a text"),
        (jsonl({**CODE, "question": "a" * 10_001}), "10,000 characters, not 10,001"),
        (jsonl({**CODE, "history": ["a"] * 101}), "100 turns, not 101"),
        (jsonl({**CODE, "expected": {"document": "a", "page": 1_000_000}}), "not 1,000,000"),
        (jsonl(CODE, CODE), "there already"),
    ],
)
def test_a_bad_file_changes_nothing(desk: Installation, body: bytes, says: str) -> None:
    answer = desk.client.post(f"{BASE}/golden-questions/file", content=body)
    assert answer.status_code == 400
    assert says in answer.json()["error"]["message"]
    assert desk.get(f"{BASE}/golden-questions")["total"] == 0


def test_the_form_has_the_bounds_of_the_file(desk: Installation) -> None:
    def refused(**values: Any) -> bool:
        body = json.dumps({**CODE, **values})
        return desk.client.post(f"{BASE}/golden-questions", content=body).status_code in (400, 422)

    assert refused(question="a" * 10_001)
    assert refused(history=["a"] * 101)
    assert refused(expected={"document": "a", "page": 1_000_000})
    assert refused(filter={"version": math.nan})
    assert refused(filter={"version": {"deep": 1}})
    innocent = {
        **CODE,
        "question": "What does a typed \\u0000 in the log mean?",
        "history": [{"text": "a", "cited": ["p"]}],
    }
    added = desk.post(f"{BASE}/golden-questions", json=innocent)
    assert added["question"] == innocent["question"]
    file = desk.client.get(f"{BASE}/golden-questions/file").text
    assert json.loads(file)["history"] == [{"role": "customer", "text": "a", "cited": ["p"]}]
    assert upload(desk, json.loads(file)) == {"added": 0, "changed": 0, "unchanged": 1}


def test_a_run_says_what_failed_and_why(desk: Installation) -> None:
    assert desk.client.post(f"{BASE}/golden-runs", json={}).status_code == 409
    upload(desk, CODE, LOST, SILENT)
    begun = desk.post(f"{BASE}/golden-runs", json={"note": "before", "settings": ANSWERS})
    assert (begun["status"], begun["number"], begun["done"], begun["total"]) == ("queued", 1, 0, 3)
    desk.work()
    run = desk.get(f"{BASE}/golden-runs/1")
    assert (run["status"], run["done"], run["message"]) == ("done", 3, "")
    results = {each["question"]: each for each in desk.get(f"{BASE}/golden-runs/1/results")["results"]}
    assert results[CODE["question"]]["outcome"] == "passed"
    assert results[CODE["question"]]["details"]["cited"][0]["document"] == "kettle.md"
    assert "the lid is open" in results[CODE["question"]]["details"]["answer"]
    assert results[LOST["question"]]["outcome"] == "not_retrieved"
    assert results[SILENT["question"]]["outcome"] == "wrongly_answered"
    assert run["outcomes"] == run["figures"]["outcomes"]
    assert run["figures"]["citation_precision"] == 1.0
    assert (run["used"]["answerer"], run["used"]["generation"]) == ("extractive", 1)
    lost = desk.get(f"{BASE}/golden-runs/1/results", outcome="not_retrieved")["results"]
    assert [each["question"] for each in lost] == [LOST["question"]]


def test_two_settings_are_compared(desk: Installation) -> None:
    upload(desk, CODE, SILENT)
    for tried in (ANSWERS, REFUSES):
        desk.post(f"{BASE}/golden-runs", json={"settings": tried})
    desk.work()
    compared = desk.get(f"{BASE}/golden-runs/compare", first="1", second="2")
    assert compared["settings"]["refuse_below"] == [0.0, 1.0]
    changes = {each["figure"]: each for each in compared["figures"]}
    refusals = changes["false_refusals"]
    assert (refusals["first"], refusals["second"], refusals["is_worse"], refusals["questions"]) == (0.0, 1.0, True, 1)
    assert {"question": CODE["question"], "first": "passed", "second": "refused"}.items() <= compared["questions"][
        0
    ].items()
    assert desk.get(BASE)["settings"] == {}, "what was tried is not kept"
    begun = desk.post(f"{BASE}/golden-runs", json={})
    early = desk.client.get(f"{BASE}/golden-runs/compare", params={"first": "1", "second": begun["id"]})
    assert early.status_code == 409
    cancelled = desk.post(f"{BASE}/golden-runs/3/cancel")
    assert cancelled["status"] == "cancelled"
    assert desk.client.post(f"{BASE}/golden-runs/3/cancel").status_code == 409
    assert desk.client.delete(f"{BASE}/golden-runs/3").status_code == 204
    assert [each["number"] for each in desk.get(f"{BASE}/golden-runs")["runs"]] == [2, 1]


@pytest.mark.parametrize("settings", [{"exclude_duplicate": True}, {"refuse_below": 2}, {"no_such": 1}])
def test_settings_that_cannot_be_tried(desk: Installation, settings: dict[str, Any]) -> None:
    upload(desk, CODE)
    answer = desk.client.post(f"{BASE}/golden-runs", json={"settings": settings})
    assert answer.status_code in (400, 422)


def test_a_run_goes_on_where_its_worker_died(desk: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    upload(desk, *({**CODE, "id": str(number)} for number in range(3)))
    desk.post(f"{BASE}/golden-runs", json={"settings": ANSWERS})
    asked: list[str] = []

    def dies_at_the_second(bench: Any, question: Any) -> Any:
        asked.append(question.id)
        if len(asked) == 2:
            raise KeyboardInterrupt
        return ask(bench, question)

    monkeypatch.setattr(evaluation_worker, "ask", dies_at_the_second)
    monkeypatch.setattr(evaluation_worker, "SLICE_S", 100.0)
    runner = GoldenRunner(desk.services, lambda: False)
    with pytest.raises(KeyboardInterrupt):
        runner.advance()
    run = desk.get(f"{BASE}/golden-runs/1")
    assert (run["status"], run["done"]) == ("running", 1)
    assert not runner.advance(), "the dead worker's lease holds"
    expire_leases(desk.services)
    desk.work()
    run = desk.get(f"{BASE}/golden-runs/1")
    assert (run["status"], run["done"], run["outcomes"]) == ("done", 3, {"passed": 3})
    assert asked == ["0", "1", "1", "2"]


def test_a_question_that_kills_every_worker_ends_its_run(desk: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    upload(desk, CODE)
    desk.post(f"{BASE}/golden-runs", json={})
    monkeypatch.setattr(evaluation_worker, "ask", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    runner = GoldenRunner(desk.services, lambda: False)
    for _ in range(evaluation_lease.ATTEMPTS):
        with pytest.raises(KeyboardInterrupt):
            runner.advance()
        expire_leases(desk.services)
    assert not runner.advance()
    run = desk.get(f"{BASE}/golden-runs/1")
    assert (run["status"], run["done"]) == ("failed", 0)
    assert "worker died 3 times" in run["message"]


def test_a_run_that_cannot_be_answered_says_so(desk: Installation) -> None:
    upload(desk, CODE)
    desk.post(f"{BASE}/golden-runs", json={"settings": {"answerer": "generative"}})
    desk.work()
    run = desk.get(f"{BASE}/golden-runs/1")
    assert run["status"] == "failed"
    assert "no chat model is configured" in run["message"]


def test_a_question_that_cannot_be_asked_fails_alone(desk: Installation) -> None:
    upload(desk, {**CODE, "id": "odd", "filter": {"colour of the lid": "red"}}, CODE)
    desk.post(f"{BASE}/golden-runs", json={"settings": ANSWERS})
    desk.work()
    run = desk.get(f"{BASE}/golden-runs/1")
    assert (run["status"], run["outcomes"]) == ("done", {"not_asked": 1, "passed": 1})
    assert run["figures"]["passed"] == 0.5
    (odd,) = desk.get(f"{BASE}/golden-runs/1/results", outcome="not_asked")["results"]
    assert "colour of the lid" in odd["details"]["reason"]
    assert desk.client.post(f"{BASE}/golden-runs", json={"note": "two\nlines"}).status_code == 422


@pytest.mark.parametrize(
    "error",
    [
        ModelBusy("All places are taken.", retry_after_s=1),
        ModelUnreachable("Nothing answers."),
        OperationalError("UPDATE", {}, Exception("database is locked")),
    ],
    ids=["busy", "unreachable", "locked"],
)
def test_what_passes_by_itself_does_not_end_a_run(
    desk: Installation, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    upload(desk, CODE, SILENT)
    desk.post(f"{BASE}/golden-runs", json={"settings": ANSWERS})
    runner = GoldenRunner(desk.services, lambda: False)

    def fail(*_: Any) -> Any:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(evaluation_worker, "ask", fail)
        for _ in range(evaluation_lease.PAUSES):
            assert runner.advance()
            assert not runner.advance(), "it waits"
            run = desk.get(f"{BASE}/golden-runs/1")
            assert (run["status"], str(error) in run["message"]) == ("running", True), run
            expire_leases(desk.services)
    desk.work()
    run = desk.get(f"{BASE}/golden-runs/1")
    assert (run["status"], run["done"], run["message"]) == ("done", 2, "")


def test_a_run_that_waited_too_long_can_be_gone_on_with(desk: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    upload(desk, CODE, SILENT)
    desk.post(f"{BASE}/golden-runs", json={"settings": ANSWERS})
    runner = GoldenRunner(desk.services, lambda: False)
    asked: list[str] = []

    def gone_after_the_first(bench: Any, question: Any) -> Any:
        asked.append(question.text)
        if len(asked) > 1:
            raise ModelUnreachable("Nothing answers.")
        return ask(bench, question)

    with monkeypatch.context() as patched:
        patched.setattr(evaluation_worker, "ask", gone_after_the_first)
        while runner.advance():
            expire_leases(desk.services)
    run = desk.get(f"{BASE}/golden-runs/1")
    assert (run["status"], run["done"], len(asked)) == ("failed", 1, 2 + evaluation_lease.PAUSES)
    assert "Nothing answers." in run["message"]
    again = desk.post(f"{BASE}/golden-runs/1/retry")
    assert (again["status"], again["done"], again["message"], again["finished_at"]) == ("queued", 1, "", None)
    assert desk.client.post(f"{BASE}/golden-runs/1/retry").status_code == 409
    desk.work()
    run = desk.get(f"{BASE}/golden-runs/1")
    assert (run["status"], run["done"]) == ("done", 2)
    assert desk.client.post(f"{BASE}/golden-runs/1/retry").status_code == 409


@pytest.mark.parametrize("at_the_last", [False, True])
def test_a_run_is_never_a_mixture(desk: Installation, monkeypatch: pytest.MonkeyPatch, at_the_last: bool) -> None:
    """Settings that change between two slices, or while the last question is asked."""
    upload(desk, CODE, SILENT)
    desk.post(f"{BASE}/golden-runs", json={})
    asked: list[str] = []

    def changed_meanwhile(bench: Any, question: Any) -> Any:
        asked.append(question.id)
        if len(asked) == 1 + at_the_last:
            desk.client.patch(BASE, json={"settings": {"answer_passages": 7}})
        return ask(bench, question)

    monkeypatch.setattr(evaluation_worker, "ask", changed_meanwhile)
    monkeypatch.setattr(evaluation_worker, "SLICE_S", 100.0 if at_the_last else 0.0001)
    desk.work()
    run = desk.get(f"{BASE}/golden-runs/1")
    assert (run["status"], run["figures"], len(asked)) == ("failed", {}, 1 + at_the_last)
    assert "answer_passages" in run["message"]
    assert "begin it again" in run["message"]
    assert run["used"]["answer_passages"] != 7


def test_documents_that_are_read_meanwhile_do_not_end_a_run(
    desk: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And an upload is read before the next question is asked."""
    upload(desk, CODE, SILENT)
    desk.post(f"{BASE}/golden-runs", json={})
    found: list[int] = []

    def uploads(bench: Any, question: Any) -> Any:
        if not found:
            desk.upload(("other.md", MANUAL.replace("K-7", "K-8")))
        found.append(sum(each["status"].startswith("ready") for each in desk.documents().values()))
        return ask(bench, question)

    monkeypatch.setattr(evaluation_worker, "ask", uploads)
    monkeypatch.setattr(evaluation_worker, "SLICE_S", 100.0)
    desk.work()
    assert found == [1, 2]
    assert desk.get(f"{BASE}/golden-runs/1")["status"] == "done"


def test_a_lease_is_renewed_while_a_long_question_is_asked(desk: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    upload(desk, CODE)
    desk.post(f"{BASE}/golden-runs", json={})
    runner, other = GoldenRunner(desk.services, lambda: False), GoldenRunner(desk.services, lambda: False)
    taken: list[bool] = []

    def lease() -> Any:
        with desk.services.database.read() as session:
            return session.scalars(select(GoldenRun.lease_until)).one()

    def slow(bench: Any, question: Any) -> Any:
        expire_leases(desk.services)
        expired = lease()
        wait_until(lambda: lease() != expired, 30)
        taken.append(other.advance())
        return ask(bench, question)

    monkeypatch.setattr(evaluation_worker, "ask", slow)
    for each in (runner, other):
        each._leases._lease_s = 1.0
    runner.advance()
    assert (taken, desk.get(f"{BASE}/golden-runs/1")["status"]) == ([False], "done")


@pytest.mark.parametrize("ends", ["cancel", "delete"])
@pytest.mark.parametrize("between_slices", [False, True])
@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_the_index_of_a_run_that_somebody_ended_is_closed(
    desk: Installation, monkeypatch: pytest.MonkeyPatch, ends: str, between_slices: bool
) -> None:
    upload(desk, CODE, SILENT)
    desk.post(f"{BASE}/golden-runs", json={})
    closed: list[str] = []

    def end() -> None:
        path = f"{BASE}/golden-runs/1"
        answer = desk.client.delete(path) if ends == "delete" else desk.client.post(f"{path}/cancel")
        assert answer.status_code in (200, 204)

    def ended_meanwhile(bench: Any, question: Any) -> Any:
        asked = ask(bench, question)
        if not between_slices:
            end()
        return asked

    monkeypatch.setattr(evaluation_worker, "ask", ended_meanwhile)
    monkeypatch.setattr(evaluation_worker, "SLICE_S", 0.0001)
    monkeypatch.setattr(desk.services, "forget", lambda base: closed.append(base.name))
    runner = GoldenRunner(desk.services, lambda: False)
    assert runner.advance()
    if between_slices:
        assert closed == []
        end()
    assert not runner.advance()
    assert closed == ["manuals"]


def test_a_cancelled_run_is_left_by_its_worker(desk: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    upload(desk, CODE, SILENT)
    desk.post(f"{BASE}/golden-runs", json={})

    def cancelled_meanwhile(bench: Any, question: Any) -> Any:
        desk.client.post(f"{BASE}/golden-runs/1/cancel")
        return ask(bench, question)

    monkeypatch.setattr(evaluation_worker, "ask", cancelled_meanwhile)
    desk.work()
    run = desk.get(f"{BASE}/golden-runs/1")
    assert (run["status"], run["done"], run["figures"]) == ("cancelled", 0, {})


def test_a_thumbed_down_answer_becomes_a_golden_question(desk: Installation) -> None:
    conversation = desk.post("/api/conversations", json={"knowledge_base": "manuals"})["id"]
    messages = f"/api/conversations/{conversation}/messages"
    desk.post(messages, json={"text": "How do I remove limescale?"})
    answer = desk.post(messages, json={"text": "What does E-42 mean?"})
    assert desk.get(f"{BASE}/golden-candidates")["candidates"] == []
    desk.post(f"/api/messages/{answer['id']}/feedback", json={"rating": "down", "comment": "wrong page"})
    (candidate,) = desk.get(f"{BASE}/golden-candidates")["candidates"]
    assert (candidate["question"], candidate["comment"]) == ("What does E-42 mean?", "wrong page")
    assert candidate["history"][0] == {"role": "customer", "text": "How do I remove limescale?"}
    assert candidate["cited"][0]["document"] == "kettle.md"
    accept = f"{BASE}/golden-candidates/{answer['id']}/accept"
    assert desk.client.post(accept, json={"expected": {"page": 3}}).status_code == 400
    upload(desk, {**CODE, "id": f"answer {answer['id']}"})  # downloaded from another installation, say
    assert desk.client.post(accept, json={"expected": CODE["expected"]}).status_code == 409
    (taken,) = desk.get(f"{BASE}/golden-questions")["questions"]
    assert desk.client.delete(f"{BASE}/golden-questions/{taken['id']}").status_code == 204
    question = desk.post(accept, json={"expected": CODE["expected"]})
    assert (question["message_id"], question["history"]) == (answer["id"], candidate["history"])
    assert desk.get(f"{BASE}/golden-candidates")["candidates"] == []
    assert desk.client.post(accept, json={"expected": "not answerable"}).status_code == 404
    assert desk.client.post(f"{BASE}/golden-candidates/{answer['id']}/dismiss").status_code == 404
    other = desk.post(messages, json={"text": "And the blue lever?"})
    desk.post(f"/api/messages/{other['id']}/feedback", json={"rating": "down"})
    assert desk.client.post(f"{BASE}/golden-candidates/{other['id']}/dismiss").status_code == 204
    assert desk.get(f"{BASE}/golden-candidates")["candidates"] == []


def test_another_workspace_sees_nothing_of_it(desk: Installation) -> None:
    upload(desk, CODE)
    desk.post(f"{BASE}/golden-runs", json={})
    theirs = desk.post("/api/knowledge-bases", json={"name": "theirs"})["id"]
    question = desk.get(f"{BASE}/golden-questions")["questions"][0]["id"]
    assert desk.client.delete(f"/api/knowledge-bases/{theirs}/golden-questions/{question}").status_code == 404
    assert desk.client.get(f"/api/knowledge-bases/{theirs}/golden-runs/1").status_code == 404
    with desk.services.database.write() as session:
        session.execute(update(KnowledgeBase).where(KnowledgeBase.name == "manuals").values(workspace_id="other"))
    for path in ("golden-questions", "golden-questions/file", "golden-runs", "golden-runs/1", "golden-candidates"):
        assert desk.client.get(f"{BASE}/{path}").status_code == 404


def test_runs_go_with_their_knowledge_base(desk: Installation) -> None:
    upload(desk, CODE)
    desk.post(f"{BASE}/golden-runs", json={})
    desk.work()
    assert desk.client.delete(BASE).status_code == 204
    with desk.services.database.read() as session:
        assert session.query(GoldenRun).count() == 0


def expire_leases(services: Services) -> None:
    with services.database.write() as session:
        session.execute(update(GoldenRun).values(lease_until=GoldenRun.created_at))
