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
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel

from app.admission import Admission, Place
from app.answer_cache import AnswerCache, RememberingChain, fingerprint
from app.caches import LeastRecentlyUsed, RememberingEmbedder
from app.db import Database
from app.errors import BadImage, Conflict, RuntimeBusy
from app.knowledge_base_settings import EffectiveSettings, effective_settings
from app.late_place import LatePlaceAnswerer
from app.models import KnowledgeBase
from app.passages import SqlPassageStore
from app.settings import AnswererName, Settings, WhenUnavailable
from ingestion.chunker import ChunkerSettings
from ingestion.parsers.base import Limits
from ingestion.sandbox import SandboxLimits
from migrations import upgrade
from model_runtime.chat_client import OPENAI_URL, ChatClient
from model_runtime.embedder import Embedder, load_embedder
from rag.answerers.base import Answerer
from rag.answerers.circuit import Circuit, CircuitAnswerer
from rag.answerers.extractive import ExtractiveAnswerer, ExtractiveSettings
from rag.answerers.fallback import FallbackAnswerer, RefusingAnswerer
from rag.answerers.generative import GenerativeAnswerer, GenerativeSettings
from rag.answerers.small_talk import small_talk_in
from rag.chain import AnswerChain, ChainSettings, normalised
from rag.index import KnowledgeBaseIndex
from rag.prompts import prompt_version
from rag.retriever import HybridRetriever, RetrievalSettings
from rag.types import Question, Vector

Chain = AnswerChain | RememberingChain


@dataclass(frozen=True, slots=True)
class _Joined:
    """What is kept open for one knowledge base, until its settings change.

    `without_runtime` is the chain for questions that must not go to the chat model.
    """

    settings: dict[str, Any]
    retriever: HybridRetriever
    chain: Chain
    without_runtime: Chain


class Services:
    """Everything a process works with. Every method may be called from several threads at once.

    The methods that take a knowledge base take its row as read; no session stays open.
    """

    def __init__(self, settings: Settings, load: Callable[[], Embedder]) -> None:
        self.settings = settings
        self.database = Database(settings.database_url, settings.database.busy_timeout_s)
        answers, caches = settings.answers, settings.caches
        self.admission = Admission(answers.max_running, answers.max_waiting)
        self.circuit = Circuit(answers.try_again_after_s)
        self.answer_cache: AnswerCache = LeastRecentlyUsed(caches.answers_mb * 2**20)
        self.question_vectors: LeastRecentlyUsed[tuple[str, str], Vector] = LeastRecentlyUsed(
            caches.question_vectors_mb * 2**20
        )
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
    def sandbox_limits(self) -> SandboxLimits:
        """What reading a file may cost at most."""
        ingestion = self.settings.ingestion
        return SandboxLimits(ingestion.parser_memory_mb, ingestion.page_timeout_s, ingestion.parser_timeout_s)

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
        """The model of the generative answerer: our client, or for other providers LangChain's `init_chat_model`.

        LangChain's clients have one time-out only, and a reader who leaves is not noticed before the first token.
        """
        answers = self.settings.answers
        if answers.chat_provider == "openai":
            return ChatClient(
                model=answers.chat_model,
                base_url=answers.chat_base_url or OPENAI_URL,
                api_key=answers.chat_api_key,
                temperature=answers.temperature,
                max_tokens=answers.max_tokens,
                frequency_penalty=answers.frequency_penalty,
                repetition_penalty=answers.repetition_penalty,
                connect_timeout_s=answers.connect_timeout_s,
                first_token_timeout_s=answers.first_token_timeout_s,
                between_tokens_timeout_s=answers.between_tokens_timeout_s,
                timeout=answers.timeout_s,
                max_retries=answers.retries,
            )
        from langchain.chat_models import init_chat_model  # half a second that only these need

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

    def chain(self, knowledge_base: KnowledgeBase, *, without_runtime: bool = False) -> Chain:
        """What answers questions; `without_runtime` for one that has no place at the chat model (see `admit`).

        Raises `Conflict` as `index` does, and when a chat model is wanted and none configured.
        """
        joined = self._join(knowledge_base)
        return joined.without_runtime if without_runtime else joined.chain

    def admit_new(self, knowledge_base: KnowledgeBase, question: Question) -> Place | None:
        """As `admit`, for a question asked for the first time. Raises `BadImage` for pictures nobody would look at."""
        if question.images:
            self._require_reads_images(knowledge_base)
        return self.admit(knowledge_base, question)

    def admit(self, knowledge_base: KnowledgeBase, question: Question, *, beyond_limit: bool = False) -> Place | None:
        """A place at the chat model for a question, or None where it is to be answered without one.

        That is so in extractive knowledge bases, for small talk and kept answers, and for lack of a place if the
        knowledge base allows it. Raises `RuntimeBusy` if it does not; never when `beyond_limit`.
        """
        own = effective_settings(knowledge_base.settings, self.settings)
        if own.answerer is AnswererName.EXTRACTIVE or self._needs_no_model(knowledge_base, question):
            return None
        try:
            return self.admission.reserve(beyond_limit=beyond_limit)
        except RuntimeBusy:
            if own.when_unavailable is WhenUnavailable.ERROR or question.images:
                raise
            return None

    def _require_reads_images(self, knowledge_base: KnowledgeBase) -> None:
        """Raises `BadImage`, saying what to do, unless pictures in a question are looked at."""
        own = effective_settings(knowledge_base.settings, self.settings)
        if own.answerer is AnswererName.EXTRACTIVE:
            raise BadImage(
                "This knowledge base quotes its manuals and cannot look at pictures; describe in words what they show."
            )
        if not self.settings.answers.chat_reads_images:
            raise BadImage(
                "The chat model cannot look at pictures; describe in words what they show. "
                "(If it can: ANSWERDESK_ANSWERS__CHAT_READS_IMAGES=true.)"
            )

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
        self.admission.close()
        with self._lock:
            self._joined.clear()
            self._indexes.clear()
        self.database.dispose()

    def _needs_no_model(self, knowledge_base: KnowledgeBase, question: Question) -> bool:
        """Never wrong about what is kept now; when it is gone by then, `LatePlaceAnswerer` makes the answer."""
        if small_talk_in(normalised(question.text)):
            return True
        joined = self._joined.get(knowledge_base.id)  # not joined here: that may load the embedder
        return (
            joined is not None
            and joined.settings == knowledge_base.settings
            and isinstance(joined.chain, RememberingChain)
            and joined.chain.holds(question, knowledge_base.change)
        )

    def _join(self, knowledge_base: KnowledgeBase) -> _Joined:
        joined = self._joined.get(knowledge_base.id)
        if joined is not None and joined.settings == knowledge_base.settings:
            return joined
        with self._lock:
            own = effective_settings(knowledge_base.settings, self.settings)
            retriever = HybridRetriever(
                index=self.index(knowledge_base),
                store=self.passages(knowledge_base),
                embeddings=self._question_embedder(),
                settings=RetrievalSettings(top_k=own.answer_passages, dense_weight=own.dense_weight),
            )
            answerer, without_runtime = self._answerers(own)
            joined = _Joined(
                dict(knowledge_base.settings),
                retriever,
                self._chain_of(knowledge_base, own, retriever, answerer),
                self._chain_of(knowledge_base, own, retriever, without_runtime),
            )
            self._joined[knowledge_base.id] = joined
            return joined

    def _question_embedder(self) -> Embeddings:
        if self.settings.caches.question_vectors_mb == 0:
            return self.embedder
        return RememberingEmbedder(self.embedder, self.question_vectors)

    def _chain_of(
        self, knowledge_base: KnowledgeBase, own: EffectiveSettings, retriever: HybridRetriever, answerer: Answerer
    ) -> Chain:
        shown = own.answer_passages
        chain = AnswerChain(retriever, answerer, ChainSettings(max(shown, ChainSettings().candidates), shown))
        if not own.answer_cache:
            return chain
        made_by = fingerprint(
            workspace=knowledge_base.workspace_id,
            knowledge_base=knowledge_base.id,
            language=knowledge_base.language,
            embedder=[knowledge_base.embedder, knowledge_base.dimension, knowledge_base.chunker_version],
            prompts=prompt_version(),
            own=own,
            installation=self.settings.model_dump(mode="json"),
        )
        # A model that comes back under its name may be another one: its outages count like a setting.
        return RememberingChain(
            chain, self.answer_cache, self.passages(knowledge_base), made_by, lambda: self.circuit.outages
        )

    def _answerers(self, own: EffectiveSettings) -> tuple[Answerer, Answerer]:
        """The answerer, and the one for questions that must not go to the chat model.

        Raises `Conflict` when a knowledge base wants a chat model and the installation has none.
        """
        extractive = ExtractiveAnswerer(ExtractiveSettings(refuse_below=own.refuse_below, doubt_below=own.doubt_below))
        if own.answerer is AnswererName.EXTRACTIVE:
            return extractive, extractive
        answers = self.settings.answers
        if not answers.chat_model:
            raise Conflict(
                "This knowledge base is set to generative answers, but no chat model is configured: set "
                "ANSWERDESK_ANSWERS__CHAT_MODEL and ANSWERDESK_ANSWERS__CHAT_BASE_URL, or its answerer to extractive."
            )
        generative = GenerativeAnswerer(
            self.chat_model,
            answers.chat_model,
            GenerativeSettings(
                passages=own.answer_passages,
                temperature=own.temperature,
                max_tokens=own.max_tokens,
                images=answers.chat_reads_images,
            ),
        )
        guarded = CircuitAnswerer(generative, self.circuit)
        if own.when_unavailable is WhenUnavailable.ERROR:
            return guarded, LatePlaceAnswerer(guarded, self.admission)
        quoting = FallbackAnswerer(RefusingAnswerer(generative.name, generative.model), extractive)
        late = LatePlaceAnswerer(guarded, self.admission, unless_pictures=quoting)
        return FallbackAnswerer(guarded, extractive), late


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
