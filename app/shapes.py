"""The JSON shapes of the API: what goes over the wire, and how it is made from rows and values.

Owns names and types of the fields, and the two small translations between storage and the API: spans, and
`NO_PAGE`, which is `null` outside. Knows no routes, no queries and no sessions.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from app import models
from app.service.turn import PRODUCTS_FOUND
from app.understood_shapes import ChoiceShape, ConversationStateShape, Shape, UnderstoodShape, choices_of
from rag import types as rag
from rag.answerers.base import GUARD, NOT_FOUND
from rag.answerers.fallback import FALLBACK, FallbackReason

CACHED = "cached"  # the name under which an answer's details tell that it had been made before

Role = Literal["customer", "assistant", "agent", "system"]
MessageStatus = Literal["received", "answering", "answered", "stopped", "failed"]
Rating = Literal["up", "down"]
Handling = Literal["assistant", "people"]
DocumentStatus = Literal[
    "queued", "parsing", "embedding", "indexing", "ready", "ready_with_warnings", "failed", "cancelled"
]


class ErrorBody(Shape):
    code: str = Field(description="Stable; for programs.")
    message: str = Field(description="For people: what is wrong and what to do.")
    details: dict[str, Any] = Field(default_factory=dict)


class ErrorShape(Shape):
    """Every answer that is not a success."""

    error: ErrorBody

    @classmethod
    def of(cls, code: str, message: str, details: Mapping[str, object] | None = None) -> "ErrorShape":
        return cls(error=ErrorBody(code=code, message=message, details=dict(details or {})))


class SpanShape(Shape):
    """Characters of one page's text, end exclusive. `page` is null where the document has no pages."""

    page: int | None
    start: int
    end: int
    anchor: str | None = None

    @classmethod
    def of(cls, span: rag.Span) -> "SpanShape":
        page = None if span.page == rag.NO_PAGE else span.page
        return cls(page=page, start=span.start, end=span.end, anchor=span.anchor)


def spans_to_row(spans: Iterable[rag.Span]) -> list[list[Any]]:
    """Spans as the JSON columns keep them: [[page, start, end, anchor], ...]."""
    return [[span.page, span.start, span.end, span.anchor] for span in spans]


def spans_from_row(row: Iterable[Sequence[Any]]) -> tuple[rag.Span, ...]:
    """What `spans_to_row` made; the anchor may be missing."""
    return tuple(rag.Span(*item) for item in row)


class KnowledgeBaseShape(Shape):
    id: str
    name: str
    language: str
    document_count: int
    passage_count: int
    window_count: int
    change: int = Field(description="Raised whenever an answer could be another.")
    embedder: str
    generation: str = Field(description="Id of the generation that answers.")
    settings: dict[str, Any]

    @classmethod
    def of(
        cls, row: models.KnowledgeBase, *, document_count: int, passage_count: int, window_count: int
    ) -> "KnowledgeBaseShape":
        return cls(
            id=row.id,
            name=row.name,
            language=row.language,
            document_count=document_count,
            passage_count=passage_count,
            window_count=window_count,
            change=row.generation.change,
            embedder=row.generation.embedder,
            generation=row.generation_id,
            settings=row.settings,
        )


class ProgressShape(Shape):
    """How far the source of a document is. `total` and `seconds_left` are null while they are not known."""

    stage: str
    done: int
    total: int | None
    seconds_left: float | None


class WarningShape(Shape):
    """`page` is null when the whole document is meant."""

    page: int | None
    message: str


class DocumentShape(Shape):
    id: str
    knowledge_base: str
    external_id: str
    title: str
    version: int
    status: DocumentStatus
    message: str
    media_type: str
    language: str
    pages: int
    passages: int
    windows: int
    progress: ProgressShape
    facets: dict[str, Any]
    is_public: bool = Field(description="Whether visitors of the widget may see it.")
    warnings: list[WarningShape]
    created_at: datetime

    @classmethod
    def of(cls, row: models.Document, job: models.Job | None = None) -> "DocumentShape":
        """`job` is the one that reads the document now; without it the progress is that of finished work.

        `row.warnings` holds [[page, message], ...].
        """
        return cls(
            id=row.id,
            knowledge_base=row.knowledge_base_id,
            external_id=row.external_id,
            title=row.title,
            version=row.version,
            status=row.status,
            message=row.message,
            media_type=row.media_type,
            language=row.language,
            pages=row.page_count,
            passages=row.passage_count,
            windows=row.window_count,
            progress=_progress(row, job),
            facets=row.facets,
            is_public=row.is_public,
            warnings=[WarningShape(page=page or None, message=message) for page, message in row.warnings],
            created_at=row.created_at,
        )


def _progress(row: models.Document, job: models.Job | None) -> ProgressShape:
    if job is None or job.finished_at is not None:
        return ProgressShape(stage=row.status, done=row.window_count, total=row.window_count, seconds_left=0.0)
    return ProgressShape(stage=job.stage, done=job.done, total=job.total, seconds_left=job.seconds_left)


class JobShape(Shape):
    """One uploaded source: a file, or a file with many records, whose documents appear as they are read."""

    id: str
    knowledge_base: str
    source_name: str
    external_id: str
    status: Literal["queued", "running", "done", "failed", "cancelled"]
    message: str
    attempts: int
    progress: ProgressShape
    created_at: datetime
    finished_at: datetime | None

    @classmethod
    def of(cls, row: models.Job) -> "JobShape":
        return cls(
            id=row.id,
            knowledge_base=row.knowledge_base_id,
            source_name=row.source_name,
            external_id=row.external_id,
            status=row.status,
            message=row.message,
            attempts=row.attempts,
            progress=ProgressShape(stage=row.stage, done=row.done, total=row.total, seconds_left=row.seconds_left),
            created_at=row.created_at,
            finished_at=row.finished_at,
        )


class PlaceShape(Shape):
    document_id: str
    spans: list[SpanShape]


class HitShape(Shape):
    passage_id: str
    document_id: str
    external_id: str
    title: str
    heading_path: list[str]
    spans: list[SpanShape]
    page_label: str | None
    text: str
    score: float | None = Field(description="Null in listings, which have no question.")
    signals: dict[str, float]
    also_at: list[PlaceShape]
    excluded: str | None = Field(
        None, description="In listings: the filter that keeps it from being found (unreadable, duplicate, boilerplate)."
    )

    @classmethod
    def of(cls, hit: rag.Hit) -> "HitShape":
        shape = cls.of_passage(hit.passage)
        places = [
            PlaceShape(document_id=place.document_id, spans=[SpanShape.of(span) for span in place.spans])
            for place in hit.also_at
        ]
        return shape.model_copy(update={"score": float(hit.score), "signals": _floats(hit.signals), "also_at": places})

    @classmethod
    def of_passage(cls, passage: rag.Passage, excluded: str | None = None) -> "HitShape":
        """A passage in a listing: without score and signals."""
        return cls(
            passage_id=passage.id,
            document_id=passage.document_id,
            external_id=passage.external_id,
            title=passage.title,
            heading_path=list(passage.heading_path),
            spans=[SpanShape.of(span) for span in passage.spans],
            page_label=passage.page_label,
            text=passage.text,
            score=None,
            signals={},
            also_at=[],
            excluded=excluded,
        )


def _floats(values: Mapping[str, float]) -> dict[str, float]:
    return {name: float(value) for name, value in values.items()}  # NumPy's floats are not JSON


class BoxShape(Shape):
    """A rectangle around words of one line, in PDF points on the page as displayed, from its top left corner.

    The page images have `scale` pixels a point.
    """

    page: int
    x0: float
    y0: float
    x1: float
    y1: float


class CitationShape(Shape):
    id: str
    marker: int
    document_id: str
    document_version: int
    title: str
    heading_path: list[str]
    spans: list[SpanShape]
    page_label: str | None
    quote: str
    boxes: list[BoxShape]

    @classmethod
    def of(cls, row: models.Citation) -> "CitationShape":
        return cls(
            id=row.id,
            marker=row.marker,
            document_id=row.document_id,
            document_version=row.document_version,
            title=row.title,
            heading_path=row.heading_path,
            spans=[SpanShape.of(span) for span in spans_from_row(row.spans)],
            page_label=row.page_label,
            quote=row.quote,
            boxes=[BoxShape(**box) for box in row.boxes],
        )


class MessageShape(Shape):
    id: str
    client_message_id: str
    conversation_id: str
    role: Role
    status: MessageStatus
    kind: rag.AnswerKind | None
    text: str
    citations: list[CitationShape]
    searched_for: str | None
    answerer: str | None
    model: str | None
    timings_ms: dict[str, float]
    error: ErrorBody | None = Field(None, description="Why a failed message failed.")
    fallback: FallbackReason | None = Field(
        None, description="Why the manuals are quoted though a chat model should have answered."
    )
    cached: bool = Field(False, description="Whether the answer had been made before.")
    choices: list[ChoiceShape] = Field([], description="What a question back or a flow offers to choose from.")
    products: list[dict[str, Any]] = Field([], description="Products of a catalogue that the answer is about.")
    author: str | None = Field(None, description="Which agent wrote it.")
    understood: UnderstoodShape | None = Field(None, description="Which products the answer is about, when known.")
    not_found: list[str] = Field([], description="Parts of a generated answer that its cited pages do not have.")
    guard: dict[str, Any] | None = Field(
        None, description="Why the question was taken for an attempt to steer the assistant: probability, by, signs."
    )
    rating: Rating | None = Field(None, description="What its reader thought of it; null until they said so.")
    created_at: datetime

    @classmethod
    def of(
        cls, row: models.Message, citations: Iterable[models.Citation] = (), rating: str | None = None
    ) -> "MessageShape":
        return cls(
            id=row.id,
            client_message_id=row.client_message_id,
            conversation_id=row.conversation_id,
            role=row.role,
            status=row.status,
            kind=None if row.kind is None else rag.AnswerKind(row.kind),
            text=row.text,
            citations=[CitationShape.of(citation) for citation in sorted(citations, key=lambda each: each.marker)],
            searched_for=row.searched_for,
            answerer=row.answerer,
            model=row.model,
            timings_ms=_floats(row.timings_ms),
            error=row.details.get("error"),
            fallback=row.details.get(FALLBACK),
            cached=row.details.get(CACHED, False),
            choices=choices_of(row.details),
            products=row.details.get(PRODUCTS_FOUND, []),
            author=row.author,
            understood=UnderstoodShape.of(row.details),
            not_found=row.details.get(NOT_FOUND, []),
            guard=row.details.get(GUARD),
            rating=rating,
            created_at=row.created_at,
        )


class ConversationShape(Shape):
    """`change` is the number of the last event so far: `events?after=` goes on from there without a gap."""

    id: str
    knowledge_base: str
    change: int
    handler: Handling = Field("assistant", description="Who takes the next message: the assistant, or people.")
    created_at: datetime

    @classmethod
    def of(cls, row: models.Conversation) -> "ConversationShape":
        return cls(
            id=row.id,
            knowledge_base=row.knowledge_base_id,
            change=row.change,
            handler=row.handler,
            created_at=row.created_at,
        )


class ConversationWithMessages(ConversationShape):
    state: ConversationStateShape = ConversationStateShape()
    messages: list[MessageShape]


class FeedbackShape(Shape):
    id: str
    message_id: str
    rating: Rating
    comment: str
    created_at: datetime

    @classmethod
    def of(cls, row: models.Feedback) -> "FeedbackShape":
        return cls(
            id=row.id,
            message_id=row.message_id,
            rating=row.rating,
            comment=row.comment,
            created_at=row.created_at,
        )


class RetrievalEvent(Shape):
    """Event `retrieval`: the passages that an answer is made from."""

    message_id: str
    searched_for: str
    hits: list[HitShape]


class TokenEvent(Shape):
    """Event `token`: text to append to the message."""

    message_id: str
    text: str


class TypingEvent(Shape):
    """Event `typing`: somebody is writing, until then at least; `until` is null when they no longer are."""

    role: Role
    name: str
    until: datetime | None


class HandOffEvent(Shape):
    """Event `hand_off`: how far a hand-off is. `position` counts from 1, while the customer waits in the queue."""

    status: str
    agent: str | None
    position: int | None


class CitationEvent(Shape):
    """Event `citation`: a citation of the message, new, or with its boxes filled in."""

    message_id: str
    citation: CitationShape
