"""The only place that builds concrete objects and joins the packages.

Owns `Services`: what a process needs, built once from settings, the heavy parts on first use. Knows no routes
and no queries; what is built here is handed on typed by the interfaces of `rag` and LangChain. Longer than other files:
what is joined with what is seen here at one glance, or nowhere.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from threading import RLock
from typing import Annotated, Any, TypeAlias

import httpx
from fastapi import Depends, Request
from langchain_core.language_models import BaseChatModel

from app.admission import Admission, Admitted, NoPlace
from app.answer_cache import AnswerCache, RememberingChain, fingerprint
from app.caches import LeastRecentlyUsed, RememberingEmbedder
from app.contents import SqlContents
from app.db import Database
from app.embedders import Embedders, Load
from app.errors import BadImage, Conflict, RuntimeBusy
from app.knowledge_base_settings import EffectiveSettings, effective_settings
from app.late_place import LatePlaceAnswerer
from app.models import KnowledgeBase
from app.open_generations import GenerationRetriever, OpenGenerations
from app.passages import SqlPassageStore, WhatAnswers
from app.products import KnowledgeBaseProducts
from app.service.catalogue.catalogue import Catalogues
from app.service.catalogue.fresh import FreshFigures
from app.service.decisions.decisions import Decisions
from app.service.flows.calls import new_client
from app.service.flows.flows import Flows
from app.service.routing.router import Router
from app.service.routing.trained import TrainedClassifiers
from app.settings import AnswererName, Settings, WhenUnavailable, secret
from app.turns import Turns
from ingestion.chunker import ChunkerSettings
from ingestion.confined.sandbox import SandboxLimits
from ingestion.parsers.base import Limits
from ingestion.shown.page_drawer import DrawingLimits, PageDrawer
from migrations import upgrade
from model_runtime.chat.client import OPENAI_URL, ChatClient
from model_runtime.cross_encoder import load_cross_encoder
from model_runtime.embedder import Embedder, load_embedder
from model_runtime.errors import EmbedderError
from rag.answerers.base import Answerer
from rag.answerers.circuit import Circuit, CircuitAnswerer
from rag.answerers.extractive.answerer import ExtractiveAnswerer, ExtractiveSettings
from rag.answerers.fallback import FallbackAnswerer, RefusingAnswerer
from rag.answerers.generative.answerer import GenerativeAnswerer, GenerativeSettings
from rag.answerers.generative.summary import ModelSummarizer
from rag.answerers.generative.writer import WhenNotFound
from rag.answerers.small_talk import small_talk_in
from rag.chain import AnswerChain, ChainSettings, normalised
from rag.dictionary import Dictionary
from rag.guard.answerer import GuardAnswerer
from rag.guard.judge import InjectionGuard
from rag.index import KnowledgeBaseIndex
from rag.products.search import ProductSearcher, whole_searcher
from rag.prompts import prompt_version
from rag.rerank import PairReranker, Reranker
from rag.retriever import RetrievalSettings
from rag.rewrite import ModelRewriter, Rewriter
from rag.types import Question, Vector

Chain: TypeAlias = AnswerChain | RememberingChain


@dataclass(frozen=True, slots=True)
class _Joined:
    """What is kept open for one knowledge base, until its settings change.

    `without_place` are the chains for questions that have no place at the chat model, by the reason.
    """

    settings: dict[str, Any]
    retriever: GenerationRetriever
    searcher: ProductSearcher
    chain: Chain
    without_place: Mapping[NoPlace, Chain]


class Services:
    """Everything a process works with. Every method may be called from several threads at once.

    The methods that take a knowledge base take its row as read; no session stays open.
    """

    def __init__(self, settings: Settings, load: Load) -> None:
        self.settings = settings
        self.database = Database(settings.database_url, settings.database.busy_timeout_s)
        answers, caches = settings.answers, settings.caches
        self.admission = Admission(answers.max_running, answers.max_waiting)
        self.circuit = Circuit(answers.try_again_after_s)
        self.answer_cache: AnswerCache = LeastRecentlyUsed(caches.answers_mb * 2**20)
        self.question_vectors: LeastRecentlyUsed[tuple[str, str], Vector] = LeastRecentlyUsed(
            caches.question_vectors_mb * 2**20
        )
        model = settings.embedder
        self.embedders = Embedders("" if model.uses_default_model else model.model, load)
        self.dictionary = Dictionary(settings.cache_folder) if settings.retrieval.dictionary else None
        self.generations = OpenGenerations(
            *(self.database, settings.index_folder, self.embedders, self._question_embedder),
            reranker=lambda: self.reranker,
            dictionary=self.dictionary,
        )
        self.flows = Flows(settings.flows_folder, self.database, settings.service.flow_api_urls)
        classifiers = TrainedClassifiers(self.database, lambda each: self.embedders.of(each.generation))
        self.router = Router(classifiers, self.flows.names)
        self.decisions = Decisions(settings.decisions_folder)
        figures = FreshFigures(settings.home_folder / "catalogue.yaml", secret)
        self.catalogues = Catalogues(self.database, self.embedders, self.question_vector, self.dictionary, figures)
        self.finding = Turns()  # by generation: what its documents are found to be (`app.document_report`)
        self.page_drawer = PageDrawer(DrawingLimits(settings.ingestion.parser_memory_mb))
        self._lock = RLock()
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
        """Those of new knowledge bases and generations."""
        ingestion = self.settings.ingestion
        return ChunkerSettings(window_words=ingestion.window_words, window_characters=ingestion.window_characters)

    @property
    def embedder(self) -> Embedder:
        """The installation's own, loaded on first use. Raises what `model_runtime.embedder.load_embedder` raises."""
        return self.embedders.own

    @cached_property
    def http(self) -> httpx.Client:
        """The client of all calls that flows make."""
        return new_client()

    @cached_property
    def reranker(self) -> Reranker | None:
        """None when the settings name none. Raises `Conflict`, saying what to do, when it cannot be loaded."""
        model = self.settings.retrieval.reranker
        if not model:
            return None
        try:
            return PairReranker(load_cross_encoder(model, self.settings.cache_folder))
        except EmbedderError as error:
            raise Conflict(
                f"The reranker cannot be loaded: {error}. Mend that, or search without one: "
                "ANSWERDESK_RETRIEVAL__RERANKER empty.",
                {"reranker": model},
            ) from error

    @cached_property
    def summarizer(self) -> ModelSummarizer:
        """One for all knowledge bases, so that what it has summed up is kept when their settings change."""
        return ModelSummarizer(self.chat_model, self.settings.answers.chat_model, self.circuit)

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
        """The storage side of the index that answers."""
        return self.generations.store(knowledge_base.generation)

    def index(self, knowledge_base: KnowledgeBase) -> KnowledgeBaseIndex:
        """The index that answers."""
        return self.generations.index(knowledge_base.generation)

    def retriever(self, knowledge_base: KnowledgeBase) -> GenerationRetriever:
        """Follows every switch. Raises `Conflict` when the embedder of what answers cannot be had."""
        retriever = self._join(knowledge_base).retriever
        retriever.open(knowledge_base.generation)
        return retriever

    def searcher(self, knowledge_base: KnowledgeBase) -> ProductSearcher:
        """What answers are searched with, the very one. Raises `Conflict` as `retriever` does."""
        joined = self._join(knowledge_base)
        joined.retriever.open(knowledge_base.generation)
        return joined.searcher

    def chain(self, knowledge_base: KnowledgeBase, admitted: Admitted | None = None) -> Chain:
        """What answers questions, or one that was `admitted`.

        Raises `Conflict` when a chat model is wanted and none configured.
        """
        joined = self._join(knowledge_base)
        return joined.without_place[admitted] if isinstance(admitted, NoPlace) else joined.chain

    def admit_new(self, knowledge_base: KnowledgeBase, question: Question) -> Admitted:
        """As `admit`, for a question asked for the first time. Raises `BadImage` for pictures nobody would look at."""
        if question.images:
            self._require_reads_images(knowledge_base)
        return self.admit(knowledge_base, question)

    def admit(self, knowledge_base: KnowledgeBase, question: Question, *, beyond_limit: bool = False) -> Admitted:
        """A place at the chat model for a question, or why it is to be answered without one.

        None is needed in extractive knowledge bases, for small talk and kept answers. Raises `RuntimeBusy` when none is
        left, unless the knowledge base allows another answer then; never when `beyond_limit`.
        """
        own = effective_settings(knowledge_base.settings, self.settings)
        if own.answerer is AnswererName.EXTRACTIVE or self._needs_no_model(knowledge_base, question):
            return NoPlace.NONE_NEEDED
        try:
            return self.admission.reserve(beyond_limit=beyond_limit)
        except RuntimeBusy:
            if own.when_unavailable is WhenUnavailable.ERROR or question.images:
                raise
            return NoPlace.NONE_LEFT

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

    def question_vector(self, knowledge_base: KnowledgeBase) -> Callable[[str], Vector]:
        """Embeds questions with the knowledge base's embedder, the same question once.

        Raises `Conflict` when that embedder cannot be had.
        """
        return self._question_embedder(self.embedders.of(knowledge_base.generation)).embed_question

    def forget(self, knowledge_base: KnowledgeBase) -> None:
        """Closes what is open for a knowledge base."""
        with self._lock:
            self._joined.pop(knowledge_base.id, None)
            self.generations.close_all_of(knowledge_base.id)

    def close(self) -> None:
        self.admission.close()
        self.page_drawer.close()
        self.catalogues.close()
        if "http" in self.__dict__:
            self.http.close()
        if isinstance(model := self.__dict__.get("chat_model"), ChatClient):  # else it was never made, or is not ours
            model.close()
        with self._lock:
            self._joined.clear()
            self.generations.keep_only(())
        self.database.dispose()

    def _needs_no_model(self, knowledge_base: KnowledgeBase, question: Question) -> bool:
        """Never wrong about what is kept now; when it is gone by then, `LatePlaceAnswerer` makes the answer."""
        if small_talk_in(normalised(question.text)):
            return True
        joined = self._joined.get(knowledge_base.id)  # not joined here: that may raise
        return (
            joined is not None
            and joined.settings == knowledge_base.settings
            and isinstance(joined.chain, RememberingChain)
            and joined.chain.holds(question, knowledge_base.generation.change)
        )

    def _join(self, knowledge_base: KnowledgeBase) -> _Joined:
        joined = self._joined.get(knowledge_base.id)
        if joined is not None and joined.settings == knowledge_base.settings:
            return joined
        with self._lock:
            own = effective_settings(knowledge_base.settings, self.settings)
            retriever = GenerationRetriever(
                self.generations,
                knowledge_base.id,
                RetrievalSettings(
                    top_k=own.answer_passages,
                    dense_weight=own.dense_weight,
                    reranked=self.settings.retrieval.reranked_passages,
                ),
            )
            searcher = whole_searcher(retriever, KnowledgeBaseProducts(self.database, knowledge_base.id))
            answerer, without_place = self._answerers(own)

            def chain_of(each: Answerer, rewriter: Rewriter | None = None) -> Chain:
                return self._chain_of(knowledge_base, own, searcher, each, rewriter)

            joined = _Joined(
                dict(knowledge_base.settings),
                retriever,
                searcher,
                chain_of(answerer, self._rewriter(own)),
                {why: chain_of(each) for why, each in without_place.items()},
            )
            self._joined[knowledge_base.id] = joined
            return joined

    def _question_embedder(self, embedder: Embedder) -> Embedder | RememberingEmbedder:
        if self.settings.caches.question_vectors_mb == 0:
            return embedder
        return RememberingEmbedder(embedder, self.question_vectors)

    def _chain_of(
        self,
        knowledge_base: KnowledgeBase,
        own: EffectiveSettings,
        searcher: ProductSearcher,
        answerer: Answerer,
        rewriter: Rewriter | None,
    ) -> Chain:
        shown = own.answer_passages
        settings = ChainSettings(max(shown, ChainSettings().candidates), shown)
        contents = SqlContents(self.database, knowledge_base.id)
        chain = AnswerChain(searcher, answerer, settings, rewriter, contents)
        if not own.answer_cache:
            return chain
        made_by = fingerprint(
            workspace=knowledge_base.workspace_id,
            knowledge_base=knowledge_base.id,
            language=knowledge_base.language,
            prompts=prompt_version(),
            own=own,
            installation=self.settings.model_dump(mode="json"),
        )
        # A model that comes back under its name may be another one: its outages count like a setting.
        return RememberingChain(
            chain,
            self.answer_cache,
            WhatAnswers(self.database, knowledge_base.id),
            made_by,
            lambda: self.circuit.outages,
        )

    def _rewriter(self, own: EffectiveSettings) -> Rewriter | None:
        """Only for questions that have a place at the chat model."""
        answers = self.settings.answers
        if own.answerer is AnswererName.EXTRACTIVE or not answers.rewrite_follow_ups:
            return None
        guard = InjectionGuard() if answers.injection_guard else None
        return ModelRewriter(self.chat_model, answers.chat_model, guard, self.circuit)

    def _answerers(self, own: EffectiveSettings) -> tuple[Answerer, Mapping[NoPlace, Answerer]]:
        """The answerer, and those for questions that have no place at the chat model.

        Raises `Conflict` when a knowledge base wants a chat model and the installation has none.
        """
        extractive = ExtractiveAnswerer(
            ExtractiveSettings(
                refuse_below=own.refuse_below, false_answers=own.false_answers, doubt_below=own.doubt_below
            )
        )
        answers = self.settings.answers

        def watched(each: Answerer) -> Answerer:
            return GuardAnswerer(each, extractive) if answers.injection_guard else each

        if own.answerer is AnswererName.EXTRACTIVE:
            return watched(extractive), dict.fromkeys(NoPlace, watched(extractive))
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
                frequency_penalty=answers.frequency_penalty,
                repetition_penalty=answers.repetition_penalty,
                images=answers.chat_reads_images,
                when_not_found=WhenNotFound(answers.when_not_found.value),
            ),
            self.summarizer if answers.summarise_history else None,
        )
        guarded = CircuitAnswerer(generative, self.circuit)
        if own.when_unavailable is WhenUnavailable.ERROR:
            return watched(guarded), dict.fromkeys(NoPlace, watched(LatePlaceAnswerer(guarded, self.admission)))
        answerer = FallbackAnswerer(guarded, extractive)
        refusing = RefusingAnswerer(generative.name, generative.model)
        return watched(answerer), {
            NoPlace.NONE_NEEDED: watched(LatePlaceAnswerer(answerer, self.admission)),
            NoPlace.NONE_LEFT: watched(FallbackAnswerer(refusing, extractive)),
        }


def build_services(settings: Settings, embedder: Embedder | None = None, load: Load | None = None) -> Services:
    """The services of this process.

    `embedder` takes the place of the configured one, `load` of the loading of models (tests, measurements).
    """

    def load_here(model: str) -> Embedder:
        if embedder is not None and model in ("", settings.embedder.model):
            return embedder
        if load is not None:
            return load(model)
        settings.cache_folder.mkdir(parents=True, exist_ok=True)
        chosen = settings.embedder
        return load_embedder(model, chosen.backend.value, settings.cache_folder, chosen.threads)

    return Services(settings, load_here)


async def services_of(request: Request) -> Services:
    """The process's services, which `app.main` keeps in the application's state.

    Like all dependencies that only look something up, async: others cost a thread each.
    """
    services: Services = request.app.state.services
    return services


ServicesOf = Annotated[Services, Depends(services_of)]
"""A route's parameter of this type gets the services."""
