"""`answerdesk run`, `serve`, `worker` and `ui`: starting the product.

Owns the order of a start and what is said about it. How processes are kept running is `app.processes`; this file
talks to the API like any client.
"""

import importlib.util
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
from rich.console import Console
from rich.panel import Panel
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from app.cli_output import messages
from app.cli_run_client import api_client, key_header, run_key_environment, with_run_key
from app.cli_run_model import ModelServer
from app.cli_run_shop import DemonstrationShop
from app.cli_runtime_build import settings_for
from app.processes import (
    Child,
    keep_running,
    python_child,
    require_free_port,
    restart_ended,
    stop_all,
    wait_until_answering,
)
from app.settings import Settings
from model_runtime.demonstration.smollm2 import DEMONSTRATION_MODELS

SAMPLE_NAME = "sample"
_START_S = 120.0
_START_BESIDE_A_MODEL_S = 300.0  # its loading takes most of a small machine
_FINAL = {"ready", "ready_with_warnings", "failed", "cancelled"}


def run(settings: Settings, *, sample: bool, model: str, console: Console) -> None:
    """Starts everything, waits until a question can be asked, and keeps it running until Ctrl-C.

    `model`: what is served beside it and answers (a short name, folder or hub id); empty leaves it to the settings.
    """
    require_free_port(settings.server.host, settings.server.port, "ANSWERDESK_SERVER__PORT")
    require_free_port(settings.ui.host, settings.ui.port, "ANSWERDESK_UI__PORT")
    shop = DemonstrationShop(settings) if sample else None
    if shop is not None:
        shop.require_free_port()
    settings = with_run_key(settings)
    prepare(settings, console)
    if shop is not None:
        shop.install_files()
    server = ModelServer(settings, settings_for(settings, model, console), console) if model else None
    children: list[Child] = []
    with _until_told_to_stop() as stopping:
        try:
            if server is not None:
                server.start()
            answers = server.answers_environment() if server is not None else {}
            orders = shop.environment if shop is not None else {}
            children += _children(settings, {**answers, **orders, **run_key_environment(settings)})
            with console.status("Starting the API, a worker and the user interface"):
                for child in children:
                    child.start()
                start_s = _START_S if server is None else _START_BESIDE_A_MODEL_S
                ready = f"{settings.api_address}/ready"
                wait_until_answering(ready, children, start_s, _can_find, key_header(settings))
                wait_until_answering(f"{settings.ui_address}/_stcore/health", children, start_s)
            shop_address = ""
            if shop is not None and not stopping.is_set():
                _ensure_sample(settings, console, stopping, children)
                shop_address = _open_shop(settings, shop, stopping, children)
            if server is not None:
                server.wait_until_answering(stopping, lambda: restart_ended(children, console.print))
            if not stopping.is_set():
                _say_where_everything_is(settings, console, server, shop_address, sample=sample)
            keep_running(children, stopping.is_set, console.print, server.report_changes if server else None)
        finally:
            with console.status("Stopping"):
                stop_all(children)
                if server is not None:
                    server.stop()
    console.print("Stopped.")


def prepare(settings: Settings, console: Console) -> None:
    """Folders, the default embedder (once, with a progress bar) and the database's tables."""
    from migrations import upgrade
    from model_runtime.e5_export import export_default_embedder

    for folder in (settings.home_folder, settings.cache_folder):
        folder.mkdir(parents=True, exist_ok=True)
    if settings.embedder.uses_default_model:
        with _bar(console) as bar:
            task = bar.add_task("Preparing the embedding model (once)", total=None, visible=False)
            export_default_embedder(
                settings.cache_folder,
                lambda done, total: bar.update(task, completed=done, total=total, visible=True),
            )
    upgrade(settings.database_url)


def serve(settings: Settings) -> None:
    """The API in this process, or as many below it as the settings say, until it is told to stop."""
    import uvicorn

    from app.bootstrap import build_services
    from app.main import create_app

    several = settings.server.processes > 1
    uvicorn.run(
        "app.main:application" if several else create_app(build_services(settings)),
        factory=several,
        workers=settings.server.processes if several else None,
        host=settings.server.host,
        port=settings.server.port,
        log_level=settings.log_level,
        access_log=settings.log_level == "debug",
        server_header=False,
        proxy_headers=False,  # whom to believe is `app.client_address`'s matter; uvicorn would believe this machine's
        timeout_graceful_shutdown=5,
    )


def work(settings: Settings) -> None:
    """A worker in this process, until it is told to stop."""
    from app.bootstrap import build_services
    from app.worker import run_worker

    os.nice(10)  # questions go first: beside a busy worker they take a quarter less time
    with _until_told_to_stop() as stopping:
        run_worker(build_services(settings), stopping)


def show_ui(settings: Settings) -> None:
    """The user interface in a child process, until it is told to stop."""
    child = _ui_child(settings, log=Path("/dev/stdout"))
    with _until_told_to_stop() as stopping:
        child.start()
        try:
            keep_running([child], stopping.is_set, messages.print)
        finally:
            child.stop()


def _children(settings: Settings, for_api: Mapping[str, str]) -> list[Child]:
    logs = settings.home_folder / "logs"
    return [
        python_child("api", ["app.cli", "serve"], logs, for_api),
        python_child("worker", ["app.cli", "worker"], logs),
        _ui_child(settings, logs / "ui.log"),
    ]


def _can_find(readiness: httpx.Response) -> bool:
    """Whether passages can be found. A chat model that is not there yet, or never comes, is no reason to stop."""
    return readiness.is_success or set(readiness.json().get("problems", ["?"])) == {"chat_model"}


def _ui_child(settings: Settings, log: Path) -> Child:
    specification = importlib.util.find_spec("ui")
    if specification is None or specification.origin is None:
        raise RuntimeError("the package ui is missing from this installation")

    options = {
        "server.address": settings.ui.host,
        "server.port": settings.ui.port,
        "server.headless": "true",
        "server.maxUploadSize": settings.ingestion.max_file_mb,
        "browser.gatherUsageStats": "false",
        "client.toolbarMode": "minimal",
        "runner.postScriptGC": "false",  # collecting after every rerun takes half a core with five readers
    }
    program = Path(specification.origin).parent / "app.py"
    arguments = ["streamlit", "run", str(program), *(f"--{name}={value}" for name, value in options.items())]
    key = settings.server.admin_key
    told = {"ANSWERDESK_UI__EXPOSED": str(settings.ui.exposed).lower()}  # these may stand in `.env` alone
    if key:
        told["ANSWERDESK_SERVER__ADMIN_KEY"] = key.get_secret_value()
    child = python_child("ui", [*arguments, "--", "--api", settings.api_address], log.parent, told)
    child.log = log
    return child


def _ensure_sample(settings: Settings, console: Console, stopping: threading.Event, children: Sequence[Child]) -> None:
    """Makes the sample knowledge base once in an installation's life: who deletes it does not want it back."""
    made = settings.home_folder / "sample-was-made"
    with api_client(settings) as api:
        if not made.exists():
            _upload_sample(api)
            made.touch()
        _wait_for_documents(api, console, stopping, children)


def _upload_sample(api: httpx.Client) -> None:
    from app.sample.render import render_sample

    created = api.post("/api/knowledge-bases", json={"name": SAMPLE_NAME})
    if created.status_code != httpx.codes.CONFLICT:  # it may be there already: then only its files are renewed
        created.raise_for_status()
    with TemporaryDirectory() as folder:
        files = [("files", (path.name, path.read_bytes())) for path in render_sample(Path(folder))]
    api.post(f"/api/knowledge-bases/{SAMPLE_NAME}/documents", files=files).raise_for_status()


def _wait_for_documents(
    api: httpx.Client, console: Console, stopping: threading.Event, children: Sequence[Child]
) -> None:
    """Shows how far the sample is read; a worker that dies meanwhile is started again."""
    with _bar(console) as bar:
        tasks: dict[str, Any] = {}
        while not stopping.is_set():
            restart_ended(children, console.print)
            try:
                answer = api.get(f"/api/knowledge-bases/{SAMPLE_NAME}/documents")
            except httpx.TransportError:
                time.sleep(0.3)  # the API has just been started again and does not listen yet
                continue
            if answer.status_code == httpx.codes.NOT_FOUND:
                return  # deleted by its owner
            documents = answer.raise_for_status().json()["documents"]
            for document in documents:
                progress = document["progress"]
                if document["status"] not in _FINAL and document["id"] not in tasks:
                    tasks[document["id"]] = bar.add_task(f"Reading {document['external_id']}", total=None)
                if document["id"] in tasks:
                    bar.update(tasks[document["id"]], completed=progress["done"], total=progress["total"])
            if all(document["status"] in _FINAL for document in documents):
                return
            time.sleep(0.3)


def _open_shop(settings: Settings, shop: DemonstrationShop, stopping: threading.Event, children: list[Child]) -> str:
    """Starts the demonstration shop, if it has not been deleted; gives its address."""
    if stopping.is_set():
        return ""
    with api_client(settings) as api:
        child = shop.child(api, SAMPLE_NAME)
    if child is None:
        return ""
    children.append(child)
    child.start()
    wait_until_answering(shop.address, children, _START_S)
    return shop.address


def _say_where_everything_is(
    settings: Settings, console: Console, server: ModelServer | None, shop_address: str, *, sample: bool
) -> None:
    from app.sample import FIRST_QUESTIONS

    lines = [
        f"User interface   [link]{settings.ui_address}[/link]",
        *([f"Shop with widget [link]{shop_address}[/link]"] if shop_address else []),
        f"API              [link]{settings.api_address}[/link]   (reference: {settings.api_address}/docs)",
        f"Kept in          {settings.home_folder}",
    ]
    if server is not None:
        lines += [f"Answers from     {server.name}, at {server.address}/v1"]
    if server is not None and server.name in DEMONSTRATION_MODELS:
        lines += ["                 A small demonstration model: it often says wrong things."]
    if sample:
        lines += ["", "Ask for example", *(f"  {question}" for question in FIRST_QUESTIONS.values())]
    lines += ["", "Ctrl-C stops everything."]
    console.print(Panel("\n".join(lines), title="Answerdesk is running", expand=False), highlight=False)


@contextmanager
def _until_told_to_stop() -> Iterator[threading.Event]:
    """An event that Ctrl-C, SIGTERM and a closed terminal set, instead of ending this process at once."""
    stopping = threading.Event()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, lambda *_: stopping.set()) for number in numbers]
    try:
        yield stopping
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _bar(console: Console) -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total}"),
        TimeRemainingColumn(),
        console=console,
    )
