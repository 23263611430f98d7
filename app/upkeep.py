"""What an idle worker does for the installation: compares indexes with the database, and clears up after dead imports,
dropped generations, and visitors who said nothing.

Owns when, and the note about each index's last check that `/ready` shows: `last-check.json` in the index's folder, so
that it goes with the index. How an index is compared is in `rag.index`, what a dropped generation leaves in
`app.generation_upkeep`.
"""

import json
import logging
import os
import shutil
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ValidationError
from sqlalchemy import select

from app import files
from app.bootstrap import Services
from app.bundle.importing import remove_abandoned
from app.bundle.staging import STAGING
from app.generation_upkeep import dropping, finish_drop, tidy_up
from app.models import Generation, KnowledgeBase, new_id
from app.service.sites.unused import remove_unused
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
        settings = self._services.settings
        folders = (settings.files_folder, settings.index_folder)
        if removed := files.remove_left_behind(self._services.database, *folders, spared_workspace=STAGING):
            _LOG.info("Removed %d files and folders of what had been deleted.", removed)
        files.remove_abandoned_uploads(settings.files_folder)
        files.remove_abandoned_journals(self._services.database, settings.files_folder)
        if removed := remove_unused(self._services.database):
            _LOG.info("Removed %d conversations and visitors of page views in which nothing was said.", removed)
        for generation in dropping(self._services):
            finish_drop(self._services, generation)
        tidy_up(self._services)
        for row in _knowledge_bases(self._services):
            _remove_strange_indexes(self._services, row)
            if self._is_due(row):
                check_index(self._services, row)
                self._services.forget(row)  # a whole index in memory is no use to a worker
                return

    def _is_due(self, row: KnowledgeBase) -> bool:
        last = last_check(self._services, row.generation)
        if last is None:
            return row.generation.change > 0
        age = datetime.now(UTC) - last.checked_at
        every = timedelta(seconds=self._services.settings.worker.check_indexes_s)
        return age > (every if last.change != row.generation.change else max(every, _UNCHANGED_AGAIN_AFTER))


def check_index(services: Services, row: KnowledgeBase) -> IndexCheck:
    """Compares the index that answers now, and notes the outcome."""
    change = row.generation.change
    try:
        check = _check_of(services.index(row).check(services.passages(row)))
    except RagError as error:
        check = IndexCheck(
            checked_at=datetime.now(UTC), change=change, passages=0, orphans=0, missing=0, problem=str(error)
        )
    if not check.is_sound:
        _LOG.error("Knowledge base %s: %s", row.name, check.for_people())
    _note(services, row.generation, check)
    return check


def note_report(services: Services, generation: Generation, report: IndexReport) -> None:
    """Notes the outcome of a comparison that was made elsewhere."""
    _note(services, generation, _check_of(report))


def last_check(services: Services, generation: Generation) -> IndexCheck | None:
    """The last outcome, None before the first."""
    try:
        return IndexCheck.model_validate_json((_folder(services, generation) / _NOTE).read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def last_checks(services: Services) -> dict[str, IndexCheck]:
    """The last outcome of each knowledge base whose answering generation has one, by name."""
    checks = {row.name: last_check(services, row.generation) for row in _knowledge_bases(services)}
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


def _remove_strange_indexes(services: Services, row: KnowledgeBase) -> None:
    """What is in a knowledge base's folder and no generation's: of dropped ones, and of the time before generations."""
    folder = services.settings.index_folder / row.id
    there = set(folder.iterdir()) if folder.is_dir() else set()
    with services.database.read() as session:  # after the look: a generation has its row before its folder
        known = session.scalars(select(Generation.id).where(Generation.knowledge_base_id == row.id)).all()
    for path in there - {folder / id_ for id_ in known}:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _note(services: Services, generation: Generation, check: IndexCheck) -> None:
    folder = _folder(services, generation)
    folder.mkdir(parents=True, exist_ok=True)
    written = folder / f".{_NOTE}.{new_id()}"
    written.write_text(json.dumps(check.model_dump(mode="json")) + "\n")
    os.replace(written, folder / _NOTE)


def _folder(services: Services, generation: Generation) -> Path:
    return services.generations.folder(generation.knowledge_base_id, generation.id)
