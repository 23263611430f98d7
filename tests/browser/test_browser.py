"""The product as people use it: the real user interface, API, worker and embedder, in Chromium."""

import re
from pathlib import Path

from playwright.sync_api import Page, expect

from app.sample import FIRST_QUESTIONS
from tests.browser.conftest import Product
from tests.browser.pages import Desk
from tests.fakes.openai_server import OpenAIServer, Reply

KETTLE = """# Kettle K-7

## Boiling water

Fill the kettle up to the mark MAX and press the blue lever. Boiling one litre takes 140 seconds.

## Removing limescale

Pour 300 mL of vinegar into the kettle, wait 30 minutes, then rinse it three times.
"""
KETTLE_QUESTION = "How long does boiling one litre take in the kettle?"


def write_kettle(folder: Path) -> Path:
    file = folder / "kettle.md"
    file.write_text(KETTLE)
    return file


def test_upload_ask_and_open_the_cited_page(desk: Desk, page: Page, manuals: dict[str, Path]) -> None:
    desk.go("knowledge-base")
    expect(page.get_by_role("button", name="New knowledge base").last).to_be_visible()
    desk.picture("knowledge-base-first")
    desk.create_knowledge_base()
    expect(page.get_by_text("No documents yet")).to_be_visible()
    desk.upload(manuals["en"])
    expect(desk.document("orvello-lt300-en.pdf").locator(".ad-bar")).to_be_visible()
    desk.picture("knowledge-base-reading")
    desk.wait_until_read("orvello-lt300-en.pdf")
    expect(desk.document("Operating manual")).to_contain_text(re.compile(r"2\d pages"))
    expect(page.get_by_text(re.compile(r"^1 document · \d+ passages"))).to_be_visible()
    desk.picture("knowledge-base-ready")

    desk.click_page("Document Q&A")
    desk.picture("document-qa-empty")
    desk.ask(FIRST_QUESTIONS["en"])
    expect(desk.answer()).to_contain_text("38 minutes on the LT-300S")
    first = desk.wait_for_picture()
    expect(page.locator(".ad-card.ad-shown .ad-marker")).to_have_text("1")
    desk.picture("document-qa")
    page.locator(".ad-card").nth(1).click()
    expect(page.locator(".ad-where")).to_contain_text("Source 2 of")
    expect(desk.pictures().first).not_to_have_attribute("src", first)
    page.get_by_role("button", name="Previous").click()
    expect(page.locator(".ad-where")).to_contain_text("Source 1 of")
    expect(desk.pictures().first).to_have_attribute("src", first)

    desk.click_page("Customer service")
    desk.ask("What does error E-14 mean?")
    desk.wait_for_sources()
    page.reload()
    expect(page.locator(".ad-question")).to_have_text("What does error E-14 mean?")
    desk.picture("customer-service")
    page.locator(".ad-answer button.ad-marker").first.click()
    desk.wait_for_picture()
    desk.picture("customer-service-cited-page")
    page.keyboard.press("Escape")
    thumb = page.locator('[class*="st-key-rating_"] button').first
    thumb.click()
    expect(page.get_by_text("Thank you.")).to_be_visible()
    page.reload()
    expect(thumb).to_have_attribute("aria-checked", "true")
    expect(page.locator(".ad-quiet")).to_have_count(0)  # no model writes here


def test_answers_grow_before_the_readers_eyes(desk: Desk, page: Page, tmp_path: Path, chat_model: OpenAIServer) -> None:
    chat_model.reply = Reply([f"Part {number} of the answer. " for number in range(1, 11)] + ["[1]"], pause=0.2)
    desk.prepare(write_kettle(tmp_path), answerer="generative")
    desk.go("knowledge-base")
    desk.wait_until_read("Kettle K-7")
    desk.click_page("Customer service")
    desk.ask(KETTLE_QUESTION)
    growing = page.locator(".ad-growing")
    expect(growing).to_contain_text("Part 1")
    expect(growing).not_to_contain_text("Part 9")
    desk.picture("customer-service-growing")
    expect(desk.answer()).to_contain_text("Part 10")
    expect(growing).to_have_count(0)
    expect(page.get_by_text("Written by smollm2-moe from the manuals")).to_be_visible()
    notice = page.locator(".ad-quiet")
    expect(notice).to_contain_text("smollm2-moe, a small demonstration model: it often says wrong things")
    page.get_by_text("中文", exact=True).click()
    expect(notice).to_contain_text("小型演示模型 smollm2-moe")
    desk.picture("demonstration-model-zh")


def test_chinese(desk: Desk, page: Page, manuals: dict[str, Path]) -> None:
    desk.go("knowledge-base")
    desk.create_knowledge_base()
    page.get_by_text("中文", exact=True).click()
    expect(page.get_by_text("还没有文档")).to_be_visible()
    assert "lang=zh" in page.url
    desk.upload(manuals["zh"])
    desk.wait_until_read("使用说明书", "就绪")
    desk.picture("knowledge-base-zh")
    desk.click_page("文档问答")
    desk.ask(FIRST_QUESTIONS["zh"])
    expect(desk.answer()).to_contain_text("38 分钟")
    desk.wait_for_picture()
    desk.picture("document-qa-zh")
    page.reload()
    expect(page.locator(".ad-asked")).to_have_text(FIRST_QUESTIONS["zh"])
    expect(page.get_by_test_id("stSidebarNav")).to_contain_text("客户服务")


def test_bad_files_say_why_and_the_others_go_on(desk: Desk, page: Page, tmp_path: Path) -> None:
    damaged, disguised, film = (tmp_path / name for name in ("damaged.pdf", "disguised.pdf", "film.mp4"))
    damaged.write_bytes(b"%PDF-1.7\nnothing of a PDF follows")
    disguised.write_bytes(b"only called a PDF")
    film.write_bytes(b"\0\1\2\3")
    desk.go("knowledge-base")
    desk.create_knowledge_base()
    desk.upload(damaged, write_kettle(tmp_path), disguised, film)
    refused = page.locator(".ad-notice").filter(has_text="not accepted")
    expect(refused).to_contain_text("disguised.pdf")
    expect(refused).to_contain_text("film.mp4")
    desk.wait_until_read("damaged.pdf", "Failed")
    expect(desk.document("damaged.pdf").locator(".ad-bad.ad-notice")).to_contain_text("damaged")
    desk.wait_until_read("Kettle K-7")
    desk.picture("knowledge-base-failures")


def test_deleted_documents_no_longer_answer(desk: Desk, page: Page, tmp_path: Path) -> None:
    desk.prepare(write_kettle(tmp_path))
    desk.go("knowledge-base")
    desk.wait_until_read("Kettle K-7")
    page.get_by_role("tab", name="Try a search").click()
    page.get_by_label("What would a customer ask?").fill("limescale vinegar")
    page.keyboard.press("Enter")
    expect(page.locator(".ad-score").first).to_contain_text("score")
    desk.picture("knowledge-base-search")
    page.get_by_role("tab", name="Documents").click()
    desk.document("Kettle K-7").get_by_role("button", name="delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_text("No documents yet")).to_be_visible()
    desk.click_page("Customer service")
    desk.ask(KETTLE_QUESTION)
    expect(desk.answer()).to_be_visible()
    expect(page.locator(".ad-chip")).to_have_count(0)
    expect(page.get_by_text("140 seconds")).to_have_count(0)
    desk.picture("customer-service-nothing-found")
    desk.click_page("Document Q&A")
    expect(page.get_by_text("no document that can be asked yet")).to_be_visible()


def test_text_from_outside_is_only_ever_text(desk: Desk, page: Page, tmp_path: Path) -> None:
    """Whatever a script or an address in it would do sets off the alarms of the `page` fixture."""
    title = "<img src=x onerror=alert(1)> $x^2$ **b** :smile: [l](x)"
    name = f"{title}.txt"
    sentence = (
        "The gizmo <script>alert(2)</script> needs **oil** every $E=mc^2$ weeks :material/home: "
        "![p](http://evil.example/p.png) <b onmouseover=alert(3)>now</b>."
    )
    (tmp_path / name).write_text(f"{sentence}\n")
    desk.go("knowledge-base")
    desk.create_knowledge_base()
    desk.upload(tmp_path / name)
    desk.wait_until_read(name)
    expect(desk.document(name).locator(".ad-title")).to_have_text(title)
    desk.picture("hostile-documents")
    page.get_by_role("tab", name="Passages").click()
    expect(page.locator(".ad-quote")).to_have_text(sentence)
    desk.picture("hostile-passages")
    desk.click_page("Document Q&A")
    asked = "What does the gizmo need? <script>alert(4)</script> $a$ **b**"
    desk.ask(asked)
    expect(page.locator(".ad-asked")).to_have_text(asked)
    expect(desk.answer()).to_contain_text("<script>alert(2)</script>")
    expect(desk.answer()).to_contain_text("**oil** every $E=mc^2$")
    desk.wait_for_picture()
    expect(page.locator(".ad-card q").first).to_contain_text("![p](http://evil.example/p.png)")
    desk.picture("hostile-document-qa")
    assert page.locator(".ad-answer script, .ad-answer img, .katex").count() == 0


def test_a_dead_api_is_waited_for(desk: Desk, page: Page, tmp_path: Path, product: Product) -> None:
    desk.prepare(write_kettle(tmp_path))
    desk.go("knowledge-base")
    desk.wait_until_read("Kettle K-7")
    desk.click_page("Customer service")
    expect(page.get_by_text("How can we help?")).to_be_visible()
    product.kill_api()
    desk.ask(KETTLE_QUESTION)
    expect(page.get_by_text("Just a moment")).to_be_visible()
    desk.picture("api-away")
    expect(desk.answer()).to_contain_text("140 seconds", timeout=60_000)
    expect(page.locator(".ad-question")).to_have_text(KETTLE_QUESTION)


def test_fits_a_telephone(desk: Desk, page: Page, tmp_path: Path) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    desk.prepare(write_kettle(tmp_path))
    desk.go("knowledge-base")
    desk.wait_until_read("Kettle K-7")
    desk.picture("telephone-knowledge-base")
    desk.go("document-qa")
    desk.ask(KETTLE_QUESTION)
    desk.wait_for_sources()
    desk.wait_for_picture()
    desk.picture("telephone-document-qa")
    desk.go()
    desk.ask(KETTLE_QUESTION)
    desk.wait_for_sources()
    desk.picture("telephone-customer-service")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
