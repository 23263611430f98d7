"""Who asks the questions of a run, and for how long: claims, heartbeats, pauses and the end of a run.

Owns the lease of a run and what is counted against it. A lease is short and renewed by a thread: one question may take
longer than any bound that could be set here. Knows nothing of how questions are asked.

A run gives up for two reasons, counted apart: its worker died `ATTEMPTS` times at one question, or what the question
needs (the chat model, the database) was missing `PAUSES` times. Whatever was answered is kept in either case.
"""

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Event, Thread
from typing import Any

from sqlalchemy import ColumnElement, and_, or_, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app.db import Database
from app.evaluation.runs import LIVE
from app.models import GoldenResult, GoldenRun, KnowledgeBase, new_id, now

_LOG = logging.getLogger(__name__)

ATTEMPTS = 3
PAUSES = 20
"""With the pauses below about a quarter of an hour: time enough for a model to be started again."""

_SHORTEST_PAUSE_S = 5.0
_LONGEST_PAUSE_S = 60.0


@dataclass(frozen=True, slots=True)
class Held:
    """A run that this worker may ask, under a lease of its own."""

    run_id: str
    lease: str
    knowledge_base: KnowledgeBase
    tried: dict[str, Any]
    used: dict[str, Any]
    """What its first questions were asked with; empty before the first."""

    @property
    def still(self) -> tuple[ColumnElement[bool], ...]:
        """True while nobody has cancelled the run or taken it over."""
        return GoldenRun.id == self.run_id, GoldenRun.status == "running", GoldenRun.lease_owner == self.lease


class RunLeases:
    """The runs that can be asked, for one worker of any number."""

    def __init__(self, database: Database, lease_s: float) -> None:
        self._database = database
        self._lease_s = lease_s
        self._worker = f"{socket.gethostname()[:40]}:{os.getpid()}"

    def claim(self) -> Held | None:
        """The oldest run that waits, or whose worker has fallen silent; None when there is nothing to ask."""
        with self._database.read() as session:  # an idle worker must not queue up with the writers
            if session.scalar(select(GoldenRun.id).where(_claimable()).limit(1)) is None:
                return None
        with self._database.write() as session:
            oldest = select(GoldenRun).where(_claimable()).order_by(GoldenRun.created_at, GoldenRun.id).limit(1)
            run = session.scalar(oldest.with_for_update(skip_locked=True))
            if run is None:
                return None
            if run.attempts >= ATTEMPTS:
                run.status, run.finished_at = "failed", now()
                run.message = f"Given up: the worker died {ATTEMPTS} times in a row at the same question."
                return None
            lease = f"{self._worker}:{new_id()}"
            run.status, run.lease_owner, run.lease_until, run.message = "running", lease, self._lease_until(), ""
            run.started_at = run.started_at or now()
            run.attempts += 1
            knowledge_base = session.get_one(KnowledgeBase, run.knowledge_base_id)
            return Held(run.id, lease, knowledge_base, run.tried, run.used)

    @contextmanager
    def beating(self, held: Held) -> Iterator[None]:
        """Renews the lease from a thread while the block runs; a lost one is seen by the block at its next write."""
        stop = Event()

        def beat() -> None:
            while not stop.wait(self._lease_s / 3):
                try:
                    if not self.note(held, lease_until=self._lease_until()):
                        return
                except SQLAlchemyError:
                    _LOG.warning("The lease of a run could not be renewed; trying again.", exc_info=True)

        thread = Thread(target=beat, name=f"heartbeat of run {held.run_id}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def keep(self, held: Held, ordinal: int, values: dict[str, Any]) -> bool:
        """Stores what became of a question; False when the run is not this worker's any more."""
        of_question = (GoldenResult.run_id == held.run_id, GoldenResult.ordinal == ordinal)
        with self._database.write() as session:
            mine = _note(session, held, attempts=0, lease_until=self._lease_until())
            if mine:
                session.execute(update(GoldenResult).where(*of_question).values(values))
        return mine

    def note(self, held: Held, **values: Any) -> bool:
        """Writes into the run; False when it is not this worker's any more."""
        with self._database.write() as session:
            return _note(session, held, **values)

    def release(self, held: Held) -> None:
        """For whoever comes next, this worker or another."""
        self.note(held, lease_until=now(), attempts=0)

    def pause(self, held: Held, reason: str, wait_s: float = 0.0) -> None:
        """Lets the run wait some seconds, `wait_s` at least, longer each time at one question; ends it after the last.

        The attempt does not count: the worker lives.
        """
        with self._database.write() as session:
            result = session.scalar(next_question(held.run_id))
            pauses = 1 + (result.details.get("pauses", 0) if result else 0)
            if pauses > PAUSES:
                _note(session, held, **_ended("failed", f"{reason} Tried {pauses} times."))
                return
            delay_s = min(max(wait_s, _SHORTEST_PAUSE_S * 2.0 ** (pauses - 1)), _LONGEST_PAUSE_S)
            values = {"message": reason, "lease_until": now() + timedelta(seconds=delay_s)}
            if _note(session, held, **values, attempts=GoldenRun.attempts - 1) and result is not None:
                result.details = {"pauses": pauses}

    def end(self, held: Held, status: str, message: str, **values: Any) -> None:
        self.note(held, **_ended(status, message), **values)

    def _lease_until(self) -> datetime:
        return now() + timedelta(seconds=self._lease_s)


def next_question(run_id: str) -> Any:
    """The query for the first question of a run that has not been asked."""
    waiting = select(GoldenResult).where(GoldenResult.run_id == run_id, GoldenResult.outcome.is_(None))
    return waiting.order_by(GoldenResult.ordinal).limit(1)


def _note(session: Session, held: Held, **values: Any) -> bool:
    noted = update(GoldenRun).where(*held.still).values(values).returning(GoldenRun.id)
    return session.execute(noted).first() is not None


def _ended(status: str, message: str) -> dict[str, Any]:
    return {"status": status, "message": message, "finished_at": now(), "lease_owner": None, "lease_until": None}


def _claimable() -> ColumnElement[bool]:
    return and_(GoldenRun.status.in_(LIVE), or_(GoldenRun.lease_until.is_(None), GoldenRun.lease_until <= now()))
