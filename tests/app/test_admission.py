"""Places at the chat model: never more than allowed, first come first served, none lost."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from app.admission import LONGEST_RETRY_S, Admission, Admitting, NobodyWaits, Place
from app.errors import RuntimeBusy
from app.models import KnowledgeBase
from rag.types import Question

RUNNING, WAITING = 2, 3


class ByHand(Executor):
    """Does what was submitted when the test says so."""

    def __init__(self) -> None:
        self.submitted: list[Callable[[], None]] = []

    def submit(self, fn: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        self.submitted.append(lambda: fn(*arguments, **named))
        return Future()

    def do(self, number: int) -> None:
        self.submitted.pop(number)()


class Places(RuleBasedStateMachine):
    """Questions that come, begin, end or go away in any order, against a plain list of who should be where."""

    def __init__(self) -> None:
        super().__init__()
        self.threads = ByHand()
        self.admission = Admission(RUNNING, WAITING, self.threads)
        self.at_work: list[int] = []  # have a place, and their work is submitted or about to be
        self.queue: list[int] = []
        self.places: dict[int, Place] = {}
        self.started: set[int] = set()
        self.done: list[int] = []
        self.submitted: list[int] = []

    @rule(beyond_limit=st.booleans())
    def come(self, beyond_limit: bool) -> None:
        number = len(self.places)
        full = len(self.at_work) == RUNNING and len(self.queue) >= WAITING
        if full and not beyond_limit:
            with pytest.raises(RuntimeBusy):
                self.admission.reserve()
            return
        self.places[number] = self.admission.reserve(beyond_limit=beyond_limit)
        (self.at_work if len(self.at_work) < RUNNING else self.queue).append(number)

    @precondition(lambda self: self.places.keys() - self.started)
    @rule(data=st.data())
    def start(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.places.keys() - self.started)))
        self.started.add(number)
        self.places[number].start(lambda: self.done.append(number))
        if number in self.at_work:
            self.submitted.append(number)

    @precondition(lambda self: self.threads.submitted)
    @rule(data=st.data())
    def work(self, data: st.DataObject) -> None:
        position = data.draw(st.integers(0, len(self.threads.submitted) - 1))
        number = self.submitted.pop(position)
        self.threads.do(position)
        assert self.done[-1] == number
        self._leave_work(number)

    @precondition(lambda self: self.places)
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.places)))
        self.places[number].give_up()
        if number in self.queue:
            self.queue.remove(number)
            self.started.add(number)  # what it might start now is never done
        elif number in self.at_work and number not in self.started:
            self.started.add(number)
            self._leave_work(number)

    def _leave_work(self, number: int) -> None:
        self.at_work.remove(number)
        if self.queue:
            first = self.queue.pop(0)
            self.at_work.append(first)
            if first in self.started:
                self.submitted.append(first)

    @invariant()
    def counts_are_right(self) -> None:
        assert (self.admission.running, self.admission.waiting) == (len(self.at_work), len(self.queue))
        assert len(self.threads.submitted) == len(self.submitted) <= RUNNING
        assert len(self.done) == len(set(self.done))


TestPlaces = Places.TestCase
TestPlaces.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_retry_after_follows_how_long_answers_take() -> None:
    now = [0.0]

    def takes(seconds: float) -> Callable[[], None]:
        return lambda: now.__setitem__(0, now[0] + seconds)

    threads = ByHand()
    admission = Admission(2, 3, threads, lambda: now[0])

    def retry_after() -> int:
        places = [admission.reserve() for _ in range(5)]
        with pytest.raises(RuntimeBusy) as busy:
            admission.reserve()
        for place in places[::-1]:
            place.give_up()
        assert busy.value.headers["Retry-After"] == str(busy.value.details["retry_after_s"])
        return int(busy.value.headers["Retry-After"])

    for seconds in (20.0, 20.0, 20.0):
        admission.reserve().start(takes(seconds))
        threads.do(0)
    assert retry_after() == 40  # four ahead of it, two at a time, twenty seconds each
    for _ in range(40):
        admission.reserve().start(takes(0.01))
        threads.do(0)
    assert retry_after() == 1
    for _ in range(40):
        admission.reserve().start(takes(1e6))
        threads.do(0)
    assert retry_after() == LONGEST_RETRY_S
    assert (admission.running, admission.waiting, admission.turned_away) == (0, 0, 3)


def test_work_that_fails_frees_its_place() -> None:
    threads = ByHand()
    admission = Admission(1, 0, threads)

    def fail() -> None:
        raise ValueError

    admission.reserve().start(fail)
    with pytest.raises(ValueError):  # noqa: PT011  the thread's own affair
        threads.do(0)
    assert admission.running == 0
    admission.reserve()


def test_a_question_that_is_let_in_after_its_asker_left_holds_no_place() -> None:
    """A cancelled request leaves at once; the thread that lets its question in comes when it comes."""
    admission = Admission(1, 0, ByHand())
    before, after = (Admitting(lambda *_: admission.reserve()) for _ in range(2))
    asked = (KnowledgeBase(), Question("?"))
    with suppress(asyncio.CancelledError), before:
        before(*asked)
        assert admission.running == 1
        raise asyncio.CancelledError
    assert admission.running == 0
    with suppress(asyncio.CancelledError), after:
        raise asyncio.CancelledError
    with pytest.raises(NobodyWaits):
        after(*asked)
    assert admission.running == 0
