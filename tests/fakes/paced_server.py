"""The stub of `runtime bench` in a thread of the test, with faults: refusals, error events and cut connections."""

import asyncio
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from model_runtime.bench.http_server import Reply, Request, listen
from model_runtime.bench.stub_server import PacedStream, StubServer


class Fault(StrEnum):
    REFUSED = "refused"  # 503 with a reason
    ERROR_EVENT = "error event"  # after two pieces
    CUT = "cut"  # the connection, after two pieces
    SHORT = "short"  # the stream ends properly, but without [DONE]


@dataclass
class PacedServer(StubServer):
    """`faults` by the number of the request, from 0. `bodies` are the requests received."""

    faults: Mapping[int, Fault] = field(default_factory=dict)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    address: str = ""

    async def answer(self, request: Request, reply: Reply) -> None:
        self.bodies.append(request.json())
        fault = self.faults.get(len(self.bodies) - 1)
        if fault is None:
            await super().answer(request, reply)
            return
        if fault is Fault.REFUSED:
            await reply.json({"error": {"message": "too many requests", "code": 503}}, status=503)
            return
        await reply.begin()
        for _ in range(2):
            choice = {"index": 0, "text": " word", "finish_reason": None}
            await reply.send(b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n")
        if fault is Fault.CUT:
            reply.cut()
            return
        if fault is Fault.ERROR_EVENT:
            await reply.send(b'data: {"error": {"message": "engine died", "code": 500}}\n\ndata: [DONE]\n\n')
        await reply.end()


@contextmanager
def paced(streams: Sequence[PacedStream], faults: Mapping[int, Fault] | None = None) -> Iterator[PacedServer]:
    """Serves until the context ends."""
    server = PacedServer(streams, faults=faults or {})
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    listening, port = asyncio.run_coroutine_threadsafe(listen(server.handle), loop).result(10)
    server.address = f"http://127.0.0.1:{port}"
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(listening.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
