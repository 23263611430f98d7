"""Makes the pictures of the README anew: `python -m pytest tests/browser/readme_pictures.py`.

Not collected with the tests, because it writes to `docs/images/`.
"""

from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, expect

from tests.browser.conftest import Product
from tests.browser.pages import Desk

IMAGES = Path(__file__).parents[2] / "docs" / "images"
QUESTION = "How do I connect the LT-300S to Wi-Fi?"


def test_take_the_pictures(page: Page, product: Product, manuals: dict[str, Path]) -> None:
    IMAGES.mkdir(exist_ok=True)
    desk = Desk(page, product.ui, product.api, "Coffee machines", IMAGES)
    desk.prepare(*manuals.values())
    desk.go("knowledge-base")
    for name in ("Operating manual", "使用说明书"):
        desk.wait_until_read(name)
    for where, picture in (("document-qa", "document-qa"), ("", "customer-service")):
        desk.go(where)
        desk.ask(QUESTION)
        desk.wait_for_sources()
        if where:
            desk.wait_for_picture()
        expect(page.get_by_text("Quoted from the manuals")).to_be_visible()
        page.locator("h2, .ad-asked, .ad-question").first.hover()
        colours = Image.open(BytesIO(page.screenshot(animations="disabled"))).quantize(256, dither=Image.Dither.NONE)
        colours.save(IMAGES / f"{picture}.png", optimize=True)
