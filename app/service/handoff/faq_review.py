"""What an admin decides about candidate entries, and how an approved one becomes a document.

Owns the document's form: the question as its heading, the answer as its text, word for word and line for line. It goes
the ordinary way of an upload (`app.documents`), under an external id of its own, in the transaction that approves it:
of two admins who decide at once one is told that it was decided, and nothing of theirs is published.
"""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from app import documents, files
from app.bootstrap import Services
from app.errors import Conflict, NotFound
from app.facets import PUBLIC
from app.models import KnowledgeBase, new_id, now
from app.scope import Scope
from app.service.handoff.faq import APPROVED, CANDIDATE, DISMISSED
from app.service.handoff.shapes import FaqCandidateList, FaqCandidateShape
from app.service.tables import FaqCandidate
from app.uploads import ReceivedFile, Upload

_SHOWN = 100
_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")  # all that CommonMark lets one escape (section 2.4)
_BREAK = "\\"  # at the end of a line: it ends here (section 6.7)


def list_candidates(
    services: Services, scope: Scope, knowledge_base: str | None, status: str | None, cursor: str | None
) -> FaqCandidateList:
    """A page of entries, newest first."""
    with services.database.read() as session:
        query = _mine(scope)
        if knowledge_base is not None:
            query = query.where(FaqCandidate.knowledge_base_id == scope.knowledge_base(session, knowledge_base).id)
        query = query if status is None else query.where(FaqCandidate.status == status)
        query = query if cursor is None else query.where(FaqCandidate.id < cursor)
        rows = session.scalars(query.order_by(FaqCandidate.id.desc()).limit(_SHOWN + 1)).all()
    shapes = [_shape(row) for row in rows[:_SHOWN]]
    return FaqCandidateList(candidates=shapes, next_cursor=shapes[-1].id if len(rows) > _SHOWN else None)


def approve(
    services: Services, scope: Scope, candidate_id: str, *, question: str, answer: str, is_public: bool
) -> FaqCandidateShape:
    """Uploads the entry as it was edited. Raises `NotFound`, and `Conflict` when it was decided on already."""
    with services.database.read() as session:
        row = _waiting(session, scope, candidate_id)
    approved: list[FaqCandidateShape] = []

    def decide(session: Session) -> None:
        row = _waiting(session, scope, candidate_id)
        row.question, row.answer, row.is_public = question, answer, is_public
        row.status, row.reviewed_at = APPROVED, now()
        approved.append(_shape(row))

    fields = {"external_id": external_id_of(row.id), PUBLIC: "true" if is_public else "false"}
    with _uploaded(services, fields, entry_text(question, answer).encode()) as upload:
        documents.accept(services, scope, row.knowledge_base_id, upload, removes_missing=False, also=decide)
    return approved[-1]


def dismiss(services: Services, scope: Scope, candidate_id: str) -> FaqCandidateShape:
    """Raises `NotFound`, and `Conflict` when it was decided on already."""
    with services.database.write() as session:
        row = _waiting(session, scope, candidate_id)
        row.status, row.reviewed_at = DISMISSED, now()
        return _shape(row)


def entry_text(question: str, answer: str) -> str:
    """The document as Markdown in which nothing of the answer is taken for mark-up."""
    paragraphs: list[list[str]] = [[]]
    for line in answer.splitlines():
        if words := line.strip():
            paragraphs[-1].append(_plain(words))
        else:
            paragraphs.append([])
    body = "\n\n".join(f"{_BREAK}\n".join(lines) for lines in paragraphs if lines)
    return f"# {_plain(' '.join(question.split()))}\n\n{body}\n"


def external_id_of(candidate_id: str) -> str:
    return f"faq/{candidate_id}.md"


def _plain(text: str) -> str:
    return _PUNCTUATION.sub(r"\\\1", text)


@contextmanager
def _uploaded(services: Services, fields: dict[str, str], content: bytes) -> Iterator[Upload]:
    """A form with these fields and this one file, which lies there until the block ends."""
    folder = files.incoming_folder(services.settings.files_folder) / new_id()
    folder.mkdir(parents=True)
    try:
        path = folder / "entry.md"
        path.write_bytes(content)
        yield Upload([ReceivedFile(path.name, path, len(content), sha256(content).hexdigest())], fields)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _mine(scope: Scope) -> Select[FaqCandidate]:
    """Entries of the knowledge bases that the caller may see."""
    return select(FaqCandidate).where(
        FaqCandidate.knowledge_base_id.in_(scope.knowledge_base_query().with_only_columns(KnowledgeBase.id))
    )


def _waiting(session: Session, scope: Scope, candidate_id: str) -> FaqCandidate:
    row = session.scalars(_mine(scope).where(FaqCandidate.id == candidate_id).with_for_update(of=FaqCandidate)).first()
    if row is None:
        raise NotFound(f"There is no candidate entry {candidate_id!r}.", {"faq_candidate": candidate_id})
    if row.status != CANDIDATE:
        raise Conflict(f"This entry was {row.status} already.", {"faq_candidate": row.id, "status": row.status})
    return row


def _shape(row: FaqCandidate) -> FaqCandidateShape:
    return FaqCandidateShape.of(row, external_id_of(row.id) if row.status == APPROVED else None)
