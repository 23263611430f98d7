"""The whole product, as `answerdesk run` starts it, and a real browser in front of it.

One installation serves all tests of a run; it is thrown away afterwards. Each test works in a knowledge base of its
own. The embedding model comes from the ordinary cache. Screenshots are kept in `screenshots/`.
"""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Dialog, Page, Request, expect, sync_playwright

from app.sample.render import render_sample
from model_runtime.addresses import free_port
from tests.browser.pages import Desk
from tests.fakes.openai_server import OpenAIServer

SCREENSHOTS = Path(__file__).with_name("screenshots")
CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--headless",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
_START_S = 120


@dataclass(frozen=True)
class Product:
    """A running installation. `process` is `answerdesk run`, the parent of API, worker and user interface."""

    ui: str
    api: str
    process: subprocess.Popen[bytes]

    def kill_api(self) -> None:
        """Kills the API as a crash would; the parent starts it again."""
        children = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        pids = [int(pid) for file in children for pid in file.read_text().split()]
        serving = [pid for pid in pids if Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[3:4] == [b"serve"]]
        assert len(serving) == 1, f"the API is not one process: {serving}"
        os.kill(serving[0], signal.SIGKILL)


@pytest.fixture(scope="module")
def chat_model() -> Iterator[OpenAIServer]:
    """The chat model of knowledge bases whose answers are generated."""
    with OpenAIServer() as server:
        yield server


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory, chat_model: OpenAIServer) -> Iterator[Product]:
    home = tmp_path_factory.mktemp("product")
    api_port, ui_port = free_port(), free_port()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("ANSWERDESK_")},
        **{name: value for name, value in os.environ.items() if name == "ANSWERDESK_CACHE"},
        "ANSWERDESK_HOME": str(home),
        "ANSWERDESK_SERVER__PORT": str(api_port),
        "ANSWERDESK_UI__PORT": str(ui_port),
        "ANSWERDESK_ANSWERS__CHAT_MODEL": "smollm2-moe",  # as the pages are told; a script answers
        "ANSWERDESK_ANSWERS__CHAT_BASE_URL": chat_model.base_url,
    }
    log = home / "run.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "app.cli", "run"],
            env=environment,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    product = Product(f"http://127.0.0.1:{ui_port}", f"http://127.0.0.1:{api_port}", process)
    try:
        _wait_until_ready(product, log)
        yield product
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)


def _wait_until_ready(product: Product, log: Path) -> None:
    """Looks at the API and the user interface until both answer."""
    end = time.monotonic() + _START_S
    ready = {f"{product.api}/ready": False, f"{product.ui}/_stcore/health": False}
    while not all(ready.values()):
        said = log.read_text(errors="replace")
        assert product.process.poll() is None, f"answerdesk run has ended:\n{said}"
        assert time.monotonic() < end, f"not ready after {_START_S} s: {ready}\n{said}"
        for address in ready:
            try:
                ready[address] = httpx.get(address, timeout=2).status_code == httpx.codes.OK
            except httpx.TransportError:
                ready[address] = False
        threading.Event().wait(0.2)


@pytest.fixture(scope="module")
def manuals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The sample manuals as PDF files, by language."""
    rendered = render_sample(tmp_path_factory.mktemp("manuals"))
    return {path.stem[-2:]: path for path in rendered}


# Ended with its module: while Playwright runs, this thread has an event loop, and no asynchronous test could run.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.fail("Chromium is missing. Install it, on Debian with: apt-get install chromium fonts-noto-cjk")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_ARGUMENTS)
        yield launched
        launched.close()


@pytest.fixture
def page(browser: Browser, product: Product) -> Iterator[Page]:
    """An English browser window that reports what must never happen on any page.

    That is a dialog of a script that came in with a document, an error in a script, and a request to anywhere
    but the product.
    """
    context = browser.new_context(viewport={"width": 1280, "height": 800}, locale="en-GB")
    page = context.new_page()
    alarms: list[str] = []

    def check_request(request: Request) -> None:
        if not request.url.startswith((product.ui, "data:", "blob:")):
            alarms.append(f"request to {request.url}")

    def check_console(message: ConsoleMessage) -> None:
        if "Content Security" in message.text or "Uncaught" in message.text:
            alarms.append(message.text)

    def check_dialog(dialog: Dialog) -> None:
        alarms.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    page.on("dialog", check_dialog)
    page.on("pageerror", lambda error: alarms.append(f"error: {error}"))
    page.on("request", check_request)
    page.on("console", check_console)
    expect.set_options(timeout=30_000)
    page.set_default_timeout(30_000)
    yield page
    context.close()
    assert not alarms


@pytest.fixture
def desk(page: Page, product: Product, request: pytest.FixtureRequest) -> Desk:
    """The product in the browser, in a knowledge base that is named after the test."""
    SCREENSHOTS.mkdir(exist_ok=True)
    return Desk(page, product.ui, product.api, request.node.name.removeprefix("test_"), SCREENSHOTS)
