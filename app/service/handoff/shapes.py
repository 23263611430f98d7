"""The JSON shapes of the inbox and of candidate entries.

Owns names and types of the fields, and how they are made from rows. Runs no queries.
"""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from app.models import Conversation
from app.service.handoff.presence import Status
from app.service.tables import AgentNote, ConversationRating, FaqCandidate, HandOff
from app.service.turn import DECISIONS, FLOW, HAND_OFF, PRODUCTS_FOUND, ROUTING
from app.shapes import CitationShape, Handling, MessageShape
from app.understood_shapes import ConversationStateShape, Shape

HandOffStatus = Literal["queued", "claimed", "resolved", "returned", "cancelled"]
CandidateStatus = Literal["candidate", "approved", "dismissed"]

_TOLD_TO_AGENTS = (ROUTING, FLOW, DECISIONS, PRODUCTS_FOUND, HAND_OFF)


class PersonShape(Shape):
    id: str
    name: str


class LastMessageShape(Shape):
    role: str
    text: str
    created_at: datetime


class HandOffShape(Shape):
    """`change` is the inbox's number of what happened to it last. `waiting_since` is null while nobody waits."""

    id: str
    conversation_id: str
    knowledge_base: str
    knowledge_base_name: str
    skill_group: str
    is_everybodys: bool = Field(description="Nobody's account has this group: everybody may claim it.")
    status: HandOffStatus
    handler: Handling = Field(description="Of a queued one: `assistant` when nobody was there to come.")
    reason: str
    summary: str
    passages: list[dict[str, Any]]
    agent: PersonShape | None
    offered_to: str | None = Field(description="The agent whose turn it is; null: everybody's.")
    customer: dict[str, Any] | None
    last_message: LastMessageShape | None
    waiting_since: datetime | None
    created_at: datetime
    claimed_at: datetime | None
    answered_at: datetime | None
    ended_at: datetime | None
    rating: int | None = Field(description="Stars, 1 to 5, of the conversation.")
    rating_comment: str = Field(description="What the customer wrote with them; empty without.")
    change: int

    @classmethod
    def of(
        cls,
        row: HandOff,
        *,
        knowledge_base_name: str,
        conversation: Conversation,
        agent: str | None,
        last_message: LastMessageShape | None,
        rating: ConversationRating | None,
        is_everybodys: bool,
    ) -> "HandOffShape":
        named = {name: getattr(row, name) for name in cls.model_fields if name in HandOff.__table__.columns}
        return cls(
            **named,
            knowledge_base=row.knowledge_base_id,
            knowledge_base_name=knowledge_base_name,
            handler=conversation.handler,
            agent=PersonShape(id=row.agent_id, name=agent or "") if row.agent_id else None,
            customer=conversation.customer,
            last_message=last_message,
            rating=rating.stars if rating is not None else None,
            rating_comment=rating.comment if rating is not None else "",
            is_everybodys=is_everybodys,
        )


class Inbox(Shape):
    """Open ones oldest first, ended ones newest first. `change` is the number up to which this tells everything."""

    hand_offs: list[HandOffShape]
    change: int
    next_cursor: str | None


class AgentShape(Shape):
    id: str
    name: str
    groups: list[str]
    status: Status
    claimed: int = Field(description="Conversations it has.")


class AgentList(Shape):
    agents: list[AgentShape]


class NoteShape(Shape):
    id: str
    author: str
    text: str
    created_at: datetime

    @classmethod
    def of(cls, row: AgentNote) -> "NoteShape":
        return cls(id=row.id, author=row.author, text=row.text, created_at=row.created_at)


class InboxMessageShape(MessageShape):
    """A message with what only agents see of it."""

    routing: dict[str, Any] | None = None
    flow: dict[str, Any] | None = None
    decisions: list[dict[str, Any]] = Field([])
    products_found: list[dict[str, Any]] = Field([])
    hand_off: dict[str, Any] | None = None

    @classmethod
    def with_details(cls, message: MessageShape, details: dict[str, Any]) -> "InboxMessageShape":
        told = {name: details[name] for name in _TOLD_TO_AGENTS if details.get(name) is not None}
        return cls(**{name: getattr(message, name) for name in MessageShape.model_fields}, **told)


class InboxConversation(Shape):
    """`change` is the conversation's own number: its events go on from there."""

    id: str
    knowledge_base: str
    knowledge_base_name: str
    handler: Handling
    customer: dict[str, Any] | None
    state: ConversationStateShape
    flow: dict[str, Any] | None = Field(
        None, description="The flow that is under way, or was when people took over: its name, step and slots."
    )
    change: int
    messages: list[InboxMessageShape]
    notes: list[NoteShape]
    hand_offs: list[HandOffShape]


class SuggestedCitation(CitationShape):
    """A citation that is not stored. Sent back with the reply, it becomes one of the agent's message."""

    passage_id: str


class Suggestion(Shape):
    """`message_id` is the customer's message that it answers."""

    message_id: str
    kind: str
    text: str
    citations: list[SuggestedCitation]


class RatingShape(Shape):
    stars: int
    comment: str
    created_at: datetime

    @classmethod
    def of(cls, row: ConversationRating) -> "RatingShape":
        return cls(stars=row.stars, comment=row.comment, created_at=row.created_at)


class FaqCandidateShape(Shape):
    """`document` is the external id of an approved entry's document."""

    id: str
    knowledge_base: str
    message_id: str
    question: str
    answer: str
    author: str
    status: CandidateStatus
    public: bool
    document: str | None
    created_at: datetime
    reviewed_at: datetime | None

    @classmethod
    def of(cls, row: FaqCandidate, document: str | None) -> "FaqCandidateShape":
        return cls(
            id=row.id,
            knowledge_base=row.knowledge_base_id,
            message_id=row.message_id,
            question=row.question,
            answer=row.answer,
            author=row.author,
            status=row.status,
            public=row.is_public,
            document=document,
            created_at=row.created_at,
            reviewed_at=row.reviewed_at,
        )


class FaqCandidateList(Shape):
    """Newest first."""

    candidates: list[FaqCandidateShape]
    next_cursor: str | None
