"""What an admin says of a document: its title, its language, its facets.

Owns the route, and that filters and indexes learn of it. What remains of it when a new version comes is `app.facets`'.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from sqlalchemy import update
from sqlalchemy.orm import Session

from app.bootstrap import Services, ServicesOf
from app.errors import BadRequest
from app.facets import LANGUAGE, PUBLIC, language_code
from app.models import Document, Job, Passage
from app.passages import raise_change
from app.scope import CallerScope, Scope
from app.shapes import DocumentShape
from app.uploads import require_facets

router = APIRouter(prefix="/api", tags=["documents"])

_NOT_IN_TITLES = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_MOST_FACETS = 50
_LONGEST_NAME = 100

Title = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000)]


class DocumentChange(BaseModel):
    """Only what is sent is changed. Null gives back what the file or the upload says, from its next version on."""

    model_config = ConfigDict(extra="forbid")

    title: Title | None = None
    language: str | None = Field(None, description="A code such as en, de or zh-Hant.")
    is_public: bool | None = Field(
        None, description="Whether visitors of the widget may see it; it stays so whatever its next version says."
    )
    facets: dict[str, Any] | None = Field(
        None, description='Such as {"product": "LT-300"}; those not named stay, null takes one away.'
    )


def change_document(services: Services, scope: Scope, document_id: str, change: DocumentChange) -> DocumentShape:
    """Filters and answers follow at once. Raises `BadRequest` for facets that cannot be kept."""
    sent = _checked(change)
    with services.database.write() as session:
        document = scope.document(session, document_id)
        number = raise_change(session, document.knowledge_base_id)
        session.refresh(document)  # it may have been stored anew before the lock was had
        _say(session, document, sent, number)
        session.flush()
        session.refresh(document)
        return DocumentShape.of(document, session.get(Job, document.job_id) if document.job_id else None)


def _checked(change: DocumentChange) -> dict[str, Any]:
    """What was sent; a language that came as a facet stands by itself."""
    sent = change.model_dump(exclude_unset=True)
    facets = dict(sent.get("facets") or {})
    if LANGUAGE in facets:
        sent.setdefault(LANGUAGE, facets.pop(LANGUAGE))
    if (language := sent.get(LANGUAGE)) is not None:
        code = language_code(language) if isinstance(language, str) else None
        if code is None:
            raise BadRequest("The language must be a code such as en, de or zh-Hant.", {"language": language})
        sent[LANGUAGE] = code
    if _NOT_IN_TITLES.search(sent.get("title") or ""):
        raise BadRequest("The title holds control characters.")
    require_facets({name: value for name, value in facets.items() if value is not None})
    if len(facets) > _MOST_FACETS or any(not 0 < len(name) <= _LONGEST_NAME for name in facets):
        raise BadRequest(
            f"At most {_MOST_FACETS} facets can be set at once, with names of 1 to {_LONGEST_NAME} characters."
        )
    sent["facets"] = facets
    return sent


def _say(session: Session, document: Document, sent: Mapping[str, Any], change: int) -> None:
    edits = dict(document.edits or {})
    if sent.get(PUBLIC) is not None:
        document.is_public = sent[PUBLIC]
    for name in ("title", LANGUAGE):
        if name not in sent:
            continue
        if sent[name] is None:
            edits.pop(name, None)
        else:
            edits[name] = sent[name]
            setattr(document, name, sent[name])
    if sent["facets"]:
        edits["facets"] = {**edits.get("facets", {}), **sent["facets"]}
        merged = {**document.facets, **sent["facets"]}
        document.facets = {name: value for name, value in merged.items() if value is not None}
    document.edits = edits
    if sent.get("title"):  # the word index has titles: its passages are put into it anew
        of_document = (Passage.document_key == document.key, Passage.excluded.is_(None))
        session.execute(update(Passage).where(*of_document).values(added_change=change))


@router.patch("/documents/{document_id}")
def patch_document(document_id: str, change: DocumentChange, services: ServicesOf, scope: CallerScope) -> DocumentShape:
    """Sets title, language, facets of a document, and who may see it; they stay when a new version comes."""
    return change_document(services, scope, document_id, change)
