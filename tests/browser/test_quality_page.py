"""An admin writes and uploads golden questions, runs them, sees what failed, compares, and takes up a complaint."""

import json
from pathlib import Path

import httpx
from playwright.sync_api import Page, expect

from tests.browser.conftest import Product
from tests.browser.pages import READING_MS, Desk

MANUAL = """# Kettle K-7

## Removing limescale

1. Pour 300 mL of vinegar into the kettle.
2. Wait 30 minutes.
3. Rinse it three times.

## Error codes

E-42 means that the lid is open. Close the lid and press the blue lever.
"""
QUESTIONS = [
    {"id": "code", "question": "What does E-42 mean?", "expected": {"document": "kettle.md", "answer": "lid is open"}},
    {"id": "zoo", "question": "Which zoo in Europe has the most penguins?", "expected": "not answerable"},
    {"id": "lost", "question": "How long do I wait?", "expected": {"document": "gone.md", "answer": "45 minutes"}},
]
RUN_MS = 60_000


def test_golden_questions_are_run_and_compared(desk: Desk, page: Page, product: Product, tmp_path: Path) -> None:
    (tmp_path / "kettle.md").write_text(MANUAL)
    golden = tmp_path / "golden.jsonl"
    golden.write_text("".join(json.dumps(each) + "\n" for each in QUESTIONS))
    desk.prepare(tmp_path / "kettle.md")
    desk.go("knowledge-base")
    desk.wait_until_read("kettle.md")

    desk.go("quality")
    expect(page.get_by_text("No golden questions yet").first).to_be_visible()
    desk.upload(golden)
    expect(page.get_by_text("3 added, 0 changed, 0 there already.")).to_be_visible()
    page.get_by_role("button", name="Add a question").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("textbox", name="Question", exact=True).fill("How much vinegar <b>goes</b> in?")
    dialog.get_by_role("textbox", name="Words of the right answer").fill("300 mL of vinegar")
    dialog.get_by_role("button", name="Save").click()
    written = page.locator('[class*="st-key-golden_question_"]').filter(has_text="<b>goes</b>")
    expect(written).to_contain_text("300 mL of vinegar")
    expect(page.get_by_text("4 golden questions")).to_be_visible()
    desk.picture("quality-questions")

    page.get_by_role("tab", name="Runs").click()
    page.get_by_role("textbox", name="Note").fill("as it is")
    page.get_by_role("button", name="Run", exact=True).click()
    first = page.locator(".st-key-golden_run_1")
    expect(first.locator(".ad-pill").first).to_have_text("Done", timeout=RUN_MS)
    expect(first).to_contain_text("Not retrieved 1")
    first.get_by_text("What failed, and why").click()
    expect(first).to_contain_text("Expected: gone.md · 45 minutes")
    expect(first).to_contain_text("Found: kettle.md")
    desk.picture("quality-run")
    first.get_by_text("When to refuse").click()
    first.get_by_role("button", name="Set the threshold").click()
    expect(first).to_contain_text("add 9 more that the manuals do not answer")

    page.get_by_text("Try other settings").click()
    page.get_by_label("Refuse below this probability").fill("1")
    page.get_by_role("textbox", name="Note").fill("refuses")
    page.get_by_role("button", name="Run", exact=True).click()
    second = page.locator(".st-key-golden_run_2")
    expect(second.locator(".ad-pill").first).to_have_text("Done", timeout=RUN_MS)
    expect(second).to_contain_text("refuse_below = 1")
    expect(second).to_contain_text("Refused 2")

    page.get_by_role("tab", name="Compare").click()
    expect(page.get_by_role("cell", name="Refused, though in the manuals")).to_be_visible()
    expect(page.get_by_text("Passed → Refused").first).to_be_visible()
    desk.picture("quality-compare")

    with httpx.Client(base_url=product.api, timeout=30) as api:
        conversation = api.post("/api/conversations", json={"knowledge_base": desk.knowledge_base}).json()["id"]
        messages = f"/api/conversations/{conversation}/messages"
        for text in ("What about the blue lever?", "Is it dishwasher safe?"):
            answer = api.post(messages, json={"text": text}).json()
            api.post(f"/api/messages/{answer['id']}/feedback", json={"rating": "down"}).raise_for_status()
    desk.go("quality")
    page.get_by_role("tab", name="Candidates").click()
    candidates = page.locator('[class*="st-key-golden_candidate_"]')
    expect(candidates).to_have_count(2, timeout=READING_MS)
    desk.picture("quality-candidates")
    candidates.filter(has_text="dishwasher").get_by_role("button", name="The manuals do not say it").click()
    expect(candidates).to_have_count(1)
    candidates.get_by_text("Give the right answer").click()
    page.get_by_role("textbox", name="Words of the right answer").last.fill("Close the lid and press the blue lever.")
    page.get_by_role("button", name="Save").last.click()
    expect(page.get_by_text("No candidates")).to_be_visible()
    expect(page.get_by_text("6 golden questions")).to_be_visible()

    desk.go("quality", lang="zh")
    expect(page.get_by_text("6 个标准问题")).to_be_visible()
    page.get_by_role("tab", name="测试记录").click()
    expect(page.locator(".st-key-golden_run_2")).to_contain_text("被拒答 2")
    desk.picture("quality-zh")
