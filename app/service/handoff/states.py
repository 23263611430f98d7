"""The states of a hand-off, and the one way in which they are changed.

    asked for ──► queued ──────────► claimed ──► resolved
                  │    ▲               │   │
                  │    └───────────────┘   └───► returned     to the assistant, by the agent
                  │      passed on, or unanswered too long
                  └──► cancelled                              by the customer

What holds after every transaction:

1. A conversation has one hand-off at most that is open, which is queued or claimed.
2. `conversation.handler` is `people` while one is claimed, and `assistant` while none is open. While it is queued it is
   `people` if somebody is there to come, else `assistant`, who goes on answering.
3. What a flow was waiting for ends when people are called, and again when they take over, so that no later message of
   the customer's is taken for an answer to it; `hand_off.state` keeps it for agents.
4. A claimed one has one agent, and a queued one has none. Those that have ended keep the agent they ended with.

Who changes a hand-off locks first the conversation's row, then the hand-off's, and raises the inbox's change number
last (`changes`): always in this order, so that nobody deadlocks. Owns these rules; knows no HTTP and no sentences.
"""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.errors import Conflict, NotFound
from app.message_statements import lock
from app.models import ASSISTANT, PEOPLE, Conversation
from app.scope import Scope
from app.service.handoff.changes import touched
from app.service.handoff.record import await_answer
from app.service.tables import Account, HandOff
from app.service.turn import FAILURES, FLOW


class Status(StrEnum):
    QUEUED = "queued"
    CLAIMED = "claimed"
    RESOLVED = "resolved"
    RETURNED = "returned"
    CANCELLED = "cancelled"


OPEN = (Status.QUEUED.value, Status.CLAIMED.value)


def open_in(session: Session, conversation_id: str) -> HandOff | None:
    """The conversation's open hand-off, locked. The caller holds the conversation's lock."""
    query = select(HandOff).where(HandOff.conversation_id == conversation_id, HandOff.status.in_(OPEN))
    return session.scalars(query.with_for_update().execution_options(populate_existing=True)).first()


def locked_conversation(session: Session, scope: Scope, conversation_id: str) -> Conversation:
    """Locked, and as it is now. Raises `NotFound` when the caller may not see it."""
    scope.conversation(session, conversation_id)
    conversation = lock(session, conversation_id)
    if conversation is None:
        raise NotFound(f"There is no conversation {conversation_id!r}.", {"conversation": conversation_id})
    session.refresh(conversation)
    return conversation


def locked(session: Session, scope: Scope, hand_off_id: str) -> tuple[Conversation, HandOff]:
    """The hand-off and its conversation, both locked. Raises `NotFound` when the caller may not see it."""
    query = (
        scope.conversation_query()
        .join(HandOff, HandOff.conversation_id == Conversation.id)
        .where(HandOff.id == hand_off_id)
    )
    found = session.scalars(query).first()
    if found is None:
        raise NotFound(f"There is no hand-off {hand_off_id!r}.", {"hand_off": hand_off_id})
    conversation = locked_conversation(session, scope, found.id)
    row = session.scalars(select(HandOff).where(HandOff.id == hand_off_id).with_for_update()).one()
    return conversation, row


def require_claimed_by(session: Session, row: HandOff, agent_id: str) -> None:
    """Raises `Conflict`, saying who has it, unless this agent has claimed it."""
    if row.status == Status.CLAIMED and row.agent_id == agent_id:
        return
    raise Conflict(_whose(session, row), {"hand_off": row.id, "status": row.status, "agent": row.agent_id})


def claim_for(session: Session, conversation: Conversation, row: HandOff, agent_id: str, at: datetime) -> None:
    """queued → claimed. Raises `Conflict`, saying who has it, when somebody was faster or it has ended."""
    if row.status != Status.QUEUED:
        details = {"hand_off": row.id, "status": row.status, "agent": row.agent_id}
        raise Conflict(_whose(session, row), details)
    row.status, row.agent_id, row.claimed_at = Status.CLAIMED.value, agent_id, at
    row.offered_to = row.offered_until = None
    row.passed_over = [each for each in row.passed_over if each != agent_id]
    give_to_people(conversation, row)
    touched(session, row)


def give_to_people(conversation: Conversation, row: HandOff) -> None:
    """People take the customer's next message. A flow that was waiting ends."""
    end_flow(conversation, row)
    conversation.handler = PEOPLE
    conversation.state = {**conversation.state, FAILURES: 0}


def end_flow(conversation: Conversation, row: HandOff) -> None:
    """Ends what a flow was waiting for, if one was; the hand-off keeps how far it was."""
    if conversation.state.get(FLOW) is not None:
        row.state = dict(conversation.state)
        conversation.state = {**conversation.state, FLOW: None}


def put_back(session: Session, row: HandOff, at: datetime) -> None:
    """claimed → queued; the customer waits, at the latest from now on."""
    row.status, row.agent_id, row.claimed_at = Status.QUEUED.value, None, None
    row.waiting_since = row.waiting_since or at
    touched(session, row)


def end(session: Session, conversation: Conversation, row: HandOff, status: Status, at: datetime) -> None:
    """Whatever is open → `status`; the assistant takes the next message, and answers the last if nobody has.

    One that an agent calls resolved needs no more answers.
    """
    row.status, row.ended_at = status.value, at
    row.offered_to = row.offered_until = row.waiting_since = None
    conversation.handler = ASSISTANT
    if status is not Status.RESOLVED:
        await_answer(session, conversation, at)
    touched(session, row)


def _whose(session: Session, row: HandOff) -> str:
    """Why it is not the caller's, for people."""
    if row.status == Status.QUEUED:
        return "Nobody has claimed this conversation: claim it first."
    name = session.scalar(select(Account.name).where(Account.id == row.agent_id)) or "somebody else"
    if row.status == Status.CLAIMED:
        return f"{name} has this conversation."
    return f"This hand-off is over: it was {row.status}."
