"""The queue: one worker a job, whoever dies when; what each ending does to the documents."""

import multiprocessing
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from sqlalchemy import select, update

from app import jobs
from app.db import Database
from app.errors import Conflict
from app.jobs import Claim, JobQueue, LeaseLost
from app.models import Document, Job, now
from tests.installation import new_job, new_knowledge_base
from tests.job_processes import hold_for_ever, take_all

_SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture
def queue(database: Database) -> JobQueue:
    return JobQueue(database, lease_s=30, max_attempts=3)


def _queued(database: Database, *names: str) -> list[str]:
    knowledge_base = new_knowledge_base(database)
    with database.write() as session:
        return [new_job(session, knowledge_base, name).id for name in names]


def _claim(queue: JobQueue) -> Claim:
    claim = queue.claim()
    assert claim is not None
    return claim


def _states(database: Database, name: str) -> tuple[str, str, str]:
    """Status of the job, status and message of the document."""
    with database.read() as session:
        job = session.scalars(select(Job.status).where(Job.external_id == name)).one()
        document = session.scalars(select(Document).where(Document.external_id == name)).one()
    return job, document.status, document.message


def _let_time_pass(database: Database, seconds: float) -> None:
    """As if the jobs' leases and delays had been set so much earlier."""
    with database.write() as session:
        for job in session.scalars(select(Job)):
            earlier = timedelta(seconds=seconds)
            job.lease_until = job.lease_until - earlier if job.lease_until else None
            job.not_before = job.not_before - earlier if job.not_before else None


def test_workers_share_the_jobs_and_none_is_done_twice(database: Database, database_url: str, tmp_path: Path) -> None:
    names = [f"job-{number:02}" for number in range(30)]
    _queued(database, *names)
    notes = [tmp_path / f"worker-{number}" for number in range(3)]
    workers = [_SPAWN.Process(target=take_all, args=(database_url, note)) for note in notes]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    assert Counter("".join(note.read_text() for note in notes).split()) == Counter(names)
    with database.read() as session:
        assert set(session.scalars(select(Job.status))) == {"done"}


@pytest.fixture
def holder(database: Database, database_url: str, tmp_path: Path) -> Iterator[BaseProcess]:
    """A process that has claimed the job `a` and keeps its lease alive."""
    _queued(database, "a")
    process = _SPAWN.Process(target=hold_for_ever, args=(database_url, tmp_path / "ready"))
    process.start()
    deadline = time.monotonic() + 60
    while not (tmp_path / "ready").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    yield process
    process.kill()
    process.join()


def test_a_killed_worker_is_succeeded_and_a_living_one_is_not(
    database: Database, queue: JobQueue, holder: BaseProcess
) -> None:
    time.sleep(3)  # longer than the lease, which the heartbeat renews
    assert queue.claim() is None
    assert holder.pid is not None
    os.kill(holder.pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while (successor := queue.claim()) is None:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert (successor.external_id, successor.attempt) == ("a", 2)
    queue.done(successor)


def test_who_lost_the_lease_can_write_nothing(database: Database, queue: JobQueue) -> None:
    _queued(database, "a")
    first = _claim(queue)
    _let_time_pass(database, 31)
    second = _claim(queue)
    assert (first.attempt, second.attempt) == (1, 2)
    for attempt in (
        lambda: queue.beat(first),
        lambda: queue.report(first, "parsing", 1, 1, None),
        lambda: queue.done(first),
        lambda: queue.failed(first, "no"),
        lambda: queue.later(first, "no"),
        lambda: queue.release(first),
    ):
        with pytest.raises(LeaseLost):
            attempt()
    assert _states(database, "a") == ("running", "queued", "")
    queue.beat(second)


def test_a_newer_upload_and_the_worker_of_the_older_wait_for_each_other_in_one_order(
    database: Database, queue: JobQueue
) -> None:
    _queued(database, "a")
    claim = _claim(queue)

    def upload() -> None:
        with database.write() as session:
            new_job(session, claim.knowledge_base_id, "a", is_new_document=False)

    with ThreadPoolExecutor(1) as pool:
        with database.write() as session:
            jobs.hold(session, claim, 30)
            newer = pool.submit(upload)
            with pytest.raises(TimeoutError):
                newer.result(timeout=1)
            session.execute(update(Document).values(status="parsing"))  # the last that it writes
        newer.result(timeout=60)
    with pytest.raises(LeaseLost):
        queue.beat(claim)
    assert _states(database, "a")[:2] == ("queued", "cancelled")  # as the upload then says anew


def test_a_job_whose_workers_keep_dying_is_given_up(database: Database, queue: JobQueue) -> None:
    _queued(database, "killer", "next")
    for attempt in (1, 2, 3):
        assert (_claim(queue).external_id, attempt) == ("killer", attempt)
        _let_time_pass(database, 31)
    assert _claim(queue).external_id == "next"
    job, document, message = _states(database, "killer")
    assert (job, document) == ("failed", "failed")
    assert "died 3 times" in message


def test_what_may_work_later_is_tried_again_with_growing_delays(database: Database, queue: JobQueue) -> None:
    _queued(database, "a")
    for attempt, delay in ((1, 5), (2, 10)):
        claim = _claim(queue)
        assert claim.attempt == attempt
        queue.later(claim, "The disk is full.")
        assert _states(database, "a")[:2] == ("queued", "queued")
        _let_time_pass(database, delay - 2)
        assert queue.claim() is None
        _let_time_pass(database, 2)
    queue.later(_claim(queue), "The disk is full.")
    assert _states(database, "a") == ("failed", "failed", "The disk is full. Tried 3 times.")
    assert queue.claim() is None

    with database.write() as session:
        jobs.retry(session, session.scalars(select(Job)).one())
    assert _states(database, "a") == ("queued", "queued", "")
    assert _claim(queue).attempt == 1


def test_a_released_job_is_the_next_workers_first_attempt(database: Database, queue: JobQueue) -> None:
    _queued(database, "a", "b")
    queue.release(_claim(queue))
    again = _claim(queue)
    assert (again.external_id, again.attempt) == ("a", 1)


def test_cancelling_ends_waiting_and_running_jobs_once(database: Database, queue: JobQueue) -> None:
    running, waiting = _queued(database, "running", "waiting")
    claim = _claim(queue)
    queue.report(claim, "embedding", 3, 10, 7.0)
    assert _states(database, "running")[1] == "embedding"
    for job_id in (running, waiting):
        with database.write() as session:
            jobs.cancel(session, session.get_one(Job, job_id))
        with pytest.raises(Conflict), database.write() as session:
            jobs.cancel(session, session.get_one(Job, job_id))
    assert _states(database, "running")[:2] == ("cancelled", "cancelled")
    assert _states(database, "waiting")[:2] == ("cancelled", "cancelled")
    assert queue.claim() is None
    with pytest.raises(LeaseLost):
        queue.report(claim, "embedding", 4, 10, 6.0)


@pytest.mark.parametrize(
    ("version", "stored", "ending", "expected"),
    [
        (0, False, "failed", ("failed", "Broken.")),
        (2, False, "failed", ("failed", "Broken. Version 2 goes on answering.")),
        (2, False, "done", ("ready", "")),
        (1, True, "failed", ("ready", "")),
        (1, True, "done", ("ready", "")),
    ],
)
def test_documents_end_as_what_they_are(
    database: Database, queue: JobQueue, version: int, stored: bool, ending: str, expected: tuple[str, str]
) -> None:
    """Stored ones are ready, whatever became of their source; an old version is named when the new one failed."""
    _queued(database, "a")
    claim = _claim(queue)
    with database.write() as session:
        session.execute(update(Document).values(version=version, status="indexing" if stored else "parsing"))
    if ending == "failed":
        queue.failed(claim, "Broken.")
    else:
        queue.done(claim)
    assert _states(database, "a")[1:] == expected


def test_leases_outlive_a_long_silent_step(database: Database) -> None:
    queue = JobQueue(database, lease_s=2, max_attempts=3)
    _queued(database, "a")
    claim = _claim(queue)
    with queue.beating(claim):
        before = now()
        time.sleep(1)
    with database.read() as session:
        lease = session.scalars(select(Job.lease_until)).one()
    assert lease is not None
    assert lease > before + timedelta(seconds=2)
