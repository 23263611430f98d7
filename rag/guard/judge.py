"""Whether a question tries to steer the assistant: how likely, and what speaks for it.

Owns the two linear models that decide, fitted by `benchmarks.fit_injection_guard` on prompts of our own: one over the
signs of `rag.guard.features`, one over the question's vector, which retrieval has made anyway. Their scores are
averaged. The second goes with one embedder; with any other the signs decide alone, by a threshold of their own. Does
not know what becomes of such a question (`rag.guard.answerer`).
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rag.guard.features import FEATURES, features_of, signs_in
from rag.types import Turn, Vector

MODEL_FILE = Path(__file__).parent / "guard.json"

_TURNS_KEPT = 512
"""Judged turns that are not judged again: they come with every later question of their conversation."""


class JudgedBy(StrEnum):
    """What a judgement rests on."""

    SIGNS_AND_VECTOR = "signs_and_vector"
    SIGNS = "signs"


@dataclass(frozen=True, slots=True)
class Judgement:
    """`probability` that the text is an injection, for judgements of the same kind; `signs` by name."""

    is_injection: bool
    probability: float
    by: JudgedBy
    signs: tuple[str, ...]


@dataclass(frozen=True)
class GuardModel:
    """The fitted weights. `signs` are by `FEATURES`, `vector` belongs to the vectors of `embedder`."""

    signs: NDArray[np.float64]
    signs_bias: float
    signs_threshold: float
    embedder: str
    vector: NDArray[np.float64]
    vector_bias: float
    threshold: float

    @classmethod
    def read(cls, path: Path = MODEL_FILE) -> "GuardModel":
        """The model of a file. Raises `ValueError` when it was fitted on other signs than these."""
        content = json.loads(path.read_text(encoding="utf-8"))
        if tuple(content["signs"]) != FEATURES:
            raise ValueError(f"{path} was fitted on other signs: run python -m benchmarks.fit_injection_guard.")
        return cls(
            signs=np.array(list(content["signs"].values())),
            signs_bias=content["signs_bias"],
            signs_threshold=content["signs_threshold"],
            embedder=content["embedder"],
            vector=np.array(content["vector"]),
            vector_bias=content["vector_bias"],
            threshold=content["threshold"],
        )


@cache
def fitted_guard() -> GuardModel:
    """The model that is shipped, read once."""
    return GuardModel.read()


class InjectionGuard:
    """Judges questions; safe for threads."""

    def __init__(self, model: GuardModel | None = None) -> None:
        self._model = model or fitted_guard()
        self._steers = lru_cache(_TURNS_KEPT)(lambda text: self.judge(text).is_injection)

    @property
    def embedder(self) -> str:
        """The identity of the embedder whose vectors can be judged."""
        return self._model.embedder

    def judge(self, text: str, vector: Vector | None = None) -> Judgement:
        """`vector` is that of `text` as a question, by the guard's `embedder`; None: by the signs alone."""
        model = self._model
        features = features_of(text)
        score = float(np.dot(model.signs, features)) + model.signs_bias
        by, threshold = JudgedBy.SIGNS, model.signs_threshold
        if vector is not None:
            by, threshold = JudgedBy.SIGNS_AND_VECTOR, model.threshold
            score = (score + float(np.dot(model.vector, vector)) + model.vector_bias) / 2
        return Judgement(score > threshold, 1 / (1 + math.exp(-score)), by, signs_in(features))

    def without_steering(self, history: Sequence[Turn]) -> tuple[Turn, ...]:
        """The turns but for those of the customer that are injections, by their signs: they have no vectors."""
        return tuple(turn for turn in history if not (turn.is_customers and self._steers(turn.text)))
