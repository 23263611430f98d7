"""What the widget in a visitor's browser calls. Every route but the first needs the visitor's token.

Owns the routes and what they take. Who a visitor is, is `visitors`; what visitors see, `visitor_shapes`; how a message
is answered, `app.conversations`, as for everybody else.
"""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from app import cited_pages, message_reading
from app.bootstrap import Services, ServicesOf
from app.chat_api import CLIENT_LEFT, ClientId, ManagerOf, Text
from app.errors import AnswerFailed, NotFound, Unavailable
from app.event_stream import EventStream, ended_message
from app.feedback import save_feedback
from app.models import Message
from app.page_api import PNG, picture_response
from app.publicity import only_public, public_among
from app.service.handoff import customers_work
from app.service.handoff.live import live_state
from app.service.sites import visitors
from app.service.sites.access import (
    NO_ANSWER,
    ClientAddress,
    PageOrigin,
    VisitorOf,
    VisitorRoute,
    WidgetOf,
    bearer_of,
)
from app.service.sites.identity import customer_of
from app.service.sites.visitor_events import VisitorEvents, for_visitor
from app.service.sites.visitor_shapes import (
    FeedbackGiven,
    RatingGiven,
    SiteForVisitors,
    VisitorConversation,
    VisitorHandOff,
    VisitorMessage,
    VisitorSession,
)
from app.service.sites.visitors import Begun, Language, Proof, VisitorAccess
from app.service.tables import ConversationRating

router = APIRouter(prefix="/api/widget", tags=["widget"], route_class=VisitorRoute)

_Token = Annotated[str, StringConstraints(min_length=1, max_length=4000, pattern=r"^[A-Za-z0-9._-]+$")]
_Words = Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\x00]*$")]
_LanguageTag = Annotated[str, StringConstraints(max_length=35, pattern=r"^[A-Za-z0-9-]*$")]

_STREAMED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The answer; as events `message`, `token`, `citation`, `done`, `error` when the client accepts "
        "text/event-stream.",
        "content": {"text/event-stream": {}},
    }
}


class _Sent(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class NewSession(_Sent):
    """`resume` is what the last session gave; `identity` a token that the site's backend has signed."""

    site: Annotated[str, StringConstraints(min_length=1, max_length=100)] = Field(description="Id or name.")
    resume: _Token | None = None
    identity: _Token | None = None
    language: _LanguageTag | None = Field(None, description="The page's, like en or zh-CN.")


class NewVisitorConversation(_Sent):
    language: _LanguageTag | None = None


class VisitorContext(_Sent):
    """Where the visitor is."""

    product: _Words | None = None
    page: Annotated[str, StringConstraints(max_length=2000, pattern=r"^[^\x00]*$")] | None = None
    language: _LanguageTag | None = None


class NewVisitorMessage(_Sent):
    text: Text
    client_message_id: ClientId = Field(
        description="Chosen by the client; the same again gives the same answer, never a second one."
    )
    context: VisitorContext = VisitorContext()


class NewVisitorFeedback(_Sent):
    rating: Literal["up", "down"]


class NewVisitorRating(_Sent):
    stars: int = Field(ge=1, le=5)
    comment: Annotated[str, StringConstraints(strip_whitespace=True, max_length=2000, pattern=r"^[^\x00]*$")] = ""


@router.post("/sessions")
async def post_session(
    new: NewSession,
    request: Request,
    services: ServicesOf,
    widget: WidgetOf,
    origin: PageOrigin,
    address: ClientAddress,
) -> VisitorSession:
    """Begins a visitor's session, or goes on with one.

    A page that renews its token sends the one that it has as `Authorization`. Who comes back as somebody else than the
    customer of before begins anew.
    """
    widget.count_session(address)

    def begin() -> Begun:
        site = visitors.site_for(services.database, new.site, origin)
        customer = customer_of(new.identity, site.id, site.identity) if new.identity else None
        proof = Proof(new.resume, customer, bearer_of(request))
        return visitors.begin(services.database, widget.signer, site, origin, proof, _language(new.language))

    return await _session(services, await run_in_threadpool(begin), new.language)


@router.post("/conversations")
async def post_visitor_conversation(
    new: NewVisitorConversation, services: ServicesOf, widget: WidgetOf, access: VisitorOf, address: ClientAddress
) -> VisitorSession:
    """Begins another conversation, and gives a token for it; the resume token stays as it is."""
    widget.count_session(address)
    begun = await run_in_threadpool(
        visitors.begin_conversation, services.database, widget.signer, access, _language(new.language)
    )
    return await _session(services, begun, new.language)


@router.get("/conversation")
async def get_visitor_conversation(services: ServicesOf, access: VisitorOf) -> VisitorConversation:
    """The conversation that the token is for."""
    return await _conversation(services, access)


@router.post("/messages", response_model=VisitorMessage, responses=_STREAMED)
async def post_visitor_message(
    new: NewVisitorMessage,
    request: Request,
    manager: ManagerOf,
    services: ServicesOf,
    widget: WidgetOf,
    access: VisitorOf,
    address: ClientAddress,
    accept: Annotated[str, Header()] = "",
) -> Response:
    """Says something; gives the answer, from public documents only, or streams it."""
    widget.count_message(access, address)
    reader = await manager.receive(
        access.scope,
        access.conversation_id,
        text=new.text,
        client_message_id=new.client_message_id,
        request=only_public({"context": new.context.model_dump(exclude_none=True)}),
    )
    if "text/event-stream" in accept:
        return EventStream(VisitorEvents(reader, services.database, access))
    message = await ended_message(reader, request.receive)
    if message is None:
        if await request.is_disconnected():
            return Response(status_code=CLIENT_LEFT)
        raise Unavailable("The server is stopping.")
    (shown,) = await for_visitor(services.database, [message])
    if message.error is not None:
        raise AnswerFailed(NO_ANSWER, {"message": shown.model_dump(mode="json")})
    return Response(shown.model_dump_json(), media_type="application/json")


@router.get("/events", response_class=Response, responses=_STREAMED)
async def get_visitor_events(
    manager: ManagerOf,
    services: ServicesOf,
    widget: WidgetOf,
    access: VisitorOf,
    address: ClientAddress,
    last_event_id: Annotated[int | None, Header(ge=0)] = None,
    after: Annotated[int | None, Query(ge=0, description="As Last-Event-ID, for a first connection.")] = None,
) -> Response:
    """Everything that happens in the conversation, until the token expires: then renew it, and come back."""
    leave = widget.streams.enter(
        (f"visitor {access.visitor_id}", widget.settings.streams_per_visitor),
        (f"address {address}", widget.settings.streams_per_address),
    )
    try:
        since = after if last_event_id is None else last_event_id
        reader = await manager.listen(access.scope, access.conversation_id, after=since)
    except BaseException:
        leave()
        raise
    events = VisitorEvents(reader, services.database, access, greeting=b"retry: 1000\n\n", on_close=leave)
    return EventStream(events)


@router.post("/typing", status_code=204)
def post_visitor_typing(services: ServicesOf, access: VisitorOf) -> None:
    """Shows agents, for some seconds, that the visitor is writing."""
    name = str((access.customer or {}).get("name") or "")[:100]
    customers_work.types(services.database, access.scope, access.conversation_id, role="customer", name=name)


@router.post("/hand-off", status_code=204)
def post_visitor_hand_off(services: ServicesOf, widget: WidgetOf, access: VisitorOf, address: ClientAddress) -> None:
    """Asks for a person. What follows is told by a message and by `hand_off` events."""
    widget.count_message(access, address)
    customers_work.ask_for_person(services.database, access.scope, access.conversation_id)


@router.delete("/hand-off", status_code=204)
def delete_visitor_hand_off(services: ServicesOf, widget: WidgetOf, access: VisitorOf, address: ClientAddress) -> None:
    """Goes back to the assistant as long as no person has the conversation."""
    widget.count_message(access, address)
    customers_work.cancel(services.database, access.scope, access.conversation_id)


@router.post("/messages/{message_id}/feedback")
def post_visitor_feedback(
    message_id: str, feedback: NewVisitorFeedback, services: ServicesOf, access: VisitorOf
) -> FeedbackGiven:
    """Says whether an answer helped. The last feedback counts."""
    with services.database.read() as session:
        _require_here(access, access.scope.message(session, message_id), "message", message_id)
    given = save_feedback(services.database, access.scope, message_id, feedback.rating, "")
    return FeedbackGiven(message_id=given.message_id, rating=given.rating)


@router.post("/rating")
def post_visitor_rating(rating: NewVisitorRating, services: ServicesOf, access: VisitorOf) -> RatingGiven:
    """Says how the conversation was. The last rating counts."""
    given = customers_work.rate(services.database, access.scope, access.conversation_id, rating.stars, rating.comment)
    return RatingGiven(stars=given.stars, comment=given.comment)


@router.get("/citations/{citation_id}/page.png", response_class=Response, responses=PNG)
def get_visitor_page(
    citation_id: str,
    request: Request,
    services: ServicesOf,
    widget: WidgetOf,
    access: VisitorOf,
    page: Annotated[int | None, Query(ge=1, le=2**31 - 1, description="For quotes that cross a page.")] = None,
    scale: Annotated[float, Query(ge=0.5, le=3, description="Pixels a PDF point.")] = 1.5,
) -> Response:
    """The page as cited, the quote marked; 404 when its document is not public (any more)."""
    widget.count_page(access)
    with services.database.read() as session:
        citation = access.scope.citation(session, citation_id)
        _require_here(access, session.get_one(Message, citation.message_id), "citation", citation_id)
        if not public_among(session, [citation.document_id]):
            raise NotFound(f"There is no citation {citation_id!r}.", {"citation": citation_id})
        cited = cited_pages.page_of_citation(session, citation, page)
    return picture_response(services, request, cited, scale)


async def _session(services: Services, begun: Begun, language: str | None) -> VisitorSession:
    access = begun.access
    conversation = await _conversation(services, access)
    return VisitorSession(
        token=begun.token,
        expires_at=access.claims.expires_at,
        resume=begun.resume,
        visitor_id=access.visitor_id,
        conversation_id=conversation.id,
        site=SiteForVisitors.of(access.site_name, access.settings, _language(language) or "en"),
        **{
            name: getattr(conversation, name)
            for name in ("change", "handler", "agent", "hand_off", "rated", "messages")
        },
    )


async def _conversation(services: Services, access: VisitorAccess) -> VisitorConversation:
    def read() -> tuple[Any, Any, bool]:
        here = access.conversation_id
        found = message_reading.conversation_with_messages(services.database, access.scope, here)
        with services.database.read() as session:
            rated = session.get(ConversationRating, here) is not None
            return found, live_state(session, [here]).get(here), rated

    found, live, rated = await run_in_threadpool(read)
    hand_off = VisitorHandOff.of(live["hand_off"]) if live else None
    return VisitorConversation(
        id=found.id,
        change=found.change,
        handler=found.handler,
        agent=hand_off.agent if hand_off and hand_off.status == "claimed" else None,
        hand_off=hand_off,
        rated=rated,
        messages=await for_visitor(services.database, found.messages),
    )


def _require_here(access: VisitorAccess, message: Message, what: str, given_id: str) -> None:
    """A token is for one conversation, and its visitor's others are behind it as anybody's are."""
    if message.conversation_id != access.conversation_id:
        raise NotFound(f"There is no {what} {given_id!r}.", {what: given_id})


def _language(tag: str | None) -> Language | None:
    """Which of the languages that we speak; None lets the visitor's own words tell."""
    if not tag:
        return None
    return "zh" if tag.lower().split("-")[0] == "zh" else "en"
