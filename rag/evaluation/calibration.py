"""Where to refuse, from golden questions: the threshold for a wanted share of false answers, and what it costs.

Owns the choice and how far it can be trusted. Knows neither how questions are asked nor where thresholds are kept.

A question is refused when its confidence is below the threshold. Those that have no answer are taken as a sample of
all such questions: when the threshold is just above the (k+1)-th highest confidence of n, a further question of the
kind is answered with a probability of at most (k+1)/(n+1) (split conformal prediction: Vovk, Gammerman and Shafer,
"Algorithmic Learning in a Random World", 2005). Counting k/n alone would promise too much, most of all with few.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from rag.errors import CannotCalibrate
from rag.evaluation.asking import Asked

LOWEST_WANTED: Final = 0.005
HIGHEST_WANTED: Final = 0.5
FEWEST_NOT_ANSWERABLE: Final = 10
FEWEST_ANSWERABLE: Final = 10
_NORMAL_QUANTILE: Final = 1.96
_DECIMALS: Final = 4


@dataclass(frozen=True, slots=True)
class Share:
    """A share of the golden questions; `low` and `high` bound it for all questions of the kind, at 95%."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """A threshold, and what refusing below it does.

    wanted: the share of false answers asked for; false_answers, false_refusals: what the golden questions come to;
    expected_false_answers: at most so many of further questions without an answer are answered;
    questions_missing: so many more questions without an answer it takes until that can be as low as wanted.
    """

    threshold: float
    wanted: float
    false_answers: Share
    false_refusals: Share
    expected_false_answers: float
    answerable: int
    not_answerable: int
    questions_missing: int


def confidences(asked: Iterable[Asked]) -> tuple[list[float], list[float]]:
    """The confidences of the questions with an answer in the manuals, and of those without.

    Where the answerer gave none, no threshold changes what it did: infinite if it answered, minus infinite if not.
    """
    answerable: list[float] = []
    silent: list[float] = []
    for each in asked:
        if each.question.expected is None:
            silent.append(_confidence(each, answers=each.values.get("false_answers", 0.0) > 0))
        else:
            answerable.append(_confidence(each, answers=each.values.get("false_refusals", 1.0) == 0))
    return answerable, silent


def calibrated(answerable: Sequence[float], silent: Sequence[float], wanted: float) -> Calibration:
    """The lowest threshold with which at most `wanted` of the questions without an answer can be expected to get one.

    answerable, silent: confidences, in any order, of questions with and without an answer in the manuals. With too few
    of the latter for what is wanted, the threshold is above all of them and `questions_missing` says how many more it
    takes. Raises `ValueError` for a share out of bounds, and `CannotCalibrate` with too few questions to say anything,
    or when what is to be refused is as sure as an answer can be.
    """
    if not LOWEST_WANTED <= wanted <= HIGHEST_WANTED:
        raise ValueError(f"The wanted share of false answers must be from {LOWEST_WANTED} to {HIGHEST_WANTED}.")
    require_enough(len(answerable), len(silent))
    allowed = max((k for k in range(len(silent)) if _expected(k, len(silent)) <= wanted), default=0)
    threshold = _just_above(sorted(silent, reverse=True)[allowed], [*answerable, *silent])
    answered = sum(each >= threshold for each in silent)
    return Calibration(
        threshold=threshold,
        wanted=wanted,
        false_answers=_share(answered, len(silent)),
        false_refusals=_share(sum(each < threshold for each in answerable), len(answerable)),
        expected_false_answers=_expected(allowed, len(silent)),
        answerable=len(answerable),
        not_answerable=len(silent),
        questions_missing=max(0, _needed(wanted) - len(silent)),
    )


def _confidence(asked: Asked, *, answers: bool) -> float:
    if asked.confidence is not None:
        return asked.confidence
    return math.inf if answers else -math.inf


def require_enough(answerable: int, silent: int) -> None:
    """Raises `CannotCalibrate`, saying what to add."""
    missing = []
    if silent < FEWEST_NOT_ANSWERABLE:
        missing.append(f"{FEWEST_NOT_ANSWERABLE - silent} more that the manuals do not answer")
    if answerable < FEWEST_ANSWERABLE:
        missing.append(f"{FEWEST_ANSWERABLE - answerable} more that they answer")
    if missing:
        raise CannotCalibrate(
            f"Too few golden questions to find a threshold ({answerable} with an answer, {silent} without): "
            f"add {' and '.join(missing)}, and ask them all again."
        )


def _just_above(confidence: float, known: Sequence[float]) -> float:
    """A threshold that refuses `confidence` and nothing surer: half-way to the next, with few decimals if they do."""
    above = min((each for each in known if each > confidence), default=1.0)
    below, above = max(confidence, 0.0), min(above, 1.0)
    if above <= below and confidence >= 0:
        raise CannotCalibrate(
            "Questions that the manuals do not answer are answered as surely as can be, and no threshold refuses "
            "them: look whether the manuals answer them after all, at those of a run that should have been refused."
        )
    middle = (below + above) / 2
    rounded = round(middle, _DECIMALS)
    return next(each for each in (rounded, middle, above) if confidence < each <= above)


def _expected(allowed: int, silent: int) -> float:
    return (allowed + 1) / (silent + 1)


def _needed(wanted: float) -> int:
    """The fewest questions without an answer with which the share can be expected."""
    number = math.floor(1 / wanted) - 1
    return number if _expected(0, number) <= wanted else number + 1


def _share(count: int, total: int) -> Share:
    """With its score interval (Wilson, 1927), which also holds for few questions and for shares of 0 and 1."""
    value, square = count / total, _NORMAL_QUANTILE**2
    centre = (value + square / (2 * total)) / (1 + square / total)
    spread = math.sqrt(value * (1 - value) / total + square / (4 * total**2)) * _NORMAL_QUANTILE / (1 + square / total)
    return Share(value, min(value, max(0.0, centre - spread)), max(value, min(1.0, centre + spread)))
