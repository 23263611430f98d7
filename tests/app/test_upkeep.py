"""An idle worker compares indexes with the database, and the service says what it found."""

import os
import time
from datetime import timedelta

import pytest
from sqlalchemy import delete, select

from app.models import KnowledgeBase, Passage, now
from app.upkeep import Upkeep, check_index, last_check
from tests.installation import Installation


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_ready_shows_the_last_check(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    services = installation.services
    assert installation.client.get("/ready").json()["index_checks"] == {}
    installation.upload(("a.md", "# A\n\nLamp."), ("b.md", "# B\n\nKettle."))
    installation.work()
    Upkeep(services).when_idle()
    first = installation.client.get("/ready").json()["index_checks"]["manuals"]
    assert (first["passages"], first["orphans"], first["missing"]) == (2, 0, 0)
    with services.database.write() as session:  # what no code of ours does
        session.execute(delete(Passage).where(Passage.key == select(Passage.key).limit(1).scalar_subquery()))
    Upkeep(services).when_idle()
    with services.database.read() as session:
        row = session.scalars(select(KnowledgeBase)).one()
    checked = last_check(services, row.generation)
    assert checked is not None
    assert checked.model_dump(mode="json") == first, "nothing changed by its number, so it is not due yet"
    monkeypatch.setattr("app.upkeep._UNCHANGED_AGAIN_AFTER", timedelta(0))
    monkeypatch.setattr("app.upkeep.datetime", _Later)
    Upkeep(services).when_idle()
    ready = installation.client.get("/ready").json()
    assert ready["index_checks"]["manuals"]["orphans"] == 1
    assert "1 orphans" in ready["warnings"]["manuals"]
    services.index(row).rebuild(services.passages(row))
    assert check_index(services, row).is_sound
    assert "manuals" not in installation.client.get("/ready").json()["warnings"]


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_uploads_that_nobody_will_finish_are_removed_while_the_worker_runs(installation: Installation) -> None:
    folder = installation.services.settings.files_folder / "incoming"
    for name, age_s in (("dead", 2 * 86_400), ("under way", 60)):
        (folder / name).mkdir(parents=True)
        os.utime(folder / name, (time.time() - age_s,) * 2)
    Upkeep(installation.services).when_idle()
    assert [left.name for left in folder.iterdir()] == ["under way"]


class _Later:
    """A clock two hours ahead."""

    @staticmethod
    def now(_: object) -> object:
        return now() + timedelta(hours=2)
