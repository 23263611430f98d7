"""The stage of the recorded journeys: a running installation with its shop, people with accounts, and their browsers.

Owns how the installation is started, what a customer and an agent do in words, and what is kept of a journey: a trace
of each browser and a picture of each main step, in `screenshots/journeys/`, which is not part of the repository. With
`KEEP_PICTURES=1` those that stand in the documentation are made anew, too. Knows no story.
"""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
from PIL import Image
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Dialog,
    FrameLocator,
    Locator,
    Page,
    Response,
    expect,
)

from model_runtime.addresses import free_port
from tests.browser.conftest import SCREENSHOTS
from tests.browser.widget_pages import WidgetPage
from ui.texts import TEXTS

RECORDINGS = SCREENSHOTS / "journeys"
DOCUMENTED = Path(__file__).parents[2] / "docs" / "images" / "journeys"
ANSWER_MS = 60_000
"""How long an answer may take on a busy machine."""

_START_S = 240
_LANGUAGES = ("en", "zh")
_PASSWORD = "correct horse battery"


@dataclass(frozen=True)
class Person:
    """Who has an account."""

    name: str
    email: str
    role: str


ADMIN = Person("Ada", "ada@example.com", "admin")
AGENTS = {"en": Person("Anna", "anna@example.com", "agent"), "zh": Person("李娜", "lina@example.com", "agent")}


@dataclass(frozen=True)
class Installation:
    """What `answerdesk run --sample` has started, each part under its address."""

    shop: str
    ui: str
    api: str
    environment: Mapping[str, str]

    def create_account(self, person: Person) -> None:
        """As an administrator does it, on the command line."""
        options = ["--email", person.email, "--name", person.name, "--role", person.role, "--password-stdin"]
        command = [sys.executable, "-m", "app.cli", "account", "create", *options]
        subprocess.run(command, env=self.environment, input=f"{_PASSWORD}\n", text=True, check=True, timeout=120)

    @contextmanager
    def as_admin(self) -> Iterator[httpx.Client]:
        """The API, signed in."""
        with httpx.Client(base_url=self.api, timeout=60) as api:
            signed_in = api.post("/api/auth/sign-in", json={"email": ADMIN.email, "password": _PASSWORD})
            api.headers["Authorization"] = f"Bearer {signed_in.raise_for_status().json()['token']}"
            yield api


@contextmanager
def installation(home: Path) -> Iterator[Installation]:
    """Runs until the shop answers, which is when its manuals have been read, and then has accounts."""
    ports = {name: free_port() for name in ("SERVER__PORT", "UI__PORT", "UI__SHOP_PORT")}
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("ANSWERDESK_")},
        **{name: value for name, value in os.environ.items() if name == "ANSWERDESK_CACHE"},
        "ANSWERDESK_HOME": str(home),
        **{f"ANSWERDESK_{name}": str(port) for name, port in ports.items()},
    }
    api, ui, shop = (f"http://127.0.0.1:{port}" for port in ports.values())
    running = Installation(shop, ui, api, environment)
    log = home / "run.log"
    with log.open("wb") as output:
        command = [sys.executable, "-m", "app.cli", "run", "--sample"]
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output, cwd=home)
    try:
        _wait_for(shop, process, log)
        for person in (ADMIN, *AGENTS.values()):
            running.create_account(person)
        yield running
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


def _wait_for(address: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + _START_S
    while True:
        said = log.read_text(errors="replace")
        assert process.poll() is None, f"answerdesk run has ended:\n{said}"
        assert time.monotonic() < end, f"no shop after {_START_S} s:\n{said}"
        try:
            if httpx.get(address, timeout=2).is_success:
                return
        except httpx.TransportError:
            threading.Event().wait(0.5)


class Customer(WidgetPage):
    """Somebody on a page of the shop, with the chat."""

    @property
    def answer(self) -> Locator:
        """The last thing that the assistant has finished saying."""
        return self.page.locator("answerdesk-widget .message.is-assistant[aria-busy=false]").last

    @property
    def log(self) -> Locator:
        """What has been said."""
        return self.panel.locator(".log")

    @property
    def header(self) -> Locator:
        """Who it is that answers."""
        return self.panel.locator("header .who")

    @property
    def queue(self) -> Locator:
        return self.panel.locator(".queue")

    @property
    def typing(self) -> Locator:
        return self.panel.locator(".typing")

    @property
    def choices(self) -> Locator:
        return self.panel.locator(".choices button")

    def press(self, name: str) -> None:
        self.panel.get_by_role("button", name=name).click()

    def hears(self, text: str) -> None:
        """Waits until the assistant has said this last, and has finished."""
        expect(self.answer).to_contain_text(text, timeout=ANSWER_MS)

    def open_source(self) -> Locator:
        """Opens the first source of the last answer; gives the overlay, its page drawn."""
        self.answer.locator("button.marker").first.click()
        overlay = self.page.locator("dialog.overlay")
        expect(overlay.locator("canvas")).to_be_visible()
        return overlay

    def rate(self, stars: int, comment: str, send: str) -> None:
        self.panel.locator(".rating .star").nth(stars - 1).click()
        self.panel.locator(".rating textarea").fill(comment)
        self.panel.locator(".rating").get_by_role("button", name=send).click()

    def foreign_words(self, *known: str) -> list[str]:
        """Words in Latin letters that the chat shows, without names of articles and orders, which have numbers."""
        shown = re.findall(r"[A-Za-z][\w'-]{2,}", self.panel.inner_text(), re.ASCII)
        return [word for word in shown if word not in known and not re.search(r"\d", word)]

    def is_wider_than_the_screen(self) -> bool:
        """Whether the page, or anything in the chat that scrolls, has to be moved sideways."""
        page = "document.documentElement.scrollWidth > innerWidth"
        inside = "all => all.some((each) => each.scrollWidth > each.clientWidth + 1)"
        is_wider = self.page.evaluate(page) or self.panel.locator(".log, .composer, header").evaluate_all(inside)
        return bool(is_wider)


DRAWN = """canvas => {
  const {data, width, height} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let ink = 0, marked = 0;
  for (let at = 0; at < data.length; at += 4) {
    const [red, green, blue] = data.slice(at, at + 3);
    if (red + green + blue < 300) ink += 1;
    if (Math.max(red, green) - blue > 60 && red + green > 300) marked += 1;
  }
  return {width, height, ink: ink / (width * height), marked: marked / (width * height)};
}"""
"""Of a canvas: its size, and which shares of it are dark, and marked in yellow."""


class Agent:
    """Somebody in the inbox of the user interface."""

    def __init__(self, page: Page, person: Person, language: str) -> None:
        self.page = page
        self.person = person
        self._column = _LANGUAGES.index(language)

    @property
    def inbox(self) -> FrameLocator:
        return self.page.frame_locator(".st-key-inbox iframe")

    @property
    def log(self) -> Locator:
        """The open conversation."""
        return self.inbox.locator(".log")

    def sign_in(self) -> None:
        email, password, label = (TEXTS[name][self._column] for name in ("email", "password", "sign_in"))
        self.page.get_by_role("textbox", name=email).fill(self.person.email)
        self.page.get_by_role("textbox", name=password).fill(_PASSWORD)
        self.page.get_by_role("button", name=label).click()
        expect(self.inbox.locator(".presence[aria-checked=true]")).to_be_visible()

    def is_never_reloaded(self) -> None:
        """From here on; `was_reloaded` tells."""
        self.page.evaluate("window.isTheSame = true")

    def was_reloaded(self) -> bool:
        return not self.page.evaluate("window.isTheSame === true")


@dataclass
class Recording:
    """One journey: the browsers in it, and what is kept of each."""

    browser: Browser
    on: Installation
    name: str
    folder: Path
    alarms: list[str] = field(default_factory=list)
    _windows: list[tuple[str, BrowserContext]] = field(default_factory=list)
    _pictures: int = 0

    def customer(self, path: str, language: str = "en", **screen: Any) -> Customer:
        """Somebody who has come to this page of the shop."""
        page = self._window("customer", **{"viewport": {"width": 1280, "height": 860}, "locale": language, **screen})
        page.goto(f"{self.on.shop}{path}")
        return Customer(page, language)

    def agent(self, language: str = "en") -> Agent:
        """An agent who has signed in, with the inbox open."""
        locale = {"en": "en-GB", "zh": "zh-CN"}[language]
        page = self._window("agent", viewport={"width": 1440, "height": 860}, locale=locale)
        page.goto(f"{self.on.ui}/inbox")
        agent = Agent(page, AGENTS[language], language)
        agent.sign_in()
        return agent

    def picture(self, of: Customer | Agent, name: str, *, documented: str = "") -> None:
        """Keeps what the window shows; `documented` is its name in the documentation, where it stands there."""
        self._pictures += 1
        shot = of.page.screenshot(animations="disabled", path=self.folder / f"{self._pictures:02}-{name}.png")
        if documented and os.environ.get("KEEP_PICTURES"):
            DOCUMENTED.mkdir(parents=True, exist_ok=True)
            small = Image.open(BytesIO(shot)).quantize(256, dither=Image.Dither.NONE)
            small.save(DOCUMENTED / f"{documented}.png", optimize=True)

    def finish(self) -> None:
        """Writes the traces (`playwright show-trace` plays them), and ends the browsers."""
        for who, context in self._windows:
            context.tracing.stop(path=self.folder / f"{who}.trace.zip")
            context.close()

    def _window(self, who: str, **context: Any) -> Page:
        """A browser of somebody's own. It reports what must never happen on any page."""
        opened = self.browser.new_context(**context)
        opened.tracing.start(title=f"{self.name}: {who}", screenshots=True, snapshots=True)
        self._windows.append((who, opened))
        page = opened.new_page()
        page.set_default_timeout(30_000)
        own = (self.on.shop, self.on.ui, self.on.api, "data:", "blob:")
        alarm = self.alarms.append

        def dismiss(dialog: Dialog) -> None:
            alarm(f"{who}: dialog {dialog.message}")
            dialog.dismiss()

        page.on("pageerror", lambda error: alarm(f"{who}: error {error}"))
        page.on("dialog", dismiss)
        page.on("request", lambda sent: None if sent.url.startswith(own) else alarm(f"{who}: request to {sent.url}"))
        page.on("response", lambda got: alarm(f"{who}: {got.status} from {got.url}") if _is_refused(got) else None)
        page.on("console", lambda said: alarm(f"{who}: {said.text}") if _is_error(said) else None)
        return page


def _is_refused(response: Response) -> bool:
    """Streamlit looks for its server below the page's own address first, and finds none there."""
    return response.status >= 400 and "/_stcore/" not in response.url


def _is_error(said: ConsoleMessage) -> bool:
    """What a refused request makes the browser say is told by its response."""
    return said.type == "error" and not said.text.startswith("Failed to load resource")
