"""A server that speaks just enough of the OpenAI chat API, with replies written beforehand.

For tests of whatever talks to a chat model over HTTP. Standard library only; runs in a thread on a free port.
"""

import json
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any


@dataclass
class Reply:
    """Pieces to stream (or to join), after each of which the server pauses; or an error status."""

    pieces: Sequence[str] = ()
    pause: float = 0.0
    status: int = 200
    broken_after: int | None = None
    """Cuts the connection after so many pieces."""


@dataclass
class OpenAIServer:
    """Answers every request with `reply`. `requests` are the bodies received; `sent` counts streamed pieces."""

    reply: Reply = field(default_factory=Reply)
    requests: list[dict[str, Any]] = field(default_factory=list)
    sent: int = 0
    hung_up: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "OpenAIServer":
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_for(self))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"


def _handler_for(server: OpenAIServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # with chunks, so that a client can tell a cut connection from the end

        def log_message(self, format: str, *arguments: object) -> None:
            """Nothing on the terminal."""

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            server.requests.append(body)
            reply = server.reply
            if reply.status != 200:
                self._json(reply.status, {"error": {"message": "scripted failure", "type": "test", "code": None}})
            elif body.get("stream"):
                self._stream(body["model"], reply)
            else:
                message = {"role": "assistant", "content": "".join(reply.pieces)}
                choice = {"index": 0, "message": message, "finish_reason": "stop"}
                self._json(200, {"id": "1", "object": "chat.completion", "model": body["model"], "choices": [choice]})

        def _json(self, status: int, value: object) -> None:
            content = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def _stream(self, model: str, reply: Reply) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            try:
                for number, piece in enumerate(reply.pieces):
                    if number == reply.broken_after:
                        self.connection.shutdown(2)
                        return
                    self._event(model, {"content": piece}, None)
                    server.sent += 1
                    time.sleep(reply.pause)
                self._event(model, {}, "stop")
                self._chunk(b"data: [DONE]\n\n")
                self._chunk(b"")
            except (BrokenPipeError, ConnectionResetError):
                server.hung_up.set()

        def _event(self, model: str, delta: dict[str, str], finish_reason: str | None) -> None:
            choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
            chunk = {"id": "1", "object": "chat.completion.chunk", "model": model, "created": 0, "choices": [choice]}
            self._chunk(f"data: {json.dumps(chunk)}\n\n".encode())

        def _chunk(self, content: bytes) -> None:
            self.wfile.write(f"{len(content):x}\r\n".encode() + content + b"\r\n")
            self.wfile.flush()

    return Handler
