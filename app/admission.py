"""Who may use the chat model now: so many questions run, so many wait, and more are turned away at once.

Owns the places of one process, the threads in which the holders of running places work, and the queue of the others.
Who waits holds no thread and no database session. Knows nothing of what the work is.
"""

import math
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from enum import Enum
from threading import Lock
from typing import Self

from app.errors import RuntimeBusy
from app.models import KnowledgeBase
from rag.types import Question

LONGEST_RETRY_S = 300
_FIRST_GUESS_S = 5.0  # how long an answer takes, before one has been made
_WEIGHT_OF_LAST = 0.2  # in the running mean of durations


class Place:
    """Leave to use the model, now or later. Made by `Admission.reserve`; all methods are safe for threads.

    It is freed when its work has ended, or by `give_up` as long as no work has begun.
    """

    __slots__ = ("_admission", "_has_left", "_is_running", "_work")

    def __init__(self, admission: "Admission", is_running: bool) -> None:
        self._admission = admission
        self._is_running = is_running
        self._has_left = False
        self._work: Callable[[], None] | None = None

    def start(self, work: Callable[[], None]) -> None:
        """Has `work` done in a thread as soon as it is this place's turn; not at all once the place is given up."""
        self._admission._start(self, work)

    def give_up(self) -> None:
        """Frees the place unless its work has begun; then the end of the work does."""
        self._admission._give_up(self)


class NoPlace(Enum):
    """Why a question is answered without a place at the chat model."""

    NONE_NEEDED = "none needed"
    NONE_LEFT = "none left"


Admitted = Place | NoPlace


class NobodyWaits(Exception):
    """Whoever asked has left before the question was let in."""


class Admitting:
    """Asks for one question's place when called, and frees it when the `with` block raises.

    Called with what `admit` takes, in the transaction that writes the question: a refusal undoes it. That is in another
    thread, which may still be on its way when the block is left; then its call raises `NobodyWaits`.
    """

    def __init__(self, admit: Callable[[KnowledgeBase, Question], Admitted]) -> None:
        self.admitted: Admitted = NoPlace.NONE_NEEDED
        self._admit = admit
        self._lock = Lock()
        self._is_left = False

    def __call__(self, knowledge_base: KnowledgeBase, question: Question) -> None:
        admitted = self._admit(knowledge_base, question)
        with self._lock:
            if not self._is_left:
                self.admitted = admitted
                return
        _give_up(admitted)
        raise NobodyWaits

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            with self._lock:
                self._is_left = True
            _give_up(self.admitted)


def _give_up(admitted: Admitted) -> None:
    if isinstance(admitted, Place):
        admitted.give_up()


class Admission:
    """At most `running` places whose work is being done and `waiting` in the queue, first come, first served."""

    def __init__(
        self,
        running: int,
        waiting: int,
        threads: Executor | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit = running
        self._queue_limit = waiting
        self._clock = clock
        self._lock = Lock()
        self._running = 0
        self._queue: deque[Place] = deque()
        self._turned_away = 0
        self._mean_s: float | None = None
        self._threads = threads or ThreadPoolExecutor(running, "generating")

    @property
    def running(self) -> int:
        return self._running

    @property
    def waiting(self) -> int:
        return len(self._queue)

    @property
    def turned_away(self) -> int:
        """How many questions found no place since the start."""
        return self._turned_away

    def reserve(self, *, beyond_limit: bool = False) -> Place:
        """A place, running or waiting. Raises `RuntimeBusy` when none is left.

        With `beyond_limit` the queue takes one more: for a question that had been let in before.
        """
        with self._lock:
            if self._running < self._limit and not self._queue:
                self._running += 1
                return Place(self, is_running=True)
            if len(self._queue) >= self._queue_limit and not beyond_limit:
                self._turned_away += 1
                raise RuntimeBusy(self._retry_after_s())
            place = Place(self, is_running=False)
            self._queue.append(place)
            return place

    def close(self) -> None:
        """Nothing more is begun; what is being done ends by itself."""
        with self._lock:
            for place in self._queue:
                place._has_left = True
            self._queue.clear()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _start(self, place: Place, work: Callable[[], None]) -> None:
        with self._lock:
            if place._has_left:
                return
            place._work = work
            if place._is_running:
                self._threads.submit(self._do, work)

    def _give_up(self, place: Place) -> None:
        with self._lock:
            if place._has_left:
                return
            if not place._is_running:
                place._has_left = True
                self._queue.remove(place)
            elif place._work is None:
                place._has_left = True
                self._free()

    def _do(self, work: Callable[[], None]) -> None:
        began = self._clock()
        try:
            work()
        finally:
            took = self._clock() - began
            with self._lock:
                mean = took if self._mean_s is None else self._mean_s
                self._mean_s = mean + _WEIGHT_OF_LAST * (took - mean)
                self._free()

    def _free(self) -> None:
        """One place less at work, and whoever is first in the queue takes it. The lock is held."""
        self._running -= 1
        if self._queue:
            place = self._queue.popleft()
            place._is_running = True
            self._running += 1
            if place._work is not None:
                self._threads.submit(self._do, place._work)

    def _retry_after_s(self) -> int:
        """When, at the recent pace, everybody who waits now will have begun."""
        mean = _FIRST_GUESS_S if self._mean_s is None else self._mean_s
        return min(LONGEST_RETRY_S, max(1, math.ceil(mean * (len(self._queue) + 1) / self._limit)))
