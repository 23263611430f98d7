"""What the catalogue hands on: products, what was understood of a question, and a comparison.

Owns the values that flows, routes and the widget are written against. Knows no SQL and no search.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

Value = str | float | bool | list[str]
"""What an attribute holds: as the file says it; numbers with a unit stay texts ("1.7 l")."""

ATTRIBUTES_SHOWN = "attributes_shown"
"""Of a product that a flow found: its attributes as the customer is shown them, by names in their language."""


@dataclass(frozen=True, slots=True)
class Item:
    """One product as a file states it. `price` is in `currency`, a code of ISO 4217 or "" where the file has none."""

    sku: str
    name: str
    description: str = ""
    attributes: Mapping[str, Value] = field(default_factory=dict)
    price: float | None = None
    currency: str = ""
    stock: int | None = None
    url: str = ""


class PriceSource(StrEnum):
    """Where price and stock were read."""

    API = "api"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class FoundProduct:
    """A product of a result. `name` is in the reader's language where the file has it.

    as_of: when price and stock were said: now for an API's, the upload's time for the file's.
    score: how near it is to the question; only comparable within one result.
    """

    sku: str
    name: str
    description: str
    attributes: Mapping[str, Value]
    price: float | None
    currency: str
    stock: int | None
    url: str
    source: PriceSource
    as_of: datetime
    score: float = 0.0

    def as_json(self) -> dict[str, object]:
        """As JSON, with all fields: what flows and the widget are given."""
        return {
            "sku": self.sku,
            "name": self.name,
            "description": self.description,
            "attributes": dict(self.attributes),
            "price": self.price,
            "currency": self.currency,
            "stock": self.stock,
            "url": self.url,
            "source": self.source.value,
            "as_of": self.as_of.isoformat(),
        }


class Comparison(StrEnum):
    """How a value stands to what a constraint says."""

    AT_MOST = "at_most"
    LESS = "less"
    AT_LEAST = "at_least"
    MORE = "more"
    ABOUT = "about"
    BETWEEN = "between"
    IS = "is"
    IS_NOT = "is_not"


@dataclass(frozen=True, slots=True)
class Understood:
    """One constraint as it was read from a question.

    attribute: a column's name, or `price`, `stock`; values: bounds in `unit`, the values that are wanted, or true.
    said: the words of the question; words: the constraint for people, in the question's language.
    """

    attribute: str
    comparison: Comparison
    values: tuple[str | float | bool, ...]
    unit: str
    said: str
    words: str


@dataclass(frozen=True, slots=True)
class Sorting:
    """A wish for an order: the least or the most of an attribute first."""

    attribute: str
    descending: bool
    said: str


@dataclass(frozen=True, slots=True)
class ProductResults:
    """The best products first, at most as many as were asked for.

    understood: every constraint that holds for all products; relaxed: those given up, for nothing would be left, or
    because the catalogue cannot tell. matching: how many products fulfil what is understood.
    """

    products: tuple[FoundProduct, ...]
    understood: tuple[Understood, ...] = ()
    relaxed: tuple[Understood, ...] = ()
    sorting: Sorting | None = None
    matching: int = 0


@dataclass(frozen=True, slots=True)
class ComparedRow:
    """One attribute of two products. `a` and `b` are None where a product does not say.

    difference: b - a in `unit`, where both are numbers of one kind; `is_different` is told with units normalised, and
    None when one of them does not say.
    """

    attribute: str
    a: Value | None
    b: Value | None
    is_different: bool | None
    difference: float | None = None
    unit: str = ""


@dataclass(frozen=True, slots=True)
class ComparedProducts:
    """Two products attribute by attribute: price and stock first, then in the order of the file's columns."""

    a: FoundProduct
    b: FoundProduct
    rows: tuple[ComparedRow, ...]
