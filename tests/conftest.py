"""Fixtures for every test: a throw-away installation, and databases of both kinds.

`database_url` and what rests on it run a test once on SQLite and once on a real PostgreSQL server, which is
required unless ANSWERDESK_TEST_POSTGRES=0. Nothing here reaches a network.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import settings as hypothesis_settings
from pydantic import SecretStr

from app.bootstrap import Services, build_services
from app.db import Database
from app.main import create_app
from app.settings import DatabaseSettings, Settings
from migrations import upgrade
from model_runtime.fakes import HashingEmbedder
from tests.installation import Installation
from tests.postgres import PostgresServer, running_postgres

# A machine that is busy with other things fails no test for it.
hypothesis_settings.register_profile("untimed", deadline=None)
hypothesis_settings.load_profile("untimed")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    with running_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with all tables, to be copied."""
    path = tmp_path_factory.mktemp("template") / "template.db"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def postgres_template(postgres_server: PostgresServer) -> str:
    """The address of a PostgreSQL database with all tables, to be copied."""
    address = postgres_server.create_database()
    upgrade(address)
    return address


@pytest.fixture(params=["sqlite", "postgresql"])
def kind(request: pytest.FixtureRequest) -> str:
    """The kind of database: each in turn."""
    if request.param == "postgresql" and os.environ.get("ANSWERDESK_TEST_POSTGRES") == "0":
        pytest.skip("ANSWERDESK_TEST_POSTGRES=0")
    return str(request.param)


@pytest.fixture
def empty_database_url(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a database without tables, of each kind in turn."""
    if kind == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.db'}"
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    address = server.create_database()
    yield address
    server.drop_database(address)


@pytest.fixture
def database_url(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a database with all tables, of each kind in turn."""
    with database_of(kind, request, tmp_path / "test.db") as address:
        yield address


@contextmanager
def database_of(kind: str, request: pytest.FixtureRequest, path: Path) -> Iterator[str]:
    """The address of a database with all tables; one of SQLite's is at `path`."""
    if kind == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
        yield f"sqlite:///{path}"
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    address = server.create_database(template=request.getfixturevalue("postgres_template"))
    yield address
    server.drop_database(address)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A database with all tables, of each kind in turn."""
    opened = Database(database_url)
    yield opened
    opened.dispose()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a throw-away installation with SQLite. No `.env` is read."""
    return settings_in(tmp_path)


@pytest.fixture
def services(tmp_path: Path, database_url: str) -> Iterator[Services]:
    """The services of a throw-away installation with the hashing embedder, on each kind of database in turn."""
    built = build_services(settings_in(tmp_path, database_url), embedder=HashingEmbedder())
    built.prepare()
    yield built
    built.close()


@pytest.fixture
def installation(services: Services) -> Iterator[Installation]:
    """A running service with an empty knowledge base, on each kind of database in turn."""
    with TestClient(create_app(services), base_url="http://127.0.0.1") as client:
        yield Installation(client, services)


@contextmanager
def sqlite_database(folder: Path) -> Iterator[Database]:
    """A SQLite database with all tables, for tests that need a new one for every example."""
    address = f"sqlite:///{folder / 'test.db'}"
    upgrade(address)
    opened = Database(address)
    yield opened
    opened.dispose()


def settings_in(folder: Path, database_url: str | None = None, **sections: Any) -> Settings:
    """Settings that keep everything in `folder`; `sections` are sections of settings, by name.

    Without the dictionary unless it is asked for: each folder would take seconds to make its own.
    """
    database = DatabaseSettings(url=SecretStr(database_url) if database_url else None)
    return Settings(
        _env_file=None,
        home=folder / "home",
        cache=folder / "cache",
        **{"database": database, "retrieval": {"dictionary": False}, **sections},
    )
