"""Server-sent events over ASGI: a response that notices at once when its reader leaves.

Owns the streaming response, its heartbeat, its end when the reader's access ends, and waiting for an answer as long as
the client is there. Holds no thread and no database session. Knows nothing of what the events mean, nor who reads them.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Protocol

from fastapi.concurrency import run_in_threadpool
from starlette.background import BackgroundTask
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.events import Event, Subscription
from app.shapes import MessageShape

HEARTBEAT_S = 15.0
"""How often an idle stream sends a comment, so that proxies keep it open."""

LOOKS_AGAIN_S = 10.0
"""How often an open stream makes sure that its reader may still have it."""

_HEADERS = {
    "cache-control": "no-store",
    "x-accel-buffering": "no",  # nginx would keep events back
}


class Source(Protocol):
    """Where the bytes come from. `__anext__` may be cancelled and called again; `close` ends the iteration."""

    async def __anext__(self) -> bytes: ...

    def close(self) -> None: ...


class Encoded:
    """The events of a subscription as bytes. `told` says what this reader gets of an event; None is nothing."""

    def __init__(
        self,
        reader: Subscription,
        greeting: bytes = b"",
        told: Callable[[Event], Awaitable[Event | None]] | None = None,
    ) -> None:
        self._reader = reader
        self._greeting = greeting
        self._told = told
        self._event: Event | None = None  # taken, and not handed out yet: the call may be cancelled in between

    async def __anext__(self) -> bytes:
        if self._greeting:
            greeting, self._greeting = self._greeting, b""
            return greeting
        while True:
            event = self._event
            if event is None:
                event = self._event = await anext(self._reader)
            told = event if self._told is None else await self._told(event)
            self._event = None
            if told is not None:
                return told.encoded()

    def close(self) -> None:
        self._reader.close()


class WhileHolding:
    """A source that ends when `still_holds`, asked in a thread now and then, says that its reader may have no more."""

    def __init__(self, source: Source, still_holds: Callable[[], bool]) -> None:
        self._source = source
        self._still_holds = still_holds
        self._held_at = time.monotonic()

    async def __anext__(self) -> bytes:
        while True:
            left = self._held_at + LOOKS_AGAIN_S - time.monotonic()
            if left <= 0:
                if not await run_in_threadpool(self._still_holds):
                    self.close()
                    raise StopAsyncIteration
                self._held_at = time.monotonic()
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    return await self._source.__anext__()

    def close(self) -> None:
        self._source.close()


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
