"""What is written into a conversation's record that the assistant has not been asked for: messages of agents and of the
system, and the place of an answer that it owes when people have left.

Owns their place and number in it. The caller holds the conversation's lock, in a session that saw it then.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session, aliased

from app.models import Conversation, KnowledgeBase, Message, new_id, now
from app.service.handoff.sentences import language_in, sentence
from app.service.replies import TAKEN_OVER
from app.service.turn import HAND_OFF, HandOffReason
from rag.language import Language

_LOOKED_BACK = 20  # messages of the customer's


def write(
    session: Session,
    conversation: Conversation,
    text: str,
    at: datetime,
    *,
    author: tuple[str, str] | None = None,
    client_message_id: str | None = None,
    details: Mapping[str, Any] | None = None,
) -> Message:
    """Adds a message of an agent, or of the system, and raises the conversation's change number.

    `author` is the agent's id and name.
    """
    return _add(
        session,
        conversation,
        client_message_id=client_message_id or new_id(),
        role="system" if author is None else "agent",
        status="answered",
        text=text,
        details=dict(details or {}),
        author=author and author[1],
        author_id=author and author[0],
        created_at=at,
    )


def tell(session: Session, conversation: Conversation, name: str, at: datetime, **parts: str) -> Message:
    """Adds a sentence of ours (`sentences`) in the conversation's language."""
    return write(session, conversation, sentence(name, spoken_in(session, conversation), **parts), at)


def spoken_in(session: Session, conversation: Conversation) -> Language:
    """The language in which the customer is spoken to: as they write, else the knowledge base's."""
    said = session.scalars(
        select(Message.text)
        .where(Message.conversation_id == conversation.id, Message.role == "customer")
        .order_by(Message.ordinal.desc())
        .limit(1)
    ).first()
    if said:
        return language_in(conversation.state, said)
    own = session.scalar(select(KnowledgeBase.language).where(KnowledgeBase.id == conversation.knowledge_base_id))
    return language_in(conversation.state or {"language": own})


def await_answer(session: Session, conversation: Conversation, at: datetime) -> None:
    """Leaves the customer's last message to the assistant, unless somebody has replied since it was written.

    Its answer is one that nobody has begun: whoever looks for such answers makes it (`app.message_leases.claim`).
    """
    of_conversation = select(Message).where(Message.conversation_id == conversation.id, Message.role != "system")
    last = session.scalars(of_conversation.order_by(Message.ordinal.desc()).limit(1)).first()
    if last is not None and last.details.get(TAKEN_OVER):  # they were to answer in its place, and did not
        conversation.change += 1
        last.status, last.kind, last.text, last.details = "answering", None, "", {}
        last.change, last.lease_owner, last.lease_until, last.attempts = conversation.change, None, now(), 0
        session.flush()
        return
    if last is None or last.role != "customer":
        return
    _add(
        session,
        conversation,
        client_message_id=last.client_message_id,
        reply_to=last.id,
        role="assistant",
        status="answering",
        lease_until=now(),  # nobody holds it: whoever looks next may
        attempts=0,
        created_at=at,
    )


def last_question(session: Session, conversation_id: str, *, before: int | None = None) -> Message | None:
    """The customer's last message that asks for more than a person, if there is one; else the last.

    What led to a hand-off for any other reason is a question: it is the one that nobody has answered yet. `before` is
    an ordinal.
    """
    reply = aliased(Message)
    query = (
        select(Message, reply.details)
        .outerjoin(reply, reply.reply_to == Message.id)
        .where(Message.conversation_id == conversation_id, Message.role == "customer")
        .order_by(Message.ordinal.desc())
        .limit(_LOOKED_BACK)
    )
    rows = session.execute(query if before is None else query.where(Message.ordinal < before)).all()
    asked = [message for message, details in rows if not _asks_for_person(details or {})]
    return next(iter([*asked, *(message for message, _ in rows)]), None)


def _asks_for_person(details: Mapping[str, Any]) -> bool:
    """Of a message, by its answer's details."""
    hand_off = details.get(HAND_OFF) or {}
    return bool(hand_off.get("reason") == HandOffReason.ASKED_FOR.value)


def _add(session: Session, conversation: Conversation, **columns: Any) -> Message:
    """A message in the next place, under the conversation's next number."""
    last = session.scalar(select(func.max(Message.ordinal)).where(Message.conversation_id == conversation.id))
    conversation.change += 1
    row = Message(
        **{"id": new_id(), "text": "", "request": {}, "timings_ms": {}, "details": {}, **columns},
        conversation_id=conversation.id,
        ordinal=0 if last is None else last + 1,
        change=conversation.change,
    )
    session.add(row)
    session.flush()
    return row
