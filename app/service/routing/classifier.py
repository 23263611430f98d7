"""Intents of messages, learnt from examples in seconds: how likely each is, and that it is none of them.

Owns the two views of a message and how they are mixed: what it means, by the vector that retrieval needs anyway
(multinomial logistic regression), and how it is worded (`app.service.routing.wording`). What is no intent is a class of
its own, learnt from examples and from what the manuals speak of. Knows no storage, no languages and no handlers.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from app.service.routing.example import FEW, OUTSIDE, Example
from app.service.routing.wording import Matrix, Wording, one_row_a_class, softmax
from rag.types import Vector

_C_OF_FEW = 4.0  # of vectors of length 1
_C_OF_MANY = 0.02  # of vectors in standard deviations
_OUTSIDE_WEIGHT = 3.0
"""Each example of `OUTSIDE` counts so much: what it stands for is wider than any intent."""

_HEADING_WEIGHT = 1.0
_PASSAGE_WEIGHT = 0.5
"""What manuals speak of is said less like a message the longer it is. Chosen on what each costs the own utterances."""

_WORDING_SHARE_OF_FEW = 0.25
_WORDING_SHARE_OF_MANY = 0.35
"""These and the others were chosen on clinc150's validation split, but for the two weights above."""

_ROUNDS = 60


@dataclass(frozen=True, slots=True)
class ExampleVectors:
    """Of examples, in their order: as questions and as passages, float32 [examples, dimension].

    A message comes as a question only; as a passage an example is said a second time, a little differently.
    """

    questions: NDArray[np.float32]
    passages: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ManualVectors:
    """What manuals speak of: headings, and passages as they are in the index, float32 [passages, dimension]."""

    headings: ExampleVectors
    passages: NDArray[np.float32]


class IntentClassifier:
    """Trained when made. Safe for threads."""

    def __init__(self, examples: Sequence[Example], vectors: ExampleVectors) -> None:
        """Raises `ValueError` without examples."""
        if not examples:
            raise ValueError("an intent is learnt from examples, and there are none")
        self._labels = np.array([example.intent for example in examples])
        self._vectors = vectors
        self.intents: tuple[str, ...] = tuple(sorted(set(self._labels.tolist())))
        if len(self.intents) > 1:
            self._meaning = _Meaning(vectors, self._labels, None)
            self._wording = Wording([example.text for example in examples], self._labels)

    def beside(self, manuals: ManualVectors) -> "IntentClassifier":
        """The same intents where these manuals are: what they speak of is more likely `OUTSIDE`.

        Without that class, or with no other, this classifier itself.
        """
        if OUTSIDE not in self.intents or len(self.intents) == 1:
            return self
        other = copy.copy(self)
        other._meaning = _Meaning(self._vectors, self._labels, manuals)
        return other

    def classify(self, text: str, vector: Vector) -> list[tuple[str, float]]:
        """Every class with its probability, most likely first. `vector` is that of `text` as a question."""
        found = self.probabilities([text], vector[None, :])[0]
        return [(self.intents[index], float(found[index])) for index in np.argsort(-found)]

    def probabilities(self, texts: Sequence[str], vectors: NDArray[np.float32]) -> Matrix:
        """[texts, intents]: rows in the order of the texts, columns in that of `intents`."""
        if len(self.intents) == 1:
            return np.ones((len(texts), 1))
        meaning, wording = self._meaning.probabilities(vectors), self._wording.probabilities(texts)
        share = _WORDING_SHARE_OF_FEW if len(self._labels) <= FEW else _WORDING_SHARE_OF_MANY
        mixed: Matrix = (1 - share) * meaning + share * wording
        return mixed


class _Meaning:
    """Logistic regression. Few examples are seen as questions and as passages; many teach enough without."""

    def __init__(self, vectors: ExampleVectors, labels: NDArray[np.str_], manuals: ManualVectors | None) -> None:
        weights = np.where(labels == OUTSIDE, _OUTSIDE_WEIGHT, 1.0)
        is_few = len(labels) <= FEW
        frame = _Directions if is_few else _Deviations
        asked, said = frame(vectors.questions), frame(vectors.passages)
        seen = [(asked.of(vectors.questions), labels, weights)]
        if is_few:
            seen.append((said.of(vectors.passages), labels, weights))
        if manuals is not None:
            seen += [
                _outside(asked.of(manuals.headings.questions), _HEADING_WEIGHT),
                _outside(said.of(manuals.headings.passages), _HEADING_WEIGHT),
                # Against their own middle: otherwise that they are no messages is all there is to learn from them.
                _outside(frame(manuals.passages).of(manuals.passages), _PASSAGE_WEIGHT),
            ]
        rows, classes, counts = (np.concatenate(each) for each in zip(*seen, strict=True))
        model = LogisticRegression(C=_C_OF_FEW if is_few else _C_OF_MANY, max_iter=_ROUNDS, tol=1e-3)
        self._weights, self._bias = one_row_a_class(model.fit(rows, classes, sample_weight=counts))
        self._asked = asked

    def probabilities(self, vectors: NDArray[np.float32]) -> Matrix:
        return softmax(self._asked.of(vectors) @ self._weights.T + self._bias)


class _Directions:
    """In which direction vectors lie from the mean of some: of length 1, or 0 at the mean itself."""

    def __init__(self, vectors: NDArray[np.float32]) -> None:
        self._mean = vectors.mean(0, dtype=np.float64)

    def of(self, vectors: NDArray[np.float32]) -> Matrix:
        moved = vectors - self._mean
        directions: Matrix = moved / np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), 1e-9)
        return directions


class _Deviations:
    """How far vectors lie from the mean of some, in their standard deviations of each dimension."""

    def __init__(self, vectors: NDArray[np.float32]) -> None:
        self._mean, self._scale = vectors.mean(0, dtype=np.float64), vectors.std(0, dtype=np.float64)
        self._scale[self._scale < 1e-6] = 1.0  # it never varies

    def of(self, vectors: NDArray[np.float32]) -> Matrix:
        deviations: Matrix = (vectors - self._mean) / self._scale
        return deviations


def _outside(rows: Matrix, weight: float) -> tuple[Matrix, NDArray[np.str_], Matrix]:
    return rows, np.full(len(rows), OUTSIDE), np.full(len(rows), weight)
