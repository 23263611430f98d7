"""A knowledge base's product catalogue over HTTP. Owns the routes and their shapes; what they do is `catalogue`'s."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict

from app.bootstrap import Services, ServicesOf
from app.errors import BadRequest, TooLargeRequest
from app.models import KnowledgeBase
from app.scope import AdminScope, AgentScope, Scope
from app.service.catalogue.catalogue import LONGEST_QUESTION, MOST_RESULTS
from app.service.catalogue.products import Comparison, PriceSource
from app.service.catalogue.rows import LARGEST_FILE
from app.uploads import form_of, received
from rag.language import Language

router = APIRouter(prefix="/api/knowledge-bases/{knowledge_base}/catalogue", tags=["catalogue"])

_FORM = form_of(files={"type": "array", "items": {"type": "string", "format": "binary"}, "maxItems": 1})
_Text = Annotated[str, Query(min_length=1, max_length=LONGEST_QUESTION)]
_Name = Annotated[str, Query(min_length=1, max_length=500)]


class _Shape(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class ProductShape(_Shape):
    """`source` says whether price and stock are an API's or the file's, `as_of` since when they are so."""

    sku: str
    name: str
    description: str
    attributes: dict[str, Any]
    price: float | None
    currency: str
    stock: int | None
    url: str
    source: PriceSource
    as_of: datetime


class UnderstoodShape(_Shape):
    """A constraint; `words` are for people."""

    attribute: str
    comparison: Comparison
    values: list[str | float | bool]
    unit: str
    said: str
    words: str


class SortingShape(_Shape):
    attribute: str
    descending: bool
    said: str


class ProductList(BaseModel):
    """The products in the order of the file."""

    file: str
    uploaded_at: datetime
    count: int
    products: list[ProductShape]


class ProductResultsShape(_Shape):
    """`understood` holds for every product; `relaxed` was given up, for nothing would be left or it cannot be told."""

    products: list[ProductShape]
    understood: list[UnderstoodShape]
    relaxed: list[UnderstoodShape]
    sorting: SortingShape | None
    matching: int


class ComparedRowShape(_Shape):
    attribute: str
    a: Any
    b: Any
    is_different: bool | None
    difference: float | None
    unit: str


class ComparisonShape(_Shape):
    """`difference` is b - a in `unit`; `is_different` is null where one of them does not say."""

    a: ProductShape
    b: ProductShape
    rows: list[ComparedRowShape]


class ReplacedShape(_Shape):
    """What the file did. `embedded` are the products whose text was new."""

    products: int
    new: int
    changed: int
    removed: int
    unchanged: int
    embedded: int


@router.put("", openapi_extra=_FORM)
async def put_catalogue(
    knowledge_base: str, request: Request, services: ServicesOf, scope: AdminScope
) -> ReplacedShape:
    """Replaces all products by those of a CSV, JSONL or XLSX file, at once or, with the rows' mistakes, not at all."""
    row = await run_in_threadpool(_knowledge_base, services, scope, knowledge_base)
    folder = services.settings.home_folder / "tmp"
    async with received(request, folder, LARGEST_FILE, LARGEST_FILE + 2**20) as upload:
        if len(upload.files) != 1 or upload.fields:
            raise BadRequest("A catalogue is one file, sent in the field 'files', with no other fields.")
        file = upload.files[0]
        if file.error is not None:
            code, reason = file.error
            if code == "too_large":
                raise TooLargeRequest(f"A catalogue file has at most {LARGEST_FILE // 2**20} MiB.")
            raise BadRequest(reason)
        replaced = await run_in_threadpool(services.catalogues.replace, row, file.path, file.name)
    return ReplacedShape.model_validate(replaced)


@router.get("")
def get_catalogue(
    knowledge_base: str,
    services: ServicesOf,
    scope: AgentScope,
    first: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> ProductList:
    """Lists the products as the file has them."""
    catalogue = services.catalogues.of(_knowledge_base(services, scope, knowledge_base))
    return ProductList(
        file=catalogue.stored.file,
        uploaded_at=catalogue.stored.uploaded_at,
        count=len(catalogue.stored.items),
        products=[ProductShape.model_validate(each) for each in catalogue.page(first, limit)],
    )


@router.get("/search")
def get_catalogue_search(
    knowledge_base: str,
    services: ServicesOf,
    scope: AgentScope,
    q: _Text,
    limit: Annotated[int, Query(ge=1, le=MOST_RESULTS)] = 10,
    language: Language | None = None,
) -> ProductResultsShape:
    """Finds products by what a customer would say: words, bounds with units, attributes, an order, what not."""
    catalogue = services.catalogues.of(_knowledge_base(services, scope, knowledge_base))
    return ProductResultsShape.model_validate(catalogue.search(q, limit=limit, language=language))


@router.get("/compare")
def get_catalogue_comparison(
    knowledge_base: str, services: ServicesOf, scope: AgentScope, a: _Name, b: _Name, language: Language = "en"
) -> ComparisonShape:
    """Compares two products, by SKU or name, attribute by attribute, units normalised."""
    catalogue = services.catalogues.of(_knowledge_base(services, scope, knowledge_base))
    return ComparisonShape.model_validate(catalogue.compare(a, b, language=language))


@router.delete("", status_code=204)
def delete_catalogue(knowledge_base: str, services: ServicesOf, scope: AdminScope) -> Response:
    """Removes all products of the catalogue; documents and settings of the knowledge base stay."""
    services.catalogues.delete(_knowledge_base(services, scope, knowledge_base))
    return Response(status_code=204)


def _knowledge_base(services: Services, scope: Scope, name: str) -> KnowledgeBase:
    with services.database.read() as session:
        return scope.knowledge_base(session, name)
