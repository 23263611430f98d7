"""The uploaded files: where they lie, and when they may go.

    <files folder>/<knowledge base>/<SHA-256>/<name it was uploaded under>

Owns names and removal of the stored files. A file is there as long as a document or a job names it; both sides
take the knowledge base's row lock, so that a file is never removed while an upload of the same content comes in.
Rows go first, so a process that dies in between leaves files behind; `remove_left_behind` finds them.
Knows nothing of requests and formats.
"""

import logging
import re
import shutil
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path, PurePosixPath

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from app.db import Database
from app.errors import NotFound
from app.models import Document, Job, KnowledgeBase
from ingestion.errors import TransientError

_LOG = logging.getLogger(__name__)

_ABANDONED_AFTER_S = 86_400
_LONGEST_STEM = 180  # bytes; file systems take names of 255
_LONGEST_SUFFIX = 12
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


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
        with suppress(FileNotFoundError):  # its owner, or another worker, was faster
            if time.time() - folder.stat().st_mtime > _ABANDONED_AFTER_S:
                shutil.rmtree(folder)


def journal_path(files_folder: Path, job_id: str) -> Path:
    """Where a worker keeps what it has done of a job's long document."""
    return files_folder / "journals" / job_id


def remove_abandoned_journals(database: Database, files_folder: Path) -> None:
    """Removes the journals of jobs that will not be gone on with, and the copies of workers that died over them."""
    paths = list((files_folder / "journals").glob("*"))
    # Read after the folder: the journals of jobs that have begun since then are not among the paths.
    with database.read() as session:
        unfinished = {id_ for (id_,) in session.execute(select(Job.id).where(Job.status.in_(("queued", "running"))))}
    for path in paths:
        with suppress(FileNotFoundError):  # another worker was faster
            is_old = time.time() - path.stat().st_mtime > _ABANDONED_AFTER_S
            if path.name not in unfinished and (is_old or "." not in path.name):
                path.unlink()


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


def announce_removal(files_folder: Path, knowledge_base_id: str) -> None:
    """Notes that a knowledge base's folders are to go, before its row does: a crash in between is made up for later."""
    note = _removals(files_folder) / knowledge_base_id
    note.parent.mkdir(parents=True, exist_ok=True)
    note.touch()


def remove_folders(files_folder: Path, index_folder: Path, knowledge_base_id: str) -> None:
    """Removes what is on disk of a knowledge base whose row has gone.

    What a worker is just writing there may be in the way; then `remove_left_behind` tries again.
    """
    try:
        for folder in (files_folder / knowledge_base_id, index_folder / knowledge_base_id):
            if folder.exists():
                shutil.rmtree(folder)
    except OSError as error:
        _LOG.info("A deleted knowledge base's folder is removed later: %s", error)
    else:
        (_removals(files_folder) / knowledge_base_id).unlink(missing_ok=True)


def remove_left_behind(database: Database, files_folder: Path, index_folder: Path, *, spared_workspace: str) -> int:
    """Removes what processes that died have left of things that were deleted or replaced; how many files and folders.

    Uploaded files go only where their knowledge base is known, or was deleted by us: a database that is not this
    folder's (a wrong setting, an empty one) must not cost them. Knowledge bases of the spared workspace are passed
    over: they are being made, files first.
    """
    announced = [note.name for note in _removals(files_folder).glob("*")]
    indexes = [folder.name for folder in index_folder.glob("*") if _ID.fullmatch(folder.name)]
    stored = {
        path.relative_to(files_folder).as_posix()
        for path in files_folder.glob("*/*/*")
        if _ID.fullmatch(path.parts[-3])
    }
    # Read after the folders: what lies there has its row by now, unless that was deleted.
    with database.read() as session:
        bases = session.execute(select(KnowledgeBase.id, KnowledgeBase.workspace_id))
        workspaces = {row.id: row.workspace_id for row in bases}
        named = {*session.scalars(select(Document.file_path)), *session.scalars(select(Job.source_path))}
    deleted = {id_ for id_ in (*announced, *indexes) if id_ not in workspaces}
    for id_ in deleted.intersection(announced):
        remove_folders(files_folder, index_folder, id_)
    for id_ in deleted.difference(announced):
        shutil.rmtree(index_folder / id_, ignore_errors=True)
    unnamed: dict[str, list[str]] = {}
    for path in stored - named:
        id_ = path.partition("/")[0]
        if workspaces.get(id_, spared_workspace) != spared_workspace:
            unnamed.setdefault(id_, []).append(path)
    for id_, paths in unnamed.items():
        with suppress(NotFound):  # deleted meanwhile, by somebody who sees to the files
            release(database, files_folder, id_, paths)
    return len(deleted) + sum(map(len, unnamed.values()))


def _removals(files_folder: Path) -> Path:
    return files_folder / "removals"
