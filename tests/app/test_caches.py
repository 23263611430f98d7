"""The bounded store and the vectors of questions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.embeddings import Embeddings

from app.caches import LeastRecentlyUsed, RememberingEmbedder, size_of
from model_runtime.fakes import HashingEmbedder
from rag.retriever import QuestionEmbedder

_STEPS = st.lists(st.tuples(st.sampled_from(["put", "get"]), st.integers(0, 6), st.integers(0, 900)), max_size=60)


@given(_STEPS, st.integers(0, 4000))
def test_it_holds_what_was_used_last_and_never_more_than_its_size(
    steps: list[tuple[str, int, int]], capacity: int
) -> None:
    cache: LeastRecentlyUsed[int, bytes] = LeastRecentlyUsed(capacity)
    model: dict[int, bytes] = {}  # in order of use
    sizes: dict[int, int] = {}
    hits = misses = 0
    for step, key, length in steps:
        if step == "put":
            before = cache.counts().bytes - (sizes.get(key, 0) if key in model else 0)
            model.pop(key, None)
            cache.put(key, b"x" * length)
            if cache.holds(key):
                model[key] = b"x" * length
                sizes[key] = size_of(b"x" * length) + size_of(key) + 200
                while sum(sizes[each] for each in model) > capacity:
                    del model[next(iter(model))]
            else:
                assert size_of(b"x" * length) + 200 > capacity - size_of(key)
                assert cache.counts().bytes == before
        else:
            found = cache.get(key)
            assert found == model.get(key)
            if found is None:
                misses += 1
            else:
                hits += 1
                model[key] = model.pop(key)
        counts = cache.counts()
        assert counts.bytes == sum(sizes[each] for each in model) <= capacity
        assert (counts.entries, counts.hits, counts.misses) == (len(model), hits, misses)


def test_a_question_is_embedded_once_and_its_vector_cannot_be_changed() -> None:
    asked: list[str] = []

    class Counting(HashingEmbedder):
        def embed_question(self, text: str) -> np.ndarray:  # type: ignore[type-arg]
            asked.append(text)
            return super().embed_question(text)

    embedder = RememberingEmbedder(Counting(), LeastRecentlyUsed(10_000))
    assert isinstance(embedder, Embeddings)
    assert isinstance(embedder, QuestionEmbedder)
    first, second = embedder.embed_question("Kettle?"), embedder.embed_question("Kettle?")
    assert np.array_equal(first, HashingEmbedder().embed_question("Kettle?"))
    assert first is second
    with pytest.raises(ValueError, match="read-only"):
        first[0] = 1
    assert embedder.embed_query("Kettle?") == first.tolist()
    embedder.embed_question("kettle?")
    assert asked == ["Kettle?", "kettle?"]
    assert embedder.embed_documents(["a"]) == HashingEmbedder().embed_documents(["a"])


def test_another_embedders_vectors_are_never_given() -> None:
    cache: LeastRecentlyUsed = LeastRecentlyUsed(10_000)  # type: ignore[type-arg]

    class Other(HashingEmbedder):
        identity = "other@1"

    one, other = RememberingEmbedder(HashingEmbedder(8), cache), RememberingEmbedder(Other(16), cache)
    assert (len(one.embed_question("Kettle?")), len(other.embed_question("Kettle?"))) == (8, 16)
