"""A shop with a widget: a live service, a knowledge base with public and internal documents, sites and visitors."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from app.bootstrap import Services, build_services
from app.main import create_app
from app.models import new_id
from app.settings import WidgetSettings
from app.worker import run_until_idle
from model_runtime.fakes import HashingEmbedder
from tests.app.live_app import live, patient
from tests.conftest import settings_in

ORIGIN = "https://shop.example"
OTHER_ORIGIN = "https://outlet.example"
FOREIGN = "https://evil.example"
PUBLIC_TEXT = "Descaling the kettle. Fill the kettle with water and 50 ml of vinegar. The kettle boils at 100 degrees."
INTERNAL_TEXT = "Margins of the kettle. The secret purchase price of the kettle is ORCHID-7 euros, paid to Vexlor."
SECRETS = ("ORCHID", "Vexlor", "purchase price", "margins")
QUESTION = "How much vinegar does descaling the kettle take?"
GENEROUS = WidgetSettings(
    sessions_per_minute=100_000,
    requests_per_minute=1_000_000,
    messages_per_minute=10_000,
    address_messages_per_minute=1_000_000,
)


@dataclass
class Page:
    """A page of a site in a visitor's browser."""

    client: httpx.Client
    origin: str
    session: dict[str, Any]

    @property
    def headers(self) -> dict[str, str]:
        return {"Origin": self.origin, "Authorization": f"Bearer {self.session['token']}"}

    def request(self, method: str, path: str, **more: Any) -> httpx.Response:
        headers = {**self.headers, **more.pop("headers", {})}
        return self.client.request(method, f"/api/widget/{path}", headers=headers, **more)

    def say(self, text: str = QUESTION, **more: Any) -> httpx.Response:
        return self.request("POST", "messages", json={"text": text, "client_message_id": new_id(), **more})

    def say_streaming(self, text: str = QUESTION) -> httpx.Response:
        """The events of the answer, when it has ended."""
        sent = {"text": text, "client_message_id": new_id()}
        return self.request("POST", "messages", json=sent, headers={"Accept": "text/event-stream"})

    def ask(self, text: str = QUESTION, **more: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self.say(text, **more).raise_for_status().json()
        return answer


@dataclass
class Shop:
    """`client` is the admin's."""

    client: httpx.Client
    services: Services
    documents: dict[str, str] = field(default_factory=dict)  # ids by external id
    site: dict[str, Any] = field(default_factory=dict)

    def upload(self, name: str, content: str | bytes, **fields: str) -> None:
        raw = content.encode() if isinstance(content, str) else content
        address = "/api/knowledge-bases/manuals/documents"
        self.client.post(address, files=[("files", (name, raw))], data=fields).raise_for_status()
        run_until_idle(self.services)
        listed = self.client.get(address).raise_for_status().json()["documents"]
        self.documents = {each["external_id"]: each["id"] for each in listed}

    def document(self, external_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.client.get(f"/api/documents/{self.documents[external_id]}").json()
        return found

    def mark(self, external_id: str, is_public: bool) -> None:
        address = f"/api/documents/{self.documents[external_id]}"
        self.client.patch(address, json={"is_public": is_public}).raise_for_status()

    def new_site(self, **more: Any) -> dict[str, Any]:
        new = {"name": new_id(), "knowledge_base": "manuals", "origins": [ORIGIN, OTHER_ORIGIN], **more}
        made: dict[str, Any] = self.client.post("/api/sites", json=new).raise_for_status().json()
        return made

    def begin(
        self, *, origin: str | None = ORIGIN, headers: dict[str, str] | None = None, **body: Any
    ) -> httpx.Response:
        sent = {"site": self.site["id"], **body}
        own = {} if origin is None else {"Origin": origin}
        return self.client.post("/api/widget/sessions", json=sent, headers={**own, **(headers or {})})

    def visit(self, origin: str = ORIGIN, **body: Any) -> Page:
        return Page(self.client, origin, self.begin(origin=origin, **body).raise_for_status().json())


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


@contextmanager
def shop(folder: Path, **sections: Any) -> Iterator[Shop]:
    """A live service with one public and one internal document, and a site of two origins."""
    settings = settings_in(folder, **{"answers": patient(), "widget": GENEROUS, **sections})
    services = build_services(settings, embedder=HashingEmbedder())
    with live(create_app(services)) as client:
        opened = Shop(client, services)
        base = {"name": "manuals", "settings": {"refuse_below": 0, "doubt_below": 0}}
        client.post("/api/knowledge-bases", json=base).raise_for_status()
        opened.upload("kettle.txt", PUBLIC_TEXT, is_public="true", facets=json.dumps({"product": "LT-300 Basic"}))
        opened.upload("margins.txt", INTERNAL_TEXT, facets=json.dumps({"product": "LT-300 Orchid"}))
        opened.site = opened.new_site(name="shop")
        yield opened
