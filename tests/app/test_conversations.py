"""A question is kept, and answered exactly once: repeats, readers who leave, processes that die."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from sqlalchemy import update

from app.db import Database
from app.models import Message, now
from rag.errors import ModelFailed
from rag.types import AnswerEvent, Question
from tests.app.live_app import (
    CITATION,
    QUOTE,
    LiveProcess,
    Script,
    new_conversation,
    processes,
    read_events,
    scripted,
    wait_until,
)

SSE = {"Accept": "text/event-stream"}
SLOW = ("a ", "b ", "c ", "d ", "e ", "f ", "g ", "h ", "i ", "j")
WHOLE = "".join(SLOW)


def test_answer_has_the_documented_shape_and_can_be_read_again(tmp_path: Path, database_url: str) -> None:
    with scripted(tmp_path, Script(), database_url) as client:
        conversation = new_conversation(client)
        asked = client.post(f"{conversation}/messages", json={"text": " How do I reset it? ", "client_message_id": "1"})
        assert asked.status_code == 200
        answer = asked.json()
        citation = answer["citations"][0]
        assert answer == {
            "id": answer["id"],
            "client_message_id": "1",
            "conversation_id": conversation.rpartition("/")[2],
            "role": "assistant",
            "status": "answered",
            "kind": "answer",
            "text": "Hold the button for five seconds. [1]",
            "citations": [
                {
                    "id": citation["id"],
                    "marker": 1,
                    "document_id": CITATION.document_id,
                    "document_version": 1,
                    "title": "Manual",
                    "heading_path": ["Start", "Reset"],
                    "spans": [{"page": 3, "start": 10, "end": 43, "anchor": None}],
                    "page_label": "iii",
                    "quote": QUOTE,
                    "boxes": [],
                }
            ],
            "searched_for": "How do I reset it?",
            "answerer": "scripted",
            "model": None,
            "timings_ms": {"retrieval": 1.0, "total": 2.0},
            "error": None,
            "fallback": None,
            "cached": False,
            "guard": None,
            "not_found": [],
            "choices": [],
            "products": [],
            "author": None,
            "understood": None,
            "rating": None,
            "created_at": answer["created_at"],
        }
        assert client.get(f"/api/citations/{citation['id']}").json() == citation
        kept = client.get(conversation).json()
        assert [(m["role"], m["status"], m["text"]) for m in kept["messages"]] == [
            ("customer", "received", "How do I reset it?"),
            ("assistant", "answered", answer["text"]),
        ]
        assert kept["messages"][1] == answer


def test_chain_gets_the_turns_before_with_what_they_cited(tmp_path: Path, database_url: str) -> None:
    script = Script()
    with scripted(tmp_path, script, database_url) as client:
        conversation = new_conversation(client)
        for number in range(8):
            assert client.post(f"{conversation}/messages", json={"text": f"Question {number}"}).status_code == 200
    history = script.asked[-1].history
    assert [turn.text for turn in history[-2:]] == ["Question 6", "Hold the button for five seconds. [1]"]
    assert [turn.role for turn in history] == ["customer", "assistant"] * 7
    assert history[-1].cited == (CITATION.passage_id,)
    assert script.asked[0].history == ()


def test_same_client_message_id_from_many_clients_at_once_is_answered_once(tmp_path: Path, database_url: str) -> None:
    script = Script(pause=0.1)
    with scripted(tmp_path, script, database_url) as client:
        conversation = new_conversation(client)

        def ask(_: int) -> dict[str, object]:
            with httpx.Client(base_url=client.base_url, timeout=30) as own:
                response = own.post(f"{conversation}/messages", json={"text": "Now?", "client_message_id": "same"})
            assert response.status_code == 200, response.text
            return response.json()

        with ThreadPoolExecutor(32) as pool:
            answers = list(pool.map(ask, range(32)))
        assert len(client.get(conversation).json()["messages"]) == 2
    assert len(script.asked) == 1
    assert all(answer == answers[0] for answer in answers)


def test_conversations_do_not_wait_for_each_other(tmp_path: Path, database_url: str) -> None:
    everybody = threading.Barrier(16)

    class Meeting(Script):
        """Nobody is answered before all are being answered."""

        def stream(self, question: Question) -> Iterator[AnswerEvent]:
            everybody.wait(60)
            yield from super().stream(question)

    with scripted(tmp_path, Meeting(), database_url) as client:
        conversations = [new_conversation(client) for _ in range(16)]

        def ask(conversation: str) -> str:
            with httpx.Client(base_url=client.base_url, timeout=90) as own:
                status: str = own.post(f"{conversation}/messages", json={"text": "Now?"}).json()["status"]
            return status

        with ThreadPoolExecutor(16) as pool:
            assert set(pool.map(ask, conversations)) == {"answered"}


def test_answer_is_stopped_when_its_reader_leaves_and_made_when_it_returns(tmp_path: Path, database_url: str) -> None:
    script = Script(SLOW, pause=0.15)
    with scripted(tmp_path, script, database_url) as client:
        conversation = new_conversation(client)
        body = {"text": "Slowly", "client_message_id": "s"}
        with client.stream("POST", f"{conversation}/messages", json=body, headers=SSE) as response:
            events = read_events(response)
            first = next(data for name, _, data in events if name == "message")
            next(data for name, _, data in events if name == "token")
        wait_until(lambda: client.get(conversation).json()["messages"][1]["status"] == "stopped")
        partial = client.get(conversation).json()["messages"][1]["text"]
        assert WHOLE.startswith(partial)
        assert "" < partial < WHOLE
        wait_until(lambda: script.aborted == 1)
        assert len(script.asked) == 1

        again = client.post(f"{conversation}/messages", json=body).json()
        assert (again["id"], again["status"], again["text"]) == (first["id"], "answered", WHOLE)
        assert len(script.asked) == 2
        assert len(client.get(conversation).json()["messages"]) == 2


def test_reader_who_subscribes_to_a_stopped_answer_gets_it_made(tmp_path: Path, database_url: str) -> None:
    script = Script(SLOW, pause=0.1)
    with scripted(tmp_path, script, database_url) as client:
        conversation = new_conversation(client)
        with pytest.raises(httpx.ReadTimeout):  # a JSON client that leaves stops the answer just so
            client.post(f"{conversation}/messages", json={"text": "Slowly"}, timeout=0.3)
        wait_until(lambda: client.get(conversation).json()["messages"][1]["status"] == "stopped")
        with (
            client.stream("GET", f"{conversation}/events") as one,
            client.stream("GET", f"{conversation}/events") as other,
        ):
            ends = [next(data for name, _, data in read_events(each) if name == "done") for each in (one, other)]
        assert [end["text"] for end in ends] == [WHOLE, WHOLE]
    assert len(script.asked) == 2


def test_a_short_absence_does_not_stop_an_answer(tmp_path: Path) -> None:
    script = Script(SLOW, pause=0.1)
    with scripted(tmp_path, script) as client:
        conversation = new_conversation(client)
        body = {"text": "Slowly", "client_message_id": "s"}
        with client.stream("POST", f"{conversation}/messages", json=body, headers=SSE) as response:
            next(data for name, _, data in read_events(response) if name == "token")
        with client.stream("POST", f"{conversation}/messages", json=body, headers=SSE) as response:
            events = list(read_events(response))
    assert len(script.asked) == 1
    so_far = events[0][2]["text"]
    assert events[0][0] == "message"
    assert so_far + "".join(data["text"] for name, _, data in events if name == "token") == WHOLE
    assert events[-1][0] == "done"
    assert events[-1][2]["text"] == WHOLE


def test_failed_answer_is_an_error_now_and_later_and_the_conversation_goes_on(
    tmp_path: Path, database_url: str
) -> None:
    script = Script(error=ModelFailed("The model is not reachable.", transient=True))
    with scripted(tmp_path, script, database_url) as client:
        conversation = new_conversation(client)
        body = {"text": "为什么不行？", "client_message_id": "f"}
        for _ in range(2):
            failed = client.post(f"{conversation}/messages", json=body)
            assert failed.status_code == 503
            error = failed.json()["error"]
            assert (error["code"], error["message"]) == ("answer_failed", "The model is not reachable.")
            assert error["details"]["message"]["status"] == "failed"
            assert "抱歉" in error["details"]["message"]["text"]
        assert len(script.asked) == 1
        script.error = RuntimeError("secret internals")
        with client.stream("POST", f"{conversation}/messages", json={"text": "Again"}, headers=SSE) as response:
            events = list(read_events(response))
        assert [name for name, _, _ in events][-2:] == ["error", "done"]
        assert events[-2][2]["error"]["code"] == "internal_error"
        assert "secret" not in str(events)
        script.error = None
        assert client.post(f"{conversation}/messages", json={"text": "And now?"}).json()["status"] == "answered"
        assert [turn.text for turn in script.asked[-1].history] == ["为什么不行？", "Again"]


def test_message_that_kills_its_processes_fails_in_the_end(tmp_path: Path, database_url: str) -> None:
    script = Script(SLOW, pause=0.2)
    database = Database(database_url)
    with scripted(tmp_path, script, database_url) as client:
        conversation = new_conversation(client)
        with client.stream("POST", f"{conversation}/messages", json={"text": "Die"}, headers=SSE) as response:
            events = read_events(response)
            message_id = next(data["id"] for name, _, data in events if name == "message")
            with database.write() as session:  # as three processes would leave it that died over it
                dead = {"lease_owner": "dead", "lease_until": now() - timedelta(seconds=1), "attempts": 3}
                session.execute(update(Message).where(Message.id == message_id).values(**dead))
            end = list(events)[-1]
        assert (end[0], end[2]["status"], end[2]["error"]["code"]) == ("done", "failed", "answer_failed")
        assert "Sorry" in end[2]["text"]
    database.dispose()


def test_answer_of_a_killed_process_is_made_once_by_another(tmp_path: Path, database_url: str) -> None:
    """kill -9 in mid-answer; two processes are there to take over, and only one does."""
    with processes(3, tmp_path, database_url, SLOW, 0.1) as (first, second, third):
        conversation = new_conversation(first.client)
        body = {"text": "Slowly", "client_message_id": "k"}
        with first.client.stream("POST", f"{conversation}/messages", json=body, headers=SSE) as response:
            next(data for name, _, data in read_events(response) if name == "token")
            first.kill()
        with ThreadPoolExecutor(2) as pool:  # the client comes back to both
            answers = list(pool.map(lambda each: _ask(each, conversation, body), (second, third)))
        assert answers[0] == answers[1]
        assert (answers[0]["status"], answers[0]["text"]) == ("answered", WHOLE)
        assert second.times_asked() == 2
        assert len(second.client.get(conversation).json()["messages"]) == 2


def test_answer_of_a_killed_process_is_made_though_nobody_listens(tmp_path: Path, database_url: str) -> None:
    with processes(2, tmp_path, database_url, SLOW, 0.2) as (first, second):
        conversation = new_conversation(first.client)
        asking = threading.Thread(target=_ask_in_vain, args=(first, conversation))
        asking.start()
        wait_until(lambda: first.times_asked() == 1)
        first.kill()
        asking.join()
        wait_until(lambda: second.client.get(conversation).json()["messages"][1]["status"] == "answered")
        assert second.times_asked() == 2


def test_readers_in_another_process_see_the_answer_and_keep_it_going(tmp_path: Path, database_url: str) -> None:
    with processes(2, tmp_path, database_url, SLOW, 0.25) as (one, other):
        conversation = new_conversation(one.client)
        with other.client.stream("GET", f"{conversation}/events") as listening:
            events = read_events(listening)
            body = {"text": "Slowly", "client_message_id": "x"}
            with one.client.stream("POST", f"{conversation}/messages", json=body, headers=SSE) as response:
                next(data for name, _, data in read_events(response) if name == "token")
                assert next(data for name, _, data in events if name == "message")["role"] == "customer"
            # From here on only the reader in the other process is left.
            seen = [(name, data) for name, _, data in _until_done(events)]
        texts = [data["text"] for name, data in seen if name == "message" and data["role"] == "assistant"]
        assert seen[-1][1]["status"] == "answered"
        assert any("" < text < WHOLE for text in texts), "the text so far is shown"
        assert one.times_asked() == 1


def _until_done(events):  # type: ignore[no-untyped-def]
    for event in events:
        yield event
        if event[0] == "done":
            return


def _ask(live: LiveProcess, conversation: str, body: dict[str, str]) -> dict[str, object]:
    return live.client.post(f"{conversation}/messages", json=body).json()


def _ask_in_vain(live: LiveProcess, conversation: str) -> None:
    with pytest.raises(httpx.TransportError):
        live.client.post(f"{conversation}/messages", json={"text": "Slowly"})
