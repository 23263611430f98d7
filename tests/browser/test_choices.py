"""A question that two products answer differently: the product is asked for, and chosen with a click."""

from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser.pages import Desk

MANUAL = """<html><head><title>Care {product}</title><meta name="product" content="{product}"></head><body>
<h1>Descaling</h1><p>Descaling the machine takes {minutes} minutes. Fill the tank with {amount} ml of descaler and press
the steam button.</p></body></html>"""


def write_manual(folder: Path, product: str, minutes: int, amount: int) -> Path:
    file = folder / f"{product}.html"
    file.write_text(MANUAL.format(product=product, minutes=minutes, amount=amount))
    return file


def test_choosing_a_product(desk: Desk, page: Page, tmp_path: Path) -> None:
    manuals = write_manual(tmp_path, "LT-100", 20, 100), write_manual(tmp_path, "LT-200", 40, 200)
    desk.prepare(*manuals, refuse_below=0, doubt_below=0)
    desk.go("knowledge-base")
    desk.wait_until_read("Care LT-100")
    desk.wait_until_read("Care LT-200")
    for page_name, question in (("Customer service", ".ad-question"), ("Document Q&A", ".ad-asked")):
        desk.click_page(page_name)
        desk.ask("How many minutes does descaling the machine take?")
        choices = page.locator('[class*="_choices"] button')
        expect(choices).to_have_count(2)
        desk.picture(f"choices-{page_name[0].lower()}")
        choices.filter(has_text="LT-200").click()
        expect(page.locator(question).last).to_have_text("LT-200")
        expect(desk.answer()).to_contain_text("40 minutes")
        expect(page.get_by_text("About: LT-200")).to_be_visible()
        expect(choices).to_have_count(0)
        desk.picture(f"chosen-{page_name[0].lower()}")
