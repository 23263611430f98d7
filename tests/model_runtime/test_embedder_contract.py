"""What every embedder must do, run over each of them: OpenVINO, torch and the fake."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model_runtime.embedder import Embedder, batches_by_length
from model_runtime.errors import TextTooLong
from model_runtime.fakes import HashingEmbedder

TEXTS = [
    "Press and hold the power button for five seconds.",
    "x",
    "按住电源键五秒钟，电视会重新启动。",
    "Error E-42: 检查 HDMI 线缆 (QN65Q60RAFXZA), 0～40℃。",
    " ".join(["The remote control does not pair with the television."] * 30),
]


@pytest.fixture(params=["openvino", "torch", "hashing"])
def any_embedder(request: pytest.FixtureRequest) -> Embedder:
    if request.param == "hashing":
        return HashingEmbedder()
    found: Embedder = request.getfixturevalue("embedder" if request.param == "openvino" else "torch_embedder")
    return found


def test_vectors_have_unit_length_and_the_stated_shape(any_embedder: Embedder) -> None:
    vectors = any_embedder.embed_passages(TEXTS)
    assert vectors.shape == (len(TEXTS), any_embedder.dimension)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3)
    question = any_embedder.embed_question("How do I restart it?")
    assert question.shape == (any_embedder.dimension,)
    assert question.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(question), 1, atol=1e-3)


def test_no_texts_give_no_vectors(any_embedder: Embedder) -> None:
    assert any_embedder.embed_passages([]).shape == (0, any_embedder.dimension)
    assert any_embedder.count_tokens([]) == []


def test_an_empty_text_and_an_empty_question_have_vectors(any_embedder: Embedder) -> None:
    assert np.isfinite(any_embedder.embed_passages(["", "  "])).all()
    assert np.isfinite(any_embedder.embed_question("")).all()


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(range(len(TEXTS))), repeated=st.integers(0, 12))
def test_a_vector_does_not_depend_on_its_batch(any_embedder: Embedder, order: list[int], repeated: int) -> None:
    alone = np.concatenate([any_embedder.embed_passages([text]) for text in TEXTS])
    indices = [*order, *[1] * repeated]
    together = any_embedder.embed_passages([TEXTS[index] for index in indices])
    assert (np.sum(together * alone[indices], axis=1)).min() > 0.9998


def test_tokens_are_those_of_the_text_and_its_overhead(any_embedder: Embedder) -> None:
    for text, count in zip(TEXTS, any_embedder.count_tokens(TEXTS), strict=True):
        offsets = any_embedder.token_offsets(text)
        assert count == any_embedder.overhead_tokens + len(offsets)
        assert offsets == sorted(offsets)
        covered = {place for start, end in offsets for place in range(start, end)}
        assert [
            character for place, character in enumerate(text) if place not in covered and not character.isspace()
        ] == []


def test_a_passage_of_exactly_the_limit_is_embedded_and_one_token_more_is_not(any_embedder: Embedder) -> None:
    def of_tokens(count: int) -> str:
        text = " ".join(["one"] * (count - any_embedder.overhead_tokens))
        assert any_embedder.count_tokens([text]) == [count]
        return text

    assert any_embedder.max_tokens == 512
    any_embedder.embed_passages([of_tokens(512)])
    with pytest.raises(TextTooLong) as caught:
        any_embedder.embed_passages(["short", of_tokens(513)])
    assert (caught.value.index, caught.value.tokens, caught.value.max_tokens) == (1, 513, 512)


def test_a_question_that_is_too_long_is_cut_at_its_end(any_embedder: Embedder) -> None:
    start = " ".join(["reset the remote control"] * 128)
    np.testing.assert_allclose(
        any_embedder.embed_question(start + " now"), any_embedder.embed_question(start + " then, please"), atol=1e-5
    )


def test_langchain_sees_the_same_vectors(any_embedder: Embedder) -> None:
    documents = any_embedder.embed_documents(TEXTS[:2])
    np.testing.assert_allclose(documents, any_embedder.embed_passages(TEXTS[:2]), atol=1e-3)
    assert isinstance(documents[0][0], float)
    np.testing.assert_allclose(any_embedder.embed_query("x"), any_embedder.embed_question("x"), atol=1e-3)


def test_many_threads_get_the_vectors_that_one_gets(any_embedder: Embedder) -> None:
    expected = [any_embedder.embed_question(text) for text in TEXTS]
    batch = any_embedder.embed_passages(TEXTS)

    def work(number: int) -> Any:
        if number % 8 == 0:
            return np.sum(any_embedder.embed_passages(TEXTS) * batch, axis=1).min()
        any_embedder.count_tokens(TEXTS)
        return any_embedder.embed_question(TEXTS[number % 5]) @ expected[number % 5]

    with ThreadPoolExecutor(8) as threads:
        assert min(threads.map(work, range(64))) > 0.9998


@given(lengths=st.lists(st.integers(1, 600), max_size=60), budget=st.integers(1, 2000))
def test_batches_hold_every_text_once_and_keep_the_budget(lengths: list[int], budget: int) -> None:
    batches = batches_by_length(lengths, budget)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        padded = len(batch) * max(lengths[index] for index in batch)
        assert padded <= budget or len(batch) == 1
