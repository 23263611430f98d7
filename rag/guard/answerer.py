"""What becomes of a question that tries to steer the assistant: no model is told of it.

Owns the way of such a question: it is looked up in the manuals by an answerer that quotes and cannot be talked to, and
declined politely when it holds nothing to look up. Never an error: an honest question that was mistaken still gets
the manual's words. Knows nothing of how injections are told (`rag.guard.judge`).
"""

from collections.abc import Generator
from contextlib import closing
from dataclasses import replace

from rag.answerers.base import GUARD, Answerer, AnswererAround, Found
from rag.answerers.extractive.terms import content_terms
from rag.guard.judge import InjectionGuard, Judgement
from rag.guard.text import is_addressed_to_model
from rag.language import PHRASES, language_of
from rag.sentences import sentence_spans
from rag.types import Answer, AnswerEvent, AnswerKind, Finished, Question, Token, Vector

_LEAST_TERMS = 2


class GuardAnswerer(AnswererAround):
    """Hands questions to `answerer`, and those that try to steer it to `quoting`, which is no model.

    Of the turns before a question `answerer` is told those that do not try to, either.

    The answer to the latter has the noticed in `details["guard"]`: probability, what it was judged by, and the signs.
    """

    def __init__(
        self,
        answerer: Answerer,
        quoting: Answerer,
        guard: InjectionGuard | None = None,
    ) -> None:
        super().__init__(answerer)
        self._quoting = quoting
        self._guard = guard or InjectionGuard()

    def answer(self, question: Question, found: Found) -> Generator[AnswerEvent]:
        """Raises what `answerer` raises for the questions that it gets."""
        judgement = self._guard.judge(question.text, self._vector(question, found))
        if not judgement.is_injection:
            honest_turns = self._guard.without_steering(question.history)
            with closing(self._answerer.answer(replace(question, history=honest_turns), found)) as events:
                yield from events
            return
        honest = self._without_orders(question.text)
        asked = replace(question, text=honest or question.text, images=())
        with closing(self._quoting.answer(asked, found)) as quoted:
            events_made = list(quoted)
        answer = next(event.answer for event in events_made if isinstance(event, Finished))
        wanted = (AnswerKind.ANSWER, AnswerKind.UNCERTAIN) if honest else (AnswerKind.ANSWER,)
        if answer.kind in wanted:
            yield from (event for event in events_made if not isinstance(event, Finished))
        else:
            answer = _declined(answer, question)
            yield Token(answer.text)
        yield Finished(replace(answer, details={**answer.details, GUARD: _told(judgement)}))

    def _vector(self, question: Question, found: Found) -> Vector | None:
        """Nothing is embedded for the guard: a question that was searched for in other words is judged by its signs."""
        known = found.question_vector
        if known is None or (known.text, known.embedder) != (question.text, self._guard.embedder):
            return None
        return known.vector

    def _without_orders(self, text: str) -> str:
        """The sentences of a question that try nothing; empty when too little is left to be looked up."""
        sentences = [text[start:end] for start, end in sentence_spans(text)]
        if len(sentences) == 1:
            return ""
        honest = " ".join(
            each for each in sentences if not (is_addressed_to_model(each) or self._guard.judge(each).is_injection)
        )
        return honest if len(content_terms(honest)) >= _LEAST_TERMS else ""


def _declined(answer: Answer, question: Question) -> Answer:
    """A polite word instead of an answer; the hits stay, for they are what the manuals have."""
    words = PHRASES[language_of(question.text)].only_manuals
    return replace(answer, kind=AnswerKind.REFUSAL, text=words, citations=())


def _told(judgement: Judgement) -> dict[str, object]:
    return {
        "probability": round(judgement.probability, 3),
        "by": judgement.by.value,
        "signs": list(judgement.signs),
    }
