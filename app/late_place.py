"""The answer to a question that was let past the chat model because it was kept, and is kept no more.

Owns taking a place at the model in the middle of a chain. Why this happens: a document becomes ready, or the answer is
evicted, between the moment a question is let in and the moment it is looked up.
"""

from collections.abc import Generator
from contextlib import closing
from threading import Event

from app.admission import Admission
from rag.answerers.base import Answerer, Found
from rag.types import AnswerEvent, Question, Waiting

_BEAT_S = 0.2


class LatePlaceAnswerer:
    """An `rag.answerers.base.Answerer`: `answerer`, asked once a place at the model is free.

    The question has been let in, so it queues beyond the limit. It keeps its own thread, which is not the model's, for
    as long as it waits and is answered: worth it for something as rare as this. `unless_pictures` answers questions
    without pictures in its stead, where such an answer is allowed: those may be here for lack of a place.
    """

    def __init__(self, answerer: Answerer, admission: Admission, *, unless_pictures: Answerer | None = None) -> None:
        self._answerer = answerer
        self._admission = admission
        self._unless_pictures = unless_pictures

    @property
    def name(self) -> str:
        return self._answerer.name

    @property
    def model(self) -> str | None:
        return self._answerer.model

    def answer(self, question: Question, found: Found) -> Generator[AnswerEvent]:
        """`Waiting` until its turn has come, then the other's events. Closing it frees the place."""
        if self._unless_pictures is not None and not question.images:
            with closing(self._unless_pictures.answer(question, found)) as events:
                yield from events
            return
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
