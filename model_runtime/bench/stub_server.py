"""A stand-in for vLLM that computes nothing: it plays streams back, at their pace or as fast as it can.

    python -m model_runtime.bench.stub_server [--replay FILE] [--speed X] [--core N]

Without a file it is the null server, against which the load generator's own cost is measured. With a file of
captured streams it gives their pieces at the moments when the model gave them. Prints its port, and ends when its
standard input does, so that it outlives nobody. Speaks vLLM's part of the OpenAI API that a measurement uses.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from model_runtime.bench.http_server import Reply, Request, listen

MODEL = "stub"
CONTEXT = 1_000_000

_NUMBER = re.compile(r"#(\d{1,6})\b")


@dataclass(frozen=True, slots=True)
class PacedStream:
    """One answer: `pieces`, and the milliseconds before each, the first counted from the request."""

    pieces: tuple[str, ...]
    gaps_ms: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.pieces or len(self.pieces) != len(self.gaps_ms):
            raise ValueError(f"a stream of {len(self.pieces)} pieces has {len(self.gaps_ms)} gaps")

    def paced(self, wanted: int | None, *, exactly: bool, speed: float) -> Iterator[tuple[str, float]]:
        """(piece, seconds after the request), at most `wanted`; with `exactly` begun again until there are so many."""
        due = 0.0
        for number in range(len(self.pieces) if wanted is None else wanted):
            again, at = divmod(number, len(self.pieces))
            if again and not exactly:
                return
            gap = self.gaps_ms[at] if at or not again else self.gaps_ms[-1]
            due += gap / 1000 / speed
            yield self.pieces[at], due


NULL_STREAM = PacedStream((" word",), (0.0,))


def read_streams(path: Path) -> tuple[PacedStream, ...]:
    """The streams of a capture: {"streams": [{"pieces": [...], "gaps_ms": [...]}]}."""
    captured = json.loads(path.read_text(encoding="utf-8"))
    return tuple(PacedStream(tuple(each["pieces"]), tuple(each["gaps_ms"])) for each in captured["streams"])


@dataclass
class StubServer:
    """Answers with `streams` in turn, or with the one whose number the last message names as `#7`.

    Counts since the last `POST /reset` are at `GET /stats`; `written` has the pieces of the last answer to each number
    named, and whether it came to its end. `lateness_ms` is how much later than due each piece was written: what the
    pacing itself is worth.
    """

    streams: Sequence[PacedStream] = (NULL_STREAM,)
    speed: float = 1.0
    requests: int = 0
    pieces: int = 0
    left: int = 0
    lateness_ms: list[float] = field(default_factory=list)
    written: dict[int, tuple[int, bool]] = field(default_factory=dict)

    async def handle(self, request: Request, reply: Reply) -> None:
        match request.method, request.path:
            case "GET", "/health":
                await reply.whole(b"")
            case "GET", "/v1/models":
                model = {"id": MODEL, "object": "model", "root": MODEL, "max_model_len": CONTEXT}
                await reply.json({"object": "list", "data": [model]})
            case "POST", "/tokenize":
                await reply.json(_tokens(request.json()))
            case "POST", "/v1/completions" | "/v1/chat/completions":
                await self.answer(request, reply)
            case "GET", "/stats":
                await reply.json(self.stats())
            case "POST", "/reset":
                self.requests = self.pieces = self.left = 0
                self.lateness_ms.clear()
                self.written.clear()
                await reply.json({})
            case _:
                await reply.json({"error": {"message": f"no {request.method} {request.path} here"}}, status=404)

    def stats(self) -> dict[str, Any]:
        late = sorted(self.lateness_ms)
        return {
            "requests": self.requests,
            "pieces": self.pieces,
            "left": self.left,
            "written": self.written,
            "late_p50_ms": late[len(late) // 2] if late else 0.0,
            "late_p99_ms": late[len(late) * 99 // 100] if late else 0.0,
        }

    async def answer(self, request: Request, reply: Reply) -> None:
        """Streams the next answer, or gives it whole; the pace is kept from the moment the request was read."""
        begun = asyncio.get_running_loop().time()
        asked = request.json()
        number = _number_named(asked, self.requests)
        stream = self.streams[number % len(self.streams)]
        self.requests += 1
        paced = stream.paced(
            asked.get("max_tokens") or asked.get("max_completion_tokens"),
            exactly=bool(asked.get("ignore_eos")),
            speed=self.speed,
        )
        try:
            if asked.get("stream"):
                is_chat = request.path.endswith("/chat/completions")
                await self._stream(number, asked, reply, paced, begun, is_chat=is_chat)
            else:
                await self._whole(asked, reply, paced, begun)
        except ConnectionError:
            self.left += 1
            raise

    async def _stream(
        self,
        number: int,
        asked: Mapping[str, Any],
        reply: Reply,
        paced: Iterator[tuple[str, float]],
        begun: float,
        *,
        is_chat: bool,
    ) -> None:
        await reply.begin()
        written = 0
        self.written[number] = written, False
        for piece, due in paced:
            await self._wait_until(begun + due)
            await reply.send(_chunk(asked, piece, is_chat=is_chat))
            written += 1
            self.pieces += 1
            self.written[number] = written, False
        self.written[number] = written, True
        await reply.send(_chunk(asked, "", is_chat=is_chat, finish_reason="stop"))
        if (asked.get("stream_options") or {}).get("include_usage"):
            await reply.send(_data({**_frame(asked, is_chat=is_chat), "choices": [], "usage": _usage(asked, written)}))
        await reply.send(b"data: [DONE]\n\n")
        await reply.end()

    async def _whole(
        self, asked: Mapping[str, Any], reply: Reply, paced: Iterator[tuple[str, float]], begun: float
    ) -> None:
        pieces = list(paced)
        await self._wait_until(begun + pieces[-1][1])
        self.pieces += len(pieces)
        message = {"role": "assistant", "content": "".join(piece for piece, _ in pieces)}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        usage = _usage(asked, len(pieces))
        await reply.json({"id": "1", "object": "chat.completion", "model": MODEL, "choices": [choice], "usage": usage})

    async def _wait_until(self, due: float) -> None:
        loop = asyncio.get_running_loop()
        left = due - loop.time()
        if left > 0:
            await asyncio.sleep(left)
        self.lateness_ms.append((loop.time() - due) * 1000)


def _number_named(asked: Mapping[str, Any], otherwise: int) -> int:
    messages = asked.get("messages") or [{"content": ""}]
    named = _NUMBER.findall(str(messages[-1]["content"]))
    return int(named[-1]) if named else otherwise


def _tokens(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Words as tokens, numbered by their first appearance."""
    words = str(asked.get("prompt", "")).split()
    numbers = {word: number for number, word in enumerate(dict.fromkeys(words))}
    return {"tokens": [numbers[word] for word in words], "count": len(words), "max_model_len": CONTEXT}


def _frame(asked: Mapping[str, Any], *, is_chat: bool) -> dict[str, Any]:
    kind = "chat.completion.chunk" if is_chat else "text_completion"
    return {"id": "1", "object": kind, "created": 0, "model": asked.get("model", MODEL)}


def _chunk(asked: Mapping[str, Any], piece: str, *, is_chat: bool, finish_reason: str | None = None) -> bytes:
    content = {"delta": {"content": piece}} if is_chat else {"text": piece}
    choice = {"index": 0, **content, "finish_reason": finish_reason}
    return _data({**_frame(asked, is_chat=is_chat), "choices": [choice]})


def _usage(asked: Mapping[str, Any], written: int) -> dict[str, int]:
    prompt = asked.get("prompt")
    tokens = len(prompt) if isinstance(prompt, list) else len(json.dumps(asked.get("messages", "")).split())
    return {"prompt_tokens": tokens, "completion_tokens": written, "total_tokens": tokens + written}


def _data(value: object) -> bytes:
    return b"data: " + json.dumps(value, separators=(",", ":")).encode() + b"\n\n"


async def _main(arguments: argparse.Namespace) -> None:
    stub = StubServer(read_streams(arguments.replay) if arguments.replay else (NULL_STREAM,), arguments.speed)
    _, port = await listen(stub.handle)
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replay", type=Path, help="captured streams; without it, as fast as it can")
    parser.add_argument("--speed", type=float, default=1.0, help="of the replay: 2 is twice as fast")
    parser.add_argument("--core", type=int, help="the processor to stay on")
    return parser.parse_args()


if __name__ == "__main__":
    given = _arguments()
    if given.core is not None:
        os.sched_setaffinity(0, {given.core})
    asyncio.run(_main(given))
