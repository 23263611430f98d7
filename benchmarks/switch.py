"""Whether anybody notices when a knowledge base changes its chunker or its embedder: 8 clients ask all the time.

    python -m benchmarks.switch --documents 400 --seconds 10

Starts an API and a worker of its own on a new SQLite database, uploads manuals made up for the purpose, each with a
fact that stands nowhere else, and builds two generations: the default embedder with shorter passages, then another
embedder (the first half of the default one's layers, as a folder of its own). Amid each build the worker is killed with
-9 and started again. Switches to each and back. A question has failed when it is not answered with status 200 or the
fact is not in what was found. Prints questions asked and failed, the median time before, during and after, and the
slowest question around the switches. Exits with 1 when a question has failed.
"""

import argparse
import json
import os
import random
import shutil
import signal
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from app.processes import Child, python_child, stop_all, wait_until_answering
from app.settings import Settings
from model_runtime.addresses import free_port
from model_runtime.e5_export import export_default_embedder

_BASE = "/api/knowledge-bases/manuals"
_FILES_AT_ONCE = 100
_AROUND_S = 3.0


def main() -> int:
    arguments = _arguments()
    settings = Settings()
    with (
        TemporaryDirectory(prefix="answerdesk-switch-") as folder,
        _product(settings, Path(folder)) as (client, worker),
    ):
        _fill(client, arguments.documents)
        other = _half_of_the_default_embedder(settings, Path(folder) / "half-e5")
        report = {}
        with _Clients(str(client.base_url), arguments.clients, arguments.documents, arguments.pause) as clients:
            for name, wanted in (
                ("chunker", {"chunker": {"passage_tokens": 128, "front_tokens": 32, "window_words": 20}}),
                ("embedder", {"embedder": str(other)}),
            ):
                report[name] = _round(client, worker, clients, wanted, arguments.seconds)
                print(json.dumps({name: report[name]}), flush=True)
    print(json.dumps({"documents": arguments.documents, "clients": arguments.clients, **report}, indent=2))
    return int(any(figures["failed"] for figures in report.values()))


def _round(
    client: httpx.Client, worker: Child, clients: "_Clients", wanted: dict[str, Any], seconds: float
) -> dict[str, Any]:
    """Before, building with a killed worker, after the switch, after the switch back; then the new one is dropped."""
    clients.begin("before")
    time.sleep(seconds)
    clients.begin("during")
    started = time.monotonic()
    made = client.post(f"{_BASE}/generations", json=wanted).raise_for_status().json()
    address = f"{_BASE}/generations/{made['number']}"
    _wait_until(lambda: client.get(address).json()["documents"] > made["documents_total"] // 3)
    assert worker.process is not None
    os.killpg(worker.process.pid, signal.SIGKILL)
    worker.process.wait()
    at_kill = client.get(address).json()["documents"]
    worker.start()
    _wait_until(lambda: client.get(address).json()["status"] == "ready")
    built = time.monotonic() - started
    before = client.get(f"{_BASE}/generations").json()["generations"][-1]["number"]
    time.sleep(_AROUND_S)
    for phase, generation in (("after", made["number"]), ("back", before)):
        switched = time.monotonic()
        client.post(f"{_BASE}/generations/{generation}/activate").raise_for_status()
        clients.begin(phase)
        clients.switches.append((phase, switched))
        time.sleep(seconds)
    client.delete(address).raise_for_status()
    time.sleep(1)
    figures = clients.take()
    return {"build_seconds": round(built, 1), "documents_when_killed": at_kill, **figures}


class _Clients:
    """Clients that ask one question after another, by turns with and without an answer."""

    def __init__(self, address: str, clients: int, facts: int, pause: float) -> None:
        self.switches: list[tuple[str, float]] = []
        self._pause = pause
        self._phase = "before"
        self._asked: list[tuple[str, float, float, str]] = []  # phase, when, milliseconds, what went wrong
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._ask, args=(address, number, facts), daemon=True) for number in range(clients)
        ]

    def __enter__(self) -> "_Clients":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def begin(self, phase: str) -> None:
        self._phase = phase

    def take(self) -> dict[str, Any]:
        """Figures of what was asked since the last time."""
        asked, self._asked, switches, self.switches = self._asked, [], self.switches, []
        wrong = [what for *_, what in asked if what]
        by_phase: dict[str, list[float]] = {}
        for phase, _, milliseconds, _ in asked:
            by_phase.setdefault(phase, []).append(milliseconds)
        around = {
            phase: round(max(ms for _, at, ms, _ in asked if switched - 1 < at < switched + _AROUND_S), 1)
            for phase, switched in switches
        }
        return {
            "asked": len(asked),
            "failed": len(wrong),
            "first_failures": wrong[:3],
            "asked_by_phase": {phase: len(times) for phase, times in by_phase.items()},
            "p50_ms": {phase: round(statistics.median(times), 1) for phase, times in by_phase.items()},
            "p99_ms": {phase: round(statistics.quantiles(times, n=100)[-1], 1) for phase, times in by_phase.items()},
            "slowest_around_switch_ms": around,
        }

    def _ask(self, address: str, number: int, facts: int) -> None:
        dice = random.Random(number)
        with httpx.Client(base_url=address, timeout=60) as client:
            while not self._stopping.wait(self._pause):
                name, key, *_ = _words(dice.randrange(facts))
                question = f"With which key is the {name} opened?"
                phase, started = self._phase, time.monotonic()
                try:
                    response = self._answer(client, question, searches=number % 2 == 1)
                    right = response.is_success and key in response.text
                    wrong = "" if right else f"{question} {response.status_code} {response.text[:300]}"
                except httpx.HTTPError as error:
                    wrong = f"{question} {error!r}"
                self._asked.append((phase, started, (time.monotonic() - started) * 1000, wrong))

    def _answer(self, client: httpx.Client, question: str, *, searches: bool) -> httpx.Response:
        if searches:
            return client.post(f"{_BASE}/search", json={"query": question, "top_k": 3})
        begun = client.post("/api/conversations", json={"knowledge_base": "manuals"}).raise_for_status().json()
        return client.post(f"/api/conversations/{begun['id']}/messages", json={"text": question})


@contextmanager
def _product(settings: Settings, home: Path) -> Iterator[tuple[httpx.Client, Child]]:
    port = free_port()
    environment = {
        "ANSWERDESK_HOME": str(home),
        "ANSWERDESK_CACHE": str(settings.cache_folder),
        "ANSWERDESK_DATABASE__URL": "",
        "ANSWERDESK_SERVER__PORT": str(port),
        "ANSWERDESK_SERVER__ADMIN_KEY": "",
        "ANSWERDESK_CACHES__ANSWERS_MB": "0",
        "ANSWERDESK_CACHES__QUESTION_VECTORS_MB": "0",
        "ANSWERDESK_WORKER__LEASE_S": "3",
    }
    api = python_child("api", ["app.cli", "serve"], home / "logs", environment)
    worker = python_child("worker", ["app.cli", "worker"], home / "logs", environment)
    address = f"http://127.0.0.1:{port}"
    try:
        api.start()
        wait_until_answering(f"{address}/ready", [api])
        worker.start()
        with httpx.Client(base_url=address, timeout=120) as client:
            yield client, worker
    finally:
        stop_all([api, worker])


def _fill(client: httpx.Client, documents: int) -> None:
    client.post("/api/knowledge-bases", json={"name": "manuals"}).raise_for_status()
    for first in range(0, documents, _FILES_AT_ONCE):
        numbers = range(first, min(first + _FILES_AT_ONCE, documents))
        files = [("files", (f"m{number}.md", _manual(number).encode())) for number in numbers]
        client.post(f"{_BASE}/documents", files=files).raise_for_status()
    ready = f"{_BASE}/documents?status=ready&limit=1"
    _wait_until(lambda: client.get(ready).json()["total"] == documents)


def _manual(number: int) -> str:
    """Some pages of words, and one fact; nothing of it is in another manual."""
    name, key, *others = _words(number)
    dice = random.Random(-number)
    chapters = (
        f"## {dice.choice(others)} {place}\n\n"
        + " ".join(f"Turn {' and '.join(dice.sample(others, 3))} until it clicks." for _ in range(6))
        for place in range(4)
    )
    return f"# {name}\n\nThe {name} is opened with key {key}.\n\n" + "\n\n".join(chapters)


def _words(number: int) -> list[str]:
    dice = random.Random(number)
    return ["".join(dice.choices("bdfgklmnprstvz", k=3)) + f"{number}x{each}" for each in range(40)]


def _half_of_the_default_embedder(settings: Settings, folder: Path) -> Path:
    """A sentence-transformers folder with the weights of the default embedder, of which half the layers are used."""
    shutil.copytree(export_default_embedder(settings.cache_folder), folder)
    config = json.loads((folder / "config.json").read_text())
    config["num_hidden_layers"] //= 2
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def _wait_until(holds: Callable[[], bool], timeout_s: float = 1800.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError("waited in vain; the logs are in the installation's folder")
        time.sleep(0.2)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--documents", type=int, default=400)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each phase but the builds")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--pause", type=float, default=0.1, help="seconds that a client waits before it asks again")
    return parser.parse_args()


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    sys.exit(main())
