"""Server-sent events over ASGI: a response that notices at once when its reader leaves.

Owns the streaming response, its heartbeat, and waiting for an answer as long as the client is there. Holds no
thread and no database session. Knows nothing of what the events mean.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Protocol

from starlette.background import BackgroundTask
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.events import Subscription
from app.shapes import MessageShape

HEARTBEAT_S = 15.0
"""How often an idle stream sends a comment, so that proxies keep it open."""

_HEADERS = {
    "cache-control": "no-store",
    "x-accel-buffering": "no",  # nginx would keep events back
}


class Source(Protocol):
    """Where the bytes come from. `__anext__` may be cancelled and called again; `close` ends the iteration."""

    async def __anext__(self) -> bytes: ...

    def close(self) -> None: ...


class Encoded:
    """The events of a subscription as bytes."""

    def __init__(self, reader: Subscription, greeting: bytes = b"") -> None:
        self._reader = reader
        self._greeting = greeting

    async def __anext__(self) -> bytes:
        if self._greeting:
            greeting, self._greeting = self._greeting, b""
            return greeting
        return (await anext(self._reader)).encoded()

    def close(self) -> None:
        self._reader.close()


class EventStream(Response):
    """Sends what `source` gives until it ends or the client leaves; then closes it."""

    media_type = "text/event-stream"

    def __init__(self, source: Source, background: BackgroundTask | None = None) -> None:
        super().__init__(headers=_HEADERS, background=background)
        del self.headers["content-length"]
        self._source = source

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            with watching(receive, self._source):
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                async for chunk in self._chunks():
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self._source.close()

    async def _chunks(self) -> AsyncIterator[bytes]:
        while True:
            try:
                async with asyncio.timeout(HEARTBEAT_S):
                    chunk = await self._source.__anext__()
            except TimeoutError:
                chunk = b": still here\n\n"
            except StopAsyncIteration:
                return
            yield chunk


async def ended_message(reader: Subscription, receive: Receive) -> MessageShape | None:
    """The answer when it has ended; None when the client left, the process stops or the conversation is gone."""
    with reader, watching(receive, reader):
        async for event in reader:
            if event.name == "done" and isinstance(event.shape, MessageShape):
                return event.shape
    return None


class _Closable(Protocol):
    def close(self) -> None: ...


@contextlib.contextmanager
def watching(receive: Receive, closable: _Closable) -> Iterator[None]:
    """Closes `closable` as soon as the client disconnects."""

    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        closable.close()

    watcher = asyncio.create_task(watch())
    try:
        yield
    finally:
        watcher.cancel()
