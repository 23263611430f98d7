"""The arithmetic of `runtime bench`, on numbers made by hand."""

import itertools
import json
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_runtime.bench.bound import decode_speed, gpu_named, share_of_bound
from model_runtime.bench.errors import BenchError
from model_runtime.bench.figures import (
    Quantiles,
    Round,
    StreamRecord,
    added_first_token_ms,
    figures_of,
    percentile,
    ratio,
)
from model_runtime.bench.load_generator import GeneratorCost
from model_runtime.bench.report import Result, as_json, as_text
from model_runtime.bench.stub_server import PacedStream
from model_runtime.bench.sweep import Cell, round_orders
from model_runtime.bench.words import LONGEST_PASSAGE, MOST_PASSAGES, prompt_size, question, record
from model_runtime.plan.gpus import find_gpu
from model_runtime.plan.speed import DecodeBound


def answer(first_ms: float, *gaps_ms: float, at: float = 100.0, **fields: float) -> StreamRecord:
    moments = [at + first_ms / 1000]
    for gap in gaps_ms:
        moments.append(moments[-1] + gap / 1000)
    return StreamRecord(at, moments[-1], tuple(moments), 10, len(moments), **fields)  # type: ignore[arg-type]


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=50))
def test_percentiles_are_those_of_the_inclusive_method(values: list[float]) -> None:
    hundredths = statistics.quantiles(values, n=100, method="inclusive")
    for percent in (1, 50, 99):
        assert percentile(values, percent) == pytest.approx(hundredths[percent - 1], abs=1e-6)
    assert (percentile(values, 0), percentile(values, 100)) == (min(values), max(values))


def test_of_nothing_there_is_no_percentile_and_no_ratio() -> None:
    assert percentile([], 50) is None
    assert Quantiles.of([]) == Quantiles(None, None)
    assert ratio(None, 1.0) is None
    assert ratio(1.0, 0.0) is None
    assert ratio(3.0, 4.0) == 0.75
    empty = figures_of([])
    assert (empty.requests, empty.output_tokens_per_s, empty.first_token_ms.p50) == (0, 0.0, None)


def test_figures_add_up_over_rounds_and_leave_failures_out() -> None:
    failed = StreamRecord(100.0, 101.0, (100.5,), 10, 1, error="HTTP 503: busy")
    rounds = [
        Round((answer(100, 10, 20), answer(200, 30)), 2.0),
        Round((answer(300, 40), failed, failed), 3.0),
    ]
    figures = figures_of(rounds)
    assert (figures.requests, figures.errors, figures.wall_s) == (3, {"HTTP 503: busy": 2}, 5.0)
    assert figures.output_tokens_per_s == pytest.approx((3 + 2 + 2) / 5)
    assert figures.requests_per_s == pytest.approx(3 / 5)
    assert figures.first_token_ms.p50 == pytest.approx(200)
    assert figures.first_token_ms.p99 == pytest.approx(298)
    assert figures.inter_token_ms.p50 == pytest.approx(25)
    assert (figures.prompt_tokens, figures.output_tokens) == (10, pytest.approx(7 / 3))


def test_answers_that_were_broken_off_count_with_what_came_and_are_told() -> None:
    whole, cut = (
        StreamRecord(0, 1, (0.5,), prompt_tokens=500, output_tokens=128),
        StreamRecord(0, 1, (0.5,), output_tokens=8, was_cut=True),
    )
    figures = figures_of([Round((whole, cut), 2.0)])
    assert (figures.prompt_tokens, figures.output_tokens, figures.output_tokens_per_s) == (500, 68, 68)
    assert (figures.requests, figures.cut) == (2, 1)
    text = as_text(result(cells=(Cell(512, 2, 1, {"model": figures_of([]), "answerdesk": figures}),)))
    assert "cut, 512 tokens, 2 streams, answerdesk: 1 of 2 answers" in text


def test_what_was_added_to_the_first_token_is_told_question_by_question() -> None:
    failed = StreamRecord(0, 1, error="cut")
    straight = [Round((answer(100), answer(1000), failed), 1.0), Round((answer(110), failed, failed), 1.0)]
    through = [Round((answer(130, retrieval_ms=10.0), answer(1040, retrieval_ms=25.0), answer(1)), 1.0)]
    assert added_first_token_ms(straight, through) == pytest.approx([130 - 10 - 105, 1040 - 25 - 1000])


@given(st.integers(1, 9))
def test_no_side_goes_first_more_often_than_the_other_by_more_than_one(rounds: int) -> None:
    order = round_orders(["a", "b"], rounds)
    assert len(order) == rounds
    assert all(sorted(each) == ["a", "b"] for each in order)
    firsts = [each[0] for each in order]
    assert firsts.count("a") - firsts.count("b") in (0, 1)
    assert all(before != after for before, after in itertools.pairwise(firsts))


@given(st.integers(1, 3000), st.floats(20, 800), st.floats(1.0, 3.0), st.floats(5, 60), st.integers(12, 60))
def test_passages_are_as_long_as_the_prompt_needs(
    wanted: int, frame: float, per_word: float, around: float, words: int
) -> None:
    """Against a made-up tokenizer in which a prompt is its frame and its passages, each a frame and its words."""

    def tokens(passages: int, each: int) -> float:
        return frame + passages * (around + per_word * each)

    one, two = round(tokens(1, words)), round(tokens(2, words))
    size = prompt_size(wanted, one_passage=one, two_passages=two, words=words, tokens_per_word=per_word)
    assert 12 <= size.words <= LONGEST_PASSAGE
    made = tokens(size.passages, size.words)
    if wanted > tokens(1, 12) + 4 and size.words > 12:
        assert made == pytest.approx(wanted, abs=(per_word / 2 + 1.5) * size.passages + 3)
    if size.passages > 1:  # not one passage more than needed
        assert tokens(size.passages - 1, LONGEST_PASSAGE) <= wanted + 2 * size.passages + per_word * size.passages + 3


def test_a_prompt_that_no_passages_fill_is_refused_with_the_most_there_is() -> None:
    with pytest.raises(BenchError, match=r"at most about 6540 tokens here, not 9000"):
        prompt_size(9000, one_passage=200 + 41, two_passages=200 + 82, words=24, tokens_per_word=1.0)
    assert MOST_PASSAGES * (17 + LONGEST_PASSAGE) + 200 == 6540


def test_manuals_and_questions_differ_and_repeat_with_the_seed() -> None:
    import random

    texts = [record(number, 50, random.Random(number))["text"] for number in range(40)]
    assert len({text[:30] for text in texts}) == 40
    assert {len(text.split()) for text in texts} == {50}
    dice = random.Random(1)
    questions = [question(number, 20, dice) for number in range(200)]
    assert len(set(questions)) == 200
    assert questions[:2] == [question(0, 20, again := random.Random(1)), question(1, 20, again)]


def test_the_share_of_the_bound() -> None:
    gpu = find_gpu("h100-80g")
    assert decode_speed(8, 4.0) == 2000
    figures = figures_of([Round((answer(100, 4, 4, 4),), 1.0)])
    by_memory = share_of_bound(figures, 8, DecodeBound(8, 8000.0, 0.0, "memory"), gpu)
    assert by_memory is not None
    assert by_memory.share == pytest.approx(0.25)
    assert by_memory.bandwidth_gb_s == pytest.approx(3350 / 4)
    by_compute = share_of_bound(figures, 8, DecodeBound(8, 8000.0, 0.0, "compute"), gpu)
    assert by_compute is not None
    assert by_compute.bandwidth_gb_s is None
    assert share_of_bound(figures_of([]), 8, DecodeBound(8, 8000.0, 0.0, "memory"), gpu) is None


@pytest.mark.parametrize(
    ("name", "memory_mib", "wanted"),
    [
        ("NVIDIA H100 80GB HBM3", 81559, "h100-80g"),
        ("NVIDIA H100 PCIe", 81559, None),
        ("NVIDIA H200", 143771, "h200-141g"),
        ("NVIDIA A100-SXM4-40GB", 40960, "a100-40g"),
        ("NVIDIA A100-SXM4-80GB", 81920, "a100-80g"),
        ("NVIDIA L4", 23034, "l4-24g"),
        ("NVIDIA L40S", 46068, "l40s-48g"),
        ("NVIDIA GeForce RTX 4090", 24564, "rtx4090-24g"),
        ("NVIDIA GeForce RTX 3060", 12288, None),
        ("", 0, None),
    ],
)
def test_gpus_by_the_name_that_the_driver_gives(name: str, memory_mib: float, wanted: str | None) -> None:
    found = gpu_named(name, memory_mib)
    assert (found.name if found else None) == wanted


def result(**fields: object) -> Result:
    straight = figures_of([Round((answer(100, 10), answer(120, 10)), 1.0)])
    through = figures_of([Round((answer(130, 10), StreamRecord(0, 1, error="busy")), 1.0)])
    cell = Cell(512, 2, 1, {"model": straight, "answerdesk": through})
    whole = {
        **{"address": "http://127.0.0.1:1", "model": "m", "output_tokens": 2, "seed": 1, "cells": (cell,)},
        **{"generator": GeneratorCost(30.0, 40.0, 2.0), **fields},
    }
    return Result(**whole)  # type: ignore[arg-type]


def test_the_table_has_both_sides_the_ratio_and_every_error() -> None:
    text = as_text(result(no_bound="the model is served on a CPU."))
    head, _, model, answerdesk = text.splitlines()[2:6]
    assert len(head) >= len(model)
    assert model.split()[:3] == ["512", "2", "model"]
    assert answerdesk.split()[-1] == "0.500"
    assert "error, 512 tokens, 2 streams, answerdesk: 1 x busy" in text
    assert "No bound on decode: the model is served on a CPU." in text


def test_the_json_says_the_same() -> None:
    shown = json.loads(json.dumps(as_json(result())))
    (cell,) = shown["cells"]
    assert cell["throughput_ratio"] == 0.5
    assert cell["bound"] is None
    assert cell["figures"]["answerdesk"]["errors"] == {"busy": 1}
    assert cell["figures"]["model"]["first_token_ms"]["p50"] == pytest.approx(110)
    assert result().has_errors


@given(st.integers(1, 40), st.integers(1, 10), st.booleans())
def test_a_replayed_stream_has_as_many_pieces_as_wanted_and_never_goes_back(
    wanted: int, length: int, exactly: bool
) -> None:
    stream = PacedStream(tuple(map(str, range(length))), tuple(10.0 for _ in range(length)))
    played = list(stream.paced(wanted, exactly=exactly, speed=2.0))
    assert len(played) == (wanted if exactly else min(wanted, length))
    assert [piece for piece, _ in played] == [str(number % length) for number in range(len(played))]
    assert [due for _, due in played] == pytest.approx([0.005 * number for number in range(1, len(played) + 1)])
