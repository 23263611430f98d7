"""The uploaded files: where they lie, and when they may go.

    <files folder>/<knowledge base>/<SHA-256>/<name it was uploaded under>

Owns names and removal of the stored files. A file is there as long as a document or a job names it; both sides
take the knowledge base's row lock, so that a file is never removed while an upload of the same content comes in.
Knows nothing of requests and formats.
"""

import shutil
import time
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from app.db import Database
from app.errors import NotFound
from app.models import Document, Job, KnowledgeBase
from ingestion.errors import TransientError

_ABANDONED_AFTER_S = 86_400
_LONGEST_STEM = 180  # bytes; file systems take names of 255
_LONGEST_SUFFIX = 12


def lock_knowledge_base(session: Session, knowledge_base_id: str) -> None:
    """Keeps others from changing the knowledge base's documents and files until the transaction ends.

    Raises `NotFound` when it has been deleted.
    """
    query = select(KnowledgeBase.id).where(KnowledgeBase.id == knowledge_base_id).with_for_update()
    if session.scalar(query) is None:
        raise NotFound("The knowledge base has been deleted.", {"knowledge_base": knowledge_base_id})


def incoming_folder(files_folder: Path) -> Path:
    """Where uploads arrive; on the same file system, so that keeping them is a rename."""
    return files_folder / "incoming"


def remove_abandoned_uploads(files_folder: Path) -> None:
    """Removes what processes that died have left of uploads more than a day ago."""
    for folder in incoming_folder(files_folder).glob("*"):
        if time.time() - folder.stat().st_mtime > _ABANDONED_AFTER_S:
            shutil.rmtree(folder)


def journal_path(files_folder: Path, job_id: str) -> Path:
    """Where a worker keeps what it has done of a job's long document."""
    return files_folder / "journals" / job_id


def remove_abandoned_journals(database: Database, files_folder: Path) -> None:
    """Removes the journals of jobs that will not be gone on with, and the copies of workers that died over them."""
    with database.read() as session:
        unfinished = {id_ for (id_,) in session.execute(select(Job.id).where(Job.status.in_(("queued", "running"))))}
    for path in (files_folder / "journals").glob("*"):
        is_old = time.time() - path.stat().st_mtime > _ABANDONED_AFTER_S
        if path.name not in unfinished and (is_old or "." not in path.name):
            path.unlink(missing_ok=True)


def stored_path(knowledge_base_id: str, content_hash: str, name: str) -> str:
    """Where this content of a file called `name` (a checked name) lies, relative to the files folder.

    The name is kept because parsers tell the format by its extension, and fall back on it for a title.
    """
    base = PurePosixPath(name)
    stem = base.stem.encode()[:_LONGEST_STEM].decode(errors="ignore")
    return f"{knowledge_base_id}/{content_hash}/{stem}{base.suffix[:_LONGEST_SUFFIX]}"


def keep(files_folder: Path, received: Path, path: str) -> None:
    """Moves a received file to its place; the caller holds the knowledge base's lock."""
    place = files_folder / path
    place.parent.mkdir(parents=True, exist_ok=True)
    received.replace(place)


def open_path(files_folder: Path, path: str) -> Path:
    """The stored file. Raises `TransientError` when it is not there (a volume that is not mounted, say)."""
    place = files_folder / path
    if not place.is_file():
        raise TransientError(f"The stored file {path} is missing; is {files_folder} complete and readable?")
    return place


def release(database: Database, files_folder: Path, knowledge_base_id: str, paths: Iterable[str]) -> None:
    """Removes those of `paths` that no document and no job names any more. Called after their rows have gone."""
    for path in sorted(set(paths) - {""}):
        with database.write() as session:
            lock_knowledge_base(session, knowledge_base_id)
            named = select(
                exists().where(Document.knowledge_base_id == knowledge_base_id, Document.file_path == path)
                | exists().where(Job.knowledge_base_id == knowledge_base_id, Job.source_path == path)
            )
            if not session.scalar(named):
                place = files_folder / path
                place.unlink(missing_ok=True)
                if place.parent.is_dir() and not any(place.parent.iterdir()):
                    place.parent.rmdir()
