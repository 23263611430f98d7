"""Figures: means over the questions that were asked, with intervals, and the curve of abstention.

Owns the names of the figures and which of them are good when high. Does not know how they are printed.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from rag.evaluation.asking import Asked

Samples = Mapping[str, Mapping[str, float]]
"""Figure -> question id -> its measure; the figure is the mean."""

BETTER: Final[Mapping[str, Literal["high", "low"]]] = {
    "passed": "high",
    "recall@1": "high",
    "recall@5": "high",
    "recall@10": "high",
    "hit@1": "high",
    "ndcg@5": "high",
    "ndcg@10": "high",
    "page@1": "high",
    "page@5": "high",
    "answer_contained": "high",
    "answer_contained_in_60_words": "high",
    "answer_f1": "high",
    "citation_precision": "high",
    "citation_coverage": "high",
    "false_answers": "low",
    "false_sure_answers": "low",
    "false_refusals": "low",
}
"""The figures that can get worse. Lengths and times are told, but neither direction is a mistake."""

OF_TURNS: Final = ("recall@5", "hit@1", "page@5", "answer_contained", "passed")
"""Told for first and for later turns by themselves, where a set has both."""

REFUSALS_ALLOWED: Final = 0.05
RESAMPLES: Final = 1000
_CURVE_POINTS = 51


@dataclass(frozen=True, slots=True)
class Point:
    """What a threshold would do: answers below this confidence refused, all others given."""

    threshold: float
    false_answers: float
    false_refusals: float


@dataclass(frozen=True, slots=True)
class Figures:
    """`values` by name, counts and times among them; `intervals` hold the mean of 95 of 100 resamples."""

    values: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    outcomes: Mapping[str, int]
    curve: Sequence[Point]

    def as_json(self) -> dict[str, Any]:
        """Figures at the top, so that a program finds `recall@5` where it always was."""
        return {
            **self.values,
            "intervals": {name: list(interval) for name, interval in self.intervals.items()},
            "outcomes": dict(self.outcomes),
            "abstention_curve": [
                {
                    "threshold": each.threshold,
                    "false_answers": each.false_answers,
                    "false_refusals": each.false_refusals,
                }
                for each in self.curve
            ],
        }


def figures_of(asked: Sequence[Asked], *, unjudged: int = 0, top_k: int = 10) -> Figures:
    """The figures of at least one question. `unjudged` ones were not asked."""
    samples = samples_of(asked)
    curve = _curve(asked)
    answerable = sum(each.question.expected is not None for each in asked)
    values: dict[str, float] = {
        "queries": len(asked),
        "unjudged": unjudged,
        "top_k": top_k,
        "answerable": answerable,
        "not_answerable": len(asked) - answerable,
        "first_turns": sum(not each.question.is_later_turn for each in asked),
        "later_turns": sum(each.question.is_later_turn for each in asked),
        **{name: float(np.mean(list(of_questions.values()))) for name, of_questions in samples.items()},
        **{f"milliseconds_p{p}": percentile([each.milliseconds for each in asked], p) for p in (50, 95)},
    }
    if times := [each.answer_milliseconds for each in asked if each.answer_milliseconds is not None]:
        values |= {f"answer_milliseconds_p{p}": percentile(times, p) for p in (50, 95)}
    if curve:
        allowed = [point.false_answers for point in curve if point.false_refusals <= REFUSALS_ALLOWED]
        values["false_answers_at_5%_refusals"] = min(allowed)
    return Figures(
        values=values,
        intervals={name: _interval(list(of_questions.values())) for name, of_questions in samples.items()},
        outcomes=dict(Counter(str(each.outcome) for each in asked)),
        curve=_thinned(curve),
    )


def samples_of(asked: Iterable[Asked]) -> Samples:
    """The measures of all questions by figure; those of turns only where there are first and later ones."""
    samples: dict[str, dict[str, float]] = {}
    for each in asked:
        for name, value in each.values.items():
            samples.setdefault(name, {})[each.question.id] = value
            if name in OF_TURNS:
                turn = "later_turns" if each.question.is_later_turn else "first_turns"
                samples.setdefault(f"{turn}.{name}", {})[each.question.id] = value
    of_turns = {name: found for name, found in samples.items() if "." in name}
    of_all = {name: found for name, found in samples.items() if "." not in name}
    has_both = len({name.partition(".")[0] for name in of_turns}) == 2
    return {**of_all, **dict(sorted(of_turns.items()))} if has_both else of_all


def better(figure: str) -> Literal["high", "low"] | None:
    """Which way is better; None for figures that are only told."""
    return BETTER.get(figure.rpartition(".")[2])


def percentile(values: Sequence[float], percent: float) -> float:
    """By linear interpolation between the two nearest values."""
    return float(np.percentile(values, percent))


def _interval(values: Sequence[float]) -> tuple[float, float]:
    """The 95% interval of the mean, by the bootstrap's percentiles (Efron, 1979), the same each time."""
    numbers = np.array(values)
    drawn = np.random.default_rng(0).integers(len(numbers), size=(RESAMPLES, len(numbers)))
    low, high = np.percentile(numbers[drawn].mean(axis=1), (2.5, 97.5))
    return float(low), float(high)


def _curve(asked: Sequence[Asked]) -> list[Point]:
    """Every threshold that changes anything, from none refused on; empty where nothing is to be told apart.

    What an answerer refused without giving a confidence counts as 0.
    """
    answerable = np.array([each.confidence or 0.0 for each in asked if each.question.expected is not None])
    silent = np.array([each.confidence or 0.0 for each in asked if each.question.expected is None])
    if not len(answerable) or not len(silent) or all(each.confidence is None for each in asked):
        return []
    above_all = float(np.nextafter(max(answerable.max(), silent.max()), np.inf))
    thresholds = [0.0, *np.unique(np.concatenate([answerable, silent])).tolist(), above_all]
    return [
        Point(threshold, float((silent >= threshold).mean()), float((answerable < threshold).mean()))
        for threshold in sorted(set(thresholds))
    ]


def _thinned(curve: Sequence[Point]) -> Sequence[Point]:
    """Few enough to read, with both ends."""
    if len(curve) <= _CURVE_POINTS:
        return curve
    places = np.linspace(0, len(curve) - 1, _CURVE_POINTS).round().astype(int)
    return [curve[place] for place in places]
