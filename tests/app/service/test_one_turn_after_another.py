"""Messages sent before the last one was answered, and answers still being made when people take over."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import select, update

from app.accounts import accounts
from app.bootstrap import Services
from app.main import create_app
from app.models import Conversation, Message, now
from app.scope import Role
from app.service.tables import AgentPresence, HandOff
from app.settings import ServerSettings
from tests.app.live_app import Script, ScriptedServices, live, patient, wait_until
from tests.conftest import settings_in

KEY = "0123456789abcdef-key"
FLOW = """
title: {en: Return, zh: 退货}
steps:
  - id: agree
    kind: confirm
    text: {en: "Shall I return it?", zh: "要退货吗？"}
    yes: register
    no: stop
    otherwise: stop
  - id: register
    kind: say
    text: {en: "Registered.", zh: "已登记。"}
    next: end
  - id: stop
    kind: say
    text: {en: "Nothing was done.", zh: "没有处理。"}
    next: end
"""


def _conversation(client: httpx.Client) -> str:
    client.post("/api/knowledge-bases", json={"name": "served", "settings": {"service": {}}}).raise_for_status()
    made = client.post("/api/conversations", json={"knowledge_base": "served"}).raise_for_status()
    return f"/api/conversations/{made.json()['id']}"


def _say(client: httpx.Client, address: str, text: str) -> dict[str, Any]:
    body = {"text": text, "client_message_id": text}
    said: dict[str, Any] = client.post(f"{address}/messages", json=body).raise_for_status().json()
    return said


def _row(services: Services, address: str) -> Conversation:
    with services.database.read() as session:
        return session.get_one(Conversation, address.rpartition("/")[2])


@pytest.fixture
def script() -> Script:
    return Script(pieces=("Hold ", "it. [1]"), pause=0.3)


def test_messages_in_a_hurry_are_answered_in_their_order(tmp_path: Path, database_url: str, script: Script) -> None:
    """Each knows what the one before it came to."""
    services = ScriptedServices(settings_in(tmp_path, database_url, answers=patient()), script)
    texts = [f"How do I reset lamp number {n}?" for n in range(4)]
    with live(create_app(services)) as client, ThreadPoolExecutor(4) as pool:
        address = _conversation(client)
        sent = []
        for number, text in enumerate(texts, start=1):
            sent.append(pool.submit(_say, client, address, text))
            wait_until(lambda so_far=2 * number: len(client.get(address).json()["messages"]) == so_far)
        replies = [each.result() for each in sent]
        assert [each["client_message_id"] for each in replies] == texts
        assert {each["status"] for each in replies} == {"answered"}
        assert [each.text for each in script.asked] == texts
        handed_over = [[turn.text for turn in each.history if turn.role == "customer"] for each in script.asked]
        assert handed_over == [texts[:n] for n in range(4)], "each was answered in sight of all before it"


def test_a_turn_waits_for_one_in_a_process_that_died(tmp_path: Path, database_url: str, script: Script) -> None:
    services = ScriptedServices(settings_in(tmp_path, database_url, answers=patient()), script)
    with live(create_app(services)) as client, ThreadPoolExecutor(1) as pool:
        address = _conversation(client)
        _say(client, address, "One?")
        with services.database.write() as session:  # as a process leaves it that is killed while it answers
            dead = {"status": "answering", "text": "", "lease_owner": "dead/1", "lease_until": None}
            session.execute(update(Message).where(Message.role == "assistant").values(**dead))
        second = pool.submit(_say, client, address, "Two?")
        with pytest.raises(TimeoutError):
            second.result(timeout=2.5)
        with services.database.write() as session:
            session.execute(
                update(Message).where(Message.lease_owner == "dead/1").values(lease_until=Message.created_at)
            )
        assert second.result(timeout=20)["status"] == "answered"
        assert [each.text for each in script.asked] == ["One?", "One?", "Two?"]


def test_what_people_have_taken_over_is_not_answered_any_more(
    tmp_path: Path, database_url: str, script: Script
) -> None:
    """Neither the answer that was being made nor the one behind it; the agent sees that somebody waits."""
    script.pause = 2.0
    server = ServerSettings(admin_key=SecretStr(KEY))
    services = ScriptedServices(settings_in(tmp_path, database_url, answers=patient(), server=server), script)
    with live(create_app(services)) as client, ThreadPoolExecutor(2) as pool:
        client.headers["Authorization"] = f"Bearer {KEY}"
        account = {"email": "ann@example.com", "name": "Ann", "role": Role.AGENT, "password": "correct horse battery"}
        accounts.create(services.database, **{**account, "email": "b@example.com", "role": Role.ADMIN})
        ann = accounts.create(services.database, **account)
        address = _conversation(client)
        first = pool.submit(_say, client, address, "How do I reset it?")
        wait_until(lambda: script.asked)
        second = pool.submit(_say, client, address, "And the other one?")
        wait_until(lambda: len(client.get(address).json()["messages"]) == 4)
        with services.database.write() as session:
            row = session.get_one(Conversation, address.rpartition("/")[2])
            row.handler = "people"
            session.add(AgentPresence(account_id=ann.id, status="online", seen_at=now()))
            session.add(
                HandOff(
                    conversation_id=row.id,
                    knowledge_base_id=row.knowledge_base_id,
                    status="claimed",
                    reason="asked_for",
                    agent_id=ann.id,
                    claimed_at=now(),
                )
            )
        for waiting in (first, second):
            ended = waiting.result(timeout=20)
            assert (ended["kind"], ended["citations"]) == ("hand_off", [])
            assert ended["text"] == "My colleague has taken over and answers this."
        assert [each.text for each in script.asked] == ["How do I reset it?"], "the second was not even begun"
        with services.database.read() as session:
            assert session.scalar(select(HandOff.waiting_since)) is not None
            hand_off = session.scalar(select(HandOff.id))
        assert "topic" not in _row(services, address).state, "nor does the state know of it"

        # Ann gives the conversation back without a word: then the last question is the assistant's after all.
        given = {"email": account["email"], "password": account["password"]}
        token = client.post("/api/auth/sign-in", json=given).raise_for_status().json()["token"]
        back = client.post(
            f"/api/inbox/hand-offs/{hand_off}/return", json={}, headers={"Authorization": f"Bearer {token}"}
        )
        assert back.is_success, back.text
        wait_until(lambda: [each.text for each in script.asked][1:] == ["And the other one?"])
        wait_until(lambda: any(each["kind"] == "answer" for each in client.get(address).json()["messages"]))


def test_yes_twice_in_a_hurry_is_one_yes(tmp_path: Path, database_url: str, script: Script) -> None:
    services = ScriptedServices(settings_in(tmp_path, database_url, answers=patient()), script)
    folder = services.settings.flows_folder
    folder.mkdir(parents=True)
    (folder / "returns.yaml").write_text(FLOW, encoding="utf-8")
    with live(create_app(services)) as client, ThreadPoolExecutor(2) as pool:
        address = _conversation(client)
        flow = {"intents": {"return_request": {"flow": "returns"}}}
        client.patch("/api/knowledge-bases/served", json={"settings": {"service": flow}}).raise_for_status()
        assert "Shall I return it?" in _say(client, address, "I want to return my coffee machine")["text"]
        replies = [each.result() for each in [pool.submit(_say, client, address, text) for text in ("yes", "Yes!")]]
        said = [each["text"] for each in replies]
        assert sum("Registered." in text for text in said) == 1, said


def test_a_person_asked_for_in_an_answer_to_a_flow_comes(tmp_path: Path, script: Script) -> None:
    services = ScriptedServices(settings_in(tmp_path, answers=patient()), script)
    folder = services.settings.flows_folder
    folder.mkdir(parents=True)
    (folder / "returns.yaml").write_text(FLOW, encoding="utf-8")
    with live(create_app(services)) as client:
        address = _conversation(client)
        flow = {"intents": {"return_request": {"flow": "returns"}}}
        client.patch("/api/knowledge-bases/served", json={"settings": {"service": flow}}).raise_for_status()
        assert "Shall I return it?" in _say(client, address, "I want to return my coffee machine")["text"]
        said = _say(client, address, "Yes, but I want to talk to a real person about it first")
        assert said["kind"] == "hand_off", said["text"]
        assert _row(services, address).state.get("flow") is None
