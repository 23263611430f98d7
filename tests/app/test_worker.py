"""From upload to searchable, across processes, and whatever happens to the worker in between."""

import io
import multiprocessing
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np
import pytest
from reportlab.pdfgen.canvas import Canvas
from sqlalchemy import func, select, update

from app.models import Document, Generation, Job, Page, Passage, PassageVectors, now
from app.snapshots import SnapshotWriter
from app.worker import run_until_idle, run_worker
from ingestion.confined import sandbox_process
from rag.index import KnowledgeBaseIndex
from tests.installation import Installation
from tests.worker_processes import die_while_embedding, die_while_storing, search_when_told

_SPAWN = multiprocessing.get_context("spawn")
KETTLE = "# Kettle\n\nPress the red button to boil water.\n"
NEW_KETTLE = "# Kettle\n\nTurn the copper dial to boil water.\n"


def _while_embedding(installation: Installation, monkeypatch: pytest.MonkeyPatch, act: Callable[[], None]) -> None:
    """`act` is called the next time that passages are embedded, before they are."""
    embedder = installation.services.embedder
    embed = embedder.embed_passages
    acted: list[bool] = []

    def act_once(texts: Sequence[str]) -> Any:
        if not acted:
            acted.append(True)
            act()
        return embed(texts)

    monkeypatch.setattr(embedder, "embed_passages", act_once)


def _count(installation: Installation, table: type) -> int:
    with installation.services.database.read() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def test_another_process_sees_every_change_at_once(installation: Installation, tmp_path: Path) -> None:
    reader = _SPAWN.Process(target=search_when_told, args=(installation.services.settings, tmp_path))
    reader.start()

    def found(number: int) -> str:
        (tmp_path / f"go-{number}").touch()
        deadline = time.monotonic() + 60
        while not (tmp_path / f"found-{number}").exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return (tmp_path / f"found-{number}").read_text()

    try:
        assert found(0) == ""
        installation.upload(("kettle.md", KETTLE))
        installation.work()
        assert "red button" in found(1)
        installation.upload(("kettle.md", NEW_KETTLE))
        installation.work()
        assert "red button" not in (now_found := found(2))
        assert "copper dial" in now_found
        document = installation.documents()["kettle.md"]
        installation.client.delete(f"/api/documents/{document['id']}")
        assert found(3) == ""
    finally:
        reader.kill()
        reader.join()


def test_a_worker_killed_amid_storing_leaves_nothing_half_written(installation: Installation) -> None:
    installation.upload(("kettle.md", KETTLE))
    worker = _SPAWN.Process(target=die_while_storing, args=(installation.services.settings,))
    worker.start()
    worker.join(60)
    assert worker.exitcode == -signal.SIGKILL
    assert [_count(installation, table) for table in (Page, Passage, PassageVectors)] == [0, 0, 0]
    assert installation.search("boil water") == []
    assert installation.documents()["kettle.md"]["version"] == 0
    assert installation.get("/api/knowledge-bases/manuals")["change"] == 0

    with installation.services.database.write() as session:
        session.execute(update(Job).values(lease_until=now()))  # as if the lease had run out
    installation.work()
    assert "red button" in installation.texts("boil water")
    assert installation.documents()["kettle.md"]["status"] == "ready"


def _long_manual() -> bytes:
    """A PDF of 40 pages, some 700 windows, each with words of its own."""
    file = io.BytesIO()
    canvas = Canvas(file)
    for page in range(40):
        canvas.setFont("Helvetica", 8)
        for line in range(60):
            words = (
                f"Step {page}-{line}: turn valve {page * 60 + line} until lamp {line * 41 + page} shows green light."
            )
            canvas.drawString(50, 800 - 12 * line, words)
        canvas.showPage()
    canvas.save()
    return file.getvalue()


def test_a_long_document_is_gone_on_with_after_kill_9(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a killed worker had parsed and embedded is not done again, and the result is as if it had lived."""
    services = installation.services
    ingestion = services.settings.ingestion.model_copy(update={"batch_windows": 100})
    monkeypatch.setattr(services, "settings", services.settings.model_copy(update={"ingestion": ingestion}))
    embedded: list[str] = []
    embed = services.embedder.embed_passages

    def note(texts: Sequence[str]) -> Any:
        embedded.extend(texts)
        return embed(texts)

    monkeypatch.setattr(services.embedder, "embed_passages", note)
    installation.upload(("untroubled.pdf", _long_manual()))
    installation.work()
    every_text = list(embedded)
    embedded.clear()

    installation.upload(("manual.pdf", _long_manual()))
    worker = _SPAWN.Process(target=die_while_embedding, args=(services.settings, 3))
    worker.start()
    worker.join(120)
    assert worker.exitcode == -signal.SIGKILL
    assert installation.documents()["manual.pdf"]["version"] == 0
    with services.database.write() as session:
        session.execute(update(Job).values(lease_until=now()))  # as if the lease had run out
    installation.work()
    assert len(embedded) <= len(every_text) - 200
    untroubled, resumed = (installation.documents()[name] for name in ("untroubled.pdf", "manual.pdf"))
    assert resumed["status"] == "ready"
    assert [resumed[count] for count in ("pages", "passages", "windows")] == [
        untroubled[count] for count in ("pages", "passages", "windows")
    ]
    with services.database.read() as session:
        of_document = (
            select(Passage.text).join(Document, Document.key == Passage.document_key).order_by(Passage.ordinal)
        )
        stored = [
            session.scalars(of_document.where(Document.external_id == name)).all()
            for name in ("untroubled.pdf", "manual.pdf")
        ]
    assert stored[0] == stored[1]
    assert list((services.settings.files_folder / "journals").glob("*")) == []


def test_a_hostile_file_costs_its_document_and_not_the_worker(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox_process, "CHILD", "tests.ingestion.hostile_child")
    installation.upload(("bad.txt", "crash"), ("good.txt", "one\ntwo"), ("raising.txt", "raise"))
    installation.work()
    documents = installation.documents()
    assert documents["bad.txt"]["status"] == documents["raising.txt"]["status"] == "failed"
    assert "crashed (SIGSEGV)" in documents["bad.txt"]["message"]
    assert "out of luck" in documents["raising.txt"]["message"]
    assert documents["good.txt"]["status"] == "ready"


def test_a_worker_told_to_stop_hands_its_job_back(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    stopping = Event()
    _while_embedding(installation, monkeypatch, lambda: time.sleep(0.4) or stopping.set())
    installation.upload(("kettle.md", KETTLE))
    worker = Thread(target=run_worker, args=(installation.services, stopping))
    worker.start()
    worker.join(30)
    assert not worker.is_alive()
    (job,) = installation.listing()["jobs"]
    assert (job["status"], job["attempts"]) == ("queued", 0)
    assert installation.documents()["kettle.md"]["status"] == "queued"
    assert _count(installation, Passage) == 0
    installation.work()
    assert installation.documents()["kettle.md"]["status"] == "ready"


def _cancel(installation: Installation) -> None:
    document = installation.documents()["kettle.md"]
    assert document["status"] in ("parsing", "embedding")
    installation.post(f"/api/documents/{document['id']}/cancel")


def _delete(installation: Installation) -> None:
    installation.client.delete(f"/api/documents/{installation.documents()['kettle.md']['id']}")


def _delete_all(installation: Installation) -> None:
    installation.client.delete("/api/knowledge-bases/manuals")


@pytest.mark.parametrize("act", [_cancel, _delete, _delete_all])
def test_what_is_called_off_meanwhile_is_not_stored(
    installation: Installation, monkeypatch: pytest.MonkeyPatch, act: Callable[[Installation], None]
) -> None:
    _while_embedding(installation, monkeypatch, lambda: act(installation))
    installation.upload(("kettle.md", KETTLE))
    installation.work()
    assert [_count(installation, table) for table in (Page, Passage, PassageVectors)] == [0, 0, 0]
    with installation.services.database.read() as session:
        assert set(session.scalars(select(Document.status))) <= {"cancelled"}


def test_a_newer_upload_meanwhile_wins(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    _while_embedding(installation, monkeypatch, lambda: installation.upload(("kettle.md", NEW_KETTLE)) and None)
    installation.upload(("kettle.md", KETTLE))
    installation.work()
    document = installation.documents()["kettle.md"]
    assert (document["status"], document["version"]) == ("ready", 1)
    assert "copper dial" in installation.texts("boil water")
    assert "red button" not in installation.texts("boil water")
    assert len(installation.stored_files()) == 1


def test_a_file_that_breaks_the_worker_does_not_keep_it_from_the_next(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise ArithmeticError("out of luck")

    _while_embedding(installation, monkeypatch, fail)
    installation.upload(("unlucky.md", KETTLE), ("next.md", NEW_KETTLE))
    stopping = Event()
    worker = Thread(target=run_worker, args=(installation.services, stopping))
    worker.start()
    deadline = time.monotonic() + 30
    while installation.documents()["next.md"]["status"] != "ready" and time.monotonic() < deadline:
        time.sleep(0.05)
    stopping.set()
    worker.join()
    documents = installation.documents()
    assert documents["next.md"]["status"] == "ready"
    assert documents["unlucky.md"]["status"] == "queued"
    assert "ArithmeticError: out of luck" in documents["unlucky.md"]["message"]


def test_a_snapshot_that_cannot_be_written_fails_no_document(
    installation: Installation, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(KnowledgeBaseIndex, "write_snapshot", fail)
        installation.upload(("kettle.md", KETTLE))
        installation.work()
    assert "No space left on device" in caplog.text
    assert installation.documents()["kettle.md"]["status"] == "ready"
    assert "red button" in installation.texts("boil water")
    installation.work()  # another worker tries again
    assert list((installation.services.settings.index_folder / installation.knowledge_base).glob("*/*/manifest.json"))


@pytest.mark.parametrize("kind", ["sqlite"])
def test_one_snapshot_serves_many_sources_and_follows_deletions(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []
    write = KnowledgeBaseIndex.write_snapshot

    def note(index: KnowledgeBaseIndex, store: Any) -> int:
        written.append(write(index, store))
        return written[-1]

    monkeypatch.setattr(KnowledgeBaseIndex, "write_snapshot", note)
    installation.upload(*((f"{number}.txt", f"Text number {number} about kettles.") for number in range(6)))
    installation.work()
    assert written == [6]
    snapshots = SnapshotWriter(installation.services)
    snapshots.write_due()
    snapshots.write_due()
    assert written == [6, 6]  # a new worker looks once what is there
    installation.client.delete(f"/api/documents/{installation.documents()['3.txt']['id']}")
    snapshots.write_due()
    assert written == [6, 6, 7]


@pytest.mark.parametrize("kind", ["sqlite"])
def test_another_embedder_is_refused_with_what_to_do(installation: Installation) -> None:
    with installation.services.database.write() as session:
        session.execute(update(Generation).values(embedder="former@1"))
    installation.upload(("kettle.md", KETTLE))
    installation.work()
    document = installation.documents()["kettle.md"]
    assert document["status"] == "failed"
    assert "ANSWERDESK_EMBEDDER__MODEL" in document["message"]
    answer = installation.client.post("/api/knowledge-bases/manuals/search", json={"query": "water"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "conflict")


@pytest.mark.parametrize("kind", ["sqlite"])
def test_a_missing_file_is_looked_for_again(installation: Installation) -> None:
    installation.upload(("kettle.md", KETTLE))
    (path,) = installation.services.settings.files_folder.rglob("kettle.md")
    path.rename(path.with_name("hidden"))
    stopping = Event()
    worker = Thread(target=run_until_idle, args=(installation.services, stopping))
    worker.start()
    deadline = time.monotonic() + 20
    while not installation.documents()["kettle.md"]["message"] and time.monotonic() < deadline:
        time.sleep(0.05)
    assert "is missing" in installation.documents()["kettle.md"]["message"]
    path.with_name("hidden").rename(path)
    worker.join(30)
    stopping.set()
    assert installation.documents()["kettle.md"]["status"] == "ready"


@pytest.mark.parametrize("kind", ["sqlite"])
def test_the_pages_text_and_passages_agree(installation: Installation) -> None:
    """What is stored is what was cut: a passage is its spans' slices, and has a vector for each window and itself."""
    installation.upload(("long.md", "# A\n\n" + "\n\n".join(f"Paragraph {n} says {n}." * 20 for n in range(40))))
    installation.work()
    with installation.services.database.read() as session:
        text = session.scalars(select(Page.text)).one()
        rows = session.execute(
            select(Passage, PassageVectors.vectors).join(PassageVectors, PassageVectors.passage_key == Passage.key)
        ).all()
    assert len(rows) > 3
    for passage, vectors in rows:
        assert passage.text == "".join(text[start:end] for _, start, end, _ in passage.spans)
        assert np.frombuffer(vectors, "<f2").shape == ((1 + len(passage.windows)) * 64,)
