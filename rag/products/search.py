"""Searches in the right product's documents: scope first, then everything else; and says when it must be asked which.

Owns what becomes of an understood product: the filter, a search a product when several are compared, the doubt about a
product that was only mentioned earlier, and whether sibling products answer differently. How passages are found and
near-duplicates collapsed is the searcher's that is handed in.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from rag.analyzer import words
from rag.answerers.base import Found, Searcher
from rag.breadth import BroadSearcher, in_turn
from rag.follow_up import content_words, stands_alone
from rag.products.names import ProductNames, readable
from rag.products.scope import PRODUCT, KnownProducts, ProductCatalogue, ProductScope, ScopeSource, understood
from rag.types import Hit, QuestionVector, Turn

MOST_CHOICES = 6
MOST_COMPARED = 4

DENSE_DRIFT = 0.02
"""By so much a cosine is better outside the product when the question is not about it; see `docs/scorecard.md`."""

LEXICAL_DRIFT = 0.25
"""As `DENSE_DRIFT`, a share of the word score."""

SAME_SECTION = 0.5
"""Share of words in common from which two products' passages are versions of one another."""

ABOUT = 0.5
"""Share of the question's words that a passage must have for it to be worth asking which product is meant."""


@dataclass(frozen=True, slots=True)
class ScopedFound:
    """What was found, best first; `choices` are products to ask about when their pages answer differently."""

    hits: Sequence[Hit]
    searched_for: str
    question_vector: QuestionVector | None
    scope: ProductScope
    choices: tuple[str, ...] = ()


class ProductSearcher:
    """A searcher around another one; safe for threads if that one is."""

    def __init__(self, searcher: Searcher, catalogue: ProductCatalogue) -> None:
        self._searcher = searcher
        self._catalogue = catalogue

    def search(
        self,
        question: str,
        *,
        top_k: int,
        filter: Mapping[str, object] | None = None,
        history: Sequence[Turn] = (),
        timings: dict[str, float] | None = None,
        context: Mapping[str, object] | None = None,
    ) -> ScopedFound:
        """As the searcher's, in the products that filter, question, `context` or earlier turns name."""
        names = self._catalogue.names(filter or {})
        scope = understood(names, question, history, filter, context)
        given = dict(filter or {})
        search = _Search(self._searcher, names, scope, given, top_k, {} if timings is None else timings)
        if scope.source is ScopeSource.FILTER or not len(names):
            found = search.unscoped()
            return _scoped(found, scope)
        if scope.source is None:
            found = search.unscoped()
            return _scoped(found, scope, _choices(scope.question, found.hits))
        if scope.several:
            return search.side_by_side()
        found = search.scoped(scope)
        if not found.hits or (search.may_be_wrong and search.is_better_elsewhere(found)):
            return _scoped(search.everywhere, _unscoped(scope))
        return _scoped(found, scope, _choices(scope.question, found.hits) if scope.is_open else ())


def whole_searcher(retriever: Searcher, catalogue: ProductCatalogue | None = None) -> ProductSearcher:
    """What answers are searched with: the product first, within it the sides of a comparison, each by `retriever`."""
    return ProductSearcher(BroadSearcher(retriever), catalogue or KnownProducts())


class _Search:
    """One question's searches, each made at most once."""

    def __init__(
        self,
        searcher: Searcher,
        names: ProductNames,
        scope: ProductScope,
        given: Mapping[str, object],
        top_k: int,
        timings: dict[str, float],
    ) -> None:
        self._searcher, self._scope, self._given, self._top_k, self._timings = searcher, scope, given, top_k, timings
        self._is_alone = stands_alone(scope.question)
        without = names.without(scope.question)
        # In one product's pages its name is in none or in all of them, and outweighs what is asked.
        self._text = without if content_words(without) else scope.question
        self._everywhere: Found | None = None

    @property
    def may_be_wrong(self) -> bool:
        """Whether the product was not named for this very question, or the name may have been an ordinary word."""
        return not self._scope.is_sure or (self._is_alone and self._scope.source is not ScopeSource.QUESTION)

    @property
    def everywhere(self) -> Found:
        if self._everywhere is None:
            self._everywhere = self.unscoped()
        return self._everywhere

    def unscoped(self) -> Found:
        return self._searched(self._scope.question, self._given, self._scope.history, self._top_k)

    def scoped(self, scope: ProductScope) -> Found:
        # The gate has seen the whole question; without the product's name it may seem to lean on another.
        history = () if self._is_alone else scope.history
        return self._searched(self._text, scope.filter(self._given), history, self._top_k)

    def side_by_side(self) -> ScopedFound:
        """The best of each product in turn, so that none is crowded out."""
        compared = self._scope.products[:MOST_COMPARED]
        found = [self.scoped(replace(self._scope, products=(product,))) for product in compared]
        hits = in_turn([each.hits for each in found])[: self._top_k]
        scope = replace(self._scope, products=compared)
        return ScopedFound(hits, found[0].searched_for, found[0].question_vector, scope)

    def is_better_elsewhere(self, found: Found) -> bool:
        """Whether other products' pages fit the question so much better that it cannot be about this one.

        Not when the best of them is another version of a page that this product has, too.
        """
        other, own = self.everywhere.hits, found.hits
        if not other or any(hit.passage.key == other[0].passage.key or _is_version_of(hit, other[0]) for hit in own):
            return False
        dense = _best(other, "dense") - _best(own, "dense")
        lexical = 1 - _best(own, "lexical") / max(_best(other, "lexical"), 1e-6)
        return dense / DENSE_DRIFT + lexical / LEXICAL_DRIFT > 2

    def _searched(self, text: str, filter: Mapping[str, object], history: Sequence[Turn], top_k: int) -> Found:
        return self._searcher.search(text, top_k=top_k, filter=filter, history=history, timings=self._timings)


def _scoped(found: Found, scope: ProductScope, choices: tuple[str, ...] = ()) -> ScopedFound:
    return ScopedFound(found.hits, found.searched_for, found.question_vector, scope, choices)


def products_of(hit: Hit) -> tuple[str, ...]:
    """The products of the document that a hit is from; none for documents that are for all."""
    value = hit.passage.facets.get(PRODUCT)
    members = value if isinstance(value, list | tuple) else (value,)
    return tuple(str(member) for member in members if member is not None)


def _choices(question: str, hits: Sequence[Hit]) -> tuple[str, ...]:
    """The products whose versions of the best passage differ, best first; none when it does not matter which.

    What is the same in all of them was collapsed into one hit before.
    """
    if not hits or not products_of(hits[0]) or not _is_about(question, hits[0]):
        return ()
    best = hits[0]
    versions = [best, *(hit for hit in hits[1:] if _is_version_of(hit, best))]
    choices = list(dict.fromkeys(product for hit in versions for product in products_of(hit)))
    return tuple(choices[:MOST_CHOICES]) if len(versions) > 1 and len(choices) > 1 else ()


def _is_about(question: str, hit: Hit) -> bool:
    asked = set(content_words(question))
    said = set(_words_of(hit))
    return bool(asked) and len(asked & said) >= ABOUT * len(asked)


def _is_version_of(hit: Hit, best: Hit) -> bool:
    """Whether a passage is another product's version of the same section."""
    if set(products_of(hit)) & set(products_of(best)) or not products_of(hit):
        return False
    if _heading(hit) and _heading(hit) == _heading(best):
        return True
    one, other = set(words(hit.passage.text)), set(words(best.passage.text))
    return len(one & other) >= SAME_SECTION * len(one | other)


def _heading(hit: Hit) -> tuple[str, ...]:
    passage = hit.passage
    heading = passage.heading_path[-1] if passage.heading_path else passage.title
    own = {word for product in products_of(hit) for word in words(readable(product))}
    return tuple(word for word in words(heading) if word not in own)


def _words_of(hit: Hit) -> Iterable[str]:
    return words("\n".join((hit.passage.title, *hit.passage.heading_path, hit.passage.text)))


def _best(hits: Sequence[Hit], signal: str) -> float:
    return max((hit.signals.get(signal, 0.0) for hit in hits), default=0.0)


def _unscoped(scope: ProductScope) -> ProductScope:
    return ProductScope(scope.question, scope.history)
