"""What is so at the moment in conversations, beside their record: who is typing, and how far a hand-off is.

Owns how that is read for many conversations at once, for `app.events` to hand out when it changes. Writes nothing.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import TypedDict

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from app.db import in_parts
from app.models import PEOPLE, Conversation, now
from app.service.handoff.states import Status
from app.service.tables import Account, HandOff, Typing


class TypingState(TypedDict):
    role: str
    name: str
    until: datetime


class HandOffState(TypedDict):
    """`agent` is the name of who has it, `position` counts from 1 while the customer waits in a queue."""

    status: str
    agent: str | None
    position: int | None


class LiveState(TypedDict):
    """`hand_off` is the conversation's last one, however it ended; null when there never was one."""

    typing: list[TypingState]
    hand_off: HandOffState | None


def live_state(session: Session, conversation_ids: Sequence[str], at: datetime | None = None) -> dict[str, LiveState]:
    """By conversation; those about which there is nothing to say are missing."""
    at = at or now()
    states: dict[str, LiveState] = {}
    waiting: dict[str, str] = {}  # conversations, by hand-off
    workspaces: set[str] = set()
    for part in in_parts(conversation_ids):
        rows = session.scalars(select(Typing).where(Typing.conversation_id.in_(part), Typing.until > at))
        for typing in sorted(rows, key=lambda each: each.role):
            typed = TypingState(role=typing.role, name=typing.name, until=typing.until)
            states.setdefault(typing.conversation_id, _nothing())["typing"].append(typed)
        for row in session.execute(_newest_hand_offs(part)):
            told = HandOffState(status=row.status, agent=row.name, position=None)
            states.setdefault(row.conversation_id, _nothing())["hand_off"] = told
            if row.status == Status.QUEUED:
                waiting[row.id] = row.conversation_id
                workspaces.add(row.workspace_id)
    if waiting:
        places = positions(session, workspaces)
        for hand_off_id, conversation_id in waiting.items():
            _put_position(states[conversation_id], places.get(hand_off_id))
    return states


def positions(session: Session, workspace_ids: set[str]) -> dict[str, int]:
    """The place in its group's queue, from 1, of every hand-off whose customer waits for people."""
    query = (
        select(HandOff.id, HandOff.workspace_id, HandOff.skill_group)
        .join(Conversation, Conversation.id == HandOff.conversation_id)
        .where(
            HandOff.status == Status.QUEUED.value,
            HandOff.workspace_id.in_(workspace_ids),
            Conversation.handler == PEOPLE,
        )
        .order_by(HandOff.created_at, HandOff.id)
    )
    counts: dict[tuple[str, str], int] = {}
    places: dict[str, int] = {}
    for row in session.execute(query):
        queue = (row.workspace_id, row.skill_group)
        places[row.id] = counts[queue] = counts.get(queue, 0) + 1
    return places


def _newest_hand_offs(conversation_ids: Sequence[str]) -> Select[str, str, str, str, str]:
    """What is told of each conversation's last one, and no more: this is read several times a second."""
    last = (
        select(func.max(HandOff.id).label("id"))
        .where(HandOff.conversation_id.in_(conversation_ids))
        .group_by(HandOff.conversation_id)
        .subquery()
    )
    return (
        select(HandOff.id, HandOff.workspace_id, HandOff.conversation_id, HandOff.status, Account.name)
        .join(last, last.c.id == HandOff.id)
        .outerjoin(Account, Account.id == HandOff.agent_id)
    )


def _nothing() -> LiveState:
    return LiveState(typing=[], hand_off=None)


def _put_position(state: LiveState, position: int | None) -> None:
    if state["hand_off"] is not None:
        state["hand_off"]["position"] = position
