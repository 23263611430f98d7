"""From the rows of a file to products: which column is what, and what is wrong with which row.

Owns the meaning of columns and the bounds of values. A file with any mistake is refused as a whole, with the rows: a
catalogue that silently lacks products, or sells them at no price, is worse than yesterday's.
"""

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from app.db import storable_text
from app.service.catalogue.errors import MOST_TOLD, BadCatalogue, RowProblem
from app.service.catalogue.products import Item, Value
from app.service.catalogue.quantities import MONEY, folded, quantity_in, unit_of
from app.service.catalogue.rows import Record, records
from app.service.catalogue.vocabulary import plain, vocabulary

_LONGEST = {"sku": 100, "name": 500, "url": 2000, "description": 20_000}
_LONGEST_VALUE = 1_000
_LONGEST_HEADER = 100
_MOST_MEMBERS = 50
_MOST_STOCK = 2**31 - 1
_DEAREST = 1e12
_NOT_IN_TEXTS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_AVAILABLE = frozenset({"in stock", "available", "有货", "现货", "充足"})
_GONE = frozenset({"out of stock", "sold out", "unavailable", "无货", "缺货", "售罄"})


def read_catalogue(path: Path, name: str) -> list[Item]:
    """The products of a file, in its order. `name` tells the format. Raises `BadCatalogue` with the rows."""
    problems: list[RowProblem] = []
    rows_of_sku: dict[str, int] = {}
    items: list[Item] = []
    count = 0
    for record in records(path, name):
        found = list(_read(record, items, rows_of_sku))
        count += len(found)
        problems += found[: MOST_TOLD - len(problems)]
    if not items and not count:
        problems, count = [RowProblem(0, "", "has no products: a header and at least one row are needed")], 1
    if problems:
        raise BadCatalogue(name, problems, count)
    return items


class _Bad(Exception):
    """A value that cannot be used; the message is the reason."""


def _read(record: Record, items: list[Item], rows_of_sku: dict[str, int]) -> Iterator[RowProblem]:
    """Adds the record's product to `items`, or tells what is wrong with it."""
    standard: dict[str, tuple[str, Any]] = {}
    attributes: dict[str, Value] = {}
    problems: list[RowProblem] = []
    for header, value in record.values.items():
        try:
            column = vocabulary().column(header)
            if column is not None and column not in standard:
                standard[column] = (header, value)
            else:
                attributes[_text(header, _LONGEST_HEADER)] = _attribute(value)
        except _Bad as error:
            problems.append(RowProblem(record.number, header[:_LONGEST_HEADER], str(error)))

    def told(column: str, make: Any, default: Any = None) -> Any:
        if column not in standard:
            return default
        header, value = standard[column]
        try:
            return make(value)
        except _Bad as error:
            problems.append(RowProblem(record.number, header, str(error)))
            return default

    sku = told("sku", lambda value: _text(value, _LONGEST["sku"]), "")
    name = told("name", lambda value: _text(value, _LONGEST["name"]), "")
    for column, value in (("sku", sku), ("name", name)):
        if not value and column not in standard:
            problems.append(RowProblem(record.number, column, f"is missing: every product needs a {column}"))
    if sku and rows_of_sku.setdefault(sku, record.number) != record.number:
        problems.append(RowProblem(record.number, "sku", f"{sku!r} is also in row {rows_of_sku[sku]}"))
    price, currency = told("price", lambda value: _price(value, standard["price"][0]), (None, ""))
    stated = told("currency", _currency, "")
    if stated and currency and stated != currency:
        problems.append(RowProblem(record.number, "price", f"is in {currency}, but the currency says {stated}"))
    description = told("description", lambda value: _text(value, _LONGEST["description"]), "")
    url = told("url", _url, "")
    stock = told("stock", _stock)
    if problems:
        yield from problems
        return
    items.append(Item(sku, name, description, attributes, price, stated or currency, stock, url))


def _text(value: Any, longest: int) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise _Bad("must be a text")
    text = str(value).strip()
    if text.startswith("="):
        raise _Bad(f"holds a formula instead of a value: {text[:40]!r}")
    if _NOT_IN_TEXTS.search(text):
        raise _Bad("holds control characters")
    if len(text) > longest:
        raise _Bad(f"is longer than {longest:,} characters")
    try:
        return storable_text(text)
    except ValueError as error:
        raise _Bad(str(error)) from error


def _attribute(value: Any) -> Value:
    match value:
        case bool():
            return value
        case int() | float():
            if not math.isfinite(value) or abs(value) > 1e15:
                raise _Bad("is no number that can be computed with")
            return float(value)
        case str():
            return _text(value, _LONGEST_VALUE)
        case list():
            if len(value) > _MOST_MEMBERS:
                raise _Bad(f"has more than {_MOST_MEMBERS} members")
            return [_text(each, _LONGEST_VALUE) for each in value]
    raise _Bad("must be a text, a number, true, false or a list of texts")


def _price(value: Any, header: str) -> tuple[float, str]:
    """The price and its currency, as far as value or header (`price (EUR)`, `price_usd`) say it."""
    in_header = _unit_in_header(header)
    if isinstance(value, int | float) and not isinstance(value, bool):
        amount, currency = float(value), in_header
    else:
        quantity = quantity_in(_text(value, 60))
        if quantity is None or quantity.low != quantity.high or quantity.unit.kind not in ("", MONEY):
            raise _Bad(f"{str(value)[:40]!r} is not a price: write it like 1299.00, or like 1,299.00 EUR")
        amount, currency = quantity.low, quantity.unit.name or in_header
    if not math.isfinite(amount) or not 0 <= amount <= _DEAREST:
        raise _Bad(f"{str(value)[:40]!r} is not a price: it must be a number from 0 to {_DEAREST:,.0f}")
    return amount, currency


def _unit_in_header(header: str) -> str:
    text = folded(header).replace("（", "(").replace("）", ")")
    for part in (*re.findall(r"\(([^)]*)\)", text), *re.findall(r"[_/ ]([^\s_/()]+)$", text)):
        unit = unit_of(part)
        if unit is not None and unit.kind == MONEY:
            return unit.name
    return ""


def _currency(value: Any) -> str:
    text = _text(value, 8)
    unit = unit_of(folded(text))
    if unit is not None and unit.kind == MONEY:
        return unit.name
    if not re.fullmatch(r"[A-Za-z]{3}", text):
        raise _Bad(f"{text!r} is not a currency: write its code, like EUR")
    return text.upper()


def _stock(value: Any) -> int | None:
    if isinstance(value, bool):
        return None if value else 0
    text = plain(str(value))
    if text in _GONE or text in vocabulary().no:
        return 0
    if text in _AVAILABLE or text in vocabulary().yes - {"1"}:
        return None  # there is some, nobody knows how much
    try:
        number = float(text.replace(",", ""))
    except ValueError as error:
        raise _Bad(f"{str(value)[:40]!r} is not a number of pieces") from error
    if not math.isfinite(number) or number != int(number) or not 0 <= number <= _MOST_STOCK:
        raise _Bad(f"{str(value)[:40]!r} is not a whole number of pieces from 0 on")
    return int(number)


def _url(value: Any) -> str:
    text = _text(value, _LONGEST["url"])
    if not re.fullmatch(r"https?://[^\s<>\"']+|/[^\s<>\"'/][^\s<>\"']*|/", text):
        raise _Bad(f"{text[:60]!r} is not a web address beginning with http:// or https://")
    return text
