"""What counts as the same: the comparison of two answers, and the plan against what vLLM logs of its KV cache."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_runtime.plan.memory import KvType, kv_bytes_per_token
from model_runtime.plan.models import load_model
from model_runtime.verify.choices import Architecture, Precision
from model_runtime.verify.comparison import TOLERANCES, LogProbabilities, Tolerance, compare
from model_runtime.verify.small_models import make_model, write_model
from model_runtime.verify.verdict import KvCheck

STRICT = TOLERANCES[Precision.FLOAT32]
GIB = 1024**3

position = st.dictionaries(st.integers(0, 50), st.floats(-40, 0), min_size=1, max_size=6)


@st.composite
def answers(draw: st.DrawFn) -> LogProbabilities:
    scores = draw(st.lists(st.lists(position, min_size=1, max_size=5), min_size=1, max_size=3))
    steps = draw(st.lists(st.lists(position, min_size=3, max_size=3), max_size=2))
    continuations = [draw(st.lists(st.integers(0, 50), min_size=3, max_size=3)) for _ in steps]
    return LogProbabilities(tuple(map(tuple, scores)), tuple(map(tuple, continuations)), tuple(map(tuple, steps)))


@given(answers(), st.data())
def test_one_position_that_is_off_is_found_and_named(right: LogProbabilities, data: st.DataObject) -> None:
    same = compare(right, right, STRICT)
    assert (same.agrees, same.largest, same.beyond, same.tokens_alike) == (True, 0, 0, same.tokens)
    assert same.positions == sum(map(len, right.scores)) + sum(map(len, right.steps))

    number = data.draw(st.integers(0, len(right.scores) - 1))
    place = data.draw(st.integers(0, len(right.scores[number]) - 1))
    token = data.draw(st.sampled_from(sorted(right.scores[number][place])))
    off = data.draw(st.sampled_from([0.02, -0.02, 3.0, math.nan, math.inf, -math.inf]))
    rows = [list(sequence) for sequence in right.scores]
    rows[number][place] = {**rows[number][place], token: rows[number][place][token] + off}
    wrong = replace(right, scores=tuple(map(tuple, rows)))
    for found in (compare(wrong, right, STRICT), compare(right, wrong, STRICT)):
        assert not found.agrees
        assert (found.beyond, found.largest_at) == (1, f"sequence {number}, token {place + 1}")
        assert found.largest == (pytest.approx(abs(off)) if math.isfinite(off) else math.inf)


@given(answers(), st.floats(-0.009, 0.009))
def test_rounding_is_no_difference(right: LogProbabilities, noise: float) -> None:
    scores = tuple(
        tuple({token: value + noise for token, value in row.items()} for row in rows) for rows in right.scores
    )
    assert compare(replace(right, scores=scores), right, STRICT).agrees


def test_continuations_are_compared_until_they_part() -> None:
    here, there = {1: -0.1, 2: -0.11}, {1: -0.11, 2: -0.1}
    one = LogProbabilities((({3: -1.0},),), ((1, 1, 1),), ((here, here, here),))
    other = LogProbabilities((({3: -1.0},),), ((1, 2, 9),), ((here, there, {9: -0.5}),))
    found = compare(one, other, STRICT)
    assert (found.agrees, found.tokens_alike, found.tokens) == (False, 1, 3)
    assert found.positions == 3, "the score, and two steps: what follows another token is another question"
    assert found.largest == pytest.approx(0.01)
    assert compare(one, other, Tolerance(nats=0.5, share=0.1)).agrees, "where positions may be off, so may a choice"


def test_answers_to_other_questions_are_no_difference_but_an_error() -> None:
    one = LogProbabilities((({3: -1.0},),), ((1,),), (({1: -0.1},),))
    with pytest.raises(ValueError, match="longer"):
        compare(one, replace(one, scores=(({3: -1.0}, {3: -1.0}),)), STRICT)
    with pytest.raises(ValueError, match="continuations of"):
        compare(one, replace(one, continuations=((1, 2),)), STRICT)
    apart = replace(one, scores=(({4: -1.0},),))
    assert compare(one, apart, STRICT).largest == math.inf, "nothing in common is no agreement"


# As logged by vLLM 0.32 for the CPU, in float32, with 1 GiB of cache on each rank.
@pytest.mark.parametrize(
    ("architecture", "ranks", "logged"),
    [
        (Architecture.DEEPSEEK_V3, 1, 155_344),
        (Architecture.DEEPSEEK_V3, 2, 155_344),  # the latent cache is the same on every rank
        (Architecture.MIXTRAL, 1, 524_288),
        (Architecture.MIXTRAL, 2, 1_048_576),  # a head on each
        (Architecture.QWEN3_MOE, 1, 1_048_576),
        (Architecture.QWEN3_MOE, 2, 1_048_576),  # one head, on both
    ],
)
def test_the_plan_has_the_tokens_that_vllm_logs(
    architecture: Architecture, ranks: int, logged: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("models") / architecture
    write_model(make_model(architecture), folder)
    planned = 2 * kv_bytes_per_token(load_model(str(folder)), KvType.BF16, ranks)
    assert KvCheck(planned, GIB, logged).agrees
    for other in (logged - 1024, logged + 256, logged * 2, logged // 2):
        assert not KvCheck(planned, GIB, other).agrees
