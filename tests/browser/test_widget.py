"""The widget in a real browser, on the demonstration shop's pages and their strict Content-Security-Policy.

What it is sent is a script's (`widget_api`), so that it can be anything.
"""

import gzip
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from playwright.sync_api import Browser, Dialog, Page, Request, expect
from starlette.responses import JSONResponse

from tests.app.live_app import wait_until
from tests.browser.conftest import SCREENSHOTS
from tests.browser.widget_api import CITATION, FILES, Stage, WidgetApi, message, stage
from tests.browser.widget_pages import ACTIVE, WidgetPage

ANSWER = {
    "text": "You need one bottle of **DS-15**: [1]\n1. Empty the tank.\n2. Press OK. [1]",
    "citations": [CITATION],
}
SCRIPT = "<img src=x onerror=\"alert(1)\"><script>alert(2)</script><a href='javascript:alert(3)'>x</a>"
WITH_THE_PAGE_BYTES, WITH_THE_FIRST_CLICK_BYTES, IN_ALL_BYTES = 4_000, 20_000, 30_000

_SCRIPT_NAME = re.compile(r"[^/]+\.js$")
_WINDOW = {"width": 1280, "height": 860}

_HOSTILE_SHEET = """(() => {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(`
    html > *:not(head), body * { all: unset !important; display: none !important; opacity: 0 !important; }
    html > *:not(head) { transform: rotate(9deg) !important; filter: invert(1) !important; zoom: 3 !important; }
    * { font: 40px cursive !important; color: red !important; letter-spacing: 9px !important; }
    button, textarea, .panel, .launcher, dialog { display: none !important; pointer-events: none !important; }`);
  document.adoptedStyleSheets = [sheet];
})()"""
"""A page's own rules that would break anything they reach."""

_SHAPE = """
  [...document.querySelector("answerdesk-widget").shadowRoot.querySelectorAll(".panel, .message, .bubble, header")]
  .map((each) => {
    const { x, y, width, height } = each.getBoundingClientRect();
    const { color, fontFamily, letterSpacing } = getComputedStyle(each);
    return [x, y, width, height].map(Math.round).concat([color, fontFamily, letterSpacing]);
  })"""
"""Where the widget's parts are, and how they look."""

Opener = Callable[..., WidgetPage]


@pytest.fixture
def scene() -> Iterator[Stage]:
    with stage(WidgetApi(answer=ANSWER)) as prepared:
        yield prepared


@pytest.fixture
def visit(browser: Browser, scene: Stage) -> Iterator[Opener]:
    """Opens a page of the shop in a browser of its own; at the end nothing may have been refused or run."""
    alarms: list[str] = []
    expect.set_options(timeout=30_000)

    def check_dialog(dialog: Dialog) -> None:
        alarms.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def opened(path: str = "/products/lt-300s", *, language: str = "en", **context: Any) -> WidgetPage:
        window = contexts.enter_context(browser.new_context(**{"viewport": _WINDOW, **context}))
        page = window.new_page()
        page.on("dialog", check_dialog)
        page.on("pageerror", lambda error: alarms.append(f"error: {error}"))
        page.on("console", lambda said: alarms.append(said.text) if "Content Security" in said.text else None)
        page.goto(f"{scene.shop}{path}")
        return WidgetPage(page, language)

    with ExitStack() as contexts:
        yield opened
    assert not alarms


def test_what_loads_is_small(scene: Stage, visit: Opener) -> None:
    """Each file by itself, as it goes over the wire: with the page, with the first click, and when it is needed."""
    loaded: list[str] = []
    visitor = visit()
    visitor.page.on("request", lambda request: loaded.extend(_SCRIPT_NAME.findall(request.url)))
    visitor.page.reload(wait_until="networkidle")

    def sizes() -> dict[str, int]:
        return {name: len(gzip.compress((FILES / name).read_bytes())) for name in loaded}

    assert loaded == ["widget.js"]
    assert sizes()["widget.js"] < WITH_THE_PAGE_BYTES
    visitor.open()
    visitor.page.wait_for_load_state("networkidle")
    at_first = {*("widget.js", "chat.js", "dom.js", "session.js", "style.js", "texts_en.js", "thread.js", "window.js")}
    assert set(loaded) == at_first
    assert sum(sizes().values()) < WITH_THE_FIRST_CLICK_BYTES, sizes()
    visitor.say("How do I descale it?")
    expect(visitor.messages.last.get_by_role("button", name="Source 1").first).to_be_visible()
    assert set(loaded) - at_first == {"message.js", "below.js"}
    scene.api.tell("hand_off", {"status": "claimed", "agent": "Ana Ruiz", "position": None})
    expect(visitor.panel).to_contain_text("Ana Ruiz is here for you")
    scene.api.tell("hand_off", {"status": "resolved", "agent": "Ana Ruiz", "position": None})
    expect(visitor.page.locator(".star")).to_have_count(5)
    assert set(loaded) - at_first == {"message.js", "below.js", "people.js", "rating.js"}
    assert sum(sizes().values()) < IN_ALL_BYTES, sizes()


def test_a_question_is_answered_word_by_word_and_its_page_opened(scene: Stage, visit: Opener) -> None:
    scene.api.pause_s = 0.3
    visitor = visit()
    visitor.open()
    visitor.say("How do I descale it?")
    answer = visitor.messages.last
    expect(answer).to_have_attribute("aria-busy", "true")
    expect(answer).to_contain_text("You need one")
    expect(answer).not_to_contain_text("Press OK")  # it is still being written
    expect(answer).to_contain_text("Press OK.")
    expect(answer.locator("strong")).to_have_text("DS-15")
    (sent,) = scene.api.asked("messages")
    assert sent["context"] == {"product": "LT-300S", "page": f"{scene.shop}/products/lt-300s", "language": "en"}

    marker = answer.get_by_role("button", name="Source 1: Operating manual, page 19").first
    marker.click()
    dialog = visitor.page.get_by_role("dialog", name="Operating manual")
    canvas = dialog.get_by_role("img", name="Page 19 of Operating manual")
    expect(canvas).to_be_visible()
    colour = canvas.evaluate("each => [...each.getContext('2d').getImageData(300, 220, 1, 1).data]")
    assert colour == [255, 229, 143, 255], "the picture's mark is on the canvas"
    dialog.get_by_role("button", name="Next page").click()
    expect(dialog).to_contain_text("p. 22")
    wait_until(lambda: [each.get("page") for each in scene.api.asked("page")] == ["21", "22"])
    visitor.page.screenshot(path=SCREENSHOTS / "widget_citation.png")
    visitor.page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    assert visitor.page.evaluate(ACTIVE) == "Source 1: Operating manual, page 19"
    expect(visitor.panel).to_be_visible()  # Escape closed the page alone


def test_a_reload_goes_on_with_the_conversation(visit: Opener) -> None:
    visitor = visit()
    visitor.open()
    visitor.say("How do I descale it?")
    expect(visitor.messages.last).to_contain_text("Press OK.")
    visitor.page.reload()
    expect(visitor.messages).to_have_count(2)  # it opens by itself, as it was left
    expect(visitor.messages.last.get_by_role("button", name="Source 1").first).to_be_visible()
    kept = visitor.page.evaluate("JSON.stringify([Object.entries(localStorage), Object.entries(sessionStorage)])")
    assert "descale" not in kept
    assert re.fullmatch(r'\[\[\["answerdesk shop","[0-9a-f]{32}"\]\],.*', kept), "the resume token is all there is"

    visitor.page.get_by_role("button", name="New conversation").click()
    expect(visitor.messages).to_have_count(0)


def test_two_visitors_see_nothing_of_each_other(visit: Opener) -> None:
    one, other = visit(), visit()
    one.open()
    other.open()
    one.say("the first visitor's words")
    expect(one.messages).to_have_count(2)
    other.say("the second visitor's words")
    expect(other.messages).to_have_count(2)
    expect(one.panel).not_to_contain_text("second")
    expect(other.panel).not_to_contain_text("first")


def test_hostile_words_are_words(scene: Stage, visit: Opener) -> None:
    hostile = {**CITATION, "title": SCRIPT, "quote": SCRIPT, "heading_path": [SCRIPT], "page_label": SCRIPT}
    image = "data:text/html,<script>alert(5)</script>"
    product = {"name": SCRIPT, "url": "javascript:alert(4)", "image": image, "attributes": {SCRIPT: SCRIPT}}
    more = {"citations": [hostile], "products": [product], "choices": [{"label": SCRIPT}]}
    theme = {"--answerdesk-accent": "red;} *{display:none", "onclick": "alert(8)"}
    scene.api.site = {"title": SCRIPT, "greeting": SCRIPT, "name": SCRIPT, "theme": theme}
    scene.api.answer = {"text": f"{SCRIPT} [1] [click](javascript:alert(6)) javascript:alert(7)", **more}
    visitor = visit()
    visitor.open()
    visitor.say(SCRIPT)
    expect(visitor.messages.last.locator(".text")).to_contain_text("alert(2)")
    scene.api.tell("message", message("agent", SCRIPT, author=SCRIPT))
    scene.api.tell("typing", {"role": "agent", "name": SCRIPT, "until": "2040-01-01T00:00:00Z"})
    scene.api.tell("hand_off", {"status": "claimed", "agent": SCRIPT, "position": None})
    expect(visitor.messages.last).to_contain_text("onerror")
    visitor.page.get_by_role("button", name="Source 1").first.click()
    expect(visitor.page.locator("dialog.overlay canvas")).to_be_visible()

    made = visitor.page.evaluate(
        "(() => { const root = document.querySelector('answerdesk-widget').shadowRoot;"
        "return [root.querySelectorAll('script, img, iframe, [onerror], [href^=\"javascript\"]').length,"
        " [...root.querySelectorAll('.bubble')].map((each) => each.textContent)]; })()"
    )
    assert made[0] == 0
    assert [each.removeprefix("You: ") for each in made[1]] == [SCRIPT, SCRIPT]


def test_page_and_widget_keep_their_own_look(visit: Opener) -> None:
    plain = visit()
    plain.open()
    plain.say("How do I descale it?")
    expect(plain.messages).to_have_count(2)
    hostile = visit()
    hostile.page.evaluate(_HOSTILE_SHEET)
    hostile.open()
    hostile.say("How do I descale it?")
    for each in (plain, hostile):
        expect(each.messages.last).to_contain_text("Press OK.")
        each.page.wait_for_timeout(400)  # the last one has come to its place
    assert hostile.page.evaluate(_SHAPE) == plain.page.evaluate(_SHAPE)
    of_page = "getComputedStyle(document.querySelector('h1')).cssText + document.styleSheets.length"
    untouched = visit()
    assert plain.page.evaluate(of_page) == untouched.page.evaluate(of_page), "nothing of the widget's leaks out"


def test_everything_with_the_keyboard_alone(scene: Stage, visit: Opener) -> None:
    scene.api.answer = {**ANSWER, "choices": [{"label": "The LT-300S"}]}
    visitor = visit("/")
    keyboard = visitor.page.keyboard
    visitor.page.get_by_role("link", name="Transport box").focus()
    for _ in range(2):
        keyboard.press("Tab")
        if visitor.page.evaluate(ACTIVE):
            break
    assert visitor.page.evaluate(ACTIVE) == "Open the chat"
    keyboard.press("Enter")
    expect(visitor.input).to_be_focused()
    keyboard.type("One line")
    keyboard.press("Shift+Enter")
    keyboard.type("and another")
    keyboard.press("Enter")
    expect(visitor.messages).to_have_count(2)
    assert scene.api.asked("messages")[0]["text"] == "One line\nand another"
    choice = visitor.page.get_by_role("button", name="The LT-300S")
    expect(choice).to_be_visible()
    for _ in range(12):
        keyboard.press("Shift+Tab")
        if choice.evaluate("each => each.getRootNode().activeElement === each"):
            break
    keyboard.press("Enter")
    expect(visitor.messages).to_have_count(4)
    assert scene.api.asked("messages")[1]["text"] == "The LT-300S"
    keyboard.press("Escape")
    expect(visitor.panel).to_be_hidden()
    assert visitor.page.evaluate(ACTIVE) == "Open the chat"


_PHONE = {"has_touch": True, "is_mobile": True}
LOOKS: dict[str, dict[str, Any]] = {
    "light": {},
    "dark": {"color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True},
    "phone_zh": {
        "viewport": {"width": 360, "height": 640},
        "has_touch": True,
        "is_mobile": True,
        "color_scheme": "dark",
    },
}


@pytest.mark.parametrize("look", LOOKS)
def test_axe_finds_nothing_serious(scene: Stage, visit: Opener, look: str) -> None:
    language = "zh" if look.endswith("zh") else "en"
    visitor = visit("/zh/" if language == "zh" else "/", language=language, **LOOKS[look])
    assert not visitor.serious_findings()
    visitor.open()
    visitor.page.screenshot(path=SCREENSHOTS / f"widget_{look}_greeting.png")
    visitor.say("LT-300S?")
    expect(visitor.messages).to_have_count(2)
    product = {
        "sku": "WF-4",
        "name": "Water filter",
        "price": 19,
        "currency": "EUR",
        "stock": 0,
        "url": f"{scene.shop}/products/wf-4",
        "image": f"{scene.shop}/files/filter.svg",
        "attributes": {"for": "LT-300S"},
    }
    rows = "These fit:\nModel | Time\nLT-300 | 28 min"
    offer = message("assistant", rows, kind="uncertain", products=[product], choices=[{"label": "Yes"}])
    scene.api.tell("hand_off", {"status": "queued", "agent": None, "position": 2})
    scene.api.tell("message", message("agent", "Hello, I am Ana. See https://shop.example/a.", author="Ana Ruiz"))
    scene.api.tell("message", offer)
    expect(visitor.messages).to_have_count(4)
    visitor.page.wait_for_timeout(400)  # the last one has faded in: axe measures contrasts
    assert not visitor.serious_findings()
    visitor.page.screenshot(path=SCREENSHOTS / f"widget_{look}.png")
    box = visitor.panel.bounding_box()
    assert box is not None
    assert (box["width"] == visitor.page.viewport_size["width"]) == look.startswith("phone")  # type: ignore[index]
    scene.api.tell("hand_off", {"status": "resolved", "agent": "Ana Ruiz", "position": None})
    visitor.page.locator(".star").nth(3).click()
    assert not visitor.serious_findings()
    visitor.messages.nth(1).locator("button.marker").first.click()
    expect(visitor.page.locator("dialog.overlay canvas")).to_be_visible()
    visitor.page.wait_for_timeout(300)
    assert not visitor.serious_findings()


def test_a_person_comes_writes_and_is_rated(scene: Stage, visit: Opener) -> None:
    visitor = visit()
    visitor.open()
    visitor.say("How do I descale it?")
    expect(visitor.messages).to_have_count(2)
    visitor.page.get_by_role("button", name="This did not help").click()
    expect(visitor.panel).to_contain_text("Thank you.")
    visitor.page.get_by_role("button", name="Talk to a person").click()
    wait_until(lambda: ("POST", "hand-off", {}) in scene.api.requests)
    scene.api.tell("hand_off", {"status": "queued", "agent": None, "position": 2})
    expect(visitor.panel).to_contain_text("You are number 2 in the queue.")
    scene.api.tell("hand_off", {"status": "claimed", "agent": "Ana Ruiz", "position": None})
    expect(visitor.panel).to_contain_text("Ana Ruiz is here for you")
    scene.api.tell("typing", {"role": "agent", "name": "Ana Ruiz", "until": "2040-01-01T00:00:00Z"})
    expect(visitor.panel).to_contain_text("Ana Ruiz is typing…")
    visitor.input.press_sequentially("Thanks")
    wait_until(lambda: len(scene.api.asked("typing")) == 1)
    visitor.page.keyboard.press("Escape")
    scene.api.tell("message", message("agent", "It is on its way.", author="Ana Ruiz"))
    visitor.page.get_by_role("button", name="Open the chat (1 new)").click()
    expect(visitor.page.locator("answerdesk-widget .typing")).to_be_hidden()
    scene.api.tell("hand_off", {"status": "resolved", "agent": "Ana Ruiz", "position": None})
    visitor.page.get_by_role("radio", name="4 of 5").check(force=True)
    visitor.page.get_by_role("textbox", name="Anything to add?").fill("Quick")
    visitor.page.get_by_role("group", name="How was this conversation?").get_by_role("button", name="Send").click()
    expect(visitor.panel).to_contain_text("Thank you for your rating.")
    assert scene.api.asked("rating") == [{"stars": 4, "comment": "Quick"}]
    visitor.page.reload()
    tab = WidgetPage(visitor.page.context.new_page())
    tab.page.goto(visitor.page.url)
    tab.open()
    for each in (visitor, tab):
        expect(each.messages).to_have_count(3)  # the server says again that the hand-off is over
        each.page.wait_for_timeout(500)
        expect(each.page.get_by_role("group", name="How was this conversation?")).to_have_count(0)


def test_who_does_not_want_to_rate_is_not_asked_again(scene: Stage, visit: Opener) -> None:
    visitor = visit()
    visitor.open()
    visitor.say("How do I descale it?")
    expect(visitor.messages).to_have_count(2)
    asks = visitor.page.get_by_role("group", name="How was this conversation?")
    resolved = {"status": "resolved", "agent": "Ana Ruiz", "position": None}
    scene.api.tell("hand_off", resolved)
    expect(asks).to_be_visible()
    visitor.page.reload()
    expect(asks).to_be_visible()  # nothing was said about it yet
    asks.get_by_role("button", name="Not now").click()
    expect(asks).to_have_count(0)
    scene.api.tell("hand_off", resolved)
    visitor.page.reload()
    expect(visitor.messages).to_have_count(2)
    visitor.page.wait_for_timeout(500)
    expect(asks).to_have_count(0)
    assert not scene.api.asked("rating")
    visitor.page.get_by_role("button", name="New conversation").click()
    expect(visitor.messages).to_have_count(0)
    visitor.say("And another one?")
    expect(visitor.messages).to_have_count(2)
    scene.api.tell("hand_off", resolved)
    expect(asks).to_be_visible()  # that was another conversation


def test_an_answer_is_there_though_what_makes_it_look_well_is_not(scene: Stage, visit: Opener) -> None:
    visitor = visit()
    visitor.page.route("**/widget/message.js*", lambda route: route.abort())
    visitor.open()
    visitor.say("How do I descale it?")
    expect(visitor.messages.last).to_contain_text("You need one bottle of **DS-15**: [1]")
    visitor.page.unroute("**/widget/message.js*")
    visitor.say("How, please?")
    expect(visitor.messages).to_have_count(4)
    expect(visitor.answers.first.get_by_role("button", name="Source 1").first).to_be_visible()


def test_a_server_that_goes_and_comes_back_loses_no_message(scene: Stage, visit: Opener) -> None:
    visitor = visit()
    visitor.open()
    visitor.say("first")
    expect(visitor.messages).to_have_count(2)
    scene.serving.stop()
    expect(visitor.banner).to_contain_text("Connection lost")
    visitor.say("second")
    expect(visitor.panel).to_contain_text("Not sent")
    scene.serving.start()
    expect(visitor.messages).to_have_count(4, timeout=20_000)  # sent by itself, and answered
    expect(visitor.banner).to_be_hidden()
    told = [each["client_message_id"] for each in scene.api.asked("messages")]
    assert len(set(told)) == 2
    expect(visitor.messages.nth(2)).to_contain_text("second")


def test_offline_is_said_and_ends(visit: Opener) -> None:
    visitor = visit()
    visitor.open()
    visitor.say("first")
    expect(visitor.messages).to_have_count(2)
    visitor.page.context.set_offline(True)
    expect(visitor.banner).to_contain_text("You are offline")
    visitor.page.context.set_offline(False)
    expect(visitor.banner).to_be_hidden()


def test_an_expired_token_is_renewed_and_a_message_sent_too_soon_waits(scene: Stage, visit: Opener) -> None:
    visitor = visit()
    visitor.open()
    visitor.say("first")
    expect(visitor.messages).to_have_count(2)
    scene.api.tokens.clear()
    too_soon = {"error": {"code": "rate_limited", "message": "Slowly.", "details": {}}}
    scene.api.refuse_messages = [JSONResponse(too_soon, 429, {"Retry-After": "1"})]
    visitor.say("second")
    expect(visitor.panel).to_contain_text("It will be sent in 1 s.")
    expect(visitor.messages).to_have_count(4)
    expect(visitor.messages.last).to_contain_text("Press OK.")
    assert [("resume" in each) for each in scene.api.asked("sessions")] == [False, True]


def test_a_used_resume_token_begins_anew(scene: Stage, visit: Opener) -> None:
    visitor = visit()
    visitor.open()
    visitor.say("first")
    expect(visitor.messages).to_have_count(2)
    scene.api.visitors.clear()
    visitor.page.reload()
    expect(visitor.input).to_be_visible()
    expect(visitor.messages).to_have_count(0)
    visitor.say("second")
    expect(visitor.messages).to_have_count(2)


def test_no_address_is_asked_but_the_api_and_the_shop(scene: Stage, visit: Opener) -> None:
    asked: list[str] = []

    def note(request: Request) -> None:
        asked.append(request.url)

    visitor = visit()
    page: Page = visitor.page
    page.on("request", note)
    page.reload()
    visitor.open()
    visitor.say("first")
    expect(visitor.messages).to_have_count(2)
    assert all(each.startswith((scene.shop, scene.serving.address)) for each in asked)
