"""One state of a catalogue in memory: its facts, its words and its vectors, and finding products by them.

Owns how filters, words and vectors come together to an order, and what is given up when nothing fits. Knows no SQL and
no prices but the file's.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from app.service.catalogue.constraints import Constraint
from app.service.catalogue.facts import Facts, Mask, Numbers, facts_of
from app.service.catalogue.names import Names
from app.service.catalogue.products import Item, Sorting, Understood
from app.service.catalogue.quantities import folded
from app.service.catalogue.question import QuestionReader
from rag.analyzer import is_chinese, words
from rag.dictionary import Dictionary
from rag.types import Vector, Vectors
from rag.vector_index import VectorIndex
from rag.word_statistics import K1, B, inverse_document_frequency

DENSE_WEIGHT = 0.5
"""The share of the vectors in a product's score, the rest are words; both in deviations over the candidates."""

CANDIDATES = 200
"""Products that vectors and words each propose for the order."""

_MOST_CONSTRAINTS = 8
"""Of more than these only the first are given up one by one; there are as many subsets as 2 to their number."""

_FEW = 50
"""So few products are all put in the order that was wished for, where no word of the question tells them apart."""

_NEAR = 0.25  # of the way from the best score to the middle: what is still what was asked for


@dataclass(frozen=True, slots=True)
class Ranking:
    """Products by number, best first, with their scores, and what became of the question's constraints."""

    numbers: tuple[int, ...]
    scores: tuple[float, ...]
    understood: tuple[Understood, ...]
    relaxed: tuple[Understood, ...]
    sorting: Sorting | None
    matching: int


class CatalogueIndex:
    """Never changed once made: any thread may search."""

    def __init__(self, items: Sequence[Item], vectors: Vectors, dictionary: Dictionary | None = None) -> None:
        """`vectors` are float16 [products, dimension]; a row of zeros is one that has none."""
        self.items = items
        self.facts = facts_of(items)
        self.reader = QuestionReader(self.facts, Names(self.facts, dictionary))
        self._vectors = VectorIndex.of(vectors)
        self._postings, self._idf = _postings_of(items)

    def search(self, text: str, limit: int, embed: Callable[[str], Vector]) -> Ranking:
        """The `limit` best products for a question; `embed` makes its vector, of the kind of the products'."""
        wanted = self.reader.read(text)
        kept, given_up = self._kept(wanted.constraints)
        mask = _all_of(kept, self.facts)
        matching = int(mask.sum())
        asked = words(wanted.rest)
        numbers, scores = self._candidates(embed(text), asked, mask)
        order = np.argsort(-scores, kind="stable")
        if given_up:
            far = sum((each.distance(self.facts)[numbers] for each in given_up), np.zeros(len(numbers)))
            order = order[np.argsort(np.round(far[order], 3), kind="stable")]
        if wanted.sorting is not None:
            order = self._sorted(wanted.sorting, numbers, scores, asked, order)
        best = order[:limit]
        return Ranking(
            tuple(numbers[best].tolist()),
            tuple(scores[best].tolist()),
            tuple(each.understood() for each in kept),
            (*(each.understood() for each in given_up), *wanted.cannot),
            wanted.sorting,
            matching,
        )

    def _kept(self, constraints: Sequence[Constraint]) -> tuple[list[Constraint], list[Constraint]]:
        """The most constraints that leave something together, of as many those that leave the most; and the others."""
        masks = [each.mask(self.facts) for each in constraints]
        everything = np.ones(self.facts.count, np.bool_)
        flexible = range(min(len(constraints), _MOST_CONSTRAINTS))
        for count in range(len(flexible) + 1):
            best: tuple[int, tuple[int, ...]] = (0, ())
            for dropped in combinations(flexible, count):
                left = everything.copy()
                for number, mask in enumerate(masks):
                    if number not in dropped:
                        left &= mask
                best = max(best, (int(left.sum()), dropped), key=lambda each: each[0])
            if best[0]:
                given_up = [constraints[number] for number in best[1]]
                return [each for each in constraints if each not in given_up], given_up
        return [], list(constraints)

    def _candidates(self, question: Vector, asked: Sequence[str], mask: Mask) -> tuple[NDArray[np.int64], Numbers]:
        """Numbers and scores of what vectors and words propose among the admitted."""
        admitted = None if mask.all() else mask
        by_vector, _ = self._vectors.search(question, CANDIDATES, admitted)
        scores = self._words(asked)
        scored = np.flatnonzero((scores > 0) & mask)
        by_words = scored[np.argsort(-scores[scored], kind="stable")[:CANDIDATES]]
        numbers = np.union1d(by_vector, by_words).astype(np.int64)
        cosines = np.vecdot(self._vectors.decoded(numbers), question).astype(np.float64)
        mixed = DENSE_WEIGHT * _deviations(cosines) + (1 - DENSE_WEIGHT) * _deviations(scores[numbers])
        return numbers, mixed

    def _words(self, asked: Sequence[str]) -> Numbers:
        """BM25 of every product, float64 [products]."""
        scores = np.zeros(self.facts.count)
        for word in dict.fromkeys(asked):
            found = self._postings.get(word)
            if found is not None:
                scores[found[0]] += found[1] * self._idf[word]
        return scores

    def _shares(self, asked: Sequence[str], numbers: NDArray[np.int64]) -> Numbers:
        """The share of the question's known words that each of some products has; float64 [numbers].

        A Chinese word may be a part of another: an electric kettle (电水壶) is a kettle (水壶).
        """
        shares = np.zeros(len(numbers))
        for word in dict.fromkeys(asked):
            if is_chinese(word):
                shares += np.array([word in folded(text_of(self.items[number])) for number in numbers.tolist()])
            elif word in self._postings:
                shares += np.isin(numbers, self._postings[word][0])
        return shares

    def _sorted(
        self,
        sorting: Sorting,
        numbers: NDArray[np.int64],
        scores: Numbers,
        asked: Sequence[str],
        order: NDArray[np.int64],
    ) -> NDArray[np.int64]:
        """What is as near to the question as the best, in the order that was wished for; then the others."""
        column = self.facts.columns[sorting.attribute]
        figures = -column.high[numbers] if sorting.descending else column.low[numbers]
        shares = self._shares(asked, numbers)
        is_meant = shares >= shares.max(initial=0.0)
        if is_meant.all() and len(numbers) > _FEW:
            top, middle = scores.max(initial=0.0), float(np.median(scores))
            is_meant = scores >= top - _NEAR * (top - middle)
        keys = (np.nan_to_num(figures[order], nan=np.inf), ~is_meant[order])
        return order[np.lexsort(keys)]


def text_of(item: Item) -> str:
    """What is embedded and searched for: name, attributes, description. Price and stock change too often."""
    told = "; ".join(f"{name}: {_shown(value)}" for name, value in item.attributes.items())
    return ". ".join(part for part in (item.name, told, item.description) if part)


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(value) if isinstance(value, list) else f"{value:g}" if isinstance(value, float) else str(value)


def _postings_of(
    items: Sequence[Item],
) -> tuple[Mapping[str, tuple[NDArray[np.int64], Numbers]], Mapping[str, float]]:
    """Products that have a word with its weight in each (BM25 but for the rarity), and each word's rarity."""
    found: dict[str, list[tuple[int, int]]] = {}
    lengths = np.ones(len(items))
    for number, item in enumerate(items):
        of_item = words(f"{item.sku}. {text_of(item)}")
        lengths[number] = len(of_item)
        for word, count in Counter(of_item).items():
            found.setdefault(word, []).append((number, count))
    norms = K1 * (1 - B + B * lengths / max(lengths.mean() if len(items) else 1.0, 1.0))
    postings = {}
    for word, entries in found.items():
        rows, counts = np.array(entries, np.int64).T
        postings[word] = (rows, counts * (K1 + 1) / (counts + norms[rows]))
    return postings, {word: inverse_document_frequency(len(items), len(each)) for word, each in found.items()}


def _all_of(constraints: Sequence[Constraint], facts: Facts) -> Mask:
    mask = np.ones(facts.count, np.bool_)
    for each in constraints:
        mask &= each.mask(facts)
    return mask


def _deviations(values: Numbers) -> Numbers:
    if not len(values):
        return values
    spread = float(values.std())
    return (values - values.mean()) / spread if spread > 1e-9 else np.zeros(len(values))
