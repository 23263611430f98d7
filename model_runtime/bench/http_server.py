"""The smallest HTTP/1.1 server that a measurement needs: asyncio streams, keep-alive, chunked answers.

Owns reading requests and writing answers for the servers of `runtime bench` (the null server and the relay), which
must cost as little as can be. It is for our own programs on loopback: it takes bodies with a Content-Length only.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

LARGEST_BODY = 16 * 1024 * 1024

_REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 502: "Bad Gateway"}


@dataclass(frozen=True, slots=True)
class Request:
    """Header names are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> dict[str, Any]:
        value = json.loads(self.body or b"{}")
        if not isinstance(value, dict):
            raise ValueError("the body is not a JSON object")
        return value


class Reply:
    """Writes one answer; `has_begun` once a part of it is sent. Raises `ConnectionError` when the client has left."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self.has_begun = False

    async def whole(self, content: bytes, *, status: int = 200, media_type: str = "application/json") -> None:
        reason = _REASONS.get(status, "Status")
        head = f"HTTP/1.1 {status} {reason}\r\ncontent-type: {media_type}\r\ncontent-length: {len(content)}\r\n\r\n"
        await self._send(head.encode() + content)

    async def json(self, value: object, *, status: int = 200) -> None:
        await self.whole(json.dumps(value).encode(), status=status)

    async def begin(self, media_type: str = "text/event-stream") -> None:
        head = f"HTTP/1.1 200 OK\r\ncontent-type: {media_type}\r\ntransfer-encoding: chunked\r\n\r\n"
        await self._send(head.encode())

    async def send(self, content: bytes) -> None:
        """One chunk."""
        await self._send(b"%x\r\n%b\r\n" % (len(content), content))

    async def end(self) -> None:
        await self._send(b"0\r\n\r\n")

    def cut(self) -> None:
        """Breaks the connection off in the middle of the answer."""
        self._writer.transport.abort()

    async def _send(self, content: bytes) -> None:
        if self._writer.is_closing():
            raise ConnectionResetError("the client has left")
        self.has_begun = True
        self._writer.write(content)
        await self._writer.drain()


Handler = Callable[[Request, Reply], Awaitable[None]]


async def listen(handler: Handler, host: str = "127.0.0.1", port: int = 0) -> tuple[asyncio.Server, int]:
    """A server for `handler` and the port it listens on; 0 takes a free one."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                while (request := await _read(reader)) is not None:
                    await handler(request, Reply(writer))
        except Exception:
            writer.close()  # a mistake of the handler's is the loop's to report, but nobody is to wait for its answer
            raise
        writer.close()

    server = await asyncio.start_server(serve, host, port)
    return server, server.sockets[0].getsockname()[1]


async def _read(reader: asyncio.StreamReader) -> Request | None:
    """The next request of a connection; None at its end, or when what comes is not a request that we take."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        method, path, _ = first.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
        length = int(headers.get("content-length", "0"))
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
        return None
    if not 0 <= length <= LARGEST_BODY:
        return None
    return Request(method, path, headers, await reader.readexactly(length))
