"""Coverage against a reading of the words themselves, and the terms an index keeps against the analyser."""

import tempfile
import tracemalloc
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.analyzer import words
from rag.coverage import coverage
from rag.errors import IndexDamaged
from rag.index_view import Candidates
from rag.terms import GrowingTerms, PassageTerms, term_of, terms_of
from rag.types import IndexedPassage
from tests.fakes.passage_store import MemoryPassageStore
from tests.rag.corpus import EMBEDDER, add, passage
from tests.rag.test_index import index_in

word = st.sampled_from(["filter", "pump", "e42", "连接", "网络", "steam", "valve"])
window = st.lists(word, max_size=6)
passages = st.lists(st.lists(window, min_size=1, max_size=4), min_size=1, max_size=5)


@given(passages, st.lists(word, max_size=6), st.dictionaries(word, st.floats(0.1, 5), max_size=6))
@settings(max_examples=150, deadline=None)
def test_coverage_is_what_a_reader_would_count(
    texts: list[list[list[str]]], asked: list[str], weights: dict[str, float]
) -> None:
    rows = [row for rows in texts for row in rows]
    first_terms = np.cumsum([0, *(len(row) for row in rows)])
    first_rows = np.cumsum([0, *(len(rows) for rows in texts)])
    found = coverage(asked, weights, terms_of(word for row in rows for word in row), first_terms, first_rows)

    def share(kept: set[str]) -> float:
        return sum(weight for word, weight in weights.items() if word in kept) / (sum(weights.values()) or 1)

    pairs = {pair for pair in pairwise(asked) if pair[0] != pair[1] and set(pair) <= set(weights)}
    of_pair = {pair: min(weights[pair[0]], weights[pair[1]]) for pair in pairs}

    def pair_share(kept: set[tuple[str, str]]) -> float:
        return sum(of_pair[pair] for pair in pairs & kept) / (sum(of_pair.values()) or 1)

    row_number = 0
    for number, rows_of_passage in enumerate(texts):
        everything = {word for row in rows_of_passage for word in row}
        every_pair = {pair for row in rows_of_passage for pair in pairwise(row)}
        assert found.of_passages[number] == pytest.approx(share(everything), abs=1e-5)
        assert found.pairs_of_passages[number] == pytest.approx(pair_share(every_pair), abs=1e-5)
        for row in rows_of_passage:
            front = rows_of_passage[0]
            assert found.of_windows[row_number] == pytest.approx(share({*row, *front}), abs=1e-5)
            of_row = pair_share({*pairwise(row), *pairwise(front)})
            assert found.pairs_of_windows[row_number] == pytest.approx(of_row, abs=1e-5)
            row_number += 1


def test_memory_grows_like_the_question_and_not_like_its_square() -> None:
    def peak(count: int) -> int:
        asked = [f"word{number}" for number in range(count)]
        terms = terms_of(asked[:20])
        tracemalloc.start()
        coverage(asked, dict.fromkeys(asked, 1.0), terms, np.array([0, 20]), np.array([0, 1]))
        try:
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(4000) < 8 * peak(1000)


FIRST, SECOND = "Rinse the filter under water.", "换滤芯前先断电。Error E-42 means a leak."


def terms_by_row(candidates: Candidates) -> list[list[int]]:
    starts = candidates.term_starts
    return [candidates.terms[start:end].tolist() for start, end in pairwise(starts.tolist())]


@pytest.mark.parametrize("in_snapshot", [True, False])
def test_each_row_has_the_words_of_its_window(tmp_path: Path, in_snapshot: bool) -> None:
    store = MemoryPassageStore()
    text = f"{FIRST} {SECOND}"
    add(store, passage(1, "pump", title="Pumps", windows=[]))
    add(store, passage(2, text, title="Care", windows=[(0, len(FIRST)), (len(FIRST) + 1, len(text))]))
    index = index_in(tmp_path)
    if in_snapshot:
        index.write_snapshot(store)
    view = index.refresh(store)
    candidates = view.search(EMBEDDER.embed_question("filter"), {"filter": 1.0}, 10)
    expected = ["Pumps pump", "Care", FIRST, SECOND]
    assert terms_by_row(candidates) == [[term_of(word) for word in words(row)] for row in expected]


def test_snapshots_keep_terms_through_removals_and_later_additions(tmp_path: Path) -> None:
    store = MemoryPassageStore()
    index = index_in(tmp_path)
    for key in (5, 2, 9):
        add(store, passage(key, f"filter number{key} steam"))
        index.write_snapshot(store)
    store.remove([5])
    add(store, passage(4, "valve"))
    index.write_snapshot(store)
    candidates = index.refresh(store).search(EMBEDDER.embed_question("filter"), {"filter": 1.0}, 10)
    assert candidates.keys.tolist() == [2, 4, 9]
    texts = ["filter number2 steam", "valve", "filter number9 steam"]
    assert terms_by_row(candidates)[1::2] == [[term_of(word) for word in words(text)] for text in texts]


def test_a_serial_number_that_is_longer_than_a_window_stays_one_word() -> None:
    serial = "ABCD" * 12
    found = PassageTerms.of(indexed(f"Title\nSerial {serial} is rare", rows=3, starts=(6, 30)))
    assert found.words == words(f"Title Serial {serial} is rare")
    assert found.counts.tolist() == [1, 2, 1]


def test_windows_that_do_not_fit_the_vectors_are_damage() -> None:
    with pytest.raises(IndexDamaged, match="passage 1 has 2 windows' vectors and 1 windows"):
        PassageTerms.of(indexed("Title\ntext", rows=3, starts=(6,)))
    assert PassageTerms.of(indexed("Title\ntext", rows=3)).counts.tolist() == [2, 0, 0]


def indexed(text: str, rows: int, starts: tuple[int, ...] = ()) -> IndexedPassage:
    return IndexedPassage(1, 1, text, np.zeros((rows, 4), np.float16), starts)


@given(st.lists(st.lists(st.lists(st.integers(0, 2**32 - 1), max_size=40), min_size=1, max_size=5), max_size=40))
@settings(max_examples=50, deadline=None)
def test_what_a_reader_holds_stays_as_it_is_while_terms_grow(added: list[list[list[int]]]) -> None:
    growing, rows = GrowingTerms(), 0
    held = [growing.first(0)]
    for passage_rows in added:
        flat = [term for row in passage_rows for term in row]
        growing.add(np.array(flat, np.uint32), np.array([len(row) for row in passage_rows]))
        rows += len(passage_rows)
        held.append(growing.first(rows))
    every = [row for passage_rows in added for row in passage_rows]
    for terms, starts in held:
        assert [terms[start:end].tolist() for start, end in pairwise(starts.tolist())] == every[: len(starts) - 1]


def test_a_snapshot_of_an_earlier_format_says_what_to_do() -> None:
    store = MemoryPassageStore()
    add(store, passage(1, "filter"))
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        index_in(Path(folder)).write_snapshot(store)
        [manifest] = Path(folder).glob("0*/manifest.json")
        manifest.write_text(manifest.read_text().replace('"format": 3', '"format": 2'))
        with pytest.raises(IndexDamaged, match="index rebuild"):
            index_in(Path(folder)).refresh(store)
        index_in(Path(folder)).write_snapshot(store)
        assert index_in(Path(folder)).refresh(store).passages == 1
