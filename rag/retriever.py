"""Question in, hits out: the hybrid search over one knowledge base, as a LangChain retriever.

Owns the order of the steps and what a hit carries. Does not know SQL, files or models: index, storage and embedder
are handed in. Nothing but the question is embedded here.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Protocol, runtime_checkable

import numpy as np
from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.retrievers import BaseRetriever
from numpy.typing import NDArray
from pydantic import Field, SkipValidation

from rag.analyzer import words
from rag.dictionary import Dictionary
from rag.duplicates import Collapser, Group
from rag.follow_up import contextualise
from rag.fusion import Signals, learned_scores, mixed_scores, signals_of
from rag.index import KnowledgeBaseIndex
from rag.index_view import Candidates
from rag.rerank import Reranker, best_first
from rag.translation import translations_in
from rag.types import NO_PAGE, Hit, Passage, PassageStore, Place, QuestionVector, Turn, Vector

_MOST_ATTEMPTS = 10  # of one search, each but the last made void by a change at the wrong moment


@runtime_checkable
class QuestionEmbedder(Protocol):
    """An embedder that gives a question's vector without a detour over a list of Python floats."""

    def embed_question(self, text: str) -> Vector:
        """float32 [dimension], normalised."""
        ...


@dataclass(frozen=True, slots=True)
class RetrievalSettings:
    """What may be tuned for a knowledge base; the defaults were chosen on manuals and encyclopedias in two languages.

    dense_weight: None for the learned weights; a number for a plain mix, of which it is the share of the vectors and
    the rest is BM25.
    whole_weight: share of the whole passage's vector in a plain mix's dense score, the rest is its best window.
    candidates: passages taken from each of the two searches; z-scores are over all of them.
    collapse: share of words that two passages must have in common to count as one; above 1 collapses nothing.
    reranked: passages that a reranker looks at, where there is one; the others keep their order behind them.
    """

    top_k: int = 3
    dense_weight: float | None = None
    whole_weight: float = 0.0
    candidates: int = 60
    collapse: float = 0.9
    reranked: int = 20

    def __post_init__(self) -> None:
        if self.top_k < 1 or self.candidates < 1:
            raise ValueError("top_k and candidates must be at least 1")
        if self.reranked < 1:
            raise ValueError("reranked must be at least 1")
        if not (0 <= (self.dense_weight or 0) <= 1 and 0 <= self.whole_weight <= 1):
            raise ValueError("dense_weight and whole_weight are shares from 0 to 1")


@dataclass(frozen=True, slots=True)
class SearchResult:
    """Hits, best first; `searched_for` is the question with what a follow-up took from the conversation.

    `question_vector` is None for such a follow-up, whose vector is a mixture.
    """

    hits: tuple[Hit, ...]
    searched_for: str
    question_vector: QuestionVector | None = None


class HybridRetriever(BaseRetriever):
    """Searches one knowledge base; safe for many threads, and asynchronously through LangChain's own thread pool."""

    index: KnowledgeBaseIndex
    store: Annotated[PassageStore, SkipValidation]
    embeddings: Embeddings
    settings: RetrievalSettings = Field(default_factory=RetrievalSettings)
    top_k: int | None = Field(default=None, ge=1)
    reranker: Annotated[Reranker | None, SkipValidation] = None
    dictionary: Annotated[Dictionary | None, SkipValidation] = None

    def search(
        self,
        question: str,
        *,
        top_k: int | None = None,
        filter: Mapping[str, object] | None = None,
        history: Sequence[Turn] = (),
        timings: dict[str, float] | None = None,
    ) -> SearchResult:
        """The best `top_k` passages (by default the retriever's, then the settings' number), near-duplicates collapsed.

        `filter` narrows documents as `PassageStore.document_keys` has it; `timings` receives milliseconds by stage.
        Raises `UnknownFilter`, `IndexDamaged`, `DictionaryUnusable`, and what the embedder and the reranker raise.
        """
        top_k = self.settings.top_k if top_k is None and self.top_k is None else top_k or self.top_k or 1
        clock = _Clock({} if timings is None else timings)
        asked = contextualise(question, history)
        vector = asked.embedded(self._embedded)
        clock.lap("embedding")
        wanted = max(self.settings.candidates, 4 * top_k)
        for _ in range(_MOST_ATTEMPTS):
            view = self.index.refresh(self.store)
            documents = self.store.document_keys(filter) if filter else None
            clock.lap("refresh")
            spelled = view.spelling(asked.weights)
            weights = _merged(asked.weights, spelled)
            own = [spelled.get(word, word) for word in words(asked.text)]
            foreign = view.foreign_words(own, self.dictionary) if self.dictionary else ()
            candidates = view.search(vector, weights, wanted, documents, clock.lap, foreign)
            signals = signals_of(candidates, own)
            scores = self._scores(candidates, signals)
            # Among equal scores the older passage, so that the order never depends on the state of the files.
            order = np.lexsort((candidates.keys, -scores))
            clock.lap("fusion")
            described = _Described(candidates, signals, scores)
            if self.reranker is not None:
                order = self._reranked(self.reranker, asked.text, vector, order, described)
                clock.lap("reranking")
            groups, is_whole = self._grouped(candidates, order, top_k)
            hits = tuple(described.hit(group) for group in groups)
            clock.lap("passages")
            # A document that was replaced in between is gone as it was found, and was not searched as it is now.
            if is_whole or self.store.change() == view.change:
                break
        of_question = QuestionVector(asked.text, self.index.embedder, vector) if asked.standalone else None
        return SearchResult(hits, asked.text, of_question)

    def _scores(self, candidates: Candidates, signals: Signals) -> NDArray[np.float32]:
        if self.settings.dense_weight is None:
            return learned_scores(signals)
        return mixed_scores(candidates, self.settings.dense_weight, self.settings.whole_weight)

    def _reranked(
        self,
        reranker: Reranker,
        question: str,
        vector: Vector,
        order: NDArray[np.int64],
        described: "_Described",
    ) -> NDArray[np.int64]:
        """The order with its first passages as the reranker has them; those that storage no longer has come behind."""
        first, rest = order[: self.settings.reranked], order[self.settings.reranked :]
        keys = described.candidates.keys
        passages = self.store.hydrate(keys[first].tolist())
        there = np.array([place for place in first.tolist() if int(keys[place]) in passages], np.int64)
        hits = [described.hit(Group(place, passages[int(keys[place])], [])) for place in there.tolist()]
        scores = reranker.scores(question, vector, hits)
        reordered = there[best_first(scores, len(hits))]
        described.note_reranked(there, reordered, scores)
        return np.concatenate([reordered, np.setdiff1d(first, there), rest])

    def _embedded(self, text: str) -> Vector:
        if isinstance(self.embeddings, QuestionEmbedder):
            return self.embeddings.embed_question(text)
        return np.asarray(self.embeddings.embed_query(text), np.float32)

    def _grouped(self, candidates: Candidates, order: NDArray[np.int64], top_k: int) -> tuple[list[Group], bool]:
        """The first `top_k` distinct passages that storage still has, with their near-duplicates further down.

        And whether it has all that were looked for.
        """
        collapser = Collapser(candidates, self.settings.collapse)
        is_whole = True
        step = 2 * top_k + 4
        for start in range(0, len(order), step):
            part = order[start : start + step].tolist()
            keys = candidates.keys[part].tolist()
            passages = self.store.hydrate(keys)
            is_whole = is_whole and len(passages) == len(keys)
            for candidate, key in zip(part, keys, strict=True):
                if key in passages:
                    collapser.add(candidate, passages[key])
            if len(collapser.groups) >= top_k:
                break
        return collapser.groups[:top_k], is_whole

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,
        top_k: int | None = None,
        filter: Mapping[str, object] | None = None,
        history: Sequence[Turn] = (),
        **_: Any,
    ) -> list[Document]:
        return [_document(hit) for hit in self.search(query, top_k=top_k, filter=filter, history=history).hits]


def pages_of(passage: Passage) -> list[int]:
    """The pages that a passage stands on, in order; none where the document has no pages."""
    return sorted({span.page for span in passage.spans if span.page != NO_PAGE})


class _Clock:
    def __init__(self, timings: dict[str, float]) -> None:
        self._timings = timings
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self._timings[stage] = self._timings.get(stage, 0.0) + 1000 * (now - self._last)
        self._last = now


def _merged(weights: Mapping[str, float], spelled: Mapping[str, str]) -> dict[str, float]:
    """The weights of the words that were meant; one said both rightly and mistyped counts as it counts most."""
    merged: dict[str, float] = {}
    for word, weight in weights.items():
        meant = spelled.get(word, word)
        merged[meant] = max(weight, merged.get(meant, 0.0))
    return merged


class _Described:
    """What is known of the candidates of one search, as it is told with a hit."""

    def __init__(self, candidates: Candidates, signals: Signals, scores: NDArray[np.float32]) -> None:
        self.candidates = candidates
        self._signals = signals
        self._scores = scores
        self._reranked: dict[int, float] = {}

    def note_reranked(
        self, before: NDArray[np.int64], after: NDArray[np.int64], reranker_scores: NDArray[np.float32]
    ) -> None:
        """Passes the fused scores of the candidates `before` on to the same `after`, best to best.

        So scores fall along the hits and stay on the scale that all else is fitted to, whatever the reranker's is.
        """
        self._reranked = dict(zip(before.tolist(), reranker_scores.tolist(), strict=True))
        scores = self._scores.copy()
        scores[after] = self._scores[before]
        self._scores = scores

    def hit(self, group: Group) -> Hit:
        candidate = group.candidate
        signals = {
            "dense": float(self.candidates.windows[candidate]),
            "whole": float(self.candidates.whole[candidate]),
            "lexical": float(self.candidates.words[candidate]),
            "coverage": float(self._signals.words_of_passages[candidate]),
        }
        if candidate in self._reranked:
            signals["reranker"] = self._reranked[candidate]
        places = tuple(Place(other.document_id, other.external_id, other.title, other.spans) for other in group.others)
        windows = self.candidates.window_scores(candidate)
        translations = translations_in(self.candidates.foreign_words, self.candidates.terms_of(candidate))
        return Hit(group.passage, float(self._scores[candidate]), signals, windows, places, translations)


def _document(hit: Hit) -> Document:
    passage = hit.passage
    metadata = {
        "passage_id": passage.id,
        "document_id": passage.document_id,
        "external_id": passage.external_id,
        "title": passage.title,
        "heading_path": list(passage.heading_path),
        "pages": pages_of(passage),
        "page_label": passage.page_label,
        "score": hit.score,
    }
    return Document(id=passage.id, page_content=passage.text, metadata=metadata)
