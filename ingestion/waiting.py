"""Passages that wait for their vectors, across documents, until there are enough for the embedder.

Owns which texts are embedded: those of which neither storage nor the batch itself has the vector. A vector is known by
the exact text that was embedded and by what embedded it, so that no other embedder's is ever taken for it. Does not
know where vectors are kept, nor when a batch is full.
"""

from collections.abc import Callable, Collection, Mapping
from hashlib import blake2b
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ingestion.draft import Draft
from ingestion.types import PassageDraft
from model_runtime.embedder import Embedder

HASH_LENGTH = 16
"""Bytes of a text's hash (BLAKE2b, RFC 7693). Two of a billion texts collide with a probability of 1e-21."""

KnownVectors = Callable[[Collection[str], Collection[bytes]], Mapping[bytes, NDArray[np.float16]]]
"""From external ids and text hashes to what is known of them: see `ingestion.pipeline.Sink.known_vectors`."""


def text_hasher(embedder: Embedder) -> Callable[[str], bytes]:
    """Names what `embedder` makes of a passage's text: equal names, equal vectors up to the noise of batching."""
    made_by = blake2b(f"{embedder.identity}\0{embedder.passage_prefix}\0".encode(), digest_size=HASH_LENGTH)

    def text_hash(text: str) -> bytes:
        whole = made_by.copy()
        whole.update(text.encode(errors="surrogatepass"))
        return whole.digest()

    return text_hash


class _Passage(NamedTuple):
    draft: Draft
    passage: PassageDraft
    name: str
    hashes: tuple[bytes, ...]


class Waiting:
    """`embedded` and `reused` count texts: what the embedder was given, and what storage had already."""

    def __init__(self, embedder: Embedder, known_vectors: KnownVectors) -> None:
        self.embedded = self.reused = 0
        self.texts = 0
        self._embedder = embedder
        self._known_vectors = known_vectors
        self._text_hash = text_hasher(embedder)
        self._passages: list[_Passage] = []

    def add(self, draft: Draft, passage: PassageDraft, name: str) -> None:
        self._passages.append(_Passage(draft, passage, name, tuple(map(self._text_hash, passage.embedded))))
        self.texts += len(passage.embedded)

    def forget_incomplete(self) -> None:
        """Forgets the passages of the document that was under way when it turned out to be unreadable."""
        self._passages = [each for each in self._passages if each.draft.complete]
        self.texts = sum(len(each.hashes) for each in self._passages)

    def embed(self) -> int:
        """Gives every passage its vectors, by at most one call of the embedder; the number of windows among them."""
        windows = self.texts - len(self._passages)
        vectors = self._vectors()
        for draft, passage, name, hashes in self._passages:
            draft.add_vectors(passage, name, np.stack([vectors[each] for each in hashes]), b"".join(hashes))
        self._passages, self.texts = [], 0
        return windows

    def _vectors(self) -> dict[bytes, NDArray[np.float16]]:
        """The vector of every text that waits; of equal texts one is embedded."""
        hashes = chain.from_iterable(each.hashes for each in self._passages)
        texts = dict(zip(hashes, chain.from_iterable(each.passage.embedded for each in self._passages), strict=True))
        vectors = dict(self._known_vectors({each.draft.start.external_id for each in self._passages}, texts.keys()))
        self.reused += sum(each in vectors for passage in self._passages for each in passage.hashes)
        missing = [each for each in texts if each not in vectors]
        if missing:
            embedded = self._embedder.embed_passages([texts[each] for each in missing]).astype(np.float16)
            vectors.update(zip(missing, embedded, strict=True))
        self.embedded += len(missing)
        return vectors
