"""What a knowledge base's documents are and how they are divided: the SQL side of `rag.overview`.

Owns three statements on the generation that answers. Does not know which headings are told.
"""

from collections.abc import Mapping, Sequence

from sqlalchemy import and_, func, select

from app.db import Database, in_parts
from app.errors import NotFound
from app.models import Document, KnowledgeBase
from app.models import Passage as PassageRow
from app.passages import SqlPassageStore
from rag.overview import Headed, Listed
from rag.types import Passage

_DOCUMENTS_AT_ONCE = 500


class SqlContents:
    """`rag.overview.Contents` of one knowledge base; safe for threads."""

    def __init__(self, database: Database, knowledge_base_id: str) -> None:
        self._database = database
        self._knowledge_base_id = knowledge_base_id

    def documents(self, filter: Mapping[str, object]) -> Sequence[Listed]:
        """As `Contents.documents`. Raises also `NotFound` when the knowledge base has been deleted."""
        store = self._store()
        admitted = store.document_keys(filter)
        found: list[Listed] = []
        for keys in in_parts(admitted.tolist(), _DOCUMENTS_AT_ONCE) if admitted is not None else [None]:
            found += self._listed(store.generation_id, keys)
        return sorted(found, key=lambda each: (each.title.casefold(), each.key))

    def headings(self, document_key: int) -> Sequence[Headed]:
        """As `Contents.headings`; passages that a filter excludes are left out."""
        query = (
            select(PassageRow.key, PassageRow.heading_path)
            .where(
                PassageRow.document_key == document_key,
                PassageRow.generation_id == self._store().generation_id,
                PassageRow.excluded.is_(None),
            )
            .order_by(PassageRow.ordinal)
        )
        with self._database.read() as session:
            return [Headed(key, tuple(path)) for key, path in session.execute(query)]

    def passages(self, keys: Sequence[int]) -> Mapping[int, Passage]:
        return self._store().hydrate(keys)

    def _listed(self, generation_id: str, keys: Sequence[int] | None) -> list[Listed]:
        """Of all documents, or of those with `keys`, the ones with passages."""
        found = and_(PassageRow.generation_id == generation_id, PassageRow.excluded.is_(None))
        first = (
            select(PassageRow.document_key, func.min(PassageRow.ordinal).label("ordinal"))
            .where(found, *([PassageRow.document_key.in_(keys)] if keys is not None else []))
            .group_by(PassageRow.document_key)
            .subquery()
        )
        query = (
            select(Document.key, Document.title, PassageRow.key)
            .join(first, first.c.document_key == Document.key)
            .join(
                PassageRow, and_(PassageRow.document_key == Document.key, PassageRow.ordinal == first.c.ordinal, found)
            )
        )
        with self._database.read() as session:
            return [Listed(*row) for row in session.execute(query)]

    def _store(self) -> SqlPassageStore:
        """Of the generation that answers now; without vectors, which nothing here looks at."""
        with self._database.read() as session:
            row = session.get(KnowledgeBase, self._knowledge_base_id)
            if row is None:
                raise NotFound("The knowledge base has been deleted.", {"knowledge_base": self._knowledge_base_id})
            return SqlPassageStore(self._database, row.id, row.generation_id, dimension=0)
