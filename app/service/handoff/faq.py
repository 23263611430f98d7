"""Answers of agents that may become part of the knowledge base.

Owns which question belongs to an agent's answer. What an admin decides about them is `faq_review`'s.
"""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.models import Conversation, Message
from app.service.handoff.record import last_question
from app.service.tables import FaqCandidate, HandOff
from rag.language import word_count

_SHORTEST = 4  # words: "One moment, please" answers nothing
CANDIDATE, APPROVED, DISMISSED = "candidate", "approved", "dismissed"


def keep(session: Session, conversation: Conversation, answers: Sequence[Message]) -> None:
    """Makes candidates of agents' messages, each with the customer's last question before it; known ones stay."""
    for answer in answers:
        known = session.scalar(select(FaqCandidate.id).where(FaqCandidate.message_id == answer.id))
        question = last_question(session, conversation.id, before=answer.ordinal)
        if known is not None or question is None:
            continue
        session.add(
            FaqCandidate(
                knowledge_base_id=conversation.knowledge_base_id,
                message_id=answer.id,
                question=question.text,
                answer=answer.text,
                author=answer.author or "",
            )
        )
    session.flush()


def keep_answers(session: Session, conversation: Conversation, row: HandOff) -> None:
    """Makes candidates of what agents answered during a hand-off: to each question the longest of their answers."""
    since = row.created_at
    said = session.scalars(
        select(Message)
        .where(
            Message.conversation_id == conversation.id,
            Message.role.in_(("agent", "customer")),
            Message.created_at >= since,
        )
        .order_by(Message.ordinal)
    ).all()
    longest: list[Message] = []
    is_new_question = True
    for message in said:
        if message.role == "customer":
            is_new_question = True
        elif word_count(message.text) >= _SHORTEST:
            if is_new_question:
                longest.append(message)
            elif len(message.text) > len(longest[-1].text):
                longest[-1] = message
            is_new_question = False
    keep(session, conversation, longest)
