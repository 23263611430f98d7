"""A model's answer, or the manual's own words when the model cannot give one.

Owns the choice between two answerers and the mark that the second leaves. Does not know why the first fails nor who
allowed the second.
"""

from collections.abc import Generator
from contextlib import closing
from dataclasses import replace
from typing import Literal

from rag.answerers.base import Answerer, AnswererAround, Found
from rag.errors import ModelBusy, ModelFailed, ModelUnreachable
from rag.types import AnswerEvent, Cited, Finished, Question, Token

FallbackReason = Literal["runtime_busy", "runtime_down", "model_failed"]
"""No place was free at the model; it was not there, or too silent; or what it did was no answer."""

FALLBACK = "fallback"
"""The name under which an answer's details tell the reason."""


class FallbackAnswerer(AnswererAround):
    """Asks `first`, and `second` when `first` fails before anything was shown.

    The answer of `second` bears its name and, in `details["fallback"]`, the reason. Errors that asking again would not
    cure are raised, and so is every error once a part of an answer has been shown. `second` reads no pictures: a
    question with some is not handed to it.
    """

    def __init__(self, first: Answerer, second: Answerer) -> None:
        super().__init__(first)
        self._second = second

    def answer(self, question: Question, found: Found) -> Generator[AnswerEvent]:
        """Raises `ModelFailed` as said above."""
        is_shown = False
        try:
            with closing(self._answerer.answer(question, found)) as events:
                for event in events:
                    is_shown = is_shown or isinstance(event, Token | Cited)
                    yield event
            return
        except ModelFailed as error:
            if is_shown or not error.transient or question.images:
                raise
            reason = _reason(error)
        with closing(self._second.answer(question, found)) as events:
            for event in events:
                yield _marked(event, reason) if isinstance(event, Finished) else event


class RefusingAnswerer:
    """Stands for a model that must not be asked: raises `ModelBusy` for every question."""

    def __init__(self, name: str, model: str | None) -> None:
        self.name = name
        self.model = model

    def answer(self, question: Question, found: Found) -> Generator[AnswerEvent]:
        """Raises `ModelBusy`."""
        raise ModelBusy(
            f'As many questions as are allowed are at the chat model "{self.model}". Ask again in a moment.',
            retry_after_s=1,
        )
        yield  # a generator, like every answerer's


def _reason(error: ModelFailed) -> FallbackReason:
    if isinstance(error, ModelBusy):
        return "runtime_busy"
    return "runtime_down" if isinstance(error, ModelUnreachable) else "model_failed"


def _marked(event: Finished, reason: FallbackReason) -> Finished:
    return Finished(replace(event.answer, details={**event.answer.details, FALLBACK: reason}))
