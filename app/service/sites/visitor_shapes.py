"""What visitors get to see: the JSON shapes of the widget's API, made of those of the rest.

Owns which fields go out. A field that is not named here does not: no scores, times, models, routing, notes or file
names, and nothing of documents that are internal by now.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field

from app.service.catalogue.products import ATTRIBUTES_SHOWN
from app.service.handoff.live import HandOffState
from app.service.sites.settings import SiteSettings
from app.shapes import CitationShape, Handling, MessageShape, MessageStatus, Rating, Role
from app.understood_shapes import Shape
from rag.types import AnswerKind

_PRODUCT_FIELDS = ("sku", "name", "description", "attributes", "price", "currency", "stock", "url", "image")
_ADDRESSES = frozenset({"url", "image"})


class VisitorCitation(Shape):
    """`pages` are counted from 1 in the file, and none where the document has none."""

    id: str
    marker: int
    title: str
    heading_path: list[str]
    page_label: str | None
    pages: list[int]
    quote: str

    @classmethod
    def of(cls, citation: CitationShape) -> "VisitorCitation":
        return cls(
            id=citation.id,
            marker=citation.marker,
            title=citation.title,
            heading_path=citation.heading_path,
            page_label=citation.page_label,
            pages=sorted({span.page for span in citation.spans if span.page is not None}),
            quote=citation.quote,
        )


class VisitorChoice(Shape):
    label: str = Field(description="To be sent as the next message's text.")


class VisitorMessage(Shape):
    id: str
    client_message_id: str
    role: Role
    status: MessageStatus
    kind: AnswerKind | None
    text: str
    citations: list[VisitorCitation]
    choices: list[VisitorChoice]
    products: list[dict[str, Any]]
    author: str | None = Field(description="Which person wrote it, where one did.")
    rating: Rating | None
    created_at: datetime

    @classmethod
    def of(cls, message: MessageShape, public: Collection[str]) -> "VisitorMessage":
        """`public` are the ids of the cited documents that visitors may see; other citations are left out."""
        return cls(
            id=message.id,
            client_message_id=message.client_message_id,
            role=message.role,
            status=message.status,
            kind=message.kind,
            text=message.text,
            citations=[VisitorCitation.of(each) for each in message.citations if each.document_id in public],
            choices=[VisitorChoice(label=each.label) for each in message.choices],
            products=[_product(each) for each in message.products],
            author=message.author,
            rating=message.rating,
            created_at=message.created_at,
        )


class VisitorHandOff(Shape):
    status: str
    agent: str | None
    position: int | None

    @classmethod
    def of(cls, state: HandOffState | None) -> "VisitorHandOff | None":
        return None if state is None else cls(status=state["status"], agent=state["agent"], position=state["position"])


class VisitorConversation(Shape):
    """`change` is the number of the last event so far: `events?after=` goes on from there without a gap."""

    id: str
    change: int
    handler: Handling
    agent: str | None = Field(description="Who has taken the conversation over.")
    hand_off: VisitorHandOff | None
    rated: bool = Field(description="Whether the visitor has said how the conversation was.")
    messages: list[VisitorMessage]


class SiteForVisitors(Shape):
    name: str
    title: str
    language: Literal["auto", "en", "zh"]
    greeting: str = Field(description="In the language that was asked for, or else in any.")
    theme: dict[str, str]

    @classmethod
    def of(cls, name: str, settings: SiteSettings, language: str) -> "SiteForVisitors":
        return cls(
            name=name,
            title=settings.title,
            language=settings.language,
            greeting=settings.greeting_in(language),
            theme=settings.theme,
        )


class VisitorSession(Shape):
    """`resume` is used up as soon as the one that it gives has arrived; null where the one that the page has holds."""

    token: str
    expires_at: datetime
    resume: str | None
    visitor_id: str
    conversation_id: str
    site: SiteForVisitors
    change: int
    handler: Handling
    agent: str | None
    hand_off: VisitorHandOff | None
    rated: bool
    messages: list[VisitorMessage]


class VisitorTokenEvent(Shape):
    message_id: str
    text: str


class VisitorCitationEvent(Shape):
    message_id: str
    citation: VisitorCitation


class VisitorTypingEvent(Shape):
    """`until` is null when they no longer are."""

    role: Role
    name: str
    until: datetime | None


class FeedbackGiven(Shape):
    message_id: str
    rating: Rating


class RatingGiven(Shape):
    stars: int
    comment: str


def _product(product: Mapping[str, Any]) -> dict[str, Any]:
    """What is a product's own; addresses only of the web, as the page makes links of them."""
    shown = product.get(ATTRIBUTES_SHOWN)
    product = product if shown is None else {**product, "attributes": shown}
    return {
        name: product[name]
        for name in _PRODUCT_FIELDS
        if name in product and (name not in _ADDRESSES or _is_web_address(product[name]))
    }


def _is_web_address(value: object) -> bool:
    try:
        return isinstance(value, str) and urlsplit(value).scheme.lower() in ("http", "https")
    except ValueError:
        return False


def cited_documents(messages: Sequence[MessageShape]) -> set[str]:
    return {citation.document_id for message in messages for citation in message.citations}
