"""Two products attribute by attribute, with units normalised.

Owns when two values are the same. Knows no storage.
"""

from app.service.catalogue.facts import flag_of, parts_of, quantity_of
from app.service.catalogue.products import ComparedProducts, ComparedRow, FoundProduct, Value
from app.service.catalogue.vocabulary import is_name

_ROUNDING = 1e-9


def compared(a: FoundProduct, b: FoundProduct) -> ComparedProducts:
    """All attributes that either has: price and stock first, then in the order of `a`, then what only `b` has.

    Names in other languages are none of them.
    """
    rows = [_row("price", a.price, b.price, a.currency if a.currency == b.currency else "")]
    if a.currency != b.currency and a.price is not None and b.price is not None:
        rows = [ComparedRow("price", f"{a.price:g} {a.currency}".strip(), f"{b.price:g} {b.currency}".strip(), None)]
    stocks = [float(each) if each is not None else None for each in (a.stock, b.stock)]
    rows.append(_row("stock", stocks[0], stocks[1]))
    for name in dict.fromkeys((*a.attributes, *b.attributes)):
        if is_name(name):  # they stand above
            continue
        rows.append(_row(name, a.attributes.get(name), b.attributes.get(name)))
    return ComparedProducts(a, b, tuple(rows))


def _row(name: str, a: Value | None, b: Value | None, unit: str = "") -> ComparedRow:
    if a is None or b is None:
        return ComparedRow(name, a, b, None)
    one, other = quantity_of(a, name), quantity_of(b, name)
    if one is not None and other is not None and one.unit.kind == other.unit.kind:
        (low, high), (low_b, high_b) = one.in_base(), other.in_base()
        room = _ROUNDING * max(abs(high), abs(high_b), 1e-12)
        is_different = abs(low - low_b) > room or abs(high - high_b) > room
        is_plain = low == high and low_b == high_b
        difference = float(f"{(low_b - low) / one.unit.factor:.10g}") if is_plain else None
        return ComparedRow(name, a, b, is_different, difference, one.unit.name or unit)
    flags = flag_of(a), flag_of(b)
    if None not in flags:
        return ComparedRow(name, a, b, flags[0] != flags[1])
    return ComparedRow(name, a, b, set(parts_of(a)) != set(parts_of(b)))
