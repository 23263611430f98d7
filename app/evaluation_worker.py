"""Asks the questions of runs, a few seconds at a time, so that a worker goes on reading what is uploaded.

Owns the lease of a run, its progress and its end. Whatever has been asked is committed question by question, so that a
run whose worker died goes on where it was. Which outcome a question has is `rag.evaluation`'s.
"""

import logging
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, or_, select, update

from app.bootstrap import Services
from app.errors import ServiceError
from app.evaluation import bench_of, settings_used
from app.evaluation_runs import LIVE, asked_in
from app.models import GoldenResult, GoldenRun, KnowledgeBase, new_id, now
from model_runtime.errors import EmbedderError
from rag.errors import RagError
from rag.evaluation.asking import Asked, Bench, ask
from rag.evaluation.figures import figures_of
from rag.evaluation.questions import question_from
from rag.types import NO_PAGE, Citation

_LOG = logging.getLogger(__name__)

SLICE_S = 3.0
"""So long a run keeps a worker from everything else; one question may take longer."""

ATTEMPTS = 3
_FOUND_SHOWN = 10


@dataclass(frozen=True, slots=True)
class _Held:
    """A run that this worker may ask, under a lease of its own."""

    run_id: str
    lease: str
    knowledge_base: KnowledgeBase
    tried: dict[str, Any]

    @property
    def still(self) -> tuple[ColumnElement[bool], ...]:
        """True while nobody has cancelled the run or taken it over."""
        return GoldenRun.id == self.run_id, GoldenRun.status == "running", GoldenRun.lease_owner == self.lease


class GoldenRunner:
    """`advance` may be called as often as one likes, by any number of workers."""

    def __init__(self, services: Services, stopping: Callable[[], bool]) -> None:
        self._services = services
        self._stopping = stopping
        self._worker = f"{socket.gethostname()[:40]}:{os.getpid()}"

    def advance(self) -> bool:
        """Goes on with the oldest run, for a few seconds. False when there is none to go on with."""
        held = self._claim()
        if held is None:
            return False
        try:
            bench = bench_of(self._services, held.knowledge_base, held.tried)
            self._note(held, used=settings_used(self._services, held.knowledge_base, held.tried))
            self._ask_some(held, bench)
        except (ServiceError, RagError, EmbedderError) as error:
            self._end(held, "failed", str(error))
        except Exception as error:  # noqa: BLE001  whatever one run does, the worker goes on
            _LOG.exception("A run of golden questions failed unexpectedly.")
            self._end(
                held, "failed", f"Unexpected error ({type(error).__name__}: {error}); the worker's log says more."
            )
        return True

    def _ask_some(self, held: _Held, bench: Bench) -> None:
        until = time.monotonic() + SLICE_S
        while not self._stopping() and time.monotonic() < until:
            with self._services.database.read() as session:
                waiting = select(GoldenResult).where(GoldenResult.run_id == held.run_id, GoldenResult.outcome.is_(None))
                result = session.scalars(waiting.order_by(GoldenResult.ordinal).limit(1)).first()
            if result is None:
                self._finish(held)
                return
            question = question_from(result.record)
            try:
                asked = ask(bench, question)
            except (ServiceError, RagError) as error:
                self._end(held, "failed", f"At the question {question.id!r}: {error}")
                return
            if not self._keep(held, result.ordinal, asked):
                return
        self._note(held, lease_until=now(), attempts=0)  # for whoever comes next, this worker or another

    def _keep(self, held: _Held, ordinal: int, asked: Asked) -> bool:
        """Stores what became of a question; False when the run is not this worker's any more."""
        values = {"outcome": str(asked.outcome), "values": dict(asked.values), "details": _details(asked)}
        of_question = (GoldenResult.run_id == held.run_id, GoldenResult.ordinal == ordinal)
        with self._services.database.write() as session:
            kept = {"attempts": 0, "lease_until": self._lease_until()}
            mine = session.execute(update(GoldenRun).where(*held.still).values(kept).returning(GoldenRun.id)).first()
            if mine is not None:
                session.execute(update(GoldenResult).where(*of_question).values(values))
        return mine is not None

    def _finish(self, held: _Held) -> None:
        with self._services.database.read() as session:
            asked = asked_in(session, held.run_id)
        self._end(held, "done", "", figures=figures_of(asked).as_json())

    def _end(self, held: _Held, status: str, message: str, **values: Any) -> None:
        ended = {"status": status, "message": message, "finished_at": now(), "lease_owner": None, "lease_until": None}
        self._note(held, **ended, **values)
        self._services.forget(held.knowledge_base)  # a whole index in memory is no use to a worker

    def _note(self, held: _Held, **values: Any) -> None:
        with self._services.database.write() as session:
            session.execute(update(GoldenRun).where(*held.still).values(values))

    def _claim(self) -> _Held | None:
        with self._services.database.read() as session:  # an idle worker must not queue up with the writers
            if session.scalar(select(GoldenRun.id).where(_claimable()).limit(1)) is None:
                return None
        with self._services.database.write() as session:
            oldest = select(GoldenRun).where(_claimable()).order_by(GoldenRun.created_at, GoldenRun.id).limit(1)
            run = session.scalar(oldest.with_for_update(skip_locked=True))
            if run is None:
                return None
            if run.attempts >= ATTEMPTS:
                run.status, run.finished_at = "failed", now()
                run.message = f"Given up: the worker died {ATTEMPTS} times in a row at the same question."
                return None
            lease = f"{self._worker}:{new_id()}"
            run.status, run.lease_owner, run.lease_until = "running", lease, self._lease_until()
            run.started_at = run.started_at or now()
            run.attempts += 1
            knowledge_base = session.get_one(KnowledgeBase, run.knowledge_base_id)
            return _Held(run.id, lease, knowledge_base, run.tried)

    def _lease_until(self) -> Any:
        """Long enough for the longest answer; a run is not urgent."""
        longest = max(self._services.settings.answers.timeout_s, self._services.settings.worker.lease_s)
        return now() + timedelta(seconds=longest + SLICE_S)


def _claimable() -> ColumnElement[bool]:
    return and_(GoldenRun.status.in_(LIVE), or_(GoldenRun.lease_until.is_(None), GoldenRun.lease_until <= now()))


def _details(asked: Asked) -> dict[str, Any]:
    answer = asked.answer
    return {
        "kind": answer and str(answer.kind),
        "answer": answer and answer.text,
        "cited": [_place(citation) for citation in answer.citations] if answer else [],
        "found": list(asked.documents[:_FOUND_SHOWN]),
        "searched_for": asked.searched_for,
        "confidence": asked.confidence,
        "milliseconds": asked.milliseconds,
        "answer_milliseconds": asked.answer_milliseconds,
    }


def _place(citation: Citation) -> dict[str, Any]:
    page = citation.spans[0].page
    return {
        "document": citation.external_id,
        "title": citation.title,
        "page": None if page == NO_PAGE else page,
        "quote": citation.quote,
    }
