"""Products as a flow tells them: a line of a list, a cell of a comparison, a choice to pick from."""

from collections.abc import Mapping, Sequence
from typing import Any

from app.service.flows import texts, words
from rag.language import Language

COMPARED: dict[Language, str] = {"en": "Compared", "zh": "对比"}
"""Above the attributes of two products that are compared."""


def line(product: Mapping[str, Any], language: Language) -> str:
    """Its name, what it costs, and whether there is any, as far as that is known."""
    price, stock = product.get("price"), product.get("stock")
    told = [texts.shown(product.get("name") or product.get("sku"), language)]
    if isinstance(price, int | float):
        told.append(f"{price:,.2f} {product.get('currency') or ''}".strip())
    if isinstance(stock, int):
        told.append(words.PHRASES[language].in_stock if stock > 0 else words.PHRASES[language].sold_out)
    return " · ".join(told)


def row(cells: Sequence[object], language: Language) -> str:
    """A row of a comparison; a bar in a cell would begin the next one."""
    return " | ".join(_cell(each, language) for each in cells)


def option(product: Mapping[str, Any]) -> dict[str, Any]:
    """A product as a choice may be made of it."""
    return {"value": str(product.get("sku") or product.get("name")), "label": product.get("name"), **product}


def _cell(value: object, language: Language) -> str:
    if value == "":
        return COMPARED[language]
    return texts.shown("–" if value is None else value, language).replace("|", "/")
