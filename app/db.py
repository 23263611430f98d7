"""The database: engine, sessions and the two kinds of transaction, and what both databases can store.

Owns how SQLite and PostgreSQL are spoken to. Knows no tables and no queries.
"""

import math
import re
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import islice
from threading import Lock
from typing import Any, TypeVar

from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session, sessionmaker

_WRITES = "answerdesk_writes"
_Of = TypeVar("_Of")
_HALF_A_CHARACTER = re.compile("[\ud800-\udfff]")


class Database:
    """One engine. `read()` and `write()` give sessions that end with the `with` block.

    On SQLite a writer begins with `BEGIN IMMEDIATE`, so that it waits for its turn at the start (up to
    `busy_timeout_s`) and can never fail half way; readers see a snapshot and wait for nobody (WAL).
    """

    def __init__(self, url: str, busy_timeout_s: float = 30.0) -> None:
        self.engine = _create_engine(url, busy_timeout_s)
        self.is_sqlite = self.engine.dialect.name == "sqlite"
        # SQLite's own waiting is unfair between threads: with 32 at once the slowest took three times as long.
        self._turn: AbstractContextManager[object] = Lock() if self.is_sqlite else nullcontext()
        self._sessions = sessionmaker(self.engine, expire_on_commit=False, autoflush=False)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session whose statements see one consistent snapshot; nothing is written."""
        with self._sessions() as session:
            if not self.is_sqlite:
                session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
            yield session  # closing the session ends the transaction; a rollback would empty the rows that were read

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session that commits at the end of the block and rolls back when the block raises."""
        with self._turn, self._sessions() as session:
            session.connection(execution_options={_WRITES: True})
            try:
                yield session
            except BaseException:
                session.rollback()
                raise
            session.commit()

    def is_reachable(self) -> bool:
        """Whether a statement runs; raises SQLAlchemy's error when it does not."""
        with self.engine.connect() as connection:
            return bool(connection.execute(text("SELECT 1")).scalar())

    def dispose(self) -> None:
        self.engine.dispose()


def in_parts(items: Iterable[_Of], size: int = 500) -> Iterator[list[_Of]]:
    """Few at a time: databases take no more than some thousands of parameters. Of an iterator no more are in memory."""
    iterator = iter(items)
    while part := list(islice(iterator, size)):
        yield part


def storable_text(text: str) -> str:
    """The text. Raises `ValueError` with what a database refuses: one would store it, the other fail."""
    if "\0" in text:
        raise ValueError("holds the character NUL")
    if _HALF_A_CHARACTER.search(text):
        raise ValueError("holds half a character (a lone surrogate)")
    return text


def storable_json(value: _Of) -> _Of:
    """The value, made of what JSON has; every text and number in it is looked at. Raises `ValueError` likewise."""
    match value:
        case str():
            storable_text(value)
        case float() if not math.isfinite(value):
            raise ValueError("holds NaN or Infinity, which are not JSON")
        case list():
            for member in value:
                storable_json(member)
        case dict():
            for name, member in value.items():
                storable_text(name)
                storable_json(member)
    return value


def _create_engine(url: str, busy_timeout_s: float) -> Engine:
    if make_url(url).get_backend_name() != "sqlite":
        return create_engine(url, pool_pre_ping=True, pool_size=10, max_overflow=30)
    engine = create_engine(url, connect_args={"timeout": busy_timeout_s, "check_same_thread": False}, pool_size=40)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # transactions begin where we say so, see _begin_sqlite
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "cache_size=-16000"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Any) -> None:
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
