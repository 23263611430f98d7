"""Conversations over HTTP. The first file of a question's way.

Owns the routes, what a message may hold, and whether its answer goes out as JSON or as server-sent events. How
a question is kept and answered is `app.conversations`, the next file of the way.
"""

from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from app import message_reading
from app.bootstrap import ServicesOf
from app.conversations import ConversationManager
from app.customer_events import event_for_customer, message_for_customer
from app.db import Database
from app.errors import AnswerFailed, ServiceError, Unavailable
from app.event_stream import Encoded, EventStream, WhileHolding, ended_message
from app.events import Subscription
from app.feedback import save_feedback
from app.images import MOST_BYTES, MOST_BYTES_TOGETHER, MOST_IMAGES, checked_images
from app.models import Conversation, new_id
from app.scope import CallerScope, Role
from app.shapes import ConversationShape, ConversationWithMessages, FeedbackShape, MessageShape
from app.stream_access import StreamAccess, StreamAccessOf

router = APIRouter(prefix="/api", tags=["conversations"])


def _has_words(text: str) -> str:
    # Python knows more white space than pydantic does: separators of files and records.
    if not text.strip():
        raise ValueError("The text is empty: say something.")
    return text


Text = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=4000, pattern=r"^[^\x00]*$"),
    AfterValidator(_has_words),
]
ClientId = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]*$")]
ContextValue = Annotated[str, StringConstraints(max_length=2000)] | int | float | bool | None

CLIENT_LEFT = 499
"""Nobody reads this status; it is what nginx logs when a client closes the connection."""

_STREAMED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The answer; as events `message`, `retrieval`, `token`, `citation`, `done`, `error` "
        "when the client accepts text/event-stream.",
        "content": {"text/event-stream": {}},
    }
}


class NewConversation(BaseModel):
    model_config = ConfigDict(extra="forbid")

    knowledge_base: Annotated[str, StringConstraints(min_length=1, max_length=200)] = Field(description="Id or name.")


class ConversationList(BaseModel):
    """Newest first. `next_cursor` is null at the end."""

    conversations: list[ConversationShape]
    next_cursor: str | None


class NewMessage(BaseModel):
    model_config = ConfigDict(extra="forbid")

    text: Text
    client_message_id: ClientId | None = Field(
        None, description="Chosen by the client; the same again gives the same answer, never a second one."
    )
    filter: dict[str, Any] = Field(default_factory=dict, max_length=20, description="Narrows the documents.")
    context: dict[str, ContextValue] = Field(
        default_factory=dict, max_length=20, description="Where the customer is: product, page, language."
    )
    images: list[str] = Field(
        default_factory=list,
        description=f"Data URLs of up to {MOST_IMAGES} PNG, JPEG, WebP or GIF pictures, for models that look at them; "
        f"each of {MOST_BYTES / 2**20:g} MiB at most, together of {MOST_BYTES_TOGETHER / 2**20:g}.",
    )


class NewFeedback(BaseModel):
    model_config = ConfigDict(extra="forbid")

    rating: Literal["up", "down"]
    comment: Annotated[str, StringConstraints(max_length=4000, pattern=r"^[^\x00]*$")] = ""


async def manager_of(request: Request) -> ConversationManager:
    manager: ConversationManager = request.app.state.conversations
    return manager


ManagerOf = Annotated[ConversationManager, Depends(manager_of)]


@router.post("/conversations", status_code=201)
def post_conversation(new: NewConversation, services: ServicesOf, scope: CallerScope) -> ConversationShape:
    """Begins a conversation about a knowledge base."""
    with services.database.write() as session:
        knowledge_base = scope.knowledge_base(session, new.knowledge_base)
        row = Conversation(
            workspace_id=scope.workspace_id, knowledge_base_id=knowledge_base.id, visitor_id=scope.visitor_id
        )
        session.add(row)
        session.flush()
        return ConversationShape.of(row)


@router.get("/conversations")
def get_conversations(
    services: ServicesOf,
    scope: CallerScope,
    knowledge_base: Annotated[str | None, Query(max_length=200, description="Id or name.")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, Query(max_length=36)] = None,
) -> ConversationList:
    """Lists conversations, newest first."""
    query = scope.conversation_query().order_by(Conversation.id.desc()).limit(limit + 1)  # UUIDv7: ordered by time
    if cursor is not None:
        query = query.where(Conversation.id < cursor)
    with services.database.read() as session:
        if knowledge_base is not None:
            query = query.where(Conversation.knowledge_base_id == scope.knowledge_base(session, knowledge_base).id)
        rows = session.scalars(query).all()
    shapes = [ConversationShape.of(row) for row in rows[:limit]]
    return ConversationList(conversations=shapes, next_cursor=shapes[-1].id if len(rows) > limit else None)


@router.get("/conversations/{conversation_id}")
def get_conversation(conversation_id: str, services: ServicesOf, scope: CallerScope) -> ConversationWithMessages:
    """A conversation with its messages, in the order in which they were written."""
    return message_reading.conversation_with_messages(services.database, scope, conversation_id)


@router.post("/conversations/{conversation_id}/messages", response_model=MessageShape, responses=_STREAMED)
async def post_message(
    conversation_id: str,
    new: NewMessage,
    request: Request,
    manager: ManagerOf,
    services: ServicesOf,
    scope: CallerScope,
    access: StreamAccessOf,
    accept: Annotated[str, Header()] = "",
) -> Response:
    """Asks a question; gives its answer, or streams it when the client accepts `text/event-stream`.

    429 with `Retry-After` when the chat model has no place: nothing was kept, and the same message may be sent again.
    409 in the conversation of somebody else, a visitor or customer: agents answer those from the inbox.
    """
    images = await run_in_threadpool(checked_images, new.images) if new.images else ()
    request_kept = {"filter": new.filter, "context": new.context, **({"images": list(images)} if images else {})}
    reader = await manager.receive(
        scope,
        conversation_id,
        text=new.text,
        client_message_id=new.client_message_id or new_id(),
        request=request_kept,
    )
    if "text/event-stream" in accept:
        return _stream(reader, services.database, access)
    message = await ended_message(reader, request.receive)
    if message is None:
        if await request.is_disconnected():
            return Response(status_code=CLIENT_LEFT)
        raise Unavailable(
            "The server is stopping, or the conversation was deleted. "
            "Send the message again with the same client_message_id."
        )
    if scope.role is Role.CUSTOMER:
        message = await message_for_customer(services.database, message)
    if message.error is not None:
        raise _as_error(message)
    return Response(message.model_dump_json(), media_type="application/json")


@router.get("/conversations/{conversation_id}/events", response_class=Response, responses=_STREAMED)
async def get_events(
    conversation_id: str,
    manager: ManagerOf,
    services: ServicesOf,
    access: StreamAccessOf,
    last_event_id: Annotated[int | None, Header(ge=0)] = None,
    after: Annotated[int | None, Query(ge=0, description="As Last-Event-ID, for a first connection.")] = None,
) -> Response:
    """Everything that happens in a conversation, from now on or from a change number on, while the session holds."""
    since = after if last_event_id is None else last_event_id
    reader = await manager.listen(access.scope, conversation_id, after=since)
    return _stream(reader, services.database, access, greeting=b"retry: 1000\n\n")


@router.post("/messages/{message_id}/feedback")
def post_feedback(message_id: str, feedback: NewFeedback, services: ServicesOf, scope: CallerScope) -> FeedbackShape:
    """Says whether an answer helped. One feedback a message: the last one counts."""
    return save_feedback(services.database, scope, message_id, feedback.rating, feedback.comment)


def _stream(reader: Subscription, database: Database, access: StreamAccess, greeting: bytes = b"") -> EventStream:
    """The events as far as the caller may see them, and as long as they may."""
    told = partial(event_for_customer, database) if access.scope.role is Role.CUSTOMER else None
    return EventStream(WhileHolding(Encoded(reader, greeting, told), partial(access.still_holds, database)))


def _as_error(message: MessageShape) -> ServiceError:
    """A failed answer does not go out as a success."""
    assert message.error is not None
    error = AnswerFailed(message.error.message, {**message.error.details, "message": message.model_dump(mode="json")})
    error.code = message.error.code
    if error.code == "internal_error":
        error.status = 500
    return error
