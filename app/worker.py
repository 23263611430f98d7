"""The worker: takes uploaded sources one after another, from file to searchable.

Owns the loop and what each kind of failure means for a job. How a document is read is in `ingestion.pipeline`, the
next file of a document's way after `app.documents`; when snapshots are written is in `app.snapshots`, and how a
generation comes to answer in `app.generation_build`.
"""

import logging
from collections.abc import Callable
from threading import Event

from sqlalchemy import select

from app import files
from app.bootstrap import Services
from app.document_filters import FilterKeeper
from app.errors import Conflict
from app.evaluation.worker import GoldenRunner
from app.generation_build import GenerationBuilder
from app.generation_sink import GenerationSink
from app.jobs import LIVE, Claim, JobQueue, LeaseLost
from app.models import Generation, Job, KnowledgeBase
from app.open_generations import chunker_of
from app.sink import SqlSink
from app.snapshots import SnapshotWriter
from app.upkeep import Upkeep
from ingestion.confined.sandbox import Sandbox
from ingestion.errors import Cancelled, TransientError
from ingestion.journal import Journal
from ingestion.parsers.base import Source
from ingestion.pipeline import IngestSummary, ingest_source
from ingestion.reader import Reader

_LOG = logging.getLogger(__name__)


def run_worker(services: Services, stopping: Event) -> None:
    """Works until `stopping` is set; the job then under way goes back to the queue; a long document is gone on with.

    Raises what loading the embedder raises, before anything is claimed.
    """
    with Sandbox(services.sandbox_limits) as sandbox:
        worker = _Worker(services, sandbox, stopping.is_set)
        upkeep = Upkeep(services)
        while not stopping.is_set():
            if not worker.work_once():
                upkeep.when_idle()
                if not worker.ask_once():
                    stopping.wait(services.settings.worker.poll_s)


def run_until_idle(services: Services, stopping: Event | None = None) -> None:
    """Works until no job waits or runs and no generation is under way, here or elsewhere, or `stopping` is set."""
    stopping = stopping or Event()
    with Sandbox(services.sandbox_limits) as sandbox:
        worker = _Worker(services, sandbox, stopping.is_set)
        while not stopping.is_set():
            if not worker.work_once() and not worker.ask_once():
                with services.database.read() as session:
                    is_idle = session.scalar(select(Job.id).where(Job.status.in_(LIVE)).limit(1)) is None
                if is_idle and not worker.has_generations_under_way():
                    return
                stopping.wait(services.settings.worker.poll_s)


class _Worker:
    def __init__(self, services: Services, reader: Reader, stopping: Callable[[], bool]) -> None:
        settings = services.settings
        self._services = services
        self._reader = reader
        self._stopping = stopping
        self._queue = JobQueue(services.database, settings.worker.lease_s, settings.worker.max_attempts)
        self._filters = FilterKeeper(services)
        self._snapshots = SnapshotWriter(services)
        self._builder = GenerationBuilder(services, self._snapshots)
        self._golden_runs = GoldenRunner(services, lambda: stopping() or self._queue.has_uploads())
        services.embedder  # noqa: B018  loaded now: the first time takes minutes, a lease lasts seconds

    def work_once(self) -> bool:
        """Takes one job to its end and brings the rest up to date. False without a job."""
        claim = self._queue.claim()
        if claim is not None:
            try:
                with self._queue.beating(claim):
                    self._work(claim)
            except LeaseLost as error:
                _LOG.info("Left a job: %s", error)
        self._filters.apply_due()
        self._snapshots.write_due()
        self._builder.advance()
        return claim is not None

    def ask_once(self) -> bool:
        """Asks golden questions, for when nothing waits: an upload must not wait for them. False without any."""
        return self._golden_runs.advance()

    def has_generations_under_way(self) -> bool:
        return self._builder.is_waited_for()

    def _work(self, claim: Claim) -> None:
        generation = self._generation(claim)
        kind = GenerationSink if claim.generation_id else SqlSink
        sink = kind(self._queue, claim, self._services.settings, generation, self._stopping)
        journal = Journal(files.journal_path(self._services.settings.files_folder, claim.job_id))
        try:
            summary = self._ingest(claim, generation, sink, journal)
            removed = 0 if summary.failed else sink.remove_missing()
            journal.remove()
            self._queue.report(claim, "indexing", summary.windows, summary.windows, None)
            self._filters.apply_due(besides=claim.job_id)
            self._snapshots.write_if_due(generation.id, besides=claim.job_id)
            self._end(claim, sink, summary, removed)
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

    def _generation(self, claim: Claim) -> Generation:
        """The one that the source is read for: its own, or the one that answers."""
        with self._services.database.read() as session:
            knowledge_base = session.get(KnowledgeBase, claim.knowledge_base_id)
            if knowledge_base is None:
                raise LeaseLost(f"The knowledge base of {claim.source_name} has been deleted.")
            if claim.generation_id is None:
                return knowledge_base.generation
            generation = session.get(Generation, claim.generation_id)
        if generation is None:
            raise LeaseLost(f"The generation that {claim.source_name} was read for has been dropped.")
        return generation

    def _ingest(self, claim: Claim, generation: Generation, sink: SqlSink, journal: Journal) -> IngestSummary:
        path = files.open_path(self._services.settings.files_folder, claim.source_path)
        return ingest_source(
            Source(path, claim.external_id),
            self._services.embedders.of(generation),
            sink,
            chunker=chunker_of(generation, self._services.chunker_settings),
            limits=self._services.limits,
            reader=self._reader,
            journal=journal,
            batch_windows=self._services.settings.ingestion.batch_windows,
        )

    def _end(self, claim: Claim, sink: SqlSink, summary: IngestSummary, removed: int) -> None:
        read = summary.stored + summary.unchanged
        seconds = ", ".join(f"{stage} {spent:.1f} s" for stage, spent in summary.seconds.items())
        _LOG.info(
            "Read %s: %d stored, %d unchanged, %d failed, %d pages, %d passages, %d windows, "
            "%d texts embedded, %d known already; %s.",
            *(claim.source_name, summary.stored, summary.unchanged, summary.failed),
            *(summary.pages, summary.passages, summary.windows, summary.embedded, summary.reused, seconds),
        )
        if not read:
            self._queue.failed(claim, sink.first_error or f"{claim.source_name} holds no documents.")
        elif summary.failed:
            message = f"{summary.failed} of {read + summary.failed} records could not be read. The first: "
            self._queue.done(claim, message + sink.first_error)
        else:
            self._queue.done(claim, _what_changed(summary, removed))


def _what_changed(summary: IngestSummary, removed: int) -> str:
    """What a new version of a source was found to be; nothing of a first one."""
    parts = []
    if summary.reused:
        texts = summary.embedded + summary.reused
        parts.append(f"{summary.embedded:,} of {texts:,} texts were new and embedded.")
    if removed:
        parts.append(f"Documents removed because the file no longer has them: {removed:,}.")
    return " ".join(parts)
