"""Who a request of the widget is from: the dependencies of its routes, and what they say when something fails.

Owns how a token is taken from a request, and that errors tell visitors nothing of the installation.
"""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import Depends, Request, Response
from fastapi.routing import APIRoute

from app.bootstrap import ServicesOf
from app.error_responses import describe
from app.errors import AnswerFailed, ServiceError, Unauthorized, Unavailable
from app.service.sites import visitors
from app.service.sites.gate import ADDRESS, ORIGIN
from app.service.sites.visitors import VisitorAccess
from app.service.sites.widget import Widget
from rag.errors import ModelBusy, RagError

NO_ANSWER = "The answer could not be made. Please try again in a moment."


async def widget_of(request: Request) -> Widget:
    widget: Widget = request.app.state.widget
    return widget


WidgetOf = Annotated[Widget, Depends(widget_of)]


async def origin_of(request: Request) -> str:
    """The page's, which the gate has found with some site."""
    origin: str = request.scope["state"][ORIGIN]
    return origin


async def address_of(request: Request) -> str:
    """The client's real one, as limits count it."""
    address: str = request.scope["state"][ADDRESS]
    return address


PageOrigin = Annotated[str, Depends(origin_of)]
ClientAddress = Annotated[str, Depends(address_of)]


def bearer_of(request: Request) -> str | None:
    given = request.headers.getlist("authorization")
    scheme, _, token = given[0].partition(" ") if len(given) == 1 else ("", "", "")
    return token.strip() if scheme.lower() == "bearer" else None


def visitor_access(request: Request, services: ServicesOf, widget: WidgetOf, origin: PageOrigin) -> VisitorAccess:
    """Raises `Unauthorized` without a token that holds, `Forbidden` for another origin, and `RateLimited`."""
    token = bearer_of(request)
    if token is None:
        raise Unauthorized("A visitor's token is needed: begin or resume a session.")
    claims = widget.signer.read_access(token)
    widget.count_request_of(claims.visitor_id)
    return visitors.known(services.database, claims, origin)


VisitorOf = Annotated[VisitorAccess, Depends(visitor_access)]
"""A route's parameter of this type gets the visitor, or the request is refused."""


class VisitorRoute(APIRoute):
    """A route whose errors say what a visitor may do about them, and nothing of what is behind."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_for_visitors(request: Request) -> Response:
            try:
                return await handle(request)
            except (ServiceError, RagError) as error:
                raise for_visitors(error, request) from error

        return handle_for_visitors


def for_visitors(error: ServiceError | RagError, request: Request) -> ServiceError:
    """What a visitor is told. The details of what is broken go to the log."""
    if isinstance(error, ServiceError) and error.status < 500:
        return error
    if isinstance(error, AnswerFailed) and error.message == NO_ANSWER:
        return error
    status, shape = describe(error, f"{request.method} {request.url.path}")
    if isinstance(error, ModelBusy) or status < 500:
        told = ServiceError("That cannot be done at the moment. Please try again shortly.")
        told.status, told.code = status, shape.error.code
        return told
    return Unavailable("Something does not work at the moment. Please try again shortly.")
