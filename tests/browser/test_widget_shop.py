"""The widget, the API and the demonstration shop as `answerdesk run --sample` starts them, in a real browser."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Route, expect

from model_runtime.addresses import free_port
from tests.browser.conftest import SCREENSHOTS, Product
from tests.browser.widget_pages import WidgetPage

_START_S = 240
"""Two manuals are read meanwhile."""

ANSWER_MS = 60_000


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """A running installation; `ui` is the shop's address."""
    home = tmp_path_factory.mktemp("shop")
    api_port, ui_port, shop_port = free_port(), free_port(), free_port()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ANSWERDESK_")}
    environment = {
        **kept,
        **{name: value for name, value in os.environ.items() if name == "ANSWERDESK_CACHE"},
        "ANSWERDESK_HOME": str(home),
        "ANSWERDESK_SERVER__PORT": str(api_port),
        "ANSWERDESK_UI__PORT": str(ui_port),
        "ANSWERDESK_UI__SHOP_PORT": str(shop_port),
    }
    log = home / "run.log"
    with log.open("wb") as output:
        command = [sys.executable, "-m", "app.cli", "run", "--sample"]
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output, cwd=home)
    running = Product(f"http://127.0.0.1:{shop_port}", f"http://127.0.0.1:{api_port}", process)
    try:
        _wait_for(running.ui, process, log)
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
            if httpx.get(address, timeout=2).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            threading.Event().wait(0.5)


@pytest.fixture
def visit(browser: Browser, shop: Product) -> Iterator[Callable[..., WidgetPage]]:
    """Opens a page of the shop in a browser of its own; at the end nothing may have been refused or run."""
    alarms: list[str] = []
    expect.set_options(timeout=30_000)

    def opened(path: str, language: str = "en", **context: Any) -> WidgetPage:
        page = contexts.enter_context(browser.new_context(**context)).new_page()
        page.on("pageerror", lambda error: alarms.append(f"error: {error}"))
        page.on("console", lambda said: alarms.append(said.text) if "Content Security" in said.text else None)
        page.goto(f"{shop.ui}{path}")
        return WidgetPage(page, language)

    with ExitStack() as contexts:
        yield opened
    assert not alarms


def test_a_question_on_a_product_page_is_answered_from_the_manual(visit: Callable[..., WidgetPage]) -> None:
    visitor = visit("/products/lt-300s", viewport={"width": 1280, "height": 860})
    visitor.open()
    visitor.page.get_by_role("button", name="How long does descaling take on the LT-300S?").click()
    answer = visitor.answers.last
    expect(answer).to_contain_text("38 minutes", timeout=ANSWER_MS)
    answer.locator("button.marker").first.click()
    canvas = visitor.page.locator("dialog.overlay canvas")
    expect(canvas).to_be_visible()
    assert canvas.evaluate("each => each.width") > 600
    visitor.page.screenshot(path=SCREENSHOTS / "widget_shop_citation.png")
    visitor.page.keyboard.press("Escape")
    visitor.page.get_by_role("button", name="This helped").click()
    visitor.page.screenshot(path=SCREENSHOTS / "widget_shop.png")
    visitor.page.reload()
    expect(visitor.messages).to_have_count(2)
    expect(visitor.page.get_by_role("button", name="This helped")).to_have_attribute("aria-pressed", "true")


def test_a_page_left_before_it_had_its_session_loses_no_conversation(
    visit: Callable[..., WidgetPage], shop: Product
) -> None:
    visitor = visit("/", viewport={"width": 1280, "height": 860})
    visitor.open()
    visitor.say("What is error code E-13?")
    expect(visitor.answers.last).to_contain_text("Milk hose blocked", timeout=ANSWER_MS)
    statuses = []

    def lose(route: Route) -> None:
        """The API gets the request and uses the resume token up; what it says never comes to the page."""
        statuses.append(route.fetch(headers={**route.request.headers, "origin": shop.ui}).status)
        route.abort()

    visitor.page.route("**/api/widget/sessions", lose)
    with visitor.page.expect_event("requestfailed", lambda request: request.url.endswith("/sessions")):
        visitor.page.reload()
    assert statuses[0] == httpx.codes.OK
    visitor.page.unroute("**/api/widget/sessions")
    visitor.page.reload()
    expect(visitor.messages).to_have_count(2)
    visitor.say("Which water filter fits the LT-300?")
    expect(visitor.answers.last).to_contain_text("WF-2", timeout=ANSWER_MS)
    visitor.page.reload()
    expect(visitor.messages).to_have_count(4)


def test_in_chinese_on_a_phone(visit: Callable[..., WidgetPage]) -> None:
    phone = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True, "locale": "zh-CN"}
    visitor = visit("/zh/products/lt-300s", "zh", **phone)
    visitor.open()
    visitor.page.get_by_role("button", name="LT-300S 除垢需要多长时间？").click()
    expect(visitor.answers.last).to_contain_text("38 分钟", timeout=ANSWER_MS)
    expect(visitor.answers.last.locator("button.chip").first).to_contain_text("第")
    visitor.page.screenshot(path=SCREENSHOTS / "widget_shop_phone_zh.png")
    assert not visitor.serious_findings()


def test_the_api_is_killed_and_nothing_is_lost(visit: Callable[..., WidgetPage], shop: Product) -> None:
    visitor = visit("/", viewport={"width": 1280, "height": 860})
    visitor.open()
    visitor.say("What is error code E-13?")
    expect(visitor.messages.last).to_contain_text("Milk hose blocked", timeout=ANSWER_MS)
    shop.kill_api()
    visitor.say("Which water filter fits the LT-300?")
    expect(visitor.messages).to_have_count(4, timeout=ANSWER_MS)
    expect(visitor.messages.last).to_contain_text("WF-2", timeout=ANSWER_MS)
    expect(visitor.banner).to_be_hidden()
    visitor.page.reload()
    expect(visitor.messages).to_have_count(4)


def test_an_origin_that_is_not_listed_gets_nothing(shop: Product) -> None:
    asked = httpx.post(
        f"{shop.api}/api/widget/sessions", json={"site": "shop"}, headers={"Origin": "https://evil.example"}
    )
    assert asked.status_code == httpx.codes.FORBIDDEN
    assert "access-control-allow-origin" not in asked.headers


def test_what_the_shop_needs_is_there(shop: Product) -> None:
    """Flows, decision tables and a catalogue whose addresses lead to pages."""
    with httpx.Client(base_url=shop.api, timeout=30) as api:
        flows = api.get("/api/flows").raise_for_status().json()["flows"]
        assert {each["name"] for each in flows} >= {"order_status", "return"}
        found = api.get("/api/knowledge-bases/sample-catalogue/catalogue/search", params={"q": "kettle"})
        products = found.raise_for_status().json()["products"]
        service = api.get("/api/knowledge-bases/sample").raise_for_status().json()["settings"]["service"]
    assert service["catalogue"] == "sample-catalogue"
    assert products
    page = httpx.get(products[0]["url"]).raise_for_status()
    assert products[0]["name"] in page.text
    assert "unsafe-inline" not in page.headers["content-security-policy"]
