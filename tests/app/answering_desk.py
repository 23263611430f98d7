"""An installation that answers with a chat model, for tests of what happens when the model is slow, busy or gone."""

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from app.bootstrap import Services, build_services
from app.main import create_app
from app.settings import AnswererName, AnswersSettings
from app.worker import run_until_idle
from model_runtime.fakes import HashingEmbedder
from tests.app.live_app import live
from tests.conftest import settings_in
from tests.fakes.openai_server import Reply

MANUAL = "Descaling the kettle. Fill the kettle with water and 50 ml of vinegar. The kettle boils at 100 degrees."
QUESTION = "How much vinegar does descaling the kettle take?"
ANSWER = ("Fill the kettle with water and 50 ml of vinegar [1].", " The kettle boils at 100 degrees [1].")
GOOD = Reply(ANSWER)
PATIENCE_S = 300.0  # of clients whose model is held up on purpose


class Gated:
    """A reply that goes on with small talk, so that no time-out strikes, until `gate` is opened."""

    def __init__(self, gate: threading.Event) -> None:
        self._gate = gate

    def __iter__(self) -> Iterator[str]:
        yield "It is so:"
        while not self._gate.wait(0.2):
            yield f" {secrets.token_hex(3)}"  # nothing that could pass for a model repeating itself
        yield f". {''.join(ANSWER)}"


@dataclass
class Desk:
    """The client, the services behind it, and conversations by their knowledge base's name."""

    client: httpx.Client
    services: Services

    def knowledge_base(self, name: str, **settings: Any) -> None:
        """A knowledge base with the manual."""
        self.client.post(
            "/api/knowledge-bases", json={"name": name, "settings": {"refuse_below": 0, **settings}}
        ).raise_for_status()
        files = [("files", ("manual.txt", MANUAL.encode()))]
        self.client.post(f"/api/knowledge-bases/{name}/documents", files=files).raise_for_status()
        run_until_idle(self.services)

    def conversation(self, name: str = "manuals") -> str:
        made = self.client.post("/api/conversations", json={"knowledge_base": name})
        return f"/api/conversations/{made.raise_for_status().json()['id']}"

    def ask(self, name: str = "manuals", text: str = QUESTION, **more: Any) -> httpx.Response:
        address = f"{self.conversation(name)}/messages"
        return self.client.post(address, json={"text": text, **more}, timeout=PATIENCE_S)

    def complete(self, name: str = "manuals", content: Any = QUESTION) -> httpx.Response:
        messages = [{"role": "user", "content": content}]
        return self.client.post("/v1/chat/completions", json={"model": name, "messages": messages})

    def metric(self, line_start: str) -> float:
        """The value of the metric whose line begins so."""
        lines = self.client.get("/metrics").text.splitlines()
        return float(next(line for line in lines if line.startswith(line_start)).rsplit(" ", 1)[1])


@contextmanager
def desk(folder: Path, base_url: str, *, sections: dict[str, Any] | None = None, **answers: Any) -> Iterator[Desk]:
    """A running service whose answers come from `base_url`, with one knowledge base, `manuals`."""
    answers = {
        "chat_model": "test",
        "stop_after_reader_left_s": 0.3,
        "lease_s": 1.0,
        "try_again_after_s": 0.3,
        "timeout_s": PATIENCE_S,
        **answers,
    }
    settings = settings_in(
        folder,
        answers=AnswersSettings(answerer=AnswererName.GENERATIVE, chat_base_url=base_url, **answers),
        **(sections or {}),
    )
    services = build_services(settings, embedder=HashingEmbedder())
    with live(create_app(services)) as client:
        opened = Desk(client, services)
        opened.knowledge_base("manuals")
        yield opened
