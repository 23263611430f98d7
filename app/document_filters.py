"""Applies a knowledge base's filters to its passages, and takes them back.

Owns when that is due and that it is one change: what is excluded leaves the indexes as a deletion does, what is no
longer excluded comes as an addition does, under one change number, so that no reader sees half of it. The worker
calls it when nothing more is waiting to be read (`app.worker`); until then a new document is found unfiltered. What a
filter excludes is `app.document_findings`'.
"""

import logging
from collections.abc import Iterator, Sequence

from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

from app.bootstrap import Services
from app.bundle_staging import STAGING
from app.document_findings import Found, find
from app.errors import NotFound
from app.files import lock_knowledge_base
from app.jobs import LIVE
from app.knowledge_base_settings import DocumentFilter, wanted_filters
from app.models import DocumentReport, Job, KnowledgeBase, Passage, Removal, now
from app.passages import raise_change

_LOG = logging.getLogger(__name__)

_KEYS_AT_ONCE = 500  # PostgreSQL and SQLite take no more than some thousands of parameters
_ATTEMPTS = 3


class FilterKeeper:
    """Applies the filters of every knowledge base where they, or the documents, have changed and nothing waits."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._failed: set[tuple[str, int]] = set()

    def apply_due(self, besides: str = "") -> None:
        """`besides` is a job that need not be waited for. What fails is logged, and tried again after a change."""
        with self._services.database.read() as session:
            due = [each for each in _due(session, besides) if each not in self._failed]
        for knowledge_base_id, change in due:
            try:
                apply_filters(self._services, knowledge_base_id)
            except Exception:  # noqa: BLE001  a filter that cannot be applied must not keep documents from being read
                _LOG.exception("The filters of the knowledge base %s could not be applied.", knowledge_base_id)
                self._failed.add((knowledge_base_id, change))


def apply_filters(services: Services, knowledge_base_id: str) -> bool:
    """Makes the generation that answers what the filters say, now. False when uploads kept getting in between.

    Raises `NotFound` when the knowledge base has been deleted.
    """
    for _ in range(_ATTEMPTS):
        with services.database.read() as session:
            row = session.get(KnowledgeBase, knowledge_base_id)
            if row is None:
                raise NotFound("The knowledge base has been deleted.", {"knowledge_base": knowledge_base_id})
            seen = row.generation.change
            found = find(session, row.id, row.generation_id) if wanted_filters(row.settings) else None
        with services.database.write() as session:
            if _apply(session, row, seen, found):
                return True
    return False


def report_of(session: Session, generation_id: str) -> DocumentReport:
    """The row about a generation, a new one where there is none. The caller holds the knowledge base's lock."""
    report = session.get(DocumentReport, generation_id)
    if report is None:
        report = DocumentReport(generation_id=generation_id, change=-1, findings={}, applied_change=-1, filters=[])
        session.add(report)
    return report


def is_applied(report: DocumentReport | None, knowledge_base: KnowledgeBase) -> bool:
    """Whether the passages of the generation that answers are as the filters want them."""
    wanted = [each.value for each in wanted_filters(knowledge_base.settings)]
    if report is None:
        return not wanted
    return report.filters == wanted and (not wanted or report.applied_change == knowledge_base.generation.change)


def _due(session: Session, besides: str) -> Iterator[tuple[str, int]]:
    """Id and change number of each."""
    query = (
        select(KnowledgeBase, DocumentReport)
        .outerjoin(DocumentReport, DocumentReport.generation_id == KnowledgeBase.generation_id)
        .where(KnowledgeBase.workspace_id != STAGING)
    )
    for row, report in session.execute(query).all():
        if not is_applied(report, row):
            of_base = (Job.knowledge_base_id == row.id, Job.generation_id.is_(None))
            live = (*of_base, Job.status.in_(LIVE), Job.id != besides)
            if session.scalar(select(Job.id).where(*live).limit(1)) is None:
                yield row.id, row.change


def _apply(session: Session, before: KnowledgeBase, seen: int, found: Found | None) -> bool:
    """False when the documents or the filters are no longer those that were looked at."""
    lock_knowledge_base(session, before.id)
    row = session.get_one(KnowledgeBase, before.id)
    filters = wanted_filters(row.settings)
    if (
        row.generation_id != before.generation_id
        or row.generation.change != seen
        or filters != wanted_filters(before.settings)
    ):
        return False
    wanted = _wanted(filters, found)
    query = select(Passage.key, Passage.excluded).where(
        Passage.generation_id == row.generation_id, Passage.excluded.is_not(None)
    )
    excluded = {row.key: row.excluded for row in session.execute(query)}
    shown = [key for key in excluded if key not in wanted]
    hidden = [key for key in wanted if key not in excluded]
    change = seen
    if shown or hidden:
        change = raise_change(session, row.id, row.generation_id)
        _show(session, shown, change)
        _hide(session, row.id, hidden, change)
    for name in DocumentFilter:
        _give_reason(
            session, [key for key, reason in wanted.items() if reason is name and excluded.get(key) != name], name
        )
    report = report_of(session, row.generation_id)
    report.applied_change, report.filters = change, [each.value for each in filters]
    if found is not None:
        report.change, report.findings, report.made_at = change, found.findings.model_dump(mode="json"), now()
    elif report.change == seen:
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
    for some in _in_parts(keys):
        removed = [{"knowledge_base_id": knowledge_base_id, "passage_key": key, "change": change} for key in some]
        session.execute(insert(Removal), removed)


def _show(session: Session, keys: Sequence[int], change: int) -> None:
    """Its removal is forgotten: a reader that has not heard of it hears of the addition, which takes any place."""
    for some in _in_parts(keys):
        session.execute(delete(Removal).where(Removal.passage_key.in_(some)))
        session.execute(update(Passage).where(Passage.key.in_(some)).values(excluded=None, added_change=change))


def _give_reason(session: Session, keys: Sequence[int], reason: DocumentFilter) -> None:
    for some in _in_parts(keys):
        session.execute(update(Passage).where(Passage.key.in_(some)).values(excluded=reason.value))


def _in_parts(keys: Sequence[int]) -> Iterator[Sequence[int]]:
    return (keys[begin : begin + _KEYS_AT_ONCE] for begin in range(0, len(keys), _KEYS_AT_ONCE))
