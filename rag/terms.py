"""The words of passages as numbers, window by window and in order: how much of a question a window has is looked up.

Owns the number of a word, how a passage's words are shared out over its rows of vectors, and the rows' numbers that
grow after a snapshot. Row 0 of a passage has the words of title and headings, row i + 1 those of window i. Does not
know files, scores or which passages are live.
"""

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from rag.analyzer import words
from rag.errors import IndexDamaged
from rag.types import IndexedPassage

Terms = NDArray[np.uint32]
"""Numbers of words in the order of a text. Two words share a number once in four billion: nothing is stored by it."""


def term_of(word: str) -> int:
    """The number of a word: its CRC-32, the same on every machine and in every version."""
    return zlib.crc32(word.encode())


def terms_of(found: Iterable[str]) -> Terms:
    return np.fromiter(map(term_of, found), np.uint32)


@dataclass(frozen=True, slots=True)
class PassageTerms:
    """A passage's words in order, as the word index takes them, and how many of them each row of its vectors has."""

    words: list[str]
    counts: NDArray[np.int64]

    @classmethod
    def of(cls, passage: IndexedPassage) -> "PassageTerms":
        """Without `window_starts` all words are those of row 0, which counts for every window.

        Raises `IndexDamaged` when the passage has another number of windows than of their starts.
        """
        rows, starts = len(passage.vectors), passage.window_starts
        if starts and len(starts) != rows - 1:
            raise IndexDamaged(
                f"passage {passage.key} has {rows - 1} windows' vectors and {len(starts)} windows; embed its document "
                "again, then `answerdesk index rebuild`"
            )
        found: list[str] = []
        counts = np.zeros(rows, np.int64)
        cuts = [0, *(_word_border(passage.words, start) for start in starts), len(passage.words)]
        for row, (start, end) in enumerate(pairwise(cuts)):
            of_row = words(passage.words[start:end])
            found.extend(of_row)
            counts[row] = len(of_row)
        return cls(found, counts)

    @property
    def terms(self) -> Terms:
        return terms_of(self.words)


def _word_border(text: str, place: int) -> int:
    """The next place at or after `place` that is not inside a word of letters and digits: a serial number stays whole.

    Windows begin inside such a word only where it is longer than a window's piece may be.
    """
    while 0 < place < len(text) and _is_western(text[place - 1]) and _is_western(text[place]):
        place += 1
    return place


def _is_western(character: str) -> bool:
    return ord(character) < 0x3000 and not character.isspace()


class GrowingTerms:
    """Terms of rows added since a snapshot. One thread adds; readers keep to the number of rows they know of."""

    def __init__(self) -> None:
        self._terms = np.empty(1024, np.uint32)
        self._first = [0]

    def add(self, terms: Terms, counts: NDArray[np.int64]) -> None:
        """Appends the terms of one passage, counts[i] of them to its row i."""
        needed = self._first[-1] + len(terms)
        if needed > len(self._terms):
            larger = np.empty(max(needed, 2 * len(self._terms)), np.uint32)
            larger[: self._first[-1]] = self._terms[: self._first[-1]]
            self._terms = larger
        self._terms[self._first[-1] : needed] = terms
        self._first.extend((self._first[-1] + np.cumsum(counts)).tolist())

    def first(self, rows: int) -> tuple[Terms, NDArray[np.int64]]:
        """The terms of the first `rows` rows, a view, and where each row's begin, int64 [rows + 1]."""
        starts = np.array(self._first[: rows + 1], np.int64)
        return self._terms[: starts[-1]], starts


def gathered(parts: Sequence[tuple[Terms, NDArray[np.int64]]]) -> tuple[Terms, NDArray[np.int64]]:
    """Several (terms, starts) one behind the other."""
    starts, offset = [np.zeros(1, np.int64)], 0
    for terms, first in parts:
        starts.append(first[1:] - first[0] + offset)
        offset += len(terms)
    return np.concatenate([np.empty(0, np.uint32), *(terms for terms, _ in parts)]), np.concatenate(starts)
