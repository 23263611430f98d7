"""What tests run in processes of their own around the queue. Imports little, so that they start fast."""

import time
from pathlib import Path

from app.db import Database
from app.jobs import JobQueue


def take_all(url: str, notes: Path) -> None:
    """Claims and finishes jobs until none is left, writing the name of each into a file."""
    queue = JobQueue(Database(url), lease_s=30, max_attempts=3)
    with notes.open("w") as file:
        while (claim := queue.claim()) is not None:
            file.write(claim.external_id + "\n")
            queue.report(claim, "parsing", 1, 2, None)
            queue.done(claim)


def hold_for_ever(url: str, ready: Path) -> None:
    """Claims a job and keeps its lease of 2 seconds alive; `ready` exists from then on."""
    queue = JobQueue(Database(url), lease_s=2, max_attempts=3)
    claim = queue.claim()
    assert claim is not None
    with queue.beating(claim):
        ready.touch()
        time.sleep(600)
