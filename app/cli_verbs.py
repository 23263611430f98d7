"""What the command line does, in this process and with the same code as the API.

Owns the joining of settings to the functions behind the API's routes. Knows nothing of arguments and printing.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select

from app.bootstrap import Services, build_services
from app.errors import BadFilter
from app.generation_state import GenerationStatus
from app.knowledge_bases import (
    NewKnowledgeBase,
    SearchRequest,
    SearchResult,
)
from app.knowledge_bases import create_knowledge_base as create
from app.knowledge_bases import delete_knowledge_base as delete
from app.knowledge_bases import list_knowledge_bases as list_all
from app.knowledge_bases import search as search_in
from app.messages import citation_row
from app.models import Generation, KnowledgeBase, new_id, now
from app.scope import Scope
from app.settings import Settings
from app.shapes import CitationShape, KnowledgeBaseShape, MessageShape
from app.upkeep import note_report
from migrations import upgrade
from rag.answerers.fallback import FALLBACK
from rag.errors import UnknownFilter
from rag.types import Answer, Question

SCOPE = Scope()
"""Who has the files has everything: the command line acts for the default workspace."""


def services_for(settings: Settings) -> Services:
    """Services over an installation that is brought up to date first."""
    services = build_services(settings)
    services.prepare()
    return services


def migrate(settings: Settings) -> None:
    settings.home_folder.mkdir(parents=True, exist_ok=True)
    upgrade(settings.database_url)


def create_knowledge_base(settings: Settings, name: str, language: str) -> KnowledgeBaseShape:
    return create(services_for(settings), SCOPE, NewKnowledgeBase(name=name, language=language))


def list_knowledge_bases(settings: Settings) -> list[KnowledgeBaseShape]:
    return list_all(services_for(settings), SCOPE)


def delete_knowledge_base(settings: Settings, name: str) -> None:
    delete(services_for(settings), SCOPE, name)


def search(settings: Settings, name: str, query: str, top_k: int, filter: Mapping[str, Any]) -> SearchResult:
    request = SearchRequest(query=query, top_k=top_k, filter=dict(filter))
    return search_in(services_for(settings), SCOPE, name, request)


def ask(settings: Settings, name: str, question: str, filter: Mapping[str, Any]) -> MessageShape:
    """One question in a conversation of its own, of which nothing is stored."""
    services = services_for(settings)
    try:
        answer = services.chain(_row(services, name)).answer(Question(question, filter=filter))
    except UnknownFilter as error:
        raise BadFilter(str(error), {"filter": dict(filter)}) from error
    return _message(answer)


def _message(answer: Answer) -> MessageShape:
    rows = [citation_row(citation, new_id()) for citation in answer.citations]
    return MessageShape(
        id=new_id(),
        client_message_id="",
        conversation_id="",
        role="assistant",
        status="answered",
        kind=answer.kind,
        text=answer.text,
        citations=[CitationShape.of(row) for row in rows],
        searched_for=answer.searched_for,
        answerer=answer.answerer,
        model=answer.model,
        timings_ms=dict(answer.timings_ms),
        fallback=answer.details.get(FALLBACK),
        created_at=now(),
    )


def answer_for_people(message: MessageShape) -> str:
    """The answer and its numbered sources, as plain text."""
    lines = [message.text, ""]
    for citation in message.citations:
        pages = sorted({span.page for span in citation.spans if span.page is not None})
        place = [citation.title, " › ".join(citation.heading_path), _pages_for_people(pages, citation.page_label)]
        lines.append(f"[{citation.marker}] {', '.join(part for part in place if part)}")
    model = f", {message.model}" if message.model else ""
    return "\n".join([*lines, f"({message.kind}; {message.answerer}{model})"]).replace("[", "\\[")


def _pages_for_people(pages: list[int], label: str | None) -> str:
    """The page as printed, where that is not its number in the file."""
    if not pages:
        return ""
    numbers = ", ".join(map(str, pages))
    return f"page {label} ({numbers} in the file)" if label and label != str(pages[0]) else f"page {numbers}"


def index_check(settings: Settings, name: str) -> list[dict[str, Any]]:
    """One report a generation: how many passages there are, which ones its index has too many, or lacks.

    Only those that are built and not dropped; most knowledge bases have one.
    """
    services = services_for(settings)
    open_ = services.generations
    reports = []
    for row, generation in _generations(services, name):
        found = open_.index(generation).check(open_.store(generation))
        note_report(services, generation, found)
        reports.append(
            {
                "knowledge_base": row.name,
                "generation": generation.number,
                "status": generation.status,
                "change": found.change,
                "snapshot_change": found.snapshot_change,
                "passages": found.passages,
                "orphans": sorted({*found.orphan_vectors, *found.orphan_words}),
                "missing": sorted({*found.missing_vectors, *found.missing_words}),
            }
        )
    return reports


def index_rebuild(settings: Settings, name: str) -> list[str]:
    """Builds the indexes anew and returns their names."""
    services = services_for(settings)
    open_ = services.generations
    found = _generations(services, name)
    for _, generation in found:
        open_.index(generation).rebuild(open_.store(generation))
    return list(dict.fromkeys(row.name for row, _ in found))


def _row(services: Services, name: str) -> KnowledgeBase:
    with services.database.read() as session:
        return SCOPE.knowledge_base(session, name)


def _generations(services: Services, name: str) -> list[tuple[KnowledgeBase, Generation]]:
    rows = {row.id: row for row in _rows(services, name)}
    with services.database.read() as session:
        query = select(Generation).where(
            Generation.knowledge_base_id.in_(rows), Generation.status != GenerationStatus.DROPPING
        )
        generations = session.scalars(query.order_by(Generation.number)).all()
    found = [(rows[each.knowledge_base_id], each) for each in generations]
    return sorted(found, key=lambda pair: pair[0].name)


def _rows(services: Services, name: str) -> list[KnowledgeBase]:
    if name:
        return [_row(services, name)]
    with services.database.read() as session:
        return list(session.scalars(SCOPE.knowledge_base_query().order_by(KnowledgeBase.name)))
