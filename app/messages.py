"""Questions and answers as they are written: received, and answered, failed or stopped.

Owns the one rule behind them: an answer is written by whoever holds its lease (`app.message_leases`), compared and
swapped in the same commit. Knows no HTTP, no threads and no models; every function is one short transaction.

    received ──► answering ──► answered | failed
                   ▲   │
                   │   ▼        a reader comes back
                  stopped       (`restart`)

An `answering` message whose lease has run out belongs to a process that died; another one claims it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import select

from app.conversation_state import remembered
from app.db import Database
from app.message_leases import Admit, Assignment
from app.message_reading import asked, shape_of, turns_before
from app.message_statements import ADVANCE, INSERT_CITATIONS, INSERT_MESSAGES, KNOWN_ANSWER, LOCK, swap
from app.models import Citation, Conversation, KnowledgeBase, Message, new_id, now
from app.scope import Scope
from app.shapes import CACHED, CitationShape, ErrorBody, MessageShape, spans_to_row
from app.understood_shapes import UnderstoodShape, choices_of
from rag import types as rag
from rag.answerers.base import GUARD, NOT_FOUND
from rag.answerers.fallback import FALLBACK

_CITATION_COLUMNS = tuple(column.key for column in Citation.__table__.columns if column.key != "message_id")
_NEW_FIELDS = ("id", "client_message_id", "conversation_id", "role", "status", "text", "timings_ms", "created_at")


@dataclass(frozen=True, slots=True)
class Receipt:
    """`question` and `assignment` are None when the message was there already; `answer` then tells how far it is."""

    answer: MessageShape
    question: MessageShape | None = None
    assignment: Assignment | None = None


def receive(
    database: Database,
    scope: Scope,
    conversation_id: str,
    *,
    text: str,
    client_message_id: str,
    request: Mapping[str, Any],
    lease: str,
    lease_s: float,
    admit: Admit,
) -> Receipt:
    """Writes the question and its empty answer, leased, in one commit; finds them when they are there already.

    What `admit` raises about a new question is raised, and nothing is written.
    """
    with database.write() as session:
        locked = scope.conversation_query().where(Conversation.id == conversation_id).with_for_update()
        conversation = session.scalars(locked).first() or scope.conversation(session, conversation_id)  # or NotFound
        same = {"conversation_id": conversation_id, "client_message_id": client_message_id}
        known = session.execute(KNOWN_ANSWER, same).first()
        if known is not None:
            return Receipt(answer=shape_of(session, session.get_one(Message, known.id)))
        ordinal, history = turns_before(session, conversation_id)
        knowledge_base = session.get_one(KnowledgeBase, conversation.knowledge_base_id)
        wanted = asked(text, history, request, conversation.state)
        admit(knowledge_base, wanted)
        change, asked_at = conversation.change, now()
        shared = {**same, "created_at": asked_at, "timings_ms": {}, "details": {}}
        question = {
            **shared,
            "id": new_id(),
            "ordinal": ordinal,
            "reply_to": None,
            "role": "customer",
            "status": "received",
            "text": text,
            "request": dict(request),
            "change": change + 1,
            "lease_owner": None,
            "lease_until": None,
            "attempts": 0,
        }
        answer = {
            **shared,
            "id": new_id(),
            "ordinal": ordinal + 1,
            "reply_to": question["id"],
            "role": "assistant",
            "status": "answering",
            "text": "",
            "request": {},
            "change": change + 2,
            "lease_owner": lease,
            "lease_until": asked_at + timedelta(seconds=lease_s),
            "attempts": 1,
        }
        session.execute(INSERT_MESSAGES, [question, answer])
        state = {**conversation.state, "context": request["context"]} if request.get("context") else conversation.state
        session.execute(ADVANCE, {"of": conversation_id, "new_change": change + 2, "new_state": state})
        assignment = Assignment(
            lease=lease,
            message=_new_shape(answer),
            change=change + 2,
            knowledge_base=knowledge_base,
            question=wanted,
        )
        return Receipt(answer=assignment.message, question=_new_shape(question), assignment=assignment)


def finish(
    database: Database, assignment: Assignment, answer: rag.Answer, citation_ids: Mapping[int, str]
) -> tuple[int, MessageShape] | None:
    """Saves the answer with its citations; None when the lease is no longer ours and nothing was written.

    `citation_ids` are ids by marker that readers have been told already. Returns the change and the message.
    """
    citations = [citation_row(each, citation_ids.get(each.marker)) for each in answer.citations]
    ended: dict[str, Any] = {
        "status": "answered",
        "kind": answer.kind.value,
        "text": answer.text,
        "searched_for": answer.searched_for,
        "answerer": answer.answerer,
        "model": answer.model,
        "timings_ms": {name: round(float(value), 3) for name, value in answer.timings_ms.items()},
        "details": {**assignment.details, **answer.details},
    }
    return _end(database, assignment, citations, ended, remembering=remembered(assignment.question, answer))


def fail(
    database: Database, assignment: Assignment, *, text: str, code: str, reason: str
) -> tuple[int, MessageShape] | None:
    """Ends the message as `failed` with an apology; None when the lease is no longer ours."""
    error = ErrorBody(code=code, message=reason)
    details = {**assignment.details, "error": error.model_dump()}
    ended = {"status": "failed", "text": text, "details": details}
    return _end(database, assignment, [], ended, error=error)


def stop(
    database: Database, assignment: Assignment, *, text: str, citations: Sequence[rag.Citation], ids: Mapping[int, str]
) -> tuple[int, MessageShape] | None:
    """Keeps the partial text as `stopped`; None when the lease is lost or somebody listens in another process."""
    rows = [citation_row(each, ids.get(each.marker)) for each in citations]
    details = {**assignment.details, "stops": assignment.details.get("stops", 0) + 1}
    ended = {"status": "stopped", "text": text, "details": details, "attempts": 0}
    return _end(database, assignment, rows, ended, unless_read=True)


def set_boxes(database: Database, boxes: Mapping[str, list[dict[str, Any]]]) -> list[CitationShape]:
    """Adds the boxes by citation id; citations that are gone are left out of the result."""
    with database.write() as session:
        rows = session.scalars(select(Citation).where(Citation.id.in_(boxes))).all()
        for row in rows:
            row.boxes = boxes[row.id]
        return [CitationShape.of(row) for row in rows]


def citation_row(citation: rag.Citation, id_: str | None = None) -> Citation:
    """A citation as it is stored, not yet belonging to a message."""
    return Citation(
        id=id_ or new_id(),
        marker=citation.marker,
        passage_id=citation.passage_id,
        document_id=citation.document_id,
        document_version=citation.document_version,
        external_id=citation.external_id,
        title=citation.title,
        heading_path=list(citation.heading_path),
        spans=spans_to_row(citation.spans),
        page_label=citation.page_label,
        quote=citation.quote,
        boxes=[],
    )


def _end(
    database: Database,
    assignment: Assignment,
    citations: Sequence[Citation],
    ended: Mapping[str, Any],
    *,
    remembering: Mapping[str, Any] | None = None,
    error: ErrorBody | None = None,
    unless_read: bool = False,
) -> tuple[int, MessageShape] | None:
    """Writes how a message ended, in one commit; None when it is not ours any more and nothing was written."""
    message = assignment.message
    with database.write() as session:
        conversation = session.execute(LOCK, {"of": message.conversation_id}).first()
        if conversation is None:
            return None
        if unless_read and conversation.readers_until is not None and conversation.readers_until > now():
            return None
        change = conversation.change + 1
        if not swap(session, *assignment.held, {**ended, "change": change, "lease_owner": None, "lease_until": None}):
            return None
        if citations:
            session.execute(INSERT_CITATIONS, [_columns(each, message.id) for each in citations])
        state = {**conversation.state, **(remembering or {})}
        session.execute(ADVANCE, {"of": message.conversation_id, "new_change": change, "new_state": state})
    return change, _ended_shape(assignment, citations, {**ended, "error": error})


def _columns(citation: Citation, message_id: str) -> dict[str, Any]:
    return {name: getattr(citation, name) for name in _CITATION_COLUMNS} | {"message_id": message_id}


def _new_shape(columns: Mapping[str, Any]) -> MessageShape:
    """A message just written."""
    return MessageShape(
        kind=None, citations=[], searched_for=None, answerer=None, model=None, **{n: columns[n] for n in _NEW_FIELDS}
    )


def _ended_shape(assignment: Assignment, citations: Sequence[Citation], ended: Mapping[str, Any]) -> MessageShape:
    """The message as it now stands in SQL, without reading it again."""
    known = {name: value for name, value in ended.items() if name in MessageShape.model_fields}
    if "kind" in known:
        known["kind"] = rag.AnswerKind(known["kind"])
    details = ended.get("details", {})
    known["fallback"], known["cached"] = details.get(FALLBACK), details.get(CACHED, False)
    known["choices"], known["understood"] = choices_of(details), UnderstoodShape.of(details)
    known["not_found"], known["guard"] = details.get(NOT_FOUND, []), details.get(GUARD)
    known["citations"] = [CitationShape.of(each) for each in citations]
    return assignment.message.model_copy(update=known)
