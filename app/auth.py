"""The gate in front of every route: who may talk to the API, from where, and how much at once.

Owns the checks of Host (against DNS rebinding), Origin (against web pages elsewhere), admin key and request
size, and the CORS answers for origins that are allowed in settings. Pure ASGI, so that streams pass untouched.
Does not know what the routes do; whose rows a caller sees is `app.scope`.
"""

import re
from collections.abc import Iterable
from hmac import compare_digest
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.error_responses import BodyTooLarge, error_response
from app.errors import BadRequest, Forbidden, ServiceError, Unauthorized
from app.settings import Settings

MAX_JSON_BYTES = 8 * 1024 * 1024
"""The largest body of a request that is not an upload."""

_OPEN_PATHS = frozenset({"/health"})
_HOST = re.compile(r"(?P<name>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?")
_WILDCARDS = frozenset({"0.0.0.0", "::"})


class Gate:
    """ASGI middleware. Refusals have the API's one error shape."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        server = settings.server
        self._app = app
        self._key = None if server.admin_key is None else server.admin_key.get_secret_value().encode()
        self._hosts = {name.lower().strip("[]") for name in (server.host, *server.allowed_hosts)}
        self._listens_everywhere = server.host in _WILDCARDS
        self._allowed_origins = {origin.lower().rstrip("/") for origin in server.allowed_origins}
        self._own_pages = {f"http://{name}:{settings.ui.port}" for name in ("localhost", "127.0.0.1", settings.ui.host)}
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
            origin = self._checked_origin(scope, headers, host)
            _require_text(scope)
            if origin is not None and scope["method"] == "OPTIONS":
                await _preflight()(scope, receive, _with_cors(send, origin))
                return
            self._check_key(scope["path"], headers)
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
        """The origin when it is an allowed one (it gets CORS headers), None for our own pages and for no browser.

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
        if len(origins) == 1 and origin in self._allowed_origins:
            return origins[0]
        if len(origins) == 1 and (origin in (f"http://{host}", f"https://{host}") or origin in self._own_pages):
            return None
        raise Forbidden(
            f"Web pages of {origin!r} may not use the API. If they should, add the origin to "
            "ANSWERDESK_SERVER__ALLOWED_ORIGINS.",
            {"origin": origin},
        )

    def _check_key(self, path: str, headers: list[tuple[bytes, bytes]]) -> None:
        if self._key is None or path in _OPEN_PATHS:
            return
        given = _values(headers, b"authorization")
        scheme, _, key = given[0].partition(" ") if len(given) == 1 else ("", "", "")
        if scheme.lower() != "bearer" or not compare_digest(key.strip().encode(), self._key):
            raise Unauthorized("The API needs its admin key: send the header 'Authorization: Bearer KEY'.")

    def _limited(self, headers: list[tuple[bytes, bytes]], receive: Receive) -> Receive:
        """`receive` that raises once more than the limit has come in. Raises at once when more is announced."""
        is_upload = any(value.lower().startswith("multipart/form-data") for value in _values(headers, b"content-type"))
        limit = self._max_upload if is_upload else MAX_JSON_BYTES
        too_large = f"The request is larger than {limit // 1024 // 1024} MiB" + (
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
            "access-control-allow-methods": "GET, POST, PATCH, DELETE",
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
