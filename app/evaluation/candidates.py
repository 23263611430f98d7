"""Thumbed-down answers that may become golden questions.

Owns which of them wait, and what an admin decides. The feedback itself is `app.feedback`'s.
"""

from sqlalchemy import Select, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.bootstrap import Services
from app.errors import Conflict, NotFound
from app.evaluation.questions import add, checked_question
from app.evaluation.shapes import AcceptedCandidate, CandidateList, CandidateShape, GoldenQuestionShape, place_of
from app.message_reading import turns_before
from app.models import Citation, Conversation, Feedback, KnowledgeBase, Message
from app.scope import Scope
from rag.types import NO_PAGE

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
    """Makes a golden question of it. Raises `NotFound` when it does not wait (any more), and `Conflict` when there is
    one of its name, of a file that was downloaded before.
    """
    name = f"answer {message_id}"
    try:
        return _accept(services, scope, knowledge_base, message_id, name, accepted)
    except IntegrityError as error:
        raise Conflict(
            f"There is a golden question {name!r} already: change that one and dismiss this candidate, or delete it.",
            {"name": name},
        ) from error


def _accept(
    services: Services, scope: Scope, knowledge_base: str, message_id: str, name: str, accepted: AcceptedCandidate
) -> GoldenQuestionShape:
    with services.database.write() as session:
        base = scope.knowledge_base(session, knowledge_base)
        message, feedback = _one(session, base, message_id)
        candidate = _shape(session, message, feedback)
        question = checked_question(
            {
                "id": name,
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
        cited=[place_of(each.external_id, each.title, each.spans[0][0] if each.spans else NO_PAGE) for each in cited],
        comment=feedback.comment,
        created_at=feedback.created_at,
    )
