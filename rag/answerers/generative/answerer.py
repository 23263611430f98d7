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

from rag.answerers.base import NOT_FOUND, Found
from rag.answerers.failures import model_failure
from rag.answerers.generative.history import HistoryLimits
from rag.answerers.generative.planted import planted_in
from rag.answerers.generative.prompt import messages_for, readable_images
from rag.answerers.generative.repetition import RepetitionGuard
from rag.answerers.generative.summary import Summarizer
from rag.answerers.generative.text import ModelText
from rag.answerers.generative.writer import AnswerWriter, WhenNotFound
from rag.errors import ModelFailed, PromptTooLong
from rag.language import PHRASES, language_of
from rag.prompts import prompt_version
from rag.types import Answer, AnswerEvent, AnswerKind, Finished, Hit, Question, Token, Waiting

STOP = ("<passage", "</passage", "<question", "</question")
"""An answer has no delimiters: a model that writes one has begun to invent passages or the next question."""


_NAMED_AT_MOST = 20
"""Parts that were not found, in an answer's details."""


@dataclass(frozen=True, slots=True)
class GenerativeSettings:
    """What the model is given and how it draws its words; sampling that is None is left to the model as it was made.

    passages: hits in the prompt. images: whether the model can look at pictures. answer_characters bounds what is
    taken from a model that does not stop. when_not_found: what becomes of a sentence that says what its pages do not.
    """

    passages: int = 3
    temperature: float | None = None
    max_tokens: int | None = None
    frequency_penalty: float | None = None
    repetition_penalty: float | None = None
    images: bool = False
    history: HistoryLimits = field(default_factory=HistoryLimits)
    answer_characters: int = 20_000
    when_not_found: WhenNotFound = WhenNotFound.FLAG

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

    def __init__(
        self,
        chat_model: BaseChatModel,
        model: str,
        settings: GenerativeSettings | None = None,
        summarizer: Summarizer | None = None,
    ) -> None:
        """`model` is the name that answers report; `summarizer` sums up turns that no longer fit, which else go."""
        self._chat_model = chat_model
        self._model = model
        self._settings = settings or GenerativeSettings()
        self._summarize = summarizer.summary if summarizer is not None else None

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
        text = self._text(hits)
        reading = _Reading(self._chat_model, self._model, self._settings)
        left_out: Mapping[str, object] = {}
        for prompt in _ever_shorter(question, hits) if hits else ():
            text = self._text(prompt.hits)
            left_out = prompt.left_out
            try:
                yield from self._told(reading, text, prompt.question)
                break
            except PromptTooLong:
                if prompt.is_last or text.writer.shown:
                    raise
        if hits and not text.writer.shown and not text.refused and not text.writer.counts.dropped:
            raise ModelFailed("The chat model returned an empty answer. Ask again.", transient=True)
        kind = _kind(text)
        refusal = PHRASES[language_of(question.text)].not_in_manuals
        if kind is AnswerKind.NOT_IN_MANUALS:
            yield Token(refusal)
        yield Finished(
            Answer(
                kind=kind,
                text=refusal if kind is AnswerKind.NOT_IN_MANUALS else "".join(text.writer.shown),
                citations=tuple(text.writer.citations.citations),
                hits=tuple(found.hits),
                searched_for=found.searched_for,
                answerer=self.name,
                model=self._model,
                details={**_details(text), **reading.details(), **self._seen(question), **left_out},
            )
        )

    def _told(self, reading: "_Reading", text: ModelText, question: Question) -> Generator[AnswerEvent]:
        """What may be shown of the model's words, as they come."""
        own = self._settings
        messages = messages_for(question, text.hits, own.history, own.images, self._summarize)
        with closing(reading.pieces(messages)) as pieces:
            for piece in pieces:
                shown = False
                for event in text.feed(piece):
                    shown = True
                    yield event
                if not shown:
                    yield Waiting()
                if text.refused and not text.writer.citations.citations:
                    break
        # Behind the stream: a reader who is slow to take what is left does not keep the model writing.
        yield from text.finish()

    def _text(self, hits: Sequence[Hit]) -> ModelText:
        return ModelText(AnswerWriter(hits, self._settings.when_not_found))

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
    writer = text.writer
    if writer.citations.citations:
        flagged = writer.counts.not_found - writer.counts.dropped
        doubtful = text.refused or flagged or writer.unsupported_sentences()
        return AnswerKind.UNCERTAIN if doubtful else AnswerKind.ANSWER
    # Without a citation there is nothing a reader could check, whatever the model says.
    return AnswerKind.NOT_IN_MANUALS if text.refused or not writer.shown else AnswerKind.UNCERTAIN


def _details(text: ModelText) -> Mapping[str, object]:
    writer, counts = text.writer, text.writer.counts
    passages = [hit.passage for hit in writer.hits]
    planted = sum(planted_in(part) for each in passages for part in (each.title, *each.heading_path, each.text))
    return {
        "dropped_markers": text.dropped_markers,
        "unsupported_quotations": text.unsupported_quotations,
        "unsupported_sentences": writer.unsupported_sentences(),
        "broken_links": writer.broken_links,
        "sentences": counts.sentences,
        "cited_sentences": counts.cited,
        "not_found_sentences": counts.not_found,
        "dropped_sentences": counts.dropped,
        "claims": counts.claims,
        "found_claims": counts.found,
        NOT_FOUND: writer.missing[:_NAMED_AT_MOST],
    } | ({"planted_left_out": planted} if planted else {})
