"""The chat client against a server that does everything wrong that servers do, over real connections."""

import json
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessageChunk, HumanMessage
from pydantic import ValidationError

from model_runtime.chat.client import ChatClient
from model_runtime.chat.errors import (
    ChatBroken,
    ChatBusy,
    ChatError,
    ChatRefused,
    ChatTimeout,
    ChatTooLong,
    ChatUnreachable,
    ChatUnreadable,
    TimeoutStage,
)
from model_runtime.chat.events import EventReader
from tests.fakes.openai_server import ENGINE_DEAD, TOO_LONG, OpenAIServer, Reply

KEY = "sk-very-secret-0123456789"
SOON_S = 10.0
"""Far above the milliseconds that it takes; whatever waited for a time-out or a whole beat of seconds would miss it."""


def client(server: OpenAIServer, **more: Any) -> ChatClient:
    given = {"model": "tiny", "base_url": server.base_url, "api_key": KEY, "first_retry_s": 0.02, "beat_s": 0.05}
    return ChatClient(**{**given, **more})


def chunks(model: ChatClient, **more: Any) -> Iterator[AIMessageChunk]:
    return cast(Iterator[AIMessageChunk], model.stream([HumanMessage("Hello?")], **more))


def text(model: ChatClient, **more: Any) -> str:
    return "".join(str(chunk.text) for chunk in chunks(model, **more))


def event(content: str, finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": content}, "finish_reason": finish_reason}
    return b"data: " + json.dumps({"choices": [choice]}, ensure_ascii=False).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"
DIES = b"data: " + ENGINE_DEAD + b"\n\n"


def test_an_answer_with_its_token_counts() -> None:
    usage = {"prompt_tokens": 90, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 64}}
    with OpenAIServer(Reply(["Let ", "it cool."], usage=usage)) as server:
        got = list(chunks(client(server, temperature=0.3, max_tokens=50), temperature=0.0, stop=["<end"]))
        body, headers = server.requests[0], server.request_headers[0]
    whole = got[0]
    for chunk in got[1:]:
        whole += chunk
    assert (whole.text, whole.response_metadata["finish_reason"]) == ("Let it cool.", "stop")
    assert whole.usage_metadata == {
        "input_tokens": 90,
        "output_tokens": 2,
        "total_tokens": 92,
        "input_token_details": {"cache_read": 64},
    }
    assert (body["temperature"], body["max_tokens"], body["stop"]) == (0.0, 50, ["<end"])
    assert body["stream_options"] == {"include_usage": True}
    assert "frequency_penalty" not in body
    assert "repetition_penalty" not in body
    assert headers["Authorization"] == f"Bearer {KEY}"


def test_what_the_client_has_no_place_for_is_refused_before_it_is_sent() -> None:
    with OpenAIServer(Reply(["x"])) as server, pytest.raises(ValueError, match="best_of"):
        text(client(server), best_of=3)
    assert server.requests == []


@pytest.mark.parametrize("bad", ["sk-1\n", "sk-é", " sk"])
def test_a_key_that_fits_no_header_is_refused_without_being_shown(bad: str) -> None:
    with pytest.raises(ValidationError, match="header") as refused:
        ChatClient(model="tiny", base_url="http://127.0.0.1/v1", api_key=bad)  # type: ignore[arg-type]
    assert bad.strip() not in str(refused.value)


# Cancellation and beats


@pytest.mark.parametrize("silence", [{"queueing": 30.0}, {"prefill": 30.0}], ids=["before headers", "behind headers"])
def test_a_silent_model_is_felt_and_left_at_once(silence: dict[str, float]) -> None:
    with OpenAIServer(Reply(["x"], **silence)) as server:  # type: ignore[arg-type]
        stream = chunks(client(server))
        while not server.requests:
            next(stream)
        assert [str(next(stream).text) for _ in range(3)] == ["", "", ""]
        assert not server.hung_up.is_set()
        stream.close()  # type: ignore[attr-defined]
        assert server.hung_up.wait(SOON_S)


def test_a_stream_is_left_in_its_middle() -> None:
    with OpenAIServer(Reply(["on "] * 1000, pause=0.01)) as server:
        stream = chunks(client(server))
        while not next(stream).text:
            pass
        stream.close()  # type: ignore[attr-defined]
        assert server.hung_up.wait(SOON_S)
        assert server.sent < 1000


def test_leaving_while_a_retry_is_waited_for_sends_no_more() -> None:
    with OpenAIServer(Reply(status=503, headers={"Retry-After": "1"})) as server:
        with closing(cast(Any, chunks(client(server)))) as stream:
            while not server.requests:
                next(stream)
        time.sleep(1.2)
        assert len(server.requests) == 1


# Time-outs


@pytest.mark.parametrize(
    ("reply", "stage"),
    [
        (Reply(["x"], queueing=30), TimeoutStage.FIRST_TOKEN),
        (Reply(["x"], prefill=30), TimeoutStage.FIRST_TOKEN),
        (Reply(raw=[b": keep-alive\n\n"] * 500, pause=0.02), TimeoutStage.FIRST_TOKEN),
        (Reply(["x", "y"], pause=30), TimeoutStage.BETWEEN_TOKENS),
        (Reply(raw=[event("x"), *[b": keep-alive\n\n"] * 500], pause=0.02), TimeoutStage.BETWEEN_TOKENS),
        (Reply(["x "] * 500, pause=0.02), TimeoutStage.TOTAL),
    ],
)
def test_each_kind_of_silence_has_its_own_time_out(reply: Reply, stage: TimeoutStage) -> None:
    with OpenAIServer(reply) as server:
        model = client(server, first_token_timeout_s=0.5, between_tokens_timeout_s=0.4, timeout=1.2)
        with pytest.raises(ChatTimeout) as late:
            text(model)
        assert late.value.stage is stage
        assert isinstance(late.value, TimeoutError)
        assert server.hung_up.wait(SOON_S)
        assert len(server.requests) == 1


def test_a_server_that_never_sends_a_token_is_silent_whatever_limit_comes_first() -> None:
    with OpenAIServer(Reply(["x"], prefill=30)) as server:
        with pytest.raises(ChatTimeout, match=r"nothing within 0\.3 s") as late:
            text(client(server, first_token_timeout_s=60, timeout=0.3))
        assert late.value.stage is TimeoutStage.FIRST_TOKEN


def test_an_address_that_never_connects_is_tried_again() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(3)]
        try:
            for each in waiting:  # fills the queue of connections that nobody accepts
                each.setblocking(False)
                each.connect_ex(full.getsockname())
            address = f"http://127.0.0.1:{full.getsockname()[1]}/v1"
            given = {"connect_timeout_s": 0.3, "first_token_timeout_s": 20, "max_retries": 2, "first_retry_s": 0}
            model = ChatClient(model="tiny", base_url=address, **given)
            started = time.monotonic()
            with pytest.raises(ChatTimeout) as late:
                text(model)
            assert time.monotonic() - started >= 3 * 0.3
        finally:
            for each in waiting:
                each.close()
    assert late.value.stage is TimeoutStage.CONNECT


# Retries


@pytest.mark.parametrize(
    "first",
    [Reply(status=status) for status in (429, 500, 502, 503, 504)]
    + [
        Reply(status=500, body=ENGINE_DEAD),
        Reply(raw=[DIES, DONE]),
        Reply(raw=[event("", "abort"), DONE]),
        Reply(reset=True),
        Reply(["x"], broken_after=0),
        Reply(raw=[b'data: {"error": {"message": "no", "code": 503}}\n\n']),
        Reply(raw=[b'data: {"choices": [{"delta": {"role": "assistant", "content": ""}}]}\n\n']),
    ],
)
def test_what_failed_before_the_first_token_is_asked_again(first: Reply) -> None:
    with OpenAIServer(Reply(["Yes."]), replies=[first, first]) as server:
        assert text(client(server)) == "Yes."
        assert len(server.requests) == 3
    assert server.requests[0] == server.requests[2]


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply(["Let ", "it "], broken_after=1), ChatBroken),
        (Reply(raw=[event("Let "), b'data: {"error": {"message": "died", "code": 503}}\n\n']), ChatRefused),
        (Reply(raw=[event("Let "), DIES, DONE]), ChatRefused),
        (Reply(raw=[event("Let "), event("it", "abort"), DONE]), ChatBroken),
        (Reply(raw=[event("Let "), event("", "error"), DONE]), ChatBroken),
        (Reply(raw=[event("Let ")]), ChatBroken),
        (Reply(raw=[event("Let "), b'data: {"choices": [{"delta": {"content": "it']), ChatBroken),
        (Reply(raw=[event("Let "), b"data: <html>\n\n"]), ChatUnreadable),
    ],
)
def test_what_fails_behind_the_first_token_is_never_asked_again(reply: Reply, error: type[ChatError]) -> None:
    with OpenAIServer(reply) as server:
        got: list[str] = []
        with pytest.raises(error):
            got.extend(str(chunk.text) for chunk in chunks(client(server)))
        assert "".join(got) == "Let "
        assert len(server.requests) == 1


@pytest.mark.parametrize("status", [400, 401, 404, 422, 501])
def test_what_asking_again_does_not_mend_is_asked_once(status: int) -> None:
    body = json.dumps({"error": {"message": f"Incorrect API key provided: {KEY}"}}).encode()
    with OpenAIServer(Reply(status=status, body=body)) as server:
        with pytest.raises(ChatRefused) as refused:
            text(client(server))
        assert len(server.requests) == 1
    assert refused.value.status_code == status
    assert KEY not in repr(refused.value)
    assert KEY not in repr(client(server))


def test_retry_after_is_kept_to_and_bounded() -> None:
    with OpenAIServer(Reply(["Yes."]), replies=[Reply(status=429, headers={"Retry-After": "0.4"})]) as server:
        started = time.monotonic()
        assert text(client(server)) == "Yes."
        assert time.monotonic() - started >= 0.4
    for wish in ("3600", "Wed, 21 Oct 2099 07:28:00 GMT"):
        with OpenAIServer(Reply(status=429, headers={"Retry-After": wish})) as server:
            with pytest.raises(ChatBusy) as busy:
                text(client(server))
            assert len(server.requests) == 1
        assert (busy.value.retry_after_s or 0) >= 3599


def test_a_lasting_429_is_busy_and_a_dead_address_unreachable() -> None:
    with OpenAIServer(Reply(status=429)) as server, pytest.raises(ChatBusy):
        text(client(server))
    assert len(server.requests) == 3
    with pytest.raises(ChatUnreachable) as gone:
        text(client(server))
    assert isinstance(gone.value, ConnectionError)


def test_a_server_killed_in_mid_answer_is_noticed_at_once() -> None:
    with OpenAIServer(Reply(["on "] * 1000, pause=0.01)) as server:
        stream = chunks(client(server))
        while not next(stream).text:
            pass
        server.kill()
        started = time.monotonic()
        with pytest.raises(ChatBroken):
            list(stream)
        assert time.monotonic() - started < SOON_S


def test_a_server_that_restarts_between_answers_is_reached_again() -> None:
    with OpenAIServer(Reply(["One."])) as server:
        model = client(server)
        assert text(model) == "One."
        for connection in list(server._connections):
            connection.shutdown(2)
        assert text(model) == "One."


def test_a_closed_client_has_let_go_of_its_connections_and_can_be_used_again() -> None:
    with OpenAIServer(Reply(["One."])) as server:
        model = client(server)
        assert text(model) == "One."
        assert server._connections
        model.close()
        deadline = time.monotonic() + SOON_S
        while server._connections:
            assert time.monotonic() < deadline, "the connection was kept"
            time.sleep(0.01)
        assert text(model) == "One."


def test_a_server_on_this_machine_is_not_asked_for_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    with OpenAIServer(Reply(["Here."])) as server, OpenAIServer(Reply(["By proxy."])) as proxy:
        monkeypatch.setenv("http_proxy", proxy.base_url.removesuffix("/v1"))
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        assert text(client(server)) == "Here."
        assert text(ChatClient(model="tiny", base_url="http://chat.invalid/v1")) == "By proxy."


# Bodies


@pytest.mark.parametrize(
    ("raw", "answer"),
    [
        ([event("热水壶🫖"), DONE], "热水壶🫖"),
        ([event("a").replace(b"\n", b"\r\n"), DONE.replace(b"\n", b"\r\n")], "a"),
        ([event("a").replace(b"\n", b"\r"), DONE], "a"),
        ([b": hello\n\n", b"event: chunk\nid: 1\nretry: 5\n" + event("a"), DONE], "a"),
        ([b'data:{"choices":[{"delta":{"content":"a"}}]}\n\n', DONE], "a"),
        ([b'data: {"choices": [{"delta":\ndata: {"content": "a"}}]}\n\n', DONE], "a"),
        ([event("a"), event("", "stop")], "a"),
        ([event("a", "stop")[:-1]], "a"),
        ([event("x" * 200_000), DONE], "x" * 200_000),
        ([b'data: {"choices": [{"delta": {"reasoning_content": "hm", "content": null}}]}\n\n', event("a"), DONE], "a"),
        ([event("a"), b"data: [DONE]\n"], "a"),
    ],
)
def test_streams_of_every_dialect_are_read_however_they_are_cut(raw: Sequence[bytes], answer: str) -> None:
    body = b"".join(raw)
    size = max(1, len(body) // 2000)
    with OpenAIServer(Reply(raw=list(raw))) as server:
        assert text(client(server)) == answer
        server.reply = Reply(raw=[body[start : start + size] for start in range(0, len(body), size)])
        assert text(client(server)) == answer


@pytest.mark.parametrize(
    "reply",
    [
        Reply(raw=[b"<html><body>Bad gateway</body></html>"], media_type="text/html"),
        Reply(raw=[b"{}"], media_type="application/json"),
        Reply(raw=[b"data: {}\n\n"]),
        Reply(raw=[b"data: [1, 2]\n\n"]),
        Reply(raw=[b'data: {"choices": [7]}\n\n']),
        Reply(raw=[b'data: {"choices": [{"delta": {"content": ["a"]}}]}\n\n']),
        Reply(raw=[b"data: \xff\xfe\n\n"]),
        Reply(raw=[b"data: " + b"x" * 70_000] * 40),
        Reply(raw=[b"data: a\n" * 9000] * 40),
    ],
)
def test_what_is_no_stream_is_said_to_be_none(reply: Reply) -> None:
    with OpenAIServer(reply) as server, pytest.raises(ChatUnreadable):
        text(client(server))
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "reply",
    [
        Reply(raw=[b'data: {"error": {"message": "This model\'s maximum context length is 9", "code": 400}}\n\n']),
        Reply(status=400, body=b'{"object": "error", "message": "maximum context length is 9", "code": 400}'),
        Reply(status=400, body=b'{"error": {"message": "no", "code": "context_length_exceeded"}}'),
        Reply(status=400, body=TOO_LONG),
        Reply(raw=[b'data: {"error": {"type": "invalid_request_error", "code": "context_length_exceeded"}}\n\n']),
    ],
)
def test_a_prompt_that_is_too_long_is_told_apart(reply: Reply) -> None:
    with OpenAIServer(reply) as server, pytest.raises(ChatTooLong):
        text(client(server))


WORDS = st.binary(min_size=1, max_size=30).filter(lambda data: b"\n" not in data and b"\r" not in data)


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(WORDS | st.just(b""), WORDS)), st.randoms(use_true_random=False))
def test_events_do_not_depend_on_how_lines_end_nor_on_how_bytes_are_cut(
    events: list[tuple[bytes, bytes]], random: Any
) -> None:
    body, last = b"", b""
    for name, data in events:
        for line in (b": beat", b"event: " + name if name else b"id: 1", b"data: " + data, b""):
            # A line that is ended by CR is not followed by an empty one ended by LF: both together are one end.
            last = random.choice([b"\n", b"\r\n", b"\r"] if line or last != b"\r" else [b"\r\n", b"\r"])
            body += line + last
    reader, got, start = EventReader(), [], 0
    while start < len(body):
        stop = start + random.randint(0, 7)
        got += list(reader.feed(body[start:stop]))
        start = stop
    assert [*got, *reader.finish()] == events


def test_a_line_feed_behind_a_cut_line_end_is_taken_for_its_second_half_only_once() -> None:
    reader = EventReader()
    pieces = (b"data: a\r", b"\n", b"", b"\n", b"data: b\n\n")
    assert [event.data for piece in pieces for event in reader.feed(piece)] == [b"a", b"b"]
