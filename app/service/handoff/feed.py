"""The inbox as it happens, handed to every agent who has it open.

Owns the agents' streams of this process and the one task that looks at SQL for all of them: hand-offs by the inbox's
change number, so that a stream that was interrupted goes on without a gap, and who is there. An open stream is what
shows that its agent is there, as long as the session that opened it. Knows nothing of what changes a hand-off. Lives on
the event loop.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Iterable
from datetime import timedelta
from typing import Final

from pydantic import BaseModel

from app.db import Database
from app.models import now
from app.service.handoff import inbox_reading, presence
from app.service.handoff.shapes import AgentList, AgentShape, HandOffShape
from app.stream_access import StreamAccess, holding

_LOG = logging.getLogger(__name__)

POLL_S: Final = 0.5
_SEEN_EVERY: Final = timedelta(seconds=10)  # several times within `presence.THERE`
_MAX_WAITING = 2_000
"""Events a stream may leave unread before it is ended; it resumes with `Last-Event-ID`."""


class InboxStream:
    """One agent's stream, a source for `app.event_stream.EventStream`. A bare admin key's has no account."""

    def __init__(self, feed: "InboxFeed", access: StreamAccess, seen: int) -> None:
        self.access = access
        self.workspace_id = access.scope.workspace_id
        self.seen = seen
        self.agents: list[AgentShape] | None = None
        self._feed = feed
        self._is_open = True
        self._waiting: deque[bytes] = deque([b"retry: 1000\n\n"])
        self._something = asyncio.Event()

    def push(self, name: str, shape: BaseModel, change: int | None = None) -> None:
        if not self._is_open:
            return
        number = "" if change is None else f"id: {change}\n"
        self._waiting.append(f"event: {name}\n{number}data: {shape.model_dump_json()}\n\n".encode())
        self._something.set()
        if len(self._waiting) > _MAX_WAITING:
            self.close()

    def close(self) -> None:
        """Nothing more comes in; what waits can still be read."""
        self._is_open = False
        self._something.set()
        self._feed.leave(self)

    async def __anext__(self) -> bytes:
        while not self._waiting:
            if not self._is_open:
                raise StopAsyncIteration
            self._something.clear()
            await self._something.wait()
        return self._waiting.popleft()


class InboxFeed:
    """All agents' streams of this process."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._streams: set[InboxStream] = set()
        self._task: asyncio.Task[None] | None = None
        self._noted_at = now() - _SEEN_EVERY
        self._noted: set[str] = set()

    def start(self) -> None:
        self._task = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Ends the streams."""
        for stream in list(self._streams):
            stream.close()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def listen(self, access: StreamAccess, after: int | None) -> InboxStream:
        """Hand-offs that changed after `after`, or from now on; who is there is told at once."""
        if after is None:
            after = await asyncio.to_thread(self._newest, access.scope.workspace_id)
        stream = InboxStream(self, access, after)
        self._streams.add(stream)
        return stream

    def leave(self, stream: InboxStream) -> None:
        self._streams.discard(stream)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(POLL_S)
            if not self._streams:
                self._noted.clear()
                continue
            try:
                await self._look()
            except Exception:  # noqa: BLE001  logged, and tried again: the streams of all agents hang on this task
                _LOG.exception("Cannot look for changes in the inbox; trying again.")

    async def _look(self) -> None:
        open_now = {stream.access: stream for stream in self._streams}
        for access in await asyncio.to_thread(self._note_seen, set(open_now)):
            open_now[access].close()
        for workspace_id in {stream.workspace_id for stream in self._streams}:
            streams = [each for each in self._streams if each.workspace_id == workspace_id]
            since = min(stream.seen for stream in streams)
            newest, changed = await asyncio.to_thread(inbox_reading.changed_since, self._database, workspace_id, since)
            there = await asyncio.to_thread(self._agents, workspace_id)
            for stream in streams:
                _bring_up_to_date(stream, newest, changed, there)

    def _note_seen(self, accesses: set[StreamAccess]) -> set[StreamAccess]:
        """Notes who has the inbox open, now and then; gives those who may not any more, and are not there by it."""
        at = now()
        if _accounts(accesses) <= self._noted and at - self._noted_at < _SEEN_EVERY:
            return set()
        still = holding(self._database, accesses)
        there = _accounts(still)
        with self._database.write() as session:
            presence.seen(session, there, at)
        self._noted_at, self._noted = at, there
        return accesses - still

    def _newest(self, workspace_id: str) -> int:
        with self._database.read() as session:
            return inbox_reading.change_of(session, workspace_id)

    def _agents(self, workspace_id: str) -> list[AgentShape]:
        with self._database.read() as session:
            return inbox_reading.agents(session, workspace_id)


def _accounts(accesses: Iterable[StreamAccess]) -> set[str]:
    return {access.account_id for access in accesses if access.account_id is not None}


def _bring_up_to_date(
    stream: InboxStream, newest: int, changed: Iterable[HandOffShape], there: list[AgentShape]
) -> None:
    for shape in changed:
        if shape.change > stream.seen:
            stream.push("hand_off", shape, shape.change)
    stream.seen = max(stream.seen, newest)
    if there != stream.agents:
        stream.push("presence", AgentList(agents=there))
        stream.agents = there
