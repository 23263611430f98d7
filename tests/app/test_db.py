"""The two kinds of transaction, on both databases."""

from threading import Barrier, Thread

import pytest
from sqlalchemy import insert, select, update

from app.db import Database
from app.models import KnowledgeBase
from app.passages import raise_change
from tests.installation import new_knowledge_base


def test_what_raises_leaves_nothing(database: Database) -> None:
    half = insert(KnowledgeBase).values(name="half")
    with pytest.raises(ZeroDivisionError), database.write() as session:
        _ = session.execute(half), 1 / 0
    with database.read() as session:
        assert session.scalars(select(KnowledgeBase)).all() == []


def test_a_reader_sees_one_moment_and_its_rows_outlive_it(database: Database) -> None:
    knowledge_base = new_knowledge_base(database, "before")
    with database.read() as reader:
        row = reader.scalars(select(KnowledgeBase)).one()
        with database.write() as session:
            session.execute(update(KnowledgeBase).values(name="after"))
        assert reader.scalars(select(KnowledgeBase.name)).one() == "before"
    assert (row.id, row.name) == (knowledge_base, "before")


def test_writers_at_once_wait_for_each_other(database: Database) -> None:
    """Each raises the change number 20 times: none is lost, none is given twice, none fails for being late."""
    knowledge_base = new_knowledge_base(database)
    seen: list[int] = []
    start = Barrier(4)

    def write() -> None:
        start.wait()
        for _ in range(20):
            with database.write() as session:
                session.scalars(select(KnowledgeBase.name)).all()  # reads first, as most writers do
                change = raise_change(session, knowledge_base)
            seen.append(change)

    writers = [Thread(target=write) for _ in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert sorted(seen) == list(range(1, 81))
