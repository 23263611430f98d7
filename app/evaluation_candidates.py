"""Thumbed-down answers that may become golden questions.

Owns which of them wait, and what an admin decides. The feedback itself is `app.feedback`'s.
"""

from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from app.bootstrap import Services
from app.errors import NotFound
from app.evaluation_questions import add, checked_question
from app.evaluation_shapes import AcceptedCandidate, CandidateList, CandidateShape, GoldenQuestionShape
from app.message_reading import turns_before
from app.models import Citation, Conversation, Feedback, KnowledgeBase, Message
from app.scope import Scope

_SHOWN = 100
_ROLES = ("customer", "assistant", "agent")


def list_candidates(services: Services, scope: Scope, knowledge_base: str) -> CandidateList:
    with services.database.read() as session:
        base = scope.knowledge_base(session, knowledge_base)
        rows = session.execute(_waiting(base).order_by(Feedback.created_at.desc()).limit(_SHOWN)).all()
        return CandidateList(candidates=[_shape(session, message, feedback) for message, feedback in rows])


def accept_candidate(
    services: Services, scope: Scope, knowledge_base: str, message_id: str, accepted: AcceptedCandidate
) -> GoldenQuestionShape:
    """Makes a golden question of it. Raises `NotFound` when it does not wait (any more)."""
    with services.database.write() as session:
        base = scope.knowledge_base(session, knowledge_base)
        message, feedback = _one(session, base, message_id)
        candidate = _shape(session, message, feedback)
        question = checked_question(
            {
                "id": f"answer {message.id}",
                "question": accepted.question or candidate.question,
                "history": candidate.history,
                "filter": candidate.filter,
                "expected": accepted.expected,
            }
        )
        feedback.review = "accepted"
        return GoldenQuestionShape.of(add(session, base, question, message.id))


def dismiss_candidate(services: Services, scope: Scope, knowledge_base: str, message_id: str) -> None:
    """Raises `NotFound` when it does not wait (any more)."""
    with services.database.write() as session:
        base = scope.knowledge_base(session, knowledge_base)
        _, feedback = _one(session, base, message_id)
        feedback.review = "dismissed"


def _waiting(knowledge_base: KnowledgeBase) -> Select[Message, Feedback]:
    """Answers that were thumbed down, in a knowledge base that was looked up in the caller's scope."""
    return (
        select(Message, Feedback)
        .join(Feedback, Feedback.message_id == Message.id)
        .join(Conversation, Conversation.id == Message.conversation_id)
        .where(
            Conversation.knowledge_base_id == knowledge_base.id,
            Message.role == "assistant",
            Message.reply_to.is_not(None),
            Feedback.rating == "down",
            Feedback.review.is_(None),
        )
    )


def _one(session: Session, knowledge_base: KnowledgeBase, message_id: str) -> tuple[Message, Feedback]:
    query = _waiting(knowledge_base).where(Message.id == message_id).with_for_update(of=Feedback)
    found = session.execute(query).first()
    if found is None:
        raise NotFound(f"No candidate {message_id!r} waits in this knowledge base.", {"message": message_id})
    return found[0], found[1]


def _shape(session: Session, message: Message, feedback: Feedback) -> CandidateShape:
    question = session.get_one(Message, message.reply_to)
    _, turns = turns_before(session, message.conversation_id, before=question.ordinal)
    cited = session.scalars(select(Citation).where(Citation.message_id == message.id).order_by(Citation.marker))
    return CandidateShape(
        message_id=message.id,
        question=question.text,
        history=[{"role": turn.role, "text": turn.text} for turn in turns if turn.role in _ROLES],
        filter=question.request.get("filter") or {},
        kind=message.kind,
        answer=message.text,
        cited=[_place(citation) for citation in cited],
        comment=feedback.comment,
        created_at=feedback.created_at,
    )


def _place(citation: Citation) -> dict[str, Any]:
    page = citation.spans[0][0] if citation.spans else 0
    return {"document": citation.external_id, "title": citation.title, "page": page or None}
