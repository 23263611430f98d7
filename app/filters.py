"""What a filter means: values as texts, which documents have which value of which facet, and which belong together.

Owns the comparison, which is made here and not in SQL because SQLite and PostgreSQL disagree about numbers and
booleans inside JSON. Knows no tables.
"""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet

from app.facets import PUBLIC
from rag.errors import UnknownFilter

USUAL_FACETS = ("product", "version", "audience")
"""May be asked for before any document has them."""

NONE = ""
"""As a wanted value of a facet: documents that do not have it."""


class FacetIndex:
    """The facets of a knowledge base's documents, turned round: from facet and value to the documents' keys."""

    def __init__(self, facets_by_key: Iterable[tuple[int, Mapping[str, object]]]) -> None:
        self._keys: dict[str, dict[str, set[int]]] = {}
        self._all: set[int] = set()
        for key, facets in facets_by_key:
            self._all.add(key)
            for name, value in facets.items():
                of_name = self._keys.setdefault(name, {})
                for text in facet_texts(value):
                    of_name.setdefault(text, set()).add(key)

    def admitted(self, wanted: Mapping[str, AbstractSet[str]]) -> set[int]:
        """Keys of the documents that have, of each facet, a wanted value at least; `NONE` wants those without.

        Raises `UnknownFilter` for a facet that no document has.
        """
        unknown = sorted(wanted.keys() - self._keys.keys() - {*USUAL_FACETS, PUBLIC})
        if unknown:
            fields = ", ".join(map(repr, unknown))
            raise UnknownFilter(f"Documents cannot be filtered by {fields}: none of them has such a field or facet.")
        return set.intersection(*(self._with_one_of(name, texts) for name, texts in wanted.items()))

    def _with_one_of(self, name: str, texts: AbstractSet[str]) -> set[int]:
        of_name = self._keys.get(name, {})
        found = set[int]().union(*(of_name.get(text, ()) for text in texts))
        return found | self._all.difference(*of_name.values()) if NONE in texts else found


def wanted_texts(filter: Mapping[str, object]) -> dict[str, frozenset[str]]:
    """The values that each field of a filter admits, as texts. Raises `UnknownFilter` unless they are scalars."""
    for field, value in filter.items():
        members = value if isinstance(value, list | tuple | set | frozenset) else (value,)
        if not all(isinstance(member, str | int | float) for member in members):
            raise UnknownFilter(f"The filter {field!r} needs a text, a number, a truth value or a list of them.")
    return {field: facet_texts(value) for field, value in filter.items()}


def scope_of(facets: Mapping[str, object], language: str) -> tuple[object, ...]:
    """What a document is for: two that differ in it are never the same, whatever they say. Hashable."""
    return (*(facet_texts(facets.get(name)) for name in USUAL_FACETS), language)


def facet_texts(value: object) -> frozenset[str]:
    """A value, or each member of a list, as text, so that 2 and "2" are the same; nothing for none."""
    members = value if isinstance(value, list | tuple | set | frozenset) else (value,)
    return frozenset(_text(member) for member in members if member is not None)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
