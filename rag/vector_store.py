"""FAISS as a LangChain `VectorStore`, for chains that bring their own documents.

A thin adapter with its own documents, all in memory. The product's knowledge bases do not use it: theirs is
`rag.index`, which is derived from storage and also knows words.
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any
from uuid import uuid4

import faiss
import numpy as np
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore
from numpy.typing import NDArray

DocumentFilter = Callable[[Document], bool]


class FaissVectorStore(VectorStore):
    """Documents compared by the cosine of their embeddings, exactly. Safe for many threads."""

    def __init__(self, embedding: Embeddings) -> None:
        self._embedding = embedding
        self._lock = threading.Lock()
        self._index: faiss.IndexIDMap2 | None = None  # made with the first vector, which says how long they are
        self._documents: dict[str, Document] = {}
        self._number_of: dict[str, int] = {}
        self._id_of: dict[int, str] = {}
        self._next_number = 0

    @property
    def embeddings(self) -> Embeddings:
        return self._embedding

    @classmethod
    def from_texts(
        cls,
        texts: list[str],
        embedding: Embeddings,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        **_: Any,
    ) -> "FaissVectorStore":
        store = cls(embedding)
        store.add_texts(texts, metadatas, ids=ids)
        return store

    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        **_: Any,
    ) -> list[str]:
        """Embeds and adds texts; one with the id of an earlier one replaces it. Returns the ids."""
        texts = list(texts)
        metadatas = metadatas or [{} for _ in texts]
        given: Sequence[str | None] = ids or [None] * len(texts)
        documents = [
            Document(id=id or str(uuid4()), page_content=text, metadata=metadata)
            for text, metadata, id in zip(texts, metadatas, given, strict=True)
        ]
        return self._add(documents)

    def add_documents(self, documents: list[Document], *, ids: list[str] | None = None, **_: Any) -> list[str]:
        """Embeds and adds documents under `ids`, else their own ids, else new ones. Returns the ids."""
        given: Sequence[str | None] = ids or [document.id for document in documents]
        return self._add(
            [
                Document(id=id or str(uuid4()), page_content=document.page_content, metadata=dict(document.metadata))
                for document, id in zip(documents, given, strict=True)
            ]
        )

    def delete(self, ids: list[str] | None = None, **_: Any) -> bool:
        """Removes documents; ids that are not there are passed over. None removes all."""
        with self._lock:
            self._remove(list(self._documents) if ids is None else ids)
        return True

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """Copies of the documents that are there, in the order of `ids`."""
        with self._lock:
            return [self._documents[id].model_copy(deep=True) for id in ids if id in self._documents]

    def similarity_search(
        self, query: str, k: int = 4, *, filter: DocumentFilter | None = None, **_: Any
    ) -> list[Document]:
        return [document for document, _ in self.similarity_search_with_score(query, k, filter=filter)]

    def similarity_search_with_score(
        self, query: str, k: int = 4, *, filter: DocumentFilter | None = None, **_: Any
    ) -> list[tuple[Document, float]]:
        """The `k` nearest documents that `filter` admits, with their cosines, best first."""
        return self._search(self._embedding.embed_query(query), k, filter)

    def similarity_search_by_vector(
        self, embedding: list[float], k: int = 4, *, filter: DocumentFilter | None = None, **_: Any
    ) -> list[Document]:
        return [document for document, _ in self._search(embedding, k, filter)]

    def _select_relevance_score_fn(self) -> Callable[[float], float]:
        return lambda cosine: (1 + cosine) / 2

    def _add(self, documents: list[Document]) -> list[str]:
        if not documents:
            return []
        vectors = _normalised(self._embedding.embed_documents([document.page_content for document in documents]))
        latest = {str(document.id): position for position, document in enumerate(documents)}
        with self._lock:
            self._remove(latest)
            if self._index is None:
                self._index = faiss.IndexIDMap2(faiss.IndexFlatIP(vectors.shape[1]))
            numbers = np.arange(self._next_number, self._next_number + len(latest))
            self._next_number += len(latest)
            self._index.add_with_ids(vectors[list(latest.values())], numbers)
            for number, (id, position) in zip(numbers.tolist(), latest.items(), strict=True):
                self._documents[id] = documents[position]
                self._number_of[id], self._id_of[number] = number, id
        return [str(document.id) for document in documents]

    def _remove(self, ids: Iterable[str]) -> None:
        present = [id for id in ids if id in self._documents]
        if not present or self._index is None:
            return
        numbers = [self._number_of.pop(id) for id in present]
        self._index.remove_ids(np.array(numbers, np.int64))  # type: ignore[arg-type]  # typed as in C++
        for id, number in zip(present, numbers, strict=True):
            del self._documents[id], self._id_of[number]

    def _search(self, embedding: list[float], k: int, filter: DocumentFilter | None) -> list[tuple[Document, float]]:
        vector = _normalised([embedding])
        with self._lock:
            if self._index is None or k < 1:
                return []
            # A filter is any function: every document may have to be looked at before `k` are found.
            limit = self._index.ntotal if filter else min(k, self._index.ntotal)
            scores, numbers = self._index.search(vector, limit) if limit else (np.empty((1, 0)), np.empty((1, 0)))
            found = [
                (self._documents[self._id_of[int(number)]].model_copy(deep=True), float(score))
                for number, score in zip(numbers[0], scores[0], strict=True)
            ]
        return [(document, score) for document, score in found if filter is None or filter(document)][:k]


def _normalised(vectors: list[list[float]]) -> NDArray[np.float32]:
    array = np.asarray(vectors, np.float32)
    lengths = np.linalg.norm(array, axis=1, keepdims=True)
    normalised: NDArray[np.float32] = array / np.maximum(lengths, np.finfo(np.float32).tiny)
    return normalised
