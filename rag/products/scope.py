"""Which products a question is about, by what the caller says, the question itself, and the turns before it.

Owns the order in which these count, and what is left to search for when a message does no more than name a product.
Does not search; how names are recognised is `rag.products.names`'.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from dataclasses import field as field_
from enum import StrEnum
from functools import cache
from typing import Protocol

from rag.analyzer import words
from rag.products.names import Closeness, Mention, ProductNames
from rag.types import Turn

PRODUCT = "product"
"""The facet, and the field of filters and contexts, that names products."""

SAID = "said"
"""The field of a context with the products that the conversation has been about so far."""

NO_PRODUCT = ""
"""As a filter's value: documents of no product, which are for all of them."""


class ProductCatalogue(Protocol):
    """What is known of a knowledge base's products."""

    def names(self, filter: Mapping[str, object]) -> ProductNames:
        """As of now: whoever sets a facet is seen by the next question. None that the filter would hide."""
        ...


@dataclass(frozen=True, slots=True)
class KnownProducts:
    """A catalogue that never changes; without names it is that of a knowledge base without products."""

    known: ProductNames = field_(default_factory=lambda: ProductNames(()))

    def names(self, filter: Mapping[str, object]) -> ProductNames:
        return self.known


class ScopeSource(StrEnum):
    FILTER = "filter"
    QUESTION = "question"
    CONTEXT = "context"
    HISTORY = "history"


@dataclass(frozen=True, slots=True)
class ProductScope:
    """What was understood. Without a `source` no product is known.

    `is_open`: one name that several products may be meant by. `is_sure` is False where the words may have meant no
    product at all. `question` and `history` are what is left to search for: a message that only names a product asks
    the question before it again. `is_only_named` when there is none.
    """

    question: str
    history: tuple[Turn, ...]
    products: tuple[str, ...] = ()
    source: ScopeSource | None = None
    is_open: bool = False
    is_sure: bool = True
    is_only_named: bool = False

    @property
    def several(self) -> bool:
        """Whether products were named to be looked at side by side."""
        return len(self.products) > 1 and not self.is_open and self.source is not ScopeSource.FILTER

    def filter(self, given: Mapping[str, object]) -> Mapping[str, object]:
        """The caller's filter with the products; documents of no product stay in."""
        if self.source in (None, ScopeSource.FILTER):
            return given
        return {**given, PRODUCT: [*self.products, NO_PRODUCT]}


def understood(
    names: ProductNames,
    question: str,
    history: Sequence[Turn] = (),
    filter: Mapping[str, object] | None = None,
    context: Mapping[str, object] | None = None,
) -> ProductScope:
    """A filter goes before the question, the question before the context, the context before earlier turns.

    Of the context's fields, `SAID` goes before `PRODUCT`: whoever gives both knows that the page was the same before.
    """
    turns = tuple(history)
    if filter and PRODUCT in filter:
        return ProductScope(question, turns, _texts(filter[PRODUCT]), ScopeSource.FILTER)
    if not len(names):
        return ProductScope(question, turns)
    mentions = names.mentions(question)
    asked, before = _asked(names, question, mentions, turns)
    said = tuple(_without_products(names, turn) for turn in before if not _only_names(names, turn))
    earlier = _known_before(names, turns, context or {})
    if mentions:
        scope = _scope(asked, said, mentions, ScopeSource.QUESTION)
        narrower = tuple(each for each in scope.products if earlier and each in earlier.products)
        if scope.is_open and narrower:
            scope = replace(scope, products=narrower, is_open=len(narrower) > 1)
        return replace(scope, is_only_named=_is_bare(names, asked))
    if earlier is None:
        return ProductScope(question, turns)
    return replace(earlier, question=question, history=said)


def _known_before(names: ProductNames, turns: Sequence[Turn], context: Mapping[str, object]) -> ProductScope | None:
    for field, source in ((SAID, ScopeSource.HISTORY), (PRODUCT, ScopeSource.CONTEXT)):
        texts = _texts(context.get(field))
        if known := tuple(text for text in texts if text in names.products):
            return ProductScope("", (), known, source)
        if found := names.mentions(" ; ".join(texts)):
            return _scope("", (), found, source)
    for turn in reversed(turns):
        if turn.is_customers and (found := names.mentions(turn.text)):
            return _scope("", (), found, ScopeSource.HISTORY)
    return None


def _scope(question: str, history: tuple[Turn, ...], mentions: Sequence[Mention], source: ScopeSource) -> ProductScope:
    products = tuple(dict.fromkeys(product for mention in mentions for product in mention.products))
    is_open = any(len(mention.products) > 1 for mention in mentions)
    is_sure = all(mention.is_sure and mention.closeness is not Closeness.NEAR for mention in mentions)
    return ProductScope(question, history, products, source, is_open, is_sure)


def _asked(
    names: ProductNames, question: str, mentions: Sequence[Mention], turns: tuple[Turn, ...]
) -> tuple[str, tuple[Turn, ...]]:
    """The question to search for and the turns before it: the last one asked when this message only names products.

    The same object as `question` when it is that.
    """
    if not mentions or not _is_bare(names, question):
        return question, turns
    for place in range(len(turns) - 1, -1, -1):
        turn = turns[place]
        if turn.is_customers and turn.text.strip() and not _is_bare(names, turn.text):
            return names.without(turn.text) or turn.text, turns[:place]
    return question, turns


_SAYING = """
    have has had got own bought use using used mean meant need talk model device product phone machine unit one version
    mine please ok okay yes no sorry again same question help problem issue want know ask new here
"""
_SAYING_CHINESE = re.compile(
    "[我你您的有用使买了型号产品设备手机器款这那是么呢换成如果一台个上家里也想问请关于和跟吧呀啊嗯好版说指种位]+"
)
"""What people say around a product's name when they say no more than which one it is."""


@cache
def _saying() -> frozenset[str]:
    return frozenset(words(_SAYING))


def _is_bare(names: ProductNames, text: str) -> bool:
    """Whether a text names products and asks nothing."""
    if not names.mentions(text):
        return False
    left = _SAYING_CHINESE.sub(" ", names.without(text))
    return all(word in _saying() for word in words(left))


def _only_names(names: ProductNames, turn: Turn) -> bool:
    return turn.is_customers and _is_bare(names, turn.text)


def _without_products(names: ProductNames, turn: Turn) -> Turn:
    """In one product's pages its name tells nothing, and that of another leads astray."""
    return replace(turn, text=names.without(turn.text))


def _texts(value: object) -> tuple[str, ...]:
    members = value if isinstance(value, list | tuple | set | frozenset) else (value,)
    return tuple(str(member) for member in members if member is not None and str(member).strip())
