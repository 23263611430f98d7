"""What is read of conversations: as they stand, what has changed since, and the turns before a question.

Owns the reading side of `app.messages`. Every function that takes a database is one short transaction; the only thing
written here is that somebody listens.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.conversation_state import context_of, state_shape
from app.customer_shapes import for_customer
from app.db import Database
from app.message_statements import CITED, HISTORY, LAST_ORDINAL
from app.models import Citation, Conversation, Feedback, Message, now
from app.scope import Role, Scope
from app.shapes import ConversationWithMessages, MessageShape
from rag import types as rag
from rag.answerers.generative.history import first_handed_over

_NO_LIMIT = 2**31 - 1

_NOT_OF_MANUALS = frozenset((rag.AnswerKind.FLOW.value, rag.AnswerKind.HAND_OFF.value))
"""Turns about a task or a person: nothing in them says what a question to the manuals is about."""


@dataclass(frozen=True, slots=True)
class Missed:
    """Messages that changed after a number, oldest change first, and the conversation's number as of then."""

    change: int
    messages: Sequence[tuple[int, MessageShape]]


def missed(
    database: Database, scope: Scope, conversation_id: str, after: int | None, message_id: str | None = None
) -> Missed:
    """What a reader who has seen everything up to `after` has not: changed messages and those being answered.

    `after` None means that the reader has seen all up to now. With `message_id`, that message alone, however old.
    """
    with database.read() as session:
        change = scope.conversation(session, conversation_id).change
        query = select(Message).where(Message.conversation_id == conversation_id).order_by(Message.change)
        if message_id is not None:
            query = query.where(Message.id == message_id)
        else:
            seen = change if after is None else after
            query = query.where((Message.change > seen) | (Message.status == "answering"))
        rows = session.scalars(query).all()
        return Missed(change, [(row.change, shape) for row, shape in zip(rows, shapes_of(session, rows), strict=True)])


def look(database: Database, watched: Sequence[str], own_leases: str, presence_s: float) -> dict[str, int]:
    """The change numbers of the watched conversations; those that are gone are missing.

    Where an answer is in progress whose lease does not begin with `own_leases`, its maker is told that somebody
    listens: the conversation's `readers_until` is set `presence_s` seconds ahead.
    """
    numbers = select(Conversation.id, Conversation.change).where(Conversation.id.in_(watched))
    answered_elsewhere = select(Message.conversation_id).where(
        Message.conversation_id.in_(watched),
        Message.status == "answering",
        Message.lease_owner.not_like(f"{own_leases}%"),
    )
    with database.read() as session:
        found = {row.id: row.change for row in session.execute(numbers)}
        elsewhere = session.scalars(answered_elsewhere).all()
    if elsewhere:
        until = now() + timedelta(seconds=presence_s)
        with database.write() as session:
            session.execute(update(Conversation).where(Conversation.id.in_(elsewhere)).values(readers_until=until))
    return found


def heard_elsewhere(database: Database, conversation_ids: Sequence[str]) -> set[str]:
    """Those of the conversations to which somebody listens in another process."""
    heard = select(Conversation.id).where(Conversation.id.in_(conversation_ids), Conversation.readers_until > now())
    with database.read() as session:
        return set(session.scalars(heard))


def newest_stopped(database: Database, scope: Scope, conversation_id: str) -> str | None:
    """The id of the conversation's last message if it is an answer that was stopped."""
    query = (
        scope.message_query()
        .where(Message.conversation_id == conversation_id)
        .order_by(Message.ordinal.desc())
        .limit(1)
    )
    with database.read() as session:
        last = session.scalars(query).first()
        return last.id if last is not None and last.status == "stopped" else None


def conversation_with_messages(database: Database, scope: Scope, conversation_id: str) -> ConversationWithMessages:
    """A conversation and its messages in order, as far as the scope may see them."""
    with database.read() as session:
        row = scope.conversation(session, conversation_id)
        query = select(Message).where(Message.conversation_id == conversation_id).order_by(Message.ordinal)
        messages = shapes_of(session, session.scalars(query).all())
        is_for_customer = scope.role is Role.CUSTOMER
        if is_for_customer:
            messages = for_customer(session, messages)
        return ConversationWithMessages(
            id=row.id,
            knowledge_base=row.knowledge_base_id,
            change=row.change,
            handler=row.handler,
            created_at=row.created_at,
            state=state_shape({} if is_for_customer else row.state),
            messages=messages,
        )


def shape_of(session: Session, row: Message) -> MessageShape:
    return shapes_of(session, [row])[0]


def shapes_of(session: Session, rows: Sequence[Message]) -> list[MessageShape]:
    of_message: dict[str, list[Citation]] = {row.id: [] for row in rows}
    ratings: dict[str, str] = {}
    if rows:
        for citation in session.scalars(select(Citation).where(Citation.message_id.in_(of_message))):
            of_message[citation.message_id].append(citation)
        for feedback in session.scalars(select(Feedback).where(Feedback.message_id.in_(of_message))):
            ratings[feedback.message_id] = feedback.rating
    return [MessageShape.of(row, of_message[row.id], ratings.get(row.id)) for row in rows]


def asked(
    text: str, history: tuple[rag.Turn, ...], request: Mapping[str, Any], state: Mapping[str, Any]
) -> rag.Question:
    """What is handed to a chain for a message's text and request, in a conversation of this state."""
    filter, images = request.get("filter") or {}, tuple(request.get("images") or ())
    return rag.Question(text, history, filter, images, context_of(request.get("context") or {}, state))


def turns_before(session: Session, conversation_id: str, before: int | None = None) -> tuple[int, tuple[rag.Turn, ...]]:
    """The next free ordinal, and the turns with the manuals before that ordinal (or `before`), oldest first."""
    of_conversation = {"of": conversation_id, "before": _NO_LIMIT if before is None else before}
    rows = session.execute(HISTORY, of_conversation).all()
    first = first_handed_over(rows[0].ordinal + 1) if rows else 0
    left_out = {each for row in rows if row.kind in _NOT_OF_MANUALS for each in (row.id, row.reply_to)}
    answers = [row.id for row in rows if row.role == "assistant" and row.id not in left_out]
    cited: dict[str, list[str]] = {}
    if answers:
        for message_id, passage_id in session.execute(CITED, {"of": answers}):
            cited.setdefault(message_id, []).append(passage_id)
    turns = [
        rag.Turn(row.role, row.text, tuple(dict.fromkeys(cited.get(row.id, ()))))
        for row in reversed(rows)
        if row.text and row.ordinal >= first and row.id not in left_out
    ]
    last = session.execute(LAST_ORDINAL, {"of": conversation_id}).scalar()  # agents and the system have written too
    return (0 if last is None else last + 1), tuple(turns)
