from pathlib import Path

import numpy as np
import pytest

from rag.fusion import SIGNALS, Signals, learned_scores, learned_weights, signals_of
from rag.index_view import Candidates
from rag.retriever import HybridRetriever, RetrievalSettings
from rag.spelling import corrected
from rag.terms import terms_of
from tests.fakes.passage_store import MemoryPassageStore
from tests.rag.corpus import EMBEDDER, add, passage
from tests.rag.test_index import index_in


def candidates_of(cosines: list[list[float]], texts: list[list[list[str]]], weights: dict[str, float]) -> Candidates:
    """Of each passage the cosines and the words of its rows, the whole first."""
    rows = [row for rows in texts for row in rows]
    counts = [len(rows) for rows in texts]
    return Candidates(
        keys=np.arange(len(cosines)),
        windows=np.array([max(each[1:] or each) for each in cosines], np.float32),
        whole=np.array([each[0] for each in cosines], np.float32),
        words=np.zeros(len(cosines), np.float32),
        rows=np.zeros((len(rows), 2), np.float32),
        row_scores=np.array([cosine for each in cosines for cosine in each], np.float32),
        row_starts=np.cumsum([0, *counts]),
        terms=terms_of(word for row in rows for word in row),
        term_starts=np.cumsum([0, *(len(row) for row in rows)]),
        row_middles=np.zeros(len(rows), np.float32),
        word_weights=weights,
    )


def column(signals: Signals, name: str) -> list[float]:
    return [round(float(value), 4) for value in signals.of_windows[:, SIGNALS.index(name)]]


def test_signals_are_those_of_windows_and_of_the_whole_where_there_are_none() -> None:
    texts = [[["care"], ["rinse", "filter"], ["dry"]], [["pump", "filter"]]]
    candidates = candidates_of([[0.5, 0.9, 0.7], [0.7]], texts, {"rinse": 1.0, "filter": 1.0, "care": 2.0})
    signals = signals_of(candidates, ["rinse", "filter", "care"])
    assert signals.first_windows.tolist() == [0, 2]
    assert column(signals, "window") == pytest.approx([1, -1, -1], abs=1e-3)  # mean .8, deviation .1
    assert column(signals, "words") == [1.0, 0.5, 0.25]
    assert column(signals, "words_of_passage") == [1.0, 1.0, 0.25]
    assert column(signals, "pairs") == [0.5, 0.0, 0.0]
    assert column(signals, "whole_if_foreign") == [0, 0, 0]  # a passage has every word: not foreign
    assert signals.words_of_passages.tolist() == [1.0, 0.25]


def test_a_question_in_another_language_is_left_to_the_vectors() -> None:
    texts = [[[], ["rinse"]], [[], ["pump"]]]
    signals = signals_of(candidates_of([[0.9, 0.8], [0.5, 0.7]], texts, {"清洗": 3.0, "滤芯": 3.0}), ["清洗", "滤芯"])
    assert column(signals, "words") == [0, 0]
    assert column(signals, "whole_if_foreign") == pytest.approx([3.0, -5.0], abs=1e-2)
    first, second = learned_scores(signals)
    assert first > second


def test_nothing_to_tell_apart_is_no_score_and_no_error() -> None:
    same = signals_of(candidates_of([[0.5, 0.5]] * 3, [[[], []]] * 3, {}), [])
    assert learned_scores(same).tolist() == [0, 0, 0]
    assert learned_scores(signals_of(candidates_of([], [], {}), ["filter"])).tolist() == []


def test_the_weights_file_has_every_signal_and_prefers_what_answers() -> None:
    weights = learned_weights()
    assert tuple(weights) == SIGNALS
    assert min(weights[name] for name in SIGNALS if name != "middle_if_foreign") >= 0
    assert weights["window"] == pytest.approx(0.65)  # the scale of the plain mix, which thresholds rest on


def test_words_in_one_window_count_more_than_scattered_ones(tmp_path: Path) -> None:
    store = MemoryPassageStore()
    together = "Rinse the filter weekly. Store the charger dry."
    apart = "Rinse the charger weekly. Store the filter dry."
    add(store, passage(1, apart, windows=[(0, 25), (26, 47)]), passage(2, together, windows=[(0, 24), (25, 47)]))
    add(store, *(passage(key, f"Something else entirely, number {key}.") for key in range(3, 12)))
    keep_all = RetrievalSettings(collapse=2)
    learned = HybridRetriever(index=index_in(tmp_path), store=store, embeddings=EMBEDDER, settings=keep_all)
    assert learned.search("rinse filter").hits[0].passage.key == 2
    words_only = learned.model_copy(update={"settings": RetrievalSettings(dense_weight=0.0, collapse=2)})
    first, second = words_only.search("rinse filter").hits[:2]
    assert first.score == pytest.approx(second.score)  # the plain mix cannot tell


def test_a_mistyped_word_finds_what_was_meant(tmp_path: Path) -> None:
    store = MemoryPassageStore()
    add(store, passage(1, "Descale the boiler with vinegar."), passage(2, "Rinse the sieve."))
    retriever = HybridRetriever(index=index_in(tmp_path), store=store, embeddings=EMBEDDER)
    hit = retriever.search("descale boilr vinegra").hits[0]
    assert (hit.passage.key, hit.signals["coverage"]) == (1, 1.0)
    assert hit.signals["lexical"] > 0


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        *(("filtr", "filter"), ("fitler", "filter"), ("fillter", "filter"), ("fikter", "filter"), ("pumps", "pump")),
        *(("filter", None), ("ilter", None), ("flt", None), ("e43", None), ("滤心", None), ("zebra", None)),
    ],
)
def test_only_unknown_western_words_are_corrected_and_by_one_letter(typed: str, meant: str | None) -> None:
    held = {"filter": 3, "filler": 1, "pump": 2, "pumpt": 1, "e42": 1, "滤芯": 4}
    assert corrected(typed, lambda word: held.get(word, 0)) == meant
