"""Customers who have stopped writing: what an agent has answered ends by itself, if that is wanted.

Owns that look, taken together with the one for customers who wait (`escalation`). Knows no HTTP.
"""

import logging
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, ScalarSelect, delete, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from app.db import Database
from app.message_statements import lock
from app.models import KnowledgeBase, Message, now
from app.service.handoff import faq, states
from app.service.handoff.opening import service_settings
from app.service.handoff.record import tell
from app.service.handoff.states import Status
from app.service.settings import SHORTEST_SILENCE_S
from app.service.tables import Account, HandOff, Typing

_LOG = logging.getLogger(__name__)


_SHORTEST = timedelta(seconds=SHORTEST_SILENCE_S)


def end_silent(database: Database, at: datetime | None = None) -> int:
    """Resolves every claimed hand-off in which nobody has written for as long as its knowledge base says; how many.

    Never one whose customer waits for an answer. The customer is told why, and asked for a rating as at any end.
    """
    at = at or now()
    with database.read() as session:
        conversation_ids = session.scalars(
            select(HandOff.conversation_id).where(
                HandOff.status == Status.CLAIMED.value,
                HandOff.waiting_since.is_(None),
                _last_written(HandOff.conversation_id) <= at - _SHORTEST,
            )
        ).all()
    ended = 0
    for conversation_id in conversation_ids:
        try:
            with database.read() as session:
                is_silent = _silent_in(session, conversation_id, at) is not None
            if is_silent:
                with database.write() as session:
                    ended += _end(session, conversation_id, at)
        except Exception:  # noqa: BLE001  logged, and tried again at the next look; the others must not wait for it
            _LOG.exception("Conversation %s is silent and could not be ended.", conversation_id)
    return ended


def _end(session: Session, conversation_id: str, at: datetime) -> bool:
    conversation = lock(session, conversation_id)
    row = states.open_in(session, conversation_id)
    agent = _silent_in(session, conversation_id, at)
    if conversation is None or row is None or agent is None:
        return False
    faq.keep_answers(session, conversation, row)
    session.execute(delete(Typing).where(Typing.conversation_id == conversation_id))
    tell(session, conversation, "silent", at, agent=agent)
    states.end(session, conversation, row, Status.RESOLVED, at)
    return True


def _silent_in(session: Session, conversation_id: str, at: datetime) -> str | None:
    """The name of the agent whose customer has been silent for long enough; null if it is not so."""
    query = (
        select(KnowledgeBase, Account.name, _last_written(HandOff.conversation_id))
        .join(HandOff, HandOff.knowledge_base_id == KnowledgeBase.id)
        .join(Account, Account.id == HandOff.agent_id)
        .where(
            HandOff.conversation_id == conversation_id,
            HandOff.status == Status.CLAIMED.value,
            HandOff.waiting_since.is_(None),
        )
    )
    found = session.execute(query.execution_options(populate_existing=True)).first()
    if found is None:
        return None
    knowledge_base, agent, last_written = found
    silence_s = service_settings(knowledge_base).ends_after_silence_s
    return agent if silence_s is not None and last_written <= at - timedelta(seconds=silence_s) else None


def _last_written(conversation_id: ColumnElement[str] | InstrumentedAttribute[str]) -> ScalarSelect[datetime]:
    newest = select(Message.created_at).where(Message.conversation_id == conversation_id)
    return newest.order_by(Message.ordinal.desc()).limit(1).scalar_subquery()
