"""Pictures of pages, and citations by themselves.

Owns the routes and their caching. What is on a picture is `app.cited_pages`.
"""

import hashlib
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response

from app import cited_pages
from app.bootstrap import Services, ServicesOf
from app.cited_pages import CitedPage
from app.scope import CallerScope
from app.shapes import CitationShape

router = APIRouter(prefix="/api", tags=["pages"])

PICTURE_VERSION = 2
"""Raise it when pictures come to look different, so that no browser keeps old ones."""

Scale = Annotated[float, Query(ge=0.5, le=4, description="Pixels a PDF point.")]
PageNumber = Annotated[int, Path(ge=1, le=2**31 - 1)]
PNG: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/png": {}}, "description": "The picture."},
    304: {"description": "Not changed."},
}


@router.get("/documents/{document_id}/pages/{number}.png", response_class=Response, responses=PNG)
def get_page_picture(
    document_id: str,
    number: PageNumber,
    request: Request,
    services: ServicesOf,
    scope: CallerScope,
    passage: Annotated[str | None, Query(max_length=36, description="Id of a passage to mark.")] = None,
    scale: Scale = 2.0,
) -> Response:
    """A page, counted from 1, with a passage marked."""
    with services.database.read() as session:
        document = scope.document(session, document_id)
        page = cited_pages.page_of_document(session, document, number, passage)
    return picture_response(services, request, page, scale)


@router.get("/citations/{citation_id}/page.png", response_class=Response, responses=PNG)
def get_cited_page(
    citation_id: str,
    request: Request,
    services: ServicesOf,
    scope: CallerScope,
    page: Annotated[int | None, Query(ge=1, le=2**31 - 1, description="For quotes that cross a page.")] = None,
    scale: Scale = 2.0,
) -> Response:
    """The page as cited, the quote marked strongly and its passage lightly; 410 when that version has gone."""
    with services.database.read() as session:
        citation = scope.citation(session, citation_id)
        cited = cited_pages.page_of_citation(session, citation, page)
    return picture_response(services, request, cited, scale)


@router.get("/citations/{citation_id}")
def get_citation(citation_id: str, services: ServicesOf, scope: CallerScope) -> CitationShape:
    """A citation as it was made, whatever has become of the document; for customers, if that is public now."""
    with services.database.read() as session:
        return CitationShape.of(scope.citation(session, citation_id))


def picture_response(services: Services, request: Request, page: CitedPage, scale: float) -> Response:
    tag = hashlib.sha256(repr((PICTURE_VERSION, page.identity, scale)).encode()).hexdigest()[:32]
    headers = {"etag": f'"{tag}"', "cache-control": "private, no-cache"}  # kept, but asked for each time: cheap
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    picture = page.picture(services, scale)
    return Response(picture, media_type="image/png", headers=headers)
