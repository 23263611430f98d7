"""The answer to a question that was let past the chat model because it was kept, and is kept no more.

Owns taking a place at the model in the middle of a chain. Why this happens: a document becomes ready, or the answer is
evicted, between the moment a question is let in and the moment it is looked up.
"""

from collections.abc import Generator
from contextlib import closing
from threading import Event

from app.admission import Admission
from rag.answerers.base import Answerer, AnswererAround, Found
from rag.types import AnswerEvent, Question, Waiting

_BEAT_S = 0.2


class LatePlaceAnswerer(AnswererAround):
    """Asks `answerer` once a place at the model is free.

    The question has been let in, so it queues beyond the limit. It keeps its own thread, which is not the model's, for
    as long as it waits and is answered: worth it for something as rare as this.
    """

    def __init__(self, answerer: Answerer, admission: Admission) -> None:
        super().__init__(answerer)
        self._admission = admission

    def answer(self, question: Question, found: Found) -> Generator[AnswerEvent]:
        """`Waiting` until its turn has come, then the other's events. Closing it frees the place."""
        is_its_turn, is_over = Event(), Event()

        def hold() -> None:
            is_its_turn.set()
            is_over.wait()

        place = self._admission.reserve(beyond_limit=True)
        try:
            place.start(hold)
            while not is_its_turn.wait(_BEAT_S):
                yield Waiting()
            with closing(self._answerer.answer(question, found)) as events:
                yield from events
        finally:
            is_over.set()
            place.give_up()
