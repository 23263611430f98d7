"""Every error has the one shape, says what is wrong, and tells no internals."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import OperationalError

from app.main import create_app
from tests.app.live_app import Script, ScriptedServices, new_conversation
from tests.conftest import settings_in


@pytest.fixture
def application(tmp_path: Path, database_url: str) -> FastAPI:
    return create_app(ScriptedServices(settings_in(tmp_path, database_url), Script()))


@pytest.fixture
def client(application: FastAPI) -> Iterator[TestClient]:
    with TestClient(application, base_url="http://localhost", raise_server_exceptions=False) as opened:
        yield opened


def error_of(response: Any, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.text
    body = response.json()
    assert body.keys() == {"error"}
    assert body["error"].keys() >= {"code", "message", "details"}
    return body["error"]


def test_unknown_things(client: TestClient) -> None:
    conversation = new_conversation(client)
    for method, path, body in (
        ("GET", "/api/conversations/none", None),
        ("GET", "/api/conversations/none/events", None),
        ("POST", "/api/conversations/none/messages", {"text": "x"}),
        ("POST", "/api/conversations", {"knowledge_base": "none"}),
        ("GET", "/api/conversations?knowledge_base=none", None),
        ("POST", "/api/messages/none/feedback", {"rating": "up"}),
        ("GET", "/api/citations/none", None),
        ("GET", "/api/citations/none/page.png", None),
        ("GET", "/api/documents/none/pages/1.png", None),
        ("GET", "/api/nothing", None),
    ):
        assert error_of(client.request(method, path, json=body), 404)["code"] == "not_found"
    assert error_of(client.delete(conversation), 405)["code"] == "method_not_allowed"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "text"),
        ({"text": ""}, "text"),
        ({"text": " \n "}, "text"),
        ({"text": "x" * 4001}, "text"),
        ({"text": "a\x00b"}, "text"),
        ({"text": 7}, "text"),
        ({"text": "x", "client_message_id": ""}, "client_message_id"),
        ({"text": "x", "client_message_id": "x" * 101}, "client_message_id"),
        ({"text": "x", "client_message_id": "a\nb"}, "client_message_id"),
        ({"text": "x", "colour": "red"}, "colour"),
        ({"text": "x", "context": {"page": {"deep": 1}}}, "context.page"),
        ([], "body"),
    ],
)
def test_invalid_messages_are_explained_and_not_kept(client: TestClient, body: Any, field: str) -> None:
    conversation = new_conversation(client)
    error = error_of(client.post(f"{conversation}/messages", json=body), 422)
    assert error["code"] == "invalid_request"
    assert field in error["message"]
    assert client.get(conversation).json()["messages"] == []


@pytest.mark.parametrize(
    "content",
    [b"{", b"\xff\xfe", b'{"text": "\\ud800"}', b"[" * 100_000, b'{"text": NaN}', b'{"text": "x"} trailing', b""],
)
def test_malformed_bodies(client: TestClient, content: bytes) -> None:
    conversation = new_conversation(client)
    headers = {"Content-Type": "application/json"}
    response = client.post(f"{conversation}/messages", content=content, headers=headers)
    assert response.status_code in (400, 422)
    error_of(response, response.status_code)
    assert client.get(conversation).json()["messages"] == []


def test_bad_filters_and_images_are_refused_before_anything_is_kept(client: TestClient) -> None:
    conversation = new_conversation(client)
    bad = client.post(f"{conversation}/messages", json={"text": "x", "filter": {"document_id": {"no": "such"}}})
    assert error_of(bad, 400)["code"] == "bad_filter"
    pictured = client.post(f"{conversation}/messages", json={"text": "x", "images": ["data:image/png;base64,"]})
    assert error_of(pictured, 400)["code"] == "bad_image"
    assert client.get(conversation).json()["messages"] == []


def test_nul_in_an_address(client: TestClient) -> None:
    assert error_of(client.get("/api/conversations/a%00b"), 400)["code"] == "bad_request"
    assert error_of(client.get("/api/conversations?cursor=%00"), 400)["code"] == "bad_request"


def test_bugs_tell_nothing(application: FastAPI, client: TestClient) -> None:
    @application.get("/bug")
    def bug() -> None:
        raise RuntimeError("the password is swordfish")

    response = client.get("/bug")
    assert error_of(response, 500)["code"] == "internal_error"
    assert "swordfish" not in response.text


def test_a_database_that_is_away_or_busy_is_told_from_a_bug(application: FastAPI, client: TestClient) -> None:
    @application.get("/busy")
    def busy() -> None:
        raise OperationalError("UPDATE account SET secret", {"secret": "swordfish"}, Exception("deadlock detected"))

    response = client.get("/busy")
    assert error_of(response, 503)["code"] == "unavailable"
    assert int(response.headers["Retry-After"]) > 0
    assert "swordfish" not in response.text
    assert "account" not in response.text


@example(text="\x1f")
@given(text=st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), min_size=1, max_size=4000))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_is_kept_as_it_was_sent(client: TestClient, text: str) -> None:
    conversation = new_conversation(client)
    response = client.post(f"{conversation}/messages", json={"text": text})
    if not text.strip():
        error_of(response, 422)
    else:
        assert client.get(conversation).json()["messages"][0]["text"].strip() == text.strip()
