"""What flows reach through the desk: the manuals, the catalogue, decision tables, HTTP and secrets.

Owns the binding of `FlowTools` to one knowledge base and one message.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

import httpx

from app.bootstrap import Chain, Services
from app.errors import Conflict
from app.models import KnowledgeBase
from app.scope import Scope
from app.service.catalogue.catalogue import Catalogue
from app.service.catalogue.products import ATTRIBUTES_SHOWN, ComparedRow, Value
from app.service.catalogue.vocabulary import is_name, vocabulary
from app.service.decisions.decisions import Decision
from app.service.handoff.opening import service_settings
from app.settings import secret
from rag.language import Language
from rag.types import Answer, Question


class DeskTools:
    """`app.service.flows.turn.FlowTools` for one message."""

    def __init__(self, services: Services, knowledge_base: KnowledgeBase, chain: Chain, question: Question) -> None:
        self._services = services
        self._knowledge_base = knowledge_base
        self._chain = chain
        self._question = question

    def answer(self, question: str) -> Answer:
        """The manuals' answer, among the documents that this customer may see. Raises `rag.errors.RagError`."""
        return self._chain.answer(replace(self._question, text=question, history=(), images=()))

    def search_products(self, text: str, *, limit: int, language: Language) -> Sequence[Mapping[str, Any]]:
        """Raises `Conflict` when the knowledge base names no catalogue."""
        found = self._catalogue().search(text, limit=limit, language=language)
        return [{**each.as_json(), ATTRIBUTES_SHOWN: _shown(each.attributes, language)} for each in found.products]

    def compare_products(self, text: str, *, language: Language) -> Sequence[Sequence[object]]:
        """The table of the two products that a text names and compares: a head, then a row an attribute; else empty.

        Raises `Conflict` when the knowledge base names no catalogue.
        """
        found = self._catalogue().comparison_in(text, language=language)
        if found is None:
            return ()
        rows = [
            (vocabulary().label(row.attribute, language), *(_with_unit(each, row) for each in (row.a, row.b)))
            for row in found.rows
            if (row.a, row.b) != (None, None)
        ]
        return [("", found.a.name, found.b.name), *rows]

    def decide(self, table: str, features: Mapping[str, Any]) -> Decision:
        """Raises `NotFound` when there is no such table, and `Undecided` or `BadTable` when it cannot decide."""
        return self._services.decisions.evaluate(table, features)

    def http(self) -> httpx.Client:
        """One client for all calls of this process."""
        return self._services.http

    def secret(self, name: str) -> str | None:
        return secret(name)

    def timezone(self) -> ZoneInfo | None:
        """That of the office hours, None without any."""
        hours = service_settings(self._knowledge_base).office_hours
        return ZoneInfo(hours.timezone) if hours is not None else None

    def _catalogue(self) -> Catalogue:
        named = service_settings(self._knowledge_base).catalogue
        if named is None:
            raise Conflict("This knowledge base names no catalogue: set service.catalogue in its settings.")
        with self._services.database.read() as session:
            scope = Scope(workspace_id=self._knowledge_base.workspace_id)
            catalogue = scope.knowledge_base(session, named)
        return self._services.catalogues.of(catalogue)


def _shown(attributes: Mapping[str, Value], language: Language) -> dict[str, Value]:
    """Attributes by names that readers of the language know; a product's names are none of them."""
    names = vocabulary()
    return {names.label(name, language): value for name, value in attributes.items() if not is_name(name)}


def _with_unit(value: Value | None, row: ComparedRow) -> Value | None:
    """A price with its currency, which only the row knows; what else is a number stands as the file has it."""
    is_price = row.attribute == "price" and isinstance(value, int | float) and row.unit
    return f"{value:,.2f} {row.unit}" if is_price else value
