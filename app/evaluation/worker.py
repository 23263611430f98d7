"""Asks the questions of runs, a few seconds at a time, so that a worker goes on reading what is uploaded.

Owns a run's progress, what each kind of failure means for it, and that all its questions are asked with the same
settings and generation. Whatever has been asked is committed question by question, so that a run whose worker died goes
on where it was. Who may ask is `app.evaluation.lease`'s, which outcome a question has `rag.evaluation`'s.
"""

import json
import logging
import time
from collections.abc import Callable
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from app.bootstrap import Services
from app.errors import Conflict, NotFound, ServiceError
from app.evaluation.bench import bench_of, settings_used
from app.evaluation.lease import Held, RunLeases, next_question
from app.evaluation.runs import asked_in
from app.evaluation.shapes import place_of
from app.models import KnowledgeBase
from model_runtime.errors import EmbedderError
from rag.errors import ModelBusy, ModelUnreachable, PromptTooLong, RagError, UnknownFilter
from rag.evaluation.asking import Asked, Bench, Outcome, ask
from rag.evaluation.figures import figures_of
from rag.evaluation.questions import GoldenQuestion, question_from

_LOG = logging.getLogger(__name__)

SLICE_S = 3.0
"""So long a run keeps a worker from everything else; one question may take longer."""

_FOUND_SHOWN = 10
_ONLY_TOLD = "change"
"""Of what was used: documents that are read meanwhile do not end a run, which may take hours."""


class GoldenRunner:
    """`advance` may be called as often as one likes, by any number of workers. `stopping` ends it after a question."""

    def __init__(self, services: Services, stopping: Callable[[], bool]) -> None:
        self._services = services
        self._stopping = stopping
        self._leases = RunLeases(services.database, services.settings.worker.lease_s)
        self._open: KnowledgeBase | None = None

    def advance(self) -> bool:
        """Goes on with the oldest run, for a few seconds. False when there is none to go on with."""
        held = self._leases.claim()
        if self._open is not None and (held is None or held.knowledge_base.id != self._open.id):
            self._close(self._open)  # ended by somebody else: cancelled, deleted
        if held is None:
            return False
        self._open = held.knowledge_base
        try:
            with self._leases.beating(held):
                goes_on = self._ask_some(held)
            if goes_on:
                self._leases.release(held)
        except (ModelBusy, ModelUnreachable, SQLAlchemyError) as error:
            goes_on = False
            self._pause(held, error)
        except (ServiceError, RagError, EmbedderError) as error:
            goes_on = False
            self._leases.end(held, "failed", str(error))
        except Exception as error:  # noqa: BLE001  whatever one run does, the worker goes on
            goes_on = False
            _LOG.exception("A run of golden questions failed unexpectedly.")
            reason = f"Unexpected error ({type(error).__name__}: {error}); the worker's log says more."
            self._leases.end(held, "failed", reason)
        if not goes_on:
            self._close(held.knowledge_base)
        return True

    def _ask_some(self, held: Held) -> bool:
        """False when the run has ended or is not this worker's any more. Raises `Conflict` for a mixture."""
        bench = bench_of(self._services, self._as_before(held), held.tried)
        until = time.monotonic() + SLICE_S
        while not self._stopping():
            with self._services.database.read() as session:
                result = session.scalar(next_question(held.run_id))
            if result is None:
                self._finish(held)
                return False
            question = question_from(result.record)
            if not self._leases.keep(held, result.ordinal, _ask(bench, question)):
                return False
            if time.monotonic() >= until:  # after a question: however slow things are, a run gets on
                break
        return True

    def _finish(self, held: Held) -> None:
        with self._services.database.read() as session:
            asked = asked_in(session, held.run_id)
        self._as_before(held)  # once more: a switch in these last seconds would be seen by nobody
        self._leases.end(held, "done", "", figures=figures_of(asked).as_json())

    def _as_before(self, held: Held) -> KnowledgeBase:
        """The knowledge base as it is now; what is used of it is noted. Raises `Conflict` when earlier questions were
        asked with something else, and `NotFound`.
        """
        with self._services.database.read() as session:
            row = session.get(KnowledgeBase, held.knowledge_base.id)
        if row is None:
            raise NotFound("The knowledge base has been deleted.")
        used = json.loads(json.dumps(settings_used(self._services, row, held.tried)))  # as it comes back from SQL
        before = held.used or used
        if other := sorted(name for name in used if name != _ONLY_TOLD and used[name] != before.get(name)):
            raise Conflict(f"The settings or generation changed while it ran ({', '.join(other)}); begin it again.")
        held.used.update(used)
        self._leases.note(held, used=used)
        return row

    def _pause(self, held: Held, error: ModelBusy | ModelUnreachable | SQLAlchemyError) -> None:
        if isinstance(error, SQLAlchemyError):
            _LOG.warning("A run of golden questions waits for the database.", exc_info=error)
        reason = f"Waits, and is gone on with: {error}"
        try:
            self._leases.pause(held, reason, error.retry_after_s if isinstance(error, ModelBusy) else 0.0)
        except SQLAlchemyError:  # then its lease runs out, and the attempt counts
            _LOG.warning("That a run of golden questions waits could not be noted.", exc_info=True)

    def _close(self, knowledge_base: KnowledgeBase) -> None:
        self._services.forget(knowledge_base)  # a whole index in memory is no use to a worker
        self._open = None


def _ask(bench: Bench, question: GoldenQuestion) -> dict[str, Any]:
    """What is kept of a question. One that cannot be asked fails by itself, with the reason; other errors are raised,
    those that time does not mend with the question's name.
    """
    began = time.perf_counter()
    try:
        asked, reason = ask(bench, question), {}
    except (UnknownFilter, PromptTooLong) as error:
        asked, reason = _not_asked(question, 1000 * (time.perf_counter() - began)), {"reason": str(error)}
    except (ModelBusy, ModelUnreachable):
        raise
    except (ServiceError, RagError) as error:
        raise Conflict(f"At the question {question.id!r}: {error}") from error
    return {"outcome": str(asked.outcome), "values": dict(asked.values), "details": {**_details(asked), **reason}}


def _not_asked(question: GoldenQuestion, milliseconds: float) -> Asked:
    return Asked(
        question=question,
        outcome=Outcome.NOT_ASKED,
        values={"passed": 0.0},
        documents=(),
        scores=(),
        searched_for=question.text,
        milliseconds=milliseconds,
    )


def _details(asked: Asked) -> dict[str, Any]:
    answer = asked.answer
    return {
        "kind": answer and str(answer.kind),
        "answer": answer and answer.text,
        "cited": [
            {**place_of(each.external_id, each.title, each.spans[0].page), "quote": each.quote}
            for each in (answer.citations if answer else ())
        ],
        "found": list(asked.documents[:_FOUND_SHOWN]),
        "searched_for": asked.searched_for,
        "confidence": asked.confidence,
        "milliseconds": asked.milliseconds,
        "answer_milliseconds": asked.answer_milliseconds,
    }
