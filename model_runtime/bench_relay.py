"""Stands between Answerdesk and the model server while `runtime bench` measures: makes answers equally long, counts.

Answerdesk lets the model stop when it has said what it has to say; straight at the server every answer has the
wanted length. To compare the two, the relay adds to each chat request what makes the server go on to exactly that
length, and takes the server's own count of tokens out of the stream. Bytes are passed on as they come.
"""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import dataclass, field
from typing import Any

import httpx

from model_runtime.bench_http import Reply, Request


@dataclass(slots=True)
class RelayedAnswer:
    """One answer: the request as Answerdesk sent it, and the moments of the model's pieces (one clock's seconds).

    Tokens are the server's count; an answer whose reader left has the pieces that came until then as its count.
    """

    messages: list[dict[str, Any]]
    started: float
    pieces: list[str] = field(default_factory=list)
    arrivals: list[float] = field(default_factory=list)
    prompt_tokens: int = 0
    output_tokens: int = 0
    was_cut: bool = False


@dataclass
class Relay:
    """`server` is a client of the model server; `length`: tokens of every answer (None: as the model likes)."""

    server: httpx.AsyncClient
    length: int | None = None
    answers: list[RelayedAnswer] = field(default_factory=list)

    async def tokens_served(self) -> tuple[int, int]:
        """Prompt and output tokens of all answers that have ended."""
        return sum(each.prompt_tokens for each in self.answers), sum(each.output_tokens for each in self.answers)

    async def handle(self, request: Request, reply: Reply) -> None:
        if request.path != "/v1/chat/completions":
            answer = await self.server.request(request.method, request.path, content=request.body)
            media_type = answer.headers.get("content-type", "application/json")
            await reply.whole(answer.content, status=answer.status_code, media_type=media_type)
            return
        asked = request.json()
        if not asked.get("stream"):
            message = "the measurement takes streaming requests only"
            await reply.json({"error": {"message": message}}, status=400)
            return
        relayed = RelayedAnswer(asked["messages"], time.perf_counter())
        try:
            await self._pass_on(self._with_length(asked), relayed, reply)
        except ConnectionError:
            relayed.was_cut = True
            relayed.output_tokens = relayed.output_tokens or len(relayed.pieces)
            raise
        finally:
            self.answers.append(relayed)

    async def _pass_on(self, asked: dict[str, Any], relayed: RelayedAnswer, reply: Reply) -> None:
        try:
            async with self.server.stream("POST", "/v1/chat/completions", json=asked) as upstream:
                if upstream.status_code != httpx.codes.OK:
                    await reply.whole(await upstream.aread(), status=upstream.status_code)
                    return
                await reply.begin()
                waiting = b""
                async for received in upstream.aiter_bytes():
                    await reply.send(received)
                    *blocks, waiting = (waiting + received).split(b"\n\n")
                    for block in blocks:
                        _note(relayed, block)
                await reply.end()
        except httpx.HTTPError as error:
            # The stream may have begun: the only way to tell is to break it off, which the client sees as an error.
            with contextlib.suppress(ConnectionError):
                await reply.json({"error": {"message": f"{type(error).__name__}: {error}"}}, status=502)
            reply.cut()

    def _with_length(self, asked: dict[str, Any]) -> dict[str, Any]:
        options = {"stream_options": {"include_usage": True}}
        if self.length is None:
            return {**asked, **options}
        without_stops = {name: value for name, value in asked.items() if name not in ("stop", "max_completion_tokens")}
        length = {"max_tokens": self.length, "min_tokens": self.length, "ignore_eos": True}
        return {**without_stops, **options, **length}


def _note(relayed: RelayedAnswer, block: bytes) -> None:
    data = block.removeprefix(b"data: ")
    if not data.startswith(b"{"):
        return
    chunk = json.loads(data)
    if usage := chunk.get("usage"):
        relayed.prompt_tokens, relayed.output_tokens = usage["prompt_tokens"], usage["completion_tokens"]
    for choice in chunk.get("choices", ()):
        if content := (choice.get("delta") or {}).get("content"):
            relayed.pieces.append(content)
            relayed.arrivals.append(time.perf_counter())
