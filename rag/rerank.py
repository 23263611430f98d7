"""The reranking seam: a second, slower look at the first passages of a search, before near-duplicates are collapsed.

Owns what a reranker is asked and how its scores change the order. Does not know models: the cross-encoder
(`model_runtime.cross_encoder`) is handed in. LangChain's `BaseDocumentCompressor` is not the interface: it sees
documents and the question's words, neither the question's vector nor what the search knows of each passage.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rag.types import Hit, Vector


class Reranker(Protocol):
    """Says how well passages answer a question. Called from several threads at once."""

    def scores(self, question: str, vector: Vector, hits: Sequence[Hit]) -> NDArray[np.float32]:
        """One finite score per hit, higher is better, float32 [len(hits)]; only their order counts.

        `vector` is the question's, float32 [dimension]. The hits are in the order of the search and not yet collapsed.
        """
        ...


class PairScorer(Protocol):
    """A model that reads a question and a text together."""

    def scores(self, question: str, texts: Sequence[str]) -> NDArray[np.float32]:
        """One score per text, higher is better, float32 [len(texts)]."""
        ...


class PairReranker:
    """Ranks by what a model says that reads the question with each passage, its title and headings in front."""

    def __init__(self, scorer: PairScorer) -> None:
        self._scorer = scorer

    def scores(self, question: str, vector: Vector, hits: Sequence[Hit]) -> NDArray[np.float32]:
        return self._scorer.scores(question, [text_of(hit) for hit in hits])


def text_of(hit: Hit) -> str:
    """A passage as a model reads it: what the word index has of it, title and headings first."""
    passage = hit.passage
    return "\n".join(filter(None, (passage.title, *passage.heading_path, passage.text)))


def best_first(scores: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """The places of `count` scores, best first; equal scores keep the order of the search.

    Raises `ValueError` for scores that do not say an order: a wrong number of them, or one that is not finite.
    """
    if scores.shape != (count,) or not np.isfinite(scores).all():
        raise ValueError(f"a reranker must give {count} finite scores, not {np.array2string(scores, threshold=8)}")
    order: NDArray[np.int64] = np.argsort(-scores, kind="stable")
    return order
