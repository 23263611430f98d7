"""Server-sent events: their order and shapes, and going on after a lost connection without loss or repetition."""

import time
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
import pytest

import app.event_stream
from tests.app.live_app import CITATION, QUOTE, Script, new_conversation, read_events, scripted

SSE = {"Accept": "text/event-stream"}


def test_post_streams_its_own_answer_in_the_documented_order(tmp_path: Path) -> None:
    with scripted(tmp_path, Script(pause=0.02)) as client:
        conversation = new_conversation(client)
        with client.stream("POST", f"{conversation}/messages", json={"text": "How?"}, headers=SSE) as response:
            assert response.headers["content-type"].startswith("text/event-stream")
            events = list(read_events(response))
        assert [name for name, _, _ in events] == [
            "message",
            "retrieval",
            "token",
            "token",
            "token",
            "citation",
            "done",
        ]
        message, retrieval, token, *_, citation, done = [data for _, _, data in events]
        assert (message["role"], message["status"], message["text"]) == ("assistant", "answering", "")
        assert retrieval["hits"] == [
            {
                "passage_id": CITATION.passage_id,
                "document_id": CITATION.document_id,
                "external_id": "manual.pdf",
                "title": "Manual",
                "heading_path": ["Start", "Reset"],
                "spans": [{"page": 3, "start": 10, "end": 43, "anchor": None}],
                "page_label": "iii",
                "text": QUOTE,
                "score": 1.5,
                "signals": {"dense": 0.9, "lexical": 7.0},
                "also_at": [],
                "excluded": None,
            }
        ]
        assert token == {"message_id": message["id"], "text": "Hold the button "}
        assert citation == {"message_id": message["id"], "citation": done["citations"][0]}
        assert done == client.get(conversation).json()["messages"][1]


def test_subscriber_hears_everything_and_resumes_where_it_was(tmp_path: Path, database_url: str) -> None:
    with scripted(tmp_path, Script(pause=0.02), database_url) as client:
        conversation = new_conversation(client)
        with client.stream("GET", f"{conversation}/events") as response:
            events = read_events(response)
            client.post(f"{conversation}/messages", json={"text": "One"})
            first = _until_done(events)
        numbers = [number for _, number, _ in first if number is not None]
        assert [name for name, number, _ in first if number is not None] == ["message", "message", "done"]
        assert numbers == sorted(set(numbers))
        for text in ("Two", "Three"):
            client.post(f"{conversation}/messages", json={"text": text})
        with client.stream("GET", f"{conversation}/events", headers={"Last-Event-ID": str(numbers[-1])}) as response:
            missed = list(islice(read_events(response), 4))
        assert [(name, data["role"]) for name, _, data in missed] == [
            ("message", "customer"),
            ("done", "assistant"),
        ] * 2
        kept = client.get(conversation).json()
        assert [data for _, _, data in missed] == kept["messages"][2:]
        assert kept["change"] == missed[-1][1]


def test_reader_who_resumes_in_mid_answer_gets_the_text_so_far_and_the_rest(tmp_path: Path) -> None:
    words = [f"word{number} " for number in range(20)]
    with scripted(tmp_path, Script(words, pause=0.05)) as client:
        conversation = new_conversation(client)
        body = {"text": "Long", "client_message_id": "l"}
        with client.stream("POST", f"{conversation}/messages", json=body, headers=SSE) as posting:
            time.sleep(0.3)
            with client.stream("GET", f"{conversation}/events", headers={"Last-Event-ID": "2"}) as response:
                events = _until_done(read_events(response))
            posting.read()
    assert [name for name, _, _ in events[:2]] == ["message", "retrieval"]
    so_far = events[0][2]["text"]
    assert so_far
    rest = [data["text"] for name, _, data in events if name == "token"]
    assert so_far + "".join(rest) == "".join(words) == events[-1][2]["text"]


def test_idle_stream_sends_comments_and_holds_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app.event_stream, "HEARTBEAT_S", 0.05)
    with scripted(tmp_path, Script()) as client:
        conversation = new_conversation(client)
        with client.stream("GET", f"{conversation}/events") as response:
            lines = response.iter_lines()
            assert next(lines) == "retry: 1000"
            assert [line for line in [next(lines) for _ in range(6)] if line][:2] == [": still here", ": still here"]
        limits = httpx.Limits(max_connections=None)
        with httpx.Client(base_url=client.base_url, limits=limits, timeout=30) as many:
            # More streams than there are threads or database connections; the API goes on answering.
            streams = [many.stream("GET", f"{conversation}/events") for _ in range(80)]
            for stream in streams:
                stream.__enter__()
            assert client.post(f"{conversation}/messages", json={"text": "Still there?"}).status_code == 200
            for stream in streams:
                stream.__exit__(None, None, None)


def test_streams_end_when_the_conversation_is_deleted(tmp_path: Path) -> None:
    with scripted(tmp_path, Script()) as client:
        conversation = new_conversation(client, "short-lived")
        with client.stream("GET", f"{conversation}/events") as response:
            client.delete("/api/knowledge-bases/short-lived")
            assert list(read_events(response)) == []
        assert client.get(f"{conversation}/events").status_code == 404


def _until_done(events: Any) -> list[tuple[str, int | None, Any]]:
    seen = []
    for event in events:
        seen.append(event)
        if event[0] == "done":
            break
    return seen
