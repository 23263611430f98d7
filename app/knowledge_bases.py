"""Knowledge bases: create, list, change, delete, and search without an answer.

Owns the rows and their routes, and which settings a knowledge base may override. Does not know how documents
get in (`app.documents`) nor how a search works (`rag.retriever`).
"""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app import files
from app.bootstrap import Services, ServicesOf
from app.errors import BadFilter, BadRequest, Conflict
from app.knowledge_base_settings import KnowledgeBaseSettings
from app.models import Document, Generation, KnowledgeBase, new_id, now
from app.scope import CallerScope, Role, Scope
from app.shapes import HitShape, KnowledgeBaseShape
from ingestion.chunker import CHUNKER_VERSION
from rag.errors import UnknownFilter

router = APIRouter(prefix="/api/knowledge-bases", tags=["knowledge bases"])

_LIKE_AN_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_SHOWN = frozenset({"answerer"})
_NOT_IN_NAMES = re.compile(r"[\x00-\x1f\x7f/\\\u2028\u2029\ud800-\udfff]")

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Language = Annotated[str, StringConstraints(pattern=r"^([a-z]{2,3}(-[A-Za-z0-9]{2,8})*)?$", max_length=16)]


class NewKnowledgeBase(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: Name
    language: Language = Field("", description="Main language of its documents, such as en or zh; empty for mixed.")
    settings: KnowledgeBaseSettings = KnowledgeBaseSettings()


class KnowledgeBaseChange(BaseModel):
    """Only what is sent is changed; a setting sent as null goes back to the installation's."""

    model_config = ConfigDict(extra="forbid")

    name: Name | None = None
    language: Language | None = None
    settings: KnowledgeBaseSettings | None = None


class SearchRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    query: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4000)]
    top_k: int = Field(10, ge=1, le=200)
    filter: dict[str, Any] = Field(default_factory=dict, description="Narrows documents, by field or facet.")


class SearchResult(BaseModel):
    hits: list[HitShape]
    timings_ms: dict[str, float]


class KnowledgeBaseList(BaseModel):
    knowledge_bases: list[KnowledgeBaseShape]


def create_knowledge_base(services: Services, scope: Scope, new: NewKnowledgeBase) -> KnowledgeBaseShape:
    """Raises `Conflict` when the name is taken, `BadRequest` for names that could not be written in an address."""
    name = checked_name(new.name)
    row = KnowledgeBase(
        id=new_id(),
        generation_id=new_id(),
        workspace_id=scope.workspace_id,
        name=name,
        language=new.language,
        settings=new.settings.model_dump(exclude_none=True, mode="json"),
    )
    generation = Generation(
        id=row.generation_id,
        knowledge_base_id=row.id,
        embedder=services.embedder.identity,
        embedder_model=services.embedders.own_model,
        dimension=services.embedder.dimension,
        chunker_version=CHUNKER_VERSION,
        chunker=asdict(services.chunker_settings),
        switched_at=now(),
    )
    try:
        with services.database.write() as session:
            session.add(row)
            session.flush()
            session.add(generation)
            session.flush()
            session.refresh(row)
    except IntegrityError as error:
        raise _name_is_taken(name) from error
    return KnowledgeBaseShape.of(row, document_count=0, passage_count=0, window_count=0)


def list_knowledge_bases(services: Services, scope: Scope) -> list[KnowledgeBaseShape]:
    """All that the caller may see, by name."""
    with services.database.read() as session:
        rows = session.scalars(scope.knowledge_base_query().order_by(KnowledgeBase.name)).all()
        return [_as_seen_by(scope, each) for each in _with_counts(session, rows)]


def get_knowledge_base(services: Services, scope: Scope, id_or_name: str) -> KnowledgeBaseShape:
    with services.database.read() as session:
        return _as_seen_by(scope, _with_counts(session, [scope.knowledge_base(session, id_or_name)])[0])


def change_knowledge_base(
    services: Services, scope: Scope, id_or_name: str, change: KnowledgeBaseChange
) -> KnowledgeBaseShape:
    """Raises `Conflict` when the new name is taken, and `BadRequest` for settings that contradict those that stay."""
    try:
        with services.database.write() as session:
            row = scope.knowledge_base(session, id_or_name)
            if change.name is not None:
                row.name = checked_name(change.name)
            if change.language is not None:
                row.language = change.language
            if change.settings is not None:
                sent = change.settings.model_dump(exclude_unset=True, mode="json")
                row.settings = _merged(row.settings, sent)
            session.flush()
            return _with_counts(session, [row])[0]
    except IntegrityError as error:
        raise _name_is_taken(change.name or id_or_name) from error


def delete_knowledge_base(services: Services, scope: Scope, id_or_name: str) -> None:
    """Rows first, with all that hangs on them, then files and index: what is left over is never found again."""
    settings = services.settings
    with services.database.write() as session:
        row = scope.knowledge_base(session, id_or_name)
        files.announce_removal(settings.files_folder, row.id)
        session.delete(row)
    services.forget(row)
    files.remove_folders(settings.files_folder, settings.index_folder, row.id)


def search(services: Services, scope: Scope, id_or_name: str, request: SearchRequest) -> SearchResult:
    """The best `top_k` passages. Raises `BadFilter` for a filter that no document can match."""
    started = time.perf_counter()
    timings: dict[str, float] = {}
    with services.database.read() as session:
        row = scope.knowledge_base(session, id_or_name)
    try:
        found = services.searcher(row).search(
            request.query, top_k=request.top_k, filter=request.filter, history=(), timings=timings
        )
    except UnknownFilter as error:
        raise BadFilter(str(error), {"filter": request.filter}) from error
    timings["total"] = (time.perf_counter() - started) * 1000
    return SearchResult(hits=[HitShape.of(hit) for hit in found.hits], timings_ms=timings)


def _with_counts(session: Session, rows: Sequence[KnowledgeBase]) -> list[KnowledgeBaseShape]:
    counts = (
        select(
            Document.knowledge_base_id,
            func.count(),
            func.coalesce(func.sum(Document.passage_count), 0),
            func.coalesce(func.sum(Document.window_count), 0),
        )
        .where(Document.knowledge_base_id.in_([row.id for row in rows]))
        .group_by(Document.knowledge_base_id)
    )
    found = {id_: (documents, passages, windows) for id_, documents, passages, windows in session.execute(counts)}
    shapes = []
    for row in rows:
        documents, passages, windows = found.get(row.id, (0, 0, 0))
        shapes.append(
            KnowledgeBaseShape.of(row, document_count=documents, passage_count=passages, window_count=windows)
        )
    return shapes


def _as_seen_by(scope: Scope, shape: KnowledgeBaseShape) -> KnowledgeBaseShape:
    """Of the settings, a customer sees what answers, not what was set up for the people of the service desk."""
    if scope.role is not Role.CUSTOMER:
        return shape
    return shape.model_copy(update={"settings": {name: shape.settings[name] for name in _SHOWN & set(shape.settings)}})


def checked_name(name: str) -> str:
    """`name`, unless it could not be written in an address or be told from an id: then raises `BadRequest`."""
    if _NOT_IN_NAMES.search(name):
        raise BadRequest("A knowledge base's name cannot hold slashes or control characters.", {"name": name})
    if _LIKE_AN_ID.fullmatch(name):
        raise BadRequest("A knowledge base's name cannot look like an id.", {"name": name})
    return name


def _merged(own: Mapping[str, Any], sent: Mapping[str, Any]) -> dict[str, Any]:
    """`own` settings with those that were sent, null for one that goes. Raises `BadRequest` for a contradiction."""
    merged = {name: value for name, value in {**own, **sent}.items() if value is not None}
    try:
        KnowledgeBaseSettings.model_validate(merged)
    except ValidationError as error:
        told = "; ".join(each["msg"].removeprefix("Value error, ") for each in error.errors())
        raise BadRequest(f"With the settings that stay as they are: {told}.", {"settings": merged}) from error
    return merged


def _name_is_taken(name: str) -> Conflict:
    return Conflict(f"There is a knowledge base {name!r} already; choose another name.", {"name": name})


@router.post("", status_code=201)
def post_knowledge_base(new: NewKnowledgeBase, services: ServicesOf, scope: CallerScope) -> KnowledgeBaseShape:
    """Creates a knowledge base for the configured embedder."""
    return create_knowledge_base(services, scope, new)


@router.get("")
def get_knowledge_bases(services: ServicesOf, scope: CallerScope) -> KnowledgeBaseList:
    """Lists the knowledge bases, by name."""
    return KnowledgeBaseList(knowledge_bases=list_knowledge_bases(services, scope))


@router.get("/{knowledge_base}")
def get_one_knowledge_base(knowledge_base: str, services: ServicesOf, scope: CallerScope) -> KnowledgeBaseShape:
    """One knowledge base, by id or name."""
    return get_knowledge_base(services, scope, knowledge_base)


@router.patch("/{knowledge_base}")
def patch_knowledge_base(
    knowledge_base: str, change: KnowledgeBaseChange, services: ServicesOf, scope: CallerScope
) -> KnowledgeBaseShape:
    """Changes name, language or settings."""
    return change_knowledge_base(services, scope, knowledge_base, change)


@router.delete("/{knowledge_base}", status_code=204)
def remove_knowledge_base(knowledge_base: str, services: ServicesOf, scope: CallerScope) -> Response:
    """Deletes a knowledge base with its documents, conversations, files and index."""
    delete_knowledge_base(services, scope, knowledge_base)
    return Response(status_code=204)


@router.post("/{knowledge_base}/search")
def post_search(knowledge_base: str, request: SearchRequest, services: ServicesOf, scope: CallerScope) -> SearchResult:
    """Finds passages, best first, without an answer."""
    return search(services, scope, knowledge_base, request)
