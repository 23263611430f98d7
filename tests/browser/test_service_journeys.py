"""Customer service from the first word to the person, as people meet it: on the shop's page, and in the inbox.

Everything is what `answerdesk run --sample` starts: API, worker, embedder, user interface, the shop with its orders.
What is kept of each journey is told in `journey_stage`.
"""

import re
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.journey_stage import AGENTS, DRAWN, RECORDINGS, Installation, Recording, installation

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True, "locale": "zh-CN"}


@pytest.fixture(scope="module")
def on(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with installation(tmp_path_factory.mktemp("journeys")) as running:
        yield running


@pytest.fixture
def journey(browser: Browser, on: Installation, request: pytest.FixtureRequest) -> Iterator[Recording]:
    expect.set_options(timeout=30_000)
    name = request.node.name.removeprefix("test_").replace("_", "-")
    shutil.rmtree(RECORDINGS / name, ignore_errors=True)
    (RECORDINGS / name).mkdir(parents=True)
    recording = Recording(browser, on, name, RECORDINGS / name)
    try:
        yield recording
    finally:
        recording.finish()
    assert not recording.alarms


def test_an_answer_with_its_page(journey: Recording) -> None:
    customer = journey.customer("/products/lt-300s")
    customer.open()
    journey.picture(customer, "greeting")
    customer.say("How long does descaling take on the LT-300S, and what do I need for it?")
    customer.hears("38 minutes")
    expect(customer.answer.locator("button.chip").first).to_contain_text("p. ")
    journey.picture(customer, "answer", documented="question-answer")
    overlay = customer.open_source()
    drawn = overlay.locator("canvas").evaluate(DRAWN)
    assert drawn["width"] > 600
    assert drawn["height"] > drawn["width"]
    assert drawn["ink"] > 0.005, "the page is blank"
    assert drawn["marked"] > 0.001, "nothing is marked on the page"
    expect(overlay.locator("blockquote")).to_contain_text("38 minutes")
    journey.picture(customer, "page", documented="question-page")
    customer.page.keyboard.press("Escape")
    expect(overlay).to_have_count(0)
    expect(customer.panel).to_be_visible()


def test_an_order_whose_number_was_wrong_first(journey: Recording) -> None:
    customer = journey.customer("/")
    customer.open()
    customer.page.get_by_role("button", name="Where is my order?").click()
    customer.hears("What is your order number?")
    customer.say("It is 10022")
    customer.hears("That does not look like an order number.")
    journey.picture(customer, "not-a-number")
    customer.say("OR-10029")
    customer.hears("There is no order OR-10029 in our shop.")
    journey.picture(customer, "no-such-order")
    customer.say("Sorry, or-10022")
    customer.hears("Your order OR-10022 is on its way.")
    journey.picture(customer, "status", documented="order-status")
    customer.say("Thank you!")
    expect(customer.answers).to_have_count(5)
    expect(customer.answer).not_to_contain_text("order number")


def test_a_return_with_a_question_in_between(journey: Recording) -> None:
    customer = journey.customer("/")
    customer.open()
    customer.say("I would like to return something")
    customer.hears("What is the number of the order?")
    customer.say("OR-10021")
    customer.hears("Which item do you want to send back?")
    expect(customer.choices).to_have_count(2)
    journey.picture(customer, "items")
    customer.say("Which water filter fits the LT-300?")
    customer.hears("WF-2")
    customer.hears("Which item do you want to send back?")
    expect(customer.answer.locator("button.marker").first).to_be_visible()
    expect(customer.choices).to_have_count(2)
    journey.picture(customer, "question-in-between", documented="return-interrupted")
    customer.choices.filter(has_text="LT-300 coffee machine").click()
    customer.hears("Why do you want to send it back?")
    customer.say("It is broken")
    customer.hears("Is that right?")
    expect(customer.answer).to_contain_text("LT-300 coffee machine from order OR-10021")
    expect(customer.answer.locator("button.marker").first).to_be_visible()
    journey.picture(customer, "confirm")
    customer.choices.filter(has_text="Yes").click()
    customer.hears("Your return number is RT-")
    expect(customer.choices).to_have_count(0)
    journey.picture(customer, "done", documented="return-done")


def test_a_person_answers_and_is_rated(journey: Recording, on: Installation) -> None:
    agent = journey.agent()
    expect(agent.inbox.get_by_text("Nobody is waiting")).to_be_visible()
    journey.picture(agent, "inbox-is-empty")
    agent.is_never_reloaded()

    customer = journey.customer("/products/lt-300s")
    customer.open()
    customer.say("What does error E-13 mean?")
    customer.hears("Milk hose blocked")
    customer.press("Talk to a person")
    expect(customer.queue).to_contain_text("You are next")
    journey.picture(customer, "queue")

    expect(agent.inbox.get_by_role("tab", name="Queue 1")).to_be_visible()
    agent.inbox.locator(".item").click()
    expect(agent.log).to_contain_text("What does error E-13 mean?")
    expect(agent.log.get_by_role("cell", name="Milk hose blocked")).to_be_visible()
    expect(agent.log).not_to_contain_text("*")
    expect(agent.inbox.locator(".details")).to_contain_text("Asked for a person")
    expect(agent.inbox.locator(".details .passage b").first).to_have_text(re.compile(r" · p\. \d+$"))
    journey.picture(agent, "inbox-queue")
    agent.inbox.get_by_role("button", name="Claim this conversation").click()
    expect(customer.header).to_have_text("Anna is here for you")

    box = agent.inbox.get_by_role("textbox", name="Reply")
    box.press_sequentially("Hello, this is Anna. Does the milk hose come off?")
    expect(customer.typing).to_contain_text("Anna is typing")
    journey.picture(customer, "agent-types")
    box.press("Enter")
    reply = customer.page.locator("answerdesk-widget .message.is-agent").last
    expect(reply).to_contain_text("Does the milk hose come off?")
    expect(reply.locator(".author")).to_contain_text("Anna")
    expect(customer.typing).to_be_hidden()

    customer.input.press_sequentially("No, it is stuck")
    expect(agent.inbox.locator(".typing")).to_be_visible()
    customer.input.press("Enter")
    expect(agent.log).to_contain_text("No, it is stuck")
    journey.picture(agent, "conversation", documented="person-inbox")
    box.fill("Then soak it in warm water for ten minutes and pull it off gently.")
    box.press("Enter")
    expect(reply).to_contain_text("soak it in warm water")
    customer.say("It is off now, thank you!")
    expect(agent.log).to_contain_text("It is off now, thank you!")
    journey.picture(customer, "person", documented="person-customer")

    agent.inbox.get_by_role("button", name="Resolve").click()
    ask = agent.inbox.get_by_role("dialog")
    ask.get_by_role("textbox").fill("Glad to hear it. Enjoy your coffee!")
    ask.get_by_role("button", name="Resolve").click()
    expect(agent.inbox.get_by_text("This conversation was resolved.")).to_be_visible()
    expect(reply).to_contain_text("Enjoy your coffee!")
    expect(customer.panel.locator(".rating")).to_be_visible()
    journey.picture(customer, "resolved")
    customer.rate(5, "Quick and kind.", "Send")
    expect(customer.log).to_contain_text("Thank you for your rating.")
    journey.picture(customer, "rated")
    agent.inbox.get_by_role("tab", name="All").click()
    expect(agent.inbox.locator(".item .stars").first).to_have_text("★★★★★")
    expect(agent.inbox.locator(".details")).to_contain_text("Quick and kind.")
    journey.picture(agent, "inbox-rated")
    assert not agent.was_reloaded()
    assert _ratings(on)[AGENTS["en"].name] == 5
    customer.say("Which water filter fits the LT-300S?")  # from here on it is the assistant again
    customer.hears("WF-4")


def test_in_chinese_on_a_phone_from_the_question_to_the_rating(journey: Recording, on: Installation) -> None:
    agent = journey.agent("zh")
    expect(agent.inbox.get_by_text("当前无人等待")).to_be_visible()
    agent.is_never_reloaded()

    customer = journey.customer("/zh/products/lt-300s", "zh", **PHONE)
    customer.open()
    journey.picture(customer, "greeting")
    customer.say("LT-300S 除垢需要多长时间？要准备什么？")
    customer.hears("38 分钟")
    journey.picture(customer, "answer", documented="phone-answer")
    overlay = customer.open_source()
    drawn = overlay.locator("canvas").evaluate(DRAWN)
    assert drawn["ink"] > 0.005
    assert drawn["marked"] > 0.001
    journey.picture(customer, "page")
    overlay.get_by_role("button", name="关闭").click()
    customer.say("我的订单到哪里了？")
    customer.hears("请提供您的订单号")
    customer.say("10022")
    customer.hears("这不像是订单号")
    customer.say("OR-10022")
    customer.hears("您的订单 OR-10022 已发货")
    journey.picture(customer, "status")

    customer.say("转人工")
    expect(customer.queue).to_contain_text("马上就轮到您了")
    journey.picture(customer, "queue")
    expect(agent.inbox.get_by_role("tab", name="待接入 1")).to_be_visible()
    agent.inbox.locator(".item").first.click()
    expect(agent.log).to_contain_text("您的订单 OR-10022 已发货")
    expect(agent.inbox.locator(".details .summary")).to_contain_text("要求人工客服。")
    journey.picture(agent, "inbox-queue")
    agent.inbox.get_by_role("button", name="认领此会话").click()
    expect(customer.header).to_have_text("李娜 正在为您服务")
    box = agent.inbox.get_by_role("textbox", name="回复")
    box.press_sequentially("您好，我是李娜。请问包裹需要改地址吗？")
    expect(customer.typing).to_contain_text("李娜 正在输入")
    journey.picture(customer, "agent-types")
    box.press("Enter")
    reply = customer.page.locator("answerdesk-widget .message.is-agent").last
    expect(reply).to_contain_text("请问包裹需要改地址吗？")
    customer.input.press_sequentially("不用改，请送到门口")
    expect(agent.inbox.locator(".typing")).to_be_visible()
    customer.input.press("Enter")
    expect(agent.log).to_contain_text("不用改，请送到门口")
    journey.picture(agent, "conversation")
    journey.picture(customer, "person", documented="phone-person")

    agent.inbox.get_by_role("button", name="解决").click()
    ask = agent.inbox.get_by_role("dialog")
    ask.get_by_role("textbox").fill("好的，已经备注。祝您生活愉快！")
    ask.get_by_role("button", name="解决").click()
    expect(agent.inbox.get_by_text("此会话已解决。")).to_be_visible()
    expect(customer.panel.locator(".rating")).to_be_visible()
    journey.picture(customer, "resolved")
    customer.rate(4, "很快。", "提交")
    expect(customer.log).to_contain_text("感谢您的评价。")
    journey.picture(customer, "rated", documented="phone-rating")
    assert not agent.was_reloaded()
    assert _ratings(on)[AGENTS["zh"].name] == 4
    assert not customer.is_wider_than_the_screen()
    assert not customer.foreign_words("Orvello")
    assert not customer.serious_findings()


def _ratings(on: Installation) -> dict[str, int]:
    """What customers gave, by the agent who had the conversation."""
    with on.as_admin() as api:
        ended = api.get("/api/inbox", params={"box": "all"}).raise_for_status().json()["hand_offs"]
    return {each["agent"]["name"]: each["rating"] for each in ended if each["agent"]}
