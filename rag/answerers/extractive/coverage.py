"""How much of a question stands in a passage and in its units.

Owns the comparison of a question's terms with those of a passage: a term counts wholly where it stands, in part where
a word of the same stem, some of its Chinese characters or a measure of what it names do. Knows neither what is
answered nor how sure one may be.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

_STEM = 5
_SAME_STEM = 0.8
_SAME_CHARACTERS = 0.5
_MEASURED = 0.8


class Coverage:
    """The question's terms against one passage; all shares are weighted by inverse frequency, from 0 to 1.

    units float64 [units]: of each unit; pairs float64 [units - 1]: of each unit and the one after it together.
    """

    def __init__(
        self,
        front: frozenset[str],
        units: Sequence[frozenset[str]],
        frequencies: Mapping[str, float],
        measured: Sequence[frozenset[str]] = (),
    ) -> None:
        """`front` are the terms of title and headings, `units` those of each unit, `frequencies` the question's.

        measured: the terms of what each unit gives a measure of; none at all, or as many as there are units.
        """
        measured = measured or [frozenset()] * len(units)
        weights = np.fromiter(frequencies.values(), np.float64, len(frequencies))
        self._weights = weights / (weights.sum() or 1.0)
        self._front = _found(frequencies, front)
        found = [_found(frequencies, *both) for both in zip(units, measured, strict=True)]
        self._units = np.array(found).reshape(len(units), len(frequencies))
        self.units = self._units @ self._weights
        self.pairs = np.maximum(self._units[:-1], self._units[1:]) @ self._weights

    def together(self, units: Sequence[int]) -> float:
        """Of these units with title and headings."""
        covered = np.maximum(self._front, self._units[list(units)].max(axis=0, initial=0.0))
        return float(covered @ self._weights)

    @property
    def best(self) -> float:
        """Of the two units one after the other that have the most; of the only one."""
        return float(max(self.pairs.max(initial=0.0), self.units.max(initial=0.0)))


def _found(
    question: Mapping[str, float], terms: frozenset[str], measured: frozenset[str] = frozenset()
) -> NDArray[np.float64]:
    """How much of each of the question's terms is among `terms`, float64 [terms of the question]."""
    missing = [term for term in question if term not in terms]
    if not missing:
        return np.ones(len(question))
    stems = {term[:_STEM] for term in terms if len(term) >= _STEM}
    characters = {character for term in terms if _is_chinese(term) for character in term}
    degrees = {term: _MEASURED if term in measured else _in_part(term, stems, characters) for term in missing}
    return np.array([degrees.get(term, 1.0) for term in question])


def _in_part(term: str, stems: set[str], characters: set[str]) -> float:
    if _is_chinese(term):
        return _SAME_CHARACTERS * sum(character in characters for character in term) / len(term)
    return _SAME_STEM if len(term) >= _STEM and term[:_STEM] in stems else 0.0


def _is_chinese(term: str) -> bool:
    return term[0] >= "\u3400"
