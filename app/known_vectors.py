"""The vectors that the stored versions of documents have, by what was embedded.

Owns how a new version finds them. In memory is, of the documents under way, which passage has which text: 16 bytes a
text, 3 MB for 20,000 pages; the vectors themselves are read for one batch at a time. Only the documents' own last
version is looked at: a text that moves to another document is embedded again, for to find it there would take an index
over every text of the knowledge base. Does not know how texts are hashed.
"""

from collections.abc import Collection, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select

from app.db import Database, in_parts
from app.models import Document, Generation, Passage, PassageVectors
from app.passages import unpack_vectors

_HASH_LENGTH = 16  # `ingestion.waiting.HASH_LENGTH`; as two numbers of 8 bytes


class StoredVectors:
    """Of one knowledge base, and of one embedder in whatever generation. For the documents of one job."""

    def __init__(self, database: Database, knowledge_base_id: str, embedder: str) -> None:
        """`embedder` is the identity of the model that the vectors come from."""
        self._database = database
        self._knowledge_base_id = knowledge_base_id
        self._embedder = embedder
        self._documents: frozenset[str] = frozenset()
        self._heads = np.empty(0, np.uint64)  # the first halves of the texts' hashes, ascending
        self._passages = np.empty(0, np.int64)  # the passage that has the text

    def find(self, external_ids: Collection[str], text_hashes: Collection[bytes]) -> dict[bytes, NDArray[np.float16]]:
        """See `ingestion.pipeline.Sink.known_vectors`. Documents that were asked for the last time are not read again.

        A passage that has been removed meanwhile is not found.
        """
        documents = frozenset(external_ids)
        if documents != self._documents:
            self._look_into(documents)
        found: dict[bytes, NDArray[np.float16]] = {}
        for hashes, vectors in self._read(self._passages_with(text_hashes)):
            found.update((name, vector) for name, vector in zip(hashes, vectors, strict=True) if name in text_hashes)
        return found

    def _look_into(self, documents: frozenset[str]) -> None:
        keys: list[int] = []
        hashes: list[bytes] = []
        with self._database.read() as session:
            for some in in_parts(documents):
                query = (
                    select(PassageVectors.passage_key, PassageVectors.text_hashes)
                    .join(Passage, Passage.key == PassageVectors.passage_key)
                    .join(Document, Document.key == Passage.document_key)
                    .join(Generation, Generation.id == Passage.generation_id)
                    .where(Generation.embedder == self._embedder)
                    .where(Document.knowledge_base_id == self._knowledge_base_id, Document.external_id.in_(some))
                )
                for key, of_passage in session.execute(query):
                    if of_passage:
                        keys.append(key)
                        hashes.append(of_passage)
        passages = np.repeat(np.array(keys, np.int64), [len(each) // _HASH_LENGTH for each in hashes])
        heads = _heads(hashes)
        order = np.argsort(heads, kind="stable")
        self._documents, self._heads, self._passages = documents, heads[order], passages[order]

    def _passages_with(self, text_hashes: Collection[bytes]) -> list[int]:
        """A passage for each text whose hash begins like one that is stored."""
        wanted = _heads(text_hashes)
        places = np.searchsorted(self._heads, wanted)
        is_inside = places < len(self._heads)
        places, wanted = places[is_inside], wanted[is_inside]
        keys: list[int] = np.unique(self._passages[places[self._heads[places] == wanted]]).tolist()
        return keys

    def _read(self, keys: Sequence[int]) -> Iterator[tuple[list[bytes], NDArray[np.float16]]]:
        """Hashes and vectors of each of these passages that is still there."""
        columns = (PassageVectors.text_hashes, PassageVectors.vectors)
        for some in in_parts(keys):
            with self._database.read() as session:
                rows = session.execute(select(*columns).where(PassageVectors.passage_key.in_(some))).all()
            for hashes, packed in rows:
                if not hashes:
                    continue
                names = [hashes[at : at + _HASH_LENGTH] for at in range(0, len(hashes), _HASH_LENGTH)]
                yield names, unpack_vectors(packed, len(packed) // len(names) // np.dtype(np.float16).itemsize)


def _heads(hashes: Collection[bytes]) -> NDArray[np.uint64]:
    return np.frombuffer(b"".join(hashes), "<u8")[::2].astype(np.uint64)
