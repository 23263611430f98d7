"""What both sides are asked, what they answer, and how far two answers are apart.

Owns the comparison and its tolerance. Knows neither vLLM nor transformers.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from model_runtime.verify.choices import Precision

Position = Mapping[int, float]
"""Log-probabilities, in nats, by token: of all tokens, or of the likeliest and the one that follows."""


@dataclass(frozen=True)
class Tolerance:
    """`nats`: how far a log-probability may be off. `share`: of how many positions it may be off further, because
    rounding moved a token to another expert."""

    nats: float
    share: float


TOLERANCES = {Precision.FLOAT32: Tolerance(0.01, 0.0), Precision.BFLOAT16: Tolerance(1.0, 0.15)}
"""Between what rounding does and what the mildest mutant does; docs/runtime.md has both, measured."""


@dataclass(frozen=True)
class Probes:
    """Token sequences to score at every position, and prompts to continue with the likeliest `new_tokens`."""

    sequences: tuple[tuple[int, ...], ...]
    prompts: tuple[tuple[int, ...], ...]
    new_tokens: int


@dataclass(frozen=True)
class LogProbabilities:
    """`scores[s][i]` is about token i + 1 of sequence s; `steps[p][i]` is what `continuations[p][i]` was chosen by."""

    scores: tuple[tuple[Position, ...], ...]
    continuations: tuple[tuple[int, ...], ...] = ()
    steps: tuple[tuple[Position, ...], ...] = ()


@dataclass(frozen=True)
class Comparison:
    """How far two answers to the same probes are apart. Distances in nats; `beyond`: positions outside the
    tolerance; `tokens_alike` of `tokens` tokens were continued alike, up to the first other one of each prompt."""

    tolerance: Tolerance
    positions: int
    beyond: int
    median: float
    largest: float
    largest_at: str
    tokens: int
    tokens_alike: int

    @property
    def share_beyond(self) -> float:
        return self.beyond / self.positions

    @property
    def agrees(self) -> bool:
        # Where some positions may be off, one of them may be where a continuation takes another way.
        tokens_agree = self.tokens_alike == self.tokens or self.tolerance.share > 0
        return self.share_beyond <= self.tolerance.share and tokens_agree


def compare(one: LogProbabilities, other: LogProbabilities, tolerance: Tolerance) -> Comparison:
    """Position by position over the sequences, then over the continuations as long as they are the same.

    Raises `ValueError` when they are not answers to the same probes.
    """
    distances = {}
    for number, (mine, theirs) in enumerate(zip(one.scores, other.scores, strict=True)):
        for place, (here, there) in enumerate(zip(mine, theirs, strict=True)):
            distances[f"sequence {number}, token {place + 1}"] = distance(here, there)
    alike = 0
    for number, tokens in enumerate(zip(one.continuations, other.continuations, strict=True)):
        same = _same_beginning(*tokens)
        alike += same
        # The step at which they part was still taken after the same text.
        for place in range(min(same + 1, len(tokens[0]))):
            distances[f"continuation {number}, token {place}"] = distance(
                one.steps[number][place], other.steps[number][place]
            )
    largest_at = max(distances, key=distances.__getitem__)
    return Comparison(
        tolerance=tolerance,
        positions=len(distances),
        beyond=sum(each > tolerance.nats for each in distances.values()),
        median=statistics.median(distances.values()),
        largest=distances[largest_at],
        largest_at=largest_at,
        tokens=sum(map(len, one.continuations)),
        tokens_alike=alike,
    )


def distance(one: Position, other: Position) -> float:
    """The largest difference of a token that both name; infinite when there is none, or when a value is no number."""
    differences = [abs(value - other[token]) for token, value in one.items() if token in other]
    # max() would pass over a NaN, or not, by its place.
    return max(differences) if differences and all(map(math.isfinite, differences)) else math.inf


def _same_beginning(one: Sequence[int], other: Sequence[int]) -> int:
    if len(one) != len(other):
        raise ValueError(f"continuations of {len(one)} and {len(other)} tokens")
    return next((place for place, pair in enumerate(zip(one, other, strict=True)) if pair[0] != pair[1]), len(one))
