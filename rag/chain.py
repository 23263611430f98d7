"""From a question to a cited answer: retrieve, answer, finish.

Owns the order of the stages and their times. Does not know storage, conversations or HTTP; the retriever and the
answerer are handed in.
"""

import re
import time
import unicodedata
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, replace

from rag.answerers.base import Answerer, Searcher
from rag.answerers.small_talk import small_talk_in, small_talk_reply
from rag.language import language_of
from rag.types import Answer, AnswerEvent, AnswerKind, Finished, Question, Retrieved, Token

_GAP = re.compile(r"[^\S\n\r]+")


@dataclass(frozen=True, slots=True)
class ChainSettings:
    """How much is retrieved. `candidates` passages are judged, the best `shown` of them are handed to readers."""

    candidates: int = 8
    shown: int = 3


class AnswerChain:
    """Answers questions about one knowledge base with one answerer. Safe for threads if its parts are."""

    def __init__(self, searcher: Searcher, answerer: Answerer, settings: ChainSettings | None = None) -> None:
        self._searcher = searcher
        self._answerer = answerer
        self._settings = settings or ChainSettings()

    def answer(self, question: Question) -> Answer:
        """The finished answer. Raises `rag.errors.RagError` subclasses as `stream` does."""
        return next(event.answer for event in self.stream(question) if isinstance(event, Finished))

    def stream(self, question: Question) -> Generator[AnswerEvent]:
        """`Retrieved`, then `Token` and `Cited` as the text grows, then one `Finished`.

        Closing the iterator aborts the answer, a model's generation included. Raises `UnknownFilter`,
        `IndexDamaged` or `ModelFailed`; what was yielded before stays valid as a partial text.
        """
        question = replace(question, text=normalised(question.text))
        if kind := small_talk_in(question.text):
            yield from self._polite(small_talk_reply(kind, language_of(question.text)))
            return
        timings: dict[str, float] = {}
        started = time.perf_counter()
        found = self._searcher.search(
            question.text,
            top_k=self._settings.candidates,
            filter=question.filter,
            history=question.history,
            timings=timings,
        )
        timings["retrieval"] = _milliseconds_since(started)
        yield Retrieved(tuple(found.hits[: self._settings.shown]), found.searched_for)
        answering = time.perf_counter()
        with closing(self._answerer.answer(question, found)) as events:
            for event in events:
                if isinstance(event, Finished):
                    timings["answering"] = _milliseconds_since(answering)
                    timings["total"] = _milliseconds_since(started)
                    shown = event.answer.hits[: self._settings.shown]
                    event = Finished(replace(event.answer, hits=shown, timings_ms=timings))
                elif "first_token" not in timings and isinstance(event, Token):
                    timings["first_token"] = _milliseconds_since(started)
                yield event

    def _polite(self, reply: str) -> Generator[AnswerEvent]:
        yield Token(reply)
        yield Finished(Answer(AnswerKind.CHAT, reply, (), (), "", self._answerer.name, None))


def normalised(text: str) -> str:
    """A question as it is asked: composed characters (NFC), one space for any gap within a line, none around it.

    Nothing else is brought together: case, width and punctuation may change an answer. All questions are asked in
    this form, so that two with the same form cannot have different answers.
    """
    return _GAP.sub(" ", unicodedata.normalize("NFC", text)).strip()


def _milliseconds_since(start: float) -> float:
    return (time.perf_counter() - start) * 1000
