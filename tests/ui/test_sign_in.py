"""The sign-in: who sees what, what a wrong password says, and that signing out is the end of it."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from streamlit.testing.v1 import AppTest

from app.accounts import accounts
from app.bootstrap import Services
from app.main import create_app
from app.scope import Role
from tests.app.live_app import Script, ScriptedServices, live, patient, wait_until
from tests.conftest import settings_in
from ui import sign_in
from ui.choices import documents_that_answer
from ui.client import ApiClient

PASSWORD = "correct horse battery"


@pytest.fixture
def services(tmp_path: Path) -> Services:
    return ScriptedServices(settings_in(tmp_path, answers=patient()), Script())


@pytest.fixture
def client(services: Services) -> Iterator[httpx.Client]:
    with live(create_app(services)) as client:
        yield client


@pytest.fixture(autouse=True)
def browser(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """What a browser has sent when it opened the page."""
    sent = SimpleNamespace(cookies={}, headers={}, ip_address=None)
    monkeypatch.setattr("streamlit.context", sent)
    return sent


def page(address: str) -> None:
    """Run from its source alone: the frame of `ui.app`, and below it who the API says has signed in."""
    import streamlit as st

    from ui import sign_in

    api, me = sign_in.client(address)
    sign_in.keep()
    if me["role"] is None:
        sign_in.ask(api, "en")
    else:
        sign_in.who(api, me, "en")
        st.text(f"role {me['role']}, {len(api.knowledge_bases())} knowledge bases")


def shown(client: httpx.Client) -> AppTest:
    return AppTest.from_function(page, args=(str(client.base_url),), default_timeout=30).run()


def fill(form: AppTest, email: str, password: str) -> AppTest:
    form.text_input[0].set_value(email)
    form.text_input[1].set_value(password)
    return form.button[0].click().run()


def _make(services: Services, role: Role) -> str:
    email = f"{role.value}@example.com"
    accounts.create(services.database, email=email, name=role.value.title(), role=role, password=PASSWORD)
    return email


def test_without_accounts_nobody_is_asked(client: httpx.Client) -> None:
    frame = shown(client)
    assert not frame.exception
    assert [each.value for each in frame.text] == ["role admin, 0 knowledge bases"]
    assert not frame.text_input
    assert not frame.button, "there is nothing to sign out of"


@pytest.mark.parametrize("role", [Role.AGENT, Role.CUSTOMER])
def test_signing_in_and_out(services: Services, client: httpx.Client, browser: SimpleNamespace, role: Role) -> None:
    _make(services, Role.ADMIN)
    email = _make(services, role)
    wait_until(lambda: client.get("/api/knowledge-bases").status_code == 401)
    frame = shown(client)
    assert not frame.text, "nothing of the product is drawn for who has not signed in"

    refused = fill(frame, email, "wrong password")
    assert "E-mail or password is wrong." in " ".join(each.proto.body for each in refused.get("html"))
    assert "sign_in_token" not in frame.session_state

    inside = fill(frame, email, PASSWORD)
    assert not inside.exception
    assert [each.value for each in inside.text] == [f"role {role.value}, 0 knowledge bases"]
    token = frame.session_state["sign_in_token"]
    kept = [each.proto.body for each in inside.get("html") if token in each.proto.body]
    assert len(kept) == 1
    assert "SameSite=Strict" in kept[0]
    assert not shown(client).text, "another browser has not signed in"

    browser.cookies = {"answerdesk_session": token}
    assert shown(client).text, "the same browser has, also after a reload"

    outside = inside.sidebar.button[0].click().run()
    assert not outside.text
    assert len(outside.text_input) == 2
    told = [each.proto.body for each in outside.get("html") if "max-age=0" in each.proto.body]
    assert len(told) == 1, "the browser forgets it"
    assert not shown(client).text
    refused_now = client.get("/api/auth/me", headers={"Authorization": f"Bearer {token}"}).json()
    assert refused_now["role"] is None, "the token itself is worth nothing any more"


def test_a_session_that_has_ended_asks_again(services: Services, client: httpx.Client) -> None:
    _make(services, Role.ADMIN)
    email = _make(services, Role.AGENT)
    wait_until(lambda: client.get("/api/knowledge-bases").status_code == 401)
    frame = fill(shown(client), email, PASSWORD)
    assert frame.text
    accounts.change(services.database, accounts.named(services.database, email).id, disabled=True)
    frame.run()
    assert not frame.exception
    assert not frame.text
    assert len(frame.text_input) == 2


def test_too_many_wrong_passwords_say_wait(services: Services, client: httpx.Client) -> None:
    email = _make(services, Role.ADMIN)
    wait_until(lambda: client.get("/api/knowledge-bases").status_code == 401)
    frame = shown(client)
    for _ in range(7):
        frame = fill(frame, email, "wrong password")
    assert "Too many attempts" in " ".join(each.proto.body for each in frame.get("html"))


@pytest.mark.parametrize(
    ("headers", "exposed", "open_to_all"),
    [
        ({"Host": "localhost:8501"}, "", False),
        ({"Host": "127.0.0.1:8501"}, "", False),
        ({"Host": "[::1]:8501"}, "", False),
        ({"Host": "help.example"}, "", True),
        ({"Host": "127.0.0.1.evil.example"}, "", True),
        ({"Host": "localhost:8501", "X-Forwarded-For": "203.0.113.9"}, "", True),
        ({"Host": "help.example", "X-Forwarded-For": "203.0.113.9"}, "true", False),
    ],
)
def test_without_accounts_only_this_machine_gets_the_admins_pages(
    browser: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
    headers: dict[str, str],
    exposed: str,
    open_to_all: bool,
) -> None:
    browser.headers = headers
    monkeypatch.setenv("ANSWERDESK_UI__EXPOSED", exposed)
    assert sign_in.is_for_everybody() is open_to_all


def test_what_one_reader_was_shown_is_not_remembered_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pages of all readers are one process."""
    listed = {"internal.md": [{"version": 1}], "": []}

    def of_reader(api: ApiClient, _: str) -> list[dict[str, Any]]:
        return listed[api.token or ""]

    monkeypatch.setattr(ApiClient, "all_documents", of_reader)
    address = "http://127.0.0.1:1"
    assert documents_that_answer(ApiClient(address, "internal.md"), "manuals", 1) == [{"version": 1}]
    assert documents_that_answer(ApiClient(address, None), "manuals", 1) == []
