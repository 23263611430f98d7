"""What this process has open of generations: storage, index and embedder of each, always of the same one.

Owns that a question's vector and the index it is searched in belong together, and that a question goes to the
generation that answers at that moment, whichever that was when it was asked. Does not know how generations are built
(`app.generations`) nor how one is searched (`rag.retriever`).
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import RLock

from langchain_core.embeddings import Embeddings
from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from app.db import Database
from app.embedders import Embedders
from app.errors import NotFound
from app.models import Generation, KnowledgeBase
from app.passages import SqlPassageStore
from ingestion.chunker import ChunkerSettings
from model_runtime.embedder import Embedder
from rag.dictionary import Dictionary
from rag.index import KnowledgeBaseIndex
from rag.rerank import Reranker
from rag.retriever import HybridRetriever, RetrievalSettings, SearchResult
from rag.types import Turn

_ANSWERS = select(KnowledgeBase.generation_id).where(KnowledgeBase.id == bindparam("id"))
"""On the way of every question, so it is built once."""

_SWITCHES = 3
"""How often a question follows a switch that comes while it is searched for: twice in a row never happens."""

CLOSED_AFTER_S = 600.0
"""A generation that no longer answers stays open this long, for there is a way back."""


@dataclass(slots=True)
class _Open:
    """What is open of one generation, and goes together."""

    knowledge_base_id: str
    store: SqlPassageStore
    index: KnowledgeBaseIndex
    retrievers: dict[RetrievalSettings, HybridRetriever] = field(default_factory=dict)


class OpenGenerations:
    """One store and one index a generation, for the whole process, and its retrievers. For several threads at once.

    A generation is given as its row, read in any session; rows never change what their generation was made with.
    """

    def __init__(
        self,
        database: Database,
        index_folder: Path,
        embedders: Embedders,
        question_embedder: Callable[[Embedder], Embeddings],
        reranker: Callable[[], Reranker | None],
        dictionary: Dictionary | None,
    ) -> None:
        self.database = database
        self.embedders = embedders
        self._index_folder = index_folder
        self._question_embedder = question_embedder
        self._reranker = reranker
        self._dictionary = dictionary
        self._lock = RLock()
        self._open: dict[str, _Open] = {}

    def store(self, generation: Generation) -> SqlPassageStore:
        return self._opened(generation).store

    def index(self, generation: Generation) -> KnowledgeBaseIndex:
        return self._opened(generation).index

    def folder(self, knowledge_base_id: str, generation_id: str) -> Path:
        """Where the files of a generation's index are."""
        return self._index_folder / knowledge_base_id / generation_id

    def retriever(self, generation: Generation, settings: RetrievalSettings) -> HybridRetriever:
        """Raises `Conflict` when the embedder or the reranker cannot be had."""
        found = self.open_retriever(generation.id, settings)
        if found is not None:
            return found
        embeddings = self._question_embedder(self.embedders.of(generation))  # may take minutes: not under the lock
        reranker = self._reranker()
        with self._lock:
            open_ = self._opened(generation)
            made = HybridRetriever(
                index=open_.index,
                store=open_.store,
                embeddings=embeddings,
                settings=settings,
                reranker=reranker,
                dictionary=self._dictionary,
            )
            return open_.retrievers.setdefault(settings, made)

    def open_retriever(self, generation_id: str, settings: RetrievalSettings) -> HybridRetriever | None:
        """The retriever if there is one; that of a generation that has been closed there is no longer."""
        open_ = self._open.get(generation_id)
        return None if open_ is None else open_.retrievers.get(settings)

    def close(self, generation_id: str) -> None:
        with self._lock:
            self._open.pop(generation_id, None)

    def close_all_of(self, knowledge_base_id: str) -> None:
        """Closes every generation of a knowledge base."""
        with self._lock:
            self._open = {id_: each for id_, each in self._open.items() if each.knowledge_base_id != knowledge_base_id}

    def keep_only(self, generation_ids: Collection[str]) -> None:
        """Closes all others."""
        with self._lock:
            self._open = {id_: each for id_, each in self._open.items() if id_ in generation_ids}

    def _opened(self, generation: Generation) -> _Open:
        with self._lock:
            if generation.id not in self._open:
                self._open[generation.id] = _Open(
                    generation.knowledge_base_id,
                    SqlPassageStore(self.database, generation.knowledge_base_id, generation.id, generation.dimension),
                    KnowledgeBaseIndex(
                        self.folder(generation.knowledge_base_id, generation.id),
                        embedder=generation.embedder,
                        dimension=generation.dimension,
                        chunker=int(generation.chunker_version),
                        generation=generation.id,
                    ),
                )
            return self._open[generation.id]


class GenerationRetriever:
    """Searches the generation that answers now: a retriever of `rag` that outlives switches."""

    def __init__(self, open_: OpenGenerations, knowledge_base_id: str, settings: RetrievalSettings) -> None:
        self._open = open_
        self._knowledge_base_id = knowledge_base_id
        self._settings = settings

    def open(self, generation: Generation) -> HybridRetriever:
        """The generation's retriever. Raises `Conflict` when its embedder cannot be had."""
        return self._open.retriever(generation, self._settings)

    def search(
        self,
        question: str,
        *,
        top_k: int | None = None,
        filter: Mapping[str, object] | None = None,
        history: Sequence[Turn] = (),
        timings: dict[str, float] | None = None,
    ) -> SearchResult:
        """As `HybridRetriever.search`, all of it in one generation. Raises `NotFound` without the knowledge base."""
        for left in range(_SWITCHES, 0, -1):
            retriever, generation_id = self._now()
            try:
                found = retriever.search(question, top_k=top_k, filter=filter, history=history, timings=timings)
            except NotFound:  # switched and dropped in these few milliseconds
                if left == 1:
                    raise
                continue
            wanted = top_k or self._settings.top_k
            if len(found.hits) >= wanted or left == 1 or self._answers(generation_id):
                return found  # else passages may be missing only because they were dropped meanwhile
        raise AssertionError("the last attempt returns or raises")

    def _now(self) -> tuple[HybridRetriever, str]:
        with self._open.database.read() as session:
            generation_id = self._answering_id(session)
            found = self._open.open_retriever(generation_id, self._settings)
            if found is not None:
                return found, generation_id
            generation = session.get(Generation, generation_id)
        if generation is None:
            raise self._gone()
        return self.open(generation), generation_id

    def _answers(self, generation_id: str) -> bool:
        with self._open.database.read() as session:
            return self._answering_id(session) == generation_id

    def _answering_id(self, session: Session) -> str:
        found: str | None = session.connection().execute(_ANSWERS, {"id": self._knowledge_base_id}).scalar()
        if found is None:
            raise self._gone()
        return found

    def _gone(self) -> NotFound:
        return NotFound("The knowledge base has been deleted.", {"knowledge_base": self._knowledge_base_id})


def chunker_of(generation: Generation, installed: ChunkerSettings) -> ChunkerSettings:
    """The settings of a generation's chunker; those that it does not name are the installation's."""
    return replace(installed, **generation.chunker)
