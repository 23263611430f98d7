"""What a worker does for the generations that are being built, besides reading documents.

Owns the steps from the last document to the switch: the missing ones are queued, the filters are applied, the index is
written, and then, where that is wanted, the generation answers. Everything is found in the rows, so that any worker
goes on where another was killed. How a document is read is the pipeline's matter, as for an upload; the rules are in
`app.generation_state`.
"""

import time
from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from app import files
from app.bootstrap import Services
from app.document_filters import FilterKeeper
from app.errors import NotFound
from app.generation_state import (
    FOLLOWED,
    GenerationStatus,
    enqueue_missing,
    failure_count,
    lacks_any,
    locked,
    outstanding,
    set_building,
    set_failed,
    set_message,
    set_ready,
    switch,
)
from app.jobs import LIVE
from app.models import Generation, GenerationDocument, Job, now
from app.snapshots import SnapshotWriter

_BETWEEN_LOOKS_S = 1.0

OPENED_AFTER = timedelta(seconds=3)
"""So long a generation has been ready before it answers: the processes that answer look once a second, and open it.

Nobody asks them whether they have: what one could not open, its `/ready` says, and its first question tries again.
"""


class GenerationBuilder:
    """`advance` may be called as often as one likes, by any number of workers."""

    def __init__(self, services: Services, snapshots: SnapshotWriter) -> None:
        self._services = services
        self._database = services.database
        self._snapshots = snapshots
        self._filters = FilterKeeper(services)
        self._not_before = 0.0

    def advance(self) -> None:
        """Takes every generation as far as it goes now; looks once a second only."""
        if time.monotonic() < self._not_before:
            return
        self._not_before = time.monotonic() + _BETWEEN_LOOKS_S
        for generation in self._followed():
            try:
                self._queue_missing(generation)
                self._finish(generation)
                self._switch(generation)
            except NotFound:
                continue  # deleted meanwhile, with its knowledge base or alone

    def is_waited_for(self) -> bool:
        """Whether a generation will go further without anybody doing anything."""
        return any(
            each.status == GenerationStatus.BUILDING
            or (each.status == GenerationStatus.READY and each.switch_when_ready)
            for each in self._followed()
        )

    def _followed(self) -> list[Generation]:
        with self._database.read() as session:
            return list(session.scalars(select(Generation).where(Generation.status.in_(FOLLOWED))))

    def _queue_missing(self, generation: Generation) -> None:
        with self._database.read() as session:  # neither an idle worker nor a long list may keep the writers waiting
            if not outstanding(session, generation) and not _wakes(session, generation):
                return
        with self._database.write() as session:
            _, row = locked(session, generation.id, generation.knowledge_base_id)
            if row.status not in FOLLOWED:
                return
            if _wakes(session, row):
                set_building(session, row)
            released = enqueue_missing(session, row)
        self._release(generation, released)

    def _finish(self, generation: Generation) -> None:
        """From building to ready, with its index written, or to failed."""
        with self._database.read() as session:
            row = session.get(Generation, generation.id)
            if row is None or row.status != GenerationStatus.BUILDING or not _is_over(session, row):
                return
        if problem := self._filters.apply(generation) or self._snapshots.write(generation):
            self._tell(row, problem)
            return
        with self._database.write() as session:
            _, row = locked(session, generation.id, generation.knowledge_base_id)
            if row.status != GenerationStatus.BUILDING or not _is_over(session, row):
                return
            if failures := failure_count(session, row):
                set_failed(session, row, _why(session, row, failures))
            else:
                set_ready(session, row)

    def _switch(self, generation: Generation) -> None:
        with self._database.read() as session:
            row = session.get(Generation, generation.id)
            if row is None or not _may_switch(row):
                return
        with self._database.write() as session:
            knowledge_base, row = locked(session, generation.id, generation.knowledge_base_id)
            if not _may_switch(row) or lacks_any(session, row):
                return
            released = switch(session, knowledge_base, row)
        self._release(generation, released)

    def _tell(self, generation: Generation, problem: str) -> None:
        """Notes with a generation that has every document why it is not ready for all that."""
        if generation.message == problem:
            return
        with self._database.write() as session:
            _, row = locked(session, generation.id, generation.knowledge_base_id)
            if row.status == GenerationStatus.BUILDING:
                set_message(session, row, problem)

    def _release(self, generation: Generation, paths: Sequence[str]) -> None:
        folder = self._services.settings.files_folder
        files.release(self._database, folder, generation.knowledge_base_id, paths)


def _wakes(session: Session, generation: Generation) -> bool:
    """Whether one that was done has something to do again, if perhaps only to see that a failed document is gone."""
    if generation.status == GenerationStatus.BUILDING:
        return False
    has_failed = generation.status == GenerationStatus.FAILED
    return lacks_any(session, generation) or (has_failed and not failure_count(session, generation))


def _is_over(session: Session, generation: Generation) -> bool:
    """Whether nothing is left to be read."""
    live = select(Job.id).where(Job.generation_id == generation.id, Job.status.in_(LIVE)).limit(1)
    return not lacks_any(session, generation) and session.scalar(live) is None


def _may_switch(generation: Generation) -> bool:
    return (
        generation.status == GenerationStatus.READY
        and generation.switch_when_ready
        and generation.ready_at is not None
        and now() - generation.ready_at >= OPENED_AFTER
    )


def _why(session: Session, generation: Generation, count: int) -> str:
    failed = select(GenerationDocument.message).where(
        GenerationDocument.generation_id == generation.id, GenerationDocument.status == "failed"
    )
    first = session.scalar(failed.order_by(GenerationDocument.document_key).limit(1))
    return (
        f"Documents that could not be read: {count:,}. The first: {first} Upload them again, delete them, or have them "
        "tried once more; until then the generation does not answer."
    )
