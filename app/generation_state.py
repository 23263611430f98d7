"""The life of a generation: what it still lacks, and the switch. Steps within a transaction, under the base's lock.

    building ──has every document──> ready ──switch──> active ──switch──> retired ──switch──> active ...
      ^    └──some cannot be read──> failed
      └── a document changed (ready, failed), or it is wanted back (retired)        any but active ──> dropping

Owns which documents a generation has to read and the jobs for that, and that a generation answers only when it has
every document that answers, in the same version. A document that is replaced or deleted leaves all generations in the
same transaction (`app.sink`), so that what a generation lacks can always be told from the rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, delete, func, insert, select, update
from sqlalchemy.orm import Session

from app import files
from app.db import in_parts
from app.errors import NotFound
from app.jobs import LIVE, JobStatus
from app.models import Document, Generation, GenerationDocument, Job, KnowledgeBase, now
from app.passages import raise_change
from ingestion.detect import HOLDS_SEVERAL, MEDIA_TYPES

_NO_FILE = "Its uploaded file is not kept here, so that it cannot be read again: upload it once more."
_NOT_FOUND = "It was not found in its file again: upload the file once more."


class GenerationStatus(StrEnum):
    BUILDING = "building"
    READY = "ready"
    ACTIVE = "active"
    RETIRED = "retired"
    FAILED = "failed"
    DROPPING = "dropping"


FOLLOWED = (GenerationStatus.BUILDING, GenerationStatus.READY, GenerationStatus.FAILED)
"""Documents that change are read again for generations in these states; a retired one rests."""


@dataclass(frozen=True, slots=True)
class Missing:
    """A document that answers, and that a generation does not have in its present version."""

    key: int
    version: int
    external_id: str
    file_path: str
    updated_at: datetime

    @property
    def source(self) -> tuple[str, str]:
        """File and external id of the job that reads it; of a file with many documents its name."""
        name = PurePosixPath(self.file_path).name
        return self.file_path, name if may_hold_several(self.file_path) else self.external_id


def locked(session: Session, generation_id: str, knowledge_base_id: str) -> tuple[KnowledgeBase, Generation]:
    """Both rows as they are now, and nobody else changes them before the transaction ends. Raises `NotFound`."""
    files.lock_knowledge_base(session, knowledge_base_id)
    row = session.get(Generation, generation_id, populate_existing=True)
    if row is None:
        raise NotFound("The generation has been deleted.", {"generation": generation_id})
    return session.get_one(KnowledgeBase, knowledge_base_id, populate_existing=True), row


def may_hold_several(path: str) -> bool:
    """Whether an uploaded file is of a type that may hold many documents."""
    return MEDIA_TYPES.get(PurePosixPath(path).suffix.lower()) in HOLDS_SEVERAL


def missing(session: Session, generation: Generation) -> list[Missing]:
    """What it still has to read; what it failed to read is not among them."""
    columns = (Document.key, Document.version, Document.external_id, Document.file_path, Document.updated_at)
    return [Missing(*row) for row in session.execute(_without_row(generation, *columns).order_by(Document.key))]


def missing_windows(session: Session, generation: Generation, *of_source: ColumnElement[bool]) -> int:
    """How many windows the documents have that it still has to read, as they were cut for the one that answers."""
    query = _without_row(generation, func.sum(Document.window_count)).where(*of_source)
    return int(session.scalar(query) or 0)


def lacks_any(session: Session, generation: Generation) -> bool:
    return session.scalar(_without_row(generation, Document.key).limit(1)) is not None


def failure_count(session: Session, generation: Generation) -> int:
    """How many documents it could not read."""
    return session.scalar(select(func.count()).where(*_failed(generation))) or 0


@dataclass(frozen=True, slots=True)
class _KnownJob:
    """What is asked about a job here; nothing of what it carries."""

    id: str
    source_path: str
    external_id: str
    status: str
    message: str
    started_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Outstanding:
    """What separates a generation's jobs from those that it ought to have; empty when nothing does."""

    sources: Sequence[tuple[str, str]]
    """File and external id of each source that wants a job."""

    over: Sequence[tuple[str, str]]
    """Id and file of each job that has served."""

    lost: Sequence[tuple[Missing, str]]
    """Documents that no job will find, each with the reason."""

    def __bool__(self) -> bool:
        return bool(self.sources or self.over or self.lost)


def outstanding(session: Session, generation: Generation) -> Outstanding:
    """Compares what the generation lacks with its jobs."""
    lacking: dict[tuple[str, str], list[Missing]] = {}
    for document in missing(session, generation):
        lacking.setdefault(document.source, []).append(document)
    columns = (Job.id, Job.source_path, Job.external_id, Job.status, Job.message, Job.started_at, Job.created_at)
    of_generation = session.execute(select(*columns).where(Job.generation_id == generation.id))
    known = {(row.source_path, row.external_id): _KnownJob(*row) for row in of_generation}
    over = [job for source, job in known.items() if source not in lacking and job.status != JobStatus.RUNNING]
    sources: list[tuple[str, str]] = []
    lost: list[tuple[Missing, str]] = []
    for source, documents in lacking.items():
        job = known.get(source)
        if job is not None and job.status in LIVE:
            continue
        lost_here = _lost(source, job, documents)
        lost += lost_here
        over += [job] if job is not None else []
        if len(lost_here) < len(documents):
            sources.append(source)
    return Outstanding(sources, [(job.id, job.source_path) for job in over], lost)


def enqueue_missing(session: Session, generation: Generation) -> list[str]:
    """A job for every source that has to be read; a source that could not be read fails its documents.

    Returns the paths of files that jobs no longer name.
    """
    found = outstanding(session, generation)
    for ids in in_parts(id_ for id_, _ in found.over):
        session.execute(delete(Job).where(Job.id.in_(ids)))
    session.add_all(_job(generation, *source) for source in found.sources)
    session.flush()
    _note_failures(session, generation, found.lost)
    return [path for _, path in found.over]


def switch(session: Session, knowledge_base: KnowledgeBase, generation: Generation) -> list[str]:
    """From the next moment `generation` answers. The caller has seen to it that it lacks nothing.

    Returns the paths of files that jobs no longer name.
    """
    before = session.get_one(Generation, knowledge_base.generation_id)
    raise_change(session, knowledge_base.id)  # answers that are kept were made by the other
    moment = now()
    _set(session, before, status=GenerationStatus.RETIRED, switched_at=moment, switch_when_ready=False)
    _set(session, generation, status=GenerationStatus.ACTIVE, switched_at=moment, switch_when_ready=False, message="")
    of_base = KnowledgeBase.id == knowledge_base.id
    session.execute(update(KnowledgeBase).where(of_base).values(generation_id=generation.id))
    jobs = delete(Job).where(Job.generation_id == generation.id).returning(Job.source_path)
    paths = list(session.scalars(jobs))
    same = (GenerationDocument.generation_id == generation.id, Document.key == GenerationDocument.document_key)
    counts = {
        name: getattr(GenerationDocument, name) for name in ("warnings", "page_count", "passage_count", "window_count")
    }
    unchanged = {"updated_at": Document.updated_at}
    session.execute(update(Document).where(*same).values(counts | unchanged))
    is_ready = Document.status.in_(("ready", "ready_with_warnings"))
    session.execute(update(Document).where(*same, is_ready).values({"status": GenerationDocument.status} | unchanged))
    return paths


def set_building(session: Session, generation: Generation) -> None:
    """It lacks something (again)."""
    _set(session, generation, status=GenerationStatus.BUILDING, building_since=now(), ready_at=None, message="")


def set_ready(session: Session, generation: Generation) -> None:
    """It has everything, and its index is written."""
    _set(session, generation, status=GenerationStatus.READY, ready_at=now(), message="")


def set_message(session: Session, generation: Generation, message: str) -> None:
    """Why it does not go on at the moment; "" when it does."""
    _set(session, generation, message=message)


def set_failed(session: Session, generation: Generation, message: str) -> None:
    """It has everything but what could not be read."""
    _set(session, generation, status=GenerationStatus.FAILED, ready_at=None, message=message)


def forget_failures(session: Session, generation: Generation) -> None:
    """What could not be read is to be read again."""
    session.execute(delete(GenerationDocument).where(*_failed(generation)))


def _set(session: Session, generation: Generation, **values: object) -> None:
    session.execute(update(Generation).where(Generation.id == generation.id).values(values))
    session.refresh(generation)


def _without_row(generation: Generation, *columns: Any) -> Select[Any]:
    has = and_(
        GenerationDocument.document_key == Document.key,
        GenerationDocument.generation_id == generation.id,
        GenerationDocument.version == Document.version,
    )
    return (
        select(*columns)
        .outerjoin(GenerationDocument, has)
        .where(
            Document.knowledge_base_id == generation.knowledge_base_id,
            Document.version > 0,
            GenerationDocument.document_key.is_(None),
        )
    )


def _failed(generation: Generation) -> tuple[ColumnElement[bool], ...]:
    return GenerationDocument.generation_id == generation.id, GenerationDocument.status == "failed"


def _lost(source: tuple[str, str], job: _KnownJob | None, documents: Sequence[Missing]) -> list[tuple[Missing, str]]:
    """Those of a source's documents that another job would not find either, each with the reason."""
    if not source[0]:
        return [(document, _NO_FILE) for document in documents]
    if job is None:
        return []
    if job.status == JobStatus.DONE:  # what was stored since it began is still to be read
        began = job.started_at or job.created_at
        return [(document, _NOT_FOUND) for document in documents if document.updated_at < began]
    return [(document, job.message) for document in documents]


def _note_failures(session: Session, generation: Generation, lost: Sequence[tuple[Missing, str]]) -> None:
    of_generation = {"generation_id": generation.id, "status": "failed"}
    rows = [
        {**of_generation, "document_key": document.key, "version": document.version, "message": reason}
        for document, reason in lost
    ]
    if rows:
        session.execute(insert(GenerationDocument), rows)


def _job(generation: Generation, source_path: str, external_id: str) -> Job:
    return Job(
        knowledge_base_id=generation.knowledge_base_id,
        generation_id=generation.id,
        source_name=PurePosixPath(source_path).name,
        source_path=source_path,
        external_id=external_id,
    )
