"""Where the pipeline puts documents: one transaction for each batch, whole or not at all.

Owns how ready documents become rows, and that a new version replaces the old one in the same transaction, in every
generation. Every write proves the job's lease first (`app.jobs.hold`). Knows no parsers and no indexes.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import delete, insert, literal, select, update
from sqlalchemy.orm import Session

from app import files, source_maps
from app.db import in_parts
from app.errors import NotFound
from app.facets import described
from app.jobs import UNFINISHED_STATUSES, Claim, JobQueue, LeaseLost, failure_message, hold, left_out
from app.known_documents import known_to_upload, marked_as
from app.known_vectors import StoredVectors
from app.models import (
    Document,
    Generation,
    GenerationDocument,
    KnowledgeBase,
    Page,
    Passage,
    PassageVectors,
    Removal,
    new_id,
    now,
)
from app.passages import pack_vectors, raise_change
from app.settings import Settings
from app.shapes import spans_to_row
from ingestion.errors import Cancelled, IngestionError
from ingestion.pipeline import ReadyDocument

_BETWEEN_REPORTS_S = 0.3
_NOT_STORABLE = re.compile("[\x00\ud800-\udfff]")  # PostgreSQL stores no NUL, UTF-8 knows no lone surrogates


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A document's row: its key, version and file, and what admins have said of it. Of the columns `STORED`."""

    key: int
    version: int
    file_path: str
    edits: Mapping[str, Any] | None


STORED = (Document.external_id, Document.key, Document.version, Document.file_path, Document.edits)
"""The external id, then the fields of `StoredDocument`."""


class SqlSink:
    """`ingestion.pipeline.Sink` for one claimed upload. Every method that writes raises `LeaseLost`."""

    def __init__(
        self, queue: JobQueue, claim: Claim, settings: Settings, generation: Generation, stopping: Callable[[], bool]
    ) -> None:
        """`generation` is the one that answers, for which the upload is read."""
        self.first_error = ""
        self._queue = queue
        self._database = queue.database
        self._claim = claim
        self._files_folder = settings.files_folder
        self._generation_id = generation.id
        self._stopping = stopping
        self._stored_vectors = StoredVectors(self._database, claim.knowledge_base_id, generation.embedder)
        self._seen: set[int] = set()  # keys of the source's documents, stored or found unchanged
        self._began: dict[str, float] = {}
        self._reported = 0.0

    def is_current(self, external_id: str, content_hash: str) -> bool:
        query = select(Document.key).where(
            Document.knowledge_base_id == self._claim.knowledge_base_id,
            Document.external_id == external_id,
            Document.content_hash == content_hash,
            Document.version > 0,
            *marked_as(self._claim),
        )
        with self._database.read() as session:
            key = session.scalar(query)
        self._seen.update(() if key is None else (key,))
        return key is not None

    def known_documents(self) -> Mapping[str, str]:
        return known_to_upload(self._database, self._claim)

    def known_vectors(
        self, external_ids: Collection[str], text_hashes: Collection[bytes]
    ) -> Mapping[bytes, NDArray[np.float16]]:
        return self._stored_vectors.find(external_ids, text_hashes)

    def store(self, documents: Sequence[ReadyDocument]) -> None:
        """Writes the documents with pages, passages and vectors, and removes what they replace.

        Keys and ids of documents stay; their version is raised. Of records with the same external id the last stays.
        Those that were deleted since the source was uploaded are left out.
        Raises `Cancelled` when another generation answers by now: then they are to be read again for that one.
        """
        latest = {document.start.external_id: document for document in documents}
        with self._database.write() as session:
            change = self._raise_change(session)
            hold(session, self._claim, self._queue.lease_s)
            self._require_answering(session)
            for external_id in left_out(session, self._claim) & latest.keys():
                del latest[external_id]
            before = self._stored(session, latest)
            remove_content(session, self._claim.knowledge_base_id, [each.key for each in before.values()], change)
            after = self._write_documents(session, latest, before)
            self._write_content(session, latest, after, change)
        self._seen.update(each.key for each in after.values())
        replaced = [each.file_path for each in before.values() if each.file_path != self._claim.source_path]
        files.release(self._database, self._files_folder, self._claim.knowledge_base_id, replaced)

    def failed(self, external_id: str, title: str, error: IngestionError) -> None:
        """Notes the reason with the document; one that was not there before is listed as failed."""
        reason = storable(str(error))
        self.first_error = self.first_error or reason
        with self._database.write() as session:
            files.lock_knowledge_base(session, self._claim.knowledge_base_id)
            hold(session, self._claim, self._queue.lease_s)
            if external_id in left_out(session, self._claim):
                return
            known = self._stored(session, [external_id]).get(external_id)
            if known is None:
                session.add(
                    Document(
                        knowledge_base_id=self._claim.knowledge_base_id,
                        job_id=self._claim.job_id,
                        external_id=external_id,
                        title=storable(title or external_id)[:1000],
                        status="failed",
                        message=reason,
                        facets=dict(self._claim.facets),
                    )
                )
            else:
                message = failure_message(reason, known.version)
                values = {"status": "failed", "message": message, "job_id": self._claim.job_id}
                session.execute(update(Document).where(Document.key == known.key).values(values))

    def remove_missing(self) -> int:
        """Removes what an earlier upload of the source brought and this one has no longer; how many documents.

        Only for a source of which everything could be read. What it shares with another source is its own from now on.
        Records that could not be read before go too; they are not counted.
        """
        of_job = select(Document.key, Document.version, Document.file_path)
        of_job = of_job.where(Document.job_id == self._claim.job_id)
        with self._database.read() as session:
            own = {row.key: row.version for row in session.execute(of_job)}
        for keys in in_parts(sorted(self._seen - own.keys())):
            settled = (Document.key.in_(keys), Document.status.not_in(UNFINISHED_STATUSES))
            with self._database.write() as session:
                hold(session, self._claim, self._queue.lease_s)
                session.execute(update(Document).where(*settled).values(job_id=self._claim.job_id))
        removed = 0
        for keys in in_parts(sorted(own.keys() - self._seen) if self._seen else []):
            with self._database.write() as session:
                change = self._raise_change(session) if any(own[key] for key in keys) else 0
                hold(session, self._claim, self._queue.lease_s)
                rows = session.execute(of_job.where(Document.key.in_(keys))).all()  # another source may have them now
                remove_documents(session, self._claim.knowledge_base_id, [row.key for row in rows], change)
            paths = [row.file_path for row in rows]
            files.release(self._database, self._files_folder, self._claim.knowledge_base_id, paths)
            removed += sum(row.version > 0 for row in rows)
        return removed

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

    def _require_answering(self, session: Session) -> None:
        query = select(KnowledgeBase.generation_id).where(KnowledgeBase.id == self._claim.knowledge_base_id)
        if session.scalar(query) != self._generation_id:
            raise Cancelled("the knowledge base has been switched to another generation")

    def _write_content(
        self,
        session: Session,
        documents: Mapping[str, ReadyDocument],
        stored: Mapping[str, StoredDocument],
        change: int,
    ) -> None:
        """What the documents hold, as this generation has it; they may be none by now."""
        if not documents:
            return  # an insert of no rows would be one of a row of defaults
        keys = {external_id: stored[external_id].key for external_id in documents}
        _write_pages(session, documents, keys, self._generation_id)
        _write_passages(session, self._claim.knowledge_base_id, documents, keys, change, self._generation_id)
        rows = [
            {
                "generation_id": self._generation_id,
                "document_key": keys[external_id],
                "version": stored[external_id].version,
                "status": "ready_with_warnings" if document.warnings else "ready",
                **counts_of(document),
            }
            for external_id, document in documents.items()
        ]
        session.execute(insert(GenerationDocument), rows)

    def _stored(self, session: Session, external_ids: Mapping[str, Any] | Sequence[str]) -> dict[str, StoredDocument]:
        query = select(*STORED).where(
            Document.knowledge_base_id == self._claim.knowledge_base_id,
            Document.external_id.in_(list(external_ids)),
        )
        return {external_id: StoredDocument(*row) for external_id, *row in session.execute(query)}

    def _write_documents(
        self, session: Session, documents: Mapping[str, ReadyDocument], before: Mapping[str, StoredDocument]
    ) -> dict[str, StoredDocument]:
        """Inserts or updates the documents' rows; how they are stored now, by external id."""
        added, changed = [], []
        for external_id, document in documents.items():
            known = before.get(external_id)
            values = self._columns(document, known.edits if known and known.edits else {})
            if known is not None:
                changed.append({"key": known.key, "version": known.version + 1, **values})
            else:
                added.append({"id": new_id(), "external_id": external_id, "version": 1, "created_at": now(), **values})
        if added:
            session.execute(insert(Document), added)
        if changed:
            session.execute(update(Document), changed)
        return self._stored(session, documents)

    def _columns(self, document: ReadyDocument, edits: Mapping[str, Any]) -> dict[str, Any]:
        start = document.start
        title = storable(start.title or start.external_id)[:1000]
        return {
            "knowledge_base_id": self._claim.knowledge_base_id,
            "job_id": self._claim.job_id,
            "status": "indexing",
            "message": "",
            "media_type": document.media_type,
            "content_hash": document.content_hash,
            "file_path": self._claim.source_path,
            "updated_at": now(),
            **({} if self._claim.is_public is None else {"is_public": self._claim.is_public}),
            **described(edits, title, document.language, start.facets, self._claim.facets),
            **counts_of(document),
        }


def counts_of(document: ReadyDocument) -> dict[str, Any]:
    """The columns that a document's row has in common with its rows in generations."""
    return {
        "warnings": [[warning.page, storable(warning.message)] for warning in document.warnings],
        "page_count": len(document.pages),
        "passage_count": len(document.passages),
        "window_count": sum(len(passage.windows) for passage in document.passages),
    }


def remove_documents(session: Session, knowledge_base_id: str, keys: Sequence[int], change: int) -> None:
    """Removes documents with all that hangs on them; `change` is the number that indexes will learn it by."""
    remove_content(session, knowledge_base_id, keys, change)
    session.execute(delete(Document).where(Document.key.in_(keys)))


def remove_content(
    session: Session, knowledge_base_id: str, keys: Sequence[int], change: int, generation_id: str | None = None
) -> None:
    """Removes what documents hold from one generation, or from all: what was made of an old version is gone everywhere.

    A generation that is being built learns by the missing row that it has to read the document again.
    """
    if not keys:
        return
    tables = (Passage, Page, GenerationDocument)
    passages, pages, rows = (
        [table.document_key.in_(keys), *([table.generation_id == generation_id] if generation_id else [])]
        for table in tables
    )
    gone = select(literal(knowledge_base_id), Passage.key, literal(change)).where(
        *passages,
        Passage.excluded.is_(None),  # of an excluded one indexes have learned already
    )
    session.execute(insert(Removal).from_select(["knowledge_base_id", "passage_key", "change"], gone))
    session.execute(delete(Passage).where(*passages))  # its vectors go with it
    session.execute(delete(Page).where(*pages))
    session.execute(delete(GenerationDocument).where(*rows))


def _write_pages(
    session: Session, documents: Mapping[str, ReadyDocument], keys: Mapping[str, int], generation_id: str
) -> None:
    rows = (  # in parts: a long document's are never in memory at once
        {
            "document_key": keys[external_id],
            "generation_id": generation_id,
            "number": page.number,
            "label": _label(page.label),
            "text": storable(page.text),
            "source_map": source_maps.pack(page),
        }
        for external_id, document in documents.items()
        for page in document.pages
    )
    for some in in_parts(rows):
        session.connection().execute(insert(Page), some)


def _write_passages(
    session: Session,
    knowledge_base_id: str,
    documents: Mapping[str, ReadyDocument],
    keys: Mapping[str, int],
    change: int,
    generation_id: str,
) -> None:
    shared = {"knowledge_base_id": knowledge_base_id, "generation_id": generation_id, "added_change": change}
    rows = (
        {**shared, **row}
        for external_id, document in documents.items()
        for row in _passage_rows(document, keys[external_id])
    )
    connection = session.connection()
    for some in in_parts(rows):
        vectors = {row["id"]: row.pop("vectors") for row in some}
        connection.execute(insert(Passage), some)
        written = connection.execute(select(Passage.id, Passage.key).where(Passage.id.in_(list(vectors))))
        packed = [{"passage_key": key, **vectors[id_]} for id_, key in written]
        connection.execute(insert(PassageVectors), packed)


def _passage_rows(document: ReadyDocument, document_key: int) -> Iterator[dict[str, Any]]:
    """The passages' columns, and under `vectors` those of their `PassageVectors`."""
    labels = {page.number: _label(page.label) for page in document.pages if page.label is not None}
    content = zip(document.passages, document.vectors, document.text_hashes, strict=True)
    for ordinal, (passage, vectors, text_hashes) in enumerate(content):
        text = storable(passage.text)
        yield {
            "id": new_id(),
            "document_key": document_key,
            "ordinal": ordinal,
            "heading_path": [storable(heading) for heading in passage.heading_path],
            "spans": spans_to_row(passage.spans),
            "windows": [list(window) for window in passage.windows],
            "first_page": min(span.page for span in passage.spans),
            "last_page": max(span.page for span in passage.spans),
            "page_label": labels.get(passage.spans[0].page),
            "text": text,
            "content_hash": sha256(text.encode()).hexdigest(),
            "vectors": {"vectors": pack_vectors(vectors), "text_hashes": text_hashes},
        }


def _label(label: str | None) -> str | None:
    return None if label is None else storable(label)[:40]


def storable(text: str) -> str:
    """`text` with what no database keeps made U+FFFD: as long as before, so that all offsets stay true."""
    return _NOT_STORABLE.sub("\ufffd", text)
