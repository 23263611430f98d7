"""Fifty conversations at once on the widget's API while API, worker and runtime are each killed twice and come back.

Afterwards every message that a visitor sent is there once, has one answer or one apology, and nobody has seen a word
that was written to or by somebody else: neither in what a request returned nor in the events that each visitor listens
to all the while. Each message carries a ticket of letters, and the model's answer repeats the ticket that it was asked
about. Visitors go on writing until the last process has been killed and started again.
"""

import json
import random
import re
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from os import killpg
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.processes import Child, python_child, stop_all, wait_until_answering
from model_runtime.addresses import free_port

VISITORS = 50
MESSAGES = 4
KILLS = 2
ORIGIN = "https://shop.example"
MANUAL = "# Reset\n\nTo reset it, hold the button for five seconds, then wait until the light is green.\n"
_TICKET = re.compile(r"ticket ([a-z]+)")
_PATIENCE_S = 240.0
_HEARTBEAT_S = 30.0  # no line for so long, and the visitor connects anew


@dataclass
class Visitor:
    """Talks to the widget's API as the widget does: what was not acknowledged is sent again, under the same id."""

    number: int
    address: str
    site: str
    deadline: float
    kills_are_over: threading.Event
    everything_is_over: threading.Event = field(default_factory=threading.Event)
    token: str = ""
    resume: str | None = None
    conversation: str = ""
    seen: list[str] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)
    answered_in_events: set[str] = field(default_factory=set)
    connections: int = 0

    def talk(self) -> None:
        draw = random.Random(self.number)
        while len(self.sent) < MESSAGES or not self.kills_are_over.is_set():
            ticket = _letters(self.number * 1000 + len(self.sent))
            self.sent.append(ticket)
            body = {"text": f"How do I reset it? It is about ticket {ticket}", "client_message_id": ticket}
            self._see(self._patiently("POST", "/api/widget/messages", json=body))
            time.sleep(draw.uniform(0.1, 1.5))

    def conversation_now(self) -> dict[str, Any]:
        """As the visitor sees it, when every message has been answered."""
        while True:
            found: dict[str, Any] = self._patiently("GET", "/api/widget/conversation").json()
            if all(each["status"] not in ("answering", "stopped") for each in found["messages"]):
                self._see_text(str(found))
                return found
            assert time.monotonic() < self.deadline, found["messages"]
            time.sleep(0.3)

    def listen(self) -> None:
        """Keeps a stream of events open, and takes it up again where it broke off."""
        after = 0
        while not self.everything_is_over.is_set():
            headers = {"Origin": ORIGIN, "Authorization": f"Bearer {self.token}", "Last-Event-ID": str(after)}
            try:
                with httpx.stream(
                    "GET", f"{self.address}/api/widget/events", headers=headers, timeout=_HEARTBEAT_S
                ) as stream:
                    if stream.status_code != 200:
                        continue
                    self.connections += 1
                    for line in stream.iter_lines():
                        if line.startswith("id: "):
                            after = int(line.removeprefix("id: "))
                        self._see_text(line)
                        self._note_answer(line)
                        if self.everything_is_over.is_set():
                            return
            except httpx.TransportError:
                time.sleep(0.2)

    def wait_for_events(self) -> None:
        """Until the events have brought every answer; then listening ends."""
        while self.answered_in_events != set(self.sent):
            assert time.monotonic() < self.deadline, set(self.sent) - self.answered_in_events
            time.sleep(0.1)
        self.everything_is_over.set()

    def _note_answer(self, line: str) -> None:
        said = json.loads(line.removeprefix("data: ")) if line.startswith("data: {") else {}
        if said.get("role") == "assistant" and said["status"] in ("answered", "failed"):
            self.answered_in_events.add(said["client_message_id"])

    def begin(self) -> None:
        body = {"site": self.site, **({"resume": self.resume} if self.resume else {})}
        begun = self._patiently("POST", "/api/widget/sessions", json=body).json()
        assert self.conversation in ("", begun["conversation_id"]), "another conversation than before"
        self.token, self.resume, self.conversation = begun["token"], begun["resume"], begun["conversation_id"]

    def _patiently(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        while True:
            assert time.monotonic() < self.deadline, f"visitor {self.number} got no answer to {method} {path}"
            try:
                headers = {"Origin": ORIGIN, **({"Authorization": f"Bearer {self.token}"} if self.token else {})}
                answer = httpx.request(method, f"{self.address}{path}", headers=headers, timeout=60, **arguments)
            except httpx.TransportError:
                time.sleep(0.2)
                continue
            if answer.status_code in (429, 503):  # busy, or an apology: the conversation says which
                if "message" in answer.json()["error"]["details"]:
                    return answer
                time.sleep(0.3)
                continue
            assert answer.status_code < 300, answer.text
            return answer

    def _see(self, answer: httpx.Response) -> None:
        self._see_text(answer.text)

    def _see_text(self, text: str) -> None:
        self.seen.extend(_TICKET.findall(text))


def _letters(number: int) -> str:
    """A word of letters alone for each number; no two share one."""
    return "q" + "".join(chr(ord("a") + int(digit)) for digit in f"{number:06d}") + "z"


@contextmanager
def _product(home: Path) -> Iterator[tuple[str, dict[str, Child]]]:
    port, model_port = free_port(), free_port()
    environment = {
        "ANSWERDESK_HOME": str(home),
        "ANSWERDESK_SERVER__PORT": str(port),
        "ANSWERDESK_ANSWERS__ANSWERER": "generative",
        "ANSWERDESK_ANSWERS__CHAT_MODEL": "repeating",
        "ANSWERDESK_ANSWERS__CHAT_BASE_URL": f"http://127.0.0.1:{model_port}/v1",
        "ANSWERDESK_ANSWERS__CHAT_API_KEY": "none",
        "ANSWERDESK_ANSWERS__MAX_RUNNING": "16",
        "ANSWERDESK_ANSWERS__MAX_WAITING": "200",
        "ANSWERDESK_ANSWERS__WHEN_UNAVAILABLE": "extractive",
        "ANSWERDESK_ANSWERS__TRY_AGAIN_AFTER_S": "1",
        "ANSWERDESK_ANSWERS__LEASE_S": "4",
        "ANSWERDESK_CACHES__ANSWERS_MB": "0",
        # All visitors have one address here.
        "ANSWERDESK_WIDGET__SESSIONS_PER_MINUTE": "100000",
        "ANSWERDESK_WIDGET__REQUESTS_PER_MINUTE": "1000000",
        "ANSWERDESK_WIDGET__MESSAGES_PER_MINUTE": "10000",
        "ANSWERDESK_WIDGET__SITE_MESSAGES_PER_MINUTE": "1000000",
        "ANSWERDESK_WIDGET__ADDRESS_MESSAGES_PER_MINUTE": "1000000",
        "ANSWERDESK_WIDGET__STREAMS_PER_ADDRESS": "100000",
        "ANSWERDESK_RETRIEVAL__DICTIONARY": "false",
    }
    children = {
        "runtime": python_child("runtime", ["tests.chaos.runtime", str(model_port)], home / "logs", environment),
        "api": python_child("api", ["tests.chaos.product", "serve"], home / "logs", environment),
        "worker": python_child("worker", ["tests.chaos.product", "worker"], home / "logs", environment),
    }
    address = f"http://127.0.0.1:{port}"
    try:
        children["runtime"].start()
        children["api"].start()
        wait_until_answering(f"{address}/health", [children["api"]])
        children["worker"].start()
        yield address, children
    finally:
        stop_all(list(children.values()))


def _prepare(address: str) -> str:
    with httpx.Client(base_url=address, timeout=60) as admin:
        created = admin.post("/api/knowledge-bases", json={"name": "kettle", "settings": {"service": {}}})
        knowledge_base = created.raise_for_status().json()["id"]
        path = f"/api/knowledge-bases/{knowledge_base}/documents"
        admin.post(path, files={"files": ("reset.md", MANUAL.encode())}).raise_for_status()
        documents: list[dict[str, Any]] = []
        while not documents or not all(each["status"] == "ready" for each in documents):
            time.sleep(0.2)
            documents = admin.get(path).raise_for_status().json()["documents"]
        for each in documents:
            admin.patch(f"/api/documents/{each['id']}", json={"is_public": True}).raise_for_status()
        site = {"name": "shop", "knowledge_base": knowledge_base, "origins": [ORIGIN]}
        site_id: str = admin.post("/api/sites", json=site).raise_for_status().json()["id"]
        return site_id


def _kill_all(address: str, children: dict[str, Child], draw: random.Random, is_over: threading.Event) -> Counter[str]:
    """Each process `KILLS` times, in any order, and starts it again after a moment."""
    kills: Counter[str] = Counter()
    order = [name for name in children for _ in range(KILLS)]
    draw.shuffle(order)
    for name in order:
        time.sleep(draw.uniform(0.5, 2.0))
        child = children[name]
        assert child.process is not None
        killpg(child.process.pid, signal.SIGKILL)
        child.process.wait()
        kills[name] += 1
        time.sleep(draw.uniform(0.1, 1.0))
        child.start()
    wait_until_answering(f"{address}/health", [children["api"]])
    is_over.set()
    return kills


def test_nothing_is_lost_answered_twice_or_seen_by_others(tmp_path: Path) -> None:
    draw = random.Random(20261122)
    with _product(tmp_path) as (address, children), ThreadPoolExecutor(2 * VISITORS + 1) as pool:
        site = _prepare(address)
        deadline = time.monotonic() + _PATIENCE_S
        kills_are_over = threading.Event()
        visitors = [Visitor(number, address, site, deadline, kills_are_over) for number in range(VISITORS)]
        list(pool.map(Visitor.begin, visitors))
        listening = [pool.submit(each.listen) for each in visitors]
        talking = [pool.submit(each.talk) for each in visitors]
        kills = _kill_all(address, children, draw, kills_are_over)
        for each in talking:
            each.result()
        conversations = [visitor.conversation_now() for visitor in visitors]
        for visitor in visitors:
            visitor.wait_for_events()
    for each in listening:
        each.result()
    assert kills == {"runtime": KILLS, "api": KILLS, "worker": KILLS}
    for visitor, conversation in zip(visitors, conversations, strict=True):
        messages = conversation["messages"]
        asked = [each["client_message_id"] for each in messages if each["role"] == "customer"]
        assert sorted(asked) == sorted(visitor.sent), "a message is lost, or there twice"
        answers = Counter(each["client_message_id"] for each in messages if each["role"] == "assistant")
        assert answers == Counter(visitor.sent), "a message has no answer, or two"
        for each in messages:
            if each["role"] == "assistant":
                assert each["status"] in ("answered", "failed"), each
                assert each["text"], "an answer without a word"
                assert set(_TICKET.findall(each["text"])) <= {each["client_message_id"]}, (
                    "an answer to another question"
                )
        assert set(visitor.seen) <= set(visitor.sent), f"visitor {visitor.number} saw what others wrote"
        assert visitor.answered_in_events == set(visitor.sent), "an answer did not come with the events"
        assert visitor.connections > 1, "its stream never broke: no process was killed under it"
    answers_all = [each for found in conversations for each in found["messages"] if each["role"] == "assistant"]
    by_model = sum("For ticket" in each["text"] for each in answers_all)
    apologies = sum(each["status"] == "failed" for each in answers_all)
    text = f"{len(answers_all)} messages: {by_model} answered by the model, {apologies} with an apology"
    print(f"{text}; killed: {dict(kills)}", flush=True)  # noqa: T201
    assert by_model > VISITORS, "the model answered hardly anything: this proves little"


@pytest.mark.parametrize("number", [0, 7, 199])
def test_tickets_are_words_of_letters(number: int) -> None:
    assert _TICKET.findall(f"about ticket {_letters(number)}.") == [_letters(number)]
