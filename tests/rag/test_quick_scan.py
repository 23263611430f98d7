"""The quick look: as good as the exact search, never short, and gone where it would not be."""

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from rag import snapshot
from rag.errors import IndexDamaged
from rag.quick_scan import WANTED_RECALL
from rag.snapshot import Content, Identity, load_current, publish
from rag.types import Vectors
from rag.vector_index import VectorIndex

ROWS, DIMENSION = 6000, 64


def vectors(rows: int = ROWS, seed: int = 0) -> Vectors:
    """Rows around a few hundred topics, normalised, float16."""
    random = np.random.default_rng(seed)
    topics = random.normal(size=(300, DIMENSION))
    made = topics[random.integers(0, 300, rows)] + 0.8 * random.normal(size=(rows, DIMENSION))
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float16)


def questions() -> NDArray[np.float32]:
    return vectors(40, seed=1).astype(np.float32)


@pytest.fixture(scope="module")
def exact() -> VectorIndex:
    return VectorIndex.of(vectors())


@pytest.fixture(scope="module")
def quick() -> VectorIndex:
    index = VectorIndex.of(vectors(), quick_from=ROWS)
    assert index.quick is not None
    return index


@pytest.mark.parametrize("admitted_share", [1.0, 0.6, 0.3, 0.01])
def test_finds_what_the_exact_search_finds(exact: VectorIndex, quick: VectorIndex, admitted_share: float) -> None:
    admitted = np.random.default_rng(2).random(ROWS) < admitted_share
    recalls = []
    for question in questions():
        truth, scores_of_truth = exact.search(question, 100, admitted)
        rows, scores = quick.search(question, 100, admitted)
        assert len(rows) == len(truth)
        assert admitted[rows].all()
        assert np.all(np.diff(scores) <= 0)
        assert np.allclose(scores, vectors()[rows].astype(np.float32) @ question, atol=1e-5)
        assert scores[0] == pytest.approx(scores_of_truth[0], abs=1e-5)
        recalls.append(np.isin(truth, rows).mean())
    assert np.mean(recalls) >= WANTED_RECALL


def test_few_admitted_rows_of_many_are_all_found(quick: VectorIndex) -> None:
    admitted = np.zeros(ROWS, np.bool_)
    admitted[[5, 77, 4000]] = True
    rows, _ = quick.search(questions()[0], 50, admitted)
    assert sorted(rows.tolist()) == [5, 77, 4000]
    assert len(quick.search(questions()[0], ROWS + 10)[0]) == ROWS


def test_vectors_that_a_bit_a_dimension_cannot_tell_apart_stay_exact() -> None:
    almost_one = np.tile(vectors(1), (3000, 1)).astype(np.float32)
    almost_one += np.random.default_rng(0).normal(size=almost_one.shape).astype(np.float32) * 1e-3
    almost_one[0] = -almost_one[0]  # codes are made from the distance to the middle: make it lie far from all
    index = VectorIndex.of(almost_one.astype(np.float16), quick_from=1)
    if index.quick is not None:
        assert index.quick.recall >= WANTED_RECALL
    truth = np.argsort(-(almost_one.astype(np.float16).astype(np.float32) @ almost_one[7]), kind="stable")[:20]
    assert np.isin(index.search(almost_one[7], 20)[0], truth).mean() >= 0.9


def content(rows: int) -> Content:
    keys = np.arange(1, rows + 1)
    return Content(keys, keys, np.arange(rows + 1), vectors(rows), np.empty(0, np.uint32), np.zeros(rows + 1, np.int64))


class _AlwaysQuick:
    """Stands for `VectorIndex` where a snapshot is written and read, as if it had a million rows."""

    read = VectorIndex.read

    def __init__(self, index: VectorIndex) -> None:
        self._index = index

    def of(self, _vectors: Vectors) -> VectorIndex:
        return self._index


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A published snapshot of an index with a quick look."""
    with_quick = VectorIndex.of(content(ROWS).vectors, quick_from=1)
    monkeypatch.setattr(snapshot, "VectorIndex", _AlwaysQuick(with_quick))
    publish(tmp_path, 1, Identity("test", DIMENSION, 1, 1), content(ROWS), "words-1")
    return tmp_path


def test_a_snapshot_keeps_it(folder: Path, quick: VectorIndex) -> None:
    opened = load_current(folder)
    assert opened is not None
    assert opened.index.quick is not None
    for question in questions():
        assert opened.index.search(question, 30)[0].tolist() == quick.search(question, 30)[0].tolist()


@pytest.mark.parametrize("name", ["quick.faiss", "quick.json"])
@pytest.mark.parametrize("damage", [b"", b"{}", b"nonsense" * 100, None])
def test_damage_is_noticed(folder: Path, name: str, damage: bytes | None) -> None:
    (file,) = folder.glob(f"*/{name}")
    if damage is None:
        file.unlink()
    else:
        file.write_bytes(damage)
    with pytest.raises(IndexDamaged, match="index rebuild"):
        load_current(folder)


def test_codes_of_another_index_are_refused(folder: Path, tmp_path: Path) -> None:
    other = VectorIndex.of(vectors(500), quick_from=1)
    other.write(tmp_path / "other.faiss", tmp_path / "other-quick.faiss")
    (own,) = folder.glob("*/vectors.faiss")
    if other.quick is None:
        pytest.fail("the small index has no quick look to be mistaken")
    with pytest.raises(IndexDamaged, match="another index"):
        VectorIndex.read(own, tmp_path / "other-quick.faiss")
    (tmp_path / "other-quick.json").write_text(json.dumps({"depth": 0, "recall": 1}))
    with pytest.raises(IndexDamaged, match="another kind"):
        VectorIndex.read(tmp_path / "other.faiss", tmp_path / "other-quick.faiss")
