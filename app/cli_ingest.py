"""`answerdesk ingest`: files and folders into a knowledge base, with progress, until they can be asked.

Owns which files a folder stands for, and the wait. Files go the same way as uploads (`app.documents.accept`), and
the work is the worker's (`app.worker`), in this process beside whatever worker may be running already.
"""

import hashlib
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from sqlalchemy import select

from app.bootstrap import Services
from app.cli_verbs import SCOPE, services_for
from app.cli_working import working_here
from app.db import in_parts
from app.documents import RejectedFile, accept
from app.errors import BadRequest, NotFound, TooLargeRequest, UnsupportedUpload
from app.folders import documents_below
from app.knowledge_bases import NewKnowledgeBase, create_knowledge_base
from app.models import Document, Job, new_id
from app.settings import Settings
from app.shapes import DocumentShape, ErrorBody
from app.uploads import ReceivedFile, Upload, checked_name
from ingestion.detect import SUPPORTED_SUFFIXES

_FILES_AT_ONCE = 200
_ENDED = ("done", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of every source: its documents, what was refused or failed, and what jobs that ended well say."""

    knowledge_base: str
    documents: list[DocumentShape]
    failed_sources: list[RejectedFile]
    notes: list[str]
    seconds: float

    @property
    def has_failures(self) -> bool:
        return bool(self.failed_sources) or any(document.status == "failed" for document in self.documents)

    def as_json(self) -> dict[str, Any]:
        return {
            "knowledge_base": self.knowledge_base,
            "documents": [document.model_dump(mode="json") for document in self.documents],
            "notes": self.notes,
            "failed": [each.model_dump(mode="json") for each in self.failed_sources],
            "seconds": round(self.seconds, 3),
        }

    def summary(self) -> str:
        ready = [document for document in self.documents if document.status.startswith("ready")]
        pages, passages = (sum(getattr(document, name) for document in ready) for name in ("pages", "passages"))
        lines = [
            f"{len(ready):,} documents can be asked in {self.knowledge_base}: {pages:,} pages, {passages:,} passages, "
            f"{self.seconds:.1f} s."
        ]
        lines += self.notes
        lines += [f"Failed: {each.external_id}: {each.message}" for each in self.documents if each.status == "failed"]
        lines += [f"Refused: {each.name}: {each.error.message}" for each in self.failed_sources]
        return "\n".join(lines)


def ingest(settings: Settings, name: str, paths: Sequence[Path], *, console: Console) -> Outcome:
    """Makes the knowledge base if it is missing. Raises `BadRequest` for paths that do not exist."""
    started = time.perf_counter()
    services = services_for(settings)
    make_if_missing(services, name, console)
    documents, jobs, refused = _queue(services, name, _files(paths))
    work_until_done(services, jobs, console)
    return Outcome(name, *_results(services, documents, jobs, refused), time.perf_counter() - started)


def make_if_missing(services: Services, name: str, console: Console) -> None:
    try:
        with services.database.read() as session:
            SCOPE.knowledge_base(session, name)
    except NotFound:
        create_knowledge_base(services, SCOPE, NewKnowledgeBase(name=name))
        console.print(f"Made the knowledge base {name}.")


def _files(paths: Sequence[Path]) -> list[tuple[Path, str]]:
    """Each file with its external id: its name, or its path inside the folder that was given."""
    found: list[tuple[Path, str]] = []
    for path in paths:
        if path.is_dir():
            found += [(file, name) for name, file in documents_below(path, _refuse)]
        elif path.is_file():
            found.append((path, path.name))
        else:
            raise BadRequest(f"There is no file or folder {path}.")
    if not found:
        raise BadRequest(f"The folder holds no file of a known type ({', '.join(SUPPORTED_SUFFIXES)}).")
    return found


def _refuse(error: OSError) -> None:
    raise BadRequest(f"{error.filename} cannot be read: {error.strerror}; nothing was taken in.") from error


def _queue(
    services: Services, name: str, found: Sequence[tuple[Path, str]]
) -> tuple[set[str], set[str], list[RejectedFile]]:
    """Ids of the documents and jobs, and what was refused at once."""
    documents: set[str] = set()
    jobs: set[str] = set()
    refused: list[RejectedFile] = []
    for some in in_parts(found, _FILES_AT_ONCE):
        with _as_upload(services.settings, some) as upload:
            try:
                result = accept(services, SCOPE, name, upload)
            except (BadRequest, TooLargeRequest, UnsupportedUpload) as error:
                refused += [RejectedFile.model_validate(each) for each in _rejected(error)]
                continue
        documents |= {document.id for document in result.documents}
        jobs |= {job.id for job in result.jobs}
        refused += result.rejected
    return documents, jobs, refused


def _rejected(error: BadRequest | TooLargeRequest | UnsupportedUpload) -> list[Any]:
    """The files named in an error that refused all of them; any other error is raised again."""
    rejected = error.details.get("rejected")
    if not isinstance(rejected, list):
        raise error
    return rejected


@contextmanager
def _as_upload(settings: Settings, found: Sequence[tuple[Path, str]]) -> Iterator[Upload]:
    """Copies of the files, in the form in which the API receives them."""
    folder = settings.files_folder / "incoming" / new_id()
    folder.mkdir(parents=True)
    try:
        limit = settings.ingestion.max_file_mb * 2**20
        yield Upload(files=[_copy(path, name, folder / str(at), limit) for at, (path, name) in enumerate(found)])
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _copy(path: Path, name: str, folder: Path, limit: int) -> ReceivedFile:
    size = path.stat().st_size
    copy = ReceivedFile(name=checked_name(name), path=folder / path.name, size=size)
    if size > limit:
        copy.error = ("too_large", f"{path.name} has {size / 2**20:.0f} MiB; at most {limit // 2**20} are allowed.")
        return copy
    folder.mkdir()
    shutil.copyfile(path, copy.path)
    with copy.path.open("rb") as file:
        copy.content_hash = hashlib.file_digest(file, "sha256").hexdigest()
    return copy


def work_until_done(services: Services, jobs: set[str], console: Console) -> None:
    """Works in a thread of this process, and shows how far the jobs are, whoever works on them."""
    with working_here(services) as worker, _bar(console) as bar:
        _show_until_ended(services, jobs, worker, bar)


def _show_until_ended(services: Services, jobs: set[str], worker: threading.Thread, bar: Progress) -> None:
    sources = bar.add_task("sources", total=len(jobs), visible=len(jobs) > 1)
    shown: dict[str, Any] = {}
    waiting = set(jobs)
    while waiting and worker.is_alive():
        with services.database.read() as session:
            columns = (Job.id, Job.external_id, Job.status, Job.stage, Job.done, Job.total)
            rows = session.execute(select(*columns).where(Job.id.in_(sorted(waiting)[:_FILES_AT_ONCE]))).all()
        for id_, external_id, status, stage, done, total in rows:
            if status in _ENDED:
                waiting.discard(id_)
                bar.update(sources, advance=1)
                if id_ in shown:
                    bar.remove_task(shown.pop(id_))
            elif status == "running":
                if id_ not in shown:
                    shown[id_] = bar.add_task(external_id, total=None)
                bar.update(shown[id_], description=f"{external_id}: {stage}", completed=done, total=total)
        time.sleep(0.1)


def _bar(console: Console) -> Progress:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, TimeRemainingColumn(), console=console, transient=True)


def _results(
    services: Services, documents: set[str], jobs: set[str], refused: list[RejectedFile]
) -> tuple[list[DocumentShape], list[RejectedFile], list[str]]:
    """The documents as they are now, those of many-record sources included, the sources that failed, and notes."""
    found: list[DocumentShape] = []
    notes: list[str] = []
    failed = list(refused)
    with services.database.read() as session:
        for part in in_parts(sorted(documents)):
            rows = session.scalars(select(Document).where(Document.id.in_(part)))
            found += [DocumentShape.of(row) for row in rows]
        for part in in_parts(sorted(jobs)):
            rows = session.scalars(select(Document).where(Document.job_id.in_(part), Document.id.not_in(documents)))
            found += [DocumentShape.of(row) for row in rows]
            ended_badly = select(Job).where(Job.id.in_(part), Job.status.in_(("failed", "cancelled")))
            named = {document.external_id for document in found if document.status == "failed"}
            failed += [
                RejectedFile(name=job.external_id, error=ErrorBody(code=job.status, message=job.message))
                for job in session.scalars(ended_badly)
                if job.external_id not in named
            ]
            ended_well = select(Job.external_id, Job.message).where(Job.id.in_(part), Job.status == "done")
            notes += [f"{name}: {message}" for name, message in session.execute(ended_well) if message]
    return found, failed, notes
