"""Requests to a chat server: sent, watched, tried again, and broken off the moment nobody wants them.

Owns connections, time-outs, retries and cancellation. All requests of a process run on one event loop in a thread of
its own, because only there a request can be broken off at any point: while it connects, while the model reads the
prompt, or between two tokens. Knows the stream's format from `events`, and nothing of LangChain.
"""

import asyncio
import email.utils
import json
import os
import random
import ssl
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from queue import Empty, SimpleQueue
from typing import Any

import httpx

from model_runtime.addresses import is_loopback
from model_runtime.chat.errors import (
    ChatBroken,
    ChatError,
    ChatRefused,
    ChatTimeout,
    ChatUnreachable,
    ChatUnreadable,
    TimeoutStage,
)
from model_runtime.chat.events import GIVEN_UP, UNSAID, Delta, EventReader, delta_of, refusal

# 500 is what vLLM says while its engine dies; asked again, a second replica or a restarted server may answer.
_RETRIED_STATUS = frozenset((429, 500, 502, 503, 504))
_LONGEST_ERROR_BODY = 65_536
_SAID_ENOUGH_S = 1.0
"""How long the end of a stream is waited for once the answer is whole, for the connection to be used again."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a server is waited for and how often asked, in seconds; see `client.ChatClient` for each."""

    connect_s: float
    first_token_s: float
    between_tokens_s: float
    total_s: float
    retries: int
    first_retry_s: float
    longest_retry_wait_s: float


_Mailbox = SimpleQueue[Delta | BaseException | None]


class ChatTransport:
    """Streams from one address. Safe for threads; a process that was forked opens connections of its own."""

    def __init__(self, base_url: str, key: str, patience: Patience) -> None:
        self._url = base_url.rstrip("/") + "/chat/completions"
        self._headers = {
            "Authorization": f"Bearer {key}",
            "Content-Type": "application/json",
            "Accept": "text/event-stream",
        }
        self._patience = patience
        self._clients: dict[int, httpx.AsyncClient] = {}
        _certificates()  # now rather than with the first question

    def stream(self, body: Mapping[str, Any], beat_s: float) -> Generator[Delta | None]:
        """The answer's deltas as they come, and None whenever there was none for `beat_s` seconds.

        Closing the generator closes the connection at once, wherever the request is. Raises `ChatError`.
        """
        mailbox: _Mailbox = SimpleQueue()
        content = json.dumps(body, ensure_ascii=True, separators=(",", ":")).encode()
        running = asyncio.run_coroutine_threadsafe(self._run(content, mailbox), _loop())
        # Whatever ends the coroutine ends the reading below.
        running.add_done_callback(lambda done: mailbox.put(None if done.cancelled() else done.exception()))
        is_whole = False
        try:
            while True:
                try:
                    item = mailbox.get(timeout=beat_s)
                except Empty:
                    yield None
                    continue
                if item is None:
                    return
                if isinstance(item, BaseException):
                    raise item
                if item.is_end:
                    is_whole = True
                    return
                yield item
        finally:
            if not is_whole:
                running.cancel()

    def close(self) -> None:
        """Closes this process's connections, soon. A later answer opens new ones."""
        client = self._clients.pop(os.getpid(), None)
        if client is not None:
            asyncio.run_coroutine_threadsafe(client.aclose(), _loop())

    async def _run(self, content: bytes, mailbox: _Mailbox) -> None:
        """On the loop: one answer into the mailbox, asked for as often as is allowed."""
        watch = _Watch(self._patience)
        try:
            async with watch.timer:
                watch.begin()
                await self._insist(content, watch, mailbox.put)
        except TimeoutError as error:
            if isinstance(error, ChatError):
                raise
            raise watch.expired() from error

    async def _insist(self, content: bytes, watch: "_Watch", put: Callable[[Delta], None]) -> None:
        for attempt in range(self._patience.retries + 1):
            try:
                return await self._ask(content, watch, put)
            except (ChatUnreachable, ChatBroken, ChatRefused, ChatTimeout) as error:
                # The only time-out in here is that of connecting: the others end `_run`.
                wait = self._wait_before_retry(error, attempt)
                if watch.has_token or wait is None:
                    raise
            await asyncio.sleep(wait)

    def _wait_before_retry(self, error: ChatError, attempt: int) -> float | None:
        """Seconds to wait, or None when asking again is of no use. Never shorter than the server wishes."""
        patience = self._patience
        if attempt >= patience.retries:
            return None
        backoff = min(patience.first_retry_s * 2.0**attempt, patience.longest_retry_wait_s) * random.uniform(0.5, 1.0)
        if not isinstance(error, ChatRefused):
            return backoff
        if error.status_code not in _RETRIED_STATUS or (error.retry_after_s or 0) > patience.longest_retry_wait_s:
            return None
        return max(backoff, error.retry_after_s or 0)

    async def _ask(self, content: bytes, watch: "_Watch", put: Callable[[Delta], None]) -> None:
        """One request. Raises `ChatError`."""
        try:
            async with self._client().stream("POST", self._url, content=content) as response:
                if response.status_code != 200:
                    retry_after_s = _retry_after(response.headers.get("retry-after", ""))
                    raise refusal(response.status_code, await _beginning(response), retry_after_s)
                if not response.headers.get("content-type", "").startswith("text/event-stream"):
                    raise _no_stream(response, await _beginning(response))
                await _read(response, watch, put)
        except httpx.ConnectTimeout as error:
            raise ChatTimeout(TimeoutStage.CONNECT, self._patience.connect_s) from error
        except (httpx.ConnectError, httpx.UnsupportedProtocol, httpx.ProxyError) as error:
            raise ChatUnreachable(f"no connection ({type(error).__name__})") from error
        except httpx.HTTPError as error:
            raise ChatBroken(f"the connection broke off ({type(error).__name__})") from error

    def _client(self) -> httpx.AsyncClient:
        process = os.getpid()
        if process not in self._clients:
            self._clients[process] = httpx.AsyncClient(
                headers=self._headers,
                verify=_certificates(),
                # A proxy of the environment is for other machines: it could not reach a server on this one.
                trust_env=not is_loopback(httpx.URL(self._url).host),
                # Silence is watched by `_Watch`, which sees tokens rather than bytes.
                timeout=httpx.Timeout(None, connect=self._patience.connect_s),
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=32),
            )
        return self._clients[process]


class _Watch:
    """The time-outs of one answer: until the first token, between tokens, and of the whole."""

    def __init__(self, patience: Patience) -> None:
        self.timer = asyncio.timeout(None)
        self.has_token = False
        self._patience = patience
        self._started = asyncio.get_running_loop().time()

    def begin(self) -> None:
        self._until(self._started + self._patience.first_token_s)

    def token(self) -> None:
        self.has_token = True
        self._until(asyncio.get_running_loop().time() + self._patience.between_tokens_s)

    def expired(self) -> ChatTimeout:
        patience = self._patience
        if not self.has_token:
            # Whichever limit it was: a server that has said nothing is as good as away.
            return ChatTimeout(TimeoutStage.FIRST_TOKEN, min(patience.first_token_s, patience.total_s))
        if asyncio.get_running_loop().time() - self._started >= patience.total_s:
            return ChatTimeout(TimeoutStage.TOTAL, patience.total_s)
        return ChatTimeout(TimeoutStage.BETWEEN_TOKENS, patience.between_tokens_s)

    def _until(self, moment: float) -> None:
        self.timer.reschedule(min(moment, self._started + self._patience.total_s))


async def _read(response: httpx.Response, watch: _Watch, put: Callable[[Delta], None]) -> None:
    """The stream to its end. One that just stops is whole only if the model had said that it was finished."""
    events = EventReader()
    is_finished = False
    content = response.aiter_raw() if "content-encoding" not in response.headers else response.aiter_bytes()
    async for piece in content:
        for event in events.feed(piece):
            delta = _of_an_answer(delta_of(event.data))
            if delta.is_token:
                watch.token()
            put(delta)
            if delta.is_end:
                return await _let_end(content)
            is_finished = is_finished or delta.finish_reason is not None
    for event in events.finish():
        delta = _of_an_answer(delta_of(event.data))
        is_finished = is_finished or delta.is_end or delta.finish_reason is not None
        put(delta)
    if not is_finished:
        raise ChatBroken("the stream ended in the middle of an answer")


def _of_an_answer(delta: Delta) -> Delta:
    """The delta, unless the server says with it that it gives the answer up: as vLLM does while its engine dies."""
    if delta.finish_reason in GIVEN_UP:
        raise ChatBroken(f"the server gave the answer up ({delta.finish_reason})")
    return delta


async def _let_end(content: Any) -> None:
    """Reads past the last event to the end of the body, so that the connection can serve the next question."""
    with suppress(TimeoutError, httpx.HTTPError):
        async with asyncio.timeout(_SAID_ENOUGH_S):
            async for _ in content:
                pass


async def _beginning(response: httpx.Response) -> bytes:
    """The first bytes of an error's body, of whatever length it is."""
    body = b""
    async for piece in response.aiter_bytes():
        body += piece
        if len(body) > _LONGEST_ERROR_BODY:
            break
    return body


def _no_stream(response: httpx.Response, body: bytes) -> ChatError:
    media_type = response.headers.get("content-type", "").split(";")[0]
    if media_type == "application/json" and b'"error"' in body:
        return refusal(UNSAID, body, None)
    return ChatUnreadable(f"a body of type {media_type[:60] or 'unknown'} instead of a stream")


def _retry_after(header: str) -> float | None:
    """Seconds that a Retry-After header asks for: a number, or a date (RFC 9110, 10.2.3); None for neither."""
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(header).timestamp() - time.time())
    except ValueError:
        return None


@cache
def _certificates() -> ssl.SSLContext:
    """Read once for all clients: it takes a tenth of a second."""
    return httpx.create_ssl_context()


_loops: dict[int, asyncio.AbstractEventLoop] = {}
_loops_lock = threading.Lock()


def _loop() -> asyncio.AbstractEventLoop:
    """The event loop of this process's requests, started with the first."""
    with _loops_lock:
        process = os.getpid()
        if process not in _loops:
            _loops[process] = asyncio.new_event_loop()
            threading.Thread(target=_loops[process].run_forever, name="chat-client", daemon=True).start()
        return _loops[process]
