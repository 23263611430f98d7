"""The pages of customer service in the whole product: what an admin sees without having set anything up, and after."""

from pathlib import Path

import httpx
from playwright.sync_api import Browser, expect

from tests.app.live_app import wait_until
from tests.browser.conftest import Product
from tests.browser.pages import Desk

PAGES = {
    "dashboard": "Dashboard",
    "sites": "No site yet",
    "intents": "Try a sentence",
    "flows": "No flow yet",
    "faq": "Nothing here",
    "catalogue": "No catalogue yet",
    "accounts": "No account yet",
}


def test_figures_and_settings_are_shown(desk: Desk, product: Product, browser: Browser, tmp_path: Path) -> None:
    manual = tmp_path / "kettle.md"
    manual.write_text("# Kettle\n\nFill the kettle with water and switch it on.\n")
    desk.prepare(manual, service={})
    for path, said in PAGES.items():
        desk.go(path)
        expect(desk.page.get_by_text(said, exact=True).last).to_be_visible()
    with httpx.Client(base_url=product.api, timeout=60) as api:
        made = api.post("/api/conversations", json={"knowledge_base": desk.knowledge_base}).json()
        for said in ("Where is the moon base?", "I want to talk to a person"):
            asked = api.post(f"/api/conversations/{made['id']}/messages", json={"text": said})
            assert asked.is_success, asked.text

    desk.go("dashboard")
    metric = desk.page.get_by_test_id("stMetric").filter(has_text="Hand-offs")
    expect(metric.get_by_test_id("stMetricValue")).to_have_text("1")
    expect(desk.page.get_by_test_id("stVegaLiteChart").first).to_be_visible()
    expect(desk.page.get_by_text("Where is the moon base?").first).to_be_visible()
    with desk.page.expect_download() as downloaded:
        desk.page.get_by_role("button", name="Download as CSV").click()
    assert downloaded.value.path().read_text().startswith("day,knowledge_base,conversations")
    desk.picture("dashboard")

    desk.go("sites")
    desk.page.get_by_text("New site").click()
    desk.page.get_by_role("textbox", name="Name").fill("shop")
    desk.page.get_by_role("textbox", name="Origins, one a line").fill("https://shop.example")
    desk.page.get_by_role("button", name="Create").click()
    expect(desk.page.get_by_text("async></script>")).to_be_visible()

    # The inbox speaks to the API itself, which is another origin than the page's.
    context = browser.new_context(locale="en-GB")
    page = context.new_page()
    page.goto(f"{product.ui}/inbox")
    inbox = page.frame_locator(".st-key-inbox iframe")
    inbox.locator(".item").first.click()
    expect(inbox.locator(".log")).to_contain_text("Where is the moon base?")
    expect(inbox.get_by_text("Sign in with an agent's account to answer.")).to_be_visible()
    context.close()

    # With an account everybody signs in, and comes to the page that they wanted.
    account = {"email": "ada@example.com", "name": "Ada", "role": "admin", "password": "correct horse battery"}
    httpx.post(f"{product.api}/api/accounts", json=account, timeout=60).raise_for_status()
    wait_until(lambda: httpx.get(f"{product.api}/api/sites").status_code == 401)  # known within a second
    context = browser.new_context(locale="en-GB")
    page = context.new_page()
    page.goto(f"{product.ui}/dashboard")
    page.get_by_role("textbox", name="E-mail").fill(account["email"])
    page.get_by_role("textbox", name="Password").fill(account["password"])
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.get_by_test_id("stFormSubmitButton").click()
    expect(page.get_by_test_id("stMetric").first).to_be_visible()
    assert page.url.startswith(f"{product.ui}/dashboard")
    context.close()
