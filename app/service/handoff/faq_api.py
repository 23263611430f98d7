"""Candidate entries of the FAQ over HTTP, for admins.

Owns the routes and what they take; what they do is `faq_review`.
"""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from app.bootstrap import ServicesOf
from app.scope import AdminScope
from app.service.handoff import faq_review
from app.service.handoff.shapes import CandidateStatus, FaqCandidateList, FaqCandidateShape

router = APIRouter(prefix="/api/faq-candidates", tags=["FAQ candidates"])


def _has_words(text: str) -> str:
    if not any(character.isalnum() for character in text):
        raise ValueError("The text has no words.")
    return text


_Words = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=20_000, pattern=r"^[^\x00]*$"),
    AfterValidator(_has_words),
]


class Approval(BaseModel):
    """The entry as it is to be: heading and text of a document."""

    model_config = ConfigDict(extra="forbid")

    question: Annotated[_Words, StringConstraints(max_length=1000)]
    answer: _Words
    public: bool = Field(False, description="Whether visitors of the widget may see it.")


@router.get("")
def get_faq_candidates(
    services: ServicesOf,
    scope: AdminScope,
    knowledge_base: Annotated[str | None, Query(max_length=200, description="Id or name.")] = None,
    status: CandidateStatus | None = None,
    cursor: Annotated[str | None, Query(max_length=36)] = None,
) -> FaqCandidateList:
    """What agents answered and may become part of a knowledge base, newest first."""
    return faq_review.list_candidates(services, scope, knowledge_base, status, cursor)


@router.post("/{candidate_id}/approve")
def post_faq_approval(
    candidate_id: str, approval: Approval, services: ServicesOf, scope: AdminScope
) -> FaqCandidateShape:
    """Makes it a document of the knowledge base. 409 when it was decided on already."""
    return faq_review.approve(
        *(services, scope, candidate_id),
        question=approval.question,
        answer=approval.answer,
        is_public=approval.public,
    )


@router.post("/{candidate_id}/dismiss")
def post_faq_dismissal(candidate_id: str, services: ServicesOf, scope: AdminScope) -> FaqCandidateShape:
    """Takes it off the list of candidates. 409 when it was decided on already."""
    return faq_review.dismiss(services, scope, candidate_id)
