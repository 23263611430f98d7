"""What a filter means: values as texts, which documents have which value of which facet, and which belong together.

Owns the comparison, which is made here and not in SQL because SQLite and PostgreSQL disagree about numbers and
booleans inside JSON. Knows no tables.
"""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet

from rag.errors import UnknownFilter

USUAL_FACETS = ("product", "version", "audience")
"""May be asked for before any document has them."""


class FacetIndex:
    """The facets of a knowledge base's documents, turned round: from facet and value to the documents' keys."""

    def __init__(self, facets_by_key: Iterable[tuple[int, Mapping[str, object]]]) -> None:
        self._keys: dict[str, dict[str, set[int]]] = {}
        for key, facets in facets_by_key:
            for name, value in facets.items():
                of_name = self._keys.setdefault(name, {})
                for text in _texts(value):
                    of_name.setdefault(text, set()).add(key)

    def admitted(self, wanted: Mapping[str, AbstractSet[str]]) -> set[int]:
        """Keys of the documents that have, of each facet, one of the wanted values at least.

        Raises `UnknownFilter` for a facet that no document has.
        """
        unknown = sorted(wanted.keys() - self._keys.keys() - {*USUAL_FACETS})
        if unknown:
            fields = ", ".join(map(repr, unknown))
            raise UnknownFilter(f"Documents cannot be filtered by {fields}: none of them has such a field or facet.")
        of_each = [
            set().union(*(self._keys.get(name, {}).get(text, ()) for text in texts)) for name, texts in wanted.items()
        ]
        return set.intersection(*of_each)


def wanted_texts(filter: Mapping[str, object]) -> dict[str, frozenset[str]]:
    """The values that each field of a filter admits, as texts. Raises `UnknownFilter` unless they are scalars."""
    for field, value in filter.items():
        members = value if isinstance(value, list | tuple | set | frozenset) else (value,)
        if not all(isinstance(member, str | int | float) for member in members):
            raise UnknownFilter(f"The filter {field!r} needs a text, a number, a truth value or a list of them.")
    return {field: _texts(value) for field, value in filter.items()}


def scope_of(facets: Mapping[str, object], language: str) -> tuple[object, ...]:
    """What a document is for: two that differ in it are never the same, whatever they say. Hashable."""
    return (*(_texts(facets.get(name)) for name in USUAL_FACETS), language)


def _texts(value: object) -> frozenset[str]:
    """A value, or each member of a list, as text, so that 2 and "2" are the same; nothing for none."""
    members = value if isinstance(value, list | tuple | set | frozenset) else (value,)
    return frozenset(_text(member) for member in members if member is not None)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
