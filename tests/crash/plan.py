"""What the crash test does, written down before it is done: a pure function of the seed.

Owns the operations, their order, and when which process is killed. Knows no processes; how long things take, and so
what the victim was doing beside the named step, differs from run to run.
"""

import json
import random
from dataclasses import asdict, dataclass, replace
from enum import StrEnum

from tests.crash.documents import DOCUMENTS, SOURCE_OF, SOURCES


class Action(StrEnum):
    PUT = "put"  # uploads files: new documents, new versions, or what is there already
    DELETE = "delete"
    SEARCH = "search"
    ASK = "ask"
    RECREATE = "recreate"  # deletes the whole knowledge base and makes one of the same name
    SETTLE = "settle"  # waits until no job is left and compares everything with the reference


class Victim(StrEnum):
    API = "api"
    WORKER = "worker"
    PARSER = "parser"


class Step(StrEnum):
    """What the victim is about to do, or has just done, when it dies; counted from when the kill is ordered."""

    QUERY = "query"  # about to run a statement of SQL
    WRITE = "write"  # about to run one that changes rows
    COMMIT = "commit"  # about to commit
    COMMITTED = "committed"  # has committed, and told nobody
    FILE = "file"  # about to create, write, rename or remove a file or folder
    EMBED = "embed"  # about to embed passages or a question
    FRAME = "frame"  # has sent its worker a page, or something else that it read
    MOMENT = "moment"  # whatever it does so many milliseconds later


@dataclass(frozen=True, slots=True)
class Kill:
    """`nth`: at which such step from now on; for a moment, after how many milliseconds."""

    victim: Victim
    step: Step
    nth: int


@dataclass(frozen=True, slots=True)
class Operation:
    """`uploads` are (source, version) pairs, `document` is an external id, each for the actions that need it.

    `patient`: a request whose connection died is sent again until it is answered; otherwise its outcome stays open.
    """

    action: Action
    uploads: tuple[tuple[int, int], ...] = ()
    document: str = ""
    patient: bool = True
    kill: Kill | None = None


_WEIGHTS = {Action.PUT: 36, Action.DELETE: 18, Action.SEARCH: 36, Action.ASK: 10}
_OPERATIONS_A_SETTLEMENT = 200
_OPERATIONS_A_RECREATION = 250
_SHORTEST_GAP, _LONGEST_GAP = 10, 30  # operations between two kills

_API_STEPS = {
    Action.PUT: {Step.WRITE: 5, Step.COMMIT: 2, Step.COMMITTED: 2, Step.FILE: 6, Step.QUERY: 6, Step.MOMENT: 25},
    Action.DELETE: {Step.WRITE: 6, Step.COMMIT: 2, Step.COMMITTED: 2, Step.FILE: 1, Step.QUERY: 4, Step.MOMENT: 15},
    Action.SEARCH: {Step.EMBED: 1, Step.QUERY: 5, Step.MOMENT: 15},
    Action.ASK: {Step.WRITE: 8, Step.COMMIT: 3, Step.COMMITTED: 3, Step.EMBED: 1, Step.QUERY: 12, Step.MOMENT: 30},
    Action.RECREATE: {Step.WRITE: 2, Step.COMMIT: 2, Step.COMMITTED: 2, Step.FILE: 6, Step.MOMENT: 30},
}
_WORKER_STEPS = {
    Step.WRITE: 20, Step.COMMIT: 7, Step.COMMITTED: 7, Step.FILE: 20, Step.EMBED: 2, Step.FRAME: 4, Step.MOMENT: 300,
}  # fmt: skip
_PARSER_STEPS = {Step.FRAME: 4, Step.MOMENT: 200}
"""How many such steps a victim takes about then, so that each of them may be the last."""


def make_plan(seed: int, operations: int) -> list[Operation]:
    """`operations` of which about every 20th has a kill, settlements not counted; the last is a settlement."""
    planner = _Planner(random.Random(seed))
    plan: list[Operation] = []
    how_many = 1 + operations // _OPERATIONS_A_RECREATION
    recreations = planner.random.sample(range(operations // 4, operations * 3 // 4), how_many)
    next_kill = planner.random.randint(3, _SHORTEST_GAP)
    for number in range(operations):
        is_killed = number == next_kill
        victim = planner.victim() if is_killed else None
        if number in recreations:
            plan.append(Operation(Action.SETTLE))  # what is thrown away was in order
            operation = planner.recreation()
        elif victim in (Victim.WORKER, Victim.PARSER):
            operation = planner.upload()
        else:
            operation = planner.operation()
        if victim is not None:
            operation = planner.with_kill(operation, victim)
            next_kill = number + planner.random.randint(_SHORTEST_GAP, _LONGEST_GAP)
        plan.append(operation)
        if number % _OPERATIONS_A_SETTLEMENT == _OPERATIONS_A_SETTLEMENT - 1 and number < operations - 1:
            plan.append(Operation(Action.SETTLE))
    return [*plan, Operation(Action.SETTLE)]


def as_json(plan: list[Operation]) -> str:
    return json.dumps([asdict(operation) for operation in plan], indent=1)


class _Planner:
    """Keeps what would be there if nothing went wrong, so that most operations have something to work on."""

    def __init__(self, randomness: random.Random) -> None:
        self.random = randomness
        self._version = [0] * len(SOURCES)
        self._present: set[str] = set()
        self._doomed: str | None = None  # a document to be deleted next, while its job is under way
        self._victims: list[Victim] = []

    def operation(self) -> Operation:
        if self._doomed is not None and self._doomed in self._present:
            return self._deletion(self._doomed)
        [action] = self.random.choices(list(_WEIGHTS), list(_WEIGHTS.values()))
        if action is Action.PUT or not self._present:
            return self.upload()
        if action is Action.DELETE:
            return self._deletion(self.random.choice(sorted(self._present)))
        sent = [document for document in DOCUMENTS if self._version[SOURCE_OF[document]]]
        return Operation(action, document=self.random.choice(sent))

    def upload(self) -> Operation:
        """One to three files; one in ten with the content that it has already."""
        uploads = []
        for number in sorted(self.random.sample(range(len(SOURCES)), self.random.choice((1, 1, 1, 2, 3)))):
            if not self._version[number] or self.random.random() > 0.1:
                self._version[number] += 1
            uploads.append((number, self._version[number]))
            self._present.update(SOURCES[number].documents)
        if self.random.random() < 0.2:
            self._doomed = SOURCES[uploads[0][0]].documents[0]
        return Operation(Action.PUT, uploads=tuple(uploads), patient=self._patience())

    def victim(self) -> Victim:
        """Each of the three once, then each again: a short plan has them all."""
        if not self._victims:
            self._victims = self.random.sample(list(Victim), len(Victim))
        return self._victims.pop()

    def recreation(self) -> Operation:
        self._present.clear()
        return Operation(Action.RECREATE)

    def with_kill(self, operation: Operation, victim: Victim) -> Operation:
        steps = {
            Victim.API: _API_STEPS[operation.action],
            Victim.WORKER: _WORKER_STEPS,
            Victim.PARSER: _PARSER_STEPS,
        }[victim]
        step = self.random.choice(list(steps))
        if victim is Victim.WORKER and operation.uploads and self.random.random() < 0.4:
            self._doomed = SOURCES[operation.uploads[0][0]].documents[0]
        return replace(operation, kill=Kill(victim, step, self.random.randint(1, steps[step])))

    def _deletion(self, document: str) -> Operation:
        self._doomed = None
        self._present.discard(document)
        return Operation(Action.DELETE, document=document, patient=self._patience())

    def _patience(self) -> bool:
        return self.random.random() < 0.6
