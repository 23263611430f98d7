"""Makes all documents of a knowledge base public, or internal, at once.

Owns the route. What being public means is `app.publicity`; one document's mark is set with its facets.
"""

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from app.bootstrap import ServicesOf
from app.publicity import set_all_public
from app.scope import AdminScope

router = APIRouter(prefix="/api", tags=["documents"])


class Publicity(BaseModel):
    model_config = ConfigDict(extra="forbid")

    is_public: bool


class PublicityChanged(BaseModel):
    is_public: bool
    changed: int


@router.put("/knowledge-bases/{knowledge_base}/public")
def put_public(knowledge_base: str, wanted: Publicity, services: ServicesOf, scope: AdminScope) -> PublicityChanged:
    """Lets visitors of the widget see all documents that there are now, or none of them. Later ones are internal."""
    with services.database.write() as session:
        row = scope.knowledge_base(session, knowledge_base)
        return PublicityChanged(is_public=wanted.is_public, changed=set_all_public(session, row, wanted.is_public))
