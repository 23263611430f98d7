"""The agents' inbox in a real browser: two agents, customers, and everything live."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import SCREENSHOTS
from tests.browser.inbox_stage import Stage, stage

HOSTILE = '<img src=x onerror="parent.alert(1)"> <script>alert(2)</script>'


@pytest.fixture
def on_stage(browser: Browser, tmp_path: Path) -> Iterator[Stage]:
    expect.set_options(timeout=30_000)
    SCREENSHOTS.mkdir(exist_ok=True)
    with stage(tmp_path, browser) as running:
        yield running


def test_a_hand_off_between_two_agents(on_stage: Stage) -> None:
    customer = on_stage.sign_in("Carla", "customer")
    with on_stage.agent("Anna") as anna, on_stage.agent("Ben") as ben:
        for each in (anna, ben):
            expect(each.inbox.get_by_text("Nobody is waiting")).to_be_visible()
            expect(each.inbox.get_by_text("2 online")).to_be_visible()
        path = on_stage.waits(customer, "How do I reset it?")
        for each in (anna, ben):
            expect(each.inbox.get_by_role("tab", name="Queue 1")).to_be_visible()
            each.inbox.locator(".item").click()
            expect(each.inbox.get_by_text("Hold the button for five seconds.").first).to_be_visible()
            expect(each.inbox.get_by_role("button", name="Claim this conversation")).to_be_visible()

        # One wins; the other is told who, without reloading.
        anna.inbox.get_by_role("button", name="Claim this conversation").click()
        expect(anna.inbox.get_by_role("tab", name="Mine 1")).to_have_attribute("aria-selected", "true")
        expect(ben.inbox.get_by_text("Anna has this conversation.")).to_be_visible()
        expect(ben.inbox.get_by_role("button", name="Claim this conversation")).to_have_count(0)

        # What the customer writes comes in by itself, and both sides see that the other is writing.
        on_stage.post(f"{path}/messages", customer, text=HOSTILE)
        expect(anna.inbox.locator(".log")).to_contain_text(HOSTILE)
        on_stage.post(f"{path}/typing", customer)
        expect(anna.inbox.get_by_text("is typing")).to_be_visible()
        box = anna.inbox.get_by_role("textbox", name="Reply")
        with anna.page.expect_response(lambda response: response.url.endswith("/typing")) as typed:
            box.press_sequentially("One")
        assert typed.value.status == 204
        box.press("Shift+Enter")
        box.press_sequentially("two.")
        anna.page.screenshot(path=SCREENSHOTS / "inbox.png")
        box.press("Enter")
        expect(anna.inbox.locator(".from-agent .bubble")).to_have_text("One\ntwo.")
        expect(box).to_have_value("")
        assert [
            (each["author"], each["text"]) for each in on_stage.said(path, customer) if each["role"] == "agent"
        ] == [("Anna", "One\ntwo.")]

        # A note is for agents, all of them, and for nobody else.
        anna.inbox.get_by_role("button", name="Note", exact=True).click()
        note = anna.inbox.get_by_role("textbox", name="Note")
        note.fill("Sounds tired.")
        note.press("Enter")
        expect(anna.inbox.locator(".note")).to_contain_text("Sounds tired.")
        ben.page.reload()
        ben.inbox.get_by_role("tab", name="All").click()
        ben.inbox.locator(".item").click()
        expect(ben.inbox.locator(".note")).to_contain_text("Sounds tired.")
        assert "Sounds tired" not in on_stage.client.get(path, headers=customer).text

        anna.inbox.get_by_role("button", name="Resolve").click()
        ask = anna.inbox.get_by_role("dialog")
        ask.get_by_role("textbox").fill("All the best!")
        ask.get_by_role("button", name="Resolve").click()
        expect(anna.inbox.get_by_text("This conversation was resolved.")).to_be_visible()
        expect(anna.inbox.get_by_role("tab", name="Mine 0")).to_be_visible()
        assert "All the best!" in {each["text"] for each in on_stage.said(path, customer)}


def test_unread_drafts_and_a_lost_connection(on_stage: Stage) -> None:
    customer = on_stage.sign_in("Carla", "customer")
    with on_stage.agent("Anna") as anna:
        expect(anna.inbox.get_by_text("1 online")).to_be_visible()
        first, second = on_stage.waits(customer), on_stage.waits(customer)
        for left in (1, 0):
            anna.inbox.get_by_role("tab", name="Queue").click()
            anna.inbox.locator(".item").first.press("Enter")
            anna.inbox.get_by_role("button", name="Claim this conversation").press("Enter")
            expect(anna.inbox.get_by_role("tab", name=f"Queue {left}")).to_be_visible()
        box = anna.inbox.get_by_role("textbox", name="Reply")
        box.fill("Half a sentence")
        on_stage.post(f"{first}/messages", customer, text="Are you there?")
        unread = anna.inbox.locator(".item.is-unread")
        expect(unread).to_have_count(1)
        expect(unread).to_contain_text("Are you there?")
        unread.click()
        expect(unread).to_have_count(0)
        expect(box).to_have_value("")

        # While the connection is gone nothing is lost: it comes with the next one.
        anna.context.set_offline(True)
        box.fill("Will this arrive?")
        box.press("Enter")
        expect(anna.inbox.get_by_role("alert")).to_contain_text("cannot be reached")
        expect(box).to_have_value("Will this arrive?")
        anna.context.set_offline(False)
        box.press("Enter")
        expect(anna.inbox.locator(".from-agent .bubble")).to_have_text("Will this arrive?")
        anna.inbox.locator(".item").last.click()
        expect(box).to_have_value("Half a sentence")
        assert [each["text"] for each in on_stage.said(second, customer) if each["role"] == "agent"] == []


def test_a_suggestion_in_chinese_on_a_small_dark_screen(on_stage: Stage) -> None:
    customer = on_stage.sign_in("小林", "customer")
    with on_stage.agent("安娜", "zh", dark=True, width=642, height=760) as anna:
        expect(anna.inbox.get_by_text("当前无人等待")).to_be_visible()
        path = on_stage.waits(customer)
        anna.inbox.locator(".item").click()
        anna.inbox.get_by_role("button", name="认领此会话").click()
        on_stage.post(f"{path}/messages", customer, text="怎么重置？")
        expect(anna.inbox.locator(".log")).to_contain_text("怎么重置？")
        anna.inbox.get_by_role("button", name="建议回复").click()
        expect(anna.inbox.locator(".suggestion-text")).to_contain_text("Hold the button")
        anna.page.screenshot(path=SCREENSHOTS / "inbox_suggestion_zh_dark.png", animations="disabled")
        anna.inbox.get_by_role("button", name="编辑").click()
        expect(anna.inbox.get_by_role("textbox", name="回复")).to_have_value("Hold the button for five seconds. [1]")
        anna.inbox.get_by_role("button", name="详情").click()
        expect(anna.inbox.locator(".details")).to_contain_text("客户要求人工")
        anna.page.screenshot(path=SCREENSHOTS / "inbox_details_zh_dark.png", animations="disabled")
        anna.page.keyboard.press("Escape")
        expect(anna.inbox.locator(".details")).not_to_be_visible()
