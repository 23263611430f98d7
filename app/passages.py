"""The SQL side of an index: changes since a number, vectors, and passages by key.

Owns `SqlPassageStore`, which is what `rag` gets as its `PassageStore`, the change numbers, and how vectors and source
maps are packed into bytes. `change` and `hydrate` lie on the way of every question, so they select columns and build
no entities. Knows nothing of FAISS, Tantivy or HTTP.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Row, and_, bindparam, or_, select, update
from sqlalchemy.orm import Session

from app.db import Database
from app.errors import NotFound
from app.facets import PUBLIC
from app.filters import FacetIndex, wanted_texts
from app.models import Document, Generation, KnowledgeBase, PassageVectors, Removal
from app.models import Passage as PassageRow
from rag.types import IndexedPassage, Passage, PassageChanges, Span, Vectors

_BATCH = 512  # passages read at once: a few megabytes of vectors

_COLUMN_FIELDS: Mapping[str, Any] = {
    "document_id": Document.id,
    "external_id": Document.external_id,
    "title": Document.title,
    "language": Document.language,
    "media_type": Document.media_type,
}

_CHANGE = select(Generation.change).where(Generation.id == bindparam("generation_id"))
_CHANGE_THAT_ANSWERS = (
    select(Generation.change)
    .join(KnowledgeBase, KnowledgeBase.generation_id == Generation.id)
    .where(KnowledgeBase.id == bindparam("knowledge_base_id"))
)

_PASSAGE_COLUMNS = (
    PassageRow.key,
    PassageRow.id,
    PassageRow.document_key,
    Document.id,
    Document.version,
    Document.external_id,
    Document.title,
    PassageRow.heading_path,
    PassageRow.spans,
    PassageRow.page_label,
    PassageRow.text,
    PassageRow.windows,
    PassageRow.ordinal,
    Document.facets,
    Document.language,
)

PASSAGES = select(*_PASSAGE_COLUMNS).join(Document, Document.key == PassageRow.document_key)
"""Rows from which `passage_from_row` makes passages; add conditions and an order."""

_HYDRATE = PASSAGES.where(
    PassageRow.key.in_(bindparam("keys", expanding=True)),
    PassageRow.generation_id == bindparam("generation_id"),
    PassageRow.excluded.is_(None),
)


@dataclass(slots=True)
class SqlPassageStore:
    """One generation's passages. Every call is a transaction of its own and sees what is committed.

    `dimension` is that of its vectors. May be used by several threads at once.
    """

    database: Database
    knowledge_base_id: str
    generation_id: str
    dimension: int
    _facets: tuple[int, FacetIndex] | None = field(default=None, repr=False)

    def change(self) -> int:
        """The last change that concerned it. Raises `NotFound` when the generation has been deleted."""
        with self.database.read() as session:
            return self._change(session)

    def changes_since(self, change: int) -> Iterator[PassageChanges]:
        """Changes after `change` up to the number at the first call, in batches of at most 512 passages.

        No transaction stays open between batches. A batch that ends amid a change bears the number before it, so
        that whoever stops there misses nothing. Removals come with the first batch, and none from 0: then all that
        lives is listed, for a reader that begins anew. A passage removed meanwhile is left out; its removal has a
        later number.
        """
        with self.database.read() as session:
            target = self._change(session)
            removed = self._removed(session, change, target) if change else []
            batch = self._added(session, change, -1, target)
        while len(batch) == _BATCH:
            last_change, last_key = batch[-1].added_change, batch[-1].key
            yield PassageChanges(max(change, last_change - 1), [self._indexed(row) for row in batch], removed)
            removed = []
            with self.database.read() as session:
                batch = self._added(session, last_change, last_key, target)
        if target > change or batch or removed:
            yield PassageChanges(target, [self._indexed(row) for row in batch], removed)

    def live_keys(self) -> NDArray[np.int64]:
        """Keys of all passages but the excluded ones, ascending, int64 [passages]."""
        query = select(PassageRow.key).where(self._found())
        with self.database.read() as session:
            return np.array(session.scalars(query.order_by(PassageRow.key)).all(), dtype=np.int64)

    def hydrate(self, keys: Sequence[int]) -> dict[int, Passage]:
        """The passages among `keys` that live, with their documents' columns, by one statement."""
        if not keys:
            return {}
        values = {"keys": [int(key) for key in keys], "generation_id": self.generation_id}
        with self.database.read() as session:
            rows = session.connection().execute(_HYDRATE, values).all()
        return {row[0]: passage_from_row(row) for row in rows}

    def document_keys(self, filter: Mapping[str, object]) -> NDArray[np.int64] | None:
        """Keys of the documents that satisfy every field of `filter`, ascending, or None for an empty filter.

        A field is one of the document's columns (document_id, external_id, title, language, media_type, is_public) or
        a facet;
        its value is a scalar or a list of them, any of which will do. Values are compared as text, so that 2 finds
        "2"; a document whose facet is a list satisfies by any member. Raises `UnknownFilter` for a field that no
        document has and for values that are not scalars.
        """
        if not filter:
            return None
        wanted = wanted_texts(filter)
        columns = {field: wanted.pop(field) for field in _COLUMN_FIELDS if field in wanted}
        with self.database.read() as session:
            admitted = self._facet_index(session).admitted(wanted) if wanted else None
            if columns:
                conditions = [_COLUMN_FIELDS[field].in_(texts) for field, texts in columns.items()]
                of_base = Document.knowledge_base_id == self.knowledge_base_id
                found = set(session.scalars(select(Document.key).where(of_base, *conditions)))
                admitted = found if admitted is None else admitted & found
        return np.array(sorted(admitted or ()), dtype=np.int64)

    def _facet_index(self, session: Session) -> FacetIndex:
        """Kept until the next change: whoever sets facets raises the number."""
        change = self._change(session)
        if self._facets is None or self._facets[0] != change:
            query = select(Document.key, Document.facets, Document.is_public).where(
                Document.knowledge_base_id == self.knowledge_base_id, Document.version > 0
            )
            rows = session.execute(query)
            # The mark comes last: a facet of its name, which a file may state, does not count.
            self._facets = (change, FacetIndex((key, {**facets, PUBLIC: is_public}) for key, facets, is_public in rows))
        return self._facets[1]

    def _found(self) -> ColumnElement[bool]:
        """Passages that can be found: no filter has excluded them."""
        return and_(PassageRow.generation_id == self.generation_id, PassageRow.excluded.is_(None))

    def _change(self, session: Session) -> int:
        found = session.connection().execute(_CHANGE, {"generation_id": self.generation_id}).scalar()
        if found is None:
            raise NotFound(
                "This generation of the knowledge base has been deleted.", {"generation": self.generation_id}
            )
        return int(found)

    def _removed(self, session: Session, change: int, target: int) -> list[int]:
        of_base = Removal.knowledge_base_id == self.knowledge_base_id
        query = select(Removal.passage_key).where(of_base, Removal.change > change, Removal.change <= target)
        return list(session.scalars(query.order_by(Removal.change, Removal.passage_key)))

    def _added(self, session: Session, change: int, key: int, target: int) -> Sequence[Row[Any]]:
        """At most 512 rows after (change, key); a key of -1 means after the whole of `change`."""
        after: ColumnElement[bool] = PassageRow.added_change > change
        if key >= 0:
            after = or_(after, and_(PassageRow.added_change == change, PassageRow.key > key))
        query = (
            select(
                PassageRow.key,
                PassageRow.added_change,
                PassageRow.document_key,
                Document.title,
                PassageRow.heading_path,
                PassageRow.text,
                PassageRow.windows,
                PassageVectors.vectors,
            )
            .join(Document, Document.key == PassageRow.document_key)
            .join(PassageVectors, PassageVectors.passage_key == PassageRow.key)
            .where(self._found(), after, PassageRow.added_change <= target)
            .order_by(PassageRow.added_change, PassageRow.key)
            .limit(_BATCH)
        )
        return session.execute(query).all()

    def _indexed(self, row: Row[Any]) -> IndexedPassage:
        words = index_words(row.title, row.heading_path, row.text)
        front = len(words) - len(row.text)
        return IndexedPassage(
            key=row.key,
            document_key=row.document_key,
            words=words,
            vectors=unpack_vectors(row.vectors, self.dimension),
            window_starts=tuple(front + start for start, _ in row.windows),
        )


@dataclass(frozen=True, slots=True)
class WhatAnswers:
    """The change number of whichever generation of a knowledge base answers now."""

    database: Database
    knowledge_base_id: str

    def change(self) -> int:
        """Another one whenever an answer could be another: a switch raises it too. Raises `NotFound`."""
        values = {"knowledge_base_id": self.knowledge_base_id}
        with self.database.read() as session:
            found = session.connection().execute(_CHANGE_THAT_ANSWERS, values).scalar()
        if found is None:
            raise NotFound("The knowledge base has been deleted.", {"knowledge_base": self.knowledge_base_id})
        return int(found)


def raise_change(session: Session, knowledge_base_id: str, generation_id: str | None = None) -> int:
    """Raises the change number and holds the row's lock until the transaction ends; the new number.

    Whoever changes passages calls it first: the lock makes numbers follow the order of commits. It concerns every
    generation, because a document that changes is taken from all, unless it is only about one of them.
    Raises `NotFound` when the knowledge base has been deleted.
    """
    raised = session.scalar(
        update(KnowledgeBase)
        .where(KnowledgeBase.id == knowledge_base_id)
        .values(change=KnowledgeBase.change + 1)
        .returning(KnowledgeBase.change)
        .execution_options(synchronize_session=False)
    )
    if raised is None:
        raise NotFound("The knowledge base has been deleted.", {"knowledge_base": knowledge_base_id})
    concerned = Generation.id == generation_id if generation_id else Generation.knowledge_base_id == knowledge_base_id
    session.execute(
        update(Generation).where(concerned).values(change=raised).execution_options(synchronize_session=False)
    )
    return raised


def passage_from_row(row: Sequence[Any]) -> Passage:
    """A passage from a row of `PASSAGES`."""
    key, id_, document_key, document_id, version, external_id, title, *of_passage = row
    headings, spans, page_label, text, windows, ordinal, facets, language = of_passage
    return Passage(
        key=key,
        id=id_,
        document_key=document_key,
        document_id=document_id,
        document_version=version,
        external_id=external_id,
        title=title,
        heading_path=tuple(headings),
        spans=tuple([Span(*span) for span in spans]),
        page_label=page_label,
        text=text,
        windows=tuple([(start, end) for start, end in windows]),
        ordinal=ordinal,
        facets=facets,
        language=language,
    )


def index_words(title: str, heading_path: Sequence[str], text: str) -> str:
    """What the word index is fed with: title, headings and text, one a line."""
    return "\n".join((title, *heading_path, text))


def pack_vectors(vectors: NDArray[Any]) -> bytes:
    """[rows, dimension] as little-endian float16 in C order."""
    return np.ascontiguousarray(vectors, dtype="<f2").tobytes()


def unpack_vectors(packed: bytes, dimension: int) -> Vectors:
    """float16 [rows, dimension], read-only, sharing the bytes' memory."""
    return np.frombuffer(packed, dtype="<f2").reshape(-1, dimension)
