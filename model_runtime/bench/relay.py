"""Stands between Answerdesk and the model server while `runtime bench` measures: makes answers equally long, counts.

Answerdesk lets the model stop when it has said what it has to say; straight at the server every answer has the
wanted length. To compare the two, the relay adds to each chat request what makes the server go on to exactly that
length, and takes the server's own count of tokens out of the stream. Bytes are passed on as they come.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import Any

import httpx

from model_runtime.bench.http_server import Reply, Request
from model_runtime.chat.events import EventReader


@dataclass(slots=True)
class RelayedAnswer:
    """One answer: the request as Answerdesk sent it, and the moments of the model's pieces (one clock's seconds).

    Tokens are the server's count. vLLM says it with every piece when asked to; from a server that says it at the end
    only, an answer that was broken off has none of its prompt, and its pieces as those of its output.
    """

    messages: list[dict[str, Any]]
    started: float
    pieces: list[str] = field(default_factory=list)
    arrivals: list[float] = field(default_factory=list)
    counted: tuple[int, int] | None = None
    has_ended: bool = False

    @property
    def was_cut(self) -> bool:
        return not self.has_ended

    @property
    def prompt_tokens(self) -> int:
        return self.counted[0] if self.counted else 0

    @property
    def output_tokens(self) -> int:
        return self.counted[1] if self.counted else len(self.pieces)

    def asks(self, question: str) -> bool:
        return question in str(self.messages[-1]["content"])


@dataclass
class Relay:
    """`server` is a client of the model server; `length`: tokens of every answer (None: as the model likes)."""

    server: httpx.AsyncClient
    length: int | None = None
    answers: list[RelayedAnswer] = field(default_factory=list)

    async def answer_to(self, question: str) -> RelayedAnswer | None:
        """The last answer to a question, of whose beginnings there is none other with the same text."""
        return next((answer for answer in reversed(self.answers) if answer.asks(question)), None)

    async def handle(self, request: Request, reply: Reply) -> None:
        if request.path != "/v1/chat/completions":
            await self._forward(request, reply)
            return
        asked = request.json()
        if not asked.get("stream"):
            message = "the measurement takes streaming requests only"
            await reply.json({"error": {"message": message}}, status=400)
            return
        # Kept before anything is passed on: whoever has read the end may look it up at once.
        relayed = RelayedAnswer(asked["messages"], time.perf_counter())
        self.answers.append(relayed)
        await self._pass_on(self._with_length(asked), relayed, reply)

    async def _forward(self, request: Request, reply: Reply) -> None:
        try:
            answer = await self.server.request(request.method, request.path, content=request.body)
        except httpx.HTTPError as error:
            await reply.json(_unreached(error), status=502)
            return
        media_type = answer.headers.get("content-type", "application/json")
        await reply.whole(answer.content, status=answer.status_code, media_type=media_type)

    async def _pass_on(self, asked: dict[str, Any], relayed: RelayedAnswer, reply: Reply) -> None:
        try:
            async with self.server.stream("POST", "/v1/chat/completions", json=asked) as upstream:
                if upstream.status_code != httpx.codes.OK:
                    await reply.whole(await upstream.aread(), status=upstream.status_code)
                    return
                await reply.begin()
                events = EventReader()
                async for received in upstream.aiter_bytes():
                    for event in events.feed(received):
                        _note(relayed, event.data)
                    await reply.send(received)
                await reply.end()
        except httpx.HTTPError as error:
            if reply.has_begun:
                reply.cut()  # the only way to tell a reader in the middle of a stream
            else:
                await reply.json(_unreached(error), status=502)

    def _with_length(self, asked: dict[str, Any]) -> dict[str, Any]:
        options = {"stream_options": {"include_usage": True, "continuous_usage_stats": True}}
        if self.length is None:
            return {**asked, **options}
        without_stops = {name: value for name, value in asked.items() if name not in ("stop", "max_completion_tokens")}
        # Made to go on after its end, a small model that takes the likeliest tokens repeats itself and is broken off.
        length = {"max_tokens": self.length, "min_tokens": self.length, "ignore_eos": True, "temperature": 1.0}
        return {**without_stops, **options, **length}


def _unreached(error: httpx.HTTPError) -> dict[str, Any]:
    return {"error": {"message": f"{type(error).__name__}: {error}"}}


def _note(relayed: RelayedAnswer, data: bytes) -> None:
    if not data.startswith(b"{"):
        return
    chunk = json.loads(data)
    if usage := chunk.get("usage"):
        relayed.counted = usage["prompt_tokens"], usage["completion_tokens"]
    for choice in chunk.get("choices", ()):
        relayed.has_ended = relayed.has_ended or bool(choice.get("finish_reason"))
        if content := (choice.get("delta") or {}).get("content"):
            relayed.pieces.append(content)
            relayed.arrivals.append(time.perf_counter())
