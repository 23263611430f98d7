"""A knowledge base into a bundle, as it was at one change number, while uploads go on.

Owns what of a knowledge base is exported and in which order; the file is `app.bundle.format`. Only what answers is in
it, of documents as of generations: documents that wait, are being read or never could be read are counted and left out.
Rows and files stream through; what stays in memory is one number a document.
"""

import base64
import errno
import hashlib
import os
import shutil
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import IO, Any

from pydantic import ValidationError
from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from app import files
from app.bootstrap import Services
from app.bundle.format import PIECE, BundleWriter
from app.bundle.records import (
    DOCUMENTS,
    FILE_BYTES,
    FILES,
    GOLDEN,
    PAGES,
    PASSAGES,
    VECTORS,
    Counts,
    DocumentRecord,
    FileRecord,
    GoldenRecord,
    KnowledgeBaseRecord,
    Manifest,
    PageRecord,
    PassageRecord,
)
from app.errors import Conflict
from app.models import Document, GoldenQuestion, KnowledgeBase, Page, Passage, PassageVectors, new_id, now
from app.scope import Scope

_ROWS = 256  # fetched at once
_NO_LINKS = frozenset({errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP})
"""What file systems without hard links say, among them some network ones."""


@dataclass(frozen=True, slots=True)
class _Frozen:
    """A knowledge base as it stands in one read transaction; `linked` holds its files, named by their numbers."""

    session: Session
    row: KnowledgeBase
    linked: Path

    def documents(self, *columns: Any) -> Select[Any]:
        return select(*columns).where(Document.knowledge_base_id == self.row.id, Document.version > 0)

    def rows(self, query: Select[Any]) -> Iterator[Any]:
        return iter(self.session.execute(query.execution_options(yield_per=_ROWS)))


def export_bundle(services: Services, scope: Scope, id_or_name: str, output: IO[bytes]) -> Manifest:
    """Writes the bundle of a knowledge base and returns its manifest.

    Raises `NotFound`, or `Conflict` when the uploaded file of a document is not there, or a golden question cannot be
    read again.
    """
    with _frozen(services, scope, id_or_name) as frozen, BundleWriter(output) as writer:
        number_of_files = _write_files(writer, frozen)
        keys = _write_documents(writer, frozen)
        pages = _write_pages(writer, frozen, keys)
        passages = _write_passages(writer, frozen, keys)
        vectors = _write_vectors(writer, frozen)
        golden_questions = _write_golden(writer, frozen)
        all_documents = select(func.count()).where(Document.knowledge_base_id == frozen.row.id)
        counts = Counts(
            files=number_of_files,
            documents=len(keys),
            pages=pages,
            passages=passages,
            vectors=vectors,
            left_out=(frozen.session.scalar(all_documents) or 0) - len(keys),
            golden_questions=golden_questions,
        )
        return writer.finish(now(), f"answerdesk {version('answerdesk')}", _knowledge_base(frozen.row), counts)


@contextmanager
def _frozen(services: Services, scope: Scope, id_or_name: str) -> Iterator[_Frozen]:
    """The read transaction begins while the knowledge base is locked, so that rows and files are of one moment.

    Files are linked, not copied: an upload that replaces one meanwhile takes its name away and not its content. Where
    there are no links they are copied, without the lock, because that takes long: what is then replaced is missed.
    """
    files_folder = services.settings.files_folder
    linked = files.incoming_folder(files_folder) / new_id()
    linked.mkdir(parents=True)
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, linked, ignore_errors=True)
        with services.database.write() as locking:
            found = scope.knowledge_base(locking, id_or_name)
            files.lock_knowledge_base(locking, found.id)
            session = stack.enter_context(services.database.read())
            frozen = _Frozen(session, session.get_one(KnowledgeBase, found.id), linked)
            paths = list(enumerate(_paths(frozen)))
            unlinked = [(n, path) for n, path in paths if not _is_linked(files_folder, path, linked / str(n))]
        for number, path in unlinked:
            _copy(files_folder, path, linked / str(number))
        yield frozen


def _paths(frozen: _Frozen) -> Iterator[str]:
    """Every uploaded file once, in the order that numbers them."""
    paths = frozen.documents(Document.file_path).where(Document.file_path != "").distinct()
    return (row.file_path for row in frozen.rows(paths.order_by(Document.file_path)))


def _is_linked(files_folder: Path, path: str, link: Path) -> bool:
    try:
        os.link(files_folder / path, link)
    except FileNotFoundError as error:
        raise Conflict(
            f"The uploaded file {path} is missing, so the knowledge base cannot be exported whole: is {files_folder} "
            "complete and readable? If the file is lost, upload it again or delete its documents.",
            {"file": path},
        ) from error
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return False
    return True


def _copy(files_folder: Path, path: str, copy: Path) -> None:
    """Raises `Conflict` when the file has gone, or is not the one whose hash is in its path."""
    replaced = Conflict(f"The uploaded file {path} was replaced during the export; export again.", {"file": path})
    try:
        shutil.copyfile(files_folder / path, copy)
    except FileNotFoundError as error:
        raise replaced from error
    with copy.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != PurePosixPath(path).parent.name:
            raise replaced


def _write_files(writer: BundleWriter, frozen: _Frozen) -> int:
    number = -1
    with writer.member(FILES) as member:
        for number, path in enumerate(_paths(frozen)):
            with (frozen.linked / str(number)).open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
                member.write_record(FileRecord(name=PurePosixPath(path).name, bytes=file.tell(), sha256=digest))
    with writer.member(FILE_BYTES) as member:
        for each in range(number + 1):
            with (frozen.linked / str(each)).open("rb") as file:
                while piece := file.read(PIECE):
                    member.write(piece)
    return number + 1


def _write_documents(writer: BundleWriter, frozen: _Frozen) -> "array[int]":
    """The documents' keys, ascending: a document's place among them is its number in the bundle."""
    keys = array("q")
    number = func.dense_rank().over(order_by=Document.file_path)
    without_file = frozen.documents(Document.key).where(Document.file_path == "").limit(1)
    first = 1 if frozen.session.scalar(without_file) is None else 2  # the empty path comes first in every order
    with writer.member(DOCUMENTS) as member:
        for document, rank in frozen.rows(frozen.documents(Document, number).order_by(Document.key)):
            keys.append(document.key)
            member.write_record(_document(document, rank - first if document.file_path else None))
            frozen.session.expunge(document)
    return keys


def _document(row: Document, file: int | None) -> DocumentRecord:
    return DocumentRecord(
        id=row.id,
        external_id=row.external_id,
        title=row.title,
        version=row.version,
        media_type=row.media_type,
        language=row.language,
        content_hash=row.content_hash,
        file=file,
        facets=row.facets,
        edits=row.edits or {},
        is_public=row.is_public,
        warnings=[(page, message) for page, message in row.warnings],
        page_count=row.page_count,
        passage_count=row.passage_count,
        window_count=row.window_count,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _write_pages(writer: BundleWriter, frozen: _Frozen, keys: "array[int]") -> int:
    columns = (Page.document_key, Page.number, Page.label, Page.text, Page.source_map)
    of_generation = Page.generation_id == frozen.row.generation_id
    query = frozen.documents(*columns).join(Document, Document.key == Page.document_key).where(of_generation)
    count = 0
    with writer.member(PAGES) as member:
        for key, number, label, text, source_map in frozen.rows(query.order_by(Page.document_key, Page.number)):
            packed = base64.b64encode(source_map).decode()
            place = bisect_left(keys, key)
            member.write_record(PageRecord(document=place, number=number, label=label, text=text, source_map=packed))
            count += 1
    return count


def _write_passages(writer: BundleWriter, frozen: _Frozen, keys: "array[int]") -> int:
    query = select(Passage).where(Passage.generation_id == frozen.row.generation_id).order_by(Passage.key)
    count = 0
    with writer.member(PASSAGES) as member:
        for (row,) in frozen.rows(query):
            member.write_record(_passage(row, bisect_left(keys, row.document_key)))
            frozen.session.expunge(row)
            count += 1
    return count


def _passage(row: Passage, document: int) -> PassageRecord:
    return PassageRecord(
        id=row.id,
        document=document,
        ordinal=row.ordinal,
        heading_path=row.heading_path,
        spans=[(page, start, end, *(rest or (None,))) for page, start, end, *rest in row.spans],
        windows=[(start, end) for start, end in row.windows],
        page_label=row.page_label,
        text=row.text,
        content_hash=row.content_hash,
    )


def _write_vectors(writer: BundleWriter, frozen: _Frozen) -> int:
    """In the passages' order; how many rows."""
    query = (
        select(PassageVectors.vectors)
        .join(Passage, Passage.key == PassageVectors.passage_key)
        .where(Passage.generation_id == frozen.row.generation_id)
        .order_by(Passage.key)
    )
    with writer.member(VECTORS) as member:
        for (packed,) in frozen.rows(query):
            member.write(packed)
    return member.bytes // (2 * frozen.row.generation.dimension)


def _write_golden(writer: BundleWriter, frozen: _Frozen) -> int:
    """The questions, without the runs that asked them: these name generations. How many."""
    query = select(GoldenQuestion.name, GoldenQuestion.record)
    query = query.where(GoldenQuestion.knowledge_base_id == frozen.row.id).order_by(GoldenQuestion.id)
    count = 0
    with writer.member(GOLDEN) as member:
        for name, record in frozen.rows(query):
            try:
                member.write_record(GoldenRecord.model_validate(record))
            except ValidationError as error:
                reason = error.errors()[0]["msg"]
                raise Conflict(
                    f"The golden question {name!r} cannot be exported ({reason}): change or remove it.", {"name": name}
                ) from error
            count += 1
    return count


def _knowledge_base(row: KnowledgeBase) -> KnowledgeBaseRecord:
    return KnowledgeBaseRecord(
        id=row.id,
        name=row.name,
        language=row.language,
        embedder=row.generation.embedder,
        dimension=row.generation.dimension,
        chunker_version=row.generation.chunker_version,
        chunker=row.generation.chunker,
        settings=row.settings,
        change=row.change,
    )
