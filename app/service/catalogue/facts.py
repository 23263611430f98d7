"""What the attributes of a catalogue are, learned from its own values: quantities, flags, or words to choose from.

Owns the kind of every column and its values in a form that can be compared: base units, yes or no, normalised words.
Knows no questions. Nothing here is fitted to a catalogue: a column is what nearly all of its values are.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from app.service.catalogue.products import Item, Value
from app.service.catalogue.quantities import MONEY, NO_UNIT, Quantity, Unit, folded, quantity_in, unit_of
from app.service.catalogue.vocabulary import Concept, plain, vocabulary

Mask = NDArray[np.bool_]
Numbers = NDArray[np.float64]

_MOSTLY = 0.85
"""The share of a column's values that must be of a kind; the rest are typing errors and "n/a"."""

_LONGEST_CHOICE = 40  # characters of a value that a customer may name; longer ones are descriptions
_SEPARATORS = re.compile(r"\s*[,;、，；|]\s*|\s+/\s+|(?<=[^\d\s])/(?=[^\d\s])")


class ColumnKind(StrEnum):
    QUANTITY = "quantity"
    FLAG = "flag"
    CHOICE = "choice"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class Column:
    """One attribute over all products, in their order.

    low, high: float64 [products], in the base unit of `unit`, NaN where a product does not say; of a quantity.
    flags: int8 [products]: 1 yes, 0 no, -1 not said; of a flag. choices: the products that have a value, by value.
    """

    name: str
    kind: ColumnKind
    concept: Concept | None = None
    unit: Unit = NO_UNIT
    low: Numbers = field(default_factory=lambda: np.empty(0))
    high: Numbers = field(default_factory=lambda: np.empty(0))
    flags: NDArray[np.int8] = field(default_factory=lambda: np.empty(0, np.int8))
    choices: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """Everything that it is called, folded."""
        own = plain(self.name)
        return tuple(dict.fromkeys((own, *(self.concept.names if self.concept else ()))))

    @property
    def is_kind_of_product(self) -> bool:
        """Whether its values are what products are: kettle, grinder."""
        return self.kind is ColumnKind.CHOICE and self.concept is not None and self.concept.name == "type"


@dataclass(frozen=True, slots=True)
class Facts:
    """All columns by name, price and stock among them.

    currencies: which products are priced in a currency, bool [products], by code, "" where none is stated; `currency`
    is that of most prices.
    """

    count: int
    columns: Mapping[str, Column]
    currencies: Mapping[str, Mask]
    currency: str


def facts_of(items: Sequence[Item]) -> Facts:
    """Learns the columns. Each distinct value is looked at once."""
    stated = Counter(item.currency for item in items)
    currencies = {code: np.array([item.currency == code for item in items], np.bool_) for code in stated}
    prices = np.array([np.nan if item.price is None else item.price for item in items], np.float64)
    stocks = np.array([np.nan if item.stock is None else item.stock for item in items], np.float64)
    concepts = vocabulary().concepts
    columns = {
        "price": Column("price", ColumnKind.QUANTITY, concepts["price"], Unit(MONEY, ""), prices, prices),
        "stock": Column("stock", ColumnKind.QUANTITY, None, NO_UNIT, stocks, stocks),
    }
    by_name: dict[str, list[tuple[int, Value]]] = {}
    for number, item in enumerate(items):
        for name, value in item.attributes.items():
            by_name.setdefault(name, []).append((number, value))
    for name, values in by_name.items():
        for column in _columns(name, values, len(items)):
            columns.setdefault(column.name, column)
    most = max((code for code in stated if code), key=lambda code: stated[code], default="")
    return Facts(len(items), columns, currencies, most)


def parts_of(value: Value) -> list[str]:
    """The values in one cell, folded: "Black, white" holds two."""
    if isinstance(value, bool):
        return ["yes" if value else "no"]
    if isinstance(value, list):
        return [folded(each).strip() for each in value if each.strip()]
    if isinstance(value, float):
        return [f"{value:g}"]
    return [part for part in _SEPARATORS.split(folded(value).strip()) if part]


def flag_of(value: Value) -> bool | None:
    """Whether a value says yes or no; None for anything else."""
    if isinstance(value, bool):
        return value
    text = folded(value).strip() if isinstance(value, str) else ""
    return True if text in vocabulary().yes else False if text in vocabulary().no else None


def quantity_of(value: Value, header: str) -> Quantity | None:
    """The quantity that a value is; a unit that only the header has ("weight (g)") counts. None for anything else."""
    if isinstance(value, bool | list):
        return None
    found = Quantity(value, value) if isinstance(value, float) else quantity_in(value)
    if found is not None and found.unit == NO_UNIT:
        return Quantity(found.low, found.high, unit_in_header(header))
    return found


def unit_in_header(header: str) -> Unit:
    """`weight (kg)`, `capacity_l`, `weight in g`; no unit when the header has none."""
    text = folded(header).replace("（", "(")
    match = re.search(r"\(([^)]*)\)\s*$|(?:_|\bin )([a-z°]+)$", text)
    return (unit_of(match[1] or match[2]) if match else NO_UNIT) or NO_UNIT


def _columns(name: str, values: Sequence[tuple[int, Value]], count: int) -> Iterator[Column]:
    concept = _concept(name)
    told = [(number, value) for number, value in values if not _says_nothing(value)]
    flags = [(number, flag_of(value)) for number, value in told]
    is_number = all(isinstance(value, float) or str(value) in ("0", "1") for _, value in told)
    if told and not is_number and _share(flag is not None for _, flag in flags) >= _MOSTLY:
        as_flags = np.full(count, -1, np.int8)
        for number, flag in flags:
            if flag is not None:
                as_flags[number] = flag
        yield Column(name, ColumnKind.FLAG, concept, flags=as_flags)
        return
    known: dict[object, Quantity | None] = {}
    quantities = []
    for number, value in told:
        key = str(value)
        if key not in known:
            known[key] = quantity_of(value, name)
        quantities.append((number, known[key]))
    kinds = Counter(found.unit.kind for _, found in quantities if found is not None)
    if told and kinds.total() / len(told) >= _MOSTLY and (len(kinds) == 1 or "" not in kinds):
        # A capacity may be litres of one product and grams of another: a column for each, the commonest by its name.
        for place, (kind, _) in enumerate(kinds.most_common()):
            yield _quantities(name if not place else f"{name} ({kind})", concept, kind, quantities, count)
        return
    kind, most = kinds.most_common(1)[0] if kinds else ("", 0)
    if told and most / len(told) >= _MOSTLY:
        yield _quantities(name, concept, kind, quantities, count)
    else:
        yield _choices(name, concept, told)


def _quantities(
    name: str, concept: Concept | None, kind: str, found: Sequence[tuple[int, Quantity | None]], count: int
) -> Column:
    low, high = np.full(count, np.nan), np.full(count, np.nan)
    units: Counter[Unit] = Counter()
    for number, quantity in found:
        if quantity is not None and quantity.unit.kind == kind:
            low[number], high[number] = quantity.in_base()
            units[quantity.unit] += 1
    return Column(name, ColumnKind.QUANTITY, concept, units.most_common(1)[0][0], low, high)


def _choices(name: str, concept: Concept | None, told: Sequence[tuple[int, Value]]) -> Column:
    by_value: dict[str, list[int]] = {}
    for number, value in told:
        for part in parts_of(value):
            by_value.setdefault(part, []).append(number)
    short = {value: rows for value, rows in by_value.items() if len(value) <= _LONGEST_CHOICE}
    if not short or len(short) < len(by_value) * _MOSTLY:
        return Column(name, ColumnKind.TEXT, concept)
    choices = {value: np.unique(np.array(rows, np.int64)) for value, rows in short.items()}
    return Column(name, ColumnKind.CHOICE, concept, choices=choices)


def _concept(name: str) -> Concept | None:
    """By the whole header, else by the header without a unit behind it (`capacity_l`)."""
    found = vocabulary().concept(name)
    if found is None and unit_in_header(name) != NO_UNIT:
        found = vocabulary().concept(re.sub(r"(?:_|\s+in\s+)\S+$", "", name))
    return found


def _says_nothing(value: Value) -> bool:
    return isinstance(value, str) and folded(value).strip() in ("", "n/a", "na", "?", "unknown", "未知", "不详")


def _share(values: Iterable[bool]) -> float:
    found = list(values)
    return sum(found) / len(found) if found else 0.0
