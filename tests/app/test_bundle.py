"""A knowledge base goes into a file and comes out the same, on either database; any other file is refused whole."""

import errno
import io
import json
import multiprocessing
import random
import shutil
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from langchain_core.embeddings import Embeddings
from sqlalchemy import func, select, update

from app.bootstrap import Services, build_services
from app.bundle.export import export_bundle
from app.bundle.format import open_bundle
from app.bundle.importing import import_bundle, remove_abandoned
from app.bundle.records import DocumentRecord, PageRecord, PassageRecord, Record
from app.errors import BadBundle, Conflict
from app.evaluation.questions import as_jsonl
from app.main import create_app
from app.models import (
    Base,
    Document,
    GoldenQuestion,
    GoldenRun,
    KnowledgeBase,
    Page,
    Passage,
    PassageVectors,
    now,
)
from app.scope import Scope
from app.worker import run_until_idle
from model_runtime.fakes import HashingEmbedder
from rag.retriever import HybridRetriever, RetrievalSettings
from rag.types import Hit, Question
from tests.app.bundle_processes import die_while_importing
from tests.conftest import database_of, settings_in
from tests.installation import Installation

SCOPE = Scope()
WORDS = "kettle lid boil water vinegar lever lamp red blue press hold reset error code plug wall cable".split()  # noqa: SIM905


@pytest.fixture
def other_url(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database of the other kind than `database_url`."""
    other_kind = "sqlite" if kind == "postgresql" else "postgresql"
    with database_of(other_kind, request, tmp_path / "other.db") as address:
        yield address


@pytest.fixture
def other(tmp_path: Path, other_url: str) -> Iterator[Services]:
    """An empty installation on the other kind of database."""
    built = build_services(settings_in(tmp_path / "other", other_url), embedder=HashingEmbedder())
    built.prepare()
    yield built
    built.close()


def manual(number: int) -> str:
    """A manual of three sections from few words, so that many passages score alike."""
    chance = random.Random(number)
    sections = (" ".join(chance.choices(WORDS, k=60)) for _ in range(3))
    return "\n\n".join(f"## Part {at}\n\n{text}." for at, text in enumerate(sections))


def fill(installation: Installation) -> None:
    """Documents of which some are equal, some were replaced, some deleted, one is many records, one was refused."""
    installation.upload(*((f"m{number}.md", manual(number % 12)) for number in range(20)), facets='{"product": "K-7"}')
    installation.work()
    installation.upload(*((f"m{number}.md", manual(100 + number)) for number in (3, 4, 5)), is_public="true")
    records = [{"_id": f"r{number}", "title": f"汉字{number}", "text": manual(number)[12:90]} for number in range(5)]
    installation.upload(("faq.jsonl", "\n".join(map(json.dumps, records))))
    installation.work()
    for name in ("m1.md", "m8.md"):
        installation.client.delete(f"/api/documents/{installation.documents()[name]['id']}")
    installation.upload(("broken.pdf", b"%PDF-1.4 and nothing more"))
    installation.work()


def fill_a_little(installation: Installation) -> None:
    installation.upload(*((f"m{number}.md", manual(number)) for number in range(3)))
    installation.work()


def exported(services: Services, path: Path) -> Path:
    with path.open("wb") as file:
        export_bundle(services, SCOPE, "manuals", file)
    return path


class Supplied(Embeddings):
    """Gives question n the vector n. The questions' words are in no document, so that vectors alone decide."""

    def __init__(self, vectors: np.ndarray[Any, Any]) -> None:
        self._vectors = {self.question(number): vector.tolist() for number, vector in enumerate(vectors)}

    @staticmethod
    def question(number: int) -> str:
        return "z" + "".join(chr(ord("b") + int(digit)) for digit in str(number)) + "z"

    def embed_query(self, text: str) -> list[float]:
        vector: list[float] = self._vectors[text]
        return vector

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        raise NotImplementedError


def top_tens(services: Services, row: KnowledgeBase, vectors: np.ndarray[Any, Any]) -> list[Any]:
    """What the real index and retriever find for each vector: places, scores and equal passages elsewhere."""
    retriever = HybridRetriever(
        index=services.index(row),
        store=services.passages(row),
        embeddings=Supplied(vectors),
        settings=RetrievalSettings(top_k=10),
    )
    return [
        [
            (hit.passage.external_id, hit.passage.ordinal, hit.passage.text, hit.score, hit.window_scores, places(hit))
            for hit in retriever.search(Supplied.question(number)).hits
        ]
        for number in range(len(vectors))
    ]


def places(hit: Hit) -> list[Any]:
    return [(place.external_id, place.spans) for place in hit.also_at]


def contents(services: Services, knowledge_base_id: str) -> list[Any]:
    """Documents with content, their pages, passages and vectors, without keys and ids."""
    skipped = {"key", "id", "document_key", "knowledge_base_id", "job_id", "file_path", "status", "message"}
    skipped |= {"added_change", "passage_key", "generation_id", "text_hashes"}

    def values(row: Any) -> dict[str, Any]:
        return {column.key: getattr(row, column.key) for column in row.__table__.columns if column.key not in skipped}

    with services.database.read() as session:
        of_base = (Document.knowledge_base_id == knowledge_base_id, Document.version > 0)
        query = (
            select(Document, Page, Passage, PassageVectors)
            .join(Page, Page.document_key == Document.key)
            .outerjoin(Passage, (Passage.document_key == Document.key) & (Passage.first_page == Page.number))
            .outerjoin(PassageVectors, PassageVectors.passage_key == Passage.key)
            .where(*of_base)
            .order_by(Document.key, Page.number, Passage.key)
        )
        return [[values(row) for row in rows if row is not None] for rows in session.execute(query)]


def file_bytes(services: Services, knowledge_base_id: str) -> list[tuple[str, bytes]]:
    folder = services.settings.files_folder / knowledge_base_id
    return sorted((str(path.relative_to(folder)), path.read_bytes()) for path in folder.rglob("*") if path.is_file())


def test_what_was_exported_answers_the_same_on_the_other_database(
    installation: Installation, other: Services, tmp_path: Path
) -> None:
    fill(installation)
    services = installation.services
    with services.database.read() as session:
        before = SCOPE.knowledge_base(session, "manuals")
    imported = import_bundle(other, SCOPE, exported(services, tmp_path / "bundle"))
    assert imported.warnings == []
    assert contents(other, imported.knowledge_base.id) == contents(services, before.id)
    assert file_bytes(other, imported.knowledge_base.id) == [
        (path, content) for path, content in file_bytes(services, before.id) if "broken" not in path
    ]
    chance = np.random.default_rng(7)
    vectors = chance.standard_normal((500, 64)).astype(np.float32)
    vectors[::5] = np.sign(vectors[::5]) * (chance.random((100, 64)) < 0.1)  # few words: many equal scores
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)
    services.index(before).rebuild(services.passages(before))  # words of deleted documents count until then
    other.index(imported.knowledge_base).write_snapshot(other.passages(imported.knowledge_base))
    found = top_tens(other, imported.knowledge_base, vectors)
    assert found == top_tens(services, before, vectors)
    assert any(len({hit[3] for hit in hits}) < len(hits) for hits in found), "no ties: the test is too easy"
    for question in ("How do I reset the lamp?", "vinegar in the kettle", "zebra"):
        here, there = (
            each.chain(row).answer(Question(question))
            for each, row in ((services, before), (other, imported.knowledge_base))
        )
        assert (there.kind, there.text, there.citations) == (here.kind, here.text, here.citations)


def test_an_imported_document_is_replaced_and_deleted_like_any_other(
    installation: Installation, other: Services, tmp_path: Path
) -> None:
    fill_a_little(installation)
    import_bundle(other, SCOPE, exported(installation.services, tmp_path / "bundle"), "copy")
    with TestClient(create_app(other), base_url="http://127.0.0.1") as client:
        documents = "/api/knowledge-bases/copy/documents"
        again = client.post(documents, files=[("files", ("m0.md", manual(0).encode()))]).json()
        assert (again["jobs"], again["documents"][0]["version"]) == ([], 1), "the same content is nothing new"
        client.post(documents, files=[("files", ("m0.md", b"# New\n\nQuartz glows."))])
        run_until_idle(other)
        listed = {each["external_id"]: each for each in client.get(documents).json()["documents"]}
        assert (listed["m0.md"]["version"], listed["m2.md"]["version"]) == (2, 1)
        client.delete(f"/api/documents/{listed['m2.md']['id']}")
        assert [path for path in other.settings.files_folder.rglob("m2.md") if path.is_file()] == []


def test_the_same_file_twice_makes_two_knowledge_bases_with_ids_of_their_own(
    installation: Installation, tmp_path: Path
) -> None:
    fill_a_little(installation)
    bundle = exported(installation.services, tmp_path / "bundle")
    with pytest.raises(Conflict, match="'manuals' already"):
        import_bundle(installation.services, SCOPE, bundle)
    copies = [import_bundle(installation.services, SCOPE, bundle, name) for name in ("first", "second")]
    wanted = contents(installation.services, installation.knowledge_base)
    for copy in copies:
        assert contents(installation.services, copy.knowledge_base.id) == wanted
    installation.client.delete("/api/knowledge-bases/first")
    hits = installation.post("/api/knowledge-bases/second/search", json={"query": "vinegar", "top_k": 3})["hits"]
    assert [hit["text"] for hit in hits] == [hit["text"] for hit in installation.search("vinegar", top_k=3)]


def test_ids_are_kept_where_nobody_has_them(installation: Installation, tmp_path: Path) -> None:
    fill_a_little(installation)
    bundle = exported(installation.services, tmp_path / "bundle")
    before = {name: each["id"] for name, each in installation.documents().items() if each["version"]}
    installation.client.delete("/api/knowledge-bases/manuals")
    import_bundle(installation.services, SCOPE, bundle)
    assert {name: each["id"] for name, each in installation.documents().items()} == before


class Interrupting(io.BytesIO):
    """Does something when the first bytes arrive."""

    def __init__(self, act: Callable[[], object]) -> None:
        super().__init__()
        self._act: Callable[[], object] | None = act

    def write(self, piece: Any, /) -> int:
        act, self._act = self._act, None
        if act is not None:
            act()
        return super().write(piece)


def test_what_changes_during_an_export_is_not_in_it(
    installation: Installation, other: Services, tmp_path: Path
) -> None:
    fill(installation)
    before = contents(installation.services, installation.knowledge_base)
    kept = file_bytes(installation.services, installation.knowledge_base)

    def change() -> None:
        for name in ("m0.md", "m9.md"):
            installation.client.delete(f"/api/documents/{installation.documents()[name]['id']}")
        installation.upload(("m2.md", manual(500)), ("new.md", manual(501)))
        installation.work()

    output = Interrupting(change)
    manifest = export_bundle(installation.services, SCOPE, "manuals", output)
    assert manifest.counts.left_out == 1, "the document that could not be read"
    assert contents(installation.services, installation.knowledge_base) != before
    (tmp_path / "bundle").write_bytes(output.getvalue())
    imported = import_bundle(other, SCOPE, tmp_path / "bundle")
    assert contents(other, imported.knowledge_base.id) == before
    assert file_bytes(other, imported.knowledge_base.id) == [pair for pair in kept if "broken" not in pair[0]]


def test_vectors_of_another_embedder_are_imported_and_say_so(installation: Installation, tmp_path: Path) -> None:
    fill_a_little(installation)
    bundle = exported(installation.services, tmp_path / "bundle")
    there = build_services(settings_in(tmp_path / "there"), embedder=HashingEmbedder(dimension=32))
    there.prepare()
    with TestClient(create_app(there), base_url="http://127.0.0.1") as client, bundle.open("rb") as file:
        answer = client.post("/api/knowledge-bases/import", files={"files": file}, data={"name": "moved"})
        assert answer.status_code == 201, answer.text
        assert "64 dimensions" in answer.json()["warnings"][0]
        asked = client.post("/api/knowledge-bases/moved/search", json={"query": "lamp"})
        assert (asked.status_code, asked.json()["error"]["code"]) == (409, "conflict")


def test_over_http(installation: Installation) -> None:
    fill_a_little(installation)
    installation.client.patch(
        "/api/knowledge-bases/manuals", json={"name": "说明书", "settings": {"dense_weight": 0.5}}
    )
    kept = installation.stored_files()
    response = installation.client.get("/api/knowledge-bases/说明书/export")
    assert response.headers["content-length"] == str(len(response.content))
    assert installation.stored_files() == kept, "nothing is left of the export"
    made = installation.post("/api/knowledge-bases/import", files={"files": response.content}, data={"name": "copy"})
    original = installation.get("/api/knowledge-bases/说明书")
    assert made["knowledge_base"]["settings"] == original["settings"] == {"dense_weight": 0.5}
    assert made["knowledge_base"]["passage_count"] == original["passage_count"]
    damaged = bytearray(response.content)
    damaged[1000] ^= 1
    refused = installation.client.post("/api/knowledge-bases/import", files={"files": bytes(damaged)})
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "bad_bundle")
    assert list((installation.services.settings.files_folder / "incoming").iterdir()) == []


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_where_files_cannot_be_linked_they_are_copied_while_others_write(
    installation: Installation, other: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_a_little(installation)
    kept = file_bytes(installation.services, installation.knowledge_base)
    copy, failure = shutil.copyfile, OSError(errno.EPERM, "Operation not permitted")

    def no_link(*_: Any) -> None:
        raise failure

    def while_others_write(source: Path, target: Path) -> None:
        installation.upload((f"new{source.name}", manual(77)))
        copy(source, target)

    monkeypatch.setattr("app.bundle.export.os.link", no_link)
    monkeypatch.setattr("app.bundle.export.shutil.copyfile", while_others_write)
    imported = import_bundle(other, SCOPE, exported(installation.services, tmp_path / "bundle"))
    assert file_bytes(other, imported.knowledge_base.id) == kept

    def while_it_is_replaced(source: Path, target: Path) -> None:
        source.unlink()
        copy(source, target)

    monkeypatch.setattr("app.bundle.export.shutil.copyfile", while_it_is_replaced)
    with pytest.raises(Conflict, match=r"m\d\.md was replaced"):
        exported(installation.services, tmp_path / "bundle")
    monkeypatch.setattr("app.bundle.export.shutil.copyfile", lambda _, target: target.write_bytes(b"half"))
    with pytest.raises(Conflict, match="export again"):
        exported(installation.services, tmp_path / "bundle")
    failure = OSError(errno.EIO, "Input/output error")
    with pytest.raises(OSError, match="Input/output"):
        exported(installation.services, tmp_path / "bundle")
    assert list((installation.services.settings.files_folder / "incoming").iterdir()) == []


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_every_flipped_byte_and_every_cut_is_noticed(installation: Installation, tmp_path: Path) -> None:
    installation.upload(("a.md", "# Lamp\n\nRed."))
    installation.work()
    path = exported(installation.services, tmp_path / "bundle")
    sound = path.read_bytes()
    with open_bundle(path):
        pass
    chance = random.Random(3)
    for at in range(len(sound)):
        path.write_bytes(sound[:at] + bytes([sound[at] ^ (1 << chance.randrange(8))]) + sound[at + 1 :])
        with pytest.raises(BadBundle), open_bundle(path):
            pass
        path.write_bytes(sound[:at])
        with pytest.raises(BadBundle), open_bundle(path):
            pass
    for foreign in (sound + b"\n", b"\n" + sound, b"", b"PK\x05\x06" + bytes(18)):
        path.write_bytes(foreign)
        with pytest.raises(BadBundle), open_bundle(path):
            pass


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_the_bundle_has_a_place_for_every_column(installation: Installation) -> None:
    """Whoever adds a column decides whether it is exported: then raise the format, or name it here."""
    made_anew = {
        Document: {"key", "knowledge_base_id", "job_id", "status", "message", "file_path"},
        Page: {"document_key", "generation_id"},
        Passage: {
            "key",
            "knowledge_base_id",
            "generation_id",
            "document_key",
            "added_change",
            "excluded",
            "first_page",
            "last_page",
        },
    }
    of_records: dict[Any, type[Record]] = {Document: DocumentRecord, Page: PageRecord, Passage: PassageRecord}
    for table, record in of_records.items():
        columns = set(table.__table__.columns.keys())
        assert columns - made_anew[table] == record.model_fields.keys() - {"file", "document"}


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_of_every_table_it_is_decided_whether_the_bundle_has_it(installation: Installation) -> None:
    """Whoever adds a table decides: then give it a place in the bundle and raise the format, or name it here."""
    carried = {"knowledge_base", "generation", "document", "page", "passage", "passage_vectors", "golden_question"}
    made_anew = {"generation_document"}  # of what the documents' own rows say
    left_out = {
        "job",  # what waits or has ended here
        "removal",  # what indexes here still have to learn: there are none there
        "document_report",  # found out anew
        *("sync_source", "sync_file", "sync_document"),  # folders and sites as they are seen from here
        *("conversation", "message", "citation", "feedback"),  # customers' words: nobody asked to move them
        *("golden_run", "golden_result"),  # they name generations and models of this installation
        *("account", "account_session", "sign_in_attempt", "agent_presence"),  # who works here
        *("site", "visitor"),  # web sites, with their keys, and who is on them
        *("hand_off", "inbox_change", "typing", "agent_note", "conversation_rating"),  # of the conversations
        "faq_candidate",  # an agent's words to a customer; what was approved is a document
        "flow_version",  # of the installation's folder of flows
        *("catalogue_file", "product"),  # made of a file that the company keeps; the file is uploaded again
        "intent_example",  # read and added over the API
    }
    assert carried | made_anew | left_out == Base.metadata.tables.keys()


def test_golden_questions_move_along(installation: Installation, other: Services, tmp_path: Path) -> None:
    """Without the runs that asked them. Each is the same in its file, and they stay in their order."""
    records = [
        {"id": "zuletzt", "question": "Which lamp is red?", "expected": {"document": "m1.md", "page": [1, 2]}},
        {"question": "红灯是什么意思?", "expected": {"answer": ["the lid", "打开"]}, "filter": {"product": "K-7"}},
        {
            "question": "And now?",
            "history": ["It blinks.", {"role": "agent", "text": "How?"}],
            "expected": "not answerable",
        },
    ]
    fill_a_little(installation)
    base = "/api/knowledge-bases/manuals"
    content = "".join(json.dumps(record) + "\n" for record in records)
    installation.post(f"{base}/golden-questions/file", content=content.encode())
    installation.post(f"{base}/golden-runs", json={})
    kept = installation.client.get(f"{base}/golden-questions/file").text
    assert len(kept.splitlines()) == 3
    bundle = exported(installation.services, tmp_path / "bundle")
    with open_bundle(bundle) as opened, opened.member("golden.jsonl") as member:
        assert opened.manifest.counts.golden_questions == 3
        as_file = member.read(opened.manifest.members["golden.jsonl"].bytes)
    uploaded = installation.post(f"{base}/golden-questions/file", content=as_file)
    assert uploaded == {"added": 0, "changed": 0, "unchanged": 3}, "the member is a golden file like any other"
    imported = import_bundle(other, SCOPE, bundle)
    assert as_jsonl(other, SCOPE, imported.knowledge_base.id) == kept
    with other.database.read() as session:
        assert session.scalar(select(func.count()).select_from(GoldenRun)) == 0


def test_a_golden_question_that_nobody_could_import_is_named(installation: Installation, tmp_path: Path) -> None:
    asked = {"question": "Which lamp?", "expected": {"answer": "the red one"}}
    added = installation.post("/api/knowledge-bases/manuals/golden-questions", json=asked | {"name": "odd"})
    with installation.services.database.write() as session:
        session.execute(update(GoldenQuestion).values(record=asked | {"id": "odd", "colour": "red"}))
    with pytest.raises(Conflict, match="'odd' cannot be exported"):
        exported(installation.services, tmp_path / "bundle")
    installation.client.delete(f"/api/knowledge-bases/manuals/golden-questions/{added['id']}")
    exported(installation.services, tmp_path / "bundle")


def test_an_import_that_is_killed_leaves_nothing_to_be_seen_and_is_cleaned_up(
    installation: Installation, other: Services, tmp_path: Path
) -> None:
    fill_a_little(installation)
    bundle = exported(installation.services, tmp_path / "bundle")
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=die_while_importing, args=(other.settings, bundle))
    process.start()
    process.join(60)
    assert process.exitcode == -9
    with other.database.read() as session:
        assert session.scalars(SCOPE.knowledge_base_query()).all() == []
        assert session.scalar(select(func.count()).select_from(Passage)), "killed too early to show anything"
    assert remove_abandoned(other) == 0, "it might still be at work"
    with other.database.write() as session:
        session.execute(update(KnowledgeBase).values(created_at=now() - timedelta(minutes=11)))
    imported = import_bundle(other, SCOPE, bundle)
    with other.database.read() as session:
        assert session.scalars(select(KnowledgeBase.id)).all() == [imported.knowledge_base.id]
    folders = {path.name for path in other.settings.files_folder.iterdir()}
    assert folders - {"incoming"} == {imported.knowledge_base.id}
    before = contents(installation.services, installation.knowledge_base)
    assert contents(other, imported.knowledge_base.id) == before
