"""The products of a knowledge base: the values of its documents' facet `product`.

Owns that the list is read once a change. Does not know how names are recognised (`rag.products.names`).
"""

from collections.abc import Mapping

from sqlalchemy import select

from app.db import Database
from app.facets import PUBLIC
from app.filters import facet_texts
from app.models import Document
from app.passages import WhatAnswers
from rag.products.names import ProductNames
from rag.products.scope import PRODUCT


class KnowledgeBaseProducts:
    """A `rag.products.scope.ProductCatalogue`; safe for threads."""

    def __init__(self, database: Database, knowledge_base_id: str) -> None:
        self._database = database
        self._knowledge_base_id = knowledge_base_id
        self._now = WhatAnswers(database, knowledge_base_id)
        self._read: dict[bool, tuple[int, ProductNames]] = {}

    def names(self, filter: Mapping[str, object]) -> ProductNames:
        """As of the last change: whoever sets a facet raises the number. Raises `NotFound`.

        Those of public documents where the filter wants these: an internal one's product is not spoken of.
        """
        of_public = PUBLIC in filter
        change = self._now.change()
        read = self._read.get(of_public)
        if read is None or read[0] != change:
            products = self._products(of_public)
            # Names are compared with all others when they are prepared: not again for each document that comes.
            known = read[1] if read is not None and set(read[1].products) == products else ProductNames(products)
            read = self._read[of_public] = (change, known)
        return read[1]

    def _products(self, of_public: bool) -> set[str]:
        query = select(Document.facets).where(
            Document.knowledge_base_id == self._knowledge_base_id, Document.version > 0
        )
        query = query.where(Document.is_public) if of_public else query
        with self._database.read() as session:
            return {text for facets in session.scalars(query) for text in facet_texts(facets.get(PRODUCT))} - {""}
