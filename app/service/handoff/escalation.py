"""Customers who have waited too long: it is the next agent's turn, or nobody is there any more.

Owns the look at waiting hand-offs, which every process takes every few seconds. Whoever comes second finds nothing to
do: each hand-off is looked at again under its conversation's lock. Knows no HTTP.
"""

import asyncio
import logging
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import and_, or_, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app.db import Database
from app.message_statements import lock
from app.models import ASSISTANT, PEOPLE, Conversation, KnowledgeBase, now
from app.service.handoff import presence, states
from app.service.handoff.changes import touched
from app.service.handoff.opening import nobody_sentence, offer, service_settings, somebody_is_there
from app.service.handoff.record import await_answer, spoken_in, tell, write
from app.service.handoff.silence import end_silent
from app.service.handoff.states import Status
from app.service.tables import HandOff

_LOG = logging.getLogger(__name__)

LOOK_S: Final = 2.0
_is_orphan = and_(HandOff.status == Status.CLAIMED.value, HandOff.agent_id.is_(None))  # the account was deleted
_SHORTEST_PATIENCE = timedelta(seconds=5)  # ServiceSettings.answer_within_s cannot be less


class Escalation:
    """The look, as long as the process runs. Lives on the event loop; `database` is asked in threads."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._look())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                await asyncio.to_thread(escalate, self._database)
                await asyncio.to_thread(end_silent, self._database)
            except SQLAlchemyError:
                _LOG.exception("Cannot look for customers who wait, or are silent; trying again.")


def escalate(database: Database, at: datetime | None = None) -> int:
    """Gives every hand-off that has waited too long to the next agent; how many were changed.

    One that was claimed goes back into the queue if another agent is there, or its own is not (any more, at once when
    its account was deleted). When nobody of the group is there, the customer is told so and the assistant goes on.
    """
    at = at or now()
    waiting = (
        select(HandOff.conversation_id)
        .join(Conversation, Conversation.id == HandOff.conversation_id)
        .where(
            HandOff.status.in_(states.OPEN),
            Conversation.handler == PEOPLE,
            or_(HandOff.waiting_since <= at - _SHORTEST_PATIENCE, _is_orphan),
        )
        .order_by(HandOff.waiting_since)
    )
    with database.read() as session:
        conversation_ids = session.scalars(waiting).all()
    changed = 0
    for conversation_id in conversation_ids:
        try:
            with database.write() as session:
                changed += _escalate_one(session, conversation_id, at)
        except Exception:  # noqa: BLE001  logged, and tried again at the next look; the others must not wait for it
            _LOG.exception("Conversation %s waits for people and could not be looked after.", conversation_id)
    return changed


def _escalate_one(session: Session, conversation_id: str, at: datetime) -> bool:
    conversation = lock(session, conversation_id)
    row = states.open_in(session, conversation_id)
    if conversation is None or row is None or conversation.handler != PEOPLE:
        return False
    knowledge_base = session.get_one(KnowledgeBase, conversation.knowledge_base_id)
    if not _is_overdue(row, knowledge_base, at):
        return False
    if row.status == Status.CLAIMED:
        return _take_from_agent(session, conversation, row, knowledge_base, at)
    passed = [*row.passed_over, *([row.offered_to] if row.offered_to else [])]
    _next_turn(session, conversation, row, knowledge_base, passed, at)
    return True


def _is_overdue(row: HandOff, knowledge_base: KnowledgeBase, at: datetime) -> bool:
    if row.status == Status.CLAIMED and row.agent_id is None:
        return True
    if row.waiting_since is None:
        return False
    patience = timedelta(seconds=service_settings(knowledge_base).answer_within_s)
    if row.status == Status.QUEUED:
        return at >= (row.offered_until or row.waiting_since + patience)
    return at >= max(row.waiting_since, row.claimed_at or row.waiting_since) + patience


def _take_from_agent(
    session: Session, conversation: Conversation, row: HandOff, knowledge_base: KnowledgeBase, at: datetime
) -> bool:
    """Back into the queue, unless the agent is there and alone: nothing would be won."""
    own = [row.agent_id] if row.agent_id else []
    there = {each.id for each in presence.agents_there(session, row.workspace_id, row.skill_group, at)}
    everybody = {each.id for each in presence.everybody_there(session, row.workspace_id, at)}  # own, of whatever group
    if not there - set(own) and everybody & set(own):
        return False
    states.put_back(session, row, at)
    if there - set(own):
        tell(session, conversation, "next_agent", at)
    passed = [*(each for each in row.passed_over if each not in own), *own]
    _next_turn(session, conversation, row, knowledge_base, passed if there - set(passed) else own, at)
    return True


def _next_turn(
    session: Session,
    conversation: Conversation,
    row: HandOff,
    knowledge_base: KnowledgeBase,
    passed: list[str],
    at: datetime,
) -> None:
    """Of an agent who has not let it go by; when all have, it is everybody's, and then goes round once more."""
    taker = presence.next_agent(session, row.workspace_id, row.skill_group, at, passed)
    row.passed_over = passed if taker else []
    offer(session, row, knowledge_base, taker, at)
    if taker is None and not somebody_is_there(session, knowledge_base, row.skill_group, at):
        language = spoken_in(session, conversation)
        write(session, conversation, nobody_sentence(knowledge_base, language, at, has_waited=True), at)
        conversation.handler = ASSISTANT
        await_answer(session, conversation, at)
    touched(session, row)
