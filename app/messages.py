"""The SQL of conversations: questions and answers, and the leases under which they are made.

Owns every statement that changes conversations, messages and their citations, and the one rule behind them: an answer
is written by whoever holds its lease, compared and swapped in the same commit. Knows no HTTP, no threads and
no models; every function is one short transaction.

    received ──► answering ──► answered | failed
                   ▲   │
                   │   ▼        a reader comes back
                  stopped       (`restart`)

An `answering` message whose lease has run out belongs to a process that died; `claim` takes it over.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import bindparam, delete, insert, select, update
from sqlalchemy.orm import Session

from app.db import Database
from app.errors import BadRequest
from app.message_reading import shape_of
from app.models import Base, Citation, Conversation, Feedback, KnowledgeBase, Message, new_id, now
from app.scope import Scope
from app.shapes import (
    CACHED,
    CitationShape,
    ErrorBody,
    FeedbackShape,
    MessageShape,
    spans_to_row,
)
from rag import types as rag
from rag.answerers.fallback import FALLBACK
from rag.answerers.generative_history import HANDED_OVER, first_handed_over

Admit = Callable[[KnowledgeBase, rag.Question], None]
"""Asked before a question is written or an answer begun; raises when it may not be now."""

RESTARTS = 5
"""So often an answer is started again for readers who left and came back."""


_messages, _conversations, _citations = (Base.metadata.tables[name] for name in ("message", "conversation", "citation"))

# Every question runs these; without the ORM and built once they cost a third.
_KNOWN_ANSWER = select(_messages.c.id).where(
    _messages.c.conversation_id == bindparam("conversation_id"),
    _messages.c.client_message_id == bindparam("client_message_id"),
    _messages.c.role == "assistant",
)
_INSERT_MESSAGES = insert(_messages)
_INSERT_CITATIONS = insert(_citations)
_LOCK = (
    select(_conversations.c.change, _conversations.c.state, _conversations.c.readers_until)
    .where(_conversations.c.id == bindparam("of"))
    .with_for_update()
)
_ADVANCE = (
    update(_conversations)
    .where(_conversations.c.id == bindparam("of"))
    .values(change=bindparam("new_change"), state=bindparam("new_state"))
)
_SWAP = (
    update(_messages)
    .where(
        _messages.c.id == bindparam("of"),
        _messages.c.status == "answering",
        _messages.c.lease_owner == bindparam("lease"),
    )
    .returning(_messages.c.id)
)
_HISTORY = (
    select(_messages.c.id, _messages.c.ordinal, _messages.c.role, _messages.c.text)
    .where(
        _messages.c.conversation_id == bindparam("of"),
        _messages.c.status != "failed",
        _messages.c.ordinal < bindparam("before"),
    )
    .order_by(_messages.c.ordinal.desc())
    .limit(2 * HANDED_OVER)
)
_CITED = (
    select(_citations.c.message_id, _citations.c.passage_id)
    .where(_citations.c.message_id.in_(bindparam("of", expanding=True)))
    .order_by(_citations.c.marker)
)
_CITATION_COLUMNS = tuple(column.key for column in _citations.columns if column.key != "message_id")
_NEW_FIELDS = ("id", "client_message_id", "conversation_id", "role", "status", "text", "timings_ms", "created_at")
_NO_LIMIT = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Assignment:
    """An answer to be made by the holder of `lease`: what was asked, of which knowledge base, and so far what."""

    lease: str
    message: MessageShape
    change: int
    knowledge_base: KnowledgeBase
    question: rag.Question
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Receipt:
    """`question` and `assignment` are None when the message was there already; `answer` then tells how far it is."""

    answer: MessageShape
    question: MessageShape | None = None
    assignment: Assignment | None = None


@dataclass(frozen=True, slots=True)
class Orphan:
    """An answer whose maker has been silent for longer than its lease."""

    message_id: str
    lease: str | None
    attempts: int

    @property
    def next_attempt(self) -> tuple[str, int]:
        return self.message_id, self.attempts + 1


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
        known = session.execute(_KNOWN_ANSWER, same).first()
        if known is not None:
            return Receipt(answer=shape_of(session, session.get_one(Message, known.id)))
        ordinal, history = _history(session, conversation_id)
        knowledge_base = session.get_one(KnowledgeBase, conversation.knowledge_base_id)
        asked = _asked(text, history, request)
        admit(knowledge_base, asked)
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
        session.execute(_INSERT_MESSAGES, [question, answer])
        state = {**conversation.state, "context": request["context"]} if request.get("context") else conversation.state
        session.execute(_ADVANCE, {"of": conversation_id, "new_change": change + 2, "new_state": state})
        assignment = Assignment(
            lease=lease,
            message=_new_shape(answer),
            change=change + 2,
            knowledge_base=knowledge_base,
            question=asked,
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
    cited = list(dict.fromkeys(each.passage_id for each in answer.citations))
    remembered = {"cited": cited, "searched_for": answer.searched_for}
    return _end(database, assignment, citations, ended, remembered=remembered)


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


def restart(database: Database, message_id: str, *, lease: str, lease_s: float, admit: Admit) -> Assignment | None:
    """Takes up a stopped answer under the same id; None when it is not stopped (any more) or was too often.

    What `admit` raises is raised, and the answer stays stopped.
    """
    with database.write() as session:
        message = _lock_with_message(session, message_id)
        if message is None or message.status != "stopped" or message.details.get("stops", 0) > RESTARTS:
            return None
        return _take_up(session, message, lease, lease_s, admit)


def claim(database: Database, orphan: Orphan, *, lease: str, lease_s: float, admit: Admit) -> Assignment | None:
    """Takes over the answer of a process that died; None when somebody was faster."""
    with database.write() as session:
        message = _lock_with_message(session, orphan.message_id)
        if message is None or message.status != "answering" or message.lease_owner != orphan.lease:
            return None
        if message.lease_until is not None and message.lease_until > now():
            return None
        return _take_up(session, message, lease, lease_s, admit)


def orphans(database: Database, limit: int) -> list[Orphan]:
    """Up to `limit` answers whose lease has run out, oldest first."""
    query = (
        select(Message.id, Message.lease_owner, Message.attempts)
        .where(Message.status == "answering", Message.lease_until < now())
        .order_by(Message.lease_until)
        .limit(limit)
    )
    with database.read() as session:
        return [Orphan(*row) for row in session.execute(query)]


def renew(database: Database, assignment: Assignment, text: str | None, lease_s: float) -> int | None:
    """Prolongs the lease and, given a text, keeps what is written so far, so that other processes see it.

    Returns the change number, 0 when no text was given, None when the lease is lost.
    """
    values: dict[str, Any] = {"lease_until": now() + timedelta(seconds=lease_s)}
    with database.write() as session:
        if text is None:
            return 0 if _swap(session, assignment, values) else None
        conversation = _lock(session, assignment.message.conversation_id)
        if conversation is None:
            return None
        if not _swap(session, assignment, {**values, "text": text, "change": conversation.change + 1}):
            return None
        conversation.change += 1
        return conversation.change


def release(database: Database, assignments: Sequence[Assignment]) -> None:
    """Gives leases up at once, for a process that ends: the next one need not wait for them to run out."""
    with database.write() as session:
        for assignment in assignments:
            _swap(session, assignment, {"lease_until": now()})


def set_boxes(database: Database, boxes: Mapping[str, list[dict[str, Any]]]) -> list[CitationShape]:
    """Adds the boxes by citation id; citations that are gone are left out of the result."""
    with database.write() as session:
        rows = session.scalars(select(Citation).where(Citation.id.in_(boxes))).all()
        for row in rows:
            row.boxes = boxes[row.id]
        return [CitationShape.of(row) for row in rows]


def save_feedback(database: Database, scope: Scope, message: str, rating: str, comment: str) -> FeedbackShape:
    """One feedback a message; the last one counts."""
    with database.write() as session:
        of_message = scope.message(session, message)
        if of_message.role == "customer":
            raise BadRequest("Feedback is for answers, not for questions.", {"message": message})
        session.execute(select(Message.id).where(Message.id == of_message.id).with_for_update())
        row = session.scalars(select(Feedback).where(Feedback.message_id == of_message.id)).first()
        if row is None:
            row = Feedback(message_id=of_message.id)
            session.add(row)
        row.rating, row.comment = rating, comment
        session.flush()
        return FeedbackShape.of(row)


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


def _lock(session: Session, conversation_id: str) -> Conversation | None:
    """The conversation's row, locked: whoever writes in a conversation does this first, so nobody deadlocks."""
    return session.scalars(select(Conversation).where(Conversation.id == conversation_id).with_for_update()).first()


def _lock_with_message(session: Session, message_id: str) -> Message | None:
    conversation_id = session.scalar(select(Message.conversation_id).where(Message.id == message_id))
    if conversation_id is None or _lock(session, conversation_id) is None:
        return None
    return session.scalars(select(Message).where(Message.id == message_id).with_for_update()).first()


def _swap(session: Session, assignment: Assignment, values: Mapping[str, Any]) -> bool:
    """Changes the message only if it is still ours to change."""
    statement = _SWAP.values(**values)
    return session.execute(statement, {"of": assignment.message.id, "lease": assignment.lease}).first() is not None


def _end(
    database: Database,
    assignment: Assignment,
    citations: Sequence[Citation],
    ended: Mapping[str, Any],
    *,
    remembered: Mapping[str, Any] | None = None,
    error: ErrorBody | None = None,
    unless_read: bool = False,
) -> tuple[int, MessageShape] | None:
    """Writes how a message ended, in one commit; None when it is not ours any more and nothing was written."""
    message = assignment.message
    with database.write() as session:
        conversation = session.execute(_LOCK, {"of": message.conversation_id}).first()
        if conversation is None:
            return None
        if unless_read and conversation.readers_until is not None and conversation.readers_until > now():
            return None
        change = conversation.change + 1
        if not _swap(session, assignment, {**ended, "change": change, "lease_owner": None, "lease_until": None}):
            return None
        if citations:
            session.execute(_INSERT_CITATIONS, [_columns(each, message.id) for each in citations])
        state = {**conversation.state, **(remembered or {})}
        session.execute(_ADVANCE, {"of": message.conversation_id, "new_change": change, "new_state": state})
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
    known["citations"] = [CitationShape.of(each) for each in citations]
    return assignment.message.model_copy(update=known)


def _take_up(session: Session, message: Message, lease: str, lease_s: float, admit: Admit) -> Assignment:
    """Gives the message, begun anew, to `lease`."""
    conversation = session.get_one(Conversation, message.conversation_id)
    question = session.get_one(Message, message.reply_to)
    _, history = _history(session, message.conversation_id, before=question.ordinal)
    knowledge_base = session.get_one(KnowledgeBase, conversation.knowledge_base_id)
    asked = _asked(question.text, history, question.request)
    admit(knowledge_base, asked)
    session.execute(delete(Citation).where(Citation.message_id == message.id))
    conversation.change += 1
    message.status, message.text, message.change = "answering", "", conversation.change
    message.lease_owner, message.lease_until = lease, now() + timedelta(seconds=lease_s)
    message.attempts += 1
    session.flush()
    return Assignment(
        lease=lease,
        message=MessageShape.of(message),
        change=message.change,
        knowledge_base=knowledge_base,
        question=asked,
        details=message.details,
    )


def _asked(text: str, history: tuple[rag.Turn, ...], request: Mapping[str, Any]) -> rag.Question:
    return rag.Question(text, history, request.get("filter") or {}, tuple(request.get("images") or ()))


def _history(session: Session, conversation_id: str, before: int | None = None) -> tuple[int, tuple[rag.Turn, ...]]:
    """The next free ordinal, and the turns before that ordinal (or `before`), oldest first."""
    of_conversation = {"of": conversation_id, "before": _NO_LIMIT if before is None else before}
    rows = session.execute(_HISTORY, of_conversation).all()
    first = first_handed_over(rows[0].ordinal + 1) if rows else 0
    answers = [row.id for row in rows if row.role == "assistant"]
    cited: dict[str, list[str]] = {}
    if answers:
        for message_id, passage_id in session.execute(_CITED, {"of": answers}):
            cited.setdefault(message_id, []).append(passage_id)
    turns = [
        rag.Turn(row.role, row.text, tuple(dict.fromkeys(cited.get(row.id, ()))))
        for row in reversed(rows)
        if row.text and row.ordinal >= first
    ]
    return (rows[0].ordinal + 1 if rows else 0), tuple(turns)
