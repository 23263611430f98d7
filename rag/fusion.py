"""From what is known of the candidates to a score for each: learned weights, or a mix of two signals.

Owns the signals and the formulas; the weights beside this file are fitted by `benchmarks/fit_fusion.py`. Pure
functions; does not know the index or storage.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from rag.coverage import coverage
from rag.index_view import Candidates
from rag.translation import translated_coverage

SIGNALS = (
    *("window", "words", "words_of_passage", "pairs", "pairs_of_passage"),
    *("whole_if_foreign", "middle_if_foreign", "translated", "translated_in_passage"),
)
"""Of a window: its cosine, in deviations of the passages' best; the share of the question's words that it and its
headings have; that of the passage; the same two of pairs of words side by side. The last four count by the share of
the question that no candidate has a word for, as of a question in another language: the cosine of the whole passage;
how near the window is to the middle of all windows, from where it is near to every question; the share of the foreign
words that the window translates; that of the passage."""


@dataclass(frozen=True, slots=True)
class Signals:
    """One row for each window of each candidate; of a passage without windows for its whole.

    of_windows: float32 [windows, len(SIGNALS)]; those of candidate i begin at first_windows[i], int64 [candidates].
    words_of_passages: float32 [candidates], the share of the question's words that each has.
    """

    of_windows: NDArray[np.float32]
    first_windows: NDArray[np.int64]
    words_of_passages: NDArray[np.float32]

    def scores(self, weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """A passage is as good as its best window, float32 [candidates]."""
        if not len(self.first_windows):
            return np.empty(0, np.float32)
        best: NDArray[np.float32] = np.maximum.reduceat(self.of_windows @ weights, self.first_windows)
        return best


def signals_of(candidates: Candidates, asked: Sequence[str]) -> Signals:
    """What the score is made of; `asked` are the question's words in order."""
    found = coverage(asked, candidates.word_weights, candidates.terms, candidates.term_starts, candidates.row_starts)
    counts = np.diff(candidates.row_starts)
    passages = np.repeat(np.arange(len(counts)), counts)
    is_window = np.ones(len(passages), np.bool_)
    is_window[candidates.row_starts[:-1][counts > 1]] = False
    of = passages[is_window]
    mean, deviation = _spread(candidates.windows)
    foreign = 1 - float(found.of_passages.max(initial=0.0))
    in_rows, in_passages = translated_coverage(
        candidates.foreign_words, candidates.terms, candidates.term_starts, candidates.row_starts
    )
    columns = (
        (candidates.row_scores[is_window] - mean) / deviation,
        found.of_windows[is_window],
        found.of_passages[of],
        found.pairs_of_windows[is_window],
        found.pairs_of_passages[of],
        foreign * (candidates.whole[of] - mean) / deviation,
        foreign * (candidates.row_middles[is_window] - mean) / deviation,
        foreign * in_rows[is_window],
        foreign * in_passages[of],
    )
    windows = np.stack(columns, axis=1).astype(np.float32)
    return Signals(windows, np.searchsorted(of, np.arange(len(counts))), found.of_passages)


@cache
def learned_weights() -> Mapping[str, float]:
    """The fitted weight of each signal (`fusion.json`)."""
    raw = json.loads(resources.files(__package__).joinpath("fusion.json").read_text(encoding="utf-8"))
    return {name: float(raw["weights"][name]) for name in SIGNALS}


def learned_scores(signals: Signals) -> NDArray[np.float32]:
    """One score per candidate, float32 [candidates], on the scale of `mixed_scores`: a window one deviation nearer
    than another is better by the share of the vectors there.
    """
    weights = learned_weights()
    return signals.scores(np.array([weights[name] for name in SIGNALS], np.float32))


def _spread(scores: NDArray[np.float32]) -> tuple[float, float]:
    """Mean and deviation; where there is no spread, a deviation that makes all of it 0."""
    if not len(scores):
        return 0.0, 1.0
    deviation = float(scores.std())
    return float(scores.mean()), deviation if deviation > 1e-6 else np.inf


def mixed_scores(candidates: Candidates, dense_weight: float, whole_weight: float) -> NDArray[np.float32]:
    """One score per candidate, float32 [n]: a convex mix of z-scores over the candidates (Bruch et al., 2023).

    `dense_weight` is the share of the vectors against the words, `whole_weight` the share of the whole passage's
    vector against its best window. A signal that is the same for all candidates says nothing and counts nothing.
    """
    dense = (1 - whole_weight) * candidates.windows + whole_weight * candidates.whole
    return dense_weight * _standardised(dense) + (1 - dense_weight) * _standardised(candidates.words)


def _standardised(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    if not len(scores):
        return scores
    deviation = float(scores.std())
    # Below the rounding of float32 a spread is none.
    return (scores - scores.mean()) / deviation if deviation > 1e-6 else np.zeros_like(scores)
