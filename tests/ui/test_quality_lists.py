"""The tabs of the quality page ask the API for no more than they show."""

from typing import Any

from streamlit.testing.v1 import AppTest

KNOWLEDGE_BASE = {"id": "manuals-of-lists", "change": 1}


class Api:
    """30 candidates, 3 runs, and how often the dear questions were asked."""

    def __init__(self) -> None:
        self.lists_of_documents = 0
        self.compared: list[tuple[str, str]] = []

    def whose(self) -> tuple[str, None]:
        return "", None

    def golden_candidates(self, knowledge_base: str) -> list[dict[str, Any]]:
        made = {"history": [], "comment": "", "answer": "No.", "cited": [{"document": "b.pdf", "page": 3}]}
        return [{"message_id": f"m{number}", "question": f"Question {number}?", **made} for number in range(30)]

    def all_documents(self, knowledge_base: str) -> list[dict[str, Any]]:
        self.lists_of_documents += 1
        return [{"external_id": name, "version": 1} for name in ("a.pdf", "b.pdf")]

    def golden_runs(self, knowledge_base: str) -> list[dict[str, Any]]:
        return [{"id": f"r{number}", "number": number, "status": "done", "note": ""} for number in (3, 2, 1)]

    def compare_golden_runs(self, knowledge_base: str, first: str, second: str) -> dict[str, Any]:
        self.compared.append((first, second))
        return {"settings": {}, "figures": [], "questions": []}


def candidates(api: "Any", knowledge_base: "Any") -> None:
    """Run from its source alone, without this module's imports."""
    from ui import quality_candidates

    quality_candidates.show(api, "en", knowledge_base)
    quality_candidates.show_asked(api, "en", knowledge_base)


def comparison(api: "Any", knowledge_base: "Any") -> None:
    from ui import quality_compare

    quality_compare.show(api, "en", knowledge_base["id"])


def questions_in(shown: AppTest) -> int:
    return sum("Question" in each.proto.body for each in shown.get("html"))


def test_candidates_come_in_parts_and_documents_with_the_form_only() -> None:
    api = Api()
    shown = AppTest.from_function(candidates, args=(api, KNOWLEDGE_BASE)).run()
    assert questions_in(shown) == 20
    shown.button(key="more_candidates").click().run()
    assert questions_in(shown) == 30
    assert not shown.selectbox
    assert api.lists_of_documents == 0
    shown.button(key="accept_m28").click().run()
    assert not shown.exception
    assert [each.value for each in shown.selectbox] == ["b.pdf"]
    assert api.lists_of_documents == 1


def test_two_runs_are_compared_once() -> None:
    api = Api()
    shown = AppTest.from_function(comparison, args=(api, KNOWLEDGE_BASE)).run()
    for first in (2, 1, 2, 1):
        shown.selectbox[0].set_value(first).run()
    assert not shown.exception
    assert api.compared == [("r2", "r3"), ("r1", "r3")]
