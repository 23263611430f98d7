"""Knowledge bases over HTTP: names, settings, search, and what deleting one leaves: nothing."""

from typing import Any

import pytest
from sqlalchemy import func, select

from app.knowledge_base_settings import LOWEST_FALSE_ANSWERS
from app.models import Base, KnowledgeBase
from rag.answerers.extractive.confidence import fitted_model
from rag.types import Question
from tests.installation import Installation

PATH = "/api/knowledge-bases"


def test_a_name_is_given_once_and_finds_like_the_id(installation: Installation) -> None:
    made = installation.post(PATH, json={"name": " 产品手册 ", "language": "zh", "settings": {"dense_weight": 0.4}})
    assert (made["name"], made["language"], made["settings"]) == ("产品手册", "zh", {"dense_weight": 0.4})
    assert (made["document_count"], made["change"], made["embedder"]) == (0, 0, "hashing@1")
    assert installation.get(f"{PATH}/产品手册") == installation.get(f"{PATH}/{made['id']}") == made
    again = installation.client.post(PATH, json={"name": "产品手册"})
    assert (again.status_code, again.json()["error"]["code"]) == (409, "conflict")
    renamed = installation.client.patch(f"{PATH}/manuals", json={"name": "产品手册"})
    assert renamed.status_code == 409
    assert [each["name"] for each in installation.get(PATH)["knowledge_bases"]] == ["manuals", "产品手册"]


@pytest.mark.parametrize("kind", ["sqlite"])
@pytest.mark.parametrize(
    "body",
    [
        {"name": ""},
        {"name": "   "},
        {"name": "a/b"},
        {"name": "a\\b"},
        {"name": "a\nb"},
        {"name": "a\0b"},
        {"name": "x" * 201},
        {"name": "01a201c2-7d81-767e-9a0d-16f8bb941e8f"},
        {"name": "x", "language": "English"},
        {"name": "x", "settings": {"dense_weight": 2}},
        {"name": "x", "settings": {"unknown": 1}},
        {"name": "x", "settings": {"false_answers": 0.01}},
        {"name": "x", "settings": {"false_answers": 0.1, "refuse_below": 0.2}},
        {"name": "x", "color": "red"},
    ],
)
def test_what_cannot_be_is_refused(installation: Installation, body: dict[str, Any]) -> None:
    answer = installation.client.post(PATH, json=body)
    assert answer.status_code in (400, 422)
    assert answer.json()["error"]["message"]
    assert len(installation.get(PATH)["knowledge_bases"]) == 1


def test_settings_are_changed_one_by_one_and_used_at_once(installation: Installation) -> None:
    installation.upload(("a.txt", "The kettle boils."), ("b.txt", "Kettle kettle kettle."))
    installation.work()
    dense_only = installation.client.patch(
        f"{PATH}/manuals", json={"settings": {"dense_weight": 1, "refuse_below": 0.1}}
    )
    assert dense_only.json()["settings"] == {"dense_weight": 1, "refuse_below": 0.1}
    by_vectors = [hit["score"] for hit in installation.search("kettle")]
    installation.client.patch(f"{PATH}/manuals", json={"settings": {"dense_weight": 0}})
    assert [hit["score"] for hit in installation.search("kettle")] != by_vectors
    installation.client.patch(f"{PATH}/manuals", json={"settings": {"dense_weight": None}})
    assert installation.get(f"{PATH}/manuals")["settings"] == {"refuse_below": 0.1}


@pytest.mark.parametrize("kind", ["sqlite"])
def test_one_setting_decides_when_to_refuse(installation: Installation) -> None:
    installation.client.patch(f"{PATH}/manuals", json={"settings": {"refuse_below": 0.1}})
    both = installation.client.patch(f"{PATH}/manuals", json={"settings": {"false_answers": 0.1}})
    assert both.status_code == 400
    assert "set one of them, and the other to null" in both.json()["error"]["message"]
    assert installation.get(f"{PATH}/manuals")["settings"] == {"refuse_below": 0.1}
    instead = {"false_answers": LOWEST_FALSE_ANSWERS, "refuse_below": None}
    changed = installation.client.patch(f"{PATH}/manuals", json={"settings": instead})
    assert changed.json()["settings"] == {"false_answers": LOWEST_FALSE_ANSWERS}
    assert fitted_model().for_false_answers(LOWEST_FALSE_ANSWERS) < 1, "the lowest share has a threshold"


def test_deleting_leaves_nothing(installation: Installation) -> None:
    installation.upload(("a.txt", "The kettle boils."), ("b.exe", "MZ"))
    installation.work()
    installation.post("/api/conversations", json={"knowledge_base": "manuals"})
    installation.upload(("waiting.txt", "Soon."))
    assert installation.client.delete(f"{PATH}/manuals").status_code == 204
    for path in (f"{PATH}/manuals", f"{PATH}/{installation.knowledge_base}"):
        assert installation.client.get(path).json()["error"]["code"] == "not_found"
    with installation.services.database.read() as session:
        for table in Base.metadata.sorted_tables:
            assert session.scalar(select(func.count()).select_from(table)) == 0, table.name
    assert installation.stored_files() == []
    assert list(installation.services.settings.index_folder.iterdir()) == []
    installation.work()
    assert installation.post(PATH, json={"name": "manuals"})["document_count"] == 0


_MODES = "".join(f"<h1>Fast mode {n}</h1><p>The fast mode {n} prints quickly in {n} minutes.</p>" for n in range(12))
_QUIET = "<h1>Quiet mode</h1><p>At night it prints without much noise: the quiet one.</p>"


@pytest.mark.parametrize("kind", ["sqlite"])
def test_a_search_finds_what_answers_are_made_from(installation: Installation) -> None:
    page = f"<html><head><title>Printer</title></head><body>{_MODES}{_QUIET}</body></html>"
    installation.upload(("printer.html", page))
    installation.work()
    question = "Compare the fast mode and the quiet mode"
    services = installation.services
    with services.database.read() as session:
        row = session.get_one(KnowledgeBase, installation.knowledge_base)
    answered_from = services.chain(row).answer(Question(question)).hits
    searched = services.searcher(row).search(question, top_k=8)
    found = [each["passage_id"] for each in installation.search(question, top_k=8)]
    assert found == [each.passage.id for each in searched.hits]
    assert found[: len(answered_from)] == [each.passage.id for each in answered_from]
    assert found != [each.passage.id for each in services.retriever(row).search(question, top_k=8).hits]


@pytest.mark.parametrize("kind", ["sqlite"])
def test_a_search_says_what_it_cannot_do(installation: Installation) -> None:
    path = f"{PATH}/manuals/search"
    assert installation.post(path, json={"query": "anything"})["hits"] == []
    for body, status, code in (
        ({"query": "  "}, 422, "invalid"),
        ({"query": "x", "top_k": 0}, 422, "invalid"),
        ({"query": "x", "filter": {"prodct": "K-1"}}, 400, "bad_filter"),
        ({"query": "x", "filter": {"product": {"a": 1}}}, 400, "bad_filter"),
    ):
        answer = installation.client.post(path, json=body)
        assert answer.status_code == status, answer.text
        if code != "invalid":
            assert answer.json()["error"]["code"] == code
    assert installation.client.post(f"{PATH}/none/search", json={"query": "x"}).status_code == 404


def test_another_workspace_sees_nothing(installation: Installation) -> None:
    """The one place that decides is the scope: moving the row elsewhere hides all that hangs on it."""
    document = installation.upload(("a.txt", "The kettle boils."))["documents"][0]
    installation.work()
    with installation.services.database.write() as session:
        session.scalars(select(KnowledgeBase)).one().workspace_id = "another"
    for path in (f"{PATH}/manuals", f"/api/documents/{document['id']}", f"/api/documents/{document['id']}/passages"):
        assert installation.client.get(path).status_code == 404
    assert installation.get(PATH)["knowledge_bases"] == []
    assert installation.client.delete(f"/api/documents/{document['id']}").status_code == 404
