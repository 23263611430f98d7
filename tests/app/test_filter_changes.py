"""Passages are excluded and come back in any order with other changes, and every reader has what is true."""

from collections.abc import Iterator, Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from app import document_filters, passages
from app.bootstrap import Services, build_services
from app.document_filters import apply_filters
from app.document_findings import Found
from app.document_shapes import EffectShape, Findings
from app.knowledge_base_settings import DocumentFilter
from app.models import Document, KnowledgeBase, Passage, new_id
from app.sink import remove_documents
from model_runtime.fakes import HashingEmbedder
from rag.index import KnowledgeBaseIndex
from tests.conftest import settings_in
from tests.installation import DIMENSION, claimed_sink, new_knowledge_base, ready_document, store_of

FILTERS = ("exclude_unreadable", "exclude_duplicate", "exclude_boilerplate")
_KINDS = ("store", "remove", "filter", "read", "write")
_EFFECTS = {each: EffectShape(passages=0, documents=0, examples=[]) for each in DocumentFilter}
_NOTHING = Findings(
    documents=0,
    passages=0,
    languages=[],
    duplicates=[],
    duplicate_groups=0,
    boilerplate=[],
    boilerplate_texts=0,
    unreadable=[],
    unreadable_documents=0,
    effects=_EFFECTS,
)


@pytest.fixture(scope="module")
def filtered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """Services on SQLite, for many examples."""
    built = build_services(settings_in(tmp_path_factory.mktemp("filtered")), embedder=HashingEmbedder())
    built.prepare()
    yield built
    built.close()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(_KINDS), st.integers(0, 2), st.integers(0, 2**12)), min_size=3, max_size=16
    )
)
def test_readers_follow_whatever_is_excluded_and_comes_back(
    steps: list[tuple[str, int, int]], filtered: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After any order of changes an open index holds what lives and is not excluded, and so does what is on disk."""
    monkeypatch.setattr(passages, "_BATCH", 3)
    base = _Base(filtered)
    for what, document, number in steps:
        base.take(what, document, number, monkeypatch)
    with filtered.database.read() as session:
        shown = select(Passage.key).where(Passage.knowledge_base_id == base.id, Passage.excluded.is_(None))
        truth = session.scalars(shown.order_by(Passage.key)).all()
    assert base.store.live_keys().tolist() == truth
    assert base.index.refresh(base.store).keys().tolist() == truth
    for index in (base.index, base.another_index()):
        report = index.check(base.store)
        assert (report.sound, report.passages) == (True, len(truth))
    assert sorted(base.store.hydrate(base.keys())) == truth


class _Base:
    """A knowledge base with all filters on and an index, without HTTP and worker."""

    def __init__(self, services: Services) -> None:
        self.id = new_knowledge_base(services.database, new_id())
        self.store = store_of(services.database, self.id)
        self._folder = services.settings.index_folder / self.id
        self.index = self.another_index()
        self._services = services
        self._sink = claimed_sink(services.database, services.settings, self.id)[2]
        with services.database.write() as session:
            session.get_one(KnowledgeBase, self.id).settings = dict.fromkeys(FILTERS, True)

    def another_index(self) -> KnowledgeBaseIndex:
        return KnowledgeBaseIndex(self._folder, embedder="test", dimension=DIMENSION, chunker=1)

    def keys(self) -> Sequence[int]:
        """Of all passages, excluded or not."""
        with self._services.database.read() as session:
            return session.scalars(select(Passage.key).where(Passage.knowledge_base_id == self.id)).all()

    def take(self, what: str, document: int, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
        if what == "store":
            texts = [f"{number} {each}" for each in range(number % 9)]
            self._sink.store([ready_document(f"{document}", texts)])
        elif what == "remove":
            self._remove(f"{document}")
        elif what == "filter":
            chosen = {
                name: frozenset(key for key in self.keys() if (number >> 2 * place) % 4 == key % 4)
                for place, name in enumerate(DocumentFilter)
            }
            with monkeypatch.context() as patched:
                patched.setattr(document_filters, "find", lambda *_: Found(_NOTHING, chosen))
                assert apply_filters(self._services, self.id)
        elif what == "read":
            self.index.refresh(self.store)
        elif what == "write":
            self.index.write_snapshot(self.store)

    def _remove(self, external_id: str) -> None:
        named = (Document.knowledge_base_id == self.id, Document.external_id == external_id)
        with self._services.database.write() as session:
            keys = session.scalars(select(Document.key).where(*named)).all()
            remove_documents(session, self.id, keys, passages.raise_change(session, self.id))
