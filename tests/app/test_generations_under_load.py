"""Many readers while one generation takes another's place and its worker is killed."""

import multiprocessing
import os
import random
import signal
import threading
import time
from pathlib import Path
from typing import Any

import httpx

from app.settings import IngestionSettings, WorkerSettings
from tests.app.live_app import wait_until
from tests.conftest import settings_in
from tests.generation_processes import OTHER, serve, work_slowly

_SPAWN = multiprocessing.get_context("spawn")
GENERATIONS = "/api/knowledge-bases/manuals/generations"
_FACTS = 60


def test_8_clients_notice_neither_switch_nor_a_killed_worker(tmp_path: Path, database_url: str) -> None:
    """A real API process, a real worker killed by -9 amid the build and followed by another: 0 failed questions."""
    worker = WorkerSettings(lease_s=2, poll_s=0.05)
    settings = settings_in(tmp_path, database_url, worker=worker, ingestion=IngestionSettings(batch_windows=20))
    api = _SPAWN.Process(target=serve, args=(settings, tmp_path / "port"))
    workers = [_SPAWN.Process(target=work_slowly, args=(settings, 0.1)) for _ in range(2)]
    api.start()
    asking: _Clients | None = None
    try:
        wait_until((tmp_path / "port").exists, 60)
        address = f"http://127.0.0.1:{(tmp_path / 'port').read_text()}"
        with httpx.Client(base_url=address, timeout=30) as client:
            client.post("/api/knowledge-bases", json={"name": "manuals"}).raise_for_status()
            workers[0].start()
            facts = {f"m{number}.md": _fact(number) for number in range(_FACTS)}
            files = [("files", (name, text.encode())) for name, text in facts.items()]
            client.post("/api/knowledge-bases/manuals/documents", files=files).raise_for_status()
            knowledge_base = "/api/knowledge-bases/manuals"
            wait_until(lambda: client.get(knowledge_base).json()["passage_count"] == _FACTS, 90)
            wait_until(lambda: client.get("/ready").status_code == 200, 60)
            asking = _Clients(address, 8)
            client.post(GENERATIONS, json={"embedder": OTHER, "switch_when_ready": True}).raise_for_status()

            def made() -> dict[str, Any]:
                answer: dict[str, Any] = client.get(f"{GENERATIONS}/2").json()
                return answer

            wait_until(lambda: made()["documents"] >= 5, 60)
            assert workers[0].pid is not None
            os.kill(workers[0].pid, signal.SIGKILL)
            built = made()["documents"]
            assert (made()["status"], built < _FACTS) == ("building", True)
            workers[1].start()
            wait_until(lambda: made()["documents"] > built, 60)
            wait_until(lambda: made()["status"] == "active", 90)
            asking.go_on(1.0)
            client.post(f"{GENERATIONS}/1/activate").raise_for_status()
            asking.go_on(1.0)
            client.delete(f"{GENERATIONS}/2").raise_for_status()
            asking.go_on(0.5)
    finally:
        problems = asking.end() if asking else ["never asked"]
        for process in (api, *workers):
            if process.pid is not None:
                process.kill()
                process.join()
    assert problems == []
    assert asking is not None
    assert asking.asked > 100


def _words(number: int) -> list[str]:
    """Words that no other number has: what is nearly the same would be one hit."""
    dice = random.Random(number)
    return ["".join(dice.choices("bdfgklmnprstvz", k=3)) + f"{number}x{each}" for each in range(9)]


def _fact(number: int) -> str:
    name, key, *others = _words(number)
    return f"# {name}\n\nThe {name} is opened with key {key}, after {' and '.join(others)}."


class _Clients:
    """So many clients that ask all the time; each answer must be right."""

    def __init__(self, address: str, clients: int) -> None:
        self.asked = 0
        self._problems: list[str] = []
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(address, number)) for number in range(clients)]
        for thread in self._threads:
            thread.start()

    def go_on(self, seconds: float) -> None:
        time.sleep(seconds)

    def end(self) -> list[str]:
        """What went wrong."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(60)
        return self._problems

    def _ask(self, address: str, number: int) -> None:
        dice = random.Random(number)
        with httpx.Client(base_url=address, timeout=30) as client:
            while not self._stopping.is_set():
                name, key, *_ = _words(dice.randrange(_FACTS))
                question = f"With which key is the {name} opened?"
                if number % 2:
                    body = {"query": question, "top_k": 3}
                    response = client.post("/api/knowledge-bases/manuals/search", json=body)
                else:
                    begun = client.post("/api/conversations", json={"knowledge_base": "manuals"})
                    address = f"/api/conversations/{begun.json()['id']}/messages"
                    response = client.post(address, json={"text": question})
                self.asked += 1
                if not response.is_success or key not in response.text:
                    self._problems.append(f"{question} {response.status_code} {response.text[:500]}")
