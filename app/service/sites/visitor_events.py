"""Events of a conversation as its visitor gets them: translated one by one, and ended when the token holds no longer.

Owns what becomes of each event; `retrieval`, and whatever there may be one day, is not for visitors. The bus is
`app.events`, the shapes are `visitor_shapes`.
"""

import time
from collections.abc import Callable, Collection, Sequence

from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel

from app.db import Database
from app.errors import Forbidden, Unauthorized
from app.events import Event, Subscription
from app.models import now
from app.publicity import public_among
from app.service.sites import visitors
from app.service.sites.access import NO_ANSWER
from app.service.sites.visitor_shapes import (
    VisitorCitation,
    VisitorCitationEvent,
    VisitorHandOff,
    VisitorMessage,
    VisitorTokenEvent,
    VisitorTypingEvent,
    cited_documents,
)
from app.service.sites.visitors import VisitorAccess
from app.shapes import CitationEvent, ErrorShape, HandOffEvent, MessageShape, TokenEvent, TypingEvent

LOOKS_AGAIN_S = 10.0
"""How often an open stream makes sure that its visitor still has access."""

STAYS_PUBLIC_S = 1.0
"""How long a stream goes by what it has looked up of a document: the events of an answer come all at once."""

_MOST_AT_ONCE = 64 * 1024  # bytes


class VisitorEvents:
    """The source of an event stream (`app.event_stream.Source`). `on_close` is called once."""

    def __init__(
        self,
        reader: Subscription,
        database: Database,
        access: VisitorAccess,
        *,
        greeting: bytes = b"",
        on_close: Callable[[], None] = lambda: None,
    ) -> None:
        self._reader = reader
        self._database = database
        self._access = access
        self._greeting = greeting
        self._on_close = on_close
        self._is_open = True
        self._held_at = time.monotonic()
        # Taken, and not handed out yet, for the call may be cancelled in between.
        self._event: Event | None = None
        self._chunk = b""
        self._cited: set[str] = set()
        self._looked_up_at = -STAYS_PUBLIC_S
        self._looked_up: set[str] = set()
        self._public: set[str] = set()

    async def __anext__(self) -> bytes:
        if self._greeting:
            greeting, self._greeting = self._greeting, b""
            return greeting
        while True:
            if not await self._still_holds():
                raise StopAsyncIteration
            event = self._event
            if event is None:
                event = self._event = await anext(self._reader)
            told = await self._told(event)
            self._event = None
            if told is not None:
                self._chunk += encoded(event.name, event.change, told)
            is_last = not self._reader.has_more or len(self._chunk) > _MOST_AT_ONCE
            if self._chunk and is_last:
                chunk, self._chunk = self._chunk, b""
                return chunk

    def close(self) -> None:
        if self._is_open:
            self._is_open = False
            self._reader.close()
            self._on_close()

    async def _still_holds(self) -> bool:
        """Whether the token has not expired and, looked up now and then, the session not ended."""
        claims = self._access.claims
        if now() >= claims.expires_at:
            return False
        if time.monotonic() - self._held_at < LOOKS_AGAIN_S:
            return True
        try:
            await run_in_threadpool(visitors.known, self._database, claims, claims.origin)
        except (Unauthorized, Forbidden):
            return False
        self._held_at = time.monotonic()
        return True

    async def _told(self, event: Event) -> BaseModel | None:
        match event.shape:
            case MessageShape() as message:
                return VisitorMessage.of(message, await self._public_among(cited_documents([message])))
            case TokenEvent(message_id=message_id, text=text):
                return VisitorTokenEvent(message_id=message_id, text=text)
            case CitationEvent(message_id=message_id, citation=citation):
                if citation.id in self._cited or not await self._public_among({citation.document_id}):
                    return None  # it comes a second time with its places on the page, which visitors are not told
                self._cited.add(citation.id)
                return VisitorCitationEvent(message_id=message_id, citation=VisitorCitation.of(citation))
            case TypingEvent(role="agent" as role, name=name, until=until):
                return VisitorTypingEvent(role=role, name=name, until=until)
            case HandOffEvent(status=status, agent=agent, position=position):
                return VisitorHandOff(status=status, agent=agent, position=position)
            case ErrorShape():
                return ErrorShape.of("answer_failed", NO_ANSWER)
            case _:
                return None

    async def _public_among(self, document_ids: Collection[str]) -> set[str]:
        """Which of these documents are public, as of a moment ago."""
        asked = set(document_ids)
        if time.monotonic() - self._looked_up_at >= STAYS_PUBLIC_S:
            self._looked_up, self._public = set(), set()
            self._looked_up_at = time.monotonic()
        if new := asked - self._looked_up:
            self._public |= await _public(self._database, new)
            self._looked_up |= new
        return asked & self._public


async def for_visitor(database: Database, messages: Sequence[MessageShape]) -> list[VisitorMessage]:
    """Messages as visitors see them now."""
    public = await _public(database, cited_documents(messages))
    return [VisitorMessage.of(message, public) for message in messages]


def encoded(name: str, change: int | None, shape: BaseModel) -> bytes:
    """As server-sent events are written (WHATWG HTML, section 9.2)."""
    number = "" if change is None else f"id: {change}\n"
    return f"event: {name}\n{number}data: {shape.model_dump_json()}\n\n".encode()


async def _public(database: Database, document_ids: Collection[str]) -> set[str]:
    return await run_in_threadpool(_looked_up, database, document_ids) if document_ids else set()


def _looked_up(database: Database, document_ids: Collection[str]) -> set[str]:
    with database.read() as session:
        return public_among(session, document_ids)
