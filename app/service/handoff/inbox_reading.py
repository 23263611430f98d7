"""What agents see: boxes of hand-offs, conversations with everything in them, and who of them is there.

Owns the reading side of the inbox. Writes nothing.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Select, and_, false, func, or_, select
from sqlalchemy.orm import Session

from app.conversation_state import state_shape
from app.db import Database, in_parts
from app.message_reading import shapes_of
from app.models import Conversation, KnowledgeBase, Message, now
from app.scope import Scope
from app.service.handoff import presence
from app.service.handoff.shapes import (
    AgentShape,
    HandOffShape,
    Inbox,
    InboxConversation,
    InboxMessageShape,
    LastMessageShape,
    NoteShape,
)
from app.service.handoff.states import OPEN, Status
from app.service.tables import Account, AgentNote, AgentPresence, ConversationRating, HandOff, InboxChange
from app.service.turn import FLOW

_SHOWN = 50
_LAST_WORDS = 200
_MOST_CHANGES = 500


class Box(StrEnum):
    """`queue`: what the caller may claim; `mine`: what it has claimed; `all`: everything, ended ones too."""

    QUEUE = "queue"
    MINE = "mine"
    ALL = "all"


def list_inbox(database: Database, scope: Scope, box: Box, cursor: str | None = None) -> Inbox:
    """A page of a box: `all` newest first, the others in the order in which customers came."""
    with database.read() as session:
        query = _in_box(session, scope, box)
        if cursor is not None:
            query = query.where(HandOff.id < cursor if box is Box.ALL else HandOff.id > cursor)
        query = query.order_by(HandOff.id.desc() if box is Box.ALL else HandOff.id).limit(_SHOWN + 1)
        change = change_of(session, scope.workspace_id)
        rows = session.scalars(query).all()
        shapes = hand_off_shapes(session, rows[:_SHOWN])
    return Inbox(hand_offs=shapes, change=change, next_cursor=shapes[-1].id if len(rows) > _SHOWN else None)


def change_of(session: Session, workspace_id: str) -> int:
    return session.scalar(select(InboxChange.change).where(InboxChange.workspace_id == workspace_id)) or 0


def changed_since(database: Database, workspace_id: str, change: int) -> tuple[int, list[HandOffShape]]:
    """The number up to which this tells everything, and the hand-offs that changed after `change`, in order."""
    query = (
        select(HandOff)
        .where(HandOff.workspace_id == workspace_id, HandOff.change > change)
        .order_by(HandOff.change)
        .limit(_MOST_CHANGES)
    )
    with database.read() as session:
        newest = change_of(session, workspace_id)
        if newest <= change:
            return change, []
        rows = session.scalars(query).all()
        if len(rows) == _MOST_CHANGES:
            newest = rows[-1].change
        return newest, hand_off_shapes(session, rows)


def inbox_conversation(database: Database, scope: Scope, conversation_id: str) -> InboxConversation:
    """Raises `NotFound`."""
    with database.read() as session:
        row = scope.conversation(session, conversation_id)
        knowledge_base = session.get_one(KnowledgeBase, row.knowledge_base_id)
        of_conversation = select(Message).where(Message.conversation_id == row.id).order_by(Message.ordinal)
        messages = session.scalars(of_conversation).all()
        notes = select(AgentNote).where(AgentNote.conversation_id == row.id).order_by(AgentNote.id)
        of_row = select(HandOff).where(HandOff.conversation_id == row.id).order_by(HandOff.id)
        hand_offs = session.scalars(of_row).all()
        return InboxConversation(
            id=row.id,
            knowledge_base=row.knowledge_base_id,
            knowledge_base_name=knowledge_base.name,
            handler=row.handler,
            customer=row.customer,
            state=state_shape(row.state),
            flow=row.state.get(FLOW) or next((each.state.get(FLOW) for each in hand_offs if each.status in OPEN), None),
            change=row.change,
            messages=[
                InboxMessageShape.with_details(shape, message.details)
                for shape, message in zip(shapes_of(session, messages), messages, strict=True)
            ],
            notes=[NoteShape.of(each) for each in session.scalars(notes)],
            hand_offs=hand_off_shapes(session, hand_offs),
        )


def agents(session: Session, workspace_id: str, at: datetime | None = None) -> list[AgentShape]:
    """Everybody who can take conversations, by name."""
    at = at or now()
    query = (
        select(Account, AgentPresence)
        .outerjoin(AgentPresence, AgentPresence.account_id == Account.id)
        .where(
            Account.workspace_id == workspace_id,
            Account.role.in_(presence.AGENT_ROLES),
            Account.disabled_at.is_(None),
        )
        .order_by(Account.name, Account.id)
    )
    claimed = select(HandOff.agent_id, func.count()).where(HandOff.status == Status.CLAIMED.value)
    numbers = {row[0]: row[1] for row in session.execute(claimed.group_by(HandOff.agent_id))}
    return [
        AgentShape(
            id=account.id,
            name=account.name,
            groups=account.groups,
            status=_status(seen, at),
            claimed=numbers.get(account.id, 0),
        )
        for account, seen in session.execute(query)
    ]


def hand_off_shape(database: Database, hand_off_id: str) -> HandOffShape:
    """Of a hand-off that was looked up in the caller's scope."""
    with database.read() as session:
        return hand_off_shapes(session, [session.get_one(HandOff, hand_off_id)])[0]


def hand_off_shapes(session: Session, rows: Sequence[HandOff]) -> list[HandOffShape]:
    """In the order of the rows."""
    found: dict[str, tuple[str, Conversation, str | None, ConversationRating | None]] = {}
    last: dict[str, LastMessageShape] = {}
    served = {each: presence.served_groups(session, each) for each in {row.workspace_id for row in rows}}
    for part in in_parts(rows):
        beside = (
            select(HandOff.id, KnowledgeBase.name, Conversation, Account.name, ConversationRating)
            .join(Conversation, Conversation.id == HandOff.conversation_id)
            .join(KnowledgeBase, KnowledgeBase.id == HandOff.knowledge_base_id)
            .outerjoin(Account, Account.id == HandOff.agent_id)
            .outerjoin(ConversationRating, ConversationRating.conversation_id == HandOff.conversation_id)
            .where(HandOff.id.in_([row.id for row in part]))
        )
        for hand_off_id, name, conversation, agent, rating in session.execute(beside):
            found[hand_off_id] = (name, conversation, agent, rating)
        last |= _last_messages(session, [row.conversation_id for row in part])
    shapes = []
    for row in rows:
        knowledge_base, of_row, agent_name, given = found[row.id]
        groups = served[row.workspace_id]
        shapes.append(
            HandOffShape.of(
                row,
                knowledge_base_name=knowledge_base,
                conversation=of_row,
                agent=agent_name,
                last_message=last.get(row.conversation_id),
                rating=given,
                is_everybodys=groups is not None and row.skill_group not in groups,
            )
        )
    return shapes


def _in_box(session: Session, scope: Scope, box: Box) -> Select[HandOff]:
    mine = scope.conversation_query().with_only_columns(Conversation.id)
    query = select(HandOff).where(HandOff.conversation_id.in_(mine))
    account = scope.account
    match box:
        case Box.ALL:
            return query
        case Box.MINE:
            if account is None:
                return query.where(false())
            return query.where(HandOff.status == Status.CLAIMED.value, HandOff.agent_id == account.id)
        case Box.QUEUE:
            query = query.where(HandOff.status == Status.QUEUED.value)
            if account is None or not account.groups:
                return query
            mine_to_take = [HandOff.skill_group.in_(account.groups), HandOff.offered_to == account.id]
            served = presence.served_groups(session, scope.workspace_id)
            if served is not None:
                mine_to_take.append(HandOff.skill_group.not_in(served))
            return query.where(or_(*mine_to_take))


def _last_messages(session: Session, conversation_ids: Sequence[str]) -> dict[str, LastMessageShape]:
    """Of each conversation the last message that somebody wrote, shortened."""
    newest = (
        select(Message.conversation_id, func.max(Message.ordinal).label("ordinal"))
        .where(Message.conversation_id.in_(conversation_ids), Message.role != "system", Message.text != "")
        .group_by(Message.conversation_id)
        .subquery()
    )
    query = select(Message.conversation_id, Message.role, Message.text, Message.created_at).join(
        newest,
        and_(Message.conversation_id == newest.c.conversation_id, Message.ordinal == newest.c.ordinal),
    )
    return {
        row.conversation_id: LastMessageShape(role=row.role, text=row.text[:_LAST_WORDS], created_at=row.created_at)
        for row in session.execute(query)
    }


def _status(seen: AgentPresence | None, at: datetime) -> presence.Status:
    if seen is None or seen.seen_at <= at - presence.THERE:
        return "offline"
    return "online" if seen.status == presence.ONLINE else "away"
