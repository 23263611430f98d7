"""What is deleted while its source waits or is being read stays deleted, whoever dies; a new upload brings it back."""

import io
import json
import multiprocessing
import signal
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from sqlalchemy import select, update

from app.models import Job, now
from app.sink import SqlSink
from tests.installation import Installation
from tests.worker_processes import die_after_storing

_SPAWN = multiprocessing.get_context("spawn")


def _records(**texts: str) -> str:
    return "\n".join(json.dumps({"_id": name, "text": text}) for name, text in texts.items())


def _delete(installation: Installation, external_id: str) -> None:
    document = installation.documents()[external_id]
    assert installation.client.delete(f"/api/documents/{document['id']}").status_code == 204


def _statuses(installation: Installation) -> dict[str, str]:
    return {name: each["status"] for name, each in installation.documents().items()}


def _delete_while_embedding(installation: Installation, monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    embedder = installation.services.embedder
    embed = embedder.embed_passages
    left = list(names)

    def delete_and_embed(texts: Sequence[str]) -> Any:
        while left:
            _delete(installation, left.pop())
        return embed(texts)

    monkeypatch.setattr(embedder, "embed_passages", delete_and_embed)


def test_a_record_that_is_deleted_while_it_is_read_stays_deleted(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that another file brought and this one has as well."""
    installation.upload(("faq.jsonl", _records(a="Boil water.", b="Use vinegar.")))
    installation.upload(("more.jsonl", _records(c="Grind beans.")))
    installation.work()
    changed = _records(a="Boil some water.", b="Use more vinegar.", c="Grind coarse beans.")
    installation.upload(("faq.jsonl", changed))
    _delete_while_embedding(installation, monkeypatch, "b", "c")
    installation.work()
    assert _statuses(installation) == {"a": "ready"}
    assert "vinegar" not in installation.texts("vinegar")
    assert "beans" not in installation.texts("beans")
    assert "some water" in installation.texts("water")

    installation.upload(("faq.jsonl", changed))
    installation.work()
    assert _statuses(installation) == {"a": "ready", "b": "ready", "c": "ready"}
    assert "vinegar" in installation.texts("vinegar")


@pytest.mark.parametrize("uploaded_again", [False, True])
def test_it_stays_deleted_when_the_worker_is_killed(installation: Installation, uploaded_again: bool) -> None:
    """The same file again is a new upload, although the first one has not been read to its end."""
    source = ("faq.jsonl", _records(a="Boil water.") + "\n{not json\n" + _records(b="Use vinegar.", c="Grind beans."))
    installation.upload(source)
    worker = _SPAWN.Process(target=die_after_storing, args=(installation.services.settings, 2))
    worker.start()
    worker.join(60)
    assert worker.exitcode == -signal.SIGKILL
    documents = installation.documents()
    assert documents.keys() == {"a", "b", "faq.jsonl#2"}, "what the killed worker had come to"
    _delete(installation, "a")
    _delete(installation, "faq.jsonl#2")
    if uploaded_again:
        installation.upload(source)
    with installation.services.database.write() as session:
        session.execute(update(Job).values(lease_until=now()))  # as if the lease had run out
    installation.work()
    back = {"a": "ready", "faq.jsonl#2": "failed"} if uploaded_again else {}
    assert _statuses(installation) == {"b": "ready", "c": "ready", **back}
    assert ("Boil" in installation.texts("boil water")) == uploaded_again


def test_it_stays_deleted_when_the_upload_failed_and_is_tried_again(installation: Installation) -> None:
    installation.upload(("faq.jsonl", _records(a="Boil water.", b="Use vinegar.")))
    installation.work()
    with installation.services.database.write() as session:
        session.execute(update(Job).values(status="failed", message="The disk was full."))
        job_id = session.scalar(select(Job.id))
    _delete(installation, "b")
    assert installation.client.post(f"/api/jobs/{job_id}/retry").status_code == 200
    installation.work()
    assert _statuses(installation) == {"a": "ready"}
    assert "vinegar" not in installation.texts("vinegar")


def _zipped(texts: Mapping[str, str]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, text in texts.items():
            archive.writestr(name, text)
    return file.getvalue()


def test_an_unchanged_member_that_is_deleted_while_its_archive_is_read_stays_deleted(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not parsed, because it was there when the reading began: that makes no failure of it."""
    texts = {"a.md": "# A\n\nBoil water.", "b.md": "# B\n\nUse vinegar."}
    installation.upload(("manuals.zip", _zipped(texts)))
    installation.work()
    known_documents = SqlSink.known_documents

    def delete_what_is_known(sink: SqlSink) -> Mapping[str, str]:
        known = known_documents(sink)
        assert known.keys() == texts.keys()
        _delete(installation, "b.md")
        return known

    monkeypatch.setattr(SqlSink, "known_documents", delete_what_is_known)
    installation.upload(("manuals.zip", _zipped(texts | {"c.md": "# C\n\nGrind beans."})))
    installation.work()
    assert _statuses(installation) == {"a.md": "ready", "c.md": "ready"}
    with installation.services.database.read() as session:
        assert session.execute(select(Job.status, Job.message)).all() == [("done", "")]
