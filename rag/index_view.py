"""One state of an index at one change number: what a question is searched in.

Owns the union of a snapshot with the changes after it, and the search for candidates. A view never changes, so any
number of threads may search it while a newer one is made. Does not know storage, files or how scores are mixed.

Passages are numbered: those of the snapshot first, in ascending order of key, then the tail in the order of adding.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rag.dictionary import Dictionary
from rag.errors import IndexDamaged
from rag.snapshot import Snapshot
from rag.spelling import corrected
from rag.terms import GrowingTerms, PassageTerms, Terms
from rag.translation import ForeignWord, foreign_words, shared_out
from rag.types import IndexedPassage, PassageChanges, Vector
from rag.vector_index import GrowingVectors, middle_of, rows_of
from rag.word_index import WordReader
from rag.word_statistics import TailWords, inverse_document_frequency

ROWS_PER_PASSAGE = 8
"""Nearest rows asked for per passage wanted; more follow when they turn out to belong to too few passages."""

MOST_DOCUMENTS_IN_QUERY = 1024
"""A filter that admits more documents is applied to what the word index found instead of being part of its query."""

Numbers = NDArray[np.int64]
Scores = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Candidates:
    """Passages that may answer a question, each with all its scores; all arrays are aligned.

    keys int64 [n]; windows: cosine of the best window (of the whole, where there are no windows), float32 [n];
    whole: cosine of the whole passage, float32 [n]; words: BM25, float32 [n], 0 where no word matches;
    rows: all vectors of all candidates, float32 [rows, dimension]; those of candidate i begin at row_starts[i], int64
    [n + 1], with its whole passage; row_scores float32 [rows]: their cosines. terms: the words of all rows, those of
    row r from term_starts[r] on, int64 [rows + 1]. row_middles float32 [rows]: product with the mean of all vectors.
    word_weights: what each word of the question counts, by how rare it is. foreign_words: those that no passage has
    and the dictionary translates into words that passages have.
    """

    keys: NDArray[np.int64]
    windows: Scores
    whole: Scores
    words: Scores
    rows: NDArray[np.float32]
    row_scores: Scores
    row_starts: NDArray[np.int64]
    terms: Terms
    term_starts: NDArray[np.int64]
    row_middles: Scores
    word_weights: Mapping[str, float]
    foreign_words: Sequence[ForeignWord] = ()

    def whole_vector(self, candidate: int) -> Vector:
        """The vector of the whole passage, float32 [dimension]."""
        vector: Vector = self.rows[self.row_starts[candidate]]
        return vector

    def terms_of(self, candidate: int) -> Terms:
        """The terms of all of a candidate's rows."""
        first, last = self.term_starts[self.row_starts[candidate : candidate + 2]]
        return self.terms[first:last]

    def window_scores(self, candidate: int) -> tuple[float, ...]:
        """The cosine of each window of one candidate, in the passage's order."""
        start, end = self.row_starts[candidate : candidate + 2]
        return tuple(self.row_scores[start + 1 : end].tolist())


class Tail:
    """What was added since a snapshot. Only grows; views look at the part that was there when they were made."""

    def __init__(self, dimension: int) -> None:
        self.vectors = GrowingVectors(dimension)
        self.words = TailWords()
        self.terms = GrowingTerms()
        self.keys: list[int] = []
        self.documents: list[int] = []
        self.first_rows: list[int] = [0]

    def add(self, passage: IndexedPassage) -> None:
        of_passage = PassageTerms.of(passage)
        self.vectors.add(passage.vectors)
        self.words.add(of_passage.words)
        self.terms.add(of_passage.terms, of_passage.counts)
        self.keys.append(passage.key)
        self.documents.append(passage.document_key)
        self.first_rows.append(self.vectors.rows)


class IndexView:
    """A snapshot and the tail after it. Build the first with `IndexView.opened`, the next with `advanced`."""

    def __init__(
        self, change: int, snapshot: Snapshot | None, reader: WordReader | None, tail: Tail, live: NDArray[np.bool_]
    ) -> None:
        self.change = change
        self.snapshot = snapshot
        self._reader = reader
        self._tail = tail
        self._live = live
        content = snapshot.content if snapshot else None
        empty = np.empty(0, np.int64)
        self._main_keys = content.keys if content else empty
        self._main = len(self._main_keys)
        self._tail_count = len(tail.keys)
        self._keys = np.concatenate([self._main_keys, np.array(tail.keys, np.int64)])
        self._documents = np.concatenate([content.documents if content else empty, np.array(tail.documents, np.int64)])
        main_first_rows = content.first_rows if content else np.zeros(1, np.int64)
        self._main_rows = int(main_first_rows[-1])
        self._first_rows = np.concatenate([main_first_rows, self._main_rows + np.array(tail.first_rows[1:], np.int64)])
        self._passage_of_row = np.repeat(np.arange(len(self._keys)), np.diff(self._first_rows))
        self._tail_vectors = tail.vectors.first(tail.vectors.rows)
        self._tail_terms = tail.terms.first(tail.vectors.rows)
        # Of the snapshot alone where there is one: the middle of many is hardly moved by some more.
        self._middle = snapshot.index.middle if snapshot and self._main_rows else middle_of(self._tail_vectors)

    @classmethod
    def opened(cls, snapshot: Snapshot | None, dimension: int) -> "IndexView":
        """The state that a snapshot holds, without any change after it; without a snapshot an empty one."""
        reader = WordReader(snapshot.words) if snapshot else None
        live = np.ones(len(snapshot.content.keys) if snapshot else 0, np.bool_)
        return cls(snapshot.change if snapshot else 0, snapshot, reader, Tail(dimension), live)

    def advanced(self, batches: Iterable[PassageChanges], at_least: int, dimension: int) -> "IndexView":
        """This view with later changes applied. Its change number is the last batch's, and `at_least` this one.

        Only the newest view of a tail may be advanced, and only by one thread at a time.
        """
        change = max(self.change, at_least)
        in_tail = np.flatnonzero(self._live[self._main :]) + self._main
        number_of = dict(zip(self._keys[in_tail].tolist(), in_tail.tolist(), strict=True))
        # An attempt that failed half-way has left passages behind which this view does not have.
        leftovers = len(self._tail.keys) - self._tail_count
        dead: set[int] = set()
        for batch in batches:
            change = max(change, batch.change)
            for key in [*batch.removed, *(passage.key for passage in batch.added)]:
                dead.add(number_of.pop(key, -1))
                dead.update(self._main_numbers(np.array([key])).tolist())
            for passage in batch.added:
                check_vectors(passage, dimension)
                number_of[passage.key] = self._main + len(self._tail.keys)
                self._tail.add(passage)
        grown = len(self._tail.keys) - self._tail_count - leftovers
        live = np.concatenate([self._live, np.zeros(leftovers, np.bool_), np.ones(grown, np.bool_)])
        live[list(dead - {-1})] = False
        return IndexView(change, self.snapshot, self._reader, self._tail, live)

    @property
    def tail_passages(self) -> int:
        """How many passages were added since the snapshot; a writer should keep this to a few thousand."""
        return self._tail_count

    @property
    def passages(self) -> int:
        """How many passages can be found."""
        return int(self._live.sum())

    def keys(self) -> NDArray[np.int64]:
        """The keys that the vector side can find, ascending."""
        return np.sort(self._keys[self._live])

    def word_keys(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The keys that the word side can find, and those it holds that are in neither snapshot nor tail; ascending."""
        held = self._reader.keys() if self._reader else np.empty(0, np.int64)
        tail = self._keys[self._main :]
        found = np.union1d(self._keys[self._main_numbers(held)], tail[self._live[self._main :]])
        return found, np.setdiff1d(held, self._keys)

    def search(
        self,
        question: Vector,
        weights: Mapping[str, float],
        wanted: int,
        documents: NDArray[np.int64] | None = None,
        lap: Callable[[str], None] | None = None,
        foreign: Sequence[ForeignWord] = (),
    ) -> Candidates:
        """The `wanted` best passages by vectors and the `wanted` best by words, with all scores of all of them.

        `question` is a normalised float32 vector; `weights` are the words of the question and how much each counts;
        `documents` are the keys of the documents to search in, None for all. `lap` is told when a stage has ended.
        A foreign word is searched for by all its translations, which together count as one word.
        """
        lap = lap or _untimed
        admitted = self._live if documents is None else self._live & np.isin(self._documents, documents)
        by_vectors = self._nearest(question, wanted, admitted)
        lap("vector_search")
        searched = {**shared_out(foreign), **weights}
        by_words, word_scores = self._matching(searched, wanted, admitted, documents)
        numbers = np.union1d(by_vectors, by_words)
        all_words = np.zeros(len(numbers), np.float32)
        all_words[np.searchsorted(numbers, by_words)] = word_scores
        unscored = np.setdiff1d(by_vectors, by_words)
        all_words[np.searchsorted(numbers, unscored)] = self._word_scores(searched, unscored)
        lap("word_search")
        candidates = self._scored(question, numbers, all_words, self._word_weights(weights), foreign)
        lap("vector_search")
        return candidates

    def _nearest(self, question: Vector, wanted: int, admitted: NDArray[np.bool_]) -> Numbers:
        """The `wanted` admitted passages with the nearest vectors."""
        numbers, scores = self._nearest_in_snapshot(question, wanted, admitted)
        if self._tail_count:
            starts = self._first_rows[self._main : -1] - self._main_rows
            best = np.maximum.reduceat(np.vecdot(self._tail_vectors, question), starts)
            open_to = np.flatnonzero(admitted[self._main :])
            numbers = np.concatenate([numbers, open_to + self._main])
            scores = np.concatenate([scores, best[open_to]])
        return _best(numbers, scores, wanted, self._keys)[0]

    def _nearest_in_snapshot(
        self, question: Vector, wanted: int, admitted: NDArray[np.bool_]
    ) -> tuple[Numbers, Scores]:
        if self.snapshot is None:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        of_snapshot = admitted[: self._main]
        mask = None if of_snapshot.all() else of_snapshot[self._passage_of_row[: self._main_rows]]
        limit = ROWS_PER_PASSAGE * wanted
        while True:
            rows, scores = self.snapshot.index.search(question, limit, mask)
            numbers, first = np.unique(self._passage_of_row[rows], return_index=True)
            if len(numbers) >= wanted or len(rows) < limit:
                return numbers, scores[first]
            limit *= 4

    def _matching(
        self,
        weights: Mapping[str, float],
        wanted: int,
        admitted: NDArray[np.bool_],
        documents: NDArray[np.int64] | None,
    ) -> tuple[Numbers, Scores]:
        """The `wanted` admitted passages with the best words, and their scores."""
        numbers, scores = self._matching_in_snapshot(weights, wanted, admitted, documents)
        if self._tail_count:
            of_tail = self._tail_word_scores(weights)
            open_to = np.flatnonzero(admitted[self._main :] & (of_tail > 0))
            numbers = np.concatenate([numbers, open_to + self._main])
            scores = np.concatenate([scores, of_tail[open_to]])
        return _best(numbers, scores, wanted, self._keys)

    def _matching_in_snapshot(
        self,
        weights: Mapping[str, float],
        wanted: int,
        admitted: NDArray[np.bool_],
        documents: NDArray[np.int64] | None,
    ) -> tuple[Numbers, Scores]:
        if self._reader is None:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        few = documents is not None and len(documents) <= MOST_DOCUMENTS_IN_QUERY
        in_query = documents.tolist() if documents is not None and few else None
        limit = wanted
        while True:
            keys, scores = self._reader.search(weights, limit, self._frequencies(weights), documents=in_query)
            numbers = self._main_numbers(keys, missing=-1)
            kept = (numbers >= 0) & admitted[numbers]
            if kept.sum() >= wanted or len(keys) < limit:
                return numbers[kept], scores[kept]
            limit *= 4

    def _word_scores(self, weights: Mapping[str, float], numbers: Numbers) -> Scores:
        """BM25 of given passages, aligned with `numbers`."""
        scores = np.zeros(len(numbers), np.float32)
        in_tail = numbers >= self._main
        if in_tail.any():
            scores[in_tail] = self._tail_word_scores(weights)[numbers[in_tail] - self._main]
        in_snapshot = np.flatnonzero(~in_tail)
        if self._reader and len(in_snapshot):
            wanted = self._keys[numbers[in_snapshot]]  # ascending, like the numbers
            keys, found = self._reader.search(weights, len(wanted), self._frequencies(weights), keys=wanted.tolist())
            scores[in_snapshot[np.searchsorted(wanted, keys)]] = found
        return scores

    def _tail_word_scores(self, weights: Mapping[str, float]) -> Scores:
        statistics = self._tail.words.statistics(self._tail_count)
        if self._reader:
            statistics += self._reader.statistics
        frequencies = self._frequencies(weights) or {}
        return self._tail.words.scores(weights, frequencies, statistics.mean_length, self._tail_count)

    def _frequencies(self, weights: Mapping[str, float]) -> dict[str, float] | None:
        """The inverse document frequency of each word over snapshot and tail together; None when there is no tail."""
        if not self._tail_count:
            return None
        return {word: self._rarity(word) for word in weights}

    def spelling(self, asked: Iterable[str]) -> dict[str, str]:
        """For words of a question that no passage has, the word that was probably meant, if there is one."""
        meant = {word: corrected(word, self._containing) for word in asked}
        return {word: other for word, other in meant.items() if other is not None}

    def foreign_words(self, asked: Sequence[str], dictionary: Dictionary) -> list[ForeignWord]:
        """Words of a question in order that no passage has but a translation of them; `translation.foreign_words`."""
        return foreign_words(asked, dictionary, self._containing, self._rarity)

    def _rarity(self, word: str) -> float:
        passages = self._tail_count + (self._reader.statistics.passages if self._reader else 0)
        return inverse_document_frequency(passages, self._containing(word))

    def _word_weights(self, weights: Mapping[str, float]) -> dict[str, float]:
        """What each word counts in coverage: how rare it is, once however often it was said."""
        return {word: min(weight, 1.0) * self._rarity(word) for word, weight in weights.items()}

    def _containing(self, word: str) -> int:
        in_snapshot = self._reader.containing(word) if self._reader else 0
        return in_snapshot + self._tail.words.containing(word, self._tail_count)

    def _scored(
        self,
        question: Vector,
        numbers: Numbers,
        word_scores: Scores,
        word_weights: Mapping[str, float],
        foreign: Sequence[ForeignWord],
    ) -> Candidates:
        rows = rows_of(self._first_rows, numbers)
        of_snapshot = rows[: np.searchsorted(rows, self._main_rows)]  # ascending, like the numbers
        of_tail = self._tail_vectors[rows[len(of_snapshot) :] - self._main_rows]
        if self.snapshot is not None:
            vectors = np.concatenate([self.snapshot.index.decoded(of_snapshot), of_tail])
        else:
            vectors = of_tail
        row_scores = np.vecdot(vectors, question)  # not `@`: its threads cost more than they bring
        counts = self._first_rows[numbers + 1] - self._first_rows[numbers]
        starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
        whole = row_scores[starts[:-1]]
        if len(numbers):
            # The best of each passage's windows: its whole passage, row 0, left out unless it is alone.
            windows_only = row_scores.copy()
            windows_only[starts[:-1][counts > 1]] = -np.inf
            windows = np.maximum.reduceat(windows_only, starts[:-1])
        else:
            windows = whole
        return Candidates(
            *(self._keys[numbers], windows, whole, word_scores, vectors, row_scores, starts),
            *self._terms_of(of_snapshot, rows[len(of_snapshot) :] - self._main_rows),
            np.vecdot(vectors, self._middle),
            word_weights,
            foreign,
        )

    def _terms_of(self, of_snapshot: NDArray[np.int64], of_tail: NDArray[np.int64]) -> tuple[Terms, NDArray[np.int64]]:
        """The terms of rows of the snapshot, then of the tail, and where each row's begin."""
        parts = []
        if self.snapshot is not None:
            parts.append((self.snapshot.content.terms, self.snapshot.content.first_terms, of_snapshot))
        parts.append((*self._tail_terms, of_tail))
        terms = [of_part[rows_of(first, rows)] for of_part, first, rows in parts]
        counts = [first[rows + 1] - first[rows] for _, first, rows in parts]
        return np.concatenate(terms), np.concatenate([np.zeros(1, np.int64), np.cumsum(np.concatenate(counts))])

    def _main_numbers(self, keys: NDArray[np.int64], missing: int | None = None) -> Numbers:
        """The numbers of live passages of the snapshot with these keys; others are left out, or given as `missing`."""
        places = np.searchsorted(self._main_keys, keys)
        inside = np.minimum(places, max(self._main - 1, 0))
        found = np.zeros(len(keys), np.bool_)
        if self._main:
            found = (self._main_keys[inside] == keys) & self._live[inside]
        return places[found] if missing is None else np.where(found, places, missing)


def _untimed(_stage: str) -> None:
    """For callers that do not ask how long the stages take."""


def check_vectors(passage: IndexedPassage, dimension: int) -> None:
    """Raises `IndexDamaged` unless the passage has vectors of this dimension."""
    shape = passage.vectors.shape
    if len(shape) != 2 or not shape[0] or shape[1] != dimension:
        raise IndexDamaged(
            f"passage {passage.key} has vectors of shape {shape}, the index wants [windows + 1, {dimension}]; "
            "embed its document again, then `answerdesk index rebuild`"
        )


def _best(numbers: Numbers, scores: Scores, wanted: int, keys: NDArray[np.int64]) -> tuple[Numbers, Scores]:
    """The `wanted` best; among equal scores the lower key, so that a rebuilt index answers the same."""
    order = np.lexsort((keys[numbers], -scores))[:wanted]
    return numbers[order], scores[order]
