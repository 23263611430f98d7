"""The generative answerer: any LangChain chat model, held to the passages it was given.

Owns the messages that the model gets and what becomes of its failures. What of its words may be shown is decided in
`generative_text`. The model comes from outside; it should be made with `TEMPERATURE` and `MAX_TOKENS`.
"""

import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, BaseMessageChunk, HumanMessage, SystemMessage

from rag.answerers.base import Found
from rag.answerers.failures import model_failure
from rag.answerers.generative_text import ModelText
from rag.citations import guarded
from rag.errors import ModelFailed
from rag.language import PHRASES, Language, language_of
from rag.prompts import filled, prompt
from rag.types import NO_PAGE, Answer, AnswerEvent, AnswerKind, Finished, Hit, Question, Token, Turn

TEMPERATURE = 0.3
MAX_TOKENS = 800

_FORGED_DELIMITER = re.compile(r"[<＜](?=[\s/]*(?:passage|question)\b)", re.IGNORECASE)
_OLD_MARKER = re.compile(r"\s*\[\d{1,3}\]")


@dataclass(frozen=True, slots=True)
class GenerativeSettings:
    """What the model is given: `passages` hits, and of the history the last `turns` within `history_characters`.

    answer_characters bounds what is taken from a model that does not stop.
    """

    passages: int = 3
    turns: int = 6
    history_characters: int = 4000
    answer_characters: int = 20_000


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

        Without hits the model is not asked. Raises `ModelFailed`.
        """
        language = language_of(question.text)
        hits = tuple(found.hits[: self._settings.passages])
        text = ModelText(hits)
        if hits:
            pieces = self._pieces(messages_for(question, hits, language, self._settings))
            try:
                for piece in pieces:
                    yield from text.feed(piece)
                    if text.refused and not text.citations.citations:
                        break
                yield from text.finish()
            finally:
                pieces.close()
        if hits and not text.shown and not text.refused:
            raise ModelFailed("The language model returned an empty answer. Ask again.", transient=True)
        kind = _kind(text)
        if kind is AnswerKind.NOT_IN_MANUALS:
            yield Token(PHRASES[language].not_in_manuals)
        yield Finished(
            Answer(
                kind=kind,
                text=PHRASES[language].not_in_manuals if kind is AnswerKind.NOT_IN_MANUALS else "".join(text.shown),
                citations=tuple(text.citations.citations),
                hits=tuple(found.hits),
                searched_for=found.searched_for,
                answerer=self.name,
                model=self._model,
                details=_details(text),
            )
        )

    def _pieces(self, messages: Sequence[BaseMessage]) -> Generator[str]:
        """The model's text as it comes. Raises `ModelFailed` for whatever the model's client raises."""
        taken = 0
        stream: Iterator[BaseMessageChunk] = iter(())
        try:
            stream = self._chat_model.stream(list(messages))
            for chunk in stream:
                yield (piece := str(chunk.text))
                taken += len(piece)
                if taken > self._settings.answer_characters:
                    return
        except Exception as error:
            raise model_failure(error, self._model) from error
        finally:
            if isinstance(stream, Generator):
                stream.close()


def messages_for(
    question: Question, hits: Sequence[Hit], language: Language, settings: GenerativeSettings
) -> list[BaseMessage]:
    """Role and rules, the history, then the numbered passages and the question."""
    passages = "\n\n".join(_passage(number, hit) for number, hit in enumerate(hits, start=1))
    asked = filled(prompt("question", language), passages=passages, question=_as_data(question.text))
    return [SystemMessage(prompt("system", language)), *_history(question.history, settings), HumanMessage(asked)]


def _passage(number: int, hit: Hit) -> str:
    """One passage between delimiters that its own text cannot close, with its place in the manual."""
    passage = hit.passage
    place = " › ".join(name for name in (passage.title, *passage.heading_path) if name)
    attribute = " ".join(_as_data(place).replace('"', "'").split())
    pages = [span.page for span in passage.spans if span.page != NO_PAGE]
    page = f' page="{pages[0]}"' if pages else ""
    return f'<passage number="{number}" from="{attribute}"{page}>\n{_as_data(passage.text)}\n</passage>'


def _as_data(text: str) -> str:
    """`text` so that it can neither open or close a delimiter nor hold a marker."""
    return guarded(_FORGED_DELIMITER.sub("‹", text))


def _history(turns: Sequence[Turn], settings: GenerativeSettings) -> list[BaseMessage]:
    """The last turns that fit, oldest first; markers of old answers named passages that are not there now."""
    messages: list[BaseMessage] = []
    left = settings.history_characters
    for turn in reversed(turns[-settings.turns :]):
        text = _as_data(_OLD_MARKER.sub("", turn.text))
        left -= len(text)
        if left < 0:
            break
        messages.append(HumanMessage(text) if turn.role == "customer" else AIMessage(text))
    return messages[::-1]


def _kind(text: ModelText) -> AnswerKind:
    if text.citations.citations:
        return AnswerKind.UNCERTAIN if text.refused else AnswerKind.ANSWER
    # Without a citation there is nothing a reader could check, whatever the model says.
    return AnswerKind.NOT_IN_MANUALS if text.refused or not text.shown else AnswerKind.UNCERTAIN


def _details(text: ModelText) -> Mapping[str, object]:
    return {"dropped_markers": text.dropped_markers, "unsupported_quotations": text.unsupported_quotations}
