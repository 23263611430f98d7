"""The migrations make exactly the tables of `app.models`, whoever runs them and how many at once."""

import multiprocessing
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from app.db import Database
from app.models import Base, GenerationDocument, KnowledgeBase, Page, Passage
from app.passages import SqlPassageStore
from migrations import configuration, head, is_current, upgrade

_SPAWN = multiprocessing.get_context("spawn")
_MOMENT = "2026-01-01 00:00:00"


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


def _insert(session: Session, table: str, values: dict[str, Any], **more: Any) -> None:
    """Into a table as it was, which no class describes any more."""
    row = values | more
    places = ", ".join(f":{name}" for name in row)
    session.execute(text(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({places})"), row)


def _is_current(address: str) -> bool:
    database = Database(address)
    try:
        return is_current(database) and head() is not None
    finally:
        database.dispose()


def test_what_was_stored_before_generations_becomes_the_first_one(empty_database_url: str) -> None:
    database = Database(empty_database_url)
    with database.write() as session:
        command.upgrade(configuration(session.connection()), "0003")
    with database.write() as session:
        base = {"id": "kb", "workspace_id": "default", "name": "m", "language": "", "change": 7, "settings": "{}"}
        _insert(session, "knowledge_base", base, embedder="e5", dimension=2, chunker_version="1", created_at=_MOMENT)
        texts = dict.fromkeys(("message", "media_type", "language", "content_hash", "file_path"), "")
        counts = {"page_count": 1, "passage_count": 1, "window_count": 1}
        shared = {"knowledge_base_id": "kb", **texts, **counts, "created_at": _MOMENT, "updated_at": _MOMENT}
        lamp = {"key": 3, "id": "d", "external_id": "a", "title": "A", "version": 2, "status": "ready"}
        _insert(session, "document", shared, **lamp, facets="{}", warnings='[[1, "blank"]]')
        unread = {"key": 4, "id": "e", "external_id": "b", "title": "B", "version": 0, "status": "failed"}
        _insert(session, "document", shared, **unread, facets="{}", warnings="[]")
        _insert(session, "page", {"document_key": 3, "number": 1, "text": "Lamp.", "source_map": b""})
        in_base = {"knowledge_base_id": "kb", "document_key": 3, "added_change": 7, "ordinal": 0}
        lists = {"heading_path": "[]", "spans": "[[1, 0, 5, null]]", "windows": "[]", "first_page": 1, "last_page": 1}
        _insert(session, "passage", in_base, **lists, key=5, id="p", text="Lamp.", content_hash="")
        _insert(session, "passage_vectors", {"passage_key": 5, "vectors": bytes.fromhex("003c003c")})
    upgrade(empty_database_url)
    with database.read() as session:
        generation = session.scalars(select(KnowledgeBase)).one().generation
        assert (generation.number, generation.status, generation.change) == (1, "active", 7)
        assert (generation.embedder, generation.dimension, generation.chunker_version) == ("e5", 2, "1")
        assert generation.chunker == {}
        page, passage = session.scalars(select(Page)).one(), session.scalars(select(Passage)).one()
        assert (page.generation_id, page.text) == (passage.generation_id, "Lamp.") == (generation.id, "Lamp.")
        had = session.scalars(select(GenerationDocument)).one()
        assert (had.document_key, had.version, had.status) == (3, 2, "ready_with_warnings")
    store = SqlPassageStore(database, "kb", generation.id, 2)
    (batch,) = store.changes_since(0)
    assert (batch.change, [each.vectors.tolist() for each in batch.added]) == (7, [[[1.0, 1.0]]])
    database.dispose()
