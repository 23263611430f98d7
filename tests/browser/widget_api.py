"""The widget's API as a script, behind a real server, and beside it the demonstration shop on an origin of its own.

For tests of what the widget does with whatever it is sent: hostile texts, silence, refusals, a server that goes away
and comes back. That the real API says the same shapes is what `test_widget_shop.py` is for.
"""

import asyncio
import io
import json
import threading
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn
from PIL import Image, ImageDraw
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from app.sample.shop.pages import Desk
from app.sample.shop.server import shop_site
from model_runtime.addresses import free_port
from tests.app.live_app import wait_until

FILES = Path(__file__).parents[2] / "ui" / "widget"
LONG_AGO = "2026-01-01T00:00:00Z"

CITATION = {
    "id": "citation-1",
    "marker": 1,
    "title": "Operating manual",
    "heading_path": ["Cleaning", "Descaling"],
    "page_label": "19",
    "pages": [21, 22],
    "quote": "Empty one bottle of DS-15 into the water tank.",
}


def message(role: str, text: str, **more: Any) -> dict[str, Any]:
    """As `VisitorMessage` goes out."""
    return {
        "id": str(uuid.uuid4()),
        "client_message_id": str(uuid.uuid4()),
        "role": role,
        "status": "answered",
        "kind": "answer" if role == "assistant" else None,
        "text": text,
        "citations": [],
        "choices": [],
        "products": [],
        "author": None,
        "rating": None,
        "created_at": LONG_AGO,
        **more,
    }


@dataclass
class Visitor:
    conversation_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    conversation: list[dict[str, Any]] = field(default_factory=list)
    change: int = 0
    hand_off: dict[str, Any] | None = None
    rated: bool = False
    listeners: set["asyncio.Queue[bytes | None]"] = field(default_factory=set)
    log: list[tuple[int, bytes]] = field(default_factory=list)


@dataclass
class WidgetApi:
    """`answer` is what every message gets, streamed in `pieces` with a pause before each."""

    site: dict[str, Any] = field(default_factory=dict)
    answer: dict[str, Any] = field(default_factory=dict)
    pieces: int = 4
    pause_s: float = 0.02
    refuse_messages: list[Response] = field(default_factory=list)
    requests: list[tuple[str, str, Any]] = field(default_factory=list)
    visitors: dict[str, Visitor] = field(default_factory=dict)  # by resume token, and by access token
    tokens: dict[str, Visitor] = field(default_factory=dict)
    loop: asyncio.AbstractEventLoop | None = None

    def app(self) -> Starlette:
        routes: list[BaseRoute] = [
            Route("/widget.js", self._file),
            Route("/widget/{name}", self._file),
            Route("/api/widget/sessions", self._sessions, methods=["POST"]),
            Route("/api/widget/conversations", self._conversations, methods=["POST"]),
            Route("/api/widget/messages", self._messages, methods=["POST"]),
            Route("/api/widget/events", self._events),
            Route("/api/widget/citations/{id}/page.png", self._page),
            Route("/api/widget/{rest:path}", self._noted, methods=["POST", "DELETE"]),
        ]
        every = ["*"]
        cors = Middleware(
            CORSMiddleware,
            allow_origins=every,
            allow_headers=every,
            allow_methods=every,
            expose_headers=["Retry-After"],
        )
        return Starlette(routes=routes, middleware=[cors])

    def tell(self, name: str, data: Any, visitor: Visitor | None = None) -> None:
        """Sends an event to a visitor's page, from the test's thread; by default to the only one there is."""
        told = visitor or next(iter(self.tokens.values()))
        assert self.loop is not None
        asyncio.run_coroutine_threadsafe(self._told(told, name, data), self.loop).result(5)

    def asked(self, path: str) -> list[Any]:
        """Bodies of the requests to a path."""
        return [body for _, at, body in self.requests if at == path]

    async def _told(self, visitor: Visitor, name: str, data: Any) -> None:
        number = ""
        if name == "hand_off":
            visitor.hand_off = dict(data)
        if name in ("message", "done"):
            visitor.change += 1
            number = f"id: {visitor.change}\n"
            known = [each for each in visitor.conversation if each["id"] == data["id"]]
            if known:
                known[0].update(data)
            else:
                visitor.conversation.append(dict(data))
        encoded = f"event: {name}\n{number}data: {json.dumps(data)}\n\n".encode()
        if number:
            visitor.log.append((visitor.change, encoded))
        for listener in visitor.listeners:
            listener.put_nowait(encoded)

    async def _file(self, request: Request) -> Response:
        return FileResponse(FILES / Path(request.path_params.get("name", "widget.js")).name)

    async def _sessions(self, request: Request) -> Response:
        self.loop = asyncio.get_running_loop()
        body = await request.json()
        self.requests.append(("POST", "sessions", body))
        visitor = self.visitors.pop(body["resume"], None) if "resume" in body else Visitor()
        if visitor is None:
            return JSONResponse({"error": {"code": "unauthorized", "message": "used before"}}, 401)
        resume = uuid.uuid4().hex
        self.visitors[resume] = visitor
        return JSONResponse(self._session(visitor, resume))

    async def _conversations(self, request: Request) -> Response:
        old = self._visitor(request)
        assert old is not None
        new = Visitor()
        for resume, each in self.visitors.items():
            if each is old:
                self.visitors[resume] = new
        return JSONResponse(self._session(new, None))

    def _session(self, visitor: Visitor, resume: str | None) -> dict[str, Any]:
        token = uuid.uuid4().hex
        self.tokens = {token: visitor, **self.tokens}
        site = {"name": "shop", "title": "", "language": "auto", "greeting": "", "theme": {}, **self.site}
        return {
            "token": token,
            "expires_at": LONG_AGO,
            "resume": resume,
            "visitor_id": "visitor",
            "conversation_id": visitor.conversation_id,
            "site": site,
            "change": visitor.change,
            "handler": "assistant",
            "agent": None,
            "hand_off": visitor.hand_off,
            "rated": visitor.rated,
            "messages": visitor.conversation,
        }

    async def _messages(self, request: Request) -> Response:
        visitor = self._visitor(request)
        if visitor is None:
            return Response(status_code=401)
        body = await request.json()
        self.requests.append(("POST", "messages", body))
        if self.refuse_messages:
            return self.refuse_messages.pop(0)
        if all(each["client_message_id"] != body["client_message_id"] for each in visitor.conversation):
            asked = message("customer", body["text"], client_message_id=body["client_message_id"], status="received")
            await self._told(visitor, "message", asked)
            asyncio.get_running_loop().create_task(self._answered(visitor))
        return StreamingResponse(_nothing(), media_type="text/event-stream")

    async def _answered(self, visitor: Visitor) -> None:
        if not self.answer:
            return
        whole = {**message("assistant", "Empty one bottle into the tank. [1]", citations=[CITATION]), **self.answer}
        whole["id"] = str(uuid.uuid4())
        await self._told(visitor, "message", {**whole, "text": "", "citations": [], "status": "answering"})
        size = max(1, len(whole["text"]) // self.pieces)
        for start in range(0, len(whole["text"]), size):
            await asyncio.sleep(self.pause_s)
            piece = whole["text"][start : start + size]
            await self._told(visitor, "token", {"message_id": whole["id"], "text": piece})
        for citation in whole["citations"]:
            await self._told(visitor, "citation", {"message_id": whole["id"], "citation": citation})
        await self._told(visitor, "done", whole)

    async def _events(self, request: Request) -> Response:
        visitor = self._visitor(request)
        if visitor is None:
            return Response(status_code=401)
        after = int(request.headers["last-event-id"])
        queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        for change, encoded in visitor.log:
            if change > after:
                queue.put_nowait(encoded)
        if visitor.hand_off is not None:  # what is so at the moment is told to whoever begins to listen
            queue.put_nowait(f"event: hand_off\ndata: {json.dumps(visitor.hand_off)}\n\n".encode())
        visitor.listeners.add(queue)
        return StreamingResponse(_stream(visitor, queue), media_type="text/event-stream")

    async def _page(self, request: Request) -> Response:
        self.requests.append(("GET", "page", dict(request.query_params)))
        if self._visitor(request) is None:
            return Response(status_code=401)
        picture = Image.new("RGB", (600, 850), "white")
        ImageDraw.Draw(picture).rectangle((60, 200, 540, 240), fill="#ffe58f")
        encoded = io.BytesIO()
        picture.save(encoded, "png")
        return Response(encoded.getvalue(), media_type="image/png")

    async def _noted(self, request: Request) -> Response:
        body = await request.body()
        path = request.path_params["rest"]
        self.requests.append((request.method, path, json.loads(body) if body else None))
        visitor = self._visitor(request)
        if path == "rating" and visitor is not None:
            visitor.rated = True
        return JSONResponse({}) if path == "rating" or path.endswith("feedback") else Response(status_code=204)

    def _visitor(self, request: Request) -> Visitor | None:
        return self.tokens.get(request.headers.get("authorization", "").removeprefix("Bearer "))


async def _nothing() -> AsyncIterator[bytes]:
    yield b": kept\n\n"


async def _stream(visitor: Visitor, queue: "asyncio.Queue[bytes | None]") -> AsyncIterator[bytes]:
    try:
        yield b"retry: 1000\n\n"
        while (event := await queue.get()) is not None:
            yield event
    finally:
        visitor.listeners.discard(queue)


class Serving:
    """An application on a port that stays the same when it is stopped and started again."""

    def __init__(self, app: Starlette) -> None:
        self._app = app
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        config = uvicorn.Config(
            self._app, port=self.port, log_level="critical", lifespan="off", timeout_graceful_shutdown=0
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        wait_until(lambda: self._server.started)

    def stop(self) -> None:
        self._server.should_exit = True
        self._server.force_exit = True
        self._thread.join(10)


@dataclass
class Stage:
    """The script, its server, and the shop's address."""

    api: WidgetApi
    serving: Serving
    shop: str


@contextmanager
def stage(script: WidgetApi) -> Iterator[Stage]:
    serving = Serving(script.app())
    shop = Serving(shop_site(Desk(serving.address, "shop"), "secret-of-the-shop"))
    try:
        yield Stage(script, serving, shop.address)
    finally:
        serving.stop()
        shop.stop()
