"""The statements that every question runs, and the locks under which conversations change.

Owns their SQL: without the ORM and built once they cost a third. What they are for is in `app.messages`,
`app.message_leases` and `app.message_reading`.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import bindparam, exists, func, insert, select, update
from sqlalchemy.orm import Session

from app.models import Base, Conversation, Message
from rag.answerers.generative.history import HANDED_OVER

_messages, _conversations, _citations = (Base.metadata.tables[name] for name in ("message", "conversation", "citation"))

KNOWN_REPLY = (
    select(_messages.c.id)
    .where(
        _messages.c.conversation_id == bindparam("conversation_id"),
        _messages.c.client_message_id == bindparam("client_message_id"),
        _messages.c.role.in_(("assistant", "customer")),
    )
    .order_by(_messages.c.ordinal.desc())  # the answer, where there is one
    .limit(1)
)
INSERT_MESSAGES = insert(_messages)
INSERT_CITATIONS = insert(_citations)
LOCK = (
    select(_conversations.c.change, _conversations.c.state, _conversations.c.readers_until, _conversations.c.handler)
    .where(_conversations.c.id == bindparam("of"))
    .with_for_update()
)
ADVANCE = (
    update(_conversations)
    .where(_conversations.c.id == bindparam("of"))
    .values(change=bindparam("new_change"), state=bindparam("new_state"))
)
_SWAP = (
    update(_messages)
    .where(
        _messages.c.id == bindparam("of"),
        _messages.c.status == "answering",
        _messages.c.lease_owner == bindparam("lease"),
    )
    .returning(_messages.c.id)
)
HISTORY = (
    select(
        _messages.c.id, _messages.c.ordinal, _messages.c.role, _messages.c.text, _messages.c.kind, _messages.c.reply_to
    )
    .where(
        _messages.c.conversation_id == bindparam("of"),
        _messages.c.status != "failed",
        _messages.c.role.in_(("customer", "assistant")),
        _messages.c.ordinal < bindparam("before"),
    )
    .order_by(_messages.c.ordinal.desc())
    .limit(2 * HANDED_OVER)
)
ANSWERING_BEFORE = (
    select(_messages.c.id)
    .where(
        _messages.c.conversation_id == bindparam("of"),
        _messages.c.status == "answering",
        _messages.c.ordinal < bindparam("before"),
    )
    .limit(1)
)
_earlier = _messages.alias("earlier")
TURN_IS_OPEN = exists().where(
    _earlier.c.conversation_id == _messages.c.conversation_id,
    _earlier.c.status == "answering",
    _earlier.c.ordinal < _messages.c.ordinal,
)
"""Of a message: whether an answer before it in the conversation is still being made."""
LAST_ORDINAL = select(func.max(_messages.c.ordinal)).where(_messages.c.conversation_id == bindparam("of"))
CITED = (
    select(_citations.c.message_id, _citations.c.passage_id)
    .where(_citations.c.message_id.in_(bindparam("of", expanding=True)))
    .order_by(_citations.c.marker)
)


def lock(session: Session, conversation_id: str) -> Conversation | None:
    """The conversation's row, locked: whoever writes in a conversation does this first, so nobody deadlocks."""
    return session.scalars(select(Conversation).where(Conversation.id == conversation_id).with_for_update()).first()


def lock_with_message(session: Session, message_id: str) -> Message | None:
    conversation_id = session.scalar(select(Message.conversation_id).where(Message.id == message_id))
    if conversation_id is None or lock(session, conversation_id) is None:
        return None
    return session.scalars(select(Message).where(Message.id == message_id).with_for_update()).first()


def swap(session: Session, message_id: str, lease: str, values: Mapping[str, Any]) -> bool:
    """Changes the message only if it is still the lease holder's to change."""
    return session.execute(_SWAP.values(**values), {"of": message_id, "lease": lease}).first() is not None
