"""Golden questions as they are kept, one knowledge base at a time.

Owns adding, changing, removing and uploading them. What a question may be is `rag.evaluation.questions`'; how they are
asked is `app.evaluation.runs`.
"""

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.bootstrap import Services
from app.db import storable_json
from app.errors import BadRequest, Conflict
from app.evaluation.shapes import GoldenQuestionList, GoldenQuestionShape, NewGoldenQuestion, UploadedQuestions
from app.filters import wanted_texts
from app.models import GoldenQuestion, KnowledgeBase
from app.scope import Scope
from rag.errors import BadEvaluationFile, UnknownFilter
from rag.evaluation import questions as golden
from rag.evaluation.files import parse_golden

MOST_QUESTIONS = 5_000


def list_questions(
    services: Services, scope: Scope, knowledge_base: str, limit: int, cursor: str | None
) -> GoldenQuestionList:
    with services.database.read() as session:
        row = scope.knowledge_base(session, knowledge_base)
        query = scope.golden_question_query(row)
        total = session.scalar(select(func.count()).select_from(query.subquery())) or 0
        if cursor:
            query = query.where(GoldenQuestion.id > cursor)
        rows = session.scalars(query.order_by(GoldenQuestion.id).limit(limit + 1)).all()
    return GoldenQuestionList(
        questions=[GoldenQuestionShape.of(each) for each in rows[:limit]],
        total=total,
        next_cursor=rows[limit - 1].id if len(rows) > limit else None,
    )


def all_questions(services: Services, knowledge_base_id: str) -> list[golden.GoldenQuestion]:
    """Every golden question of a knowledge base, in the order in which they were added."""
    of_base = select(GoldenQuestion).where(GoldenQuestion.knowledge_base_id == knowledge_base_id)
    with services.database.read() as session:
        rows = session.scalars(of_base.order_by(GoldenQuestion.id)).all()
    return [golden.question_from(row.record) for row in rows]


def as_jsonl(services: Services, scope: Scope, knowledge_base: str) -> str:
    """All questions as a golden file."""
    with services.database.read() as session:
        query = scope.golden_question_query(scope.knowledge_base(session, knowledge_base))
        rows = session.scalars(query.order_by(GoldenQuestion.id)).all()
    return "".join(json.dumps(row.record, ensure_ascii=False) + "\n" for row in rows)


def add_question(services: Services, scope: Scope, knowledge_base: str, new: NewGoldenQuestion) -> GoldenQuestionShape:
    """Raises `Conflict` when the question, or its name, is there already."""
    question = _checked(new)
    try:
        with services.database.write() as session:
            row = scope.knowledge_base(session, knowledge_base)
            return GoldenQuestionShape.of(add(session, row, question))
    except IntegrityError as error:
        raise Conflict(f"There is a golden question {question.id!r} already.", {"name": question.id}) from error


def add(
    session: Session, knowledge_base: KnowledgeBase, question: golden.GoldenQuestion, message_id: str | None = None
) -> GoldenQuestion:
    """Adds one within a transaction. Raises `Conflict` when there are too many."""
    _require_room(session, knowledge_base, 1)
    row = GoldenQuestion(
        knowledge_base_id=knowledge_base.id,
        name=question.id,
        record=golden.record_of(question),
        message_id=message_id,
    )
    session.add(row)
    session.flush()
    return row


def change_question(
    services: Services, scope: Scope, knowledge_base: str, question_id: str, new: NewGoldenQuestion
) -> GoldenQuestionShape:
    """Replaces what is asked and expected. The name stays unless another is given."""
    try:
        with services.database.write() as session:
            base = scope.knowledge_base(session, knowledge_base)
            row = scope.golden_question(session, base, question_id)
            question = _checked(new if new.name else new.model_copy(update={"name": row.name}))
            row.name, row.record = question.id, golden.record_of(question)
            session.flush()
            return GoldenQuestionShape.of(row)
    except IntegrityError as error:
        raise Conflict(f"There is another golden question {new.name!r}.", {"name": new.name}) from error


def delete_question(services: Services, scope: Scope, knowledge_base: str, question_id: str) -> None:
    """Runs that asked it stay as they are."""
    with services.database.write() as session:
        row = scope.knowledge_base(session, knowledge_base)
        session.delete(scope.golden_question(session, row, question_id))


def upload_questions(services: Services, scope: Scope, knowledge_base: str, content: bytes) -> UploadedQuestions:
    """Adds the questions of a golden file; those whose id is there already are changed. All of them or none.

    Raises `BadRequest` with the line that is wrong.
    """
    try:
        uploaded = parse_golden(content.decode("utf-8-sig"), "The file")
    except UnicodeDecodeError as error:
        raise BadRequest("The file is not a text in UTF-8.") from error
    except BadEvaluationFile as error:
        raise BadRequest(str(error)) from error
    for question in uploaded:
        _require_usable(question, f"The question {question.id!r}")
    records = {question.id: golden.record_of(question) for question in uploaded}
    with services.database.write() as session:
        base = scope.knowledge_base(session, knowledge_base)
        session.refresh(base, with_for_update=True)
        known = {row.name: row for row in session.scalars(scope.golden_question_query(base))}
        new = records.keys() - known.keys()
        _require_room(session, base, len(new))
        changed = [name for name in records.keys() & known.keys() if known[name].record != records[name]]
        for name in changed:
            known[name].record = records[name]
        for name, record in records.items():
            if name in new:
                session.add(GoldenQuestion(knowledge_base_id=base.id, name=name, record=record))
    return UploadedQuestions(added=len(new), changed=len(changed), unchanged=len(records) - len(new) - len(changed))


def checked_question(record: Mapping[str, Any]) -> golden.GoldenQuestion:
    """Raises `BadRequest` for what is no golden question, too large, cannot be stored, or cannot be filtered by."""
    try:
        question = golden.question_from(dict(record))
    except ValueError as error:
        raise BadRequest(f"This is no golden question: {error}.") from error
    _require_usable(question, "The question")
    return question


def _checked(new: NewGoldenQuestion) -> golden.GoldenQuestion:
    record = new.model_dump()
    name = record.pop("name")
    return checked_question({**record, **({"id": name} if name else {})})


def _require_usable(question: golden.GoldenQuestion, name: str) -> None:
    """Raises `BadRequest`. Whether any document has a facet is seen when it is asked: documents come and go."""
    try:
        storable_json(golden.record_of(question))
    except ValueError as error:
        raise BadRequest(f"{name} {error}.") from error
    try:
        golden.require_bounds(question)
        wanted_texts(question.filter)
    except (ValueError, UnknownFilter) as error:
        raise BadRequest(f"{name} cannot be kept: {error}") from error


def _require_room(session: Session, knowledge_base: KnowledgeBase, new: int) -> None:
    of_base = GoldenQuestion.knowledge_base_id == knowledge_base.id
    there = session.scalar(select(func.count()).where(of_base)) or 0
    if there + new > MOST_QUESTIONS:
        raise Conflict(f"A knowledge base can have {MOST_QUESTIONS:,} golden questions; this one would have more.")
