"""The job queue: a table with one row per uploaded source.

    queued ──claim──> running ──> done
      ^  ^              │ │ └──> failed      permanent, or too many attempts
      │  └──later/release │
      └──retry── failed, cancelled <──cancel── queued, running

Owns who works on what, for how long (the lease), and what becomes of a source's documents when its job ends.
Knows nothing of files, parsers and indexes. Uploads go first: sources that are read again for another generation
(`app.generation_build`) are taken only when no upload waits, and their jobs touch no document's status.

A claim is good as long as its lease: whoever writes for a job first takes `hold` in the same transaction, so that a
worker that was thought dead can never write beside its successor. Locks are taken in the order knowledge base,
job, document everywhere. Leases compare the clocks of the machines: they must agree within a few seconds.
"""

import logging
import os
import socket
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from threading import Event, Thread
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, or_, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app.db import Database, in_parts
from app.errors import Conflict
from app.models import Document, Job, new_id, now
from ingestion.detect import HOLDS_SEVERAL

_LOG = logging.getLogger(__name__)

UNFINISHED_STATUSES = ("queued", "parsing", "embedding", "indexing")
"""Statuses of a document whose source is still waiting or being read."""

_FIRST_DELAY_S = 5.0
_LONGEST_DELAY_S = 300.0


class JobStatus(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


LIVE = (JobStatus.QUEUED, JobStatus.RUNNING)
UNREAD = (*LIVE, JobStatus.FAILED, JobStatus.CANCELLED)
"""Of these something may still be read: those that ended can be tried again."""


class LeaseLost(Exception):
    """The job is no longer this worker's: cancelled, deleted, replaced, or taken over after a long silence."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A job that this worker holds. `owner` is unlike that of every other claim, also of the same worker."""

    job_id: str
    owner: str
    attempt: int
    knowledge_base_id: str
    source_name: str
    source_path: str
    external_id: str
    content_hash: str
    media_type: str
    facets: Mapping[str, Any]
    is_public: bool | None
    """Whether visitors may see its documents; None leaves those that there are as they are."""
    generation_id: str | None
    """The generation that the source is read again for; None for an upload."""


def enqueue(session: Session, job: Job, *, takes_over: bool = True) -> list[str]:
    """Adds a job in the place of those before it for the same source; returns what `withdraw` does.

    It takes their documents over, so that those which the source has no longer can be told when it has been read.
    """
    before = and_(Job.knowledge_base_id == job.knowledge_base_id, Job.external_id == job.external_id)
    _locked(session, before)  # a worker may be adding documents to them
    of_source = select(Document.key).join(Job, Job.id == Document.job_id).where(before)
    keys = session.scalars(of_source).all() if takes_over else []
    replaced = withdraw(session, job)
    session.add(job)
    session.flush()
    for some in in_parts(keys):
        session.execute(update(Document).where(Document.key.in_(some)).values(job_id=job.id))
    return replaced


def lock_sources(session: Session, knowledge_base_id: str, external_ids: Collection[str]) -> None:
    """Keeps the jobs about several sources as they are, for a transaction that queues them one after the other.

    Without it a worker with a document of the first and the job of the second would wait for it, and it for the worker.
    """
    for some in in_parts(sorted(external_ids)):
        _locked(session, and_(Job.knowledge_base_id == knowledge_base_id, Job.external_id.in_(some)))


def withdraw(session: Session, job: Job) -> list[str]:
    """Removes all jobs about the same source as `job`; their workers stop at their next write.

    An older version that still answers is ready again. Returns the paths of the files that the jobs were about.
    """
    same_source = and_(
        Job.knowledge_base_id == job.knowledge_base_id,
        Job.external_id == job.external_id,
        Job.generation_id.is_not_distinct_from(job.generation_id),
    )
    withdrawn = _locked(session, same_source)
    for id_ in withdrawn:
        _settle_documents(session, id_, JobStatus.CANCELLED, "Replaced by a newer upload.")
    session.execute(delete(Job).where(same_source))
    return list(withdrawn.values())


def cancel(session: Session, job: Job) -> None:
    """Ends a waiting or running job; its worker stops at its next write. Raises `Conflict` when it has ended."""
    cancelled = session.execute(
        update(Job)
        .where(Job.id == job.id, Job.status.in_(LIVE))
        .values(_ended(JobStatus.CANCELLED, "Cancelled."))
        .returning(Job.id)
    )
    if cancelled.first() is None:
        raise Conflict(f"{job.source_name} has ended already: there is nothing to cancel.", {"job": job.id})
    _settle_documents(session, job.id, JobStatus.CANCELLED, "Cancelled.")


def leave_out(session: Session, knowledge_base_id: str, external_id: str) -> None:
    """Keeps uploads that wait, are being read or may be tried again from bringing back a document being deleted.

    The caller holds the knowledge base's lock. A new upload of the source does bring it back.
    """
    unread = (Job.status.in_(UNREAD), Job.generation_id.is_(None), Job.media_type.in_(HOLDS_SEVERAL))
    query = select(Job).where(Job.knowledge_base_id == knowledge_base_id, *unread).order_by(Job.id)
    for job in session.scalars(query.with_for_update()):
        job.removed = [*(job.removed or []), external_id]


def left_out(session: Session, claim: Claim) -> set[str]:
    """External ids of what was deleted since the claimed source was uploaded; asked under the same locks."""
    return set(session.scalar(select(Job.removed).where(Job.id == claim.job_id)) or [])


def retry(session: Session, job: Job) -> None:
    """Puts a failed or cancelled job back, with all its attempts. Raises `Conflict` for any other."""
    queued = session.execute(
        update(Job)
        .where(Job.id == job.id, Job.status.in_((JobStatus.FAILED, JobStatus.CANCELLED)))
        .values(_waiting(None, "") | {"attempts": 0, "finished_at": None})
        .returning(Job.id)
    )
    if queued.first() is None:
        raise Conflict(f"{job.source_name} has not failed: there is nothing to try again.", {"job": job.id})
    unread = or_(Document.status.in_(("failed", "cancelled")), Document.external_id == job.external_id)
    unread_of_job = and_(Document.job_id == job.id, unread)
    session.execute(update(Document).where(unread_of_job).values(status="queued", message=""))


def hold(session: Session, claim: Claim, lease_s: float, **values: Any) -> None:
    """Proves the claim and keeps it until the transaction ends; renews the lease and writes other `values` of the job.

    Raises `LeaseLost` when the job is no longer the claimant's.
    """
    held = session.execute(
        update(Job)
        .where(Job.id == claim.job_id, Job.lease_owner == claim.owner, Job.status == JobStatus.RUNNING)
        .values(lease_until=now() + timedelta(seconds=lease_s), **values)
        .returning(Job.id)
    )
    if held.first() is None:
        raise LeaseLost(f"{claim.source_name} is no longer this worker's job.")


class JobQueue:
    """Claims jobs and reports what became of them. Each method is a transaction; all but `claim` raise `LeaseLost`."""

    def __init__(self, database: Database, lease_s: float, max_attempts: int) -> None:
        self.database = database
        self.lease_s = lease_s
        self.max_attempts = max_attempts
        self._worker = f"{socket.gethostname()[:40]}:{os.getpid()}"

    def claim(self) -> Claim | None:
        """The oldest job that waits, or whose worker has fallen silent; None when there is nothing to do."""
        while True:
            with self.database.read() as session:  # an idle worker must not queue up with the writers
                if session.scalar(select(Job.id).where(_claimable(now())).limit(1)) is None:
                    return None
            with self.database.write() as session:
                uploads_first = (Job.generation_id.is_not(None), Job.created_at, Job.id)
                oldest = select(Job).where(_claimable(now())).order_by(*uploads_first).limit(1)
                job = session.scalar(oldest.with_for_update(skip_locked=True))  # SQLite: the transaction is the lock
                if job is None:
                    return None
                if job.attempts < self.max_attempts:
                    return self._take(session, job)
                message = (
                    f"Given up: the worker died {job.attempts} times while reading this file, last at {job.stage}."
                )
                self._end(session, job.id, JobStatus.FAILED, message)

    def beat(self, claim: Claim) -> None:
        """Renews the lease."""
        with self.database.write() as session:
            hold(session, claim, self.lease_s)

    @contextmanager
    def beating(self, claim: Claim) -> Iterator[None]:
        """Renews the lease from a thread while the block runs: some steps are long and report nothing.

        A lost lease ends the thread only; the block learns of it at its next write.
        """
        stop = Event()

        def beat() -> None:
            while not stop.wait(self.lease_s / 3):
                try:
                    self.beat(claim)
                except LeaseLost:
                    return
                except SQLAlchemyError:
                    _LOG.warning(
                        "The lease of %s could not be renewed; trying again.", claim.source_name, exc_info=True
                    )

        thread = Thread(target=beat, name=f"heartbeat {claim.job_id}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def report(self, claim: Claim, stage: str, done: int, total: int | None, seconds_left: float | None) -> None:
        """Writes the progress into the job and the stage into its documents; renews the lease."""
        with self.database.write() as session:
            hold(session, claim, self.lease_s, stage=stage, done=done, total=total, seconds_left=seconds_left)
            if stage in UNFINISHED_STATUSES:
                behind = and_(
                    Document.job_id == claim.job_id,
                    Document.status.in_(UNFINISHED_STATUSES[:-1]),
                    Document.status != stage,
                )
                session.execute(update(Document).where(behind).values(status=stage))

    def done(self, claim: Claim, message: str = "") -> None:
        """The source has been read; its documents are ready. `message` says what was left out, if anything."""
        with self.database.write() as session:
            hold(session, claim, self.lease_s)
            self._end(session, claim.job_id, JobStatus.DONE, message)

    def failed(self, claim: Claim, message: str) -> None:
        """Another attempt would fail likewise. `message` says what a person can do."""
        with self.database.write() as session:
            hold(session, claim, self.lease_s)
            self._end(session, claim.job_id, JobStatus.FAILED, message)

    def later(self, claim: Claim, message: str) -> None:
        """Another attempt may do better: waits 5, 10, 20... seconds, and fails after the last attempt."""
        if claim.attempt >= self.max_attempts:
            self.failed(claim, f"{message} Tried {claim.attempt} times.")
            return
        delay = min(_FIRST_DELAY_S * 2 ** (claim.attempt - 1), _LONGEST_DELAY_S)
        with self.database.write() as session:
            hold(session, claim, self.lease_s)
            values = _waiting(now() + timedelta(seconds=delay), message)
            session.execute(update(Job).where(Job.id == claim.job_id).values(values))
            self._requeue_documents(session, claim.job_id, f"{message} Trying again in {delay:.0f} seconds.")

    def release(self, claim: Claim) -> None:
        """Hands the job back unfinished, because this worker stops; the attempt does not count."""
        with self.database.write() as session:
            hold(session, claim, self.lease_s)
            values = _waiting(None, "") | {"attempts": Job.attempts - 1}
            session.execute(update(Job).where(Job.id == claim.job_id).values(values))
            self._requeue_documents(session, claim.job_id, "")

    def has_uploads(self) -> bool:
        """Whether an upload waits for a worker."""
        with self.database.read() as session:
            waiting = select(Job.id).where(_claimable(now()), Job.generation_id.is_(None))
            return session.scalar(waiting.limit(1)) is not None

    def _take(self, session: Session, job: Job) -> Claim:
        job.status = JobStatus.RUNNING
        job.attempts += 1
        job.lease_owner = f"{self._worker}:{new_id()}"
        job.lease_until = now() + timedelta(seconds=self.lease_s)
        job.started_at = now()
        job.message = ""
        return Claim(
            job_id=job.id,
            owner=job.lease_owner,
            attempt=job.attempts,
            knowledge_base_id=job.knowledge_base_id,
            source_name=job.source_name,
            source_path=job.source_path,
            external_id=job.external_id,
            content_hash=job.content_hash,
            media_type=job.media_type,
            facets=job.facets,
            is_public=job.is_public,
            generation_id=job.generation_id,
        )

    def _end(self, session: Session, job_id: str, status: JobStatus, message: str) -> None:
        session.execute(update(Job).where(Job.id == job_id).values(_ended(status, message)))
        _settle_documents(session, job_id, status, message)

    def _requeue_documents(self, session: Session, job_id: str, message: str) -> None:
        waiting = and_(Document.job_id == job_id, Document.status.in_(UNFINISHED_STATUSES[:-1]))
        session.execute(update(Document).where(waiting).values(status="queued", message=message))


def _claimable(moment: datetime) -> ColumnElement[bool]:
    due = or_(Job.not_before.is_(None), Job.not_before <= moment)
    return or_(
        and_(Job.status == JobStatus.QUEUED, due), and_(Job.status == JobStatus.RUNNING, Job.lease_until < moment)
    )


def _waiting(not_before: datetime | None, message: str) -> dict[str, Any]:
    return {
        "status": JobStatus.QUEUED,
        "stage": "queued",
        "done": 0,
        "total": None,
        "seconds_left": None,
        "lease_owner": None,
        "lease_until": None,
        "not_before": not_before,
        "message": message,
    }


def _ended(status: JobStatus, message: str) -> dict[str, Any]:
    return {
        "status": status,
        "lease_owner": None,
        "lease_until": None,
        "seconds_left": None,
        "message": message,
        "finished_at": now(),
    }


def _locked(session: Session, which: ColumnElement[bool]) -> dict[str, str]:
    """Ids and files' paths of the jobs, which stay as they are until the transaction ends; before their documents."""
    rows = session.execute(select(Job.id, Job.source_path).where(which).order_by(Job.id).with_for_update())
    return {row.id: row.source_path for row in rows}


def _settle_documents(session: Session, job_id: str, outcome: JobStatus, message: str) -> None:
    """Gives the unfinished documents of a job that has ended their last status.

    What has been stored answers, whatever became of the rest: it is ready. So is what the job found unchanged, and
    what was there before a newer upload was cancelled.
    """
    query = select(Document.key, Document.status, Document.version, Document.warnings)
    rows = session.execute(query.where(Document.job_id == job_id, Document.status.in_(UNFINISHED_STATUSES))).all()
    endings: dict[tuple[str, str], list[int]] = {}
    for key, status, version, warnings in rows:
        ready = "ready_with_warnings" if warnings else "ready"
        if status == "indexing" or (version and outcome is JobStatus.DONE):
            ending = (ready, "")
        elif version and outcome is JobStatus.CANCELLED:
            ending = (ready, f"The newer upload was cancelled; version {version} goes on answering.")
        elif outcome is JobStatus.CANCELLED:
            ending = ("cancelled", message)
        else:
            ending = ("failed", failure_message(message, version))
        endings.setdefault(ending, []).append(key)
    for (status, words), keys in endings.items():
        for some in in_parts(keys):
            session.execute(update(Document).where(Document.key.in_(some)).values(status=status, message=words))


def failure_message(message: str, version: int) -> str:
    """Why a document could not be read, and what still answers in its place."""
    return f"{message} Version {version} goes on answering." if version else message
