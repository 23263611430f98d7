"""Few threads compute at once, so that those which store and send are not kept waiting.

Owns how many compute at once in one process. Python runs one thread at a time; when many compute, whoever writes to the
database waits for the interpreter at every statement, and everybody else for the database.
"""

import os
from collections.abc import Generator
from threading import BoundedSemaphore
from typing import Final

from rag.answerers.base import Answerer, AnswererAround, Found
from rag.types import AnswerEvent, Question

AT_ONCE: Final = max(2, min(4, os.cpu_count() or 2))


class ComputeSlots(BoundedSemaphore):
    """`with slots:` around what computes. Not to be nested: who has one must not wait for another."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        super().__init__(at_once)


class InASlot(AnswererAround):
    """An answerer that has a slot while it makes an answer; for those that wait for nothing and nobody."""

    def __init__(self, answerer: Answerer, slots: ComputeSlots) -> None:
        super().__init__(answerer)
        self._slots = slots

    def answer(self, question: Question, found: Found) -> Generator[AnswerEvent]:
        """As the answerer within. Raises what that raises."""
        with self._slots:
            yield from self._answerer.answer(question, found)
