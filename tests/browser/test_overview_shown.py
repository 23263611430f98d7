"""What a manual covers, asked by a customer and by a reader: a list, with its sources folded behind the first six."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.pages import READING_MS, Desk

CHAPTERS = {
    "en": ("Safety", "What is in the box", "Setting up", "Filling the tank", "Programmes", "Descaling", "Cleaning",
           "Changing the filter", "Error codes", "Technical data", "Disposal", "Warranty"),
    "zh": ("安全说明", "包装清单", "安装", "加水", "程序选择", "除垢",
           "清洁", "更换滤芯", "故障代码", "技术参数", "废弃处理", "保修"),
}  # fmt: skip
BODY = {
    "en": "The part on {} tells what to do, in which order, and what is never to be done with the LT-300.",
    "zh": "关于{}的部分说明 LT-300 应当怎样操作、按什么顺序操作，以及绝对不能做的事情。",
}
ASKED = {"en": "What does this manual cover?", "zh": "这本手册讲了什么？"}
ALL = {"en": "All 12 sources", "zh": "全部 12 个来源"}


def write_manual(folder: Path, language: str) -> Path:
    """Its chapters are long enough for a passage each."""
    parts = [
        f"## {number} {chapter}\n\n" + f"{BODY[language].format(chapter)}\n" * 25
        for number, chapter in enumerate(CHAPTERS[language], 1)
    ]
    file = folder / f"lt-300-{language}.md"
    file.write_text("\n".join(("# LT-300\n", *parts)))
    return file


@pytest.mark.parametrize("language", ["en", "zh"])
def test_an_overview_is_a_list(desk: Desk, page: Page, tmp_path: Path, language: str) -> None:
    desk.prepare(write_manual(tmp_path, language))
    desk.go("knowledge-base")
    desk.wait_until_read(f"lt-300-{language}.md")
    for where, piece in (("", ".ad-chip"), ("document-qa", ".ad-card")):
        desk.go(where, lang=language)
        desk.ask(ASKED[language])
        desk.wait_for_sources()
        expect(desk.answer().locator("li")).to_have_count(12, timeout=READING_MS)
        assert not desk.answer().locator("li").first.inner_text().startswith("-")
        folded = page.get_by_text(ALL[language])
        last = page.locator(piece).nth(11)
        expect(page.locator(piece).nth(5)).to_be_visible()
        expect(last).to_be_hidden()
        desk.picture(f"overview-{where or 'customer-service'}-{language}")
        folded.click()
        expect(last).to_be_visible()
        folded.click()
        expect(last).to_be_hidden()
    desk.answer().locator("button.ad-marker").last.click()
    expect(page.locator(".ad-card.ad-shown .ad-marker")).to_have_text("12")
    expect(last).to_be_visible()  # the source that is shown is not folded away
    desk.picture(f"overview-last-source-{language}")
