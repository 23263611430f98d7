"""A new version of a document through upload, worker and SQL: what has not changed is not embedded again."""

import io
import json
import zipfile
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from reportlab.pdfgen.canvas import Canvas
from sqlalchemy import delete, func, select, update

from app.db import Database
from app.known_vectors import StoredVectors
from app.models import Document, Passage, PassageVectors
from app.settings import Settings
from ingestion.confined import sandbox_process
from tests.installation import Installation, claimed_sink, new_knowledge_base, ready_document, vectors_of

SECTIONS = [
    [f"To service pump {pump}, close inlet {line} and open drain {pump * 40 + line}." for line in range(40)]
    for pump in range(12)
]


@pytest.fixture
def embedded(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that have been embedded; clear it before an upload."""
    texts: list[str] = []
    embed = installation.services.embedder.embed_passages

    def note(some: Sequence[str]) -> Any:
        texts.extend(some)
        return embed(some)

    monkeypatch.setattr(installation.services.embedder, "embed_passages", note)
    return texts


def _manual(sections: Sequence[Sequence[str]]) -> str:
    return "\n\n".join(f"# Pump {number}\n\n{' '.join(each)}" for number, each in enumerate(sections))


def _pdf(pages: Sequence[str]) -> bytes:
    file = io.BytesIO()
    canvas = Canvas(file)
    for page in pages:
        canvas.bookmarkPage(page)
        canvas.addOutlineEntry(page, page)
        canvas.setFont("Helvetica-Bold", 20)
        canvas.drawString(60, 800, page)
        canvas.setFont("Helvetica", 10)
        for line in range(20):
            canvas.drawString(60, 770 - 20 * line, f"In {page} turn valve {line} until its lamp is green.")
        canvas.showPage()
    canvas.save()
    return file.getvalue()


def _stored(installation: Installation, external_id: str) -> list[tuple[str, bytes, bytes | None]]:
    """Text, vectors and hashes of the document's passages."""
    query = (
        select(Passage.text, PassageVectors.vectors, PassageVectors.text_hashes)
        .join(PassageVectors, PassageVectors.passage_key == Passage.key)
        .join(Document, Document.key == Passage.document_key)
        .where(Document.external_id == external_id)
        .order_by(Passage.ordinal)
    )
    with installation.services.database.read() as session:
        return [(text, vectors, hashes) for text, vectors, hashes in session.execute(query)]


def _upload(installation: Installation, name: str, content: str | bytes) -> str:
    """The job's last word."""
    (job,) = installation.upload((name, content))["jobs"]
    installation.work()
    ended = installation.get(f"/api/jobs/{job['id']}")
    assert ended["status"] == "done"
    return str(ended["message"])


def test_an_edit_costs_what_it_changes(installation: Installation, embedded: list[str]) -> None:
    assert _upload(installation, "pumps.md", _manual(SECTIONS)) == ""
    whole = len(embedded)
    embedded.clear()
    edited = [list(each) for each in SECTIONS]
    edited[5][20] = "Never service pump 5 alone."
    message = _upload(installation, "pumps.md", _manual(edited))
    assert message == f"{len(embedded)} of {whole} texts were new and embedded."
    assert all("alone" in text or text.startswith("Pump 5") for text in embedded)
    assert 0 < len(embedded) < 0.1 * whole
    assert "Never service pump 5 alone." in installation.texts("service pump 5 alone")
    embedded.clear()
    _upload(installation, "fresh.md", _manual(edited))
    assert len(embedded) == whole  # another document's vectors are not looked for
    assert _stored(installation, "pumps.md") == _stored(installation, "fresh.md")


def test_pages_that_only_move_are_not_embedded(installation: Installation, embedded: list[str]) -> None:
    pages = [f"Chapter {number}" for number in range(30)]
    _upload(installation, "manual.pdf", _pdf(pages))
    last = installation.search("Chapter 29 valve")[0]["spans"][0]["page"]
    embedded.clear()
    _upload(installation, "manual.pdf", _pdf(["Foreword", *pages]))
    assert all("Foreword" in text for text in embedded)
    assert installation.search("Chapter 29 valve")[0]["spans"][0]["page"] == last + 1


def test_rows_without_hashes_are_embedded_once_more(installation: Installation, embedded: list[str]) -> None:
    """As an installation has them that was there before hashes were, or that imported its knowledge base."""
    _upload(installation, "pumps.md", _manual(SECTIONS))
    with installation.services.database.write() as session:
        session.execute(update(PassageVectors).values(text_hashes=None))
    counts = []
    for last_words in ("Done.", "Done well."):
        embedded.clear()
        _upload(installation, "pumps.md", _manual([*SECTIONS, [last_words]]))
        counts.append(len(embedded))
    assert counts[0] > 100 > 10 > counts[1] > 0


def test_nothing_of_a_deleted_document_is_taken_over(installation: Installation, embedded: list[str]) -> None:
    _upload(installation, "pumps.md", _manual(SECTIONS))
    installation.client.delete(f"/api/documents/{installation.documents()['pumps.md']['id']}")
    whole = len(embedded)
    embedded.clear()
    assert _upload(installation, "pumps.md", _manual(SECTIONS)) == ""
    assert len(embedded) == whole


def test_vectors_are_found_by_document_and_text(database: Database, settings: Settings) -> None:
    knowledge_base, other = (new_knowledge_base(database, name) for name in ("one", "two"))
    for base, ids in ((knowledge_base, range(700)), (other, range(1))):
        _, _, sink = claimed_sink(database, settings, base)
        sink.store([ready_document(f"d{n}", [f"text {n}", f"more {n}"]) for n in ids])
    stored = ready_document("d7", ["text 7", "more 7"])
    first, second = ((hashes[:16], hashes[16:]) for hashes in stored.text_hashes)
    vectors = StoredVectors(database, knowledge_base, "test")

    found = vectors.find(["d7"], [*first, second[1], b"?" * 16, first[0][:8] + b"........"])
    assert found.keys() == {*first, second[1]}
    assert np.array_equal(np.stack([found[each] for each in first]), vectors_of("text 7"))
    assert np.array_equal(found[second[1]], vectors_of("more 7")[1])
    assert vectors.find(["d8"], first) == {}
    assert vectors.find([], first) == {}
    assert StoredVectors(database, other, "test").find(["d7"], first) == {}
    assert len(vectors.find([f"d{n}" for n in range(700)], [*first, *second])) == 4

    with database.write() as session:  # after the document was looked into
        session.execute(delete(Passage).where(Passage.text == "text 7"))
        assert session.scalar(select(func.count()).select_from(PassageVectors)) == 1401
    assert vectors.find([f"d{n}" for n in range(700)], [*first, *second]).keys() == set(second)


def _records(**texts: str) -> str:
    return "\n".join(json.dumps({"_id": name, "text": text}) for name, text in texts.items())


def test_records_that_a_file_has_no_longer_are_removed(installation: Installation) -> None:
    _upload(installation, "faq.jsonl", _records(a="Boil water.", b="Use vinegar.", c="Grind beans."))
    _upload(installation, "more.jsonl", _records(d="Rinse the cup."))
    _upload(installation, "tea.md", "# Tea\n\nWait for three minutes.")
    assert _upload(installation, "faq.jsonl", _records(a="Boil water.", c="Grind them coarsely.")) == (
        "Documents removed because the file no longer has them: 1."
    )
    assert installation.documents().keys() == {"a", "c", "d", "tea.md"}
    assert "vinegar" not in installation.texts("vinegar")
    _upload(installation, "faq.jsonl", _records(c="Grind them coarsely."))  # `a` was unchanged the last time
    assert installation.documents().keys() == {"c", "d", "tea.md"}
    assert len(installation.stored_files()) == 4  # of faq.jsonl the last, and the one before, which `c` comes from


def test_nothing_is_removed_when_a_part_could_not_be_read(installation: Installation) -> None:
    _upload(installation, "faq.jsonl", _records(a="Boil water.", b="Use vinegar."))
    _upload(installation, "faq.jsonl", _records(a="Boil water.") + "\n{not json")
    assert {name: each["status"] for name, each in installation.documents().items()} == {
        "a": "ready",
        "b": "ready",
        "faq.jsonl#2": "failed",
    }
    _upload(installation, "faq.jsonl", _records(a="Boil water."))
    assert installation.documents().keys() == {"a"}


@pytest.mark.parametrize("first", ["old.jsonl", "new.jsonl"])
def test_a_record_that_moves_to_another_file_stays(installation: Installation, first: str) -> None:
    _upload(installation, "old.jsonl", _records(a="Boil water.", b="Use vinegar."))
    _upload(installation, "new.jsonl", _records(c="Grind beans."))
    now = {"old.jsonl": _records(a="Boil water."), "new.jsonl": _records(b="Use vinegar.", c="Grind beans.")}
    for name in sorted(now, key=lambda name: name != first):
        _upload(installation, name, now[name])
    assert installation.documents().keys() == {"a", "b", "c"}
    assert "vinegar" in installation.texts("vinegar")


def _zipped(**texts: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, text in texts.items():
            archive.writestr(f"manuals/{name}.txt", text)
    return file.getvalue()


def test_of_an_archive_uploaded_again_only_what_changed_is_parsed(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    _upload(installation, "manuals.zip", _zipped(a="crash", b="exit", c="Boil water.", d="raise", e="hang"))
    monkeypatch.setattr(sandbox_process, "CHILD", "tests.ingestion.hostile_child")  # does what the files say
    changed = _zipped(a="crash", b="exit", c="Turn the dial.", d="raise")
    assert _upload(installation, "manuals.zip", changed) == (
        "Documents removed because the file no longer has them: 1."
    )
    documents = installation.documents()
    assert {name: (each["status"], each["version"]) for name, each in documents.items()} == {
        "manuals/a.txt": ("ready", 1),
        "manuals/b.txt": ("ready", 1),
        "manuals/c.txt": ("ready", 2),
        "manuals/d.txt": ("ready", 1),
    }
    assert "dial" in installation.texts("dial")

    installation.client.delete(f"/api/documents/{documents['manuals/d.txt']['id']}")
    installation.upload(("manuals.zip", _zipped(a="crash", c="Turn the dial.", d="raise")))
    installation.work()
    assert {name: each["status"] for name, each in installation.documents().items()} == {
        "manuals/a.txt": "ready",
        "manuals/b.txt": "ready",  # nothing is removed when a part could not be read
        "manuals/c.txt": "ready",
        "manuals/d.txt": "failed",  # it was deleted, so that it had to be read
    }
