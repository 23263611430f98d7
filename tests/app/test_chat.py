"""Conversations as a client lists them, and feedback on answers."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app.main import create_app
from tests.app.live_app import Script, ScriptedServices, new_conversation
from tests.conftest import settings_in


@pytest.fixture
def client(tmp_path: Path, database_url: str) -> Iterator[TestClient]:
    services = ScriptedServices(settings_in(tmp_path, database_url), Script())
    with TestClient(create_app(services), base_url="http://localhost") as opened:
        yield opened


def test_conversations_are_listed_newest_first_in_pages(client: TestClient) -> None:
    made = [new_conversation(client, name).rpartition("/")[2] for name in ("a", "b", "a", "a", "b")]
    listed, cursor = [], None
    for _ in range(3):
        page = client.get("/api/conversations", params={"limit": 2, **({"cursor": cursor} if cursor else {})}).json()
        listed += [each["id"] for each in page["conversations"]]
        cursor = page["next_cursor"]
    assert listed == made[::-1]
    assert cursor is None
    of_a = client.get("/api/conversations?knowledge_base=a").json()["conversations"]
    assert [each["id"] for each in of_a] == [made[3], made[2], made[0]]


def test_feedback_can_be_repeated_and_changed(client: TestClient) -> None:
    conversation = new_conversation(client)
    answer = client.post(f"{conversation}/messages", json={"text": "How?"}).json()
    address = f"/api/messages/{answer['id']}/feedback"
    up = client.post(address, json={"rating": "up"})
    assert up.status_code == 200
    assert (up.json()["rating"], up.json()["comment"]) == ("up", "")
    down = client.post(address, json={"rating": "down", "comment": "It beeps."}).json()
    assert down == {**up.json(), "rating": "down", "comment": "It beeps."}
    question, answered = client.get(conversation).json()["messages"]
    assert (question["rating"], answered["rating"]) == (None, "down")
    assert client.post(f"/api/messages/{question['id']}/feedback", json={"rating": "up"}).status_code == 400
    assert client.post(address, json={"rating": "sideways"}).status_code == 422
