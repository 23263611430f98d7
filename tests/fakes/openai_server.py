"""A server that speaks just enough of the OpenAI chat API, with replies written beforehand, bad ones included.

For tests of whatever talks to a chat model over HTTP. Standard library only; runs in a thread on a free port.
"""

import json
import select
import socket
import struct
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

ENGINE_DEAD = (
    b'{"error": {"message": "EngineCore encountered an issue. See stack trace (above) for the root cause.", '
    b'"type": "InternalServerError", "param": null, "code": 500}}'
)
"""What vLLM says of a dead engine: as a body with status 500, or, once it has begun to stream, as an event's data."""

TOO_LONG = (
    b'{"error": {"message": "This model\'s maximum context length is 4096 tokens. However, you requested 700 output '
    b"tokens and your prompt contains at least 3397 input tokens, for a total of at least 4097 tokens. Please reduce "
    b'the length of the input prompt or the number of requested output tokens.", "type": "BadRequestError", '
    b'"param": "input_tokens", "code": 400}}'
)
"""vLLM's body, with status 400, for a prompt that leaves no room for the answer."""


@dataclass
class Reply:
    """Pieces to stream (or to join), after each of which the server pauses; or an error status.

    queueing, prefill: seconds of silence before the headers and behind them. raw: bytes sent as the stream's body in
    place of the pieces. usage: token counts, sent when they are asked for.
    """

    pieces: Sequence[str] = ()
    pause: float = 0.0
    status: int = 200
    broken_after: int | None = None
    """Cuts the connection after so many pieces."""
    queueing: float = 0.0
    prefill: float = 0.0
    raw: Sequence[bytes] | None = None
    media_type: str = "text/event-stream"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b'{"error": {"message": "scripted failure", "type": "test", "code": null}}'
    usage: Mapping[str, Any] | None = None
    reset: bool = False
    """Resets the connection instead of replying."""


@dataclass
class OpenAIServer:
    """Answers with `replies` in turn, then always with `reply`.

    `requests` are the bodies received, `request_headers` what came with them; `sent` counts streamed pieces;
    `hung_up` is set when a client has left, in the middle of a silence too.
    """

    reply: Reply = field(default_factory=Reply)
    replies: list[Reply] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)
    request_headers: list[dict[str, str]] = field(default_factory=list)
    sent: int = 0
    hung_up: threading.Event = field(default_factory=threading.Event)
    port: int = 0
    """Where it listens; 0 is any free port."""

    def reply_to(self, body: Mapping[str, Any]) -> Reply:
        """What is answered to this request."""
        return self.replies.pop(0) if self.replies else self.reply

    def __enter__(self) -> "OpenAIServer":
        self._connections: set[socket.socket] = set()
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), _handler_for(self))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.kill()

    def kill(self) -> None:
        """Ends as a killed process does: nothing listens any more, and every connection is closed."""
        self._server.shutdown()
        self._server.server_close()
        for connection in list(self._connections):
            with suppress(OSError):  # closed already
                connection.shutdown(socket.SHUT_RDWR)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"


def _handler_for(server: OpenAIServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # with chunks, so that a client can tell a cut connection from the end

        def log_message(self, format: str, *arguments: object) -> None:
            """Nothing on the terminal."""

        def setup(self) -> None:
            super().setup()
            server._connections.add(self.connection)

        def finish(self) -> None:
            server._connections.discard(self.connection)
            with suppress(OSError):  # the client is gone
                super().finish()

        def do_GET(self) -> None:
            self._whole(200, b'{"object": "list", "data": []}', Reply())

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            server.requests.append(body)
            server.request_headers.append(dict(self.headers))
            reply = server.reply_to(body)
            try:
                self._answer(body, reply)
            except (BrokenPipeError, ConnectionResetError):
                server.hung_up.set()
                self.close_connection = True

        def _answer(self, body: dict[str, Any], reply: Reply) -> None:
            self._silence(reply.queueing)
            if reply.reset:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
                self.close_connection = True
            elif reply.status != 200:
                self._whole(reply.status, reply.body, reply)
            elif body.get("stream"):
                self._stream(body, reply)
            else:
                message = {"role": "assistant", "content": "".join(reply.pieces)}
                choice = {"index": 0, "message": message, "finish_reason": "stop"}
                value = {"id": "1", "object": "chat.completion", "model": body["model"], "choices": [choice]}
                self._whole(200, json.dumps(value).encode(), reply)

        def _whole(self, status: int, content: bytes, reply: Reply) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def _stream(self, body: dict[str, Any], reply: Reply) -> None:
            self.send_response(200)
            self.send_header("Content-Type", reply.media_type)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self._silence(reply.prefill)
            if reply.raw is not None:
                for piece in reply.raw:
                    self._chunk(piece)
                    self._silence(reply.pause)
                self._chunk(b"")
                return
            for number, piece in enumerate(reply.pieces):
                if number == reply.broken_after:
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                self._event(body["model"], {"content": piece}, None)
                server.sent += 1
                self._silence(reply.pause)
            self._event(body["model"], {}, "stop")
            if reply.usage is not None and body.get("stream_options", {}).get("include_usage"):
                self._chunk(f"data: {json.dumps({'choices': [], 'usage': dict(reply.usage)})}\n\n".encode())
            self._chunk(b"data: [DONE]\n\n")
            self._chunk(b"")

        def _silence(self, seconds: float) -> None:
            """Waits, unless the client leaves meanwhile."""
            until = time.monotonic() + seconds
            while (left := until - time.monotonic()) > 0:
                readable, _, _ = select.select([self.connection], [], [], left)
                if readable and not self.connection.recv(1, socket.MSG_PEEK):
                    raise ConnectionResetError("the client has left")

        def _event(self, model: str, delta: dict[str, str], finish_reason: str | None) -> None:
            choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
            chunk = {"id": "1", "object": "chat.completion.chunk", "model": model, "created": 0, "choices": [choice]}
            self._chunk(f"data: {json.dumps(chunk)}\n\n".encode())

        def _chunk(self, content: bytes) -> None:
            self.wfile.write(f"{len(content):x}\r\n".encode() + content + b"\r\n")
            self.wfile.flush()

    return Handler
