"""What a knowledge base's manuals speak of, in a sample small enough to learn from: headings and passages.

Owns which are taken: the same ones as long as they are there, of all documents. Embeds nothing; passages come with the
vectors that they have in storage.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select

from app.db import Database, in_parts
from app.models import Document, KnowledgeBase, PassageVectors
from app.models import Passage as PassageRow
from app.passages import SqlPassageStore, unpack_vectors

MOST_PASSAGES = 400
LEAST_PASSAGES = 20
"""With fewer it is not known what they have in common."""

_LONGEST_HEADING = 200
_ROWS_AT_ONCE = 400
_SCATTER = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True)
class Manuals:
    """`headings` differ; `passages` are vectors, float32 [passages, dimension]. `digest` is that of what was taken."""

    headings: tuple[str, ...]
    passages: NDArray[np.float32]
    digest: str


def manuals_of(database: Database, knowledge_base: KnowledgeBase) -> Manuals | None:
    """Of the generation that answers; None where there is too little. The headings are those of the passages taken."""
    generation = knowledge_base.generation
    store = SqlPassageStore(database, knowledge_base.id, generation.id, generation.dimension)
    keys = _sampled(store.live_keys())
    query = (
        select(PassageRow.key, PassageRow.heading_path, Document.title, PassageVectors.vectors)
        .join(Document, Document.key == PassageRow.document_key)
        .join(PassageVectors, PassageVectors.passage_key == PassageRow.key)
        .order_by(PassageRow.key)
    )
    with database.read() as session:
        rows = [
            row
            for some in in_parts(keys, _ROWS_AT_ONCE)
            for row in session.execute(query.where(PassageRow.key.in_(some)))
        ]
    if len(rows) < LEAST_PASSAGES:
        return None
    named = (str(path[-1]) if path else title for _, path, title, _ in rows)
    headings = tuple(dict.fromkeys(heading for each in named if (heading := each.strip()[:_LONGEST_HEADING])))
    passages = np.stack([unpack_vectors(row.vectors, generation.dimension)[-1] for row in rows]).astype(np.float32)
    digest = hashlib.sha256("\n".join(headings).encode() + passages.tobytes()).hexdigest()
    return Manuals(headings, passages, digest)


def _sampled(keys: NDArray[np.int64]) -> list[int]:
    """Scattered evenly, and mostly the same ones when others come or go; ascending."""
    order = np.argsort(keys.astype(np.uint64) * _SCATTER, kind="stable")
    return sorted(keys[order[:MOST_PASSAGES]].tolist())
