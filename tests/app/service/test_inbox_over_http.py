"""The inbox as its users reach it: over HTTP, with everything that happens coming in by itself."""

import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select, update

from app.db import Database
from app.main import create_app
from app.models import Conversation, new_id, now
from app.service.handoff import feed, presence
from app.service.tables import Account, AccountSession, HandOff
from app.service.turn import HandOffReason, HandOffWanted, ServiceAnswer
from rag.types import AnswerEvent, AnswerKind, Finished, Question
from tests.app.live_app import Script, ScriptedServices, live, new_conversation, patient, read_events, wait_until
from tests.conftest import settings_in
from tests.installation import Installation

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
QUOTE = "Fill the kettle with water and 50 ml of vinegar."


class HandsOver(Script):
    """Answers with the script, and hands over who asks for a person."""

    def stream(self, question: Question) -> Iterator[AnswerEvent]:
        if "person" not in question.text:
            yield from super().stream(question)
            return
        wanted = HandOffWanted(HandOffReason.ASKED_FOR)
        parts = {"citations": (), "hits": (), "searched_for": "", "answerer": "scripted", "model": None}
        yield Finished(ServiceAnswer(AnswerKind.HAND_OFF, "A person comes.", **parts, hand_off=wanted))


@dataclass
class Listener:
    """A stream of events that is read in a thread until it is left."""

    client: httpx.Client
    path: str
    headers: dict[str, str]
    events: list[tuple[str, int | None, Any]] = field(default_factory=list)
    is_over: bool = False

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        wait_until(lambda: self.events or self.is_over or "conversations" in self.path)

    def of(self, name: str) -> list[Any]:
        return [data for each, _, data in list(self.events) if each == name]

    def last_id(self) -> int:
        return max(number for _, number, _ in list(self.events) if number is not None)

    def leave(self) -> None:
        self._stop.set()
        self._socket.shutdown(socket.SHUT_RDWR)  # closing it would leave the thread waiting
        self._thread.join(5)

    def _read(self) -> None:
        try:
            with self.client.stream("GET", self.path, headers=self.headers) as response:
                self._socket = response.extensions["network_stream"].get_extra_info("socket")
                assert response.status_code == 200
                for event in read_events(response):
                    self.events.append(event)
        except httpx.HTTPError:
            pass  # it was left, or the service has stopped
        finally:
            self.is_over = True


@dataclass
class Service:
    """A running installation with a knowledge base, and whoever signs in."""

    client: httpx.Client
    database: Database

    def sign_in(self, name: str, role: str = "agent", groups: tuple[str, ...] = ()) -> dict[str, str]:
        """The headers of a new account that has signed in."""
        row = Account(id=new_id(), email=f"{name}@example.org", name=name, role=role, groups=list(groups))
        row.password_hash = ""
        with self.database.write() as session:
            session.add(row)
        return self.sign_in_again(name)

    def sign_in_again(self, name: str) -> dict[str, str]:
        """The headers of one more session of an account."""
        token = f"ads_{secrets.token_urlsafe(32)}"
        digest = sha256(token.encode()).hexdigest()
        with self.database.write() as session:
            account_id = session.scalars(select(Account.id).where(Account.name == name)).one()
            session.add(AccountSession(token_hash=digest, account_id=account_id, expires_at=now() + timedelta(hours=1)))
        return {"Authorization": f"Bearer {token}"}

    def post(self, path: str, headers: dict[str, str], status: int = 200, **body: Any) -> Any:
        response = self.client.post(path, headers=headers, json=body)
        assert response.status_code == status, response.text
        return response.json() if response.content else None

    def inbox(self, headers: dict[str, str], box: str = "queue") -> list[dict[str, Any]]:
        response = self.client.get("/api/inbox", params={"box": box}, headers=headers)
        assert response.status_code == 200, response.text
        hand_offs: list[dict[str, Any]] = response.json()["hand_offs"]
        return hand_offs

    def listens(self, path: str, headers: dict[str, str]) -> Listener:
        return Listener(self.client, path, headers)


@contextmanager
def running(
    folder: Path, database_url: str | None = None, script: Script | None = None, **answers: Any
) -> Iterator[Service]:
    settings = settings_in(folder, database_url, answers=patient(**answers))
    services = ScriptedServices(settings, script or HandsOver())
    with live(create_app(services)) as client:
        new_conversation(client)  # before there are accounts, everybody may
        yield Service(client, services.database)


@pytest.fixture
def service(tmp_path: Path, database_url: str) -> Iterator[Service]:
    with running(tmp_path, database_url) as service:
        yield service


def conversation_of(service: Service, customer: dict[str, str]) -> str:
    answer = service.post("/api/conversations", customer, 201, knowledge_base="manuals")
    return f"{answer['id']}"


def test_a_hand_off_from_the_first_word_to_the_rating(service: Service) -> None:
    customer = service.sign_in("Carla", "customer")
    anna, ben = service.sign_in("Anna"), service.sign_in("Ben")
    at_anna, at_ben = (service.listens("/api/inbox/events", each) for each in (anna, ben))
    conversation = conversation_of(service, customer)
    path, inbox_path = f"/api/conversations/{conversation}", f"/api/inbox/conversations/{conversation}"
    at_customer = service.listens(f"{path}/events", customer)
    reply = service.post(f"{path}/messages", customer, text="I want a person")
    assert (reply["role"], reply["kind"]) == ("assistant", "hand_off")
    wait_until(lambda: at_anna.of("hand_off") and at_ben.of("hand_off"))
    offered = at_anna.of("hand_off")[0]
    assert (offered["status"], offered["conversation_id"]) == ("queued", conversation)
    assert offered["last_message"]["text"] == "A person comes."

    claimed = service.post(f"/api/inbox/hand-offs/{offered['id']}/claim", anna)
    assert (claimed["status"], claimed["agent"]["name"]) == ("claimed", "Anna")
    late = service.post(f"/api/inbox/hand-offs/{offered['id']}/claim", ben, 409)
    assert late["error"]["message"] == "Anna has this conversation."
    wait_until(lambda: any(each["status"] == "claimed" for each in at_ben.of("hand_off")))
    kept = service.post(f"{path}/messages", customer, text="Is it safe to drink?")
    assert (kept["role"], kept["status"]) == ("customer", "received")
    service.post(f"{inbox_path}/typing", anna, 204)
    wait_until(lambda: any(each["name"] == "Anna" for each in at_customer.of("typing")))
    said = service.post(f"{inbox_path}/messages", anna, text="It is.", client_message_id="1")
    assert service.post(f"{inbox_path}/messages", anna, text="It is.", client_message_id="1")["id"] == said["id"]
    service.post(f"{inbox_path}/messages", ben, 409, text="It is not.", client_message_id="2")
    service.post(f"{inbox_path}/notes", anna, 201, text="Knows nothing of kettles.")
    resolved = service.post(f"/api/inbox/hand-offs/{offered['id']}/resolve", anna, text="All the best!")
    assert resolved["status"] == "resolved"
    service.post(f"{path}/rating", customer, stars=5)
    wait_until(lambda: at_anna.of("hand_off")[-1]["rating"] == 5)

    wait_until(lambda: any("rate it" in each["text"] for each in at_customer.of("message")))
    heard = [(each["role"], each["author"], each["text"]) for each in at_customer.of("message")]
    assert [each for each in heard if each[0] == "agent"] == [
        ("agent", "Anna", "It is."),
        ("agent", "Anna", "All the best!"),
    ]
    assert "Knows nothing" not in f"{at_customer.events}"
    states = [(each["status"], each["agent"], each["position"]) for each in at_customer.of("hand_off")]
    assert states[-1] == ("resolved", "Anna", None)
    seen = service.client.get(inbox_path, headers=ben).json()
    assert [each["text"] for each in seen["notes"]] == ["Knows nothing of kettles."]
    assert [each["role"] for each in seen["messages"]] == [
        *("customer", "assistant", "system", "customer", "agent", "agent", "system")
    ]
    for each in (at_anna, at_ben, at_customer):
        each.leave()


def test_a_stream_that_was_interrupted_goes_on_without_a_gap(service: Service) -> None:
    anna, customer = service.sign_in("Anna"), service.sign_in("Carla", "customer")
    first = service.listens("/api/inbox/events", anna)
    hand_offs = [_hands_over(service, customer) for _ in range(2)]
    wait_until(lambda: len(first.of("hand_off")) >= 2)
    first.leave()
    service.post(f"/api/inbox/hand-offs/{hand_offs[0]}/claim", anna)
    third = _hands_over(service, customer)
    again = service.listens("/api/inbox/events", {**anna, "Last-Event-ID": f"{first.last_id()}"})
    wait_until(lambda: len(again.of("hand_off")) >= 2)
    assert [(each["id"], each["status"]) for each in again.of("hand_off")] == [
        (hand_offs[0], "claimed"),
        (third, "queued"),
    ]
    again.leave()


def test_an_agent_is_there_as_long_as_its_inbox_is_open(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "THERE", timedelta(seconds=1.5))
    monkeypatch.setattr(feed, "_SEEN_EVERY", timedelta(seconds=0.3))
    anna, ben = service.sign_in("Anna"), service.sign_in("Ben")
    at_ben = service.listens("/api/inbox/events", ben)

    def status(name: str) -> str:
        found = service.client.get("/api/inbox/agents", headers=ben).json()["agents"]
        return next(f"{each['status']}" for each in found if each["name"] == name)

    assert (status("Anna"), status("Ben")) == ("offline", "online")
    at_anna = service.listens("/api/inbox/events", anna)
    wait_until(lambda: status("Anna") == "online")
    time.sleep(2)
    assert status("Anna") == "online"
    assert service.client.put("/api/inbox/presence", headers=anna, json={"status": "away"}).status_code == 204
    time.sleep(1)
    assert status("Anna") == "away"
    at_anna.leave()
    wait_until(lambda: status("Anna") == "offline")
    wait_until(lambda: _statuses(at_ben, "Anna")[-1] == "offline")
    assert "away" in _statuses(at_ben, "Anna")
    at_ben.leave()


def test_an_agent_who_signs_out_is_there_no_longer(service: Service) -> None:
    ben, here = service.sign_in("Ben"), service.sign_in("Anna")
    elsewhere = service.sign_in_again("Anna")

    def status() -> str:
        found = service.client.get("/api/inbox/agents", headers=ben).json()["agents"]
        return next(f"{each['status']}" for each in found if each["name"] == "Anna")

    assert service.client.put("/api/inbox/presence", headers=here, json={"status": "online"}).status_code == 204
    assert service.client.post("/api/auth/sign-out", headers=elsewhere).status_code == 204
    assert status() == "online", "she has another session"
    assert service.client.post("/api/auth/sign-out", headers=here).status_code == 204
    assert status() == "offline"


@pytest.mark.parametrize("how", ["returned", "cancelled", "left", "resolved"])
def test_what_people_left_unanswered_the_assistant_answers(service: Service, how: str) -> None:
    """Of its own accord, once; unless an agent has said that it is resolved."""
    customer, anna = service.sign_in("Carla", "customer"), service.sign_in("Anna")
    assert service.client.put("/api/inbox/presence", headers=anna, json={"status": "online"}).status_code == 204
    conversation = conversation_of(service, customer)
    path = f"/api/conversations/{conversation}"
    service.post(f"{path}/messages", customer, text="I want a person")
    (hand_off,) = service.inbox(anna)
    assert service.post(f"{path}/messages", customer, text="How do I reset it?")["role"] == "customer"
    if how != "cancelled":
        service.post(f"/api/inbox/hand-offs/{hand_off['id']}/claim", anna)
    if how == "cancelled":
        assert service.client.delete(f"{path}/hand-off", headers=customer).status_code == 204
    elif how == "left":
        assert service.client.put("/api/inbox/presence", headers=anna, json={"status": "away"}).status_code == 204
        with service.database.write() as session:  # the look for who has waited too long finds it
            session.execute(update(HandOff).values(waiting_since=LONG_AGO, claimed_at=LONG_AGO))
    else:
        service.post(f"/api/inbox/hand-offs/{hand_off['id']}/{'return' if how == 'returned' else 'resolve'}", anna)

    def said() -> list[tuple[str, str, str]]:
        read = service.client.get(path, headers=customer).json()["messages"][2:]
        return [(each["role"], each["status"], each["text"]) for each in read if each["role"] != "system"]

    asked = ("customer", "received", "How do I reset it?")
    answer = ("assistant", "answered", "Hold the button for five seconds. [1]")
    expected = [asked] if how == "resolved" else [asked, answer]
    if how == "resolved":
        time.sleep(2.5)  # longer than between two looks
    wait_until(lambda: said() == expected)
    service.post(f"{path}/messages", customer, text="Thanks")
    assert [each[0] for each in said()] == [each[0] for each in expected] + ["customer", "assistant"]


def test_a_disabled_account_loses_its_stream(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "_SEEN_EVERY", timedelta(seconds=0.2))
    anna = service.sign_in("Anna")
    at_anna = service.listens("/api/inbox/events", anna)
    with service.database.write() as session:
        session.query(Account).filter(Account.name == "Anna").one().disabled_at = now()
    wait_until(lambda: at_anna.is_over)


def test_customers_have_no_inbox_and_a_bare_key_no_name(service: Service) -> None:
    local = service.client.get("/api/inbox", headers={})
    customer = service.sign_in("Carla", "customer")
    assert local.status_code == 200  # nobody has an account yet: everybody is admin
    offer = _hands_over(service, customer)
    for method, path in (
        ("GET", "/api/inbox"),
        ("GET", "/api/inbox/agents"),
        ("GET", "/api/inbox/events"),
        ("POST", f"/api/inbox/hand-offs/{offer}/claim"),
        ("GET", "/api/faq-candidates"),
        ("GET", "/api/dashboard"),
    ):
        assert service.client.request(method, path, headers=customer).status_code == 403, path
    agent = service.sign_in("Anna")
    for path in ("/api/faq-candidates", "/api/dashboard", "/api/dashboard.csv"):
        assert service.client.get(path, headers=agent).status_code == 403, path
        assert service.client.get(path, headers=service.sign_in(path, "admin")).status_code == 200, path


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("messages", {"text": "", "client_message_id": "1"}),
        ("messages", {"text": "x" * 4001, "client_message_id": "1"}),
        ("messages", {"text": "x\0", "client_message_id": "1"}),
        ("messages", {"text": "x"}),
        ("messages", {"text": "x", "client_message_id": "1", "author": "Somebody else"}),
        ("messages", {"text": "x", "client_message_id": "1", "citations": [{"marker": 0}]}),
        ("notes", {"text": "  "}),
    ],
)
def test_malformed_is_refused(tmp_path: Path, path: str, body: dict[str, Any]) -> None:
    with running(tmp_path) as service:
        anna = service.sign_in("Anna")
        response = service.client.post(f"/api/inbox/conversations/{new_id()}/{path}", headers=anna, json=body)
        assert response.status_code == 422


def test_who_waits_too_long_for_a_suggestion_is_told_and_it_is_made_no_more(tmp_path: Path) -> None:
    script = HandsOver(pieces=["on and on "] * 1000, pause=0.05)
    with running(tmp_path, script=script, timeout_s=0.5) as service:
        customer, anna = service.sign_in("Carla", "customer"), service.sign_in("Anna")
        assert service.client.put("/api/inbox/presence", headers=anna, json={"status": "online"}).status_code == 204
        _hands_over(service, customer)
        (conversation,) = [each["conversation_id"] for each in service.inbox(anna)]
        service.post(f"/api/conversations/{conversation}/messages", customer, text="How do I reset it?")
        refused = service.post(f"/api/inbox/conversations/{conversation}/suggestion", anna, 503)
        assert refused["error"]["code"] == "answer_failed"
        assert "no answer within 0.5 seconds" in refused["error"]["message"]
        wait_until(lambda: script.aborted == 1)


def test_a_suggestion_is_kept_nowhere_until_it_is_sent_and_quotes_what_is_there(installation: Installation) -> None:
    ready = installation.client.patch("/api/knowledge-bases/manuals", json={"settings": {"refuse_below": 0}})
    assert ready.status_code == 200
    installation.upload(("kettle.txt", f"Descaling the kettle.\n\n{QUOTE} The kettle boils at 100 degrees."))
    installation.work()
    conversation = installation.post("/api/conversations", json={"knowledge_base": "manuals"})["id"]
    asked = {"text": "How much vinegar does descaling the kettle take?"}
    installation.post(f"/api/conversations/{conversation}/messages", json=asked)
    service = Service(installation.client, installation.services.database)  # type: ignore[arg-type]
    anna = service.sign_in("Anna", "admin")
    inbox_path = f"/api/inbox/conversations/{conversation}"
    service.post(f"/api/conversations/{conversation}/hand-off", anna, 204)
    (hand_off,) = service.inbox(anna)
    service.post(f"/api/inbox/hand-offs/{hand_off['id']}/claim", anna)
    before = _change(service, conversation)
    suggestion = service.post(f"{inbox_path}/suggestion", anna)
    assert _change(service, conversation) == before
    assert "vinegar" in suggestion["text"]
    quoted = [{name: each[name] for name in ("marker", "passage_id", "quote")} for each in suggestion["citations"]]
    assert quoted
    forged = [{**quoted[0], "quote": "The kettle is a toy."}]
    body = {"text": suggestion["text"], "suggestion_of": suggestion["message_id"]}
    refused = service.post(f"{inbox_path}/messages", anna, 400, **body, client_message_id="1", citations=forged)
    assert "is not in the manuals" in refused["error"]["message"]
    sent = service.post(f"{inbox_path}/messages", anna, **body, client_message_id="1", citations=quoted)
    assert (sent["role"], sent["author"]) == ("agent", "Anna")
    assert [each["quote"] for each in sent["citations"]] == [each["quote"] for each in suggestion["citations"]]
    assert service.client.get(f"/api/citations/{sent['citations'][0]['id']}/page.png", headers=anna).status_code != 404
    bare = service.post(f"{inbox_path}/messages", anna, text="Yes.", client_message_id="2", citations=quoted)
    assert bare["citations"] == []


def _hands_over(service: Service, customer: dict[str, str]) -> str:
    """The id of a new hand-off."""
    conversation = conversation_of(service, customer)
    service.post(f"/api/conversations/{conversation}/messages", customer, text="I want a person")
    admin = service.sign_in(f"admin {new_id()}", "admin")
    return next(each["id"] for each in service.inbox(admin) if each["conversation_id"] == conversation)


def _statuses(listener: Listener, name: str) -> list[str]:
    return [each["status"] for told in listener.of("presence") for each in told["agents"] if each["name"] == name]


def _change(service: Service, conversation_id: str) -> int:
    with service.database.read() as session:
        return session.get_one(Conversation, conversation_id).change
