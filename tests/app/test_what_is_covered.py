"""What a manual covers, over the API: told from its headings as they are committed, cited, within the filter."""

from typing import Any

from tests.installation import Installation

LONG = "This takes a while and is told at length, so that the section fills a passage. " * 40
KETTLE = f"# Kettle\n{LONG}\n## Safety\n{LONG}\n## Care\n{LONG}\n### Lid\n{LONG}\n"
IRON = f"# Iron\n{LONG}\n## Steam\n{LONG}\n## Soles\n{LONG}\n"
QUESTION = "What does the kettle manual cover?"


def ask(installation: Installation, text: str, **more: Any) -> dict[str, Any]:
    conversation = installation.post("/api/conversations", json={"knowledge_base": "manuals"})["id"]
    answer: dict[str, Any] = installation.post(
        f"/api/conversations/{conversation}/messages", json={"text": text, **more}
    )
    return answer


def test_a_manual_is_told_by_its_headings(installation: Installation) -> None:
    installation.upload(("kettle.md", KETTLE), ("iron.md", IRON))
    installation.work()
    answer = ask(installation, QUESTION)
    assert (answer["kind"], answer["answerer"], answer["status"]) == ("answer", "extractive", "answered")
    assert answer["text"].splitlines()[1:] == ["- Safety [1]", "- Care [2]"]
    assert [each["quote"] for each in answer["citations"]] == ["Safety", "Care"]
    kettle = installation.documents()["kettle.md"]["id"]
    assert {each["document_id"] for each in answer["citations"]} == {kettle}

    narrowed = ask(installation, "What do these manuals cover?", filter={"document_id": kettle})
    assert "Steam" not in narrowed["text"]
    assert "Care" in narrowed["text"]
    both = ask(installation, "What do these manuals cover?")
    assert "Steam" in both["text"]
    assert "Care" in both["text"]

    installation.upload(("kettle.md", KETTLE.replace("## Care", "## Looking after it")))
    installation.work()
    assert "- Looking after it [2]" in ask(installation, QUESTION)["text"]
    installation.client.delete(f"/api/documents/{kettle}").raise_for_status()
    assert "Looking after it" not in ask(installation, "What do these manuals cover?")["text"]
