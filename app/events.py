"""Everything that happens in conversations, handed to whoever listens.

Owns subscriptions, the order of events, and the drafts of answers that this process is making, so that a late
reader gets the text so far. Token by token an answer exists only here. What is committed has a change number
and can be read again from SQL, so events have no table: a subscription that misses a number fetches what it
missed, whether another process made it or it was simply not listening. Who is typing, and how far a hand-off is, has no
number: it is looked up for all conversations with listeners at once. Knows nothing of how answers are made.

The bus lives on the event loop; only `EventBus.post` may be called from other threads.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Self

from pydantic import BaseModel
from sqlalchemy.exc import SQLAlchemyError

from app import message_reading, messages
from app.db import Database
from app.errors import NotFound
from app.scope import Scope
from app.service.handoff.live import LiveState, live_state
from app.shapes import (
    CitationEvent,
    CitationShape,
    ErrorShape,
    HandOffEvent,
    HitShape,
    MessageShape,
    RetrievalEvent,
    TokenEvent,
    TypingEvent,
)
from rag import types as rag

_LOG = logging.getLogger(__name__)

POLL_S = 0.4
"""How often watched conversations are looked at for other processes' changes."""

PRESENCE_S = 1.5
"""For how long the processes that answer believe that a listener elsewhere is still there."""

_NOTHING = LiveState(typing=[], hand_off=None)

MAX_WAITING = 5_000
"""Events a reader may leave unread before its stream is ended; it resumes with `Last-Event-ID`."""


@dataclass(slots=True)
class Event:
    """One event. `change` is its number when it stands for something committed."""

    name: str
    message_id: str
    shape: BaseModel
    change: int | None = None
    _encoded: bytes | None = None

    def encoded(self) -> bytes:
        """As server-sent events are written (WHATWG HTML, section 9.2); made once for all readers."""
        if self._encoded is None:
            number = "" if self.change is None else f"id: {self.change}\n"
            self._encoded = f"event: {self.name}\n{number}data: {self.shape.model_dump_json()}\n\n".encode()
        return self._encoded


@dataclass(slots=True)
class Draft:
    """An answer that this process is making. `unheard_since` is the loop time since which nobody listens here."""

    message: MessageShape
    unheard_since: float | None
    text: str = ""
    retrieval: RetrievalEvent | None = None
    citations: list[rag.Citation] = field(default_factory=list)
    citation_ids: dict[int, str] = field(default_factory=dict)

    def so_far(self) -> MessageShape:
        shapes = [
            CitationShape.of(messages.citation_row(each, self.citation_ids[each.marker])) for each in self.citations
        ]
        return self.message.model_copy(update={"text": self.text, "citations": shapes})


class Subscription:
    """A reader of one conversation, or with `message_id` of one answer. Iterate over it; close it when done.

    `seen` is the change number up to which the reader knows everything. A subscription ends by itself when its
    message is done, the conversation is deleted, the process stops, or the reader is too slow.
    """

    def __init__(self, bus: "EventBus", scope: Scope, conversation_id: str, message_id: str | None, seen: int) -> None:
        self.scope = scope
        self.conversation_id = conversation_id
        self.message_id = message_id
        self.seen = seen
        self.newest = seen
        self.told: LiveState | None = None
        self.is_open = True
        self.is_filling = False
        self._bus = bus
        self._waiting: deque[Event] = deque()
        self._something = asyncio.Event()

    def push(self, event: Event) -> None:
        if not self.is_open or (self.message_id is not None and event.message_id != self.message_id):
            return
        self._waiting.append(event)
        self._something.set()
        if (event.name == "done" and self.message_id is not None) or len(self._waiting) > MAX_WAITING:
            self.close()

    def tell_state(self, state: LiveState) -> None:
        """Hands out what is new of who is typing, and of the hand-off."""
        told, self.told = self.told or _NOTHING, state
        before = {each["role"]: each for each in told["typing"]}
        writing = {each["role"]: each for each in state["typing"]}
        for role in before.keys() | writing.keys():
            if role not in writing:
                stopped = TypingEvent(role=role, name=before[role]["name"], until=None)
                self.push(Event("typing", "", stopped))
            elif before.get(role) != writing[role]:
                self.push(Event("typing", "", TypingEvent.model_validate(writing[role])))
        if state["hand_off"] is not None and state["hand_off"] != told["hand_off"]:
            self.push(Event("hand_off", "", HandOffEvent.model_validate(state["hand_off"])))

    def close(self) -> None:
        """Nothing more comes in; what waits can still be read."""
        self.is_open = False
        self._something.set()
        self._bus.leave(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        while not self._waiting:
            if not self.is_open:
                raise StopAsyncIteration
            self._something.clear()
            await self._something.wait()
        return self._waiting.popleft()

    @property
    def has_more(self) -> bool:
        """Whether the next event is there already."""
        return bool(self._waiting)


class EventBus:
    """All subscriptions and drafts of this process. `own_leases` begins the leases of the answers it makes."""

    def __init__(self, database: Database, storage: Executor, own_leases: str) -> None:
        self.drafts: dict[str, Draft] = {}
        self._database = database
        self._storage = storage
        self._own_leases = own_leases
        self._readers: dict[str, set[Subscription]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._keep(asyncio.create_task(self._watch()))

    def close(self) -> None:
        """Ends every stream, so that the server can stop."""
        for task in list(self._tasks):
            task.cancel()
        for reader in [each for readers in self._readers.values() for each in readers]:
            reader.close()

    def join(self, scope: Scope, conversation_id: str, *, message_id: str | None, seen: int | None) -> Subscription:
        """Listens from now on. `seen` is the change number that the reader knows; SQL is asked only if one is missing.

        With `seen` None nothing is handed out before `bring_up_to_date`.
        """
        reader = Subscription(self, scope, conversation_id, message_id, -1 if seen is None else seen)
        reader.is_filling = seen is None
        self._readers.setdefault(conversation_id, set()).add(reader)
        for draft in self._drafts_in(conversation_id):
            draft.unheard_since = None
        return reader

    async def bring_up_to_date(self, reader: Subscription, after: int | None) -> None:
        """Hands out what changed after `after` (None: only answers in progress), or all of the reader's message.

        Raises `NotFound` when there is no such conversation.
        """
        await self._fill_once(reader, after)
        reader.is_filling = False
        self._fill(reader, reader.newest)

    def end_with(self, reader: Subscription, message: MessageShape) -> Subscription:
        """Ends a reader of one message with that message, to which nobody is making an answer."""
        reader.push(Event("done", message.id, message))
        return reader

    def has_readers(self, conversation_id: str) -> bool:
        return conversation_id in self._readers

    def leave(self, reader: Subscription) -> None:
        readers = self._readers.get(reader.conversation_id, set())
        if reader not in readers:
            return
        readers.discard(reader)
        if not readers:
            del self._readers[reader.conversation_id]
            for draft in self._drafts_in(reader.conversation_id):
                draft.unheard_since = asyncio.get_running_loop().time()

    def begin(self, message: MessageShape) -> Draft:
        """A new draft, unheard from this moment if nobody listens."""
        heard = message.conversation_id in self._readers
        draft = Draft(message, None if heard else asyncio.get_running_loop().time())
        self.drafts[message.id] = draft
        return draft

    def post(self, deliver: Callable[[], None]) -> None:
        """Runs `deliver` on the event loop, in order; for other threads."""
        assert self._loop is not None, "the bus has not been started"
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
            self._loop.call_soon_threadsafe(deliver)

    def advance(self, draft: Draft, event: rag.Retrieved | rag.Token | rag.Cited, citation_id: str) -> None:
        """Adds to a draft and tells its readers. `citation_id` is for a new citation."""
        message = draft.message
        match event:
            case rag.Retrieved():
                hits = [HitShape.of(hit) for hit in event.hits] if message.conversation_id in self._readers else []
                draft.retrieval = RetrievalEvent(message_id=message.id, searched_for=event.searched_for, hits=hits)
                self.tell(message, "retrieval", draft.retrieval)
            case rag.Token():
                draft.text += event.text
                self.tell(message, "token", TokenEvent(message_id=message.id, text=event.text))
            case rag.Cited():
                draft.citations.append(event.citation)
                draft.citation_ids[event.citation.marker] = citation_id
                self.cite(message, CitationShape.of(messages.citation_row(event.citation, citation_id)))

    def cite(self, message: MessageShape, citation: CitationShape) -> None:
        self.tell(message, "citation", CitationEvent(message_id=message.id, citation=citation))

    def report_error(self, message: MessageShape, error: ErrorShape) -> None:
        self.tell(message, "error", error)

    def tell(self, message: MessageShape, name: str, shape: BaseModel) -> None:
        """Hands out something that is not committed. Readers who are being filled get it from the draft."""
        event = Event(name, message.id, shape)
        for reader in list(self._readers.get(message.conversation_id, ())):
            if not reader.is_filling:
                reader.push(event)

    def publish(self, change: int, message: MessageShape) -> None:
        """Hands out a committed message."""
        self._hand_out(message.conversation_id, change, _message_event(change, message))

    def note(self, conversation_id: str, change: int) -> None:
        """Counts a commit whose content readers here have got already, token by token."""
        self._hand_out(conversation_id, change, None)

    def _hand_out(self, conversation_id: str, change: int, event: Event | None) -> None:
        for reader in list(self._readers.get(conversation_id, ())):
            if reader.is_filling or change != reader.seen + 1:
                self._fill(reader, change)
                continue
            reader.seen = change
            if event is not None:
                reader.push(event)

    def _fill(self, reader: Subscription, change: int) -> None:
        """Sees to it that the reader gets to know everything up to `change`, from SQL."""
        reader.newest = max(reader.newest, change)
        if reader.is_open and not reader.is_filling and reader.newest > reader.seen:
            reader.is_filling = True
            self._keep(asyncio.create_task(self._fill_all(reader)))

    async def _fill_all(self, reader: Subscription) -> None:
        try:
            while reader.is_open and reader.newest > reader.seen:
                await self._fill_once(reader, reader.seen)
        except (NotFound, SQLAlchemyError):
            _LOG.exception("A reader of conversation %s cannot be brought up to date.", reader.conversation_id)
            reader.close()  # it will come back with its Last-Event-ID
        finally:
            reader.is_filling = False

    async def _fill_once(self, reader: Subscription, after: int | None) -> None:
        found = await asyncio.get_running_loop().run_in_executor(
            self._storage,
            lambda: message_reading.missed(
                self._database, reader.scope, reader.conversation_id, after, reader.message_id
            ),
        )
        for change, message in found.messages:
            for event in self._as_events(change, message):
                reader.push(event)
        reader.seen = found.change

    def _as_events(self, change: int, message: MessageShape) -> list[Event]:
        """A message from SQL; of an answer in progress here, the draft, which is ahead of SQL."""
        draft = self.drafts.get(message.id)
        if draft is None or message.status != "answering":
            return [_message_event(change, message)]
        events = [_message_event(change, draft.so_far())]
        if draft.retrieval is not None:
            events.append(Event("retrieval", message.id, draft.retrieval))
        return events

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(POLL_S)
            if self._readers:
                try:
                    await self._look()
                except SQLAlchemyError:
                    _LOG.exception("Cannot look for changes in conversations; trying again.")

    async def _look(self) -> None:
        """Notices what other processes committed, and tells those that answer that somebody listens here."""
        watched = list(self._readers)
        found, states = await asyncio.get_running_loop().run_in_executor(
            self._storage,
            lambda: (
                message_reading.look(self._database, watched, self._own_leases, PRESENCE_S),
                self._live_states(watched),
            ),
        )
        for conversation_id in watched:
            for reader in list(self._readers.get(conversation_id, ())):
                if conversation_id in found:
                    self._fill(reader, found[conversation_id])
                    reader.tell_state(states.get(conversation_id, _NOTHING))
                else:
                    reader.close()  # the conversation is deleted

    def _live_states(self, conversation_ids: Sequence[str]) -> dict[str, LiveState]:
        with self._database.read() as session:
            return live_state(session, conversation_ids)

    def _drafts_in(self, conversation_id: str) -> list[Draft]:
        return [draft for draft in self.drafts.values() if draft.message.conversation_id == conversation_id]

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)  # the loop itself holds tasks weakly
        task.add_done_callback(self._tasks.discard)


def _message_event(change: int, message: MessageShape) -> Event:
    """`done` for an answer that has ended, else `message`."""
    is_ended = message.role == "assistant" and message.status != "answering"
    return Event("done" if is_ended else "message", message.id, message, change)
