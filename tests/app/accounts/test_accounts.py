"""Signing in, and what each role may do: over HTTP, on the whole application."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import select, update
from typer.testing import CliRunner

from app import cli
from app.accounts import accounts, sessions
from app.bootstrap import Services
from app.cli_run_client import key_header, run_key_environment, with_run_key
from app.main import create_app
from app.models import now
from app.scope import Role
from app.service.tables import Account, AccountSession, SignInAttempt
from app.settings import ServerSettings
from tests.app.live_app import Script, ScriptedServices, live, patient, wait_until
from tests.conftest import settings_in

PASSWORD = "correct horse battery"
KEY = "an admin key of enough characters"


@pytest.fixture
def services(tmp_path: Path) -> Services:
    return ScriptedServices(settings_in(tmp_path, answers=patient()), Script())


@pytest.fixture
def client(services: Services) -> Iterator[httpx.Client]:
    with live(create_app(services)) as client:
        yield client


def _make(services: Services, role: Role, email: str | None = None) -> Account:
    return accounts.create(
        services.database,
        email=email or f"{role.value}@example.com",
        name=role.value.title(),
        role=role,
        password=PASSWORD,
    )


def _signed_in(client: httpx.Client, email: str) -> dict[str, str]:
    answer = client.post("/api/auth/sign-in", json={"email": email, "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    return {"Authorization": f"Bearer {answer.json()['token']}"}


def test_without_accounts_everything_is_as_before_and_with_one_nobody_gets_in(
    services: Services, client: httpx.Client
) -> None:
    assert client.get("/api/knowledge-bases").status_code == 200
    me = client.get("/api/auth/me").json()
    assert me == {"account": None, "role": "admin", "accounts_exist": False}
    refused = client.post(
        "/api/accounts", json={"email": "a@example.com", "name": "A", "role": "agent", "password": PASSWORD}
    )
    assert refused.status_code == 409, "the first account must be an admin's, or nobody could make more"
    made = client.post(
        "/api/accounts", json={"email": " Boss@Example.com", "name": "Boss", "role": "admin", "password": PASSWORD}
    )
    assert (made.status_code, made.json()["email"]) == (201, "boss@example.com")
    assert "password" not in made.text
    wait_until(lambda: client.get("/api/knowledge-bases").status_code == 401)  # within a second
    assert client.get("/api/auth/me").json() == {"account": None, "role": None, "accounts_exist": True}
    assert client.get("/health").status_code == 200
    boss = _signed_in(client, "BOSS@example.com")
    assert client.get("/api/knowledge-bases", headers=boss).status_code == 200
    assert client.get("/api/auth/me", headers=boss).json()["account"]["name"] == "Boss"


def test_a_session_ends_by_signing_out_by_time_and_when_the_account_changes(
    services: Services, client: httpx.Client
) -> None:
    _make(services, Role.ADMIN)
    agent = _make(services, Role.AGENT)

    def is_in(token: dict[str, str]) -> bool:
        return client.get("/api/knowledge-bases", headers=token).status_code == 200

    first, second = _signed_in(client, agent.email), _signed_in(client, agent.email)
    assert client.post("/api/auth/sign-out", headers=first).status_code == 204
    assert not is_in(first)
    assert is_in(second)
    with services.database.read() as session:
        kept = session.scalars(select(AccountSession.token_hash)).all()
    assert second["Authorization"].removeprefix("Bearer ") not in kept, "who reads the table could sign in"

    with services.database.write() as session:
        session.execute(update(AccountSession).values(expires_at=now()))
    assert not is_in(second)

    third = _signed_in(client, agent.email)
    accounts.change(services.database, agent.id, password="another password")
    assert not is_in(third)
    accounts.change(services.database, agent.id, password=PASSWORD)
    fourth = _signed_in(client, agent.email)
    accounts.change(services.database, agent.id, disabled=True)
    assert not is_in(fourth)
    refused = client.post("/api/auth/sign-in", json={"email": agent.email, "password": PASSWORD})
    assert refused.status_code == 401


def test_guessing_becomes_slow_and_says_nothing(services: Services, client: httpx.Client) -> None:
    _make(services, Role.ADMIN)
    wrong = [
        client.post("/api/auth/sign-in", json={"email": email, "password": "wrong password"})
        for email in ("admin@example.com", "nobody@example.com")
    ]
    assert {each.status_code for each in wrong} == {401}
    assert wrong[0].json() == wrong[1].json(), "whether there is such an account is nobody's business"
    for _ in range(5):
        last = client.post("/api/auth/sign-in", json={"email": "admin@example.com", "password": "wrong password"})
    assert last.status_code == 429
    assert int(last.headers["retry-after"]) >= 1
    right = client.post("/api/auth/sign-in", json={"email": "admin@example.com", "password": PASSWORD})
    assert right.status_code == 429, "even the right one has to wait"
    with services.database.write() as session:
        session.execute(update(SignInAttempt).values(last_at=now().replace(year=2000)))
    _signed_in(client, "admin@example.com")


def test_guessing_many_at_once_is_no_faster(services: Services, client: httpx.Client) -> None:
    _make(services, Role.ADMIN)

    def guess(number: int) -> int:
        given = {"email": "admin@example.com", "password": f"wrong password {number}"}
        return client.post("/api/auth/sign-in", json=given, timeout=60).status_code

    with ThreadPoolExecutor(16) as pool:
        statuses = Counter(pool.map(guess, range(32)))
    assert set(statuses) == {401, 429}
    assert statuses[401] < 12, "five are free, and the next few seconds apart: the machine may be slow"


def test_who_has_an_account_cannot_clear_the_failures_of_its_address(services: Services, client: httpx.Client) -> None:
    own = _make(services, Role.ADMIN)
    for number in range(3):
        wrong = {"email": f"other{number}@example.com", "password": "wrong password"}
        assert client.post("/api/auth/sign-in", json=wrong).status_code == 401
    _signed_in(client, own.email)
    with services.database.read() as session:
        rows = {row.key.split(":")[0]: row.failures for row in session.scalars(select(SignInAttempt))}
        assert session.get(SignInAttempt, f"email:{own.email}") is None
    assert rows["address"] == 3


def test_there_is_always_an_admin(services: Services, client: httpx.Client) -> None:
    boss = _make(services, Role.ADMIN)
    token = _signed_in(client, boss.email)
    for answer in (
        client.patch(f"/api/accounts/{boss.id}", json={"role": "agent"}, headers=token),
        client.patch(f"/api/accounts/{boss.id}", json={"disabled": True}, headers=token),
        client.delete(f"/api/accounts/{boss.id}", headers=token),
    ):
        assert answer.status_code == 409, answer.text
    assert client.get("/api/accounts", headers=token).json()["accounts"][0]["role"] == "admin"


@pytest.mark.parametrize(
    ("field", "value"),
    [("email", "no address"), ("name", "\x07"), ("password", "short"), ("groups", ["Not a group"]), ("role", "king")],
)
def test_what_is_not_valid_is_refused(client: httpx.Client, field: str, value: object) -> None:
    good: dict[str, object] = {"email": "a@example.com", "name": "A", "role": "admin", "password": PASSWORD}
    refused = client.post("/api/accounts", json={**good, field: value})
    assert refused.status_code in (400, 422), refused.text
    assert client.get("/api/accounts").json() == {"accounts": []}


def test_a_customer_sees_its_own_conversations_and_public_documents_alone(
    services: Services, client: httpx.Client
) -> None:
    _make(services, Role.ADMIN)
    _make(services, Role.CUSTOMER, "one@example.com")
    _make(services, Role.CUSTOMER, "two@example.com")
    boss, one, two = (_signed_in(client, f"{name}@example.com") for name in ("admin", "one", "two"))
    client.post("/api/knowledge-bases", json={"name": "manuals"}, headers=boss).raise_for_status()
    begun = client.post("/api/conversations", json={"knowledge_base": "manuals"}, headers=one).raise_for_status().json()
    address = f"/api/conversations/{begun['id']}"
    asked = client.post(f"{address}/messages", json={"text": "How do I reset it?"}, headers=one).raise_for_status()
    script = services.chain(None)  # type: ignore[arg-type]
    assert script.asked[-1].filter == {"is_public": True}  # type: ignore[union-attr]
    assert asked.json()["citations"] == [], "the document that the script cites is not public"
    citation = client.get(address, headers=boss).json()["messages"][1]["citations"][0]["id"]
    for path in (address, f"{address}/events", f"/api/citations/{citation}/page.png"):
        assert client.get(path, headers=two).status_code == 404
    assert client.get("/api/conversations", headers=two).json()["conversations"] == []
    assert len(client.get("/api/conversations", headers=boss).json()["conversations"]) == 1
    files = {"files": ("secret.md", b"# Secret\n\nThe safe is behind the picture.\n")}
    client.post("/api/knowledge-bases/manuals/documents", files=files, headers=boss).raise_for_status()
    assert client.get("/api/knowledge-bases/manuals/documents", headers=one).json()["documents"] == []
    own = {"settings": {"answerer": "extractive", "answer_passages": 7}}
    client.patch("/api/knowledge-bases/manuals", json=own, headers=boss).raise_for_status()
    for path in ("/api/knowledge-bases", "/api/knowledge-bases/manuals"):
        found = client.get(path, headers=one).json()
        shown = found["knowledge_bases"][0] if "knowledge_bases" in found else found
        assert shown["settings"] == {"answerer": "extractive"}, "what is set up is not for customers"
    assert len(client.get("/api/knowledge-bases/manuals/documents", headers=boss).json()["documents"]) == 1


def test_the_admin_key_stays_good_beside_accounts(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, answers=patient(), server=ServerSettings(admin_key=SecretStr(KEY)))
    services = ScriptedServices(settings, Script())
    with live(create_app(services)) as client:
        _make(services, Role.ADMIN)
        assert client.get("/api/knowledge-bases", headers={"Authorization": f"Bearer {KEY}"}).status_code == 200
        for wrong in (None, "Bearer nonsense", f"Bearer {sessions.PREFIX}{'x' * 43}", f"Basic {KEY}"):
            headers = {} if wrong is None else {"Authorization": wrong}
            assert client.get("/api/knowledge-bases", headers=headers).status_code == 401


def test_a_run_reaches_its_own_api_with_accounts_and_without(tmp_path: Path) -> None:
    settings = with_run_key(settings_in(tmp_path, answers=patient()))
    services = ScriptedServices(settings, Script())
    key = key_header(settings)
    assert run_key_environment(settings)["ANSWERDESK_SERVER__RUN_KEY"] in key["Authorization"]
    with live(create_app(services)) as client:
        assert client.get("/api/accounts").status_code == 200, "the run's key closes nothing for others"
        _make(services, Role.ADMIN)
        wait_until(lambda: client.get("/api/accounts").status_code == 401)
        assert client.get("/api/accounts", headers=key).status_code == 200
        assert client.get("/api/accounts", headers=key_header(with_run_key(settings))).status_code == 401, "another run"


def test_the_command_line_makes_the_first_admin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANSWERDESK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ANSWERDESK_CACHE", str(tmp_path / "cache"))
    run = CliRunner().invoke
    create = ["account", "create", "--email", "boss@example.com", "--name", "Boss", "--password-stdin"]
    assert run(cli.app, [*create, "--role", "agent"], input=f"{PASSWORD}\n").exit_code == 2
    assert run(cli.app, create, input=f"{PASSWORD}\n").exit_code == 0
    assert "boss@example.com" in run(cli.app, ["account", "list"]).output
    assert run(cli.app, ["account", "password", "nobody@example.com", "--password-stdin"], input="x\n").exit_code == 2
    assert run(cli.app, ["account", "disable", "boss@example.com"]).exit_code == 2, "the only admin"
