"""What customers do about people: ask for one, go back to the assistant, rate how it was.

Owns one transaction for each, under the conversation's lock. Used by the routes of conversations and of the widget; the
caller's scope says whose conversation it may be. Knows no HTTP.
"""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db import Database
from app.errors import Conflict, Forbidden
from app.models import PEOPLE, Conversation, KnowledgeBase, Message, now
from app.scope import Role, Scope
from app.service.handoff import states
from app.service.handoff.changes import set_row, touched
from app.service.handoff.opening import hand_off_reply, open_hand_off
from app.service.handoff.record import spoken_in, tell, write
from app.service.handoff.sentences import sentence
from app.service.handoff.shapes import RatingShape
from app.service.handoff.states import Status
from app.service.tables import ConversationRating, HandOff, Typing
from app.service.turn import HandOffReason, HandOffWanted

_TYPES_FOR: Final = timedelta(seconds=6)


def ask_for_person(database: Database, scope: Scope, conversation_id: str, group: str = "general") -> None:
    """As if the customer had said so: a hand-off is opened, and the customer told how it stands.

    Asked for again while one is open, no second one is.
    """
    at = now()
    with database.write() as session:
        conversation = states.locked_conversation(session, scope, conversation_id)
        language = spoken_in(session, conversation)
        row = states.open_in(session, conversation_id)
        wanted = HandOffWanted(HandOffReason.ASKED_FOR, group)
        if row is not None and conversation.handler == PEOPLE:
            write(session, conversation, sentence("waiting", language), at)
            return
        knowledge_base = session.get_one(KnowledgeBase, conversation.knowledge_base_id)
        said = hand_off_reply(session, knowledge_base, wanted, language, at, conversation_id=conversation_id)
        write(session, conversation, said, at)
        open_hand_off(session, conversation, wanted=wanted, question=_last_question(session, conversation), at=at)


def cancel(database: Database, scope: Scope, conversation_id: str) -> None:
    """Takes the customer out of the queue, back to the assistant. Raises `Conflict` when an agent has it, or none is
    open.
    """
    at = now()
    with database.write() as session:
        conversation = states.locked_conversation(session, scope, conversation_id)
        row = states.open_in(session, conversation_id)
        if row is None or row.status != Status.QUEUED:
            raise Conflict(
                "An agent has this conversation and will end it." if row else "This conversation waits for nobody.",
                {"conversation": conversation_id},
            )
        tell(session, conversation, "cancelled", at)
        states.end(session, conversation, row, Status.CANCELLED, at)


def rate(database: Database, scope: Scope, conversation_id: str, stars: int, comment: str = "") -> RatingShape:
    """One rating a conversation, 1 to 5 stars; the last one counts. Raises `Forbidden` for agents."""
    if scope.role is Role.AGENT:
        raise Forbidden("Customers rate conversations, agents do not.")
    at = now()
    with database.write() as session:
        states.locked_conversation(session, scope, conversation_id)
        said = {"stars": stars, "comment": comment, "created_at": at}
        set_row(session, ConversationRating, {"conversation_id": conversation_id}, said)
        newest = select(HandOff).where(HandOff.conversation_id == conversation_id).order_by(HandOff.id.desc()).limit(1)
        row = session.scalars(newest.with_for_update()).first()
        if row is not None:  # agents see the stars in their inbox
            touched(session, row)
    return RatingShape(stars=stars, comment=comment, created_at=at)


def types(database: Database, scope: Scope, conversation_id: str, *, role: str, name: str = "") -> datetime:
    """Notes that somebody is writing; gives until when that holds. `role` is customer or agent."""
    until = now() + _TYPES_FOR
    with database.write() as session:
        scope.conversation(session, conversation_id)
        key = {"conversation_id": conversation_id, "role": role}
        set_row(session, Typing, key, {"name": name, "until": until})
    return until


def _last_question(session: Session, conversation: Conversation) -> str:
    query = select(Message.text).where(Message.conversation_id == conversation.id, Message.role == "customer")
    return session.scalars(query.order_by(Message.ordinal.desc()).limit(1)).first() or ""
