"""The gate in front of every route: who may talk to the API, from where, and how much at once.

Owns the checks of Host (against DNS rebinding), Origin (against web pages elsewhere), admin key and request
size, and the CORS answers for origins that are allowed in settings. Pure ASGI, so that streams pass untouched.
Does not know what the routes do; whose rows a caller sees is `app.scope`.
"""

import re
from collections.abc import Iterable
from functools import partial
from ipaddress import ip_address
from urllib.parse import urlsplit

from fastapi.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.accounts.identity import Identities
from app.client_address import is_of_this_machine
from app.error_responses import BodyTooLarge, error_response
from app.errors import BadRequest, Forbidden, ServiceError, Unauthorized
from app.scope import Scope as CallerScope
from app.settings import Settings

MAX_JSON_BYTES = 8 * 1024 * 1024
"""The largest body of a request that is not an upload."""

MAX_WIDGET_BYTES = 64 * 1024
"""The largest body of a request of the widget."""

CALLER = "caller"
"""Of the request's state: the scope of whoever sent it, None for nobody on an open path."""

_HEALTH = "/health"
_OPEN_PATHS = frozenset({_HEALTH, "/api/auth/sign-in", "/api/auth/me"})
_HOST = re.compile(r"(?P<name>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?")
_WILDCARDS = frozenset({"0.0.0.0", "::"})


class Gate:
    """ASGI middleware. Refusals have the API's one error shape."""

    def __init__(self, app: ASGIApp, settings: Settings, identities: Identities) -> None:
        server = settings.server
        self._app = app
        self._identities = identities
        public = urlsplit(server.public_url).hostname or server.host
        self._hosts = {name.lower().strip("[]") for name in (server.host, public, *server.allowed_hosts)}
        self._listens_everywhere = server.host in _WILDCARDS
        self._allowed_origins = {origin.lower().rstrip("/") for origin in server.allowed_origins}
        self._own_pages = {f"http://{name}:{settings.ui.port}" for name in ("localhost", "127.0.0.1", settings.ui.host)}
        self._own_pages |= {address.lower() for address in (settings.ui.public_url, server.public_url) if address}
        self._max_upload = server.max_request_mb * 1024 * 1024

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})  # there are none
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        try:
            host = self._checked_host(_values(headers, b"host"))
            _require_text(scope)
            if is_widgets(scope["path"]):  # whose pages may speak to it, and who they are, `service.sites` sees to
                await self._app(scope, self._limited(headers, receive, MAX_WIDGET_BYTES), send)
                return
            origin = self._checked_origin(scope, headers, host)
            if origin is not None and scope["method"] == "OPTIONS":
                await _preflight()(scope, receive, _with_cors(send, origin))
                return
            caller = await self._caller(scope["path"], headers, is_of_this_machine(scope))
            scope.setdefault("state", {})[CALLER] = caller
            limited = self._limited(headers, receive)
        except ServiceError as error:
            await error_response(scope, error)(scope, receive, send)
            return
        await self._app(scope, limited, send if origin is None else _with_cors(send, origin))

    def _checked_host(self, given: list[str]) -> str:
        """The Host header, in lower case. A rebound DNS name reaches us under a name that is not ours."""
        matched = _HOST.fullmatch(given[0]) if len(given) == 1 else None
        if matched is None:
            raise BadRequest("The request needs exactly one valid Host header.")
        name = matched["name"].lower().strip("[]")
        if name in self._hosts or name == "localhost" or self._is_own_number(name):
            return given[0].lower()
        raise Forbidden(
            f"The API does not answer under the name {name!r}. If it should, add it to "
            "ANSWERDESK_SERVER__ALLOWED_HOSTS.",
            {"host": name},
        )

    def _is_own_number(self, name: str) -> bool:
        """A number cannot be rebound, so any is fine when we listen on all; else those of loopback."""
        try:
            number = ip_address(name)
        except ValueError:
            return False
        return self._listens_everywhere or number.is_loopback

    def _checked_origin(self, scope: Scope, headers: list[tuple[bytes, bytes]], host: str) -> str | None:
        """The origin when it is an allowed one or our own interface (it gets CORS headers), None for our own address
        and for no browser.

        Browsers send no Origin with images and the like; there the Referer stands for it.
        """
        origins = _values(headers, b"origin")
        if not origins and _values(headers, b"sec-fetch-site") == ["cross-site"]:
            if _values(headers, b"sec-fetch-mode") == ["navigate"] and scope["method"] == "GET":
                return None  # a link somebody followed
            origins = [_origin_of(referer) for referer in _values(headers, b"referer")] or ["null"]
        if not origins:
            return None
        origin = origins[0].lower()
        if len(origins) == 1 and origin in (f"http://{host}", f"https://{host}"):
            return None
        if len(origins) == 1 and (origin in self._allowed_origins or origin in self._own_pages):
            return origins[0]
        raise Forbidden(
            f"Web pages of {origin!r} may not use the API. If they should, add the origin to "
            "ANSWERDESK_SERVER__ALLOWED_ORIGINS.",
            {"origin": origin},
        )

    async def _caller(self, path: str, headers: list[tuple[bytes, bytes]], is_local: bool) -> CallerScope | None:
        """Whose request it is; None for nobody, where that is enough. Raises `Unauthorized` where it is not."""
        if path == _HEALTH:
            return None  # it answers without the database
        given = _values(headers, b"authorization")
        scheme, _, token = given[0].partition(" ") if len(given) == 1 else ("", "", "")
        borne = token.strip() if scheme.lower() == "bearer" else None
        try:
            return await run_in_threadpool(partial(self._identities.scope, borne, is_local=is_local))
        except Unauthorized:
            if path in _OPEN_PATHS:
                return None
            raise

    def _limited(self, headers: list[tuple[bytes, bytes]], receive: Receive, most: int | None = None) -> Receive:
        """`receive` that raises once more than the limit has come in. Raises at once when more is announced."""
        is_upload = any(value.lower().startswith("multipart/form-data") for value in _values(headers, b"content-type"))
        is_upload &= most is None  # the widget uploads nothing
        limit = self._max_upload if is_upload else most or MAX_JSON_BYTES
        too_large = f"The request is larger than {limit // 1024:,} KiB" + (
            " (ANSWERDESK_SERVER__MAX_REQUEST_MB)." if is_upload else "."
        )
        announced = _values(headers, b"content-length")
        if announced and announced[0].isdecimal() and int(announced[0]) > limit:
            raise BodyTooLarge(too_large, limit)
        received = 0

        async def receive_limited() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise BodyTooLarge(too_large, limit)
            return message

        return receive_limited


def is_widgets(path: str) -> bool:
    """Whether an address is the widget's: its files, and what it calls."""
    return path == "/widget.js" or path.startswith(("/widget/", "/api/widget/"))


def _values(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in headers if key == name]


def _origin_of(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}"


def _require_text(scope: Scope) -> None:
    """No id, name or query holds a NUL, and PostgreSQL takes none."""
    if "\x00" in scope["path"] or b"%00" in scope["query_string"]:
        raise BadRequest("The address holds a NUL character.")


def _preflight() -> Response:
    return Response(
        status_code=204,
        headers={
            "access-control-allow-methods": "GET, POST, PUT, PATCH, DELETE",
            "access-control-allow-headers": "Authorization, Content-Type, Last-Event-ID",
            "access-control-max-age": "600",
        },
    )


def _with_cors(send: Send, origin: str) -> Send:
    async def send_with_cors(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["access-control-allow-origin"] = origin
            headers.add_vary_header("Origin")
        await send(message)

    return send_with_cors
