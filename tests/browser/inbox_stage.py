"""The inbox in a real browser without Streamlit's server: a page that frames the component as Streamlit does.

The API behind it is the real one with a scripted chain. Pages and API have different origins, as in an installation.
"""

import json
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from hashlib import sha256
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
from playwright.sync_api import Browser, BrowserContext, FrameLocator, Page

from app.db import Database
from app.main import create_app
from app.models import new_id, now
from app.service.tables import Account, AccountSession
from app.service.turn import HandOffReason, HandOffWanted, ServiceAnswer
from app.settings import UiSettings
from rag.types import AnswerEvent, AnswerKind, Finished, Question
from tests.app.live_app import Script, ScriptedServices, live, new_conversation, patient
from tests.conftest import settings_in

COMPONENT = Path(__file__).parents[2] / "ui" / "inbox_component"
PARENT = b"""<!doctype html><meta charset=utf-8><title>Inbox</title>
<style>body{margin:0}iframe{border:0;width:100%;height:100vh;display:block}</style>
<script>
const given = JSON.parse(decodeURIComponent(location.hash.slice(1)));
addEventListener("message", ({data, source}) => {
  if (data.type === "streamlit:componentReady") source.postMessage({type: "streamlit:render", ...given}, "*");
});
</script><iframe src="/index.html" title="Inbox"></iframe>"""


class Hands(Script):
    """Answers with the script, and hands over who asks for a person."""

    def stream(self, question: Question) -> Iterator[AnswerEvent]:
        if "person" not in question.text:
            yield from super().stream(question)
            return
        wanted = HandOffWanted(HandOffReason.ASKED_FOR)
        yield Finished(
            ServiceAnswer(AnswerKind.HAND_OFF, "A person comes.", (), (), "", "scripted", None, {}, {}, hand_off=wanted)
        )


class Pages(SimpleHTTPRequestHandler):
    """The component's files, and the page around them."""

    def do_GET(self) -> None:
        if self.path != "/":
            super().do_GET()
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(PARENT)))
        self.end_headers()
        self.wfile.write(PARENT)

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing on the terminal."""


@dataclass
class Agent:
    """Somebody's browser window with the inbox open."""

    name: str
    context: BrowserContext
    page: Page
    alarms: list[str]

    @property
    def inbox(self) -> FrameLocator:
        return self.page.frame_locator("iframe")


@dataclass
class Stage:
    """A running service with customers and agents."""

    client: httpx.Client
    database: Database
    browser: Browser
    pages: str

    def sign_in(self, name: str, role: str = "agent") -> dict[str, str]:
        """The headers of a new account that has signed in."""
        token = f"ads_{secrets.token_urlsafe(32)}"
        row = Account(id=new_id(), email=f"{name.lower()}@example.org", name=name, role=role, groups=[])
        row.password_hash = ""
        expires = now() + timedelta(hours=1)
        with self.database.write() as session:
            session.add(row)
            session.flush()
            digest = sha256(token.encode()).hexdigest()
            session.add(AccountSession(token_hash=digest, account_id=row.id, expires_at=expires))
        return {"Authorization": f"Bearer {token}"}

    def post(self, path: str, headers: dict[str, str], **body: Any) -> Any:
        response = self.client.post(path, headers=headers, json=body)
        assert response.is_success, response.text
        return response.json() if response.content else None

    def waits(self, customer: dict[str, str], *before: str) -> str:
        """The address of a new conversation of the customer's, who has asked for a person."""
        created = self.post("/api/conversations", customer, knowledge_base="manuals")
        path = f"/api/conversations/{created['id']}"
        for said in (*before, "I want a person"):
            self.post(f"{path}/messages", customer, text=said)
        return path

    def said(self, path: str, customer: dict[str, str]) -> list[dict[str, Any]]:
        """The conversation's messages as its customer gets them."""
        messages: list[dict[str, Any]] = self.client.get(path, headers=customer).json()["messages"]
        return messages

    @contextmanager
    def agent(
        self, name: str, language: str = "en", *, dark: bool = False, width: int = 1280, height: int = 800
    ) -> Iterator[Agent]:
        """A new account with the inbox open. Fails on scripts' errors, dialogs, and requests to anywhere else."""
        headers = self.sign_in(name)
        account = self.client.get("/api/auth/me", headers=headers).json()["account"]
        given = {
            "args": {
                "api": str(self.client.base_url),
                "token": headers["Authorization"].removeprefix("Bearer "),
                "account": {key: account[key] for key in ("id", "name", "groups")},
                "language": language,
            },
            "theme": {"base": "dark" if dark else "light"},
        }
        context = self.browser.new_context(viewport={"width": width, "height": height})
        page = context.new_page()
        alarms: list[str] = []
        ours = (self.pages, str(self.client.base_url), "data:", "blob:")
        page.on("pageerror", lambda error: alarms.append(f"error: {error}"))
        page.on("dialog", lambda dialog: (alarms.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: None if request.url.startswith(ours) else alarms.append(request.url))
        page.goto(f"{self.pages}/#{quote(json.dumps(given))}")
        try:
            yield Agent(name, context, page, alarms)
            assert not alarms
        finally:
            context.close()


@contextmanager
def stage(folder: Path, browser: Browser) -> Iterator[Stage]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Pages, directory=str(COMPONENT)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    port = server.server_address[1]
    settings = settings_in(folder, None, answers=patient(), ui=UiSettings(port=port))
    services = ScriptedServices(settings, Hands())
    try:
        with live(create_app(services)) as client:
            new_conversation(client)  # makes the knowledge base, while everybody may
            yield Stage(client, services.database, browser, f"http://127.0.0.1:{port}")
    finally:
        server.shutdown()
        server.server_close()
