"""The JSON shapes of what is told about a knowledge base's documents: findings, filters, the report.

Owns names and types of the fields. How things are found is `app.document_findings`'.
"""

from datetime import datetime
from typing import Literal

from pydantic import Field

from app.knowledge_base_settings import DocumentFilter
from app.understood_shapes import Shape


class LanguageCountShape(Shape):
    """`language` is "" where it is not known."""

    language: str
    documents: int


class LikeDocumentShape(Shape):
    """`share` of its text in common with the first of its group, 0 to 1; null for the first."""

    document_id: str
    external_id: str
    title: str
    pages: int
    share: float | None


class DuplicatesShape(Shape):
    """Documents that are nearly the same, first the one that is kept: the newest.

    Siblings differ in product, version, audience or language, and are never excluded. `documents` are at most 20.
    """

    kind: Literal["duplicate", "siblings"]
    count: int
    share: float
    documents: list[LikeDocumentShape]


class PlaceInDocument(Shape):
    """`page` is null in documents without pages."""

    passage_id: str
    document_id: str
    external_id: str
    title: str
    page: int | None


class BoilerplateShape(Shape):
    """A text that recurs: in how many passages, and the first 20 of them. Duplicates of documents do not count."""

    text: str
    count: int
    documents: int
    places: list[PlaceInDocument]


class UnreadableShape(Shape):
    """Pages and passages of a document with too little text to answer anything. Blank pages are not among them."""

    document_id: str
    external_id: str
    title: str
    pages: list[int]
    passages: int


class ExampleShape(PlaceInDocument):
    text: str


class EffectShape(Shape):
    """What a filter excludes when it is on."""

    passages: int
    documents: int
    examples: list[ExampleShape]


class FoundOut(Shape):
    """Lists hold the first 100 of each kind; the counts beside them are of all."""

    documents: int
    passages: int
    languages: list[LanguageCountShape]
    duplicates: list[DuplicatesShape]
    duplicate_groups: int
    boilerplate: list[BoilerplateShape]
    boilerplate_texts: int
    unreadable: list[UnreadableShape]
    unreadable_documents: int


class Findings(FoundOut):
    """As they are kept, with what each filter would do."""

    effects: dict[DocumentFilter, EffectShape]


class FilterShape(Shape):
    """One filter. `passages` and `documents` count what it excludes when it is on, `excluded` what is excluded now.

    A passage that several filters would exclude is counted by each, and excluded by the first of them.
    """

    name: DocumentFilter
    setting: str = Field(description="The knowledge base's setting that turns it on.")
    on: bool
    passages: int
    documents: int
    excluded: int
    examples: list[ExampleShape]


class DocumentReportShape(FoundOut):
    """Lists hold the first 100 of each kind; the counts beside them are of all.

    What was found is true of `change`; while uploads are being read that is not the present one. `applied` is false
    from a change of filters or documents until a worker has made the passages agree; `message` says why it could not.
    """

    knowledge_base: str
    change: int
    made_at: datetime
    filters: list[FilterShape]
    applied: bool
    message: str
