"""What a chat server streams, read: bytes to server-sent events, events to what the answer gains by them.

Owns the two formats. Does not know where the bytes come from. Formats: the event stream of the HTML standard, and
the chunks of OpenAI's chat completions with what vLLM and DeepSeek add (`reasoning_content`, errors in the stream).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError

from model_runtime.chat.errors import ChatBusy, ChatRefused, ChatTooLong, ChatUnreadable

LONGEST_EVENT = 2**20
"""Bytes of an event. A token's is a few hundred; what is longer is not one."""

UNSAID = 500
"""The status of an error that came under status 200 and does not say what it is: the server's own failure."""

GIVEN_UP = ("abort", "error")
"""Reasons for an answer's end with which it is not whole (vLLM's; OpenAI has none such). The stream ends in order."""

_REQUESTS_FAULT = ("invalid_request_error", "BadRequestError")
_CONTEXT_WORDS = ("context length", "context_length", "maximum context", "max_model_len", "too long")


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the server counted them; `cached` None where it does not say."""

    prompt: int
    completion: int
    cached: int | None


@dataclass(frozen=True, slots=True)
class Delta:
    """What one event adds to the answer. `thoughts` come in front of an answer and are no part of it."""

    text: str = ""
    thoughts: str = ""
    finish_reason: str | None = None
    usage: Usage | None = None
    is_end: bool = False

    @property
    def is_token(self) -> bool:
        return bool(self.text or self.thoughts)


class ServerSentEvent(NamedTuple):
    """`name` is empty where the stream names none."""

    name: bytes
    data: bytes


class EventReader:
    """Takes bytes however they are cut, gives whole events; those without data are passed over."""

    def __init__(self) -> None:
        self._line = bytearray()
        self._name = b""
        self._data: list[bytes] = []
        self._size = 0
        self._after_return = False

    def feed(self, content: bytes) -> Iterator[ServerSentEvent]:
        """The events that end in `content`. Raises `ChatUnreadable` for an endless one."""
        if not content:
            return
        # A line may end in CR LF, cut between the two: then the LF is no line of its own.
        fresh = content.removeprefix(b"\n") if self._after_return else content
        self._after_return = content.endswith(b"\r")
        lines = fresh.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        for line in lines[:-1]:
            self._line += line
            yield from self._take(bytes(self._line))
            self._line.clear()
        self._line += lines[-1]
        if len(self._line) + self._size > LONGEST_EVENT:
            raise ChatUnreadable(f"an event of more than {LONGEST_EVENT} bytes")

    def finish(self) -> Iterator[ServerSentEvent]:
        """An event whose lines are whole though the empty line behind it is missing; half a line is dropped."""
        yield from self._take(b"")

    def _take(self, line: bytes) -> Iterator[ServerSentEvent]:
        if not line:
            name, data = self._name, self._data
            self._name, self._data, self._size = b"", [], 0
            if data:
                yield ServerSentEvent(name, b"\n".join(data))
        elif line.startswith(b"data:"):
            self._data.append(line[5:].removeprefix(b" "))
            self._size += len(line)
        elif line.startswith(b"event:"):
            self._name = line[6:].removeprefix(b" ")


class _Piece(BaseModel):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None


class _Choice(BaseModel):
    delta: _Piece = _Piece()
    finish_reason: str | None = None


class _Cached(BaseModel):
    cached_tokens: int | None = None


class _Tokens(BaseModel):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_tokens_details: _Cached | None = None
    prompt_cache_hit_tokens: int | None = None  # DeepSeek's name


class _Chunk(BaseModel):
    choices: list[_Choice] | None = None
    usage: _Tokens | None = None
    error: Any = None
    object: str = ""


def delta_of(data: bytes) -> Delta:
    """What an event's data mean. Raises `ChatRefused` for an error in the stream, `ChatUnreadable` for no chunk."""
    if data.strip() == b"[DONE]":
        return Delta(is_end=True)
    try:
        chunk = _Chunk.model_validate_json(data)
    except ValidationError as error:
        # Without the cause: pydantic quotes what it could not read.
        raise ChatUnreadable(f"an event that is no chunk ({error.error_count()} mistakes)") from None
    if chunk.error is not None or chunk.object == "error":
        raise refusal(UNSAID, data, None)
    if chunk.choices is None and chunk.usage is None:
        raise ChatUnreadable("an event without choices")
    choice = chunk.choices[0] if chunk.choices else _Choice()
    return Delta(
        text=choice.delta.content or "",
        thoughts=choice.delta.reasoning_content or choice.delta.reasoning or "",
        finish_reason=choice.finish_reason,
        usage=_usage(chunk.usage) if chunk.usage else None,
    )


def _usage(tokens: _Tokens) -> Usage:
    details = tokens.prompt_tokens_details
    cached = tokens.prompt_cache_hit_tokens if details is None else details.cached_tokens
    return Usage(tokens.prompt_tokens, tokens.completion_tokens, cached)


class _Problem(BaseModel):
    message: str = ""
    type: str | None = None
    code: int | str | None = None


class _ProblemBody(_Problem):
    error: _Problem | str | None = None


def refusal(status: int, body: bytes, retry_after_s: float | None) -> ChatRefused:
    """The error for a status and the server's body; a code in the body that is a status counts more."""
    try:
        read = _ProblemBody.model_validate_json(body)
    except ValidationError:
        read = _ProblemBody()
    problem = read.error if isinstance(read.error, _Problem) else read
    code = str(problem.code)
    if code.isascii() and code.isdigit() and 400 <= int(code) <= 599:
        status = int(code)
    elif status == UNSAID and problem.type in _REQUESTS_FAULT:
        status = 400
    said = f"{problem.message} {code} {read.error if isinstance(read.error, str) else ''}".lower()
    if status in (400, 413, 422) and any(word in said for word in _CONTEXT_WORDS):
        return ChatTooLong(status)
    return (ChatBusy if status == 429 else ChatRefused)(status, retry_after_s)
