"""Clearing up what others left, beside others who do the same."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import update

from app import files
from app.db import Database
from app.models import Job
from app.upkeep import Upkeep
from tests.installation import Installation

YESTERDAY_S = 100_000


def left(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_text("left")
        os.utime(folder / name, (time.time() - YESTERDAY_S,) * 2)
    return folder


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_another_worker_may_be_faster(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Between the list of a folder and the look at each file, somebody else removes them."""
    journals = left(tmp_path / "journals", "a", "b.copy")
    uploads = left(tmp_path / "incoming", "c", "d")

    def removing(folder: Path) -> Callable[[], float]:
        def now() -> float:
            for path in folder.iterdir():
                path.unlink()
            return 0.0

        return now

    monkeypatch.setattr("app.files.time.time", removing(journals))
    files.remove_abandoned_journals(database, tmp_path)
    monkeypatch.setattr("app.files.time.time", removing(uploads))
    files.remove_abandoned_uploads(tmp_path)
    assert [*journals.iterdir(), *uploads.iterdir()] == []


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_an_idle_worker_removes_the_journals_of_jobs_that_are_over(installation: Installation) -> None:
    services = installation.services
    jobs = [job["id"] for job in installation.upload(("a.md", "# A\n\nLamp."), ("b.md", "# B\n\nLamp."))["jobs"]]
    journals = left(services.settings.files_folder / "journals", *jobs, "of-a-deleted-one")
    with services.database.write() as session:
        session.execute(update(Job).where(Job.id == jobs[0]).values(status="cancelled"))
    Upkeep(services).when_idle()
    assert [path.name for path in journals.iterdir()] == jobs[1:]
