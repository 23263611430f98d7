"""The gate of the widget's addresses: which web pages may speak to them, and how often one address may.

Owns the check of the Origin, the CORS answers, and the headers that browsers need, for `/api/widget/` and for the
widget's own files. Pure ASGI. Stands inside `app.auth.Gate`, which has seen to Host and size. Whether the token is for
this origin is `app.service.sites.access`.
"""

import time
from collections.abc import Iterable
from urllib.parse import urlsplit

from fastapi.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.bootstrap import Services
from app.client_address import counted_address
from app.error_responses import error_response
from app.errors import Forbidden, RateLimited, ServiceError
from app.service.sites.visitors import is_listed
from app.service.sites.widget import Widget

API = "/api/widget/"
FILES = "/widget/"
LOADER = "/widget.js"

ORIGIN = "origin"
"""Of the request's state: the origin of the page, which a site lists."""

ADDRESS = "address"
"""Of the request's state: the client's real address."""


class SiteGate:
    """ASGI middleware. Refusals have the API's one error shape."""

    def __init__(self, app: ASGIApp, services: Services, widget: Widget) -> None:
        self._app = app
        self._services = services
        self._widget = widget
        self._listed: dict[str, float] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(API):
            await self._checked(scope, receive, send)
        elif scope["type"] == "http" and (scope["path"] == LOADER or scope["path"].startswith(FILES)):
            await self._app(scope, receive, _with(send, _OF_FILES))
        else:
            await self._app(scope, receive, send)

    async def _checked(self, scope: Scope, receive: Receive, send: Send) -> None:
        origin = _origin(scope)
        address = counted_address(scope, self._services.settings)
        try:
            self._widget.count_request(address)
            if origin is None or not await self._is_listed(origin):
                raise Forbidden("This page may not show the widget: an admin has to list its origin with a site.")
        except RateLimited as error:  # the page may read that it is to wait, whoever it is
            await error_response(scope, error)(scope, receive, _with(send, _cors(origin) if origin else _OF_API))
            return
        except ServiceError as error:
            await error_response(scope, error)(scope, receive, _with(send, _OF_API))
            return
        if scope["method"] == "OPTIONS":
            await Response(status_code=204, headers=_PREFLIGHT)(scope, receive, _with(send, _cors(origin)))
            return
        scope.setdefault("state", {}).update({ORIGIN: origin, ADDRESS: address})
        await self._app(scope, receive, _with(send, _cors(origin)))

    async def _is_listed(self, origin: str) -> bool:
        """As of a moment ago, for those that are; whether the token's own site lists it is looked up each time."""
        moment = time.monotonic()
        if self._listed.get(origin, 0.0) > moment:
            return True
        if not await run_in_threadpool(is_listed, self._services.database, origin):
            return False
        if len(self._listed) >= _MOST_LISTED:
            self._listed.clear()
        self._listed[origin] = moment + _STAYS_LISTED_S
        return True


_STAYS_LISTED_S = 1.0
_MOST_LISTED = 1000
_OF_API = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "vary": "Origin",
}
_OF_FILES = {  # anybody may load the widget; what it may do is decided by the origin that its requests bear
    "x-content-type-options": "nosniff",
    "access-control-allow-origin": "*",
    "cross-origin-resource-policy": "cross-origin",
}
_PREFLIGHT = {
    "access-control-allow-methods": "GET, POST, DELETE",
    "access-control-allow-headers": "Authorization, Content-Type, Last-Event-ID",
    "access-control-max-age": "600",
}


def _cors(origin: str) -> dict[str, str]:
    return {**_OF_API, "access-control-allow-origin": origin, "access-control-expose-headers": "Retry-After, ETag"}


def _origin(scope: Scope) -> str | None:
    """The page's origin; None when the request tells none, or several.

    With a GET to its own origin (a site that passes the API on under its own name) a browser sends no Origin; there the
    Referer stands for it.
    """
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    origins = _values(headers, b"origin")
    if not origins and scope["method"] == "GET" and _values(headers, b"sec-fetch-site") == ["same-origin"]:
        pages = [urlsplit(each) for each in _values(headers, b"referer")]
        origins = [f"{page.scheme}://{page.netloc}" for page in pages]
    return origins[0] if len(origins) == 1 and origins[0].isascii() else None


def _values(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in headers if key == name]


def _with(send: Send, more: dict[str, str]) -> Send:
    async def send_with(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in more.items():
                headers[name] = value
        await send(message)

    return send_with
