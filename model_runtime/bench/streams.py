"""Reading answers as they are streamed, with the moment of every piece: from OpenAI's API and from Answerdesk's.

Owns what counts as a piece, as the end and as an error. Every failure becomes a record; none is raised, so that a
measurement counts them. Knows no figures.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx

from model_runtime.bench.figures import StreamRecord
from model_runtime.chat.errors import ChatUnreadable
from model_runtime.chat.events import EventReader, ServerSentEvent

_LONGEST_MESSAGE = 160


class _Failed(Exception):
    """The server said that the answer failed, or said something else than an answer."""


_FAILURES = (httpx.HTTPError, ChatUnreadable, _Failed, ValueError, KeyError)


async def openai_stream(client: httpx.AsyncClient, path: str, body: Mapping[str, Any]) -> StreamRecord:
    """One answer of `/v1/completions` or `/v1/chat/completions`; usage is asked for."""
    asked = {**body, "stream": True, "stream_options": {"include_usage": True}}
    started = time.perf_counter()
    arrivals: list[float] = []
    usage: Mapping[str, int] = {}
    try:
        async with client.stream("POST", path, json=asked) as response:
            await _require_success(response)
            async for at, event in _events(response):
                if event.data == b"[DONE]":
                    break
                chunk = json.loads(event.data)
                if "error" in chunk:
                    raise _Failed(_message_of(chunk))
                usage = chunk.get("usage") or usage
                if any(_holds_piece(choice) for choice in chunk["choices"]):
                    arrivals.append(at)
            else:
                raise _Failed("the stream ended without [DONE]")
        if not arrivals or not usage:
            raise _Failed("an answer without " + ("text" if usage else "usage"))
    except _FAILURES as error:
        return StreamRecord(started, time.perf_counter(), tuple(arrivals), error=_named(error))
    return StreamRecord(
        started, time.perf_counter(), tuple(arrivals), usage["prompt_tokens"], usage["completion_tokens"]
    )


async def answerdesk_stream(client: httpx.AsyncClient, conversation: str, text: str) -> StreamRecord:
    """One answer of a conversation, until its `done`."""
    started = time.perf_counter()
    arrivals: list[float] = []
    try:
        headers = {"accept": "text/event-stream"}
        path = f"/api/conversations/{conversation}/messages"
        async with client.stream("POST", path, json={"text": text}, headers=headers) as response:
            await _require_success(response)
            async for at, event in _events(response):
                if event.name == b"token":
                    arrivals.append(at)
                elif event.name == b"error":
                    raise _Failed(_message_of(json.loads(event.data)))
                elif event.name == b"done":
                    message = json.loads(event.data)
                    break
            else:
                raise _Failed("the stream ended without done")
        if message["status"] != "answered" or not arrivals:
            raise _Failed(f"an answer that is {message['status']}, with {len(arrivals)} pieces")
        if message["kind"] == "not_in_manuals":
            raise _Failed("the model said that it is not in the manuals: nothing was streamed")
        if message["answerer"] != "generative":
            raise _Failed(f"an answer by {message['answerer']}, not by the model")
    except _FAILURES as error:
        return StreamRecord(started, time.perf_counter(), tuple(arrivals), error=_named(error))
    retrieval = message["timings_ms"].get("retrieval", 0.0)
    return StreamRecord(started, time.perf_counter(), tuple(arrivals), retrieval_ms=retrieval)


async def _events(response: httpx.Response) -> AsyncIterator[tuple[float, ServerSentEvent]]:
    """The events of a stream, with the moments at which their ends came."""
    events = EventReader()
    async for received in response.aiter_bytes():
        at = time.perf_counter()
        for event in events.feed(received):
            yield at, event


async def _require_success(response: httpx.Response) -> None:
    if response.status_code == httpx.codes.OK:
        return
    body = await response.aread()
    try:
        reason = _message_of(json.loads(body))
    except (ValueError, KeyError, AttributeError):
        reason = response.reason_phrase
    raise _Failed(f"HTTP {response.status_code}: {reason}")


def _holds_piece(choice: Mapping[str, Any]) -> bool:
    """A completion's chunk is a token even without text (half a character); a chat's first one only names the role."""
    if "delta" in choice:
        return bool(choice["delta"].get("content"))
    return bool(choice["text"]) or choice.get("finish_reason") is None


def _message_of(body: Mapping[str, Any]) -> str:
    error = body.get("error", body)
    return str(error.get("message", error)) if isinstance(error, dict) else str(error)


def _named(error: Exception) -> str:
    """The same text for the same kind of failure, so that they can be counted."""
    text = str(error) or "no reason given"
    return (text if isinstance(error, _Failed) else f"{type(error).__name__}: {text}")[:_LONGEST_MESSAGE]
