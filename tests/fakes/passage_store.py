"""A `PassageStore` in memory: change numbers, hydration and filters as storage has them, without SQL."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rag.errors import UnknownFilter
from rag.types import IndexedPassage, Passage, PassageChanges, Vectors


@dataclass
class MemoryPassageStore:
    """Documents are named by `Passage.document_key`; every `add` and `remove` is one change."""

    batch: int = 64
    passages: dict[int, Passage] = field(default_factory=dict)
    indexed: dict[int, IndexedPassage] = field(default_factory=dict)
    log: list[tuple[int, int, bool]] = field(default_factory=list)  # change, key, added
    change_number: int = 0
    calls: dict[str, int] = field(default_factory=dict)

    def add(self, passages: Sequence[Passage], vectors: Sequence[Vectors]) -> None:
        """Adds passages with their vectors, float16 [1 + windows, dimension] each, as one change."""
        self.change_number += 1
        for passage, of_passage in zip(passages, vectors, strict=True):
            words = "\n".join([passage.title, *passage.heading_path, passage.text])
            self.passages[passage.key] = passage
            starts = tuple(len(words) - len(passage.text) + start for start, _ in passage.windows)
            self.indexed[passage.key] = IndexedPassage(passage.key, passage.document_key, words, of_passage, starts)
            self.log.append((self.change_number, passage.key, True))

    def remove(self, keys: Iterable[int]) -> None:
        self.change_number += 1
        for key in keys:
            del self.passages[key], self.indexed[key]
            self.log.append((self.change_number, key, False))

    def change(self) -> int:
        self._count("change")
        return self.change_number

    def changes_since(self, change: int) -> Iterable[PassageChanges]:
        self._count("changes_since")
        last = {key: (number, added) for number, key, added in self.log if number > change}
        later = sorted((number, key, added) for key, (number, added) in last.items())
        for start in range(0, len(later), self.batch):
            part = later[start : start + self.batch]
            yield PassageChanges(
                change=part[-1][0],
                added=[self.indexed[key] for _, key, added in part if added],
                removed=[key for _, key, added in part if not added],
            )

    def live_keys(self) -> NDArray[np.int64]:
        return np.array(sorted(self.passages), np.int64)

    def hydrate(self, keys: Sequence[int]) -> dict[int, Passage]:
        self._count("hydrate")
        return {key: self.passages[key] for key in keys if key in self.passages}

    def document_keys(self, filter: Mapping[str, object]) -> NDArray[np.int64] | None:
        """Filters by `document_id` and by facets; a list admits each of its values."""
        if not filter:
            return None
        known = {"document_id"}.union(*(passage.facets for passage in self.passages.values()))
        if unknown := set(filter) - known:
            raise UnknownFilter(f"no document has {sorted(unknown)}")
        admitted = {
            passage.document_key
            for passage in self.passages.values()
            if all(_value(passage, name) in _values(wanted) for name, wanted in filter.items())
        }
        return np.array(sorted(admitted), np.int64)

    def _count(self, call: str) -> None:
        self.calls[call] = self.calls.get(call, 0) + 1


def _value(passage: Passage, name: str) -> object:
    return passage.document_id if name == "document_id" else passage.facets.get(name)


def _values(wanted: object) -> list[object]:
    return list(wanted) if isinstance(wanted, list | tuple) else [wanted]
