"""Reading server-sent events, and what becomes of refusals."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ui.client import ApiClient, ApiError, Event, events

TEXTS = st.dictionaries(st.text(max_size=5), st.text(max_size=20), max_size=3)  # with U+2028, U+0085 and the like


@given(st.lists(st.tuples(st.sampled_from(["message", "token", "done"]), TEXTS), max_size=5), st.data())
def test_events_survive_any_cut_of_the_stream(sent: list[tuple[str, dict[str, str]]], data: st.DataObject) -> None:
    end = data.draw(st.sampled_from(["\n", "\r\n"]))
    stream = ": still here\n\nretry: 1000\n\n" + "".join(
        f"event: {name}{end}id: 7{end}data: {json.dumps(value, ensure_ascii=False)}{end}{end}" for name, value in sent
    )
    content = stream.encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(content)), max_size=6)))
    chunks = [content[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(content)], strict=True)]
    assert list(events(chunks)) == [Event(name, value) for name, value in sent]


def test_an_event_that_breaks_off_is_none() -> None:
    assert list(events([b'event: token\ndata: {"text": "a"}\n\nevent: token\ndata: {"te'])) == [
        Event("token", {"text": "a"})
    ]


def test_data_lines_of_one_event_belong_together() -> None:
    assert list(events([b'data: {"text":\ndata: "a"}\n\n'])) == [Event("message", {"text": "a"})]


class Refusing(BaseHTTPRequestHandler):
    body = b""

    def do_GET(self) -> None:
        self.send_response(409)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing on the terminal."""


@pytest.fixture
def refusing() -> Iterator[ApiClient]:
    server = HTTPServer(("127.0.0.1", 0), Refusing)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield ApiClient(f"http://127.0.0.1:{server.server_address[1]}", None)
    server.shutdown()
    server.server_close()


def test_refusals_carry_the_apis_message(refusing: ApiClient) -> None:
    Refusing.body = b'{"error": {"code": "conflict", "message": "The name is taken.", "details": {"name": "a"}}}'
    with pytest.raises(ApiError, match=r"^The name is taken\.$") as caught:
        refusing.knowledge_bases()
    assert (caught.value.code, caught.value.status, caught.value.details) == ("conflict", 409, {"name": "a"})
    assert not caught.value.is_unreachable


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"error": "no"}', b'{"detail": "x"}'])
def test_refusals_of_another_shape_still_say_something(refusing: ApiClient, body: bytes) -> None:
    Refusing.body = body
    with pytest.raises(ApiError, match="status 409"):
        refusing.knowledge_bases()


def test_nobody_there() -> None:
    client = ApiClient("http://127.0.0.1:9", None)
    assert not client.is_reachable()
    with pytest.raises(ApiError) as caught:
        client.knowledge_bases()
    assert caught.value.is_unreachable
