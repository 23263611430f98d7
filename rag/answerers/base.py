"""The seam between retrieval and an answer: what every answerer offers, and what it is handed.

Owns the protocols of answerer, retriever and search result, and what answerers that stand in front of another share.
"""

from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping, Sequence
from typing import Protocol

from rag.types import AnswerEvent, Hit, Question, QuestionVector, Turn

NOT_FOUND = "not_found"
"""The name under which an answer's details tell the parts of a generated answer that its pages do not have."""

GUARD = "guard"
"""The name under which they tell why the question was taken for an attempt to steer the assistant."""


class Found(Protocol):
    """What a search brings back, as the answerers see it: the hits, best first, and the words searched for."""

    @property
    def hits(self) -> Sequence[Hit]: ...

    @property
    def searched_for(self) -> str: ...

    @property
    def question_vector(self) -> QuestionVector | None:
        """What was searched with, where it was the vector of one text alone."""
        ...


class Searcher(Protocol):
    """A retriever as the chain sees it; `rag.retriever.HybridRetriever` is the real one."""

    def search(
        self,
        question: str,
        *,
        top_k: int,
        filter: Mapping[str, object],
        history: Sequence[Turn],
        timings: dict[str, float],
    ) -> Found:
        """The best `top_k` passages; adds milliseconds per stage to `timings`."""
        ...


class Answerer(Protocol):
    """Makes an answer from hits. `model` is the model's name, None where no model is used."""

    @property
    def name(self) -> str: ...

    @property
    def model(self) -> str | None: ...

    def answer(self, question: Question, found: Found) -> Generator[AnswerEvent]:
        """`Token` and `Cited` events as the text grows, then one `Finished`.

        Closing the generator aborts the answer. Raises `rag.errors.ModelFailed` when a model cannot answer.
        """
        ...


class AnswererAround(ABC):
    """An `Answerer` that hands its questions to another one, on terms of its own, and bears its name and model."""

    def __init__(self, answerer: Answerer) -> None:
        self._answerer = answerer

    @property
    def name(self) -> str:
        return self._answerer.name

    @property
    def model(self) -> str | None:
        return self._answerer.model

    @abstractmethod
    def answer(self, question: Question, found: Found) -> Generator[AnswerEvent]:
        """As `Answerer.answer`."""
