"""The real application with a scripted chain, in a thread or in a process of its own.

`python -m tests.app.live_app` is such a process: it prints its port, and notes every question that it begins to
answer in a file, so that a test can count them whoever dies.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI

from app.bootstrap import Services
from app.main import create_app
from app.settings import AnswersSettings, Settings
from model_runtime.fakes import HashingEmbedder
from rag.types import (
    Answer,
    AnswerEvent,
    AnswerKind,
    Citation,
    Cited,
    Finished,
    Hit,
    Passage,
    Question,
    Retrieved,
    Span,
    Token,
)
from tests.conftest import settings_in

QUOTE = "Hold the button for five seconds."
PASSAGE = Passage(
    key=1,
    id="00000000-0000-7000-8000-000000000001",
    document_key=1,
    document_id="00000000-0000-7000-8000-000000000002",
    document_version=1,
    external_id="manual.pdf",
    title="Manual",
    heading_path=("Start", "Reset"),
    spans=(Span(3, 10, 10 + len(QUOTE)),),
    page_label="iii",
    text=QUOTE,
    windows=((0, len(QUOTE)),),
)
CITATION = Citation(
    marker=1,
    passage_id=PASSAGE.id,
    document_id=PASSAGE.document_id,
    document_version=1,
    external_id=PASSAGE.external_id,
    title=PASSAGE.title,
    heading_path=PASSAGE.heading_path,
    spans=PASSAGE.spans,
    page_label="iii",
    quote=QUOTE,
)


@dataclass
class Script:
    """A chain that says `pieces`, pausing before each, and cites one passage; it keeps what it was asked."""

    pieces: Sequence[str] = ("Hold the button ", "for five seconds.", " [1]")
    pause: float = 0.0
    error: Exception | None = None
    notes: Path | None = None
    citation: Citation = CITATION
    asked: list[Question] = field(default_factory=list)
    aborted: int = 0

    def stream(self, question: Question) -> Iterator[AnswerEvent]:
        self.asked.append(question)
        if self.notes is not None:
            with self.notes.open("a") as notes:
                notes.write(question.text + "\n")
        hits = (Hit(PASSAGE, 1.5, {"dense": 0.9, "lexical": 7.0}),)
        try:
            yield Retrieved(hits, question.text)
            for piece in self.pieces:
                time.sleep(self.pause)
                yield Token(piece)
            if self.error is not None:
                raise self.error
            yield Cited(self.citation)
        except GeneratorExit:
            self.aborted += 1
            raise
        text = "".join(self.pieces)
        timings = {"retrieval": 1.0, "total": 2.0}
        yield Finished(
            Answer(
                AnswerKind.ANSWER,
                text,
                (self.citation,),
                hits,
                question.text,
                "scripted",
                None,
                timings,
                {"score": 0.5},
            )
        )


class ScriptedServices(Services):
    """Real services whose every chain is the script."""

    def __init__(self, settings: Settings, script: Script) -> None:
        super().__init__(settings, lambda _: HashingEmbedder())
        self.script = script

    def chain(self, knowledge_base: object, admitted: object = None) -> Any:
        return self.script


def patient(**overrides: Any) -> AnswersSettings:
    """Settings of answers with everything quick enough for tests."""
    return AnswersSettings(**{"lease_s": 1.0, "stop_after_reader_left_s": 0.4, **overrides})


@contextmanager
def live(app: FastAPI) -> Iterator[httpx.Client]:
    """The application behind a real server on a free port, and a client of it."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        wait_until(lambda: server.started)
        port = server.servers[0].sockets[0].getsockname()[1]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join(10)


@contextmanager
def scripted(folder: Path, script: Script, database_url: str | None = None, **sections: Any) -> Iterator[httpx.Client]:
    """A live application with the script."""
    settings = settings_in(folder, database_url, **{"answers": patient(), **sections})
    with live(create_app(ScriptedServices(settings, script))) as client:
        yield client


@contextmanager
def processes(
    count: int, folder: Path, database_url: str, pieces: Sequence[str], pause: float
) -> Iterator[list["LiveProcess"]]:
    """So many processes with the script on one database; killed at the end if they still live."""
    arguments = json.dumps({"folder": str(folder), "database_url": database_url, "pieces": pieces, "pause": pause})
    command = [sys.executable, "-m", "tests.app.live_app", arguments]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(count)]
    with ExitStack() as clients:
        lives = []
        for each in started:
            clients.callback(_kill, each)
            assert each.stdout is not None
            address = f"http://127.0.0.1:{int(each.stdout.readline())}"
            client = clients.enter_context(httpx.Client(base_url=address, timeout=30))
            lives.append(LiveProcess(each, client, folder / "notes"))
        yield lives


def _kill(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.kill()
    process.wait()


@dataclass
class LiveProcess:
    popen: subprocess.Popen[str]
    client: httpx.Client
    notes: Path

    def kill(self) -> None:
        os.kill(self.popen.pid, signal.SIGKILL)
        self.popen.wait()

    def times_asked(self) -> int:
        return len(self.notes.read_text().splitlines()) if self.notes.exists() else 0


def new_conversation(client: httpx.Client, name: str = "manuals") -> str:
    """A conversation's address, about a knowledge base of this name."""
    created = client.post("/api/knowledge-bases", json={"name": name})
    assert created.status_code in (201, 409), created.text
    conversation = client.post("/api/conversations", json={"knowledge_base": name})
    assert conversation.status_code == 201, conversation.text
    return f"/api/conversations/{conversation.json()['id']}"


def read_events(response: httpx.Response) -> Iterator[tuple[str, int | None, Any]]:
    """(name, id, data) of a stream of server-sent events."""
    name, number = "", None
    for line in response.iter_lines():
        if line.startswith("event: "):
            name = line[7:]
        elif line.startswith("id: "):
            number = int(line[4:])
        elif line.startswith("data: "):
            yield name, number, json.loads(line[6:])
            name, number = "", None


def wait_until(holds: Callable[[], object], timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def _main(arguments: str) -> None:
    given = json.loads(arguments)
    folder = Path(given["folder"])
    script = Script(pieces=given["pieces"], pause=given["pause"], notes=folder / "notes")
    settings = settings_in(folder, given["database_url"], answers=patient())
    app = create_app(ScriptedServices(settings, script))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    threading.Thread(target=_say_port, args=(server,), daemon=True).start()
    server.run()


def _say_port(server: uvicorn.Server) -> None:
    wait_until(lambda: server.started)
    print(server.servers[0].sockets[0].getsockname()[1], flush=True)  # noqa: T201  the test reads it


if __name__ == "__main__":
    _main(sys.argv[1])
