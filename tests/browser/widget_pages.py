"""What a visitor does with the widget, in words. Used by the widget's browser tests."""

from typing import Any

from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Locator, Page, expect

LAUNCHER = {"en": "Open the chat", "zh": "打开客服对话"}
WRITE = {"en": "Write a message…", "zh": "请输入您的问题…"}

ACTIVE = "document.querySelector('answerdesk-widget').shadowRoot.activeElement?.getAttribute('aria-label')"
"""The label of what has the focus inside the widget."""


class WidgetPage:
    """The widget in one browser window. Playwright's locators look into open shadow roots."""

    def __init__(self, page: Page, language: str = "en") -> None:
        self.page = page
        self._language = language

    def open(self) -> Locator:
        """A click on the button at the corner; gives the window."""
        self.page.get_by_role("button", name=LAUNCHER[self._language]).click()
        expect(self.input).to_be_visible()
        return self.panel

    @property
    def panel(self) -> Locator:
        return self.page.locator("answerdesk-widget .panel")

    @property
    def input(self) -> Locator:
        return self.page.get_by_role("textbox", name=WRITE[self._language])

    @property
    def messages(self) -> Locator:
        return self.page.locator("answerdesk-widget .message")

    @property
    def answers(self) -> Locator:
        """Messages of the assistant's."""
        return self.page.locator("answerdesk-widget .message.is-assistant")

    @property
    def banner(self) -> Locator:
        return self.page.locator("answerdesk-widget .banner")

    def say(self, text: str) -> None:
        self.input.fill(text)
        self.input.press("Enter")

    def serious_findings(self) -> list[tuple[str, list[Any]]]:
        """What axe finds in the widget that is serious or critical: (rule, elements)."""
        found = Axe().run(self.page, context="answerdesk-widget").response["violations"]
        return [(each["id"], each["nodes"]) for each in found if each["impact"] in ("serious", "critical")]
