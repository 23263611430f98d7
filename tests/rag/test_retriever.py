from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from langchain_core.embeddings import Embeddings
from langchain_core.retrievers import BaseRetriever
from langchain_tests.integration_tests import RetrieversIntegrationTests

from rag.errors import UnknownFilter
from rag.retriever import HybridRetriever, RetrievalSettings
from rag.types import Passage, Turn
from tests.fakes.passage_store import MemoryPassageStore
from tests.rag.corpus import EMBEDDER, add, passage
from tests.rag.test_index import index_in

CARE = (
    "Rinse the filter under running water once a month and let it dry for a day before you put it back. "
    "Never use soap or a dishwasher, and never run the machine while the filter is out of its place."
)
CARE_AGAIN = CARE.replace("month and", "MONTH\nand").replace("dishwasher,", "dishwasher").replace("place.", "place!")
DESCALE = "Descale the pump with citric acid when the lamp blinks."
CODES = [
    f"Error E-{number}: switch the machine off, wait a minute, switch it on and call the service if it stays."
    for number in (41, 42, 43)
]


def retriever_over(folder: Path, store: MemoryPassageStore, **options: object) -> HybridRetriever:
    return HybridRetriever(index=index_in(folder), store=store, embeddings=EMBEDDER, **options)


@pytest.fixture
def store() -> MemoryPassageStore:
    store = MemoryPassageStore()
    add(
        store,
        passage(1, CARE, facets={"product": "A"}, page=7),
        passage(2, CARE_AGAIN, facets={"product": "B"}, page=9),
        passage(3, DESCALE, facets={"product": "B"}),
        *(passage(4 + number, text, document=4, facets={"product": "C"}) for number, text in enumerate(CODES)),
    )
    return store


@pytest.mark.anyio
class TestStandard(RetrieversIntegrationTests):
    anyio_backend = pytest.fixture(lambda self: "asyncio")

    @pytest.fixture(autouse=True)
    def _place(self, tmp_path: Path, store: MemoryPassageStore) -> None:
        self._folder, self._store = tmp_path, store

    @property
    def retriever_constructor(self) -> type[BaseRetriever]:
        return HybridRetriever

    @property
    def retriever_constructor_params(self) -> dict[str, object]:
        return {"index": index_in(self._folder), "store": self._store, "embeddings": EMBEDDER}

    @property
    def num_results_arg_name(self) -> str:
        return "top_k"

    @property
    def retriever_query_example(self) -> str:
        return "how do I clean the filter"


def test_a_hit_carries_what_an_answer_needs(tmp_path: Path, store: MemoryPassageStore) -> None:
    timings: dict[str, float] = {}
    result = retriever_over(tmp_path, store).search("rinse filter water", top_k=2, timings=timings)
    first = result.hits[0]
    assert first.passage in (store.passages[1], store.passages[2])
    assert {first.passage.external_id, *(place.external_id for place in first.also_at)} == {"external-1", "external-2"}
    assert set(first.signals) == {"dense", "whole", "lexical", "coverage"}
    assert first.score > result.hits[1].score
    [score] = first.window_scores
    assert score == pytest.approx(first.signals["dense"])
    assert set(timings) == {"refresh", "embedding", "vector_search", "word_search", "fusion", "passages"}
    assert result.searched_for == "rinse filter water"
    assert result.question_vector is not None
    assert result.question_vector.text == "rinse filter water"
    assert np.allclose(result.question_vector.vector, EMBEDDER.embed_question("rinse filter water"))


def test_only_the_question_is_embedded_and_only_once(tmp_path: Path, store: MemoryPassageStore) -> None:
    class Counting(Embeddings):
        asked: list[str] = []  # noqa: RUF012

        def embed_query(self, text: str) -> list[float]:
            self.asked.append(text)
            return EMBEDDER.embed_query(text)

        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            raise AssertionError("passages are embedded at ingestion")

    retriever = HybridRetriever(index=index_in(tmp_path), store=store, embeddings=Counting())
    assert retriever.search("descale pump").hits[0].passage.key == 3
    assert Counting.asked == ["descale pump"]


def test_pages_that_differ_in_a_number_are_not_duplicates(tmp_path: Path, store: MemoryPassageStore) -> None:
    hits = retriever_over(tmp_path, store).search("what does error E-42 mean", top_k=6).hits
    assert hits[0].passage.text == CODES[1]
    assert [hit.also_at for hit in hits if hit.passage.document_key == 4] == [(), (), ()]
    apart = retriever_over(tmp_path, store, settings=RetrievalSettings(collapse=2)).search("rinse the filter", top_k=6)
    assert len(apart.hits) == 6


def test_filters_and_top_k(tmp_path: Path, store: MemoryPassageStore) -> None:
    retriever = retriever_over(tmp_path, store)
    keys = [hit.passage.key for hit in retriever.search("rinse the filter", top_k=10, filter={"product": "B"}).hits]
    assert sorted(keys) == [2, 3]
    assert retriever.search("rinse", filter={"product": "nothing"}).hits == ()
    assert len(retriever.search("rinse").hits) == RetrievalSettings().top_k
    with pytest.raises(UnknownFilter):
        retriever.search("rinse", filter={"colour": "red"})


def test_a_passage_deleted_behind_the_index_is_not_returned_and_does_not_shorten_the_list(
    tmp_path: Path, store: MemoryPassageStore
) -> None:
    retriever = retriever_over(tmp_path, store)
    add(store, *(passage(key, f"Rinse the filter, part {key}") for key in range(10, 40)))
    retriever.search("rinse the filter")
    for key in range(10, 37):  # after the index looked, before passages are read
        del store.passages[key]
    keys = [hit.passage.key for hit in retriever.search("rinse the filter", top_k=8).hits]
    assert len(keys) == 8
    assert not set(keys) & set(range(10, 37))


def test_a_document_replaced_behind_the_index_is_found_all_the_same(
    tmp_path: Path, store: MemoryPassageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its old passages are found by the index and gone from storage; its new ones are in storage alone."""
    retriever = retriever_over(tmp_path, store)
    hydrate = store.hydrate

    def replace_before(keys: Sequence[int]) -> dict[int, Passage]:
        monkeypatch.setattr(store, "hydrate", hydrate)
        store.remove([3])
        add(store, passage(30, DESCALE.replace("citric acid", "vinegar"), document=3))
        return hydrate(keys)

    monkeypatch.setattr(store, "hydrate", replace_before)
    assert "vinegar" in retriever.search("descale the pump").hits[0].passage.text


def test_a_follow_up_is_searched_with_what_it_follows(tmp_path: Path, store: MemoryPassageStore) -> None:
    retriever = retriever_over(tmp_path, store)
    history = [Turn("customer", "How do I descale the pump?"), Turn("assistant", "With citric acid.")]
    result = retriever.search("and how long does that take?", history=history)
    assert result.hits[0].passage.key == 3
    assert result.searched_for == "How do I descale the pump? and how long does that take?"
    alone = retriever.search("Rinse the filter under water?", history=history)
    assert alone.searched_for == "Rinse the filter under water?"


@pytest.mark.parametrize("question", ["", "   ", "?!", "\x00", "😀" * 5000, "the the the", "E-42 " * 3000, "\ud800"])
def test_any_question_is_answered(tmp_path: Path, store: MemoryPassageStore, question: str) -> None:
    if question == "\ud800":
        with pytest.raises(UnicodeEncodeError):
            retriever_over(tmp_path, store).search(question)
        return
    assert len(retriever_over(tmp_path, store).search(question).hits) == 3


def test_an_empty_knowledge_base_has_no_hits(tmp_path: Path) -> None:
    store = MemoryPassageStore()
    index_in(tmp_path).write_snapshot(store)
    assert retriever_over(tmp_path, store).search("anything").hits == ()


@pytest.mark.parametrize("options", [{"dense_weight": 1.1}, {"whole_weight": -0.1}, {"top_k": 0}, {"candidates": 0}])
def test_settings_out_of_bounds_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"top_k and candidates|shares"):
        RetrievalSettings(**options)  # type: ignore[arg-type]
