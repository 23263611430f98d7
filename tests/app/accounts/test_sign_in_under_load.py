"""Passwords are costly to check: how many at once, and what may change while one is looked at."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select

from app.accounts import accounts
from app.bootstrap import Services
from app.main import create_app
from app.scope import Role
from app.service.tables import Account, AccountSession, SignInAttempt
from tests.app.live_app import Script, ScriptedServices, live, patient, wait_until
from tests.conftest import settings_in

PASSWORD = "correct horse battery"


@pytest.fixture
def services(tmp_path: Path, database_url: str) -> Services:
    return ScriptedServices(settings_in(tmp_path, database_url, answers=patient()), Script())


@pytest.fixture
def client(services: Services) -> Iterator[httpx.Client]:
    with live(create_app(services)) as client:
        accounts.create(services.database, email="a@example.com", name="A", role=Role.ADMIN, password=PASSWORD)
        yield client


def _sign_in(client: httpx.Client, email: str = "a@example.com") -> httpx.Response:
    return client.post("/api/auth/sign-in", json={"email": email, "password": PASSWORD})


def test_few_passwords_are_looked_at_at_once_and_nobody_else_waits_for_them(
    client: httpx.Client, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, looked_at, most, lock = threading.Event(), 0, 0, threading.Lock()

    def slow(_: str, __: object) -> bool:
        nonlocal looked_at, most
        with lock:
            looked_at += 1
            most = max(most, looked_at)
        go_on.wait(30)
        with lock:
            looked_at -= 1
        return False

    monkeypatch.setattr(accounts, "is_right", slow)
    with ThreadPoolExecutor(40) as pool:
        attempts = [pool.submit(_sign_in, client, f"{number}@example.com") for number in range(40)]
        wait_until(lambda: sum(each.done() for each in attempts) >= 18)
        refused_at_once = [each for each in attempts if each.done()]
        assert client.get("/api/auth/me", timeout=5).status_code == 200, "no other route waits"
        go_on.set()
        ended = Counter(each.result().status_code for each in attempts)
    assert most == 2
    assert ended[401] + ended[429] == 40
    assert len(refused_at_once) == 18
    busy = refused_at_once[0].result()
    assert (busy.json()["error"]["code"], int(busy.headers["Retry-After"]) > 0) == ("rate_limited", True)
    with services.database.read() as session:
        counted = session.scalars(select(SignInAttempt).where(SignInAttempt.key.like("email:%"))).all()
    assert len(counted) == ended[401] <= 22, "who was sent away has not failed"


def _another_password(services: Services, account: Account) -> None:
    accounts.change(services.database, account.id, password="another horse battery")


def _disabled(services: Services, account: Account) -> None:
    accounts.change(services.database, account.id, disabled=True)


def _deleted(services: Services, account: Account) -> None:
    accounts.remove(services.database, account.id)


@pytest.mark.parametrize("meanwhile", [_another_password, _disabled, _deleted])
def test_what_changes_while_a_password_is_looked_at_counts(
    client: httpx.Client,
    services: Services,
    monkeypatch: pytest.MonkeyPatch,
    meanwhile: Callable[[Services, Account], None],
) -> None:
    agent = accounts.create(services.database, email="b@example.com", name="B", role=Role.AGENT, password=PASSWORD)
    is_right = accounts.is_right

    def right_and_then(password: str, row: Account | None) -> bool:
        found = is_right(password, row)
        meanwhile(services, agent)
        return found

    monkeypatch.setattr(accounts, "is_right", right_and_then)
    assert _sign_in(client, "b@example.com").status_code == 401
    with services.database.read() as session:
        assert session.scalars(select(AccountSession)).all() == []
