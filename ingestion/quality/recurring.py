"""Text that stands in many places: legal notices, page furniture, phrases that every chapter repeats.

Owns when a sentence recurs, and which passages say nothing but what stands elsewhere too. Sentences are compared by
their words; case, white space and punctuation do not count, digits do. Knows no storage.
"""

from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from ingestion.quality.likeness import Hashes, normalised_words, shingles
from rag.sentences import sentence_spans

FROM_PLACES = 5
"""Passages in which a sentence must stand to recur."""

SHORTEST_RUN = 12
"""Words of a run of recurring sentences that is worth telling of."""

COVERED = 0.9
"""Of a passage's words, how many must be in recurring sentences for it to be looked at."""


@dataclass(frozen=True, slots=True)
class Run:
    """Sentences in a row that all recur: `text[start:end]` of a passage. Equal `name`s have equal sentences."""

    name: bytes
    start: int
    end: int


class Recurring:
    """Counts sentences over all passages, which are given twice: to `add`, and then to `runs`.

    A scope's passages are counted by themselves. Memory: 8 bytes a sentence.
    """

    def __init__(self) -> None:
        self._of_passages: list[Hashes] = []
        self._recurs: Hashes = np.empty(0, np.uint64)

    def add(self, text: str, scope: Hashable) -> None:
        self._of_passages.append(np.unique(_names(_sentences(text), scope)))

    def count(self) -> None:
        """Call it between the last `add` and the first `runs`."""
        names, counts = np.unique(np.concatenate([np.empty(0, np.uint64), *self._of_passages]), return_counts=True)
        self._recurs = names[counts >= FROM_PLACES]
        self._of_passages = []

    def runs(self, text: str, scope: Hashable) -> tuple[list[Run], bool]:
        """The runs of sentences of a passage that recur, and whether it holds little else."""
        sentences = _sentences(text)
        recurs = np.isin(_names(sentences, scope), self._recurs)
        words = np.array([count for _, count, _, _ in sentences], np.int64)
        is_covered = bool(len(sentences)) and bool(words[recurs].sum() >= COVERED * words.sum())
        return list(_runs(sentences, recurs)), is_covered


def _names(sentences: list[tuple[int, int, int, int]], scope: Hashable) -> Hashes:
    """Equal for equal sentences of one scope."""
    return np.array([name for name, _, _, _ in sentences], np.uint64) ^ np.uint64(hash(scope) & 0xFFFFFFFFFFFFFFFF)


def _sentences(text: str) -> list[tuple[int, int, int, int]]:
    """(name, words, start, end) of each sentence that has words."""
    found = []
    for start, end in sentence_spans(text):
        words = normalised_words(text[start:end])
        if words:
            name = int.from_bytes(blake2b(" ".join(words).encode(), digest_size=8).digest(), "little")
            found.append((name, len(words), start, end))
    return found


def _runs(sentences: list[tuple[int, int, int, int]], recurs: NDArray[np.bool_]) -> Iterator[Run]:
    begin = 0
    for index in range(len(sentences) + 1):
        if index < len(sentences) and recurs[index]:
            continue
        run = sentences[begin:index]
        if sum(words for _, words, _, _ in run) >= SHORTEST_RUN:
            name = b"".join(each.to_bytes(8, "little") for each, _, _, _ in run)
            yield Run(blake2b(name, digest_size=16).digest(), run[0][2], run[-1][3])
        begin = index + 1


def said_before(passages: Iterable[tuple[int, Hashable, str]]) -> Iterator[int]:
    """Of (key, scope, text), those whose every shingle stands in one before, of the same scope, that is not given.

    So whatever is left out, its text stays: in order, not only in words.
    """
    said: dict[Hashable, set[int]] = {}
    for key, scope, text in passages:
        found = shingles(text).tolist()
        known = said.setdefault(scope, set())
        if known.issuperset(found):
            yield key
        else:
            known.update(found)
