"""A knowledge base that is being imported: its rows and files, written in batches, seen by nobody until published.

Owns what must be true between a bundle's records, which ids are new, and the removal of what was staged. Keys are given
anew in the order of the bundle's lines, so that equal scores are told apart as before. Knows no file format.
"""

import hashlib
import shutil
from array import array
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sqlalchemy import ColumnElement, delete, func, insert, select, update
from sqlalchemy.exc import DataError, IntegrityError
from sqlalchemy.orm import InstrumentedAttribute, Session

from app import files
from app.bootstrap import Services
from app.bundle.format import PIECE, Bundle
from app.bundle.records import (
    DOCUMENTS,
    FILE_BYTES,
    FILES,
    GOLDEN,
    PAGES,
    PASSAGES,
    VECTORS,
    DocumentRecord,
    FileRecord,
    GoldenRecord,
    PageRecord,
    PassageRecord,
)
from app.db import in_parts
from app.errors import BadBundle, BadRequest, Conflict
from app.evaluation.api import MOST_BYTES
from app.evaluation.questions import MOST_QUESTIONS, checked_question
from app.models import (
    Document,
    Generation,
    GenerationDocument,
    GoldenQuestion,
    KnowledgeBase,
    Page,
    Passage,
    PassageVectors,
    new_id,
    now,
)
from app.scope import Scope
from app.uploads import checked_name as checked_file_name
from rag.evaluation.questions import record_of
from rag.types import NO_PAGE

STAGING = "importing"
"""The workspace of a knowledge base that is being imported; `created_at` is its importer's last sign of life."""

_ROWS = 256  # in one transaction
_FIRST_CHANGE = 1


@dataclass(slots=True)
class StagedDocuments:
    """The documents written so far, by number: keys, and how many pages, passages and windows are still to come."""

    keys: "array[int]" = field(default_factory=lambda: array("q"))
    pages: "array[int]" = field(default_factory=lambda: array("q"))
    passages: "array[int]" = field(default_factory=lambda: array("q"))
    windows: "array[int]" = field(default_factory=lambda: array("q"))

    def key(self, number: int) -> int:
        if number >= len(self.keys):
            raise BadBundle(f"A record belongs to document {number}, but there are {len(self.keys)}.")
        return self.keys[number]

    def require_complete(self) -> None:
        for what, left in (("pages", self.pages), ("passages", self.passages), ("windows", self.windows)):
            if any(left):
                raise BadBundle(f"A document has not as many {what} as its record says.")


@contextmanager
def staged(services: Services, row: KnowledgeBase, generation: Generation) -> Iterator["Staging"]:
    """A knowledge base that nobody sees, with the generation that will answer. It is removed at the end of the block
    unless it has been published.
    """
    with services.database.write() as session:
        session.add(row)
        session.flush()
        session.add(generation)
        session.flush()
        session.refresh(row)
    try:
        yield Staging(services, row)
    except IntegrityError as error:
        raise BadBundle(
            "Two records of the bundle have the same id, external id or page number, or another import has just "
            "brought the same ids; in that case import it again."
        ) from error
    except DataError as error:
        raise BadBundle("The bundle holds a value that the database cannot keep.") from error
    finally:
        remove_staged(services, row.id)


def remove_staged(services: Services, knowledge_base_id: str, *conditions: ColumnElement[bool]) -> None:
    """Removes rows and files, unless it has been published or one of the conditions no longer holds."""
    of_id = KnowledgeBase.id == knowledge_base_id
    with services.database.write() as session:
        session.execute(delete(KnowledgeBase).where(of_id, KnowledgeBase.workspace_id == STAGING, *conditions))
        if session.scalar(select(KnowledgeBase.id).where(of_id)) is not None:
            return
    settings = services.settings
    for folder in (settings.files_folder / knowledge_base_id, settings.index_folder / knowledge_base_id):
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class Staging:
    services: Services
    row: KnowledgeBase

    def write_files(self, bundle: Bundle) -> list[str]:
        """The files into their places, each checked; their paths, by number."""
        paths = []
        with bundle.member(FILE_BYTES) as source:
            for record in bundle.records(FILES, FileRecord):
                path = _stored_path(self.row.id, record)
                place = self.services.settings.files_folder / path
                place.parent.mkdir(parents=True, exist_ok=True)
                digest = hashlib.sha256()
                with place.open("wb") as file:
                    for done in range(0, record.bytes, PIECE):
                        piece = source.read(min(PIECE, record.bytes - done))
                        digest.update(piece)
                        file.write(piece)
                        if done % (64 * PIECE) == 0:
                            self._live()
                if digest.hexdigest() != record.sha256:
                    raise BadBundle(f"The file {record.name} is not the one that its record names.")
                paths.append(path)
        _require_count("files", len(paths), bundle.manifest.counts.files)
        return paths

    def write_documents(self, bundle: Bundle, paths: Sequence[str]) -> StagedDocuments:
        documents = StagedDocuments()
        for batch in in_parts(bundle.records(DOCUMENTS, DocumentRecord), _ROWS):
            with self._batch() as session:
                taken = _taken(session, Document.id, [each.id for each in batch], self.row.id)
                rows = [self._document(each, paths, taken) for each in batch]
                keys = _inserted(session, Document.key, rows)
                of_generation = [self._in_generation(key, each) for key, each in zip(keys, rows, strict=True)]
                session.connection().execute(insert(GenerationDocument), of_generation)
            documents.keys.extend(keys)
            documents.pages.extend(each.page_count for each in batch)
            documents.passages.extend(each.passage_count for each in batch)
            documents.windows.extend(each.window_count for each in batch)
        _require_count("documents", len(documents.keys), bundle.manifest.counts.documents)
        return documents

    def write_pages(self, bundle: Bundle, documents: StagedDocuments) -> None:
        count = 0
        for batch in in_parts(bundle.records(PAGES, PageRecord), _ROWS):
            with self._batch() as session:
                session.connection().execute(insert(Page), [self._page(each, documents) for each in batch])
            for each in batch:
                documents.pages[each.document] -= 1
            count += len(batch)
        _require_count("pages", count, bundle.manifest.counts.pages)

    def write_passages(self, bundle: Bundle, documents: StagedDocuments) -> None:
        count = rows = 0
        with bundle.member(VECTORS) as source:
            for batch in in_parts(bundle.records(PASSAGES, PassageRecord), _ROWS):
                vectors = [self._vectors(source.read(self._vector_bytes(each))) for each in batch]
                with self._batch() as session:
                    _require_spans(session, batch, documents)
                    taken = _taken(session, Passage.id, [each.id for each in batch], self.row.id)
                    keys = _inserted(session, Passage.key, [self._passage(each, documents, taken) for each in batch])
                    packed = [{"passage_key": key, "vectors": each} for key, each in zip(keys, vectors, strict=True)]
                    session.connection().execute(insert(PassageVectors), packed)
                for each in batch:
                    documents.passages[each.document] -= 1
                    documents.windows[each.document] -= len(each.windows)
                    rows += 1 + len(each.windows)
                count += len(batch)
        _require_count("passages", count, bundle.manifest.counts.passages)
        _require_count("vectors", rows, bundle.manifest.counts.vectors)

    def write_golden(self, bundle: Bundle) -> None:
        """The golden questions, each checked as one that is uploaded, and no more than can be uploaded."""
        count = 0
        for batch in in_parts(bundle.records(GOLDEN, GoldenRecord, MOST_BYTES), _ROWS):
            rows = [self._golden(number, each) for number, each in enumerate(batch, start=count + 1)]
            count += len(rows)
            if count > MOST_QUESTIONS:
                raise BadBundle(f"The bundle has more than {MOST_QUESTIONS:,} golden questions.")
            with self._batch() as session:
                session.connection().execute(insert(GoldenQuestion), rows)
        _require_count("golden questions", count, bundle.manifest.counts.golden_questions)

    def publish(self, scope: Scope, name: str) -> None:
        """Everything becomes visible at once. Raises `Conflict` when the name was taken meanwhile."""
        visible = {"workspace_id": scope.workspace_id, "name": name, "change": _FIRST_CHANGE, "created_at": now()}
        try:
            with self._batch() as session:
                session.execute(update(KnowledgeBase).where(KnowledgeBase.id == self.row.id).values(visible))
                of_base = Generation.knowledge_base_id == self.row.id
                session.execute(update(Generation).where(of_base).values(change=_FIRST_CHANGE))
        except IntegrityError as error:
            raise name_is_taken(name) from error
        for column, value in visible.items():
            setattr(self.row, column, value)
        self.row.generation.change = _FIRST_CHANGE

    @contextmanager
    def _batch(self) -> Iterator[Session]:
        """A transaction that first renews the sign of life. Raises `Conflict` when it came too late."""
        with self.services.database.write() as session:
            mine = (KnowledgeBase.id == self.row.id, KnowledgeBase.workspace_id == STAGING)
            renewed = update(KnowledgeBase).where(*mine).values(created_at=now()).returning(KnowledgeBase.id)
            if session.execute(renewed.execution_options(synchronize_session=False)).first() is None:
                raise Conflict("The import stood still so long that it was taken for dead and removed; begin anew.")
            yield session

    def _live(self) -> None:
        with self._batch():
            pass

    def _document(self, record: DocumentRecord, paths: Sequence[str], taken: set[str]) -> dict[str, Any]:
        if record.file is not None and record.file >= len(paths):
            raise BadBundle(f"A document names file {record.file}, but there are {len(paths)}.")
        return {
            "id": new_id() if record.id in taken else record.id,
            "knowledge_base_id": self.row.id,
            "external_id": record.external_id,
            "title": record.title,
            "version": record.version,
            "status": "ready_with_warnings" if record.warnings else "ready",
            "media_type": record.media_type,
            "language": record.language,
            "content_hash": record.content_hash,
            "file_path": "" if record.file is None else paths[record.file],
            "facets": record.facets,
            "edits": record.edits,
            "is_public": record.is_public,
            "warnings": [list(warning) for warning in record.warnings],
            "page_count": record.page_count,
            "passage_count": record.passage_count,
            "window_count": record.window_count,
            "created_at": record.created_at,
            "updated_at": record.updated_at,
        }

    def _in_generation(self, key: int, row: Mapping[str, Any]) -> dict[str, Any]:
        shared = ("version", "status", "warnings", "page_count", "passage_count", "window_count")
        return {
            "generation_id": self.row.generation_id,
            "document_key": key,
            **{name: row[name] for name in shared},
        }

    def _page(self, record: PageRecord, documents: StagedDocuments) -> dict[str, Any]:
        return {"generation_id": self.row.generation_id, **_page(record, documents)}

    def _passage(self, record: PassageRecord, documents: StagedDocuments, taken: set[str]) -> dict[str, Any]:
        return {
            "id": new_id() if record.id in taken else record.id,
            "knowledge_base_id": self.row.id,
            "generation_id": self.row.generation_id,
            "document_key": documents.key(record.document),
            "added_change": _FIRST_CHANGE,
            "ordinal": record.ordinal,
            "heading_path": record.heading_path,
            "spans": [list(span) for span in record.spans],
            "windows": [list(window) for window in record.windows],
            "first_page": min(page for page, *_ in record.spans),
            "last_page": max(page for page, *_ in record.spans),
            "page_label": record.page_label,
            "text": record.text,
            "content_hash": record.content_hash,
        }

    def _golden(self, number: int, record: GoldenRecord) -> dict[str, Any]:
        try:
            question = checked_question(record.model_dump())
        except BadRequest as error:
            raise BadBundle(f"Golden question {number} cannot be used. {error.message}") from error
        return {"knowledge_base_id": self.row.id, "name": question.id, "record": record_of(question)}

    def _vector_bytes(self, record: PassageRecord) -> int:
        return (1 + len(record.windows)) * self.row.generation.dimension * 2

    def _vectors(self, packed: bytes) -> bytes:
        if not np.isfinite(np.frombuffer(packed, "<f2")).all():
            raise BadBundle("A vector holds NaN or Infinity.")
        return packed


def name_is_taken(name: str) -> Conflict:
    return Conflict(f"There is a knowledge base {name!r} already; import it under another name.", {"name": name})


def _stored_path(knowledge_base_id: str, record: FileRecord) -> str:
    """Where the file will lie. Raises `BadBundle` for a name that is more than a file's name."""
    try:
        name = checked_file_name(record.name)
    except ValueError as error:
        raise BadBundle(f"A file of the bundle has a name that cannot be used. {error}") from error
    if "/" in name:
        raise BadBundle(f"A file of the bundle is named {name!r}: a name has no slashes.")
    return files.stored_path(knowledge_base_id, record.sha256, name)


def _page(record: PageRecord, documents: StagedDocuments) -> dict[str, Any]:
    try:
        source_map = record.source_runs()
    except ValueError as error:
        raise BadBundle(f"Page {record.number} of document {record.document} cannot be used: {error}.") from error
    return {
        "document_key": documents.key(record.document),
        "number": record.number,
        "label": record.label,
        "text": record.text,
        "source_map": source_map,
    }


def _require_spans(session: Session, batch: Sequence[PassageRecord], documents: StagedDocuments) -> None:
    """Raises `BadBundle` unless every span lies in the text of a page, and every window in its passage."""
    pages = [page for record in batch for page, *_ in record.spans]
    of_batch = Page.document_key.in_({documents.key(record.document) for record in batch})
    lengths_query = select(Page.document_key, Page.number, func.length(Page.text)).where(
        of_batch, Page.number.between(min(pages), max(pages))
    )
    lengths = {(key, number): length for key, number, length in session.execute(lengths_query)}
    for record in batch:
        for page, start, end, _ in record.spans:
            if not start <= end <= lengths.get((documents.key(record.document), page), -1):
                where = "its document" if page == NO_PAGE else f"page {page}"
                raise BadBundle(f"The passage {record.id} says that it stands where {where} has no text.")
        if any(not start <= end <= len(record.text) for start, end in record.windows):
            raise BadBundle(f"A window of the passage {record.id} lies outside of it.")


def _taken(
    session: Session, column: InstrumentedAttribute[str], ids: Sequence[str], knowledge_base_id: str
) -> set[str]:
    """Those of `ids` that other knowledge bases have. What is twice in the bundle, the database refuses."""
    of_others = column.class_.knowledge_base_id != knowledge_base_id
    return set(session.scalars(select(column).where(column.in_(ids), of_others)))


def _inserted(session: Session, key: InstrumentedAttribute[int], rows: Sequence[dict[str, Any]]) -> list[int]:
    """Inserts the rows and returns their keys, which ascend in the same order."""
    statement = insert(key.class_).returning(key, sort_by_parameter_order=True)
    return list(session.connection().execute(statement, list(rows)).scalars())


def _require_count(what: str, found: int, expected: int) -> None:
    if found != expected:
        raise BadBundle(f"The bundle has {found} {what}, but its manifest says {expected}.")
