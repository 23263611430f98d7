"""The migrations make exactly the tables of `app.models`, whoever runs them and how many at once."""

import multiprocessing

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text
from sqlalchemy.exc import DBAPIError

from app.db import Database
from app.models import Base
from migrations import head, is_current, upgrade

_SPAWN = multiprocessing.get_context("spawn")


def test_the_steps_make_the_tables_of_the_models(empty_database_url: str) -> None:
    upgrade(empty_database_url)
    upgrade(empty_database_url)
    database = Database(empty_database_url)
    with database.read() as session:
        connection = session.connection()
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, Base.metadata) == []
        if database.is_sqlite:  # where a key could be given twice, and removed passages be taken for new ones
            created = "SELECT sql FROM sqlite_master WHERE name IN ('passage', 'document')"
            assert all("AUTOINCREMENT" in sql for sql in connection.scalars(text(created)))
    assert is_current(database)
    database.dispose()


def test_several_processes_may_start_on_an_empty_database(empty_database_url: str) -> None:
    assert not _is_current(empty_database_url)
    processes = [_SPAWN.Process(target=upgrade, args=(empty_database_url,)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert _is_current(empty_database_url)


def test_a_step_that_fails_leaves_nothing_behind(empty_database_url: str) -> None:
    """The last table cannot be made because something of its name is there: then none is."""
    database = Database(empty_database_url)
    with database.write() as session:
        session.execute(text("CREATE VIEW passage_vectors AS SELECT 1 AS one"))
    with pytest.raises(DBAPIError, match="passage_vectors"):
        upgrade(empty_database_url)
    assert inspect(database.engine).get_table_names() == []
    database.dispose()


def _is_current(address: str) -> bool:
    database = Database(address)
    try:
        return is_current(database) and head() is not None
    finally:
        database.dispose()
