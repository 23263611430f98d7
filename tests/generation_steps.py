"""What tests do with generations: build one, ask how they are, and do something amid the reading."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from app import generation_build
from app.bootstrap import Services
from app.settings import WorkerSettings
from tests.conftest import settings_in
from tests.generation_processes import OTHER, OtherEmbedder, services_with_two
from tests.installation import Installation

GENERATIONS = "/api/knowledge-bases/manuals/generations"
KETTLE = "# Kettle\n\nPress the red button to boil water.\n"
NEW_KETTLE = "# Kettle\n\nTurn the copper dial to boil water.\n"
LAMP = "# Lamp\n\nThe lamp glows violet when it is charged.\n"


@contextmanager
def services_in_haste(folder: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    """As everywhere, with a second embedder, one attempt at a job, and without the pause before a switch."""
    monkeypatch.setattr(generation_build, "OPENED_AFTER", generation_build.OPENED_AFTER * 0)
    monkeypatch.setattr(generation_build, "_BETWEEN_LOOKS_S", 0.0)
    worker = WorkerSettings(max_attempts=1, poll_s=0.05)
    built = services_with_two(settings_in(folder, database_url, worker=worker))
    built.prepare()
    yield built
    built.close()


def build(installation: Installation, **wanted: Any) -> dict[str, Any]:
    made: dict[str, Any] = installation.post(GENERATIONS, json=wanted)
    return made


def generations(installation: Installation) -> dict[int, dict[str, Any]]:
    return {each["number"]: each for each in installation.get(GENERATIONS)["generations"]}


def statuses(installation: Installation) -> dict[int, str]:
    return {number: each["status"] for number, each in generations(installation).items()}


def refused(response: Any, status: int, words: str) -> None:
    assert response.status_code == status, response.text
    assert words in response.json()["error"]["message"]


def in_sql(services: Services, table: Any) -> dict[str, int]:
    """How many rows of each generation."""
    with services.database.read() as session:
        counts = select(table.generation_id, func.count()).group_by(table.generation_id)
        return {row[0]: row[1] for row in session.execute(counts)}


def while_embedding(
    installation: Installation, monkeypatch: pytest.MonkeyPatch, model: str, act: Callable[[], object]
) -> list[str]:
    """`act` is called when the model is first about to embed passages; all texts that it embeds are noted."""
    noted: list[str] = []
    # Of the other model the class: an instance that no generation needs yet may be let go at any moment.
    embedder: Any = OtherEmbedder if model == OTHER else installation.services.embedder
    embed = embedder.embed_passages

    def note(*arguments: Any) -> Any:
        if not noted:
            act()
        noted.extend(arguments[-1])
        return embed(*arguments)

    monkeypatch.setattr(embedder, "embed_passages", note)
    return noted
