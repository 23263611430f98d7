"""While people have a conversation: every message is kept and none is answered by the assistant."""

import threading
from pathlib import Path

import httpx
from sqlalchemy import select, update

from app.bootstrap import Services
from app.main import create_app
from app.models import Conversation, Message, now
from app.service.tables import HandOff, Typing
from tests.app.live_app import Script, ScriptedServices, live, new_conversation, patient, read_events, wait_until
from tests.conftest import settings_in


def _hand_over(services: Services, address: str) -> None:
    """As if an agent had claimed it."""
    with services.database.write() as session:
        row = session.get_one(Conversation, address.rpartition("/")[2])
        session.add(
            HandOff(
                conversation_id=row.id,
                knowledge_base_id=row.knowledge_base_id,
                status="claimed",
                reason="asked_for",
            )
        )
        row.handler = "people"


def test_a_message_is_kept_once_and_not_answered(tmp_path: Path, database_url: str) -> None:
    script = Script()
    services = ScriptedServices(settings_in(tmp_path, database_url, answers=patient()), script)
    with live(create_app(services)) as client:
        address = new_conversation(client)
        _hand_over(services, address)
        first = client.post(f"{address}/messages", json={"text": "Are you there?", "client_message_id": "1"})
        assert first.status_code == 200
        assert (first.json()["role"], first.json()["status"]) == ("customer", "received")
        again = client.post(f"{address}/messages", json={"text": "Are you there?", "client_message_id": "1"})
        assert again.json()["id"] == first.json()["id"]
        streaming = {"accept": "text/event-stream"}
        body = {"text": "Hello?", "client_message_id": "2"}
        with client.stream("POST", f"{address}/messages", json=body, headers=streaming) as response:
            events = [(name, data["text"]) for name, _, data in read_events(response)]
        assert events == [("message", "Hello?"), ("done", "Hello?")]
        messages = client.get(address).json()["messages"]
        assert [(each["role"], each["text"]) for each in messages] == [
            ("customer", "Are you there?"),
            ("customer", "Hello?"),
        ]
        assert script.asked == []
        with services.database.read() as session:
            assert session.scalar(select(HandOff.waiting_since)) is not None, "the agent sees that somebody waits"

        with services.database.write() as session:
            session.execute(update(HandOff).values(status="returned"))
            session.execute(update(Conversation).values(handler="assistant"))
        answered = client.post(f"{address}/messages", json={"text": "How do I reset it?", "client_message_id": "3"})
        assert answered.json()["role"] == "assistant"
        assert [each.text for each in script.asked] == ["How do I reset it?"]


def test_what_people_write_reaches_who_listens(tmp_path: Path, database_url: str) -> None:
    """An agent's message, that somebody is typing, and how far the hand-off is."""
    services = ScriptedServices(settings_in(tmp_path, database_url, answers=patient()), Script())
    with live(create_app(services)) as client:
        address = new_conversation(client)
        _hand_over(services, address)
        conversation_id = address.rpartition("/")[2]
        seen: list[tuple[str, object]] = []

        def listen() -> None:
            with httpx.stream("GET", f"{client.base_url}{address}/events?after=0", timeout=30) as response:
                for name, _, data in read_events(response):
                    seen.append((name, data.get("status") if name == "hand_off" else data.get("text", data)))
                    if name == "message":
                        return

        listener = threading.Thread(target=listen)
        listener.start()
        wait_until(lambda: ("hand_off", "claimed") in seen)
        with services.database.write() as session:
            session.add(
                Typing(conversation_id=conversation_id, role="agent", name="Ann", until=now().replace(year=2100))
            )
        wait_until(lambda: any(name == "typing" for name, _ in seen))
        with services.database.write() as session:
            row = session.get_one(Conversation, conversation_id)
            row.change += 1
            session.add(
                Message(
                    conversation_id=row.id,
                    ordinal=0,
                    client_message_id="agent-1",
                    role="agent",
                    status="answered",
                    text="I am here.",
                    author="Ann",
                    change=row.change,
                )
            )
        listener.join(15)
        assert seen[-1] == ("message", "I am here.")
        typing = next(data for name, data in seen if name == "typing")
        assert isinstance(typing, dict)
        assert (typing["role"], typing["name"]) == ("agent", "Ann")
