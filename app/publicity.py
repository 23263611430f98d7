"""Which documents visitors may see: those that an admin has marked public, and no other.

Owns the filter that keeps everybody else to the marked ones, and how all of a knowledge base are marked at once. What a
document or its file says of itself never counts: the mark is a column of its own, which no facet reaches.
"""

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from app.db import in_parts
from app.facets import PUBLIC
from app.models import Conversation, Document, KnowledgeBase
from app.passages import raise_change

ONLY_PUBLIC: Mapping[str, Any] = {PUBLIC: True}
"""The filter that is put on every question of somebody who may see public documents only."""


def only_public(request: Mapping[str, Any]) -> dict[str, Any]:
    """A message's request whose filter admits public documents only, whatever it admitted before."""
    return {**request, "filter": {**(request.get("filter") or {}), **ONLY_PUBLIC}}


def request_in(conversation: Conversation, request: Mapping[str, Any]) -> dict[str, Any]:
    """A message's request as it holds in a conversation: in a visitor's or a customer's, public documents alone."""
    is_customers = conversation.visitor_id is not None or conversation.site_id is not None
    return only_public(request) if is_customers else dict(request)


def set_all_public(session: Session, knowledge_base: KnowledgeBase, is_public: bool) -> int:
    """How many documents changed: of all that there are; those to come are internal."""
    raise_change(session, knowledge_base.id)
    others = (Document.knowledge_base_id == knowledge_base.id, Document.is_public.is_not(is_public))
    changed = session.scalar(select(func.count()).select_from(Document).where(*others)) or 0
    session.execute(update(Document).where(*others).values(is_public=is_public))
    return changed


def public_among(session: Session, document_ids: Collection[str]) -> set[str]:
    """Those of the documents that are public now; deleted ones are not."""
    found: set[str] = set()
    for some in in_parts(document_ids):
        found |= set(session.scalars(select(Document.id).where(Document.id.in_(some), Document.is_public)))
    return found
