"""The only place that builds concrete objects and joins the packages.

Owns `Services`: what a process needs, built once from settings, the heavy parts on first use. Knows no routes
and no queries; what is built here is handed on typed by the interfaces of `rag` and LangChain.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from threading import RLock
from typing import Annotated, Any

from fastapi import Depends, Request
from langchain_core.language_models import BaseChatModel
from pydantic import BaseModel, ConfigDict, Field

from app.db import Database
from app.errors import Conflict
from app.models import KnowledgeBase
from app.passages import SqlPassageStore
from app.settings import AnswererName, Settings
from ingestion.chunker import ChunkerSettings
from ingestion.parsers.base import Limits
from migrations import upgrade
from model_runtime.embedder import Embedder, load_embedder
from rag.answerers.base import Answerer
from rag.answerers.extractive import ExtractiveAnswerer, ExtractiveSettings
from rag.answerers.generative import GenerativeAnswerer, GenerativeSettings
from rag.chain import AnswerChain, ChainSettings
from rag.index import KnowledgeBaseIndex
from rag.retriever import HybridRetriever, RetrievalSettings


class KnowledgeBaseSettings(BaseModel):
    """What a knowledge base may set for itself; what is missing or null follows the installation's settings."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dense_weight: float | None = Field(None, ge=0, le=1, description="Share of the vectors in the mix with BM25.")
    answer_passages: int | None = Field(None, ge=1, le=20, description="Passages an answer is made from.")
    answerer: AnswererName | None = Field(None, description="extractive or generative.")
    refuse_below: float | None = Field(
        None, ge=0, le=1, description="Probability of a right answer below which the manuals do not say it."
    )
    doubt_below: float | None = Field(
        None, ge=0, le=1, description="Probability of a right answer below which an answer is called uncertain."
    )


@dataclass(frozen=True, slots=True)
class _Joined:
    """What is kept open for one knowledge base, until its settings change."""

    settings: dict[str, Any]
    retriever: HybridRetriever
    chain: AnswerChain


class Services:
    """Everything a process works with. Every method may be called from several threads at once.

    The methods that take a knowledge base take its row as read; no session stays open.
    """

    def __init__(self, settings: Settings, load: Callable[[], Embedder]) -> None:
        self.settings = settings
        self.database = Database(settings.database_url, settings.database.busy_timeout_s)
        self._load = load
        self._lock = RLock()
        self._stores: dict[str, SqlPassageStore] = {}
        self._indexes: dict[str, KnowledgeBaseIndex] = {}
        self._joined: dict[str, _Joined] = {}

    def prepare(self) -> None:
        """Creates the folders and brings the database's schema up to date. Any number of processes may do so."""
        for folder in (self.settings.home_folder, self.settings.files_folder, self.settings.index_folder):
            folder.mkdir(parents=True, exist_ok=True)
        upgrade(self.settings.database_url)

    @property
    def limits(self) -> Limits:
        """What a file may be at most."""
        ingestion = self.settings.ingestion
        return Limits(file_bytes=ingestion.max_file_mb * 2**20, pages=ingestion.max_pages)

    @property
    def chunker_settings(self) -> ChunkerSettings:
        ingestion = self.settings.ingestion
        return ChunkerSettings(window_words=ingestion.window_words, window_characters=ingestion.window_characters)

    @cached_property
    def embedder(self) -> Embedder:
        """Loaded on first use. Raises what `model_runtime.embedder.load_embedder` raises."""
        with self._lock:
            return self._load()

    @cached_property
    def chat_model(self) -> BaseChatModel:
        """The model of the generative answerer, by LangChain's `init_chat_model`."""
        from langchain.chat_models import init_chat_model  # half a second that only this answerer needs

        answers = self.settings.answers
        model = init_chat_model(
            answers.chat_model,
            model_provider=answers.chat_provider,
            base_url=answers.chat_base_url or None,
            api_key=answers.chat_api_key.get_secret_value(),
            temperature=answers.temperature,
            max_tokens=answers.max_tokens,
            timeout=answers.timeout_s,
        )
        assert isinstance(model, BaseChatModel)
        return model

    def passages(self, knowledge_base: KnowledgeBase) -> SqlPassageStore:
        """The storage side of a knowledge base's index, one for the whole process."""
        with self._lock:
            return self._stores.setdefault(knowledge_base.id, SqlPassageStore(self.database, knowledge_base.id))

    def index(self, knowledge_base: KnowledgeBase) -> KnowledgeBaseIndex:
        """The open index, one for the whole process. Raises `Conflict` when its embedder is not the configured one."""
        self.require_same_embedder(knowledge_base)
        with self._lock:
            if knowledge_base.id not in self._indexes:
                self._indexes[knowledge_base.id] = KnowledgeBaseIndex(
                    self.settings.index_folder / knowledge_base.id,
                    embedder=knowledge_base.embedder,
                    dimension=knowledge_base.dimension,
                    chunker=int(knowledge_base.chunker_version),
                )
            return self._indexes[knowledge_base.id]

    def retriever(self, knowledge_base: KnowledgeBase) -> HybridRetriever:
        """Raises `Conflict` as `index` does."""
        return self._join(knowledge_base).retriever

    def chain(self, knowledge_base: KnowledgeBase) -> AnswerChain:
        """Raises `Conflict` as `index` does."""
        return self._join(knowledge_base).chain

    def require_same_embedder(self, knowledge_base: KnowledgeBase) -> None:
        """Raises `Conflict`, saying what to do, unless the vectors come from the configured embedder."""
        embedder = self.embedder
        if (knowledge_base.embedder, knowledge_base.dimension) != (embedder.identity, embedder.dimension):
            raise Conflict(
                f"Knowledge base {knowledge_base.name!r} was made with the embedder {knowledge_base.embedder} "
                f"({knowledge_base.dimension} dimensions), but {embedder.identity} ({embedder.dimension}) is in use. "
                "Set ANSWERDESK_EMBEDDER__MODEL back to the former, or create a new knowledge base and upload the "
                "documents again.",
                {"made_with": knowledge_base.embedder, "configured": embedder.identity},
            )

    def forget(self, knowledge_base_id: str) -> None:
        """Closes what is open for a knowledge base that has been deleted."""
        with self._lock:
            self._joined.pop(knowledge_base_id, None)
            self._stores.pop(knowledge_base_id, None)
            self._indexes.pop(knowledge_base_id, None)

    def close(self) -> None:
        with self._lock:
            self._joined.clear()
            self._indexes.clear()
        self.database.dispose()

    def _join(self, knowledge_base: KnowledgeBase) -> _Joined:
        joined = self._joined.get(knowledge_base.id)
        if joined is not None and joined.settings == knowledge_base.settings:
            return joined
        with self._lock:
            own = KnowledgeBaseSettings.model_validate(knowledge_base.settings)
            retrieval = self.settings.retrieval
            shown = own.answer_passages or retrieval.answer_passages
            dense_weight = retrieval.dense_weight if own.dense_weight is None else own.dense_weight
            retriever = HybridRetriever(
                index=self.index(knowledge_base),
                store=self.passages(knowledge_base),
                embeddings=self.embedder,
                settings=RetrievalSettings(top_k=shown, dense_weight=dense_weight),
            )
            chain_settings = ChainSettings(candidates=max(shown, ChainSettings().candidates), shown=shown)
            chain = AnswerChain(retriever, self._answerer(own, shown), chain_settings)
            joined = _Joined(dict(knowledge_base.settings), retriever, chain)
            self._joined[knowledge_base.id] = joined
            return joined

    def _answerer(self, own: KnowledgeBaseSettings, passages: int) -> Answerer:
        """Raises `Conflict` when a knowledge base wants a chat model and the installation has none."""
        if (own.answerer or self.settings.answers.answerer) is AnswererName.EXTRACTIVE:
            return ExtractiveAnswerer(ExtractiveSettings(refuse_below=own.refuse_below, doubt_below=own.doubt_below))
        if not self.settings.answers.chat_model:
            raise Conflict(
                "This knowledge base is set to generative answers, but no chat model is configured: set "
                "ANSWERDESK_ANSWERS__CHAT_MODEL and ANSWERDESK_ANSWERS__CHAT_BASE_URL, or its answerer to extractive."
            )
        return GenerativeAnswerer(
            self.chat_model, self.settings.answers.chat_model, GenerativeSettings(passages=passages)
        )


def build_services(settings: Settings, embedder: Embedder | None = None) -> Services:
    """The services of this process. `embedder` takes the place of the configured one (tests, measurements)."""

    def load() -> Embedder:
        if embedder is not None:
            return embedder
        settings.cache_folder.mkdir(parents=True, exist_ok=True)
        model = settings.embedder
        return load_embedder(model.model, model.backend.value, settings.cache_folder, model.threads)

    return Services(settings, load)


def services_of(request: Request) -> Services:
    """The process's services, which `app.main` keeps in the application's state."""
    services: Services = request.app.state.services
    return services


ServicesOf = Annotated[Services, Depends(services_of)]
"""A route's parameter of this type gets the services."""
