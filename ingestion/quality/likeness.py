"""How much two texts have in common, and which documents of many are nearly the same.

Owns shingles, the sketch that a long text is remembered by, and the search for documents like one another. A shingle is
eight words in a row (or Chinese characters), whatever their case and what stands between them; the share of two texts
is that of the shingles both have among all that either has. A sketch keeps the lowest hashes only, and the lowest of
two texts together are a fair sample of both.
Source: A. Broder, On the resemblance and containment of documents (1997). Knows no storage.
"""

import re
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
"""Sorted, each once."""

SHINGLE = 8
"""Words of a shingle."""

SKETCH = 256
"""Hashes of a sketch: the share of two long texts is known to about three in a hundred."""

ALIKE = 0.7
"""The share from which documents are nearly the same: two editions, or the manuals of two sibling products."""

_MOST_POSTINGS = 256
"""Documents that are remembered for one hash: what more of them have tells none from another."""

_LOOKED_AT = 3
"""Of the documents with most hashes in common, how many are compared."""

_CHINESE = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_CHINESE}]|[^\W_{_CHINESE}]+")


def normalised_words(text: str) -> list[str]:
    """Its words in lower case and its Chinese characters one by one, without what stands between them."""
    return _WORD.findall(text.lower())


def shingles(text: str) -> Hashes:
    """The hashes of all shingles of a text. One of fewer than eight words is one shingle; one of none has none."""
    words = normalised_words(text)
    if not words:
        return np.empty(0, np.uint64)
    hashed = _mixed(np.fromiter((crc32(word.encode()) for word in words), np.uint64, len(words)))
    length = min(SHINGLE, len(words))
    count = len(words) - length + 1
    joined = np.zeros(count, np.uint64)
    for place in range(length):
        joined = joined * np.uint64(0x9E3779B97F4A7C15) + hashed[place : place + count]  # wraps, as it should
    return np.unique(_mixed(joined))


def _mixed(values: Hashes) -> Hashes:
    """The finaliser of splitmix64 (Steele, Lea and Flood 2014): every bit depends on all others."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


class Sketch:
    """The lowest hashes of the shingles of a text that comes piece by piece, in constant memory."""

    def __init__(self) -> None:
        self.hashes: Hashes = np.empty(0, np.uint64)
        self.is_whole = True

    def add(self, text: str) -> None:
        found = np.union1d(self.hashes, shingles(text))
        self.is_whole &= len(found) <= SKETCH
        self.hashes = found[:SKETCH]

    def share(self, other: "Sketch") -> float:
        """What two texts have in common, 0 to 1: exact while both have few shingles, else estimated."""
        both = np.concatenate([self.hashes, other.hashes])
        if not len(both):
            return 0.0
        both.sort()
        is_new = np.concatenate([[True], both[1:] != both[:-1]])
        rank = np.cumsum(is_new)
        compared = int(rank[-1]) if self.is_whole and other.is_whole else min(int(rank[-1]), SKETCH)
        return float(np.count_nonzero(~is_new & (rank <= compared))) / compared


@dataclass(frozen=True, slots=True)
class Likeness:
    """A document that is like an earlier one. `is_sibling` says that their scopes differ."""

    key: int
    like: int
    share: float
    is_sibling: bool


def alike(documents: Iterable[tuple[int, Hashable, Sketch]]) -> Iterator[Likeness]:
    """Of (key, scope, sketch) in order of preference, those that are like one before, and which that is.

    Within a scope a document like another is a duplicate, and nothing is compared with it any more; of documents like
    it in other scopes it is a sibling. The time grows with the number of documents, not of pairs.
    """
    kept: list[tuple[int, Hashable, Sketch]] = []
    places: dict[int, list[int]] = {}
    for key, scope, sketch in documents:
        hashes = sketch.hashes.tolist()
        if not hashes:
            continue
        met: Counter[int] = Counter()
        for each in hashes:
            met.update(places.get(each, ()))
        best = _best(scope, sketch, met, kept)
        if best is not None:
            number, share = best
            is_sibling = kept[number][1] != scope
            yield Likeness(key, kept[number][0], share, is_sibling)
            if not is_sibling:
                continue
        for each in hashes:
            known = places.setdefault(each, [])
            if len(known) < _MOST_POSTINGS:
                known.append(len(kept))
        kept.append((key, scope, sketch))


def _best(
    scope: Hashable, sketch: Sketch, met: Counter[int], kept: list[tuple[int, Hashable, Sketch]]
) -> tuple[int, float] | None:
    """The document that is most like it and the share, one of its own scope if any; `met` are hashes in common."""
    enough = ALIKE / 2 * len(sketch.hashes)  # sketches of alike texts may overlap by less than the texts
    promising = [number for number, count in met.most_common() if count >= enough]
    of_scope = [number for number in promising if kept[number][1] == scope]
    others = [number for number in promising if kept[number][1] != scope]
    for candidates in (of_scope, others):
        shares = [(sketch.share(kept[number][2]), -number) for number in candidates[:_LOOKED_AT]]
        if shares and max(shares)[0] >= ALIKE:
            share, number = max(shares)
            return -number, share
    return None
