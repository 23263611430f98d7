"""The worker: takes uploaded sources one after another, from file to searchable.

Owns the loop, what each kind of failure means for a job, and when index snapshots are written. How a document is
read is in `ingestion.pipeline`, the next file of a document's way after `app.documents`.

Readers see what is stored at once, through SQL; a snapshot makes that cheap. It is written before a job's
documents are called ready, unless more sources of the same knowledge base wait: then it is put off until the last
one, or until a quarter more has come than the last snapshot had. A snapshot that fails fails no document.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event

from sqlalchemy import func, select

from app import files
from app.bootstrap import Services
from app.errors import Conflict
from app.jobs import LIVE, Claim, JobQueue, LeaseLost
from app.models import Job, KnowledgeBase, Passage
from app.sink import SqlSink
from app.upkeep import Upkeep
from ingestion.errors import Cancelled, TransientError
from ingestion.journal import Journal
from ingestion.parsers.base import Source
from ingestion.pipeline import IngestSummary, ingest_source
from ingestion.reader import Reader
from ingestion.sandbox import Sandbox
from rag.errors import IndexBusy, RagError

_LOG = logging.getLogger(__name__)

_SMALL_TAIL = 2_000  # passages after a snapshot that cost a question little
_SHORTEST_PAUSE_S = 10.0
_LONGEST_PAUSE_S = 600.0


def run_worker(services: Services, stopping: Event) -> None:
    """Works until `stopping` is set; the job then under way goes back to the queue; a long document is gone on with.

    Raises what loading the embedder raises, before anything is claimed.
    """
    with Sandbox(services.sandbox_limits) as sandbox:
        worker = _Worker(services, sandbox, stopping.is_set)
        files.remove_abandoned_uploads(services.settings.files_folder)
        files.remove_abandoned_journals(services.database, services.settings.files_folder)
        upkeep = Upkeep(services)
        while not stopping.is_set():
            if not worker.work_once():
                upkeep.when_idle()
                stopping.wait(services.settings.worker.poll_s)


def run_until_idle(services: Services, stopping: Event | None = None) -> None:
    """Works until no job waits or runs, here or in another worker, or until `stopping` is set."""
    stopping = stopping or Event()
    with Sandbox(services.sandbox_limits) as sandbox:
        worker = _Worker(services, sandbox, stopping.is_set)
        while not stopping.is_set():
            if not worker.work_once():
                with services.database.read() as session:
                    if session.scalar(select(Job.id).where(Job.status.in_(LIVE)).limit(1)) is None:
                        return
                stopping.wait(services.settings.worker.poll_s)


class _Worker:
    def __init__(self, services: Services, reader: Reader, stopping: Callable[[], bool]) -> None:
        settings = services.settings
        self._services = services
        self._reader = reader
        self._stopping = stopping
        self._queue = JobQueue(services.database, settings.worker.lease_s, settings.worker.max_attempts)
        self._snapshots = SnapshotWriter(services)
        services.embedder  # noqa: B018  loaded now: the first time takes minutes, a lease lasts seconds

    def work_once(self) -> bool:
        """Takes one job to its end, if there is one; brings snapshots up to date. False when there was none."""
        claim = self._queue.claim()
        if claim is not None:
            try:
                with self._queue.beating(claim):
                    self._work(claim)
            except LeaseLost as error:
                _LOG.info("Left a job: %s", error)
        self._snapshots.write_due()
        return claim is not None

    def _work(self, claim: Claim) -> None:
        sink = SqlSink(self._queue, claim, self._services.settings, self._stopping)
        journal = Journal(files.journal_path(self._services.settings.files_folder, claim.job_id))
        try:
            summary = self._ingest(claim, sink, journal)
            journal.remove()
            self._queue.report(claim, "indexing", summary.windows, summary.windows, None)
            self._snapshots.write_if_due(claim.knowledge_base_id, besides=claim.job_id)
            self._end(claim, sink, summary)
        except Cancelled:
            self._queue.release(claim)
        except Conflict as error:
            self._queue.failed(claim, error.message)
        except TransientError as error:
            self._queue.later(claim, str(error))
        except LeaseLost:
            raise
        except Exception as error:  # noqa: BLE001  whatever one file does, the worker goes on to the next
            _LOG.exception("Reading %s failed unexpectedly.", claim.source_name)
            self._queue.later(claim, f"Unexpected error ({type(error).__name__}: {error}); the worker's log says more.")

    def _ingest(self, claim: Claim, sink: SqlSink, journal: Journal) -> IngestSummary:
        with self._services.database.read() as session:
            knowledge_base = session.get(KnowledgeBase, claim.knowledge_base_id)
        if knowledge_base is None:
            raise LeaseLost(f"The knowledge base of {claim.source_name} has been deleted.")
        self._services.require_same_embedder(knowledge_base)
        path = files.open_path(self._services.settings.files_folder, claim.source_path)
        return ingest_source(
            Source(path, claim.external_id),
            self._services.embedder,
            sink,
            chunker=self._services.chunker_settings,
            limits=self._services.limits,
            reader=self._reader,
            journal=journal,
            batch_windows=self._services.settings.ingestion.batch_windows,
        )

    def _end(self, claim: Claim, sink: SqlSink, summary: IngestSummary) -> None:
        read = summary.stored + summary.unchanged
        seconds = ", ".join(f"{stage} {spent:.1f} s" for stage, spent in summary.seconds.items())
        _LOG.info(
            "Read %s: %d stored, %d unchanged, %d failed, %d pages, %d passages, %d windows; %s.",
            *(claim.source_name, summary.stored, summary.unchanged, summary.failed),
            *(summary.pages, summary.passages, summary.windows, seconds),
        )
        if not read:
            self._queue.failed(claim, sink.first_error or f"{claim.source_name} holds no documents.")
        elif summary.failed:
            message = f"{summary.failed} of {read + summary.failed} records could not be read. The first: "
            self._queue.done(claim, message + sink.first_error)
        else:
            self._queue.done(claim)


@dataclass(slots=True)
class _Written:
    """What is known of a knowledge base's last snapshot, and when a failed one is tried again (monotonic seconds)."""

    change: int = 0
    passages: int = 0
    not_before: float = 0.0
    pause_s: float = 0.0


class SnapshotWriter:
    """Writes the snapshots of all knowledge bases; `rag.index` lets one process at a time write each."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._written: dict[str, _Written] = {}

    def write_due(self) -> None:
        """Writes every snapshot that is due: also after deletions, which no job does."""
        with self._services.database.read() as session:
            changes = dict(session.execute(select(KnowledgeBase.id, KnowledgeBase.change)).all())
        self._written = {id_: known for id_, known in self._written.items() if id_ in changes}
        for id_, change in changes.items():
            if change > self._known(id_).change:
                self.write_if_due(id_)

    def write_if_due(self, knowledge_base_id: str, besides: str = "") -> None:
        """Writes one snapshot unless it had better wait for other jobs than `besides`. Logs why it could not."""
        known = self._known(knowledge_base_id)
        with self._services.database.read() as session:
            knowledge_base = session.get(KnowledgeBase, knowledge_base_id)
            if knowledge_base is None or time.monotonic() < known.not_before:
                return
            of_base = Passage.knowledge_base_id == knowledge_base_id
            tail_query = select(func.count()).where(of_base, Passage.added_change > known.change)
            tail = session.scalar(tail_query) or 0
            more = select(Job.id).where(
                Job.knowledge_base_id == knowledge_base_id, Job.status.in_(LIVE), Job.id != besides
            )
            comes_more = session.scalar(more.limit(1)) is not None
        if comes_more and tail <= max(_SMALL_TAIL, known.passages // 4):
            return
        try:
            index = self._services.index(knowledge_base)
            known.change = index.write_snapshot(self._services.passages(knowledge_base))
            known.passages += tail
            known.pause_s = 0.0
        except IndexBusy as error:
            _LOG.info("The snapshot of %s has to wait: %s", knowledge_base.name, error)
            self._pause(known)
        except (RagError, Conflict, OSError) as error:
            _LOG.error("The snapshot of %s could not be written: %s", knowledge_base.name, error)
            self._pause(known)

    def _known(self, knowledge_base_id: str) -> _Written:
        return self._written.setdefault(knowledge_base_id, _Written())

    def _pause(self, known: _Written) -> None:
        known.pause_s = min(max(2 * known.pause_s, _SHORTEST_PAUSE_S), _LONGEST_PAUSE_S)
        known.not_before = time.monotonic() + known.pause_s
