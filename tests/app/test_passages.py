"""`SqlPassageStore` against what was stored: changes from any number on, hydration, filters, packing."""

from itertools import islice

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from app import passages, sink, source_maps
from app.db import Database
from app.models import Document, Page
from app.passages import raise_change
from app.settings import Settings
from app.source_maps import SourceMap
from ingestion.types import ParsedPage
from rag.errors import UnknownFilter
from rag.types import Span
from tests.installation import claimed_sink, new_knowledge_base, ready_document, store_of, vectors_of


def test_a_stored_passage_comes_back_whole(database: Database, settings: Settings) -> None:
    knowledge_base = new_knowledge_base(database)
    _, _, into = claimed_sink(database, settings, knowledge_base)
    into.store([ready_document("kettle", ["Press the red button.", "Descale it."], product="K-1", sizes=[1, 2.5])])
    store = store_of(database, knowledge_base)

    (batch,) = store.changes_since(0)
    assert (batch.change, store.change(), list(batch.removed)) == (1, 1, [])
    assert [each.words for each in batch.added] == [
        "Title of kettle\nChapter\nSection 1\nPress the red button.",
        "Title of kettle\nChapter\nSection 2\nDescale it.",
    ]
    assert all(
        np.array_equal(a.vectors, vectors_of(t))
        for a, t in zip(batch.added, ["Press the red button.", "Descale it."], strict=True)
    )
    assert {each.vectors.dtype for each in batch.added} == {np.dtype(np.float16)}

    keys = [each.key for each in batch.added]
    found = store.hydrate([keys[1], 10**9])
    assert list(found) == [keys[1]]
    passage = found[keys[1]]
    assert passage.spans == (Span(2, 0, 11),)
    assert (passage.text, passage.page_label, passage.ordinal, passage.windows) == ("Descale it.", "p-2", 1, ((0, 11),))
    assert (passage.external_id, passage.title, passage.document_version) == ("kettle", "Title of kettle", 1)
    assert passage.facets == {"product": "K-1", "sizes": [1, 2.5]}
    assert passage.heading_path == ("Chapter", "Section 2")
    with database.read() as session:
        packed = session.scalars(select(Page.source_map).order_by(Page.number)).first()
    assert source_maps.unpack(packed or b"").runs == ((0, 5, 21),)


def test_knowledge_bases_do_not_see_each_other(database: Database, settings: Settings) -> None:
    ours, theirs = new_knowledge_base(database, "ours"), new_knowledge_base(database, "theirs")
    for knowledge_base in (ours, theirs):
        _, _, into = claimed_sink(database, settings, knowledge_base)
        into.store([ready_document("same", [f"Text of {knowledge_base}."])])
    their_keys = store_of(database, theirs).live_keys().tolist()
    store = store_of(database, ours)
    assert not set(store.live_keys().tolist()) & set(their_keys)
    assert store.hydrate(their_keys) == {}
    assert [each.words.endswith(f"{ours}.") for batch in store.changes_since(0) for each in batch.added] == [True]


_STEPS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 5)),  # which document; how many passages, 0 removes it
    min_size=1,
    max_size=12,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=_STEPS, reader_stops=st.lists(st.integers(1, 4), max_size=6))
def test_a_reader_that_stops_and_goes_on_anywhere_knows_what_lives(
    steps: list[tuple[int, int]],
    reader_stops: list[int],
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever is stored, replaced and removed in between, and however small the batches."""
    from tests.conftest import settings_in, sqlite_database

    monkeypatch.setattr(passages, "_BATCH", 2)
    folder = tmp_path_factory.mktemp("changes")
    with sqlite_database(folder) as database:
        knowledge_base = new_knowledge_base(database)
        _, _, into = claimed_sink(database, settings_in(folder), knowledge_base)
        store = store_of(database, knowledge_base)
        known: set[int] = set()
        given: set[int] = set()
        change = 0
        stops = iter(reader_stops)
        for number, (document, count) in enumerate(steps):
            before = set(store.live_keys().tolist())
            if count:
                into.store([ready_document(f"d{document}", [f"{number} {each}" for each in range(count)])])
            else:
                _remove(database, knowledge_base, f"d{document}")
            new = set(store.live_keys().tolist()) - before
            assert not new & given, "a key was given twice"
            given |= new
            stop = next(stops, 99)
            known = known if change else set()  # from 0 a reader begins anew
            for batch in islice(store.changes_since(change), stop):
                assert batch.change >= change
                known = (known - set(batch.removed)) | {each.key for each in batch.added}
                change = batch.change
        known = known if change else set()
        for batch in store.changes_since(change):
            known = (known - set(batch.removed)) | {each.key for each in batch.added}
            change = batch.change
        assert sorted(known) == store.live_keys().tolist()
        assert change == store.change()
        assert [each.key for batch in store.changes_since(0) for each in batch.added] == store.live_keys().tolist()
        assert list(store.changes_since(change)) == []


def _remove(database: Database, knowledge_base: str, external_id: str) -> None:
    with database.write() as session:
        key = session.scalar(select(Document.key).where(Document.external_id == external_id))
        change = raise_change(session, knowledge_base)
        sink.remove_documents(session, knowledge_base, [key] if key else [], change)


def test_filters_mean_the_same_on_every_database(database: Database, settings: Settings) -> None:
    knowledge_base = new_knowledge_base(database)
    _, _, into = claimed_sink(database, settings, knowledge_base)
    into.store(
        [
            ready_document("a", ["A."], product="K-1", year=2024, sold=True, sizes=[1, 2]),
            ready_document("b", ["B."], product="K-2", year="2024", sold=False, sizes=[3]),
            ready_document("c", ["C."], product="K-1", note=None),
        ]
    )
    store = store_of(database, knowledge_base)
    with database.read() as session:
        ids = dict(session.execute(select(Document.external_id, Document.id)).all())

    def admitted(**filter: object) -> str:
        keys = store.document_keys(filter)
        assert keys is not None
        with database.read() as session:
            names = select(Document.external_id).where(Document.key.in_(keys.tolist()))
            return "".join(sorted(session.scalars(names)))

    assert store.document_keys({}) is None
    assert admitted(product="K-1") == "ac"
    assert admitted(product=["K-1", "K-2"], year=2024) == "ab"
    assert admitted(year="2024") == "ab"
    assert admitted(sold=True) == "a"
    assert admitted(sizes=[2, 3]) == "ab"
    assert admitted(document_id=[ids["b"], ids["c"], "unknown"], product="K-1") == "c"
    assert admitted(external_id="b") == "b"
    assert admitted(title="Title of c", language=["en", "zh"], media_type="application/pdf") == "c"
    assert admitted(note="x") == ""
    assert admitted(version="nobody has one, but it is a usual facet") == ""
    assert admitted(product=[]) == ""
    with pytest.raises(UnknownFilter, match="prodct"):
        store.document_keys({"prodct": "K-1"})
    for hostile in ({"a": 1}, None, [["x"]], [None]):
        with pytest.raises(UnknownFilter):
            store.document_keys({"product": hostile})
    with pytest.raises(UnknownFilter):
        store.document_keys({"x'); DROP TABLE passage; --": "1"})


@given(rows=st.integers(0, 9), dimension=st.integers(1, 9), seed=st.integers(0, 2**32 - 1))
def test_packed_vectors_and_maps_come_back_exactly(rows: int, dimension: int, seed: int) -> None:
    numbers = np.random.default_rng(seed)
    vectors = numbers.normal(size=(rows, dimension)).astype(np.float16)
    assert np.array_equal(passages.unpack_vectors(passages.pack_vectors(vectors[:, ::-1]), dimension), vectors[:, ::-1])
    runs, line_boxes = (tuple(map(tuple, numbers.integers(0, 2**31, size=(rows, width)).tolist())) for width in (3, 6))
    assert source_maps.unpack(source_maps.pack(ParsedPage(1, "", (), source_map=runs))) == SourceMap(runs, ())
    of_lines = source_maps.pack(ParsedPage(1, "", (), line_boxes=line_boxes))
    assert source_maps.unpack(of_lines) == SourceMap((), line_boxes)
