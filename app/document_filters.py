"""Applies a knowledge base's filters to its passages, and takes them back.

Owns when that is due and that it is one change: what is excluded leaves the indexes as a deletion does, what is no
longer excluded comes as an addition does, under one change number, so that no reader sees half of it. The worker
calls it when nothing more is waiting to be read (`app.worker`); until then a new document is found unfiltered. A
generation that is built beside is filtered before it is ready (`app.generation_build`). What a filter excludes is
`app.document_findings`'.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app.bootstrap import Services
from app.bundle.staging import STAGING
from app.db import in_parts
from app.document_findings import Found, find
from app.errors import NotFound
from app.files import lock_knowledge_base
from app.generation_state import GenerationStatus, lacks_any
from app.jobs import LIVE
from app.knowledge_base_settings import DocumentFilter, wanted_filters
from app.models import DocumentReport, Generation, Job, KnowledgeBase, Passage, Removal, now
from app.passages import raise_change

_LOG = logging.getLogger(__name__)

_ATTEMPTS = 3
_SHORTEST_PAUSE_S = 10.0
_LONGEST_PAUSE_S = 600.0


@dataclass(frozen=True, slots=True)
class _Due:
    """What is to be filtered: a generation at its present change number, with these filters."""

    knowledge_base_id: str
    generation_id: str
    change: int
    filters: tuple[DocumentFilter, ...]


@dataclass(frozen=True, slots=True)
class _Failure:
    """Why it could not be done, and when it is tried again (monotonic seconds) if nothing changes before."""

    due: _Due
    reason: str
    pause_s: float
    not_before: float


class FilterKeeper:
    """Applies the filters of every knowledge base where they, or the documents, have changed and nothing waits."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._failed: dict[str, _Failure] = {}  # by generation

    def apply_due(self, besides: str = "") -> None:
        """For all that answer or are ready to; `besides` is a job that need not be waited for.

        What fails is logged and told in the report, and tried again after a change or a pause.
        """
        with self._services.database.read() as session:
            due = list(_due(session, besides))
        for each in due:
            self._apply(each)

    def apply(self, generation: Generation) -> str | None:
        """For one generation, now: None when it is as the filters want it, else the reason why it is not (yet).

        Raises `NotFound` when it or the knowledge base has been deleted.
        """
        with self._services.database.read() as session:
            row = session.get(KnowledgeBase, generation.knowledge_base_id)
            present = session.get(Generation, generation.id)
            if row is None or present is None:
                raise _gone(generation.knowledge_base_id)
            if is_applied(session.get(DocumentReport, generation.id), row, present):
                return None
        return self._apply(_due_of(row, present))

    def _apply(self, due: _Due) -> str | None:
        failed = self._failed.pop(due.generation_id, None)
        if failed is not None and failed.due == due and time.monotonic() < failed.not_before:
            self._failed[due.generation_id] = failed
            return failed.reason
        try:
            is_done = apply_filters(self._services, due.knowledge_base_id, due.generation_id)
            return None if is_done else "Its filters wait until its documents stay as they are for a moment."
        except NotFound as error:  # deleted meanwhile
            return error.message
        except Exception as error:  # noqa: BLE001  a filter that cannot be applied must not keep documents from being read
            _LOG.exception("The filters of the knowledge base %s could not be applied.", due.knowledge_base_id)
            reason = f"The filters could not be applied ({type(error).__name__}: {error}); a worker tries again."
        pause_s = min(2 * failed.pause_s, _LONGEST_PAUSE_S) if failed and failed.due == due else _SHORTEST_PAUSE_S
        self._failed[due.generation_id] = _Failure(due, reason, pause_s, time.monotonic() + pause_s)
        self._tell(due, reason)
        return reason

    def _tell(self, due: _Due, reason: str) -> None:
        try:
            with self._services.database.write() as session:
                lock_knowledge_base(session, due.knowledge_base_id)
                if session.get(Generation, due.generation_id) is not None:
                    report_of(session, due.generation_id).message = reason
        except NotFound:
            return  # deleted meanwhile: there is nobody to tell
        except SQLAlchemyError:  # it may have been the database that failed
            _LOG.exception("Why filters could not be applied could not be noted with the knowledge base either.")


def apply_filters(services: Services, knowledge_base_id: str, generation_id: str | None = None) -> bool:
    """Makes a generation, or the one that answers, what the filters say, now. False when its documents kept changing.

    Raises `NotFound` when the knowledge base or the generation has been deleted.
    """
    for _ in range(_ATTEMPTS):
        with services.database.read() as session:
            row, generation = _rows(session, knowledge_base_id, generation_id)
            found = find(session, row.id, generation.id) if wanted_filters(row.settings) else None
        with services.database.write() as session:
            if _apply(session, row, generation, found):
                return True
    return False


def report_of(session: Session, generation_id: str) -> DocumentReport:
    """The row about a generation, a new one where there is none. The caller holds the knowledge base's lock."""
    report = session.get(DocumentReport, generation_id)
    if report is None:
        report = DocumentReport(generation_id=generation_id, change=-1, findings={}, applied_change=-1, filters=[])
        session.add(report)
    return report


def is_applied(report: DocumentReport | None, knowledge_base: KnowledgeBase, generation: Generation) -> bool:
    """Whether the passages of one of the knowledge base's generations are as the filters want them."""
    wanted = [each.value for each in wanted_filters(knowledge_base.settings)]
    if report is None:
        return not wanted
    return report.filters == wanted and (not wanted or report.applied_change == generation.change)


def _due(session: Session, besides: str) -> Iterator[_Due]:
    """Those that answer or are ready to, and for which no source waits or is being read."""
    query = (
        select(KnowledgeBase, Generation, DocumentReport)
        .join(Generation, Generation.knowledge_base_id == KnowledgeBase.id)
        .outerjoin(DocumentReport, DocumentReport.generation_id == Generation.id)
        .where(KnowledgeBase.workspace_id != STAGING)
        .where(Generation.status.in_((GenerationStatus.ACTIVE, GenerationStatus.READY)))
    )
    for row, generation, report in session.execute(query).all():
        answers = generation.id == row.generation_id
        if not is_applied(report, row, generation) and (answers or not lacks_any(session, generation)):
            of_generation = None if answers else generation.id
            jobs = (Job.knowledge_base_id == row.id, Job.generation_id.is_not_distinct_from(of_generation))
            live = (*jobs, Job.status.in_(LIVE), Job.id != besides)
            if session.scalar(select(Job.id).where(*live).limit(1)) is None:
                yield _due_of(row, generation)


def _due_of(knowledge_base: KnowledgeBase, generation: Generation) -> _Due:
    filters = tuple(wanted_filters(knowledge_base.settings))
    return _Due(knowledge_base.id, generation.id, generation.change, filters)


def _rows(session: Session, knowledge_base_id: str, generation_id: str | None) -> tuple[KnowledgeBase, Generation]:
    """Both as they are now. Raises `NotFound`."""
    row = session.get(KnowledgeBase, knowledge_base_id)
    generation = session.get(Generation, generation_id or (row.generation_id if row else ""))
    if row is None or generation is None:
        raise _gone(knowledge_base_id)
    return row, generation


def _gone(knowledge_base_id: str) -> NotFound:
    return NotFound("The knowledge base or generation has been deleted.", {"knowledge_base": knowledge_base_id})


def _apply(session: Session, before: KnowledgeBase, seen: Generation, found: Found | None) -> bool:
    """False when the documents or the filters are no longer those that were looked at."""
    lock_knowledge_base(session, before.id)
    row, generation = _rows(session, before.id, seen.id)
    filters = wanted_filters(row.settings)
    if generation.change != seen.change or filters != wanted_filters(before.settings):
        return False
    wanted = _wanted(filters, found)
    query = select(Passage.key, Passage.excluded).where(
        Passage.generation_id == generation.id, Passage.excluded.is_not(None)
    )
    excluded = {row.key: row.excluded for row in session.execute(query)}
    shown = [key for key in excluded if key not in wanted]
    hidden = [key for key in wanted if key not in excluded]
    change = seen.change
    if shown or hidden:
        change = raise_change(session, row.id, generation.id)
        _show(session, shown, change)
        _hide(session, row.id, hidden, change)
    for name in DocumentFilter:
        _give_reason(
            session, [key for key, reason in wanted.items() if reason is name and excluded.get(key) != name], name
        )
    report = report_of(session, generation.id)
    report.applied_change, report.filters, report.message = change, [each.value for each in filters], None
    if found is not None:
        report.change, report.findings, report.made_at = change, found.findings.model_dump(mode="json"), now()
    elif report.change == seen.change:
        report.change = change
    if shown or hidden:
        _LOG.info("Filters of %s: %d passages excluded, %d shown again.", row.name, len(hidden), len(shown))
    return True


def _wanted(filters: Sequence[DocumentFilter], found: Found | None) -> dict[int, DocumentFilter]:
    """The passages to exclude, each with the first reason for it."""
    if found is None:
        return {}
    return {key: name for name in reversed(filters) for key in found.excluded[name]}


def _hide(session: Session, knowledge_base_id: str, keys: Sequence[int], change: int) -> None:
    for some in in_parts(keys):
        removed = [{"knowledge_base_id": knowledge_base_id, "passage_key": key, "change": change} for key in some]
        session.execute(insert(Removal), removed)


def _show(session: Session, keys: Sequence[int], change: int) -> None:
    """Its removal is forgotten: a reader that has not heard of it hears of the addition, which takes any place."""
    for some in in_parts(keys):
        session.execute(delete(Removal).where(Removal.passage_key.in_(some)))
        session.execute(update(Passage).where(Passage.key.in_(some)).values(excluded=None, added_change=change))


def _give_reason(session: Session, keys: Sequence[int], reason: DocumentFilter) -> None:
    for some in in_parts(keys):
        session.execute(update(Passage).where(Passage.key.in_(some)).values(excluded=reason.value))
