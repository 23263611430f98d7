"""The route of the report on a knowledge base's documents."""

from fastapi import APIRouter

from app.bootstrap import ServicesOf
from app.document_report import get_document_report
from app.document_shapes import DocumentReportShape
from app.scope import CallerScope

router = APIRouter(prefix="/api/knowledge-bases", tags=["knowledge bases"])


@router.get("/{knowledge_base}/report")
def get_report(knowledge_base: str, services: ServicesOf, scope: CallerScope) -> DocumentReportShape:
    """What there is to know about the documents: languages, near-duplicates, recurring and unreadable text, filters."""
    return get_document_report(services, scope, knowledge_base)
