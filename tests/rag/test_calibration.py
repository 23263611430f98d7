"""Thresholds chosen from golden questions: never more false answers than wanted, and no promise that too few make."""

import math
import random
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from rag.errors import CannotCalibrate
from rag.evaluation.asking import Asked, Outcome
from rag.evaluation.calibration import Calibration, calibrated, confidences
from rag.evaluation.questions import question_from

SURE = [0.9, 0.95, 0.97] * 4
COARSE = st.integers(0, 20).map(lambda each: each / 20)
"""Many ties, and both ends."""
CONFIDENCES = st.lists(st.floats(0, 1) | COARSE | st.sampled_from([-math.inf, math.inf]), min_size=10, max_size=60)
RATES = st.floats(0.005, 0.5)


def calibrated_or_skipped(answerable: list[float], silent: list[float], wanted: float) -> Calibration:
    try:
        return calibrated(answerable, silent, wanted)
    except CannotCalibrate:
        assume(False)
        raise


@given(CONFIDENCES, CONFIDENCES, RATES)
def test_the_threshold_keeps_what_is_wanted_and_tells_what_it_costs(
    answerable: list[float], silent: list[float], wanted: float
) -> None:
    made = calibrated_or_skipped(answerable, silent, wanted)
    assert 0 <= made.threshold <= 1
    answered = sum(each >= made.threshold for each in silent)
    assert answered / len(silent) == made.false_answers.value <= wanted
    assert made.false_refusals.value == sum(each < made.threshold for each in answerable) / len(answerable)
    for share in (made.false_answers, made.false_refusals):
        assert 0 <= share.low <= share.value <= share.high <= 1
        assert share.low < share.high
    assert made.expected_false_answers <= wanted or made.questions_missing > 0
    assert made.false_answers.value < made.expected_false_answers


@given(CONFIDENCES, CONFIDENCES, RATES, RATES)
def test_fewer_false_answers_are_never_had_by_refusing_less(
    answerable: list[float], silent: list[float], one: float, other: float
) -> None:
    strict = calibrated_or_skipped(answerable, silent, min(one, other))
    loose = calibrated_or_skipped(answerable, silent, max(one, other))
    assert strict.threshold >= loose.threshold
    assert strict.false_refusals.value >= loose.false_refusals.value
    assert strict.questions_missing >= loose.questions_missing


@given(CONFIDENCES, CONFIDENCES, RATES, st.randoms())
def test_the_order_of_the_questions_plays_no_part(
    answerable: list[float], silent: list[float], wanted: float, order: random.Random
) -> None:
    made = calibrated_or_skipped(answerable, silent, wanted)
    order.shuffle(answerable)
    order.shuffle(silent)
    assert calibrated(answerable, silent, wanted) == made


@given(st.integers(10, 400), RATES)
def test_the_missing_questions_are_just_enough(count: int, wanted: float) -> None:
    missing = calibrated(SURE, [0.1] * count, wanted).questions_missing
    assert calibrated(SURE, [0.1] * (count + missing), wanted).expected_false_answers <= wanted
    if missing:
        assert calibrated(SURE, [0.1] * (count + missing - 1), wanted).expected_false_answers > wanted


def test_the_promise_holds_for_questions_that_were_not_seen() -> None:
    """The mean over many small samples, of a known distribution: counting on the sample alone would break it."""
    draw = random.Random(5)
    for count, wanted in ((19, 0.05), (30, 0.1), (60, 0.2)):
        rates = []
        for _ in range(2000):
            made = calibrated(SURE, [draw.random() * 0.8 for _ in range(count)], wanted)
            rates.append(max(0.0, 1 - made.threshold / 0.8))
        assert sum(rates) / len(rates) <= wanted


def test_exact_values() -> None:
    silent = [each / 100 for each in range(1, 40)]  # 0.01 to 0.39
    made = calibrated([0.2, 0.365, *SURE], silent, 0.1)
    assert made.threshold == 0.3625, "half-way from the fourth highest, 0.36, to the next of all, 0.365"
    assert (made.false_answers.value, made.expected_false_answers) == (3 / 39, 0.1)
    assert made.false_refusals.value == 1 / 14
    assert (made.answerable, made.not_answerable, made.questions_missing) == (14, 39, 0)
    assert calibrated(SURE, silent[:10], 0.05).questions_missing == 9
    thresholds = [calibrated(SURE, silent, wanted).threshold for wanted in (0.025, 0.05, 0.1, 0.5)]
    assert all(one > other for one, other in pairwise(thresholds))


def test_wilsons_interval() -> None:
    """10 of 20: .299 to .701, in every table of it; 0 of 10 ends at .278."""
    half = calibrated([0.0] * 10 + [0.9] * 10, [0.1] * 19, 0.05).false_refusals
    assert (half.value, round(half.low, 3), round(half.high, 3)) == (0.5, 0.299, 0.701)
    none = calibrated([0.9] * 10, [0.1] * 19, 0.05).false_refusals
    assert (none.low, round(none.high, 3)) == (0.0, 0.278)


@pytest.mark.parametrize(
    ("answerable", "silent", "says"),
    [
        (SURE, [0.1] * 9, "add 1 more that the manuals do not answer, and"),
        (SURE[:3], [], "add 10 more that the manuals do not answer and 7 more that they answer"),
        (SURE, [1.0] * 10, "no threshold refuses them"),
        (SURE, [0.1] * 9 + [math.inf], "no threshold refuses them"),
    ],
)
def test_what_cannot_be_calibrated_says_what_to_do(answerable: list[float], silent: list[float], says: str) -> None:
    with pytest.raises(CannotCalibrate, match=says):
        calibrated(answerable, silent, 0.05)


@pytest.mark.parametrize("wanted", [0, 0.0049, 0.51, math.nan])
def test_only_sensible_shares_can_be_wanted(wanted: float) -> None:
    with pytest.raises(ValueError, match=r"0\.005 to 0\.5"):
        calibrated(SURE, [0.1] * 20, wanted)


def test_without_a_confidence_what_was_done_counts() -> None:
    def asked(*, expected: bool, values: dict[str, float], confidence: float | None = None) -> Asked:
        question = question_from(
            {"question": "How?", "expected": {"document": "a.md"} if expected else "not answerable"}
        )
        return Asked(question, Outcome.PASSED, values, (), (), "", 1.0, confidence=confidence)

    answerable, silent = confidences(
        [
            asked(expected=True, values={"false_refusals": 1.0}, confidence=0.25),
            asked(expected=True, values={"false_refusals": 0.0}),
            asked(expected=True, values={"false_refusals": 1.0}),
            asked(expected=False, values={"false_answers": 1.0}),
            asked(expected=False, values={"false_answers": 0.0}),
            asked(expected=False, values={"false_answers": 1.0}, confidence=0.75),
        ]
    )
    assert answerable == [0.25, math.inf, -math.inf]
    assert silent == [math.inf, -math.inf, 0.75]
