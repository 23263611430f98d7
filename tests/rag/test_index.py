"""The index against brute force, and against itself rebuilt."""

import math
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.analyzer import words
from rag.errors import IndexDamaged
from rag.index import KnowledgeBaseIndex
from rag.index_view import Candidates, IndexView
from tests.fakes.passage_store import MemoryPassageStore
from tests.rag.corpus import EMBEDDER, add, passage, vectors_of

VOCABULARY = ["filter", "pump", "water", "valve", "leak", "steam", "battery", "E-42", "reset", "连接", "网络"]


def index_in(folder: Path) -> KnowledgeBaseIndex:
    return KnowledgeBaseIndex(folder, embedder=EMBEDDER.identity, dimension=EMBEDDER.dimension, chunker=1)


def found(view: IndexView, question: str, wanted: int = 50, documents: list[int] | None = None) -> Candidates:
    admitted = None if documents is None else np.array(documents, np.int64)
    weights = {word: float(count) for word, count in Counter(words(question)).items()}
    return view.search(EMBEDDER.embed_question(question), weights, wanted, admitted)


def brute_force_words(store: MemoryPassageStore, question: str) -> dict[int, float]:
    texts = {key: words(entry.words) for key, entry in store.indexed.items()}
    mean = sum(map(len, texts.values())) / len(texts)
    scores = {}
    for key, text in texts.items():
        score = 0.0
        for word, weight in Counter(words(question)).items():
            containing = sum(word in other for other in texts.values())
            idf = math.log(1 + (len(texts) - containing + 0.5) / (containing + 0.5))
            frequency = text.count(word)
            score += weight * idf * frequency * 2.2 / (frequency + 1.2 * (0.25 + 0.75 * len(text) / mean))
        scores[key] = score
    return scores


def best_cosines(candidates: Candidates) -> list[float]:
    return sorted(np.maximum(candidates.windows, candidates.whole).tolist(), reverse=True)


def cosines_by_key(candidates: Candidates) -> dict[int, float]:
    best = np.maximum(candidates.windows, candidates.whole)
    return dict(zip(candidates.keys.tolist(), best.tolist(), strict=True))


# Tantivy's threads may still write into a folder while it goes.
texts = st.lists(st.sampled_from(VOCABULARY), min_size=1, max_size=12).map(" ".join)


@given(st.lists(texts, min_size=1, max_size=30), texts, st.booleans())
@settings(max_examples=40, deadline=None)
def test_every_score_is_the_brute_force_score(contents: list[str], question: str, in_snapshot: bool) -> None:
    store = MemoryPassageStore(batch=7)
    for key, text in enumerate(contents):
        half = text.index(" ") if " " in text else len(text)
        add(store, passage(key, text, windows=[(0, half), (half, len(text))] if half < len(text) else []))
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        index = index_in(Path(folder))
        if in_snapshot:
            index.write_snapshot(store)
        view = index.refresh(store)
        assert (view.tail_passages == 0) is in_snapshot
        candidates = found(view, question)
        assert candidates.keys.tolist() == sorted(store.passages)
        vector = EMBEDDER.embed_question(question)
        bm25 = brute_force_words(store, question)
        for number, key in enumerate(candidates.keys.tolist()):
            cosines = vectors_of(store.passages[key]).astype(np.float32) @ vector
            assert candidates.whole[number] == pytest.approx(cosines[0], abs=1e-5)
            assert candidates.windows[number] == pytest.approx(max(cosines[1:], default=cosines[0]), abs=1e-5)
            assert candidates.window_scores(number) == pytest.approx(cosines[1:], abs=1e-5)
            assert candidates.words[number] == pytest.approx(bm25[key], rel=1e-5)


steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.lists(texts, min_size=1, max_size=4)),
        st.tuples(st.just("remove"), st.integers(0, 10**6)),
        st.tuples(st.just("again"), st.integers(0, 10**6)),  # the key of a removed passage with another text
        st.tuples(st.just("refresh"), st.none()),
        st.tuples(st.just("snapshot"), st.none()),
    ),
    max_size=25,
)


@given(steps, texts, st.integers(1, 8))
@settings(max_examples=60, deadline=None)
def test_any_history_answers_like_a_fresh_index(history: list[tuple[str, object]], question: str, wanted: int) -> None:
    store = MemoryPassageStore(batch=3)
    removed: list[int] = []
    following = 1
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as fresh_folder,
    ):
        reader, writer = index_in(Path(folder)), index_in(Path(folder))
        for step, argument in history:
            if step == "add":
                assert isinstance(argument, list)
                add(store, *(passage(following + number, text) for number, text in enumerate(argument)))
                following += len(argument)
            elif step == "remove" and store.passages:
                assert isinstance(argument, int)
                key = sorted(store.passages)[argument % len(store.passages)]
                store.remove([key])
                removed.append(key)
            elif step == "again" and removed:
                assert isinstance(argument, int)
                add(store, passage(removed.pop(argument % len(removed)), f"steam battery {argument % 3}"))
            elif step == "refresh":
                reader.refresh(store)
            elif step == "snapshot":
                assert writer.write_snapshot(store) == store.change_number
        fresh = index_in(Path(fresh_folder))
        fresh.rebuild(store)
        expected = found(fresh.refresh(store), question, wanted)
        actual = found(reader.refresh(store), question, wanted)

        assert set(actual.keys) <= set(store.passages)
        # Scores, not keys: passages with the same text are as good as each other.
        assert best_cosines(actual)[:wanted] == pytest.approx(best_cosines(expected)[:wanted], abs=1e-5)
        # Removed passages may still count in the word statistics; which passages match never depends on it.
        everything = found(reader.refresh(store), question, 1000)
        reference = found(fresh.refresh(store), question, 1000)
        assert set(everything.keys[everything.words > 0]) == set(reference.keys[reference.words > 0])
        assert cosines_by_key(everything) == pytest.approx(cosines_by_key(reference), abs=1e-5)
        report = reader.check(store)
        assert report.sound, report
        assert report.passages == len(store.passages)


def test_words_of_snapshot_and_tail_are_comparable(tmp_path: Path) -> None:
    """The same text scores the same on both sides, with the frequencies of both together."""
    store = MemoryPassageStore()
    add(store, *(passage(key, f"pump water {VOCABULARY[key % 5]}") for key in range(1, 11)))
    index = index_in(tmp_path)
    index.write_snapshot(store)
    add(store, *(passage(key, f"pump water {VOCABULARY[(key - 10) % 5]}") for key in range(11, 21)))
    candidates = found(index.refresh(store), "valve leak pump")
    scores = dict(zip(candidates.keys.tolist(), candidates.words.tolist(), strict=True))
    assert [scores[key] for key in range(1, 11)] == pytest.approx([scores[key + 10] for key in range(1, 11)], rel=1e-5)
    assert scores == pytest.approx(brute_force_words(store, "valve leak pump"), rel=1e-5)


@pytest.mark.parametrize("documents", [[2], [1, 3], [], list(range(3, 2000))])
@pytest.mark.parametrize("snapshot", [True, False])
def test_a_filter_narrows_before_the_best_are_taken(tmp_path: Path, documents: list[int], snapshot: bool) -> None:
    store = MemoryPassageStore()
    add(store, *(passage(key, "pump " * (1 + key % 7) + "water", document=key % 5) for key in range(100)))
    index = index_in(tmp_path)
    if snapshot:
        index.write_snapshot(store)
    store.remove(range(0, 100, 2))
    candidates = found(index.refresh(store), "pump", 10, documents)
    admitted = {key for key, one in store.passages.items() if one.document_key in documents}
    assert set(candidates.keys) <= admitted
    assert len(candidates.keys) >= min(10, len(admitted))


def test_removed_passages_do_not_take_the_place_of_others(tmp_path: Path) -> None:
    store = MemoryPassageStore()
    add(
        store,
        *(passage(key, "pump") for key in range(1, 301)),
        *(passage(key, "pump valve") for key in range(301, 311)),
    )
    index = index_in(tmp_path)
    index.write_snapshot(store)
    store.remove(range(1, 301))
    candidates = found(index.refresh(store), "pump", 10)
    assert candidates.keys.tolist() == list(range(301, 311))
    assert (candidates.words > 0).all()


def test_refreshing_costs_one_look_at_the_change_number(tmp_path: Path) -> None:
    store = MemoryPassageStore()
    add(store, passage(1, "pump"))
    index = index_in(tmp_path)
    index.write_snapshot(store)
    first = index.refresh(store)
    store.calls.clear()
    assert index.refresh(store) is first
    assert store.calls == {"change": 1}


def test_a_reader_moves_to_a_newer_snapshot(tmp_path: Path) -> None:
    store = MemoryPassageStore()
    reader, writer = index_in(tmp_path), index_in(tmp_path)
    assert reader.refresh(store).passages == 0
    for key in range(1, 6):
        add(store, passage(key, "pump"))
        assert reader.refresh(store).tail_passages == 1
        writer.write_snapshot(store)
        view = reader.refresh(store)
        assert (view.tail_passages, view.passages) == (0, key)


def test_a_failed_refresh_leaves_nothing_behind(tmp_path: Path) -> None:
    class Failing(MemoryPassageStore):
        fails = True

        def changes_since(self, change: int):  # type: ignore[no-untyped-def]
            for batch in super().changes_since(change):
                yield batch
                if self.fails:
                    raise ConnectionError("database gone")

    store = Failing()
    index = index_in(tmp_path)
    index.refresh(store)
    add(store, passage(1, "pump"))
    with pytest.raises(ConnectionError):
        index.refresh(store)
    store.fails = False
    assert index.refresh(store).keys().tolist() == [1]


def test_vectors_of_another_length_are_refused(tmp_path: Path) -> None:
    store = MemoryPassageStore()
    store.add([passage(1, "pump")], [np.ones((2, 5), np.float16)])
    for call in (index_in(tmp_path).refresh, index_in(tmp_path).write_snapshot):
        with pytest.raises(IndexDamaged, match="passage 1 has vectors of shape"):
            call(store)
