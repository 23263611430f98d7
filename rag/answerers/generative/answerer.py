"""The generative answerer: any LangChain chat model, held to the passages it was given.

Owns the order of the work and what becomes of the model's failures. What the model is told is in `prompt`,
what of its words may be shown in `text`. The model comes from outside, made with its own sampling.
"""

import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk, BaseMessage, BaseMessageChunk

from rag.answerers.base import Found
from rag.answerers.failures import model_failure
from rag.answerers.generative.history import HistoryLimits
from rag.answerers.generative.prompt import messages_for, readable_images
from rag.answerers.generative.repetition import RepetitionGuard
from rag.answerers.generative.text import ModelText
from rag.errors import ModelFailed, PromptTooLong
from rag.language import PHRASES, language_of
from rag.prompts import prompt_version
from rag.types import Answer, AnswerEvent, AnswerKind, Finished, Hit, Question, Token, Waiting

STOP = ("<passage", "</passage", "<question", "</question")
"""An answer has no delimiters: a model that writes one has begun to invent passages or the next question."""


@dataclass(frozen=True, slots=True)
class GenerativeSettings:
    """What the model is given and how it draws its words; sampling that is None is left to the model as it was made.

    passages: hits in the prompt. images: whether the model can look at pictures. answer_characters bounds what is
    taken from a model that does not stop.
    """

    passages: int = 3
    temperature: float | None = None
    max_tokens: int | None = None
    frequency_penalty: float | None = None
    repetition_penalty: float | None = None
    images: bool = False
    history: HistoryLimits = field(default_factory=HistoryLimits)
    answer_characters: int = 20_000

    def keywords(self) -> dict[str, Any]:
        """The sampling as keyword arguments of any OpenAI-compatible chat model's `stream`."""
        own = {
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "frequency_penalty": self.frequency_penalty,
            "repetition_penalty": self.repetition_penalty,
        }
        return {**{name: value for name, value in own.items() if value is not None}, "stop": list(STOP)}


class Cut(StrEnum):
    """Why an answer ends before the model had ended it."""

    REPETITION = "repetition"
    TOO_LONG = "too_long"


class GenerativeAnswerer:
    """Answers with a chat model; an `rag.answerers.base.Answerer`."""

    name = "generative"

    def __init__(self, chat_model: BaseChatModel, model: str, settings: GenerativeSettings | None = None) -> None:
        """`model` is the name that answers report."""
        self._chat_model = chat_model
        self._model = model
        self._settings = settings or GenerativeSettings()

    @property
    def model(self) -> str | None:
        return self._model

    def answer(self, question: Question, found: Found) -> Generator[AnswerEvent]:
        """Streams the model's answer; closing the generator closes the model's stream.

        `Waiting` comes whenever the model gives a sign of life and there is nothing to show. Without hits the model
        is not asked. A prompt that the model finds too long is cut twice: the details then count what was left out
        (`history_left_out` in turns, `passages_left_out`). Raises `ModelFailed`.
        """
        hits = tuple(found.hits[: self._settings.passages])
        text = ModelText(hits)
        reading = _Reading(self._chat_model, self._model, self._settings)
        left_out: Mapping[str, object] = {}
        for prompt in _ever_shorter(question, hits) if hits else ():
            text = ModelText(prompt.hits)
            left_out = prompt.left_out
            try:
                yield from self._told(reading, text, prompt.question)
                break
            except PromptTooLong:
                if prompt.is_last or text.shown:
                    raise
        if hits and not text.shown and not text.refused:
            raise ModelFailed("The chat model returned an empty answer. Ask again.", transient=True)
        kind = _kind(text)
        refusal = PHRASES[language_of(question.text)].not_in_manuals
        if kind is AnswerKind.NOT_IN_MANUALS:
            yield Token(refusal)
        yield Finished(
            Answer(
                kind=kind,
                text=refusal if kind is AnswerKind.NOT_IN_MANUALS else "".join(text.shown),
                citations=tuple(text.citations.citations),
                hits=tuple(found.hits),
                searched_for=found.searched_for,
                answerer=self.name,
                model=self._model,
                details={**_details(text), **reading.details(), **self._seen(question), **left_out},
            )
        )

    def _told(self, reading: "_Reading", text: ModelText, question: Question) -> Generator[AnswerEvent]:
        """What may be shown of the model's words, as they come."""
        messages = messages_for(question, text.hits, self._settings.history, self._settings.images)
        with closing(reading.pieces(messages)) as pieces:
            for piece in pieces:
                shown = False
                for event in text.feed(piece):
                    shown = True
                    yield event
                if not shown:
                    yield Waiting()
                if text.refused and not text.citations.citations:
                    break
        # Behind the stream: a reader who is slow to take what is left does not keep the model writing.
        yield from text.finish()

    def _seen(self, question: Question) -> Mapping[str, object]:
        images = readable_images(question, self._settings.images)
        return {"prompt_version": prompt_version()} | (
            {"images": len(images), "images_left_out": len(question.images) - len(images)} if question.images else {}
        )


class _Reading:
    """One answer as it is read from the model, and what is known of it afterwards."""

    def __init__(self, chat_model: BaseChatModel, model: str, settings: GenerativeSettings) -> None:
        self._chat_model = chat_model
        self._model = model
        self._settings = settings
        self._known: dict[str, object] = {}

    def pieces(self, messages: Sequence[BaseMessage]) -> Generator[str]:
        """The model's text as it comes, empty where it is waited for.

        Raises `ModelFailed` for whatever the model's client raises.
        """
        started = time.perf_counter()
        taken = 0
        guard = RepetitionGuard()
        stream: Iterator[BaseMessageChunk] = iter(())
        try:
            stream = self._chat_model.stream(list(messages), **self._settings.keywords())
            for chunk in stream:
                piece = str(chunk.text)
                if piece and not taken:
                    self._known["model_first_token_ms"] = (time.perf_counter() - started) * 1000
                self._note(chunk)
                yield piece
                taken += len(piece)
                if taken > self._settings.answer_characters:
                    self._known["cut"] = Cut.TOO_LONG.value
                    return
                if guard.repeats(piece):
                    self._known["cut"] = Cut.REPETITION.value
                    return
        except Exception as error:
            raise model_failure(error, self._model) from error
        finally:
            if isinstance(stream, Generator):
                stream.close()

    def details(self) -> Mapping[str, object]:
        """Token counts where the server gives them, time to the first token in ms, and why the answer ended."""
        return self._known

    def _note(self, chunk: BaseMessageChunk) -> None:
        if reason := chunk.response_metadata.get("finish_reason"):
            self._known["finish_reason"] = str(reason)
        if isinstance(chunk, AIMessageChunk) and (usage := chunk.usage_metadata):
            self._known["prompt_tokens"] = usage["input_tokens"]
            self._known["completion_tokens"] = usage["output_tokens"]
            cached = usage.get("input_token_details", {}).get("cache_read")
            if cached is not None:
                self._known["cached_tokens"] = cached


@dataclass(frozen=True, slots=True)
class _Prompt:
    """A question and passages as one request has them, and what the question had besides."""

    question: Question
    hits: Sequence[Hit]
    left_out: Mapping[str, object]
    is_last: bool


def _ever_shorter(question: Question, hits: Sequence[Hit]) -> Iterator[_Prompt]:
    """Everything; without history and with one passage less; the best passage alone. No prompt comes twice.

    How many tokens a text has only the model's server knows, so that nothing is left out before it says no.
    """
    bare = replace(question, history=())
    sizes = sorted({max(1, len(hits) - 1), 1}, reverse=True)
    shorter = [(bare, size) for size in sizes if (bare, size) != (question, len(hits))]
    prompts = [(question, len(hits)), *shorter]
    for number, (asked, size) in enumerate(prompts, start=1):
        left_out = {"history_left_out": len(question.history), "passages_left_out": len(hits) - size}
        yield _Prompt(asked, hits[:size], left_out if number > 1 else {}, is_last=number == len(prompts))


def _kind(text: ModelText) -> AnswerKind:
    if text.citations.citations:
        return AnswerKind.UNCERTAIN if text.refused or text.unsupported_sentences() else AnswerKind.ANSWER
    # Without a citation there is nothing a reader could check, whatever the model says.
    return AnswerKind.NOT_IN_MANUALS if text.refused or not text.shown else AnswerKind.UNCERTAIN


def _details(text: ModelText) -> Mapping[str, object]:
    return {
        "dropped_markers": text.dropped_markers,
        "unsupported_quotations": text.unsupported_quotations,
        "unsupported_sentences": text.unsupported_sentences(),
        "broken_links": text.broken_links,
    }
