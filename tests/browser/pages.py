"""What a person does in the browser, in words: upload, ask, open a source. Used by all browser tests."""

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
from playwright.sync_api import Locator, Page, expect

from ui.texts import TEXTS

_BOXES = {"customer_service": "ask_here", "document_qa": "ask_document"}
READING_MS = 60_000
"""How long a manual may take to be read."""


class Desk:
    """The user interface in one browser window, in one knowledge base."""

    def __init__(self, page: Page, ui: str, api: str, knowledge_base: str, screenshots: Path) -> None:
        self.page = page
        self.knowledge_base = knowledge_base
        self._ui = ui
        self._api = api
        self._screenshots = screenshots

    # Behind the scenes, where a test is about something else.

    def prepare(self, *files: Path, **settings: Any) -> None:
        """A knowledge base with these files, read, without the browser."""
        with httpx.Client(base_url=self._api, timeout=30) as api:
            new = {"name": self.knowledge_base, "settings": settings}
            api.post("/api/knowledge-bases", json=new).raise_for_status()
            form = [("files", (file.name, file.read_bytes())) for file in files]
            api.post(f"/api/knowledge-bases/{self.knowledge_base}/documents", files=form).raise_for_status()

    # Going somewhere.

    def go(self, where: str = "", **parameters: str) -> None:
        """Opens a page by its address."""
        asked = urlencode({"kb": self.knowledge_base, **parameters})
        self.page.goto(f"{self._ui}/{where}?{asked}")

    def click_page(self, name: str) -> None:
        """Waits until the page is there: what is typed into the last page's box is lost with it."""
        self.page.get_by_test_id("stSidebarNav").get_by_text(name, exact=True).click()
        for box in (box for page, box in _BOXES.items() if name in TEXTS[page]):
            own = self.page.get_by_placeholder(_either(box))
            expect(own.or_(self.page.get_by_text(_either("nothing_to_ask")))).to_be_visible()

    def picture(self, name: str) -> None:
        """Keeps what the window shows."""
        self.page.screenshot(path=self._screenshots / f"{name}.png")

    # Knowledge base.

    def create_knowledge_base(self) -> None:
        self.page.get_by_role("button", name="New knowledge base").first.click()
        self.page.get_by_role("textbox", name="Name").fill(self.knowledge_base)
        self.page.get_by_role("button", name="Create").click()
        expect(self.page.locator(".ad-head")).to_have_text(self.knowledge_base)

    def upload(self, *files: Path) -> None:
        self.page.get_by_test_id("stFileUploaderDropzoneInput").set_input_files([str(file) for file in files])

    def document(self, name: str) -> Locator:
        """The document's entry in the list."""
        return self.page.locator('[class*="st-key-source_"]').filter(has_text=name)

    def wait_until_read(self, name: str, status: str = "Ready") -> None:
        expect(self.document(name).locator(".ad-pill")).to_have_text(status, timeout=READING_MS)

    # Asking.

    def ask(self, question: str) -> None:
        self.page.locator("textarea").fill(question)
        self.page.keyboard.press("Enter")

    def answer(self) -> Locator:
        """The last finished answer."""
        return self.page.locator(".ad-answer:not(.ad-growing)").last

    def wait_for_sources(self) -> None:
        expect(self.page.locator(".ad-chip, .ad-card").first).to_be_visible(timeout=READING_MS)

    def pictures(self) -> Locator:
        """Page pictures that are shown."""
        return self.page.locator(".st-key-page_picture img")

    def wait_for_picture(self) -> str:
        """Waits until the cited page is really there; its address."""
        expect(self.pictures().first).to_be_visible()
        self.page.wait_for_function("() => document.querySelector('.st-key-page_picture img').naturalWidth > 500")
        address = self.pictures().first.get_attribute("src")
        assert address
        return address


def _either(name: str) -> re.Pattern[str]:
    """A text of the interface in either language."""
    return re.compile("|".join(re.escape(text.split("{")[0]) for text in TEXTS[name]))
