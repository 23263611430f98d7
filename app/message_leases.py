"""Who makes an answer: leases that are taken up, prolonged, given up, and taken over from processes that died.

Owns the way into and out of `answering` (see `app.messages`) without an answer; every function is one short
transaction. Whoever makes an answer proves with its lease that it still may.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from app.db import Database
from app.message_reading import asked, turns_before
from app.message_statements import ANSWERING_BEFORE, TURN_IS_OPEN, lock, lock_with_message, swap
from app.models import PEOPLE, Citation, Conversation, KnowledgeBase, Message, now
from app.publicity import request_in
from app.service.handoff.opening import customer_wrote
from app.service.replies import taken_over
from app.shapes import MessageShape
from rag import types as rag

Admit = Callable[[KnowledgeBase, rag.Question], None]
"""Asked before a question is written or an answer begun; raises when it may not be now."""

RESTARTS = 5
"""So often an answer is started again for readers who left and came back."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """An answer to be made by the holder of `lease`: what was asked, of which knowledge base, and so far what."""

    lease: str
    message: MessageShape
    change: int
    knowledge_base: KnowledgeBase
    question: rag.Question
    details: Mapping[str, Any] = field(default_factory=dict)
    state: Mapping[str, Any] = field(default_factory=dict)  # the conversation's, when this was taken up
    customer: Mapping[str, Any] | None = None

    @property
    def held(self) -> tuple[str, str]:
        """The answer's id and its lease."""
        return self.message.id, self.lease


@dataclass(frozen=True, slots=True)
class Orphan:
    """An answer whose maker has been silent for longer than its lease; or without `lease`, one that nobody has begun,

    because the message came while the answer before it was being made.
    """

    message_id: str
    lease: str | None
    attempts: int

    @property
    def next_attempt(self) -> tuple[str, int]:
        return self.message_id, self.attempts + 1


def restart(database: Database, message_id: str, *, lease: str, lease_s: float, admit: Admit) -> Assignment | None:
    """Takes up a stopped answer under the same id; None when it is not stopped (any more) or was too often.

    What `admit` raises is raised, and the answer stays stopped.
    """
    with database.write() as session:
        message = lock_with_message(session, message_id)
        if message is None or message.status != "stopped" or message.details.get("stops", 0) > RESTARTS:
            return None
        if session.get_one(Conversation, message.conversation_id).handler == PEOPLE:
            return None  # they answer
        return _take_up(session, message, lease, lease_s, admit)


def claim(database: Database, orphan: Orphan, *, lease: str, lease_s: float, admit: Admit) -> Assignment | None:
    """Takes over the answer of a process that died, or begins one whose turn it is now; None when somebody was faster.

    None as well when people have the conversation since: then the answer is ended, without what it would have done.
    """
    with database.write() as session:
        message = lock_with_message(session, orphan.message_id)
        if message is None or message.status != "answering" or message.lease_owner != orphan.lease:
            return None
        if message.lease_until is not None and message.lease_until > now():
            return None
        earlier = {"of": message.conversation_id, "before": message.ordinal}
        if session.execute(ANSWERING_BEFORE, earlier).first() is not None:
            return None
        conversation = session.get_one(Conversation, message.conversation_id)
        if conversation.handler == PEOPLE:
            _leave_to_people(session, conversation, message)
            return None
        return _take_up(session, message, lease, lease_s, admit)


def orphans(database: Database, limit: int) -> list[Orphan]:
    """Up to `limit` answers whose lease has run out, oldest first; in a conversation one after the other."""
    query = (
        select(Message.id, Message.lease_owner, Message.attempts)
        .where(Message.status == "answering", Message.lease_until < now(), ~TURN_IS_OPEN)
        .order_by(Message.lease_until)
        .limit(limit)
    )
    with database.read() as session:
        return [Orphan(*row) for row in session.execute(query)]


def renew(database: Database, assignment: Assignment, text: str | None, lease_s: float) -> int | None:
    """Prolongs the lease and, given a text, keeps what is written so far, so that other processes see it.

    Returns the change number, 0 when no text was given, None when the lease is lost.
    """
    values: dict[str, Any] = {"lease_until": now() + timedelta(seconds=lease_s)}
    with database.write() as session:
        if text is None:
            return 0 if swap(session, *assignment.held, values) else None
        conversation = lock(session, assignment.message.conversation_id)
        if conversation is None:
            return None
        if not swap(session, *assignment.held, {**values, "text": text, "change": conversation.change + 1}):
            return None
        conversation.change += 1
        return conversation.change


def release(database: Database, assignments: Sequence[Assignment]) -> None:
    """Gives leases up at once, for a process that ends: the next one need not wait for them to run out."""
    with database.write() as session:
        for assignment in assignments:
            swap(session, *assignment.held, {"lease_until": now()})


def _leave_to_people(session: Session, conversation: Conversation, message: Message) -> None:
    """Ends an answer that nobody has begun to write, or whose maker died, and that is no longer the assistant's."""
    question = session.get_one(Message, message.reply_to)
    conversation.change += 1
    message.change = conversation.change
    message.lease_owner = message.lease_until = None
    for name, value in taken_over(conversation.state).items():
        setattr(message, name, value)
    session.flush()
    customer_wrote(session, conversation, question.text, now())


def _take_up(session: Session, message: Message, lease: str, lease_s: float, admit: Admit) -> Assignment:
    """Gives the message, begun anew, to `lease`."""
    conversation = session.get_one(Conversation, message.conversation_id)
    question = session.get_one(Message, message.reply_to)
    _, history = turns_before(session, message.conversation_id, before=question.ordinal)
    knowledge_base = session.get_one(KnowledgeBase, conversation.knowledge_base_id)
    wanted = asked(question.text, history, request_in(conversation, question.request), conversation.state)
    admit(knowledge_base, wanted)
    session.execute(delete(Citation).where(Citation.message_id == message.id))
    conversation.change += 1
    message.status, message.text, message.change = "answering", "", conversation.change
    message.lease_owner, message.lease_until = lease, now() + timedelta(seconds=lease_s)
    message.attempts += 1
    session.flush()
    return Assignment(
        lease=lease,
        message=MessageShape.of(message),
        change=message.change,
        knowledge_base=knowledge_base,
        question=wanted,
        details=message.details,
        state=conversation.state,
        customer=conversation.customer,
    )
