"""The catalogues of an installation: searched and compared, kept in memory until a new file comes.

Owns joining the parts: products in SQL (`store`), finding them (`index`), prices of now (`fresh`). Knows no routes.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import RLock

from app.db import Database
from app.embedders import Embedders
from app.errors import NotFound
from app.models import KnowledgeBase
from app.service.catalogue import store
from app.service.catalogue.comparing import compared
from app.service.catalogue.fresh import FreshFigures
from app.service.catalogue.index import CatalogueIndex
from app.service.catalogue.products import ComparedProducts, FoundProduct, Item, PriceSource, ProductResults
from app.service.catalogue.quantities import folded
from app.service.catalogue.reading import read_catalogue
from app.service.catalogue.vocabulary import NAMES_IN, is_name, plain
from rag.dictionary import Dictionary
from rag.language import Language, language_of
from rag.types import Vector

MOST_RESULTS = 50
_COMPARES = re.compile(
    r"\b(?:compar\w*|differ\w*|versus|vs|or|better|between|than)\b|对比|比较|区别|差别|差异|不同|哪个|哪款|还是|\bpk\b|和|与|跟"
)
LONGEST_QUESTION = 1_000


@dataclass(frozen=True, slots=True)
class _Open:
    """A catalogue in memory; `stored` has its items and since when they are so."""

    identity: str
    stored: store.Stored
    index: CatalogueIndex


class Catalogues:
    """Safe for threads; a catalogue is read again when any process has replaced it."""

    def __init__(
        self,
        database: Database,
        embedders: Embedders,
        question_vector: Callable[[KnowledgeBase], Callable[[str], Vector]],
        dictionary: Dictionary | None,
        fresh: FreshFigures,
    ) -> None:
        """`question_vector` gives what embeds questions for a knowledge base."""
        self._database = database
        self._embedders = embedders
        self._question_vector = question_vector
        self._dictionary = dictionary
        self._fresh = fresh
        self._lock = RLock()
        self._open: dict[str, _Open] = {}

    def of(self, knowledge_base: KnowledgeBase) -> "Catalogue":
        """The catalogue of a knowledge base, as it is now. Raises `NotFound` when it has none."""
        opened = self._opened(knowledge_base)
        return Catalogue(knowledge_base.name, opened, self._question_vector(knowledge_base), self._fresh)

    def replace(self, knowledge_base: KnowledgeBase, path: Path, name: str) -> store.Replaced:
        """Makes the catalogue the content of a file. Raises `BadCatalogue`, `Conflict`; then nothing has changed."""
        items = read_catalogue(path, name)
        embedder = self._embedders.of(knowledge_base.generation)
        return store.replace_products(self._database, knowledge_base.id, name[:500], items, embedder)

    def delete(self, knowledge_base: KnowledgeBase) -> int:
        """Removes all products; gives how many there were."""
        with self._database.write() as session:
            return store.delete_products(session, knowledge_base.id)

    def close(self) -> None:
        self._fresh.close()

    def _opened(self, knowledge_base: KnowledgeBase) -> _Open:
        generation = knowledge_base.generation
        with self._database.read() as session:
            change = store.change_of(session, knowledge_base.id)
        opened = self._open.get(knowledge_base.id)
        if opened is not None and (opened.stored.change, opened.identity) == (change, generation.embedder):
            return opened
        with self._lock:
            opened = self._open.get(knowledge_base.id)
            if opened is not None and (opened.stored.change, opened.identity) == (change, generation.embedder):
                return opened
            with self._database.read() as session:
                found = store.stored(session, knowledge_base.id, generation.embedder, generation.dimension)
            if found is None or not found.items:
                self._open.pop(knowledge_base.id, None)
                raise NotFound(
                    f"The knowledge base {knowledge_base.name!r} has no products; upload a catalogue file.",
                    {"knowledge_base": knowledge_base.id},
                )
            index = CatalogueIndex(found.items, found.vectors, self._dictionary)
            opened = _Open(generation.embedder, found, index)
            self._open[knowledge_base.id] = opened
            return opened


class Catalogue:
    """One state of a catalogue: what it finds stays of one piece while a new file comes. Safe for threads."""

    def __init__(self, name: str, opened: _Open, embed: Callable[[str], Vector], fresh: FreshFigures) -> None:
        self._name = name
        self._stored = opened.stored
        self._index = opened.index
        self._embed = embed
        self._fresh = fresh

    @property
    def stored(self) -> store.Stored:
        """The products as the file has them."""
        return self._stored

    def search(self, text: str, *, limit: int = 10, language: Language | None = None) -> ProductResults:
        """The products that fit what is asked, best first; names in `language`, by default the question's.

        Filters go by the file's figures; price and stock shown are of now.
        """
        text = text[:LONGEST_QUESTION]
        ranking = self._index.search(text, max(1, min(limit, MOST_RESULTS)), self._embed)
        spoken = language or language_of(text)
        products = [
            self._found(self._stored.items[number], spoken, score)
            for number, score in zip(ranking.numbers, ranking.scores, strict=True)
        ]
        return ProductResults(
            self._fresh.of(self._name, products),
            ranking.understood,
            ranking.relaxed,
            ranking.sorting,
            ranking.matching,
        )

    def compare(self, a: str, b: str, *, language: Language = "en") -> ComparedProducts:
        """Two products, each by its SKU or its name. Raises `NotFound`."""
        pair = [self._found(self._named(each), language) for each in (a, b)]
        one, other = self._fresh.of(self._name, pair)
        return compared(one, other)

    def comparison_in(self, text: str, *, language: Language | None = None) -> ComparedProducts | None:
        """The two products that a question names and asks to compare, compared; None for every other question."""
        asked = folded(text[:LONGEST_QUESTION])
        if _COMPARES.search(asked) is None:
            return None
        named = self._named_in(asked)
        if len(named) != 2:
            return None
        one, other = (self._found(item, language or language_of(text)) for item in named)
        return compared(*self._fresh.of(self._name, (one, other)))

    def page(self, first: int, limit: int) -> Sequence[FoundProduct]:
        """Products in the order of the file, as the file has them."""
        return [self._found(item, "en") for item in self._stored.items[first : first + limit]]

    def _named(self, name: str) -> Item:
        wanted = folded(name).strip()
        for item in self._stored.items:
            if folded(item.sku).strip() == wanted:
                return item
        for item in self._stored.items:
            if any(folded(each).strip() == wanted for each in (item.name, *_other_names(item))):
                return item
        raise NotFound(f"The catalogue has no product {name[:100]!r}.", {"product": name[:100]})

    def _named_in(self, asked: str) -> list[Item]:
        """The products whose SKU or name stands in a folded text, in its order; of names within names the longest."""
        places: dict[int, Item] = {}
        names = [
            (folded(name).strip(), item)
            for item in self._stored.items
            for name in (item.sku, item.name, *_other_names(item))
        ]
        known = [(name, item) for name, item in names if len(name) > 1 and name in asked]
        for name, item in sorted(known, key=lambda each: -len(each[0])):
            for match in re.finditer(rf"(?<![a-z0-9]){re.escape(name)}(?![a-z0-9])", asked):
                places[match.start()] = item
                asked = asked[: match.start()] + "\0" * len(name) + asked[match.end() :]
        found: list[Item] = []
        for place in sorted(places):
            if all(places[place].sku != each.sku for each in found):
                found.append(places[place])
        return found

    def _found(self, item: Item, language: Language, score: float = 0.0) -> FoundProduct:
        named = [item.attributes[each] for each in item.attributes if plain(each) in NAMES_IN[language]]
        name = named[0] if named and isinstance(named[0], str) else item.name
        return FoundProduct(
            item.sku,
            name,
            item.description,
            item.attributes,
            item.price,
            item.currency,
            item.stock,
            item.url,
            PriceSource.FILE,
            self._stored.uploaded_at,
            score,
        )


def _other_names(item: Item) -> tuple[str, ...]:
    return tuple(str(value) for name, value in item.attributes.items() if is_name(name))
