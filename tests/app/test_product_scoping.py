"""Products over the API: asked which, remembered in SQL, shown to agents, and following what admins say."""

from typing import Any

from tests.installation import Installation

SECTION = """<html><head><title>Care</title><meta name="product" content="{product}"></head><body><h1>Descaling</h1>
<p>Descaling the machine takes {minutes} minutes. Fill the tank with {amount} ml of descaler and press the steam button.
</p></body></html>"""
WARRANTY = "<html><head><title>Warranty</title></head><body><h1>Warranty</h1><p>It lasts two years.</p></body></html>"
QUESTION = "How many minutes does descaling the machine take?"


def coffee_machines(installation: Installation) -> str:
    """The address of a conversation about three machines."""
    installation.upload(
        ("a.html", SECTION.format(product="Orvello LT-300", minutes=20, amount=100)),
        ("b.html", SECTION.format(product="Orvello LT-300S", minutes=25, amount=150)),
        ("c.html", SECTION.format(product="Orvello LT-500", minutes=40, amount=200)),
        ("warranty.html", WARRANTY),
    )
    installation.work()
    settings = {"refuse_below": 0, "doubt_below": 0}
    installation.client.patch("/api/knowledge-bases/manuals", json={"settings": settings}).raise_for_status()
    return new_conversation(installation)


def new_conversation(installation: Installation) -> str:
    return f"/api/conversations/{installation.post('/api/conversations', json={'knowledge_base': 'manuals'})['id']}"


def ask(installation: Installation, conversation: str, text: str, **more: Any) -> dict[str, Any]:
    answer: dict[str, Any] = installation.post(f"{conversation}/messages", json={"text": text, **more})
    return answer


def test_which_product_is_asked_and_the_reply_answers_the_first_question(installation: Installation) -> None:
    conversation = coffee_machines(installation)
    back = ask(installation, conversation, QUESTION)
    assert (back["kind"], back["citations"], back["understood"]) == ("question_back", [], None)
    assert {each["label"] for each in back["choices"]} == {"Orvello LT-300", "Orvello LT-300S", "Orvello LT-500"}
    assert all(each["label"] in back["text"] for each in back["choices"])
    assert {"product": "Orvello LT-300"} in [each["filter"] for each in back["choices"]]
    state = installation.get(conversation)["state"]
    assert (state["open_question"]["text"], state["topic"], state["products"]) == (back["text"], QUESTION, [])
    assert len(state["open_question"]["choices"]) == 3

    answer = ask(installation, conversation, "lt300")
    assert "20 minutes" in answer["text"]
    assert answer["understood"] == {"products": ["Orvello LT-300"], "products_from": "question"}
    assert {each["document_id"] for each in answer["citations"]} == {installation.documents()["a.html"]["id"]}
    later = ask(installation, conversation, "How much descaler does the machine take?")
    assert {each["document_id"] for each in later["citations"]} == {installation.documents()["a.html"]["id"]}
    assert later["understood"] == {"products": ["Orvello LT-300"], "products_from": "history"}
    state = installation.get(conversation)["state"]
    assert (state["open_question"], state["products"]) == (None, ["Orvello LT-300"])
    assert len(state["cited"]) == 1
    shown = [each["understood"] for each in installation.get(conversation)["messages"] if each["role"] == "assistant"]
    assert shown == [None, answer["understood"], later["understood"]]


def test_the_page_names_the_product_until_the_customer_does(installation: Installation) -> None:
    conversation = coffee_machines(installation)
    page = {"context": {"product": "LT 500", "page": "/support"}}
    assert "40 minutes" in ask(installation, conversation, QUESTION, **page)["text"]
    assert "25 minutes" in ask(installation, conversation, f"{QUESTION[:-1]} on an LT-300S?", **page)["text"]
    assert "25 minutes" in ask(installation, conversation, QUESTION, **page)["text"]
    moved = ask(installation, conversation, QUESTION, context={"product": "Orvello LT-300"})
    assert "20 minutes" in moved["text"]
    assert moved["understood"]["products_from"] == "context"
    filtered = ask(installation, conversation, QUESTION, filter={"product": "Orvello LT-500"})
    assert "40 minutes" in filtered["text"]


def test_documents_of_no_product_are_for_all(installation: Installation) -> None:
    conversation = coffee_machines(installation)
    assert ask(installation, conversation, "I have an LT-300.")["kind"] == "question_back"
    answer = ask(installation, conversation, "How many years does the warranty for this last?")
    assert "two years" in answer["text"]
    found = installation.search("warranty", {"product": ["Orvello LT-300", ""]})
    assert {each["external_id"] for each in found} == {"a.html", "warranty.html"}


def test_products_follow_what_an_admin_says(installation: Installation) -> None:
    coffee_machines(installation)
    ask(installation, new_conversation(installation), QUESTION)
    documents = installation.documents()
    for name, product in (("a.html", "Kestrel Q7"), ("b.html", "Kestrel Q7"), ("c.html", "Kestrel Q9")):
        address = f"/api/documents/{documents[name]['id']}"
        installation.client.patch(address, json={"facets": {"product": product}}).raise_for_status()
    answer = ask(installation, new_conversation(installation), f"{QUESTION[:-1]} of the q9?")
    assert answer["understood"] == {"products": ["Kestrel Q9"], "products_from": "question"}
    assert "40 minutes" in answer["text"]
