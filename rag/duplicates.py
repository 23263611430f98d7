"""What counts as the same text twice among the hits of a question.

Owns the comparison of two texts and the grouping of near-duplicates behind the best of them. Does not know the index,
storage, or how candidates were scored.
"""

import re
import unicodedata
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from rag.index_view import Candidates
from rag.types import Passage, Vector

_CHINESE = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_NUMBER = re.compile(r"(?<![A-Za-z\d])[A-Za-z]*\d[A-Za-z\d]*")
_TOKEN = re.compile(rf"[{_CHINESE}]+|[^\W_{_CHINESE}]+")


@dataclass(frozen=True)
class Likeness:
    """What decides whether two passages say the same: their words, and apart from these every number and code."""

    text: str

    @cached_property
    def normalised(self) -> str:
        """The text without case, punctuation and white space."""
        return "".join(self._tokens)

    @cached_property
    def _tokens(self) -> list[str]:
        return _TOKEN.findall(unicodedata.normalize("NFKC", self.text).lower())

    @cached_property
    def _pieces(self) -> frozenset[str]:
        pieces: set[str] = set()
        for token in self._tokens:
            if ord(token[0]) >= 0x3040:  # a run of Chinese has no blanks: its pairs of characters stand for words
                pieces.update(token[i : i + 2] for i in range(max(1, len(token) - 1)))
            else:
                pieces.add(token)
        return frozenset(pieces)

    @cached_property
    def _numbers(self) -> frozenset[str]:
        return frozenset(_NUMBER.findall(self.text))

    def is_near(self, other: "Likeness", threshold: float) -> bool:
        """Whether both are the same but for case, punctuation and space, or share at least `threshold` of all words.

        Two tables that differ in one value, or two pages about two error codes, share almost all words and are not
        the same: the numbers must agree.
        """
        # The cheap questions first: this is asked of every pair of hits.
        shorter, longer = sorted((len(self.text), len(other.text)))
        if shorter < longer * threshold * threshold or self._numbers != other._numbers:
            return False
        if self.normalised == other.normalised:
            return True
        shared = len(self._pieces & other._pieces)
        return shared >= threshold * (len(self._pieces) + len(other._pieces) - shared)


@dataclass(frozen=True, slots=True)
class Group:
    """A passage and the near-duplicates of it that ranked lower; `candidate` is its place among the candidates."""

    candidate: int
    passage: Passage
    others: list[Passage]


SAME_VECTOR = 0.9
"""Cosine of two passages' vectors below which their words are not even compared; titles in front may differ."""


class Collapser:
    """Takes passages in the order of their rank and groups near-duplicates."""

    def __init__(self, candidates: Candidates, threshold: float) -> None:
        """`threshold` is the share of words two passages must have in common, above 1 to collapse nothing."""
        self._candidates = candidates
        self._threshold = threshold
        self._likenesses: list[Likeness] = []
        self._vectors: list[Vector] = []
        self.groups: list[Group] = []

    def add(self, candidate: int, passage: Passage) -> None:
        likeness, vector = Likeness(passage.text), self._candidates.whole_vector(candidate)
        if self.groups and self._threshold <= 1:
            for number in np.flatnonzero(np.stack(self._vectors) @ vector >= SAME_VECTOR):
                if self._likenesses[number].is_near(likeness, self._threshold):
                    self.groups[number].others.append(passage)
                    return
        self.groups.append(Group(candidate, passage, []))
        self._likenesses.append(likeness)
        self._vectors.append(vector)
