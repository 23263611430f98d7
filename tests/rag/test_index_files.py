"""The files of an index: crashes, damage, several processes."""

import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from rag.errors import IndexBusy, IndexDamaged
from rag.index import KnowledgeBaseIndex
from tests.fakes.passage_store import MemoryPassageStore
from tests.rag.corpus import EMBEDDER, add, passage
from tests.rag.test_index import found, index_in

ROOT = Path(__file__).parents[2]

PREAMBLE = """
    import os, sys, time
    from pathlib import Path
    import rag.index, rag.snapshot
    from tests.fakes.passage_store import MemoryPassageStore
    from tests.rag.corpus import add, passage
    from tests.rag.test_index import found, index_in
    folder = Path(sys.argv[1])
    store = MemoryPassageStore()
    add(store, *(passage(key, "pump water") for key in range(1, 21)))
"""


def run(program: str, folder: Path) -> subprocess.Popen[str]:
    source = textwrap.dedent(PREAMBLE) + textwrap.dedent(program)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-c", source, str(folder)],
        env=environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def published(folder: Path) -> tuple[MemoryPassageStore, KnowledgeBaseIndex]:
    store = MemoryPassageStore()
    add(store, *(passage(key, "pump water") for key in range(1, 21)))
    index = index_in(folder)
    index.write_snapshot(store)
    return store, index


@pytest.mark.parametrize(
    "place",
    [
        "rag.index._merged",  # words committed, vectors not written
        "rag.snapshot._sync",  # files half written
        "rag.snapshot._point_to",  # snapshot in place, not yet pointed to
        "rag.index.remove_unused",  # pointed to, the old ones not yet removed
    ],
)
def test_a_writer_killed_anywhere_leaves_an_index_that_answers(tmp_path: Path, place: str) -> None:
    module, function = place.rsplit(".", 1)
    process = run(
        f"""
        index = index_in(folder)
        index.write_snapshot(store)
        store.remove([1, 2])
        add(store, passage(21, "valve"))
        def die(*arguments, **options):
            os.kill(os.getpid(), 9)
        {module}.{function} = die
        index.write_snapshot(store)
        """,
        tmp_path,
    )
    assert process.wait(60) == -signal.SIGKILL, process.communicate()

    store = MemoryPassageStore()
    add(store, *(passage(key, "pump water") for key in range(1, 21)))
    store.remove([1, 2])
    add(store, passage(21, "valve"))
    reader = index_in(tmp_path)
    assert reader.check(store).sound
    assert found(reader.refresh(store), "pump valve").keys.tolist() == list(range(3, 22))
    # The next writer goes on from there, and clears away what the dead one left.
    index_in(tmp_path).write_snapshot(store)
    assert reader.refresh(store).tail_passages == 0
    assert reader.check(store).sound
    assert not list(tmp_path.glob(".writing-*"))


def test_readers_in_other_processes_never_fail_while_one_writes(tmp_path: Path) -> None:
    store, writer = published(tmp_path)
    readers = [
        run(
            """
            index = index_in(folder)
            names = set()
            print("reading", flush=True)
            until = time.monotonic() + 4
            while time.monotonic() < until:
                store.change_number = 10**6  # what is on disk is never ahead of it
                view = index.refresh(store)
                names.add(view.snapshot.name)
                candidates = found(view, "pump", 10)
                assert len(candidates.keys) >= 10 and (candidates.words > 0).sum() >= 10, candidates
            assert len(names) > 2, names
            """,
            tmp_path,
        )
        for _ in range(2)
    ]
    for reader in readers:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "reading\n"
    key = 100
    while any(reader.poll() is None for reader in readers):
        add(store, *(passage(key + number, "pump water valve") for number in range(3)))
        store.remove([key])
        key += 3
        writer.write_snapshot(store)
    for reader in readers:
        assert reader.wait(30) == 0, reader.communicate()
    assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == 3  # two snapshots, one word index


def test_many_threads_read_while_documents_come_and_go(tmp_path: Path) -> None:
    store, index = published(tmp_path)
    lasting = set(range(1, 21))
    problems: list[BaseException] = []
    stop = threading.Event()

    def read() -> None:
        try:
            while not stop.is_set():
                assert lasting <= set(found(index.refresh(store), "pump", 200).keys.tolist())
        except BaseException as error:
            problems.append(error)
            raise

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    random.seed(1)
    for key in range(100, 160):
        add(store, passage(key, "valve leak"))
        if key % 3 == 0:
            store.remove([key])
        if key % 10 == 0:
            index_in(tmp_path).write_snapshot(store)
    stop.set()
    for thread in threads:
        thread.join(30)
    assert problems == []
    assert index.check(store).sound


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


CHECKED = ["vectors.faiss", "keys.npy", "documents.npy", "first_rows.npy", "terms.npy", "first_terms.npy"]


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        *((file, damage) for file in CHECKED for damage in (_cut, _flip, _empty, Path.unlink)),
        *((file, damage) for file in ("manifest.json", "meta.json", "*.term") for damage in (_empty, Path.unlink)),
        *(("CURRENT", damage) for damage in (_cut, _flip, _empty)),
    ],
)
def test_damage_is_named_and_a_rebuild_mends_it(tmp_path: Path, file: str, damage: Callable[[Path], None]) -> None:
    store, _ = published(tmp_path)
    path = next(tmp_path.rglob(file))
    damage(path)
    with pytest.raises(IndexDamaged, match="answerdesk index rebuild"):
        index_in(tmp_path).refresh(store)
    add(store, passage(99, "valve"))
    with pytest.raises(IndexDamaged, match="answerdesk index rebuild"):
        index_in(tmp_path).write_snapshot(store)
    index = index_in(tmp_path)
    index.rebuild(store)
    assert index.check(store).sound


def test_a_snapshot_of_another_embedder_is_refused_by_readers_and_replaced_by_the_writer(tmp_path: Path) -> None:
    store, _ = published(tmp_path)
    other = KnowledgeBaseIndex(tmp_path, embedder="another", dimension=EMBEDDER.dimension, chunker=1)
    with pytest.raises(IndexDamaged, match="another"):
        other.refresh(store)
    other.write_snapshot(store)
    assert other.check(store).sound


def test_a_database_set_back_is_noticed(tmp_path: Path) -> None:
    published(tmp_path)
    with pytest.raises(IndexDamaged, match="set back"):
        index_in(tmp_path).refresh(MemoryPassageStore())
    with pytest.raises(IndexDamaged, match="set back"):
        index_in(tmp_path).write_snapshot(MemoryPassageStore())


def test_what_only_one_side_has_is_reported(tmp_path: Path) -> None:
    store, index = published(tmp_path)
    # Storage changed without a change number, as a hand in the database would.
    del store.passages[3], store.indexed[3]
    store.passages[77] = passage(77, "valve")
    report = index.check(store)
    assert (report.orphan_vectors, report.missing_vectors, report.missing_words) == ((3,), (77,), (77,))
    assert not report.sound


def test_two_writers_exclude_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    process = run(
        """
        def wait(*arguments, **options):
            print("writing", flush=True)
            time.sleep(60)
        rag.index._merged = wait
        index_in(folder).write_snapshot(store)
        """,
        tmp_path,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        monkeypatch.setattr("rag.index.WRITER_PATIENCE_S", 0.1)
        store = MemoryPassageStore()
        add(store, passage(1, "pump"))
        with pytest.raises(IndexBusy, match="another process"):
            index_in(tmp_path).write_snapshot(store)
    finally:
        process.kill()
        process.communicate()
    index_in(tmp_path).write_snapshot(store)


def test_nothing_on_disk_is_a_pickle(tmp_path: Path) -> None:
    published(tmp_path)
    for path in tmp_path.rglob("*"):
        assert path.suffix not in {".pkl", ".pickle"}
    manifest = json.loads(next(tmp_path.rglob("manifest.json")).read_text())
    assert manifest["identity"]["embedder"] == EMBEDDER.identity
    assert (manifest["passages"], manifest["vectors"], manifest["change"]) == (20, 40, 1)
