"""A model that cannot be reached is left alone for a while, so that not every question waits for a time-out.

Owns the circuit and the answerer that keeps to it. Knows nothing of the model but its errors, and nothing of what
is answered instead.
"""

import time
from collections.abc import Callable, Generator
from contextlib import closing
from threading import Lock
from typing import Literal

from rag.answerers.base import Answerer, AnswererAround, Found
from rag.errors import ModelFailed, ModelUnreachable
from rag.types import AnswerEvent, Cited, Finished, Question, Token

CircuitState = Literal["closed", "open", "half_open"]


class Circuit:
    """Open from a failed connection on until the model answers again; safe for threads, one for each model.

    closed     every question goes through
    open       none does, for `open_s` seconds
    half_open  the next one does, and the circuit is open again meanwhile
    """

    def __init__(self, open_s: float = 3.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._open_s = open_s
        self._clock = clock
        self._lock = Lock()
        self._try_again_at: float | None = None
        self._outages = 0

    @property
    def state(self) -> CircuitState:
        again = self._try_again_at
        if again is None:
            return "closed"
        return "open" if self._clock() < again else "half_open"

    @property
    def outages(self) -> int:
        """How often the model has gone away. What comes back under its name may be another model."""
        return self._outages

    def enter(self) -> bool:
        """Whether a question may go to the model. Of those that come to a half-open circuit, one may."""
        with self._lock:
            if self._try_again_at is None:
                return True
            now = self._clock()
            if now < self._try_again_at:
                return False
            self._try_again_at = now + self._open_s
            return True

    def report(self, *, reached: bool) -> None:
        """What became of a question that went to the model."""
        with self._lock:
            if reached:
                self._try_again_at = None
                return
            self._outages += self._try_again_at is None
            self._try_again_at = self._clock() + self._open_s


class CircuitAnswerer(AnswererAround):
    """Asks another one only while the circuit lets questions through."""

    def __init__(self, answerer: Answerer, circuit: Circuit) -> None:
        super().__init__(answerer)
        self._circuit = circuit

    def answer(self, question: Question, found: Found) -> Generator[AnswerEvent]:
        """The other answerer's events. Raises `ModelUnreachable` at once while the circuit is open."""
        if found.hits and not self._circuit.enter():
            raise ModelUnreachable(
                f'The chat model "{self.model}" could not be reached a moment ago. Ask again in a few seconds.'
            )
        try:
            with closing(self._answerer.answer(question, found)) as events:
                for event in events:
                    if found.hits and isinstance(event, Token | Cited | Finished):
                        self._circuit.report(reached=True)
                    yield event
        except ModelUnreachable:
            self._circuit.report(reached=False)
            raise
        except ModelFailed:
            self._circuit.report(reached=True)  # it refused, so it is there
            raise
