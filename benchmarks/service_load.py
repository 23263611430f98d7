"""How customer service answers under load: `python -m benchmarks.service_load [--visitors 200] [--rate 20]`.

An Answerdesk of its own, with the sample manuals, the extractive answerer and a site, serves so many visitors, each
with its event stream open; they ask questions of the sample, so many a second in all, at random moments (Poisson), each
streamed. Printed are the errors, the medians and 95th percentiles of the time to the first token and to the end of an
answer, in milliseconds, and the share of each stage in the time to the first token. The clients share the machine with
what is measured. `--processes` are API processes, each at an address of its own; visitors are dealt out among them.
"""

import argparse
import asyncio
import json
import random
import secrets
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx

import app.sample
from app.processes import Child, python_child, stop_all, wait_until_answering
from app.settings import Settings
from model_runtime.addresses import free_port

ORIGIN = "https://shop.example"
_QUESTIONS = Path(app.sample.__file__).with_name("questions.jsonl")


@dataclass
class Outcome:
    """Of one message; times in seconds from its sending."""

    first_token: float | None = None
    ended: float | None = None
    error: str = ""


@dataclass
class Visitor:
    """One visitor of the site: its token, and what it has been told over its event stream."""

    host: str
    port: int
    token: str
    events: int = 0
    errors: list[str] = field(default_factory=list)

    async def listen(self) -> None:
        """Reads the conversation's events until it is cancelled."""
        try:
            reader, writer = await self._request("GET", "/api/widget/events?after=0", None, "text/event-stream")
            try:
                while line := await reader.readline():
                    self.events += line.startswith(b"event:")
            finally:
                writer.close()
            self.errors.append("its event stream ended")
        except (OSError, ValueError) as error:
            self.errors.append(f"its event stream: {error!r}")

    async def ask(self, text: str) -> Outcome:
        outcome, started = Outcome(), time.perf_counter()
        try:
            body = {"text": text, "client_message_id": secrets.token_hex(8)}
            reader, writer = await self._request("POST", "/api/widget/messages", body, "text/event-stream")
            try:
                name = ""
                while line := await asyncio.wait_for(reader.readline(), 60):
                    if line.startswith(b"event: "):
                        name = line[7:].strip().decode()
                        since = time.perf_counter() - started
                        if name in ("token", "done") and outcome.first_token is None:
                            outcome.first_token = since
                        if name == "error":
                            outcome.error = "an error event"
                    if name == "done" and line.startswith(b"data: "):
                        outcome.ended = time.perf_counter() - started
                        if json.loads(line[6:])["status"] != "answered":
                            outcome.error = "not answered"
                        break
            finally:
                writer.close()
        except (OSError, ValueError, TimeoutError) as error:
            outcome.error = repr(error)
        if outcome.ended is None and not outcome.error:
            outcome.error = "the stream ended without an answer"
        return outcome

    async def _request(
        self, method: str, path: str, body: Any, accept: str
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """The stream behind the headers of a 200. Raises `ValueError` for any other status."""
        reader, writer = await asyncio.open_connection(self.host, self.port, limit=2**22)
        data = b"" if body is None else json.dumps(body).encode()
        headers = (
            f"{method} {path} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\nOrigin: {ORIGIN}\r\nAccept: {accept}\r\n"
            f"Authorization: Bearer {self.token}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(data)}\r\n\r\n"
        )
        writer.write(headers.encode() + data)
        status = await reader.readline()
        if b" 200 " not in status:
            writer.close()
            raise ValueError(f"{method} {path}: {status.decode(errors='replace').strip()}")
        while (await reader.readline()).strip():
            pass
        return reader, writer


def main() -> None:
    arguments = _arguments()
    with ExitStack() as stack:
        home = Path(stack.enter_context(TemporaryDirectory(prefix="answerdesk-load-")))
        key, ports = secrets.token_urlsafe(24), [free_port() for _ in range(arguments.processes)]
        children = _start(home, key, ports, stack)
        admin = stack.enter_context(
            httpx.Client(
                base_url=f"http://127.0.0.1:{ports[0]}", headers={"Authorization": f"Bearer {key}"}, timeout=120
            )
        )
        site = _prepare(admin, children)
        children[-1].stop()  # the worker: all is read
        visitors = [_visitor(ports[number % len(ports)], site) for number in range(arguments.visitors)]
        outcomes = asyncio.run(_load(visitors, arguments))
        result = _figures(outcomes, visitors, arguments)
        first_token_ms = 1000 * statistics.mean(each.first_token for each in outcomes if each.first_token is not None)
        result["stages_share"] = _stages(admin, first_token_ms)
    print(json.dumps(result, indent=2))


def _start(home: Path, key: str, ports: Sequence[int], stack: ExitStack) -> list[Child]:
    """The APIs, and behind them the worker."""
    environment = {
        "ANSWERDESK_HOME": str(home),
        "ANSWERDESK_CACHE": str(Settings().cache_folder),
        "ANSWERDESK_LOG_LEVEL": "warning",
        "ANSWERDESK_SERVER__ADMIN_KEY": key,
        "ANSWERDESK_CACHES__ANSWERS_MB": "0",
        # All visitors have one address here.
        "ANSWERDESK_WIDGET__SESSIONS_PER_MINUTE": "100000",
        "ANSWERDESK_WIDGET__REQUESTS_PER_MINUTE": "1000000",
        "ANSWERDESK_WIDGET__MESSAGES_PER_MINUTE": "10000",
        "ANSWERDESK_WIDGET__SITE_MESSAGES_PER_MINUTE": "1000000",
        "ANSWERDESK_WIDGET__ADDRESS_MESSAGES_PER_MINUTE": "1000000",
        "ANSWERDESK_WIDGET__STREAMS_PER_ADDRESS": "100000",
    }
    apis = [python_child(f"api-{port}", ["app.cli", "serve"], home / "logs", environment | _on(port)) for port in ports]
    worker = python_child("worker", ["app.cli", "worker"], home / "logs", environment)
    stack.callback(stop_all, [*apis, worker])
    for port, api in zip(ports, apis, strict=True):
        api.start()
        wait_until_answering(f"http://127.0.0.1:{port}/health", [api])
    worker.start()
    return [*apis, worker]


def _on(port: int) -> dict[str, str]:
    return {"ANSWERDESK_SERVER__PORT": str(port)}


def _prepare(admin: httpx.Client, children: Sequence[Child]) -> str:
    """A knowledge base of the sample manuals, all public, and a site; gives the site's id."""
    created = admin.post("/api/knowledge-bases", json={"name": "load", "settings": {"service": {}}}).raise_for_status()
    knowledge_base = created.json()["id"]
    for language in ("en", "zh"):
        file = Path(app.sample.__file__).with_name(f"manual.{language}.md")
        admin.post(
            f"/api/knowledge-bases/{knowledge_base}/documents", files={"files": (file.name, file.read_bytes())}
        ).raise_for_status()
    while True:
        documents = admin.get(f"/api/knowledge-bases/{knowledge_base}/documents").raise_for_status().json()["documents"]
        if all(each["status"].startswith("ready") for each in documents):
            break
        if any(child.has_ended() for child in children):
            raise SystemExit("A process has ended; see its log.")
        time.sleep(0.2)
    for each in documents:
        admin.patch(f"/api/documents/{each['id']}", json={"is_public": True}).raise_for_status()
    site = admin.post(
        "/api/sites", json={"name": "load", "knowledge_base": knowledge_base, "origins": [ORIGIN]}
    ).raise_for_status()
    site_id: str = site.json()["id"]
    return site_id


def _visitor(port: int, site: str) -> Visitor:
    begun = httpx.post(
        f"http://127.0.0.1:{port}/api/widget/sessions", json={"site": site}, headers={"Origin": ORIGIN}, timeout=60
    ).raise_for_status()
    return Visitor("127.0.0.1", port, begun.json()["token"])


async def _load(visitors: Sequence[Visitor], arguments: argparse.Namespace) -> list[Outcome]:
    questions = [json.loads(line)["text"] for line in _QUESTIONS.read_text(encoding="utf-8").splitlines()]
    draw = random.Random(arguments.seed)
    listening = [asyncio.create_task(each.listen()) for each in visitors]
    for each in visitors[:20]:
        await each.ask(draw.choice(questions))  # warm
    await asyncio.sleep(arguments.settle)
    asked: list[asyncio.Task[Outcome]] = []
    until = time.perf_counter() + arguments.seconds
    due = time.perf_counter()
    order = list(visitors)
    while due < until:
        if not asked or len(asked) % len(order) == 0:
            draw.shuffle(order)
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        name = "".join(draw.choices("aeioklmnprst", k=7)).capitalize()
        text = f"{draw.choice(questions)} Thanks, {name}"
        asked.append(asyncio.create_task(order[len(asked) % len(order)].ask(text)))
        due += draw.expovariate(arguments.rate)
    outcomes = await asyncio.gather(*asked)
    for task in listening:
        task.cancel()
    await asyncio.gather(*listening, return_exceptions=True)
    return outcomes


def _figures(outcomes: Sequence[Outcome], visitors: Sequence[Visitor], arguments: argparse.Namespace) -> dict[str, Any]:
    errors = [each.error for each in outcomes if each.error] + [error for each in visitors for error in each.errors]
    first = [1000 * each.first_token for each in outcomes if each.first_token is not None]
    ended = [1000 * each.ended for each in outcomes if each.ended is not None]
    return {
        "visitors": len(visitors),
        "messages": len(outcomes),
        "per_second": arguments.rate,
        "errors": len(errors),
        "first_errors": errors[:3],
        "events_per_visitor": round(statistics.mean(each.events for each in visitors), 1),
        "first_token_ms": _percentiles(first),
        "answered_ms": _percentiles(ended),
    }


def _percentiles(values: Sequence[float]) -> dict[str, float]:
    cuts = statistics.quantiles(values, n=20)
    return {"p50": round(statistics.median(values), 1), "p95": round(cuts[18], 1), "max": round(max(values), 1)}


_RETRIEVAL = ("refresh", "embedding", "vector_search", "word_search", "fusion", "passages")


def _stages(admin: httpx.Client, first_token_ms: float) -> dict[str, float]:
    """What a customer waits for until the first token: each stage's mean share; together 1.

    `other retrieval` is what retrieval takes beside its named stages; `waiting, storing, sending` what the customer
    waits for beside what the answers tell of themselves: the connection, the queue for a thread, three commits.
    """
    conversations = admin.get("/api/conversations", params={"limit": 200}).raise_for_status().json()["conversations"]
    totals: Counter[str] = Counter()
    answers = 0
    for each in conversations:
        for message in admin.get(f"/api/conversations/{each['id']}").raise_for_status().json()["messages"]:
            if "first_token" in message["timings_ms"]:
                totals.update(message["timings_ms"])
                answers += 1
    means = {name: value / max(answers, 1) for name, value in totals.items()}
    stages = {name: means.get(name, 0.0) for name in ("routing", *_RETRIEVAL)}
    stages["other retrieval"] = means.get("retrieval", 0.0) - sum(stages[name] for name in _RETRIEVAL)
    stages["answering"] = means.get("first_token", 0.0) - means.get("retrieval", 0.0)
    stages["waiting, storing, sending"] = first_token_ms - sum(stages.values())
    return {name: round(value / first_token_ms, 3) for name, value in stages.items()}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--visitors", type=int, default=200)
    parser.add_argument("--rate", type=float, default=20.0, help="messages a second, of all visitors together")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument(
        "--settle", type=float, default=75.0, help="seconds before the load, in which the router learns the new manuals"
    )
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
