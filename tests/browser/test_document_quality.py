"""An admin says what a document is about, sees what is wrong with documents, and turns a filter on and off."""

from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser.pages import READING_MS, Desk

LIMESCALE = "Remove the limescale every month. Fill the tank with water and vinegar, and let it stand for an hour. " * 4


def test_documents_are_described_and_duplicates_left_out(desk: Desk, page: Page, tmp_path: Path) -> None:
    for name in ("old.md", "new.md"):
        (tmp_path / name).write_text(f"# Care\n\n{LIMESCALE}\n")
    (tmp_path / "german.md").write_text("# Pflege\n\nReinigen Sie den Tank und spülen Sie ihn mit Wasser aus.\n")
    desk.prepare(*(tmp_path / name for name in ("old.md", "new.md", "german.md")))
    desk.go("knowledge-base")
    for name in ("old.md", "new.md", "german.md"):
        expect(desk.document(name).locator(".ad-pill")).to_have_text("Ready", timeout=READING_MS)

    expect(desk.document("german.md")).to_contain_text("German")
    page.get_by_text("German 1", exact=True).click()
    expect(desk.document("old.md")).to_have_count(0)
    page.get_by_text("German 1", exact=True).click()

    desk.document("old.md").get_by_role("button").first.click()
    page.get_by_role("textbox", name="Product").fill("LT-300 <b>")
    page.get_by_role("button", name="Save").click()
    expect(desk.document("old.md")).to_contain_text("LT-300 <b>")

    page.get_by_role("tab", name="Document quality").click()
    page.get_by_role("button", name="Look at the documents").click()
    duplicates = page.locator(".st-key-quality_duplicate")
    expect(duplicates).to_contain_text("Off: it would leave out 0 of 3")

    page.get_by_role("tab", name="Documents", exact=True).click()
    desk.document("old.md").get_by_role("button").first.click()
    page.get_by_role("textbox", name="Product").fill("")
    page.get_by_role("button", name="Save").click()
    expect(desk.document("old.md")).not_to_contain_text("LT-300")
    page.get_by_role("tab", name="Document quality").click()
    expect(duplicates).to_contain_text("Off: it would leave out 1 of 3 passages, in 1 document; 3 can be found now.")
    duplicates.get_by_text("Leave out duplicates").click()
    expect(duplicates).to_contain_text("On: 1 of 3 passages are left out by it; 2 can be found.", timeout=READING_MS)
    duplicates.get_by_text("Examples").click()
    expect(duplicates.locator(".ad-quote")).to_contain_text("limescale")
    page.get_by_text("Nearly the same: 1").click()
    desk.picture("document-quality")

    desk.go("knowledge-base")
    page.get_by_role("tab", name="Passages").click()
    page.get_by_role("combobox").nth(1).click()
    page.get_by_role("option", name="Care").last.click()
    expect(page.get_by_text("Left out: duplicate")).to_be_visible()
