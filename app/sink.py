"""Where the pipeline puts documents: one transaction for each batch, whole or not at all.

Owns how ready documents become rows, and that a new version replaces the old one in the same transaction. Every
write proves the job's lease first (`app.jobs.hold`). Knows no parsers and no indexes.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from time import monotonic
from typing import Any

from sqlalchemy import delete, insert, literal, select, update
from sqlalchemy.orm import Session

from app import files
from app.errors import NotFound
from app.jobs import Claim, JobQueue, LeaseLost, failure_message, hold
from app.models import Document, Page, Passage, PassageVectors, Removal, new_id, now
from app.passages import pack_source_map, pack_vectors, raise_change
from app.settings import Settings
from app.shapes import spans_to_row
from ingestion.errors import IngestionError
from ingestion.pipeline import ReadyDocument

_BETWEEN_REPORTS_S = 0.3
_ROWS_AT_ONCE = 500  # PostgreSQL and SQLite take no more than some thousands of parameters
_NOT_STORABLE = re.compile("[\x00\ud800-\udfff]")  # PostgreSQL stores no NUL, UTF-8 knows no lone surrogates


@dataclass(frozen=True, slots=True)
class _Stored:
    """A document as it was before: its row's key, the version and the file that are replaced."""

    key: int
    version: int
    file_path: str


class SqlSink:
    """`ingestion.pipeline.Sink` for one claimed job. Every method that writes raises `LeaseLost`."""

    def __init__(self, queue: JobQueue, claim: Claim, settings: Settings, stopping: Callable[[], bool]) -> None:
        self.first_error = ""
        self._queue = queue
        self._database = queue.database
        self._claim = claim
        self._files_folder = settings.files_folder
        self._stopping = stopping
        self._began: dict[str, float] = {}
        self._reported = 0.0

    def is_current(self, external_id: str, content_hash: str) -> bool:
        query = select(Document.key).where(
            Document.knowledge_base_id == self._claim.knowledge_base_id,
            Document.external_id == external_id,
            Document.content_hash == content_hash,
            Document.version > 0,
        )
        with self._database.read() as session:
            return session.scalar(query) is not None

    def store(self, documents: Sequence[ReadyDocument]) -> None:
        """Writes the documents with pages, passages and vectors, and removes what they replace.

        Keys and ids of documents stay; their version is raised. Of records with the same external id the last stays.
        """
        latest = {document.start.external_id: document for document in documents}
        with self._database.write() as session:
            change = self._raise_change(session)
            hold(session, self._claim, self._queue.lease_s)
            before = self._stored(session, latest)
            _remove_content(session, self._claim.knowledge_base_id, [each.key for each in before.values()], change)
            keys = self._write_documents(session, latest, before)
            _write_pages(session, latest, keys)
            _write_passages(session, self._claim.knowledge_base_id, latest, keys, change)
        replaced = [each.file_path for each in before.values() if each.file_path != self._claim.source_path]
        files.release(self._database, self._files_folder, self._claim.knowledge_base_id, replaced)

    def failed(self, external_id: str, title: str, error: IngestionError) -> None:
        """Notes the reason with the document; one that was not there before is listed as failed."""
        reason = _storable(str(error))
        self.first_error = self.first_error or reason
        with self._database.write() as session:
            files.lock_knowledge_base(session, self._claim.knowledge_base_id)
            hold(session, self._claim, self._queue.lease_s)
            known = self._stored(session, [external_id]).get(external_id)
            if known is None:
                session.add(
                    Document(
                        knowledge_base_id=self._claim.knowledge_base_id,
                        job_id=self._claim.job_id,
                        external_id=external_id,
                        title=_storable(title or external_id)[:1000],
                        status="failed",
                        message=reason,
                        facets=dict(self._claim.facets),
                    )
                )
            else:
                message = failure_message(reason, known.version)
                values = {"status": "failed", "message": message, "job_id": self._claim.job_id}
                session.execute(update(Document).where(Document.key == known.key).values(values))

    def progress(self, stage: str, done: int, total: int | None) -> None:
        """Writes at most every 0.3 seconds, besides the first time in a stage; each write renews the lease."""
        moment = monotonic()
        is_first = stage not in self._began
        began = self._began.setdefault(stage, moment)
        if not is_first and moment - self._reported < _BETWEEN_REPORTS_S:
            return
        self._reported = moment
        elapsed = moment - began
        seconds_left = elapsed * (total - done) / done if total and 0 < done <= total and elapsed > 1 else None
        self._queue.report(self._claim, stage, done, total, seconds_left)

    def cancelled(self) -> bool:
        """Whether this worker is to stop. That the job was cancelled shows at the next write, as `LeaseLost`."""
        return self._stopping()

    def _raise_change(self, session: Session) -> int:
        try:
            return raise_change(session, self._claim.knowledge_base_id)
        except NotFound as error:
            raise LeaseLost(f"The knowledge base of {self._claim.source_name} has been deleted.") from error

    def _stored(self, session: Session, external_ids: Mapping[str, Any] | Sequence[str]) -> dict[str, _Stored]:
        query = select(Document.external_id, Document.key, Document.version, Document.file_path).where(
            Document.knowledge_base_id == self._claim.knowledge_base_id,
            Document.external_id.in_(list(external_ids)),
        )
        return {row.external_id: _Stored(row.key, row.version, row.file_path) for row in session.execute(query)}

    def _write_documents(
        self, session: Session, documents: Mapping[str, ReadyDocument], before: Mapping[str, _Stored]
    ) -> dict[str, int]:
        """Inserts or updates the documents' rows; their keys by external id."""
        added, changed = [], []
        for external_id, document in documents.items():
            values = self._columns(document)
            if external_id in before:
                known = before[external_id]
                changed.append({"key": known.key, "version": known.version + 1, **values})
            else:
                added.append({"id": new_id(), "external_id": external_id, "version": 1, "created_at": now(), **values})
        if added:
            session.execute(insert(Document), added)
        if changed:
            session.execute(update(Document), changed)
        return {external_id: each.key for external_id, each in self._stored(session, documents).items()}

    def _columns(self, document: ReadyDocument) -> dict[str, Any]:
        return {
            "knowledge_base_id": self._claim.knowledge_base_id,
            "job_id": self._claim.job_id,
            "title": _storable(document.start.title or document.start.external_id)[:1000],
            "status": "indexing",
            "message": "",
            "media_type": document.media_type,
            "language": document.language,
            "content_hash": document.content_hash,
            "file_path": self._claim.source_path,
            "facets": {**document.start.facets, **self._claim.facets},
            "warnings": [[warning.page, _storable(warning.message)] for warning in document.warnings],
            "page_count": len(document.pages),
            "passage_count": len(document.passages),
            "window_count": sum(len(passage.windows) for passage in document.passages),
            "updated_at": now(),
        }


def remove_documents(session: Session, knowledge_base_id: str, keys: Sequence[int], change: int) -> None:
    """Removes documents with all that hangs on them; `change` is the number that indexes will learn it by."""
    _remove_content(session, knowledge_base_id, keys, change)
    session.execute(delete(Document).where(Document.key.in_(keys)))


def _remove_content(session: Session, knowledge_base_id: str, keys: Sequence[int], change: int) -> None:
    if not keys:
        return
    gone = select(literal(knowledge_base_id), Passage.key, literal(change)).where(Passage.document_key.in_(keys))
    session.execute(insert(Removal).from_select(["knowledge_base_id", "passage_key", "change"], gone))
    session.execute(delete(Passage).where(Passage.document_key.in_(keys)))  # its vectors go with it
    session.execute(delete(Page).where(Page.document_key.in_(keys)))


def _write_pages(session: Session, documents: Mapping[str, ReadyDocument], keys: Mapping[str, int]) -> None:
    rows = (
        {
            "document_key": keys[external_id],
            "number": page.number,
            "label": _label(page.label),
            "text": _storable(page.text),
            "source_map": pack_source_map(page.source_map),
        }
        for external_id, document in documents.items()
        for page in document.pages
    )
    for some in _in_parts(rows):
        session.connection().execute(insert(Page), some)


def _write_passages(
    session: Session,
    knowledge_base_id: str,
    documents: Mapping[str, ReadyDocument],
    keys: Mapping[str, int],
    change: int,
) -> None:
    rows = (
        row
        for external_id, document in documents.items()
        for row in _passage_rows(document, keys[external_id], knowledge_base_id, change)
    )
    connection = session.connection()
    for some in _in_parts(rows):
        vectors = {row["id"]: row.pop("vectors") for row in some}
        connection.execute(insert(Passage), some)
        written = connection.execute(select(Passage.id, Passage.key).where(Passage.id.in_(list(vectors))))
        packed = [{"passage_key": key, "vectors": vectors[id_]} for id_, key in written]
        connection.execute(insert(PassageVectors), packed)


def _passage_rows(
    document: ReadyDocument, document_key: int, knowledge_base_id: str, change: int
) -> Iterator[dict[str, Any]]:
    """The passages' columns, and their packed `vectors`."""
    labels = {page.number: _label(page.label) for page in document.pages if page.label is not None}
    for ordinal, (passage, vectors) in enumerate(zip(document.passages, document.vectors, strict=True)):
        text = _storable(passage.text)
        yield {
            "id": new_id(),
            "knowledge_base_id": knowledge_base_id,
            "document_key": document_key,
            "added_change": change,
            "ordinal": ordinal,
            "heading_path": [_storable(heading) for heading in passage.heading_path],
            "spans": spans_to_row(passage.spans),
            "windows": [list(window) for window in passage.windows],
            "first_page": min(span.page for span in passage.spans),
            "last_page": max(span.page for span in passage.spans),
            "page_label": labels.get(passage.spans[0].page),
            "text": text,
            "content_hash": sha256(text.encode()).hexdigest(),
            "vectors": pack_vectors(vectors),
        }


def _in_parts(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """A long document's rows are never in memory at once."""
    while some := list(islice(rows, _ROWS_AT_ONCE)):
        yield some


def _label(label: str | None) -> str | None:
    return None if label is None else _storable(label)[:40]


def _storable(text: str) -> str:
    """`text` with what no database keeps made U+FFFD: as long as before, so that all offsets stay true."""
    return _NOT_STORABLE.sub("\ufffd", text)
