"""BM25 as Tantivy computes it, and the words of passages that no snapshot holds yet.

Owns the formula and the in-memory postings of a reader's tail. Knows nothing of Tantivy's files.

Formula: Robertson and Zaragoza, The Probabilistic Relevance Framework, 2009, with the constants and the one-byte
field length of Lucene and Tantivy: sum over words of idf * tf * (k1 + 1) / (tf + k1 * (1 - b + b * length / mean)).
"""

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

K1 = 1.2
B = 0.75


def _representable_lengths() -> list[int]:
    """The 256 field lengths that Lucene's SmallFloat.byte4ToInt can give: exact to 40, then three significant bits."""
    lengths = list(range(24))
    for code in range(256 - 24):
        mantissa, shift = code & 7, (code >> 3) - 1
        lengths.append(24 + (mantissa if shift < 0 else (mantissa | 8) << shift))
    return lengths


_LENGTHS = _representable_lengths()


def stored_length(length: int) -> int:
    """The length of a passage in words as one byte keeps it: the largest representable one that is not above it."""
    return _LENGTHS[bisect_right(_LENGTHS, length) - 1]


def inverse_document_frequency(passages: int, containing: int) -> float:
    """ln(1 + (N - n + 0.5) / (n + 0.5)); never negative."""
    return math.log(1 + (max(passages, containing) - containing + 0.5) / (containing + 0.5))


@dataclass(frozen=True, slots=True)
class Statistics:
    """How many passages a set has, and words in all of them."""

    passages: int
    words: int

    def __add__(self, other: "Statistics") -> "Statistics":
        return Statistics(self.passages + other.passages, self.words + other.words)

    @property
    def mean_length(self) -> float:
        return self.words / self.passages if self.passages else 1.0


class TailWords:
    """Postings of the passages added since a snapshot, numbered from 0 in the order of adding.

    One thread adds; any number may score at the same time. Postings only grow, and a reader who knows of the first
    `count` passages looks at nothing beyond them, so there is no lock and no copy.
    """

    def __init__(self) -> None:
        self._postings: dict[str, list[tuple[int, int]]] = {}
        self._lengths: list[int] = []
        self._words_before: list[int] = [0]

    def add(self, words: Sequence[str]) -> None:
        """Adds the next passage."""
        number = len(self._lengths)
        for word, frequency in Counter(words).items():
            self._postings.setdefault(word, []).append((number, frequency))
        self._lengths.append(stored_length(len(words)))
        self._words_before.append(self._words_before[-1] + len(words))

    def statistics(self, count: int) -> Statistics:
        """Of the first `count` passages."""
        return Statistics(count, self._words_before[count])

    def containing(self, word: str, count: int) -> int:
        """How many of the first `count` passages hold `word`."""
        return bisect_right(self._postings.get(word, ()), count - 1, key=lambda posting: posting[0])

    def scores(
        self, weights: Mapping[str, float], frequencies: Mapping[str, float], mean_length: float, count: int
    ) -> NDArray[np.float32]:
        """BM25 of the first `count` passages, float32 [count], 0 where no word matches.

        `weights` says how much each word of the question counts, `frequencies` is each word's idf.
        """
        scores = np.zeros(count, np.float32)
        for word, weight in weights.items():
            of_word = weight * frequencies[word] * (K1 + 1)
            for number, frequency in self._postings.get(word, ()):
                if number >= count:
                    break
                scores[number] += (
                    of_word * frequency / (frequency + K1 * (1 - B + B * self._lengths[number] / mean_length))
                )
        return scores
