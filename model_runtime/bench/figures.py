"""The arithmetic of `runtime bench`: from the moments of streams to throughput, percentiles and ratios.

Owns what a figure means. Pure functions; knows no server, no clock and no printing.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StreamRecord:
    """One answer as a reader saw it. Moments in seconds of one clock; `arrivals` are those of its pieces of text.

    Tokens are what the server says (0: it did not say). `retrieval_ms` is None where nothing was searched for.
    `was_cut`: its reader had enough before the model had ended; the tokens are those until then. A record with an
    `error` counts as an error and in no other figure.
    """

    started: float
    ended: float
    arrivals: tuple[float, ...] = ()
    prompt_tokens: int = 0
    output_tokens: int = 0
    retrieval_ms: float | None = None
    error: str = ""
    was_cut: bool = False

    @property
    def first_ms(self) -> float:
        """Time to the first piece. Only for records without an error: they have at least one."""
        return (self.arrivals[0] - self.started) * 1000

    @property
    def gaps_ms(self) -> list[float]:
        return [(after - before) * 1000 for before, after in itertools.pairwise(self.arrivals)]


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Milliseconds; None where nothing was measured."""

    p50: float | None
    p99: float | None

    @classmethod
    def of(cls, values: Sequence[float]) -> Quantiles:
        return cls(percentile(values, 50), percentile(values, 99))


@dataclass(frozen=True, slots=True)
class Round:
    """What one leg of one round gave: its records, and how long it took."""

    records: tuple[StreamRecord, ...]
    wall_s: float


@dataclass(frozen=True, slots=True)
class Figures:
    """One leg over all its rounds. `prompt_tokens` and `output_tokens` are means over the answers without an error, the
    first over those whose prompt was counted. `cut`: answers that were broken off before the model had ended them."""

    requests: int
    errors: dict[str, int]
    cut: int
    wall_s: float
    output_tokens_per_s: float
    requests_per_s: float
    first_token_ms: Quantiles
    inter_token_ms: Quantiles
    retrieval_ms: Quantiles
    prompt_tokens: float
    output_tokens: float


def percentile(values: Iterable[float], percent: float) -> float | None:
    """The `percent`-th percentile, linear between the two nearest ranks (type 7 of Hyndman and Fan, 1996); None of
    nothing."""
    ordered = sorted(values)
    if not ordered:
        return None
    position = (len(ordered) - 1) * percent / 100
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


def ratio(value: float | None, to: float | None) -> float | None:
    """None where one of them is missing or the divisor is 0."""
    return value / to if value is not None and to else None


def figures_of(rounds: Sequence[Round]) -> Figures:
    """Throughput over the summed wall time; percentiles over all answers of all rounds."""
    good = [record for each in rounds for record in each.records if not record.error]
    errors = Counter(record.error for each in rounds for record in each.records if record.error)
    wall = sum(each.wall_s for each in rounds)
    prompts = [record.prompt_tokens for record in good if record.prompt_tokens]
    output = sum(record.output_tokens for record in good)
    return Figures(
        requests=len(good),
        errors=dict(errors.most_common()),
        cut=sum(record.was_cut for record in good),
        wall_s=wall,
        output_tokens_per_s=output / wall if wall else 0.0,
        requests_per_s=len(good) / wall if wall else 0.0,
        first_token_ms=Quantiles.of([record.first_ms for record in good]),
        inter_token_ms=Quantiles.of([gap for record in good for gap in record.gaps_ms]),
        retrieval_ms=Quantiles.of([record.retrieval_ms for record in good if record.retrieval_ms is not None]),
        prompt_tokens=sum(prompts) / len(prompts) if prompts else 0.0,
        output_tokens=output / len(good) if good else 0.0,
    )


def added_first_token_ms(straight: Sequence[Round], through: Sequence[Round]) -> list[float]:
    """What was added to the time to first token besides retrieval, question by question.

    For legs in which the n-th record is the same question, answered at the same pace. The straight times of a question
    are averaged over the rounds; questions that failed on either side are left out.
    """
    plain = [
        [record.first_ms for record in same if not record.error]
        for same in zip(*(each.records for each in straight), strict=True)
    ]
    return [
        record.first_ms - (record.retrieval_ms or 0.0) - sum(times) / len(times)
        for each in through
        for record, times in zip(each.records, plain, strict=True)
        if not record.error and times
    ]
