"""What is kept in memory so that it need not be computed again: a bounded store, and the vectors of questions.

Owns size, order of eviction and counts. Every process has its own; nothing is shared and nothing outlives it. Knows no
knowledge base and no answers (`app.answer_cache`).
"""

import sys
from collections import OrderedDict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from threading import Lock
from typing import Generic, TypeVar

import numpy as np
from langchain_core.embeddings import Embeddings

from model_runtime.embedder import Embedder
from rag.types import Vector

_Key = TypeVar("_Key", bound=Hashable)
_Value = TypeVar("_Value")

_ENTRY_BYTES = 200  # of the dictionary and the list of uses, for each entry


@dataclass(frozen=True, slots=True)
class CacheCounts:
    """Since the start: `hits`, `misses` and `evictions`; now: `entries` and their `bytes`."""

    hits: int
    misses: int
    evictions: int
    entries: int
    bytes: int


class LeastRecentlyUsed(Generic[_Key, _Value]):
    """Values up to `capacity` bytes in all; what has not been asked for the longest goes first. Safe for threads."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._lock = Lock()
        self._entries: OrderedDict[_Key, tuple[_Value, int]] = OrderedDict()
        self._bytes = self._hits = self._misses = self._evictions = 0

    def get(self, key: _Key) -> _Value | None:
        """The value, counted as a hit; None, counted as a miss."""
        with self._lock:
            found = self._entries.get(key)
            if found is None:
                self._misses += 1
                return None
            self._hits += 1
            self._entries.move_to_end(key)
            return found[0]

    def holds(self, key: _Key) -> bool:
        """Whether the value is there; counts nothing."""
        return key in self._entries

    def put(self, key: _Key, value: _Value) -> None:
        """Keeps a value unless it is larger than the whole store."""
        size = _ENTRY_BYTES + size_of(key) + size_of(value)
        with self._lock:
            _, old = self._entries.pop(key, (None, 0))
            self._bytes -= old
            if size > self._capacity:
                return
            self._entries[key] = (value, size)
            self._bytes += size
            while self._bytes > self._capacity:
                _, (_, freed) = self._entries.popitem(last=False)
                self._bytes -= freed
                self._evictions += 1

    def counts(self) -> CacheCounts:
        with self._lock:
            return CacheCounts(self._hits, self._misses, self._evictions, len(self._entries), self._bytes)


class RememberingEmbedder(Embeddings):
    """An embedder that embeds the same question once. Its vectors are shared and therefore read-only."""

    def __init__(self, embedder: Embedder, cache: "LeastRecentlyUsed[tuple[str, str], Vector]") -> None:
        self._embedder = embedder
        self._cache = cache

    def embed_question(self, text: str) -> Vector:
        """float32 [dimension], of unit length."""
        key = (self._embedder.identity, text)
        vector = self._cache.get(key)
        if vector is None:
            vector = np.array(self._embedder.embed_question(text))
            vector.flags.writeable = False
            self._cache.put(key, vector)
        return vector

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return self._embedder.embed_documents(texts)

    def embed_query(self, text: str) -> list[float]:
        vector: list[float] = self.embed_question(text).tolist()
        return vector


def size_of(value: object) -> int:
    """Bytes of a value with all that hangs on it, each object counted once."""
    return _size_of(value, set())


def _size_of(value: object, seen: set[int]) -> int:
    if id(value) in seen:
        return 0
    seen.add(id(value))
    size = sys.getsizeof(value)
    if isinstance(value, np.ndarray):
        return size  # its data are counted, for it owns them
    if isinstance(value, Mapping):
        return size + sum(_size_of(key, seen) + _size_of(each, seen) for key, each in value.items())
    if isinstance(value, tuple | list | set | frozenset):
        return size + sum(_size_of(each, seen) for each in value)
    if is_dataclass(value):
        return size + sum(_size_of(getattr(value, field.name), seen) for field in fields(value))
    return size
