"""The report on documents and its filters, as an admin uses them: what is told, what is found, and what comes back."""

import random
from collections.abc import Iterator, Sequence
from typing import Any

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
from app.upkeep import check_index
from model_runtime.fakes import HashingEmbedder
from rag.index import KnowledgeBaseIndex
from tests.conftest import settings_in
from tests.installation import (
    DIMENSION,
    Installation,
    claimed_sink,
    new_knowledge_base,
    ready_document,
    store_of,
)

NOTICE = "This manual is protected by copyright and no part of it may be copied without written permission. " * 6
FILTERS = ("exclude_unreadable", "exclude_duplicate", "exclude_boilerplate")


def prose(seed: int, words: int = 130) -> str:
    """Sentences that have nothing in common with those of another seed."""
    chosen = random.Random(seed)
    made = ("".join(chosen.choices("bcdfgaeiou", k=chosen.randint(4, 9))) for _ in range(words))
    return " ".join(f"{word}." if number % 11 == 10 else word for number, word in enumerate(made))


def manual(*sections: str) -> str:
    return "\n\n".join(f"# Chapter {number}\n\n{text}" for number, text in enumerate(sections))


def turn(installation: Installation, **wanted: bool) -> None:
    response = installation.client.patch("/api/knowledge-bases/manuals", json={"settings": wanted})
    assert response.status_code == 200, response.text
    installation.work()


def report(installation: Installation) -> dict[str, Any]:
    found: dict[str, Any] = installation.get("/api/knowledge-bases/manuals/report")
    return found


def filter_of(installation: Installation, name: str) -> dict[str, Any]:
    (found,) = [each for each in report(installation)["filters"] if each["name"] == name]
    return found  # type: ignore[no-any-return]


def found_in(installation: Installation, query: str) -> set[str]:
    """The documents in which the text of the query stands, among what a search finds."""
    start = " ".join(query.split()[:8])
    hits = [hit for hit in installation.search(query, top_k=50) if start in " ".join(hit["text"].split())]
    ids = {hit["document_id"] for hit in hits} | {place["document_id"] for hit in hits for place in hit["also_at"]}
    return {name for name, document in installation.documents().items() if document["id"] in ids}


def reasons(installation: Installation, external_id: str) -> list[str | None]:
    document = installation.documents()[external_id]["id"]
    return [each["excluded"] for each in installation.get(f"/api/documents/{document}/passages")["passages"]]


def assert_sound(installation: Installation) -> None:
    with installation.services.database.read() as session:
        row = session.scalars(select(KnowledgeBase)).one()
    assert check_index(installation.services, row).is_sound


def test_a_duplicate_is_found_in_the_newest_only_and_what_it_alone_says_stays(installation: Installation) -> None:
    installation.upload(("old.md", manual(*(prose(each) for each in range(8)), prose(20))))
    installation.upload(("other.md", manual(prose(30), prose(31))))
    installation.work()
    installation.upload(("new.md", manual(*(prose(each) for each in range(8)), prose(21))))
    installation.work()

    (group,) = report(installation)["duplicates"]
    assert (group["kind"], group["count"]) == ("duplicate", 2)
    assert [each["external_id"] for each in group["documents"]] == ["new.md", "old.md"]
    assert 0.7 < group["share"] == group["documents"][1]["share"] < 0.95
    before = filter_of(installation, "duplicate")
    assert (before["on"], before["excluded"], before["documents"]) == (False, 0, 1)
    assert len(before["examples"]) == 3
    assert found_in(installation, prose(3)) == {"old.md", "new.md"}

    turn(installation, exclude_duplicate=True)
    assert report(installation)["applied"]
    after = filter_of(installation, "duplicate")
    assert after == {**before, "on": True, "excluded": before["passages"]}
    assert found_in(installation, prose(3)) == {"new.md"}
    assert found_in(installation, prose(20)) == {"old.md"}
    assert set(reasons(installation, "old.md")) == {"duplicate", None}
    assert set(reasons(installation, "new.md") + reasons(installation, "other.md")) == {None}
    assert_sound(installation)

    newest = installation.documents()["new.md"]["id"]
    assert installation.client.delete(f"/api/documents/{newest}").status_code == 204
    installation.work()
    assert found_in(installation, prose(3)) == {"old.md"}
    assert_sound(installation)


def test_filters_hold_for_what_comes_later_and_give_back_what_they_took(installation: Installation) -> None:
    turn(installation, **dict.fromkeys(FILTERS, True))
    installation.upload(("first.md", manual(prose(1), prose(2))))
    installation.upload(("again.md", manual(prose(1), prose(2))))
    installation.upload(("dump.txt", "\n\n".join("4f 00 1c 9e " * 40 for _ in range(3))))
    installation.work()
    assert found_in(installation, prose(1)) == {"again.md"}
    assert set(reasons(installation, "dump.txt")) == {"unreadable"}
    (dump,) = report(installation)["unreadable"]
    assert (dump["external_id"], dump["passages"]) == ("dump.txt", len(reasons(installation, "dump.txt")))

    turn(installation, exclude_unreadable=False)
    assert set(reasons(installation, "dump.txt")) == {None}
    assert any("4f 00" in hit["text"] for hit in installation.search("4f 00 1c 9e"))
    assert found_in(installation, prose(1)) == {"again.md"}
    turn(installation, exclude_duplicate=False, exclude_boilerplate=False)
    assert found_in(installation, prose(1)) == {"first.md", "again.md"}
    assert_sound(installation)
    installation.upload(("first.md", manual(prose(1), prose(5))))
    installation.work()
    assert found_in(installation, prose(2)) == {"again.md"}
    assert_sound(installation)


def test_excluded_passages_go_with_their_document(installation: Installation) -> None:
    installation.upload(("old.md", manual(prose(1), prose(2))))
    installation.upload(("new.md", manual(prose(1), prose(2))))
    installation.work()
    turn(installation, exclude_duplicate=True)
    installation.upload(("old.md", manual(prose(8), prose(9))))
    installation.work()
    assert found_in(installation, prose(8)) == {"old.md"}
    assert found_in(installation, prose(1)) == {"new.md"}
    for document in installation.documents().values():
        assert installation.client.delete(f"/api/documents/{document['id']}").status_code == 204
    installation.work()
    assert report(installation)["passages"] == 0
    assert_sound(installation)


def test_boilerplate_stays_in_one_place_of_each_product(installation: Installation) -> None:
    for place, product in enumerate(("LT-300", "LT-310")):
        for number in range(5):
            file = (f"{product}-{number}.md", manual(prose(10 * place + number), NOTICE))
            installation.upload(file, facets=f'{{"product": "{product}"}}')
    installation.work()
    (text,) = [each for each in report(installation)["boilerplate"] if "copyright" in each["text"]]
    assert (text["count"], text["documents"]) == (10, 10)
    assert len(text["places"]) == 10
    assert len(found_in(installation, NOTICE)) == 10

    turn(installation, exclude_boilerplate=True)
    assert filter_of(installation, "boilerplate")["excluded"] == 8
    assert found_in(installation, NOTICE) == {"LT-300-0.md", "LT-310-0.md"}
    for product in ("LT-300", "LT-310"):
        assert "copyright" in installation.search(NOTICE, {"product": product})[0]["text"]
    assert_sound(installation)


def test_siblings_are_told_and_left_alone(installation: Installation) -> None:
    text = manual(prose(1), prose(2))
    installation.upload(("s9.md", text), facets='{"product": "S9"}')
    installation.upload(("s10.md", text), facets='{"product": "S10"}')
    installation.work()
    turn(installation, **dict.fromkeys(FILTERS, True))
    (group,) = report(installation)["duplicates"]
    assert (group["kind"], group["share"]) == ("siblings", 1.0)
    assert filter_of(installation, "duplicate")["passages"] == 0
    assert found_in(installation, prose(1)) == {"s9.md", "s10.md"}

    document = installation.documents()["s10.md"]["id"]
    said = installation.client.patch(f"/api/documents/{document}", json={"facets": {"product": "S9"}})
    assert said.status_code == 200
    installation.work()
    assert report(installation)["duplicates"][0]["kind"] == "duplicate"
    assert found_in(installation, prose(1)) == {"s10.md"}


def test_records_with_titles_of_their_own_are_not_duplicates(installation: Installation) -> None:
    answer = prose(1, 40)
    lines = [f'{{"_id": "{number}", "title": "{prose(50 + number, 9)}", "text": "{answer}"}}' for number in range(7)]
    installation.upload(("faq.jsonl", "\n".join(lines)))
    installation.work()
    turn(installation, **dict.fromkeys(FILTERS, True))
    assert [each["passages"] for each in report(installation)["filters"]] == [0, 0, 0]
    assert len(found_in(installation, answer)) == 7


def test_a_report_is_of_now(installation: Installation) -> None:
    assert report(installation)["documents"] == 0
    installation.upload(("en.md", "# Start\n\nPress the button and wait for the light to turn on before you go."))
    installation.upload(("de.md", "# Start\n\nDrücken Sie die Taste und warten Sie, bis die Anzeige nicht blinkt."))
    installation.work()
    first = report(installation)
    assert {each["language"]: each["documents"] for each in first["languages"]} == {"en": 1, "de": 1}
    assert report(installation) == first
    assert set(installation.documents(language="de")) == {"de.md"}
    assert installation.listing()["languages"] == {"de": 1, "en": 1}
    assert installation.client.get("/api/knowledge-bases/nothing/report").status_code == 404


def test_a_filter_that_fails_half_way_has_done_nothing(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation.upload(("old.md", manual(prose(1), prose(2))))
    installation.upload(("new.md", manual(prose(1), prose(2))))
    installation.work()
    change = installation.get("/api/knowledge-bases/manuals")["change"]

    def fail(*_: object) -> None:
        raise RuntimeError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(document_filters, "_give_reason", fail)
        turn(installation, exclude_duplicate=True)
    assert installation.get("/api/knowledge-bases/manuals")["change"] == change
    assert not report(installation)["applied"]
    assert found_in(installation, prose(1)) == {"old.md", "new.md"}
    turn(installation)
    assert report(installation)["applied"]
    assert found_in(installation, prose(1)) == {"new.md"}


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
