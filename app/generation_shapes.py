"""What is asked of generations and what is told of them: the shapes of the API, and the progress of a build.

Owns names, bounds and the counting. Does not know how a generation is built (`app.generations`).
"""

from dataclasses import asdict
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.bootstrap import Services
from app.generation_state import GenerationStatus, may_hold_several, missing_windows
from app.jobs import JobStatus
from app.models import Document, Generation, GenerationDocument, Job, now
from app.open_generations import chunker_of

_FAILURES_SHOWN = 20


class ChunkerChange(BaseModel):
    """How documents are cut; what is missing or null stays as in the generation that answers."""

    model_config = ConfigDict(extra="forbid")

    passage_tokens: int | None = Field(None, ge=32, le=8192, description="Longest passage; the model's if lower.")
    small_section_tokens: int | None = Field(None, ge=0, le=8192, description="Shorter sections join a neighbour.")
    title_in_front: bool | None = Field(None, description="Whether the title is embedded with each passage.")
    headings_in_front: bool | None = Field(None, description="Whether the headings are embedded with each passage.")
    front_tokens: int | None = Field(None, ge=0, le=1024, description="Most tokens of title and headings.")
    window_words: int | None = Field(None, ge=8, le=200, description="Length of an embedded window, in words.")
    window_characters: int | None = Field(None, ge=16, le=400, description="Length of a Chinese window.")
    window_overlap: float | None = Field(None, ge=0, le=0.75, description="Share that a window has of the one before.")


class NewGeneration(BaseModel):
    """What is left out stays as in the generation that answers; with nothing named all documents are read again."""

    model_config = ConfigDict(extra="forbid")

    embedder: str | None = Field(
        None, max_length=1000, description="multilingual-e5-small, a sentence-transformers folder, or a hub id."
    )
    chunker: ChunkerChange = ChunkerChange()
    switch_when_ready: bool = Field(False, description="Let it answer as soon as it has every document.")


class GenerationProgress(BaseModel):
    """In windows of the generation that answers. `seconds_left` is null while it is not known."""

    done: int
    total: int
    seconds_left: float | None


class GenerationFailure(BaseModel):
    document_id: str
    external_id: str
    message: str


class GenerationShape(BaseModel):
    """`documents` counts those that it has, out of `documents_total` that answer; `progress` only while it is built.

    `message` says why one failed, or what keeps one that has every document from being ready.
    """

    id: str
    knowledge_base: str
    number: int = Field(description="From 1 in each knowledge base; may be used in place of the id.")
    status: GenerationStatus
    message: str
    embedder: str
    dimension: int
    chunker_version: str
    chunker: dict[str, Any]
    documents: int
    documents_total: int
    passages: int
    windows: int
    failures: list[GenerationFailure] = Field(description="The first documents that could not be read for it.")
    progress: GenerationProgress | None
    switch_when_ready: bool
    created_at: datetime
    switched_at: datetime | None


def shape_of(services: Services, session: Session, row: Generation) -> GenerationShape:
    has = (GenerationDocument.generation_id == row.id, GenerationDocument.status != "failed")
    counts = select(func.count(), func.sum(GenerationDocument.passage_count), func.sum(GenerationDocument.window_count))
    documents, passages, windows = session.execute(counts.where(*has)).one()
    of_base = (Document.knowledge_base_id == row.knowledge_base_id, Document.version > 0)
    failed = (
        select(Document.id, Document.external_id, GenerationDocument.message)
        .join(GenerationDocument, GenerationDocument.document_key == Document.key)
        .where(GenerationDocument.generation_id == row.id, GenerationDocument.status == "failed")
    )
    failures = session.execute(failed.order_by(Document.key).limit(_FAILURES_SHOWN)).all()
    return GenerationShape(
        id=row.id,
        knowledge_base=row.knowledge_base_id,
        number=row.number,
        status=GenerationStatus(row.status),
        message=row.message,
        embedder=row.embedder,
        dimension=row.dimension,
        chunker_version=row.chunker_version,
        chunker=asdict(chunker_of(row, services.chunker_settings)),
        documents=documents,
        documents_total=session.scalar(select(func.count()).where(*of_base)) or 0,
        passages=passages or 0,
        windows=windows or 0,
        failures=[
            GenerationFailure(document_id=id_, external_id=name, message=message) for id_, name, message in failures
        ],
        progress=_progress_of(session, row) if row.status == GenerationStatus.BUILDING else None,
        switch_when_ready=row.switch_when_ready,
        created_at=row.created_at,
        switched_at=row.switched_at,
    )


def _progress_of(session: Session, row: Generation) -> GenerationProgress:
    of_base = (Document.knowledge_base_id == row.knowledge_base_id, Document.version > 0)
    total = int(session.scalar(select(func.sum(Document.window_count)).where(*of_base)) or 0)
    done = total - missing_windows(session, row) + _read_so_far(session, row)
    elapsed = (now() - row.building_since).total_seconds() if row.building_since else 0.0
    seconds_left = elapsed * (total - done) / done if done > 0 and elapsed > 1 else None
    return GenerationProgress(done=done, total=total, seconds_left=seconds_left)


def _read_so_far(session: Session, row: Generation) -> int:
    """Windows of documents that are being read."""
    of_generation = (Job.generation_id == row.id, Job.status == JobStatus.RUNNING, Job.stage == "embedding")
    columns = select(Job.source_path, Job.external_id, Job.done, Job.total).where(*of_generation)
    read = 0.0
    for path, external_id, done, total in session.execute(columns).all():
        of_source = [Document.file_path == path]
        if not may_hold_several(path):
            of_source.append(Document.external_id == external_id)
        share = min(done / total, 1.0) if total else 0.0
        read += share * missing_windows(session, row, *of_source)
    return round(read)
