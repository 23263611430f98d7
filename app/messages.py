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
from app.errors import Conflict
from app.message_leases import Admit, Assignment
from app.message_reading import asked, shape_of, turns_before
from app.message_statements import (
    ADVANCE,
    ANSWERING_BEFORE,
    INSERT_CITATIONS,
    INSERT_MESSAGES,
    KNOWN_REPLY,
    LOCK,
    swap,
)
from app.models import PEOPLE, Citation, Conversation, KnowledgeBase, Message, new_id, now
from app.publicity import request_in
from app.scope import Scope
from app.service.handoff.opening import customer_wrote, open_hand_off
from app.service.replies import taken_over
from app.service.turn import PRODUCTS_FOUND, ServiceAnswer
from app.shapes import CACHED, CitationShape, ErrorBody, MessageShape, spans_to_row
from app.understood_shapes import UnderstoodShape, choices_of
from rag import types as rag
from rag.answerers.base import GUARD, NOT_FOUND
from rag.answerers.fallback import FALLBACK

_CITATION_COLUMNS = tuple(column.key for column in Citation.__table__.columns if column.key != "message_id")
_NEW_FIELDS = ("id", "client_message_id", "conversation_id", "role", "status", "text", "timings_ms", "created_at")

_NOT_YOURS = (
    "This conversation is a customer's, and what is sent here would be kept as the customer's own words. "
    "Answer it from the inbox."
)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a customer's message led to. `reply` is its answer, however far that is, or itself where people reply.

    `question` is None when the message was there already; `change` is the number of the last that was written. Without
    an `assignment` people reply, or, if `reply` is an answer, the one before it has to be there first.
    """

    reply: MessageShape
    question: MessageShape | None = None
    assignment: Assignment | None = None
    change: int = 0


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

    While people have the conversation there is no answer to write, and `assignment` is None.

    Raises `Conflict` for whoever would speak for somebody else: a visitor's or customer's conversation is theirs. What
    `admit` raises about a new question is raised. Either way nothing is written.
    """
    with database.write() as session:
        locked = scope.conversation_query().where(Conversation.id == conversation_id).with_for_update()
        conversation = session.scalars(locked).first() or scope.conversation(session, conversation_id)  # or NotFound
        if conversation.visitor_id not in (None, scope.visitor_id):
            raise Conflict(_NOT_YOURS, {"conversation": conversation_id})
        request = request_in(conversation, request)
        same = {"conversation_id": conversation_id, "client_message_id": client_message_id}
        known = session.execute(KNOWN_REPLY, same).first()
        if known is not None:
            return Receipt(reply=shape_of(session, session.get_one(Message, known.id)))
        is_for_people = conversation.handler == PEOPLE
        ordinal, history = turns_before(session, conversation_id)
        knowledge_base = session.get_one(KnowledgeBase, conversation.knowledge_base_id)
        wanted = asked(text, history, request, conversation.state)
        earlier = {"of": conversation_id, "before": ordinal}
        is_served = knowledge_base.settings.get("service") is not None
        # A turn goes by the state that the one before it leaves: two of one flow at once would both do what it does.
        is_waiting = is_served and session.execute(ANSWERING_BEFORE, earlier).first() is not None
        if not (is_for_people or is_waiting):
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
            "request": request,
            "change": change + 1,
            "lease_owner": None,
            "lease_until": None,
            "attempts": 0,
        }
        state = {**conversation.state, "context": request["context"]} if request.get("context") else conversation.state
        if is_for_people:
            session.execute(INSERT_MESSAGES, [question])
            session.execute(ADVANCE, {"of": conversation_id, "new_change": change + 1, "new_state": state})
            customer_wrote(session, conversation, text, asked_at)
            kept = _new_shape(question)
            return Receipt(reply=kept, question=kept, change=change + 1)
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
            "lease_owner": None if is_waiting else lease,
            "lease_until": asked_at if is_waiting else asked_at + timedelta(seconds=lease_s),
            "attempts": 0 if is_waiting else 1,
        }
        session.execute(INSERT_MESSAGES, [question, answer])
        session.execute(ADVANCE, {"of": conversation_id, "new_change": change + 2, "new_state": state})
        if is_waiting:
            return Receipt(_new_shape(answer), _new_shape(question), change=change + 2)
        assignment = Assignment(
            lease=lease,
            message=_new_shape(answer),
            change=change + 2,
            knowledge_base=knowledge_base,
            question=wanted,
            state=state,
            customer=conversation.customer,
        )
        return Receipt(assignment.message, _new_shape(question), assignment, change + 2)


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
    return _end(
        *(database, assignment, citations, ended),
        remembering=remembered(assignment.question, answer),
        wanted=answer if isinstance(answer, ServiceAnswer) and answer.hand_off is not None else None,
    )


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
    wanted: ServiceAnswer | None = None,
) -> tuple[int, MessageShape] | None:
    """Writes how a message ended, in one commit; None when it is not ours any more and nothing was written.

    `wanted` is an answer that hands the conversation over to people.
    """
    message = assignment.message
    with database.write() as session:
        conversation = session.execute(LOCK, {"of": message.conversation_id}).first()
        if conversation is None:
            return None
        if unless_read and conversation.readers_until is not None and conversation.readers_until > now():
            return None
        change = conversation.change + 1
        is_taken_over = conversation.handler == PEOPLE and wanted is None and not unless_read
        if is_taken_over:  # while this was made; what it was to change is theirs now
            citations, remembering, error = [], None, None
            ended = {**ended, **taken_over(conversation.state)}
        if not swap(session, *assignment.held, {**ended, "change": change, "lease_owner": None, "lease_until": None}):
            return None
        if citations:
            session.execute(INSERT_CITATIONS, [_columns(each, message.id) for each in citations])
        state = {**conversation.state, **(remembering or {})}
        session.execute(ADVANCE, {"of": message.conversation_id, "new_change": change, "new_state": state})
        if is_taken_over:
            row = session.get_one(Conversation, message.conversation_id)
            customer_wrote(session, row, assignment.question.text, now())
        if wanted is not None and wanted.hand_off is not None:
            row = session.get_one(Conversation, message.conversation_id)
            open_hand_off(session, row, wanted=wanted.hand_off, answer=wanted, question=assignment.question.text)
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
    known["products"] = details.get(PRODUCTS_FOUND, [])
    known["not_found"], known["guard"] = details.get(NOT_FOUND, []), details.get(GUARD)
    known["citations"] = [CitationShape.of(each) for each in citations]
    return assignment.message.model_copy(update=known)
