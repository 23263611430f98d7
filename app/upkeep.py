"""What an idle worker does for the installation: compares indexes with the database, and clears up after dead imports.

Owns when, and the note about each index's last check that `/ready` shows: `last-check.json` in the index's folder, so
that it goes with the index. How an index is compared is in `rag.index`.
"""

import json
import logging
import os
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ValidationError
from sqlalchemy import select

from app.bootstrap import Services
from app.bundle_import import remove_abandoned
from app.bundle_staging import STAGING
from app.errors import Conflict
from app.models import KnowledgeBase, new_id
from rag.errors import RagError
from rag.index import IndexReport

_LOG = logging.getLogger(__name__)

_NOTE = "last-check.json"
_BETWEEN_LOOKS_S = 60.0
_UNCHANGED_AGAIN_AFTER = timedelta(days=1)


class IndexCheck(BaseModel):
    """The outcome of one comparison. `problem` says why there was none; then the counts are 0."""

    checked_at: AwareDatetime
    change: int
    passages: int
    orphans: int
    missing: int
    problem: str = ""

    @property
    def is_sound(self) -> bool:
        return not (self.orphans or self.missing or self.problem)

    def for_people(self) -> str:
        found = self.problem or f"{self.orphans} orphans and {self.missing} missing passages"
        return (
            f"The index check of {self.checked_at:%Y-%m-%d %H:%M} UTC found: {found}. `answerdesk index rebuild` helps."
        )


class Upkeep:
    """`when_idle` may be called as often as one likes."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._not_before = 0.0

    def when_idle(self) -> None:
        """Looks once a minute whether there is anything to do, and then checks one index at most."""
        if time.monotonic() < self._not_before:
            return
        self._not_before = time.monotonic() + _BETWEEN_LOOKS_S
        if removed := remove_abandoned(self._services):
            _LOG.info("Removed what %d imports that died had left.", removed)
        for row in _knowledge_bases(self._services):
            if self._is_due(row):
                with suppress(Conflict):  # of another embedder's index nothing can be asked, which /ready says anyway
                    check_index(self._services, row)
                    self._services.forget(row.id)  # a whole index in memory is no use to a worker
                    return

    def _is_due(self, row: KnowledgeBase) -> bool:
        last = last_check(self._services, row.id)
        if last is None:
            return row.change > 0
        age = datetime.now(UTC) - last.checked_at
        every = timedelta(seconds=self._services.settings.worker.check_indexes_s)
        return age > (every if last.change != row.change else max(every, _UNCHANGED_AGAIN_AFTER))


def check_index(services: Services, row: KnowledgeBase) -> IndexCheck:
    """Compares now, and notes the outcome. Raises `Conflict` when the index is another embedder's."""
    try:
        check = _check_of(services.index(row).check(services.passages(row)))
    except RagError as error:
        check = IndexCheck(
            checked_at=datetime.now(UTC), change=row.change, passages=0, orphans=0, missing=0, problem=str(error)
        )
    if not check.is_sound:
        _LOG.error("Knowledge base %s: %s", row.name, check.for_people())
    _note(services, row.id, check)
    return check


def note_report(services: Services, row: KnowledgeBase, report: IndexReport) -> None:
    """Notes the outcome of a comparison that was made elsewhere."""
    _note(services, row.id, _check_of(report))


def last_check(services: Services, knowledge_base_id: str) -> IndexCheck | None:
    """The last outcome, None before the first."""
    try:
        return IndexCheck.model_validate_json((_folder(services, knowledge_base_id) / _NOTE).read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def last_checks(services: Services) -> dict[str, IndexCheck]:
    """The last outcome of each knowledge base that has one, by name."""
    checks = {row.name: last_check(services, row.id) for row in _knowledge_bases(services)}
    return {name: check for name, check in checks.items() if check is not None}


def _knowledge_bases(services: Services) -> list[KnowledgeBase]:
    with services.database.read() as session:
        published = select(KnowledgeBase).where(KnowledgeBase.workspace_id != STAGING)
        return list(session.scalars(published.order_by(KnowledgeBase.name)))


def _check_of(report: IndexReport) -> IndexCheck:
    return IndexCheck(
        checked_at=datetime.now(UTC),
        change=report.change,
        passages=report.passages,
        orphans=len({*report.orphan_vectors, *report.orphan_words}),
        missing=len({*report.missing_vectors, *report.missing_words}),
    )


def _note(services: Services, knowledge_base_id: str, check: IndexCheck) -> None:
    folder = _folder(services, knowledge_base_id)
    folder.mkdir(parents=True, exist_ok=True)
    written = folder / f".{_NOTE}.{new_id()}"
    written.write_text(json.dumps(check.model_dump(mode="json")) + "\n")
    os.replace(written, folder / _NOTE)


def _folder(services: Services, knowledge_base_id: str) -> Path:
    return services.settings.index_folder / knowledge_base_id
