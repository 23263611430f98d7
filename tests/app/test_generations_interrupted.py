"""A generation is built while documents change, workers die and disks fill up: nothing old answers, nothing is lost."""

import io
import random
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select

from app import document_filters, generation_build, generation_sink, worker
from app.bootstrap import Services
from app.errors import NotFound
from app.generation_sink import GenerationSink
from app.main import create_app
from app.models import Document, Generation, GenerationDocument, KnowledgeBase, Passage, PassageVectors
from app.settings import IngestionSettings
from app.snapshots import SnapshotWriter
from app.upkeep import Upkeep
from ingestion import pipeline
from ingestion.confined.sandbox import Sandbox
from ingestion.parsers.base import Limits, Resume, Source
from ingestion.pipeline import ReadyDocument
from rag.index import KnowledgeBaseIndex
from tests.conftest import settings_in
from tests.generation_processes import OTHER, services_with_two
from tests.generation_steps import (
    GENERATIONS,
    KETTLE,
    LAMP,
    NEW_KETTLE,
    build,
    generations,
    in_sql,
    services_in_haste,
    statuses,
    while_embedding,
)
from tests.installation import Installation


@pytest.fixture
def services(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    with services_in_haste(tmp_path, database_url, monkeypatch) as built:
        yield built


def test_what_changes_meanwhile_is_in_both_and_never_old(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation.upload(("kettle.md", KETTLE), ("lamp.md", LAMP), ("gone.md", "# Gone\n\nA rusty hinge."))
    installation.work()

    def change_everything() -> None:
        installation.upload(("kettle.md", NEW_KETTLE), ("new.md", "# New\n\nQuartz sings."))
        installation.client.delete(f"/api/documents/{installation.documents()['gone.md']['id']}")

    while_embedding(installation, monkeypatch, OTHER, change_everything)
    build(installation, embedder=OTHER, switch_when_ready=True)
    installation.work()
    assert statuses(installation) == {1: "retired", 2: "active"}
    for number in (1, 2, 1):
        if statuses(installation)[number] != "active":
            installation.post(f"{GENERATIONS}/{number}/activate")
            installation.work()
        assert statuses(installation)[number] == "active"
        found = "\n".join(installation.texts(words) for words in ("boil water", "rusty hinge", "quartz", "violet lamp"))
        assert [words for words in ("copper dial", "Quartz sings", "violet") if words not in found] == []
        assert "red button" not in found
        assert "hinge" not in found
        documents = {name: (each["status"], each["version"]) for name, each in installation.documents().items()}
        assert documents == {"kettle.md": ("ready", 2), "lamp.md": ("ready", 1), "new.md": ("ready", 1)}

    installation.upload(("lamp.md", LAMP.replace("violet", "amber")))
    installation.work()
    assert "violet" not in installation.texts("lamp")
    with installation.services.database.read() as session:
        assert not [text for text in session.scalars(select(Passage.text)) if "violet" in text], (
            "nor in the retired one"
        )
    waiting = installation.post(f"{GENERATIONS}/2/activate")
    assert (waiting["status"], waiting["switch_when_ready"]) == ("building", True)
    assert "amber" in installation.texts("lamp"), "the other one goes on answering"
    installation.work()
    assert statuses(installation) == {1: "retired", 2: "active"}
    assert "amber" in installation.texts("lamp")


def test_an_upload_that_is_read_during_the_switch_is_read_again(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Vectors of one embedder never get among those of another."""
    installation.upload(("lamp.md", LAMP))
    installation.work()
    build(installation, embedder=OTHER)
    installation.work()
    while_embedding(installation, monkeypatch, "", lambda: installation.post(f"{GENERATIONS}/2/activate"))
    installation.upload(("kettle.md", KETTLE))
    installation.work()
    assert "red button" in installation.texts("boil water")
    with installation.services.database.read() as session:
        query = (
            select(PassageVectors.vectors, Passage.windows, Generation.dimension)
            .join(Passage, Passage.key == PassageVectors.passage_key)
            .join(Generation, Generation.id == Passage.generation_id)
        )
        rows = session.execute(query).all()
    assert len(rows) == 3
    for vectors, windows, dimension in rows:
        assert len(vectors) == 2 * dimension * (1 + len(windows))


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_uploads_go_before_a_build_and_nothing_of_it_is_lost(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.generation_sink._BETWEEN_LOOKS_S", 0.0)
    ingestion = IngestionSettings(batch_windows=50)
    services = services_with_two(settings_in(tmp_path, database_url, ingestion=ingestion))
    with TestClient(create_app(services), base_url="http://127.0.0.1") as client:
        installation = Installation(client, services)
        pages = "\f".join(
            f"Chapter {n}\n" + "\n".join(f"Step {n}-{k}: turn valve {n * 60 + k}." for k in range(40))
            for n in range(40)
        )
        installation.upload(("long.txt", pages))
        installation.work()
        noted: list[str] = []
        embed = services.embedder.embed_passages

        def note(texts: Sequence[str]) -> Any:
            noted.append(f"upload {other[-1:]}")
            return embed(texts)

        monkeypatch.setattr(services.embedder, "embed_passages", note)
        other = while_embedding(installation, monkeypatch, OTHER, lambda: installation.upload(("new.md", KETTLE)))
        build(installation, embedder=OTHER)
        installation.work()
        assert statuses(installation)[2] == "ready"
        made = generations(installation)[2]
        assert len(noted) == 1
        assert noted[0] != f"upload {other[-1:]}", "the upload was read amid the build"
        assert len(other) <= made["passages"] + made["windows"] + 2 * ingestion.batch_windows, "one batch at most again"


def test_members_that_a_generation_has_are_not_parsed_again(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When a build goes on that an upload came before."""
    monkeypatch.setattr(generation_sink, "_BETWEEN_LOOKS_S", 0.0)
    monkeypatch.setattr(pipeline, "_SECONDS_BETWEEN_REPORTS", 0.0)
    monkeypatch.setattr(pipeline, "_DOCUMENTS_PER_STORE", 1)
    services = installation.services
    ingestion = services.settings.ingestion.model_copy(update={"batch_windows": 1})
    monkeypatch.setattr(services, "settings", services.settings.model_copy(update={"ingestion": ingestion}))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, text in (("a.md", KETTLE), ("b.md", LAMP), ("c.md", "# Third\n\nQuartz sings.")):
            archive.writestr(name, text)
    installation.upload(("manuals.zip", packed.getvalue()))
    installation.work()

    known: list[list[str]] = []
    read, store = Sandbox.read, GenerationSink.store

    def note(sandbox: Sandbox, source: Source, limits: Limits, resume: Resume, waiting: Callable[[], None]) -> Any:
        known.append(sorted(resume.known))
        return read(sandbox, source, limits, resume, waiting)

    def store_and_upload(sink: GenerationSink, documents: Sequence[ReadyDocument]) -> None:
        store(sink, documents)
        if len(known) == 1:
            installation.upload(("new.md", NEW_KETTLE))

    monkeypatch.setattr(Sandbox, "read", note)
    monkeypatch.setattr(GenerationSink, "store", store_and_upload)
    build(installation, embedder=OTHER, switch_when_ready=True)
    installation.work()
    assert statuses(installation) == {1: "retired", 2: "active"}
    assert known[:3] == [[], [], ["a.md"]], "the build, the upload, the build again"
    assert "Quartz sings" in installation.texts("quartz")
    assert "red button" in installation.texts("boil water")


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_whatever_is_done_in_whatever_order_what_answers_is_what_was_uploaded(
    installation: Installation, seed: int
) -> None:
    dice = random.Random(seed)
    names = [f"doc{number}" for number in range(5)]
    uploaded: dict[str, int] = {}
    versions: dict[str, int] = {}

    def upload() -> None:
        name = dice.choice(names)
        uploaded[name] = dice.randrange(1000)
        installation.upload((f"{name}.md", f"# {name}\n\nThe {name} code is k{uploaded[name]}k."))

    def delete() -> None:
        name = dice.choice(names)
        document = installation.documents().get(f"{name}.md")
        if document is not None:
            installation.client.delete(f"/api/documents/{document['id']}")
            uploaded.pop(name), versions.pop(name, None)

    def work() -> None:
        installation.work()
        versions.update(uploaded)

    def begin() -> None:
        kinds: list[dict[str, Any]] = [{"embedder": OTHER}, {"embedder": "multilingual-e5-small"}]
        kinds.append({"chunker": {"front_tokens": 9}})
        wanted = {**dice.choice(kinds), "switch_when_ready": dice.random() < 0.5}
        assert installation.client.post(GENERATIONS, json=wanted).status_code in (202, 409)

    def activate() -> None:
        number = dice.choice(list(statuses(installation)))
        assert installation.client.post(f"{GENERATIONS}/{number}/activate").status_code in (200, 409)

    def drop() -> None:
        number = dice.choice(list(statuses(installation)))
        assert installation.client.delete(f"{GENERATIONS}/{number}").status_code in (204, 409)

    for _ in range(40):
        dice.choice((upload, upload, delete, work, work, begin, activate, drop))()
        for name in names:
            found = {word for word in installation.texts(f"{name} code").split() if word.startswith("k")}
            codes = {f"k{code}k." for code in versions.values()}
            assert found <= codes, "something old answers"
            assert name not in versions or f"k{versions[name]}k." in found
    work()
    with installation.services.database.read() as session:
        generation_ids = set(session.scalars(select(Generation.id)))
        assert session.scalars(select(KnowledgeBase)).one().generation_id in generation_ids
        assert set(session.scalars(select(Passage.generation_id))) <= generation_ids
        rows = session.scalars(select(Generation).where(Generation.status != "dropping")).all()
    open_ = installation.services.generations
    assert all(open_.index(row).check(open_.store(row)).sound for row in rows)


def test_a_removal_that_was_cut_short_is_finished(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    services = installation.services
    installation.upload(("kettle.md", KETTLE), ("lamp.md", LAMP))
    installation.work()
    build(installation, embedder=OTHER)
    installation.work()
    second = generations(installation)[2]["id"]
    assert installation.client.delete(f"{GENERATIONS}/2").status_code == 204
    with monkeypatch.context() as patched:
        patched.setattr("app.generation_upkeep._DOCUMENTS_AT_ONCE", 1)
        patched.setattr(services.database, "write", _twice(services.database.write))
        with pytest.raises(KeyboardInterrupt):
            Upkeep(services).when_idle()
    assert in_sql(services, GenerationDocument)[second] == 1
    assert statuses(installation) == {1: "active"}
    (services.settings.index_folder / installation.knowledge_base / "CURRENT").write_text("of an older version")
    Upkeep(services).when_idle()
    with services.database.read() as session:
        assert session.get(Generation, second) is None
        assert session.scalar(select(func.count()).where(Passage.generation_id == second)) == 0
        assert session.scalar(select(func.count()).select_from(Document)) == 2
    folder = services.settings.index_folder / installation.knowledge_base
    assert [path.name for path in folder.iterdir()] == [installation.get("/api/knowledge-bases/manuals")["generation"]]


def _twice(write: Callable[[], Any]) -> Callable[[], Any]:
    """A database whose process is killed when it begins to write for the second time."""
    left = iter([write])

    def begin() -> Any:
        for each in left:
            return each()
        raise KeyboardInterrupt

    return begin


def test_what_is_gone_when_it_has_been_read_is_not_stored(
    installation: Installation, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Deleted or replaced between the first look and the last: nothing of the whole batch is wanted any more."""
    services = installation.services
    installation.upload(("kettle.md", KETTLE))
    installation.work()

    def replace() -> None:  # by another worker
        installation.upload(("kettle.md", NEW_KETTLE))
        with Sandbox(services.sandbox_limits) as sandbox:
            assert worker._Worker(services, sandbox, lambda: False).work_once()

    while_embedding(installation, monkeypatch, OTHER, replace)
    build(installation, embedder=OTHER)
    installation.work()
    assert "failed unexpectedly" not in caplog.text
    assert statuses(installation)[2] == "ready"
    installation.post(f"{GENERATIONS}/2/activate")
    assert "copper dial" in installation.texts("boil water")
    assert set(in_sql(services, GenerationDocument).values()) == {1}


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_why_a_whole_generation_is_not_ready_is_told(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its index cannot be written, and then its filters cannot be applied: until either passes."""
    for module in ("app.snapshots", "app.document_filters"):
        monkeypatch.setattr(f"{module}._SHORTEST_PAUSE_S", 0.0)
    installation.upload(("kettle.md", KETTLE))
    installation.work()
    installation.client.patch("/api/knowledge-bases/manuals", json={"settings": {"exclude_duplicate": True}})
    installation.work()
    told: list[str] = []
    write, find = KnowledgeBaseIndex.write_snapshot, document_filters.find

    def message() -> str:
        found: dict[str, Any] = installation.get(f"{GENERATIONS}/2")
        told.append(found["message"])
        return told[-1]

    def write_later(index: KnowledgeBaseIndex, store: Any) -> int:
        if "No space left" not in message():
            raise OSError(28, "No space left on device")
        return write(index, store)

    def find_later(*arguments: Any) -> Any:
        if "the disk sleeps" not in message():
            raise RuntimeError("the disk sleeps")
        return find(*arguments)

    monkeypatch.setattr(KnowledgeBaseIndex, "write_snapshot", write_later)
    monkeypatch.setattr(document_filters, "find", find_later)
    build(installation, embedder=OTHER)
    installation.work()
    assert [words for words in ("the disk sleeps", "No space left") if not any(words in each for each in told)] == []
    done = generations(installation)[2]
    assert (done["status"], done["message"]) == ("ready", "")


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_a_look_at_a_build_that_goes_on_keeps_no_writer_waiting(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation.upload(("kettle.md", KETTLE), ("lamp.md", LAMP))
    installation.work()
    build(installation, embedder=OTHER)
    services = installation.services
    builder = generation_build.GenerationBuilder(services, SnapshotWriter(services))
    monkeypatch.setattr(services.database, "write", lambda: pytest.fail("nothing differs"))
    builder.advance()
    assert builder.is_waited_for()


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_a_knowledge_base_may_go_while_its_snapshot_is_written(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = installation.services
    installation.upload(("kettle.md", KETTLE))
    installation.work()
    with services.database.read() as session:
        generation = session.scalars(select(Generation)).one()
    snapshots = SnapshotWriter(services)
    write = KnowledgeBaseIndex.write_snapshot

    def delete_first(index: KnowledgeBaseIndex, store: Any) -> int:
        installation.client.delete("/api/knowledge-bases/manuals")
        return write(index, store)

    monkeypatch.setattr(KnowledgeBaseIndex, "write_snapshot", delete_first)
    snapshots.write_due()
    assert installation.get("/api/knowledge-bases")["knowledge_bases"] == []
    snapshots.write_due()
    snapshots.write_if_due(generation.id)
    with pytest.raises(NotFound):
        SnapshotWriter(services).write(generation)
