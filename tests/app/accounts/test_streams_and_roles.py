"""What stays open, comes in and goes out by role: streams of a session that ends, and customers' conversations."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select, update

from app import event_stream, message_leases, messages
from app.accounts import accounts
from app.bootstrap import Services
from app.db import Database
from app.main import create_app
from app.models import Conversation, Message, new_id, now
from app.publicity import ONLY_PUBLIC
from app.scope import Role, Scope
from app.service.handoff import feed
from app.service.tables import AccountSession, AgentPresence
from app.understood_shapes import ConversationStateShape
from tests.app.live_app import Script, ScriptedServices, live, new_conversation, patient, read_events, wait_until
from tests.app.service.people_at_work import Office
from tests.app.service.test_inbox_over_http import Listener
from tests.app.service.widget_shop import QUESTION, shop
from tests.conftest import settings_in

PASSWORD = "correct horse battery"
LOOKS = 0.2
Headers = dict[str, str]


@dataclass
class Staff:
    """A running service, and accounts that sign in."""

    client: httpx.Client
    services: Services

    def account(self, role: Role) -> str:
        email = f"{role.value}@example.com"
        made = accounts.create(self.services.database, email=email, name=email, role=role, password=PASSWORD)
        return made.id

    def signed_in(self, role: Role) -> Headers:
        sent = {"email": f"{role.value}@example.com", "password": PASSWORD}
        return {"Authorization": f"Bearer {self.client.post('/api/auth/sign-in', json=sent).json()['token']}"}

    def listens(self, path: str, headers: Headers) -> Listener:
        listener = Listener(self.client, path, headers)
        wait_until(lambda: "_socket" in vars(listener))  # it has been let in
        return listener

    def seen_at(self, account_id: str) -> object:
        """None for who was never there, or has signed out."""
        with self.services.database.read() as session:
            return session.scalar(select(AgentPresence.seen_at).where(AgentPresence.account_id == account_id))


@pytest.fixture
def staff(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Staff]:
    monkeypatch.setattr(event_stream, "LOOKS_AGAIN_S", LOOKS, raising=False)
    monkeypatch.setattr(feed, "_SEEN_EVERY", timedelta(seconds=LOOKS))
    services = ScriptedServices(settings_in(tmp_path, answers=patient()), Script())
    with live(create_app(services)) as client:
        yield Staff(client, services)


def _signs_out(staff: Staff, _: str, headers: Headers) -> None:
    staff.client.post("/api/auth/sign-out", headers=headers).raise_for_status()


def _is_disabled(staff: Staff, account_id: str, _: Headers) -> None:
    accounts.change(staff.services.database, account_id, disabled=True)


def _gets_a_password(staff: Staff, account_id: str, _: Headers) -> None:
    accounts.change(staff.services.database, account_id, password="another password")


def _becomes_a_customer(staff: Staff, account_id: str, _: Headers) -> None:
    accounts.change(staff.services.database, account_id, role=Role.CUSTOMER)


@pytest.mark.parametrize("ends", [_signs_out, _is_disabled, _gets_a_password, _becomes_a_customer])
def test_open_streams_end_with_their_session_and_no_other(
    staff: Staff, ends: Callable[[Staff, str, Headers], None]
) -> None:
    conversation = new_conversation(staff.client)
    staff.account(Role.ADMIN)
    agent = staff.account(Role.AGENT)
    boss, ending = staff.signed_in(Role.ADMIN), staff.signed_in(Role.AGENT)
    kept = [staff.listens(path, boss) for path in (f"{conversation}/events", "/api/inbox/events")]
    over = [staff.listens(path, ending) for path in (f"{conversation}/events", "/api/inbox/events")]
    ends(staff, agent, ending)
    wait_until(lambda: all(each.is_over for each in over))
    last_seen = staff.seen_at(agent)
    time.sleep(3 * LOOKS + feed.POLL_S)
    assert staff.seen_at(agent) == last_seen, "who has no stream any more is not there"
    staff.client.post(f"{conversation}/messages", json={"text": "How do I reset it?"}, headers=boss).raise_for_status()
    wait_until(lambda: kept[0].of("done"))
    assert not over[0].events
    assert not any(each.is_over for each in kept)
    for each in kept:
        each.leave()


def test_a_stream_does_not_prolong_its_session_and_ends_when_that_is_over(staff: Staff) -> None:
    """It holds so many hours from its last use; a page that was left open is no use."""
    conversation = new_conversation(staff.client)
    staff.account(Role.ADMIN)
    listener = staff.listens(f"{conversation}/events", staff.signed_in(Role.ADMIN))
    soon = now() + timedelta(seconds=5 * LOOKS)
    with staff.services.database.write() as session:
        session.execute(update(AccountSession).values(expires_at=soon))
    wait_until(lambda: listener.is_over)
    assert now() >= soon
    with staff.services.database.read() as session:
        assert session.scalars(select(AccountSession.expires_at)).one() == soon


def test_streams_that_needed_no_account_go_on_until_there_is_one(staff: Staff) -> None:
    conversation = new_conversation(staff.client)
    streams = [staff.listens(path, {}) for path in (f"{conversation}/events", "/api/inbox/events")]
    time.sleep(4 * LOOKS)
    staff.client.post(f"{conversation}/messages", json={"text": "How do I reset it?"}).raise_for_status()
    wait_until(lambda: streams[0].of("done"))
    assert not any(each.is_over for each in streams)
    staff.account(Role.ADMIN)
    wait_until(lambda: all(each.is_over for each in streams))


def test_nobody_speaks_for_a_visitor_and_nothing_internal_reaches_one(tmp_path: Path) -> None:
    with shop(tmp_path) as opened:
        page = opened.visit()
        page.ask()
        address = f"/api/conversations/{page.session['conversation_id']}"
        before = opened.client.get(address).raise_for_status().json()
        staff = Staff(opened.client, opened.services)
        for role in (Role.ADMIN, Role.AGENT):
            staff.account(role)
        callers = [staff.signed_in(Role.ADMIN), staff.signed_in(Role.AGENT)]
        for headers in callers:
            for accept in ("application/json", "text/event-stream"):
                sent = {"text": "What is the secret purchase price of the kettle?"}
                said = opened.client.post(f"{address}/messages", json=sent, headers={**headers, "Accept": accept})
                assert said.status_code == 409, said.text
                assert "inbox" in said.json()["error"]["message"]
        assert opened.client.get(address, headers=callers[0]).json() == before, "nothing was kept"
        assert "ORCHID" not in page.ask("What is the secret purchase price of the kettle?")["text"]


def test_a_customers_conversation_is_answered_from_public_documents_whoever_forgets_to_say_so(
    database: Database,
) -> None:
    """The filter comes in the transaction that keeps the question, and again when its answer is taken up anew."""
    office = Office(database)
    conversation = office.conversation()
    with database.write() as session:
        session.get_one(Conversation, conversation).visitor_id = "a customer"
    asking = Scope(role=Role.CUSTOMER, visitor_id="a customer")
    more: dict[str, Any] = {"lease_s": 0.0, "admit": lambda *_: None}
    request = {"filter": {"product": "LT-300", "is_public": False}}
    receipt = messages.receive(
        *(database, asking, conversation), text="How?", client_message_id="1", request=request, lease="one", **more
    )
    assert receipt.assignment is not None
    assert receipt.assignment.question.filter == {"product": "LT-300", **ONLY_PUBLIC}
    with database.read() as session:
        kept = session.scalars(select(Message.request).where(Message.role == "customer")).one()
    assert kept["filter"] == {"product": "LT-300", **ONLY_PUBLIC}

    with database.write() as session:  # as versions before may have kept it
        session.execute(update(Message).where(Message.role == "customer").values(request={}))
    (orphan,) = message_leases.orphans(database, 1)
    claimed = message_leases.claim(database, orphan, lease="two", **more)
    assert claimed is not None
    assert claimed.question.filter == ONLY_PUBLIC


def test_a_customer_gets_no_word_of_internal_documents_and_nothing_of_how_answers_are_made(tmp_path: Path) -> None:
    with shop(tmp_path, answers=patient(chat_model="a model")) as opened:
        staff = Staff(opened.client, opened.services)
        for role in (Role.ADMIN, Role.CUSTOMER):
            staff.account(role)
        boss, customer = staff.signed_in(Role.ADMIN), staff.signed_in(Role.CUSTOMER)
        begun = opened.client.post("/api/conversations", json={"knowledge_base": "manuals"}, headers=customer)
        address = f"/api/conversations/{begun.raise_for_status().json()['id']}"
        streaming = {**customer, "Accept": "text/event-stream"}
        sent = {"text": QUESTION, "client_message_id": new_id()}
        with opened.client.stream("POST", f"{address}/messages", json=sent, headers=streaming) as response:
            events = list(read_events(response))
        assert {name for name, _, _ in events} - {"message"} == {"token", "citation", "done"}, "and no `retrieval`"
        told = events[-1][2]
        assert told["citations"], "public documents are cited as ever"
        citation = f"/api/citations/{told['citations'][0]['id']}"
        with opened.services.database.write() as session:
            row = session.get_one(Message, told["id"])
            row.details = {**row.details, "guard": {"probability": 0.9}}
            row.model = "a model"

        def answers(headers: Headers) -> list[dict[str, Any]]:
            """The answer in every way in which it can be had."""
            with opened.client.stream("GET", f"{address}/events?after=0", headers=headers) as response:
                happened = next(data for name, _, data in read_events(response) if name == "done")
            again = opened.client.post(f"{address}/messages", json=sent, headers=headers)
            asked = [again.json()] if headers is customer else []  # nobody else may ask here
            read = opened.client.get(address, headers=headers).raise_for_status().json()
            return [happened, read["messages"][1], *asked]

        emptied: dict[str, Any] = {"guard": None, "model": None, "searched_for": None, "timings_ms": {}}
        for answer in (told, *answers(customer)):
            assert {name: answer[name] for name in emptied} == emptied
            assert answer["citations"]
        for answer in answers(boss):
            assert all(answer[name] for name in emptied), "whoever looks after it sees it all"
        addresses = [opened.client.get("/", headers=headers).json() for headers in (customer, boss)]
        assert [each["answers"]["model"] for each in addresses] == ["", "a model"]
        no_state = ConversationStateShape().model_dump(mode="json")
        assert opened.client.get(address, headers=customer).json()["state"] == no_state
        assert opened.client.get(address, headers=boss).json()["state"] != no_state

        assert opened.client.get(citation, headers=customer).status_code == 200
        internal = {"is_public": False}
        opened.client.patch(f"/api/documents/{opened.documents['kettle.txt']}", json=internal, headers=boss)
        for path in (citation, f"{citation}/page.png"):
            assert opened.client.get(path, headers=customer).status_code == 404
        assert opened.client.get(citation, headers=boss).json()["quote"]
        assert [answer["citations"] for answer in answers(customer)] == [[], [], []]
        assert all(answer["citations"] for answer in answers(boss))
