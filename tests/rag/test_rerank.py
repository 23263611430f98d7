"""The second look within a search, with the fake model and with rerankers that show what they were asked."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from model_runtime.fakes import OverlapCrossEncoder
from rag.rerank import PairReranker, Reranker, text_of
from rag.retriever import HybridRetriever, RetrievalSettings
from rag.types import Hit, Vector
from tests.fakes.passage_store import MemoryPassageStore
from tests.rag.corpus import EMBEDDER, add, passage
from tests.rag.test_index import index_in

QUESTION = "how do I descale the pump"
STARTS = ("Descale the pump", "The pump", "How do I know", "Rinse", "Descale", "I do", "The lamp", "Switch off", "Wait")
TEXTS = [f"{start} part {number} of the machine." for number, start in enumerate(STARTS)]


class Given:
    """Scores by passage key, and what was asked."""

    def __init__(self, by_key: dict[int, float]) -> None:
        self._by_key = by_key
        self.asked: list[tuple[str, list[int]]] = []

    def scores(self, question: str, vector: Vector, hits: Sequence[Hit]) -> NDArray[np.float32]:
        assert np.allclose(vector, EMBEDDER.embed_question(question))
        self.asked.append((question, [hit.passage.key for hit in hits]))
        return np.array([self._by_key[hit.passage.key] for hit in hits], np.float32)


@pytest.fixture
def store() -> MemoryPassageStore:
    store = MemoryPassageStore()
    add(store, *(passage(number, text, title="Kettle") for number, text in enumerate(TEXTS, 1)))
    return store


def found(folder: Path, store: MemoryPassageStore, reranker: Reranker | None, **options: object) -> tuple[Hit, ...]:
    retriever = HybridRetriever(
        index=index_in(folder),
        store=store,
        embeddings=EMBEDDER,
        reranker=reranker,
        settings=RetrievalSettings(**{"top_k": len(TEXTS), "collapse": 2.0} | options),
    )
    return retriever.search(QUESTION).hits


def keys_of(hits: Sequence[Hit]) -> list[int]:
    return [hit.passage.key for hit in hits]


def test_the_order_is_that_of_the_model_asked_directly(tmp_path: Path, store: MemoryPassageStore) -> None:
    fused = found(tmp_path, store, None)
    model = OverlapCrossEncoder()
    hits = found(tmp_path, store, PairReranker(model))
    wanted = {hit.passage.key: float(model.scores(QUESTION, [text_of(hit)])[0]) for hit in fused}
    assert keys_of(hits) == sorted(keys_of(fused), key=lambda key: -wanted[key])
    assert keys_of(hits) != keys_of(fused)
    assert {hit.passage.key: hit.signals["reranker"] for hit in hits} == wanted
    assert text_of(hits[0]).startswith("Kettle\n")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    scores=st.lists(st.floats(-9, 9, width=32), min_size=len(TEXTS), max_size=len(TEXTS)),
    reranked=st.integers(1, len(TEXTS) + 2),
)
def test_only_the_first_change_places_and_the_scores_stay_on_their_scale(
    tmp_path: Path, store: MemoryPassageStore, scores: list[float], reranked: int
) -> None:
    fused = found(tmp_path, store, None)
    by_key = dict(enumerate(scores, 1))
    reranker = Given(by_key)
    hits = found(tmp_path, store, reranker, reranked=reranked)
    first, rest = keys_of(fused)[:reranked], keys_of(fused)[reranked:]
    assert reranker.asked == [(QUESTION, first)]
    assert keys_of(hits) == [*sorted(first, key=lambda key: -by_key[key]), *rest]
    assert [hit.score for hit in hits] == [hit.score for hit in fused]
    assert ["reranker" in hit.signals for hit in hits] == [True] * len(first) + [False] * len(rest)


def test_near_duplicates_are_collapsed_behind_the_one_that_the_reranker_prefers(tmp_path: Path) -> None:
    store = MemoryPassageStore()
    add(store, *(passage(key, text) for key, text in enumerate([TEXTS[0], TEXTS[0].upper(), TEXTS[6]], 1)))
    [first, other] = found(tmp_path, store, Given({1: 1.0, 2: 2.0, 3: 0.0}), collapse=0.9)
    assert first.passage.key == 2
    assert [place.external_id for place in first.also_at] == ["external-1"]
    assert other.passage.key == 3


def test_the_reranker_sees_no_passage_that_storage_has_lost(
    tmp_path: Path, store: MemoryPassageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    fused = keys_of(found(tmp_path, store, None))
    hydrate = store.hydrate
    lost = fused[1]
    monkeypatch.setattr(store, "hydrate", lambda keys: {k: p for k, p in hydrate(keys).items() if k != lost})
    reranker = Given(dict.fromkeys(fused, 0.0))
    hits = found(tmp_path, store, reranker)
    assert keys_of(hits) == [key for key in fused if key != lost]
    assert all(lost not in keys for _, keys in reranker.asked)


@pytest.mark.parametrize("scores", [[1.0], [float("nan")] * len(TEXTS)])
def test_scores_that_say_no_order_are_an_error(tmp_path: Path, store: MemoryPassageStore, scores: list[float]) -> None:
    class Broken:
        def scores(self, question: str, vector: Vector, hits: Sequence[Hit]) -> NDArray[np.float32]:
            return np.array(scores, np.float32)

    with pytest.raises(ValueError, match="finite scores"):
        found(tmp_path, store, Broken())


def test_a_reranker_over_nothing_finds_nothing(tmp_path: Path) -> None:
    assert found(tmp_path, MemoryPassageStore(), PairReranker(OverlapCrossEncoder())) == ()
