"""The index of one generation: a snapshot on disk and the changes after it, always derived from storage.

Owns when snapshots are written, opened and checked against storage. Storage is the truth and reaches this module only
as a `PassageStore`; searching is in `index_view`, files in `snapshot` and `word_index`.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from rag.analyzer import ANALYZER_VERSION
from rag.errors import IndexBusy, IndexDamaged
from rag.index_view import IndexView, check_vectors
from rag.snapshot import (
    WORDS,
    Content,
    Identity,
    Snapshot,
    current_name,
    load_current,
    publish,
    remove_unused,
)
from rag.terms import PassageTerms, Terms, gathered
from rag.types import PassageStore, Vectors
from rag.vector_index import rows_of
from rag.word_index import WordWriter

WRITER_PATIENCE_S = 60.0
"""Seconds to wait for another process that is writing the same index."""


@dataclass(frozen=True, slots=True)
class IndexReport:
    """How an index compares with storage at one change number: keys that only one side has, ascending.

    `snapshot_change` is None before the first snapshot.
    """

    change: int
    snapshot_change: int | None
    passages: int
    orphan_vectors: tuple[int, ...]
    missing_vectors: tuple[int, ...]
    orphan_words: tuple[int, ...]
    missing_words: tuple[int, ...]

    @property
    def sound(self) -> bool:
        return not (self.orphan_vectors or self.missing_vectors or self.orphan_words or self.missing_words)


class KnowledgeBaseIndex:
    """Readers call `refresh` and search the view it returns; one process writes snapshots. Safe for many threads."""

    def __init__(self, folder: Path, *, embedder: str, dimension: int, chunker: int, generation: str = "") -> None:
        """`embedder` and `chunker` say what the vectors in storage were made with, `dimension` how long they are.

        `generation` is storage's name for them; it tells fillings apart that these three do not. Nothing is read or
        written yet; `folder` is made when a snapshot is written.
        """
        self._folder = folder
        self._identity = Identity(embedder, dimension, chunker, ANALYZER_VERSION, generation)
        self._view: IndexView | None = None
        self._advancing = threading.Lock()
        self._opening = threading.Lock()

    @property
    def embedder(self) -> str:
        """The identity of the embedder that questions must be embedded with."""
        return self._identity.embedder

    def refresh(self, store: PassageStore) -> IndexView:
        """The index as storage is now. Costs one call of `store.change()` when nothing changed.

        Changes are applied in memory; a newer snapshot is opened by one thread while others go on with the old one.
        Raises `IndexDamaged` when the snapshot cannot be used.
        """
        view = self._advance(store)
        if current_name(self._folder) != (view.snapshot.name if view.snapshot else None):
            view = self._reopen(store, view)
        return view

    def write_snapshot(self, store: PassageStore) -> int:
        """Brings the files up to the truth and returns the change number they include. For one process at a time.

        Raises `IndexBusy` when another process is writing, `IndexDamaged` when the present snapshot cannot be read.
        A snapshot of another embedder, chunker or analyser version is replaced whole.
        """
        with self._only_writer():
            present = load_current(self._folder)
            if present and present.identity == self._identity:
                return self._write(store, present)
            return self._write(store, None)

    def rebuild(self, store: PassageStore) -> int:
        """Writes everything anew from storage, whatever the files look like; never embeds. As `write_snapshot`."""
        with self._only_writer():
            return self._write(store, None)

    def check(self, store: PassageStore) -> IndexReport:
        """Compares the files, and the changes after them, with storage. Raises `IndexDamaged` as `refresh` does."""
        while True:
            view = self.refresh(store)
            truth = store.live_keys()
            if store.change() == view.change:
                break
        by_vectors = view.keys()
        by_words, orphan_words = view.word_keys()
        return IndexReport(
            change=view.change,
            snapshot_change=view.snapshot.change if view.snapshot else None,
            passages=len(truth),
            orphan_vectors=_only_in(by_vectors, truth),
            missing_vectors=_only_in(truth, by_vectors),
            orphan_words=tuple(orphan_words.tolist()),
            missing_words=_only_in(truth, by_words),
        )

    def _advance(self, store: PassageStore) -> IndexView:
        view = self._view
        change = store.change()
        if view is not None and view.change == change:
            return view
        with self._advancing:
            view = self._view or self._open()
            self._view = self._caught_up(store, view)
            return self._view

    def _reopen(self, store: PassageStore, view: IndexView) -> IndexView:
        if not self._opening.acquire(blocking=False):
            return view  # another thread is at it; the old view is as true
        try:
            # Most of the work outside the lock that others need to apply changes.
            newer = self._caught_up(store, self._open())
            with self._advancing:
                self._view = self._caught_up(store, newer)
                return self._view
        finally:
            self._opening.release()

    def _open(self) -> IndexView:
        snapshot = load_current(self._folder)
        if snapshot and snapshot.identity != self._identity:
            raise IndexDamaged(
                f"the index {self._folder / snapshot.name} was made with {snapshot.identity}, now {self._identity} is "
                "in use; `answerdesk index rebuild` makes a new one"
            )
        return IndexView.opened(snapshot, self._identity.dimension)

    def _caught_up(self, store: PassageStore, view: IndexView) -> IndexView:
        change = store.change()
        if change < view.change:
            raise IndexDamaged(
                f"the index {self._folder} includes change {view.change}, the database is at {change}: it was set "
                "back; `answerdesk index rebuild` makes a new one"
            )
        if change == view.change:
            return view
        return view.advanced(store.changes_since(view.change), change, self._identity.dimension)

    @contextmanager
    def _only_writer(self) -> Iterator[None]:
        self._folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self._folder / ".writer.lock", timeout=WRITER_PATIENCE_S)
        try:
            lock.acquire()
        except Timeout as error:
            raise IndexBusy(f"another process is writing the index {self._folder}: wait or stop the worker") from error
        try:
            yield
        finally:
            lock.release()

    def _write(self, store: PassageStore, present: Snapshot | None) -> int:
        """Words first, then vectors, then the pointer: a crash between them leaves words ahead, which readers mask."""
        change = store.change()
        if present and present.change == change:
            return change
        if present and present.change > change:
            raise IndexDamaged(
                f"the index {self._folder} includes change {present.change}, the database is at {change}: it was set "
                "back; `answerdesk index rebuild` makes a new one"
            )
        # What is in use now stays until the next snapshot: a reader may have read its name and not yet its files.
        before = {current_name(self._folder) or "", *(path.name for path in self._folder.glob(f"{WORDS}*"))}
        words_folder = present.words if present else self._folder / f"{WORDS}{uuid4().hex[:8]}"
        gone: set[int] = set()
        added: dict[int, _Added] = {}
        with WordWriter(words_folder, new=present is None) as writer:
            for batch in store.changes_since(present.change if present else 0):
                change = max(change, batch.change)
                writer.remove(batch.removed)
                gone.update(batch.removed)
                for key in batch.removed:
                    added.pop(key, None)
                for passage in batch.added:
                    check_vectors(passage, self._identity.dimension)
                    of_passage = PassageTerms.of(passage)
                    writer.add(passage.key, passage.document_key, of_passage.words)
                    added[passage.key] = _Added(
                        passage.document_key, passage.vectors, of_passage.terms, of_passage.counts
                    )
            writer.commit()
        content = _merged(present.content if present else None, gone, added, self._identity.dimension)
        name = publish(self._folder, change, self._identity, content, words_folder.name)
        remove_unused(self._folder, {name, words_folder.name, *before})
        return change


@dataclass(frozen=True, slots=True)
class _Added:
    document: int
    vectors: Vectors
    terms: Terms
    counts: NDArray[np.int64]  # of the terms of each row


def _merged(present: Content | None, gone: set[int], added: dict[int, _Added], dimension: int) -> Content:
    """The content after removing and adding, ascending by key. A key that is added replaces the one that was there."""
    new = _content_of(added, dimension)
    if present is None:
        return new
    dropped = np.fromiter(gone | added.keys(), np.int64)
    kept = _selected(present, np.flatnonzero(~np.isin(present.keys, dropped)))
    joined = Content(
        np.concatenate([kept.keys, new.keys]),
        np.concatenate([kept.documents, new.documents]),
        np.concatenate([kept.first_rows, kept.first_rows[-1] + new.first_rows[1:]]),
        np.concatenate([kept.vectors, new.vectors]),
        *gathered([(kept.terms, kept.first_terms), (new.terms, new.first_terms)]),
    )
    in_order = bool(np.all(joined.keys[1:] >= joined.keys[:-1]))
    return joined if in_order else _selected(joined, np.argsort(joined.keys, kind="stable"))


def _content_of(added: dict[int, _Added], dimension: int) -> Content:
    keys = np.array(sorted(added), np.int64)
    passages = [added[key] for key in keys.tolist()]
    counts = np.array([len(passage.vectors) for passage in passages], np.int64)
    return Content(
        keys,
        np.array([passage.document for passage in passages], np.int64),
        _starts(counts),
        np.concatenate([np.empty((0, dimension), np.float16), *(passage.vectors for passage in passages)]),
        np.concatenate([np.empty(0, np.uint32), *(passage.terms for passage in passages)]),
        _starts(np.concatenate([np.empty(0, np.int64), *(passage.counts for passage in passages)])),
    )


def _selected(content: Content, passages: NDArray[np.int64]) -> Content:
    """Some of the passages, in the order given."""
    rows = rows_of(content.first_rows, passages)
    return Content(
        content.keys[passages],
        content.documents[passages],
        _starts(np.diff(content.first_rows)[passages]),
        content.vectors[rows],
        content.terms[rows_of(content.first_terms, rows)],
        _starts(np.diff(content.first_terms)[rows]),
    )


def _starts(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])


def _only_in(here: NDArray[np.int64], there: NDArray[np.int64]) -> tuple[int, ...]:
    return tuple(np.setdiff1d(here, there).tolist())
