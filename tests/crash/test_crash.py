"""Random changes and random deaths: nothing is lost, nothing is left behind, nothing deleted comes back.

    make crash-test                                     1,000 operations on SQLite and as many on PostgreSQL
    CRASH_SEED=123 CRASH_OPERATIONS=300 make crash-test the very same operations and kills again, or part of them

Within `make test` the same with CRASH_OPERATIONS=60. CRASH_EMBEDDER=default takes the product's own embedder.
"""

import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from model_runtime.addresses import free_port
from tests.crash.client import Client
from tests.crash.documents import DOCUMENTS, SOURCE_OF, SOURCES, content, marks
from tests.crash.plan import Action, Victim, as_json, make_plan
from tests.crash.processes import Processes, processes_in
from tests.crash.reference import GONE, Reference, Untrue
from tests.crash.run import Run, check_storage

OPERATIONS = int(os.environ.get("CRASH_OPERATIONS", "60"))
_CLEAR_UP_S = 60.0
SEED = int(os.environ.get("CRASH_SEED") or random.SystemRandom().randrange(10**6))


def _environment(home: Path, database_url: str, port: int) -> dict[str, str]:
    """Everything as in the product, but that leases run out sooner and nothing is given up because of kills."""
    return {
        "ANSWERDESK_HOME": str(home),
        "ANSWERDESK_CACHE": os.environ.get("ANSWERDESK_CACHE", str(home / "cache")),
        "ANSWERDESK_DATABASE__URL": database_url,
        "ANSWERDESK_SERVER__PORT": str(port),
        "ANSWERDESK_LOG_LEVEL": "warning",
        "ANSWERDESK_WORKER__LEASE_S": "2",
        "ANSWERDESK_WORKER__POLL_S": "0.05",
        "ANSWERDESK_WORKER__MAX_ATTEMPTS": "20",
        "ANSWERDESK_ANSWERS__LEASE_S": "1",
        "ANSWERDESK_ANSWERS__MAX_ATTEMPTS": "20",
    }


@pytest.mark.crash
def test_kill_9_at_any_moment(kind: str, database_url: str, tmp_path: Path) -> None:
    began = time.monotonic()

    def report(text: str) -> None:
        print(f"{kind}, after {time.monotonic() - began:.0f} s: {text}", flush=True)  # noqa: T201

    replay = f"CRASH_SEED={SEED} CRASH_OPERATIONS={OPERATIONS} make crash-test"
    report(replay)
    plan = make_plan(SEED, OPERATIONS)
    (tmp_path / "plan.json").write_text(as_json(plan))
    home, port = tmp_path / "home", free_port()
    environment, workers = _environment(home, database_url, port), 1 if kind == "sqlite" else 2
    reference = Reference(SEED)
    address = f"http://127.0.0.1:{port}"
    with Processes(tmp_path / "killed", environment, workers) as processes:
        run = Run(SEED, reference, Client(address, processes), processes)
        with _explained(processes, replay):
            run.carry_out(plan, report)
            run.check_messages()
    with Processes(tmp_path / "afterwards", environment, workers) as afterwards, _explained(afterwards, replay):
        Run(SEED, reference, Client(address, afterwards), afterwards).settle(0)
        _until_true(lambda: check_storage(database_url, home))
    assert processes.faults == afterwards.faults == []
    assert processes_in(tmp_path) == []
    report(run.summary())


@contextmanager
def _explained(processes: Processes, replay: str) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        error.add_note(f"{processes.last_words()}\nTo replay: {replay}")
        raise


def _until_true(check: Callable[[], None]) -> None:
    """A worker that has been started clears up when it is idle."""
    deadline = time.monotonic() + _CLEAR_UP_S
    while True:
        try:
            return check()
        except Untrue:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def test_a_plan_follows_from_its_seed_alone() -> None:
    plan = make_plan(4711, 1000)
    assert as_json(plan) == as_json(make_plan(4711, 1000)) != as_json(make_plan(4712, 1000))
    assert as_json(make_plan(4711, 1000)) == as_json(plan)
    assert len(DOCUMENTS) == len(set(DOCUMENTS)) == 40
    kills = [operation.kill for operation in plan if operation.kill is not None]
    assert 40 <= len(kills) <= 62
    assert {kill.victim for kill in kills} == set(Victim)
    assert {operation.action for operation in plan} == set(Action)
    touched = {document for each in plan for number, _ in each.uploads for document in SOURCES[number].documents}
    assert touched == set(DOCUMENTS)
    every_mark = {mark for document in DOCUMENTS for version in range(1, 30) for mark in marks(1, document, version)}
    assert len(every_mark) == sum(SOURCES[SOURCE_OF[document]].parts + 28 for document in DOCUMENTS)
    assert len({content(1, source, version) for source in SOURCES for version in range(1, 5)}) == 4 * len(SOURCES)


def test_the_reference_notices_what_must_not_be() -> None:
    """Each way in which a product could go wrong, as the reference would see it."""
    reference, document = Reference(1), DOCUMENTS[1]
    first, second = (reference.state(document, version) for version in (1, 2))
    assert (len(first), len(first & second)) == (2, 1)
    reference.sent(document, first)
    reference.accepted(document, first)
    reference.saw_everything([])  # not read yet
    with pytest.raises(Untrue, match="has ended as"):
        reference.settled()
    reference.saw_everything(first)
    with pytest.raises(Untrue, match="nothing is found"):
        reference.saw_everything([])
    reference.settled()

    reference.sent(document, second)
    reference.saw_everything(first)
    with pytest.raises(Untrue, match="found are"):
        reference.saw_everything(first & second)
    with pytest.raises(Untrue, match="found are"):
        reference.saw_everything(first | second)
    reference.saw_everything(second)
    with pytest.raises(Untrue, match="found are"):
        reference.saw_everything(first)
    with pytest.raises(Untrue, match="was found, of an earlier state"):
        reference.saw_some(first)

    reference.sent(document, GONE)
    reference.saw_everything(second)  # the outcome is open, and stays so
    reference.deleted(document)
    with pytest.raises(Untrue, match="found are"):
        reference.saw_everything(second)
    assert reference.past_marks() == sorted(first | second)
    with pytest.raises(Untrue, match="nobody has ever uploaded"):
        reference.saw_some(marks(1, document, 3))
