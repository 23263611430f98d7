"""What agents do with a hand-off: claim, answer, pass on, end.

Owns one transaction for each, under the locks that `states` names. Knows no HTTP; the caller's scope says who acts.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from app.db import Database
from app.errors import BadRequest, Conflict, Forbidden, NotFound
from app.message_reading import shape_of
from app.models import Citation, KnowledgeBase, Message, now
from app.scope import AccountIdentity, Role, Scope
from app.service.handoff import customers_work, faq, presence, states
from app.service.handoff.changes import touched
from app.service.handoff.opening import offer
from app.service.handoff.record import tell, write
from app.service.handoff.states import Status
from app.service.tables import Account, AgentNote, HandOff, Typing
from app.shapes import MessageShape

SUGGESTION_OF = "suggestion_of"
"""Among the details of an agent's message: the customer's message to which it was suggested."""

_NOT_WITH_PEOPLE = "The assistant has this conversation: it was not handed over, or the hand-off is over."


@dataclass(frozen=True, slots=True)
class Reply:
    """What an agent writes. `citations` have no message yet; those whose marker the text has are kept."""

    text: str
    client_message_id: str
    suggestion_of: str | None = None
    citations: Sequence[Citation] = ()
    keep_as_faq: bool = False


def agent_of(scope: Scope) -> AccountIdentity:
    """Who acts. Raises `Forbidden` for a caller without an account: customers are told whom they talk to."""
    if scope.account is None:
        raise Forbidden(
            "Customers see who answers them, so this needs an account: make one with `answerdesk account create "
            "--role agent` and sign in."
        )
    return scope.account


def claim(database: Database, scope: Scope, hand_off_id: str) -> str:
    """Makes the hand-off the caller's; of several at once exactly one gets it. Gives the conversation's id.

    Claimed again by who has it, nothing changes. Raises `Conflict`, saying who has it, and `Forbidden` for a skill
    group that is not the caller's.
    """
    agent, at = agent_of(scope), now()
    with database.write() as session:
        conversation, row = states.locked(session, scope, hand_off_id)
        if row.status == Status.CLAIMED and row.agent_id == agent.id:
            return conversation.id
        may_take = presence.takes(agent, row.skill_group) or row.offered_to == agent.id or agent.role == Role.ADMIN
        if not (may_take or presence.is_everybodys(session, row.workspace_id, row.skill_group)):
            raise Forbidden(f"Conversations of the group {row.skill_group!r} are not yours to take.")
        states.claim_for(session, conversation, row, agent.id, at)
        tell(session, conversation, "claimed", at, agent=agent.name)
        return conversation.id


def reply(database: Database, scope: Scope, conversation_id: str, given: Reply) -> tuple[int, MessageShape]:
    """Writes the agent's message; the same `client_message_id` again gives the message that is there.

    Gives its change number too. Raises `Conflict` unless the caller has claimed the conversation.
    """
    agent, at = agent_of(scope), now()
    with database.write() as session:
        conversation = states.locked_conversation(session, scope, conversation_id)
        known = session.scalars(
            select(Message).where(
                Message.conversation_id == conversation_id,
                Message.client_message_id == given.client_message_id,
                Message.role == "agent",
            )
        ).first()
        if known is not None:
            return known.change, shape_of(session, known)
        row = _open(session, conversation_id)
        states.require_claimed_by(session, row, agent.id)
        of = {SUGGESTION_OF: given.suggestion_of} if given.suggestion_of else {}
        message = write(
            *(session, conversation, given.text, at),
            author=(agent.id, agent.name),
            client_message_id=given.client_message_id,
            details=of,
        )
        for citation in given.citations:
            if f"[{citation.marker}]" in given.text:
                citation.message_id = message.id
                session.add(citation)
        session.execute(delete(Typing).where(Typing.conversation_id == conversation_id, Typing.role == "agent"))
        row.answered_at, row.waiting_since = row.answered_at or at, None
        if given.keep_as_faq:
            faq.keep(session, conversation, [message])
        touched(session, row)
        session.flush()
        return message.change, shape_of(session, message)


def transfer(
    database: Database, scope: Scope, hand_off_id: str, *, group: str | None, to: str | None, note: str = ""
) -> None:
    """Puts the hand-off back into a queue: of another group, or for one agent. The note is for agents only.

    Raises `BadRequest` when it names neither, `NotFound` for an unknown agent, `Conflict` for one who is not there and
    unless the caller has claimed the hand-off or is an admin.
    """
    agent, at = agent_of(scope), now()
    if group is None and to is None:
        raise BadRequest("Say to which skill_group or to which agent_id the conversation goes.")
    with database.write() as session:
        conversation, row = states.locked(session, scope, hand_off_id)
        if not (row.status == Status.CLAIMED and agent.role == Role.ADMIN):
            states.require_claimed_by(session, row, agent.id)
        row.skill_group = group or row.skill_group
        if to is not None:
            _require_there(session, scope, to)
        knowledge_base = session.get_one(KnowledgeBase, conversation.knowledge_base_id)
        states.put_back(session, row, at)
        row.passed_over = [agent.id]
        taker = to or presence.next_agent(session, row.workspace_id, row.skill_group, at, row.passed_over)
        offer(session, row, knowledge_base, taker, at)
        if note:
            add_note_row(session, conversation.id, scope, note)
        tell(session, conversation, "transferred", at, agent=agent.name)


def resolve(
    database: Database, scope: Scope, hand_off_id: str, *, text: str | None = None, keep_as_faq: bool = True
) -> None:
    """Ends the hand-off, with a last message of the agent's if there is one; the customer is asked for a rating."""
    _end(database, scope, hand_off_id, Status.RESOLVED, "resolved", text, keep_as_faq)


def give_back(database: Database, scope: Scope, hand_off_id: str, *, text: str | None = None) -> None:
    """Hands the conversation back to the assistant."""
    _end(database, scope, hand_off_id, Status.RETURNED, "returned", text, keep_as_faq=False)


def add_note(database: Database, scope: Scope, conversation_id: str, text: str) -> AgentNote:
    """Keeps a note for agents. It is never among the conversation's messages."""
    agent_of(scope)
    with database.write() as session:
        scope.conversation(session, conversation_id)
        note = add_note_row(session, conversation_id, scope, text)
        row = states.open_in(session, conversation_id)
        if row is not None:
            touched(session, row)
        session.flush()
        return note


def types(database: Database, scope: Scope, conversation_id: str) -> None:
    """Shows that the agent is writing. Raises `Conflict` unless the caller has claimed the conversation."""
    agent = agent_of(scope)
    with database.read() as session:
        scope.conversation(session, conversation_id)
        query = select(HandOff).where(HandOff.conversation_id == conversation_id, HandOff.status.in_(states.OPEN))
        row = session.scalars(query).first()
        if row is None:
            raise Conflict(_NOT_WITH_PEOPLE, {"conversation": conversation_id})
        states.require_claimed_by(session, row, agent.id)
    customers_work.types(database, scope, conversation_id, role="agent", name=agent.name)


def add_note_row(session: Session, conversation_id: str, scope: Scope, text: str) -> AgentNote:
    agent = agent_of(scope)
    note = AgentNote(conversation_id=conversation_id, account_id=agent.id, author=agent.name, text=text)
    session.add(note)
    return note


def _end(
    database: Database, scope: Scope, hand_off_id: str, status: Status, said: str, text: str | None, keep_as_faq: bool
) -> None:
    """Raises `Conflict` unless the caller has claimed the hand-off."""
    agent, at = agent_of(scope), now()
    with database.write() as session:
        conversation, row = states.locked(session, scope, hand_off_id)
        states.require_claimed_by(session, row, agent.id)
        if text:
            write(session, conversation, text, at, author=(agent.id, agent.name))
            row.answered_at = row.answered_at or at
        if keep_as_faq:
            faq.keep_answers(session, conversation, row)
        session.execute(delete(Typing).where(Typing.conversation_id == conversation.id))
        tell(session, conversation, said, at, agent=agent.name)
        states.end(session, conversation, row, status, at)


def _open(session: Session, conversation_id: str) -> HandOff:
    row = states.open_in(session, conversation_id)
    if row is None:
        raise Conflict(_NOT_WITH_PEOPLE, {"conversation": conversation_id})
    return row


def _require_there(session: Session, scope: Scope, account_id: str) -> None:
    account = session.get(Account, account_id)
    if account is None or account.workspace_id != scope.workspace_id or account.role not in presence.AGENT_ROLES:
        raise NotFound(f"There is no agent {account_id!r}.", {"agent": account_id})
    if account_id not in {each.id for each in presence.everybody_there(session, scope.workspace_id, now())}:
        raise Conflict(f"{account.name} is not there at the moment.", {"agent": account_id})
