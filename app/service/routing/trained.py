"""The classifiers of knowledge bases, trained on demand and kept.

Owns when one is trained: once for the same examples and the same embedder, however many knowledge bases have them, and
again when they change; and beside the manuals of each, which may follow later: no message waits for them. Vectors are
kept, so that only new texts are embedded. Knows no handlers.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from app.caches import LeastRecentlyUsed
from app.db import Database
from app.models import KnowledgeBase
from app.service.routing.example import Example, with_names
from app.service.routing.examples import Stamp, digest_of, examples_of, stamp_of
from app.service.routing.manuals import Manuals, manuals_of
from model_runtime.embedder import Embedder

if TYPE_CHECKING:
    from app.service.routing.classifier import ExampleVectors, IntentClassifier

_Vectors = NDArray[np.float32]

_CLASSIFIERS_KEPT = 50
_VECTORS_KEPT = 64 * 2**20
"""Bytes: some 20,000 texts."""

MANUALS_EVERY_S = 60.0
"""While documents keep coming, what they speak of is learnt no more often than so."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """Which of a knowledge base's manuals were learnt: as of which generation and change, and when that was seen.

    `digest` is empty where there was too little.
    """

    as_of: tuple[str, int]
    at: float
    digest: str


@dataclass(frozen=True, slots=True)
class _Current:
    """What a knowledge base is routed by now, and what it was made of."""

    stamp: Stamp
    taught: "IntentClassifier"
    beside: "IntentClassifier"


class TrainedClassifiers:
    """Safe for threads. Who comes while a classifier is trained waits for it."""

    def __init__(
        self,
        database: Database,
        embedder_of: Callable[[KnowledgeBase], Embedder],
        manuals_every_s: float = MANUALS_EVERY_S,
    ) -> None:
        self._database = database
        self._embedder_of = embedder_of
        self._manuals_every_s = manuals_every_s
        self._lock = Lock()
        self._current: dict[tuple[str, str], _Current] = {}  # by knowledge base and embedder
        self._seen: dict[tuple[str, str], _Seen] = {}  # likewise
        self._taught: dict[tuple[str, str], IntentClassifier] = {}  # by digest of the examples and embedder
        self._vectors: LeastRecentlyUsed[tuple[str, str], _Vectors] = LeastRecentlyUsed(_VECTORS_KEPT)

    def of(self, knowledge_base: KnowledgeBase) -> "IntentClassifier":
        """For vectors of the knowledge base's embedder. Raises what `embedder_of` raises."""
        key = _key(knowledge_base)
        with self._database.read() as session:
            stamp = stamp_of(session, knowledge_base)
        known = self._current.get(key)
        if known is not None and known.stamp == stamp:
            return known.beside
        with self._lock:
            known = self._current.get(key)
            if known is None or known.stamp != stamp:
                known = self._current[key] = self._learnt(knowledge_base)
            return known.beside

    def follow(self, knowledge_base: KnowledgeBase) -> None:
        """Learns what the manuals speak of, where they have changed. Takes seconds; messages do not wait for it.

        Raises as `of` does.
        """
        self.of(knowledge_base)
        key, generation = _key(knowledge_base), knowledge_base.generation
        as_of = (generation.id, generation.change)
        seen = self._seen.get(key)
        if seen is not None and (seen.as_of == as_of or time.monotonic() < seen.at + self._manuals_every_s):
            return
        manuals = manuals_of(self._database, knowledge_base)
        digest = "" if manuals is None else manuals.digest
        self._seen[key] = _Seen(as_of, time.monotonic(), digest)
        if digest == (seen.digest if seen is not None else ""):
            return
        current = self._current[key]
        beside = self._beside(current.taught, manuals, knowledge_base)
        with self._lock:
            if self._current[key].taught is current.taught:  # else there are new examples, learnt beside the manuals
                self._current[key] = replace(current, beside=beside)

    def _learnt(self, knowledge_base: KnowledgeBase) -> _Current:
        with self._database.read() as session:
            stamp = stamp_of(session, knowledge_base)
            examples = [Example(row.text, row.intent) for row in examples_of(session, knowledge_base)]
        taught = self._taught_by(examples, knowledge_base)
        seen = self._seen.get(_key(knowledge_base))
        manuals = manuals_of(self._database, knowledge_base) if seen is not None and seen.digest else None
        return _Current(stamp, taught, self._beside(taught, manuals, knowledge_base))

    def _taught_by(self, examples: Sequence[Example], knowledge_base: KnowledgeBase) -> "IntentClassifier":
        key = (digest_of(examples), knowledge_base.generation.embedder)
        if key not in self._taught:
            from app.service.routing.classifier import IntentClassifier  # a second that others save

            learnt = with_names(examples)
            vectors = self._embedded([example.text for example in learnt], self._embedder_of(knowledge_base))
            trained = IntentClassifier(learnt, vectors)
            while len(self._taught) >= _CLASSIFIERS_KEPT:
                self._taught.pop(next(iter(self._taught)))
            self._taught[key] = trained
        return self._taught[key]

    def _beside(
        self, taught: "IntentClassifier", manuals: Manuals | None, knowledge_base: KnowledgeBase
    ) -> "IntentClassifier":
        if manuals is None:
            return taught
        from app.service.routing.classifier import ManualVectors  # as above

        headings = self._embedded(manuals.headings, self._embedder_of(knowledge_base))
        return taught.beside(ManualVectors(headings, manuals.passages))

    def _embedded(self, texts: Sequence[str], embedder: Embedder) -> "ExampleVectors":
        """A text too long for a passage is cut in both."""
        from app.service.routing.classifier import ExampleVectors  # as above

        kept = {text: self._vectors.get((embedder.identity, text)) for text in texts}
        known = {text: pair for text, pair in kept.items() if pair is not None}
        new = [text for text in kept if text not in known]
        lengths = embedder.count_tokens(new)
        short = [text for text, length in zip(new, lengths, strict=True) if length <= embedder.max_tokens]
        passages = dict(zip(short, embedder.embed_passages(short), strict=True)) if short else {}
        for text in new:
            question = embedder.embed_question(text)
            known[text] = np.stack([question, passages.get(text, question)])
            self._vectors.put((embedder.identity, text), known[text])
        pairs = np.stack([known[text] for text in texts])
        return ExampleVectors(pairs[:, 0], pairs[:, 1])


def _key(knowledge_base: KnowledgeBase) -> tuple[str, str]:
    return knowledge_base.id, knowledge_base.generation.embedder
