"""Golden questions asked of a stored knowledge base, as its customers would be answered.

Owns the joining of a knowledge base, with settings tried out or its own, to `rag.evaluation`. Nothing of the questions
is stored here; runs that are kept are `app.evaluation.runs`.
"""

from collections.abc import Mapping
from dataclasses import asdict
from functools import lru_cache
from typing import Any

from sqlalchemy import select

from app.bootstrap import Services
from app.errors import BadRequest
from app.knowledge_base_settings import KnowledgeBaseSettings, effective_settings, with_tried
from app.models import Document, KnowledgeBase, Page, Passage
from rag.evaluation.asking import Bench, PageText
from rag.types import Citation

_PAGES_KEPT = 256


def bench_of(
    services: Services,
    knowledge_base: KnowledgeBase,
    tried: Mapping[str, Any],
    *,
    top_k: int = 10,
    answers: bool = True,
) -> Bench:
    """What questions are asked of: search and chain of the knowledge base, `tried` in place of its own settings.

    For a process of its own: the parts that answer others would be joined anew with every question. No answer comes
    from the cache. Raises `BadRequest` for settings that there are not, and `Conflict` as `Services.chain`.
    """
    try:
        own = KnowledgeBaseSettings.model_validate(
            {**with_tried(knowledge_base.settings, tried), "answer_cache": False}
        )
    except ValueError as error:
        raise BadRequest(f"The settings to be tried are none: {error}", {"settings": dict(tried)}) from error
    with services.database.read() as session:
        row = session.get_one(KnowledgeBase, knowledge_base.id)
    row.settings = own.model_dump(mode="json", exclude_none=True)  # of this copy alone: its session has ended
    return Bench(services.searcher(row), services.chain(row) if answers else None, _page_text(services), top_k)


def settings_used(services: Services, knowledge_base: KnowledgeBase, tried: Mapping[str, Any]) -> dict[str, Any]:
    """What a run is told to have been made with: every setting that holds, and what answered."""
    own = with_tried(knowledge_base.settings, tried)
    generation, answers = knowledge_base.generation, services.settings.answers
    effective = effective_settings(own, services.settings)
    return {
        **{name: value for name, value in asdict(effective).items() if name != "answer_cache"},
        "model": answers.chat_model if effective.answerer == "generative" else None,
        "reranker": services.settings.retrieval.reranker or None,
        "dictionary": services.settings.retrieval.dictionary,
        "embedder": generation.embedder,
        "generation": generation.number,
        "change": generation.change,
    }


def _page_text(services: Services) -> PageText:
    """Texts of pages as they are stored, the last ones kept in memory: citations come from few pages."""

    @lru_cache(_PAGES_KEPT)
    def read(document_id: str, passage_id: str, page: int) -> str | None:
        query = (
            select(Page.text)
            .join(Document, Document.key == Page.document_key)
            .join(Passage, (Passage.document_key == Page.document_key) & (Passage.generation_id == Page.generation_id))
            .where(Document.id == document_id, Passage.id == passage_id, Page.number == page)
        )
        with services.database.read() as session:
            return session.scalar(query)

    def text(citation: Citation, page: int) -> str | None:
        return read(citation.document_id, citation.passage_id, page)

    return text
