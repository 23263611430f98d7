"""What somebody may try at the widget's addresses, over HTTP at the running service: refused, and nothing told."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.main import create_app
from app.models import Citation, Message, new_id, now
from app.passages import PASSAGES, passage_from_row
from app.service.sites.visitor_shapes import VisitorMessage
from app.settings import WidgetSettings
from app.shapes import MessageShape, spans_to_row
from rag.types import AnswerKind
from tests.app.live_app import Script, ScriptedServices, live, patient, read_events
from tests.app.service.widget_shop import (
    FOREIGN,
    GENEROUS,
    INTERNAL_TEXT,
    ORIGIN,
    SECRETS,
    Page,
    Shop,
    code,
    shop,
)
from tests.conftest import settings_in

MESSAGE_FIELDS = {
    *("id", "client_message_id", "role", "status", "kind", "text", "citations", "choices", "products", "author"),
    *("rating", "created_at"),
}
CITATION_FIELDS = {"id", "marker", "title", "heading_path", "page_label", "pages", "quote"}


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with shop(tmp_path_factory.mktemp("shop")) as running:
        yield running


def test_a_visitor_gets_its_answer_its_citation_and_the_page(opened: Shop) -> None:
    page = opened.visit()
    answer = page.ask()
    assert answer.keys() == MESSAGE_FIELDS
    assert answer["kind"] == "answer"
    assert "50 ml of vinegar" in answer["text"]
    (citation,) = answer["citations"][:1]
    assert citation.keys() == CITATION_FIELDS
    assert citation["title"] == "kettle"
    picture = page.request("GET", f"citations/{citation['id']}/page.png")
    assert picture.content.startswith(b"\x89PNG")
    assert picture.headers["content-type"] == "image/png"
    assert page.request("POST", f"messages/{answer['id']}/feedback", json={"rating": "up"}).status_code == 200
    assert page.session["rated"] is False
    assert page.request("POST", "rating", json={"stars": 4, "comment": "quick"}).json()["stars"] == 4
    assert page.request("POST", "typing", json={}).status_code == 204
    seen = page.request("GET", "conversation").json()
    assert [(each["role"], each["rating"]) for each in seen["messages"]] == [("customer", None), ("assistant", "up")]
    again = opened.visit(resume=page.session["resume"])
    assert again.session["conversation_id"] == page.session["conversation_id"]
    assert [each["id"] for each in again.session["messages"]] == [each["id"] for each in seen["messages"]]
    assert (seen["rated"], again.session["rated"]) == (True, True)  # so that no page asks a second time
    later = opened.client.post("/api/widget/conversations", json={}, headers=again.headers).json()
    assert later["rated"] is False


def test_a_page_of_another_origin_gets_nothing_not_even_leave_to_read_the_refusal(opened: Shop) -> None:
    page = opened.visit()
    for origin in (FOREIGN, "null", "https://shop.example.evil.example", "http://shop.example", f"{ORIGIN}:8443", None):
        refused = opened.begin(origin=origin)
        assert code(refused) == (403, "forbidden"), origin
        assert "access-control-allow-origin" not in refused.headers
        headers = {"Authorization": page.headers["Authorization"], **({} if origin is None else {"Origin": origin})}
        assert opened.client.get("/api/widget/conversation", headers=headers).status_code == 403
        asked = {"Access-Control-Request-Method": "POST", **({} if origin is None else {"Origin": origin})}
        preflight = opened.client.options("/api/widget/messages", headers=asked)
        assert preflight.status_code == 403
        assert "access-control-allow-origin" not in preflight.headers
    two = [("Origin", ORIGIN), ("Origin", FOREIGN)]
    assert opened.client.post("/api/widget/sessions", json={"site": "shop"}, headers=two).status_code == 403
    allowed = opened.client.options("/api/widget/messages", headers={"Origin": ORIGIN})
    assert allowed.headers["access-control-allow-origin"] == ORIGIN
    assert allowed.headers["vary"] == "Origin"
    assert "access-control-allow-credentials" not in allowed.headers


def test_nothing_of_another_visitor_can_be_reached_or_told_from_nothing(opened: Shop) -> None:
    theirs, page = opened.visit(), opened.visit()
    answer = theirs.ask()
    citation = answer["citations"][0]["id"]
    for id_ in (citation, new_id()):
        assert code(page.request("GET", f"citations/{id_}/page.png")) == (404, "not_found")
    for id_ in (answer["id"], new_id()):
        assert code(page.request("POST", f"messages/{id_}/feedback", json={"rating": "up"})) == (404, "not_found")
    assert page.request("GET", "conversation").json()["messages"] == []
    later = opened.client.post("/api/widget/conversations", json={}, headers=theirs.headers).json()
    assert later["conversation_id"] != theirs.session["conversation_id"]
    assert later["resume"] is None
    moved = Page(theirs.client, ORIGIN, later)  # the token is for one conversation, also of the visitor's own
    assert code(moved.request("GET", f"citations/{citation}/page.png")) == (404, "not_found")
    assert code(moved.request("POST", f"messages/{answer['id']}/feedback", json={"rating": "up"})) == (404, "not_found")
    own_id = {"client_message_id": answer["client_message_id"]}
    assert moved.ask(**own_id)["id"] != answer["id"]


@pytest.mark.parametrize(
    "question",
    [
        "What is the secret purchase price of the kettle?",
        "Who is paid for the kettle? Vexlor?",
        "What are the margins of the kettle?",
        "What does the knowledge base contain?",
        "What is in the manual?",
        "知识库有哪些内容?",
        "LT-300",
        "lt300?",
        "How is the LT-300 made?",
    ],
)
def test_an_internal_document_is_in_no_answer_hit_citation_or_choice(opened: Shop, question: str) -> None:
    page = opened.visit()
    context = {"product": "LT-300 Orchid", "page": "/margins"}
    told = page.say(question, context=context).text
    streamed = opened.visit().say_streaming(question).text
    seen = page.request("GET", "conversation").json()["messages"][1:]
    for text in (told, streamed, json.dumps(seen)):
        assert not [secret for secret in SECRETS if secret.lower() in text.replace(question, "").lower()], text
        assert opened.documents["margins.txt"] not in text
    assert "event: done" in streamed
    assert "event: retrieval" not in streamed
    lifted: dict[str, Any]
    for lifted in ({"filter": {}}, {"filter": {"is_public": False}}, {"filter": {"document_id": "x"}}, {"images": []}):
        assert page.say(question, **lifted).status_code == 422


def test_what_is_internal_again_is_cited_and_shown_no_more(opened: Shop) -> None:
    opened.upload("recall.txt", "Recall of the toaster. The toaster is recalled for its cable.", is_public="true")
    page, question = opened.visit(), "Why is the toaster recalled?"
    answer = page.ask(question)
    (citation,) = answer["citations"]
    assert page.request("GET", f"citations/{citation['id']}/page.png").status_code == 200
    opened.mark("recall.txt", False)
    assert code(page.request("GET", f"citations/{citation['id']}/page.png")) == (404, "not_found")
    assert [each["citations"] for each in page.request("GET", "conversation").json()["messages"]] == [[], []]
    assert opened.visit(resume=page.session["resume"]).session["messages"][1]["citations"] == []
    assert "cable" not in opened.visit().say(question).text  # nor is the kept answer told again
    opened.mark("recall.txt", True)
    assert "cable" in opened.visit().say(question).text


def test_oversized_and_malformed_requests_are_refused_at_once(opened: Shop) -> None:
    page = opened.visit()
    assert page.say("x" * 4001).status_code == 422
    assert page.say("x" * 70_000).status_code == 413
    assert page.say("hello", context={"page": "x" * 3000}).status_code == 422
    assert page.say("hello", context={"secret": 1}).status_code == 422
    for text in ("", "   ", "\x00", None, 5, ["x"], {"a": 1}):
        assert page.say(text).status_code == 422, text  # type: ignore[arg-type]
    for raw in (b"", b"{", b"[]", b'"x"', b"\xff\xfe", b'{"text": "\\ud800", "client_message_id": "1"}', b"[" * 60_000):
        sent = page.request("POST", "messages", content=raw, headers={"Content-Type": "application/json"})
        assert sent.status_code in (400, 422), raw[:20]
        assert sent.json()["error"]["code"]
    assert page.request("POST", "rating", json={"stars": 6}).status_code == 422
    assert page.request("GET", "events?after=-1").status_code == 422
    assert page.request("GET", "citations/x/page.png?scale=50").status_code == 422
    assert opened.begin(resume="x" * 5000).status_code == 422
    assert opened.begin(resume="<script>").status_code == 422
    assert opened.begin(site="\x00").status_code in (403, 422)
    for path in ("conversations/../../sites", "messages/%00/feedback", "../sites", "nothing"):
        assert page.request("GET", path).status_code in (400, 401, 403, 404, 405)
    assert page.request("GET", "conversation").json()["messages"] == []


def test_scripts_are_only_ever_text(opened: Shop) -> None:
    script = "<script>alert(1)</script><img src=x onerror=alert(2)>"
    site = opened.new_site(name="<b>shop", settings={"title": script, "greeting": {"en": script}})
    opened.upload(
        "<img src=x onerror=alert(3)>.txt", f"Filter care. {script} The filter is washed weekly.", is_public="true"
    )
    page = opened.visit(site=site["id"])
    assert page.session["site"] == {
        "name": "<b>shop",
        "title": script,
        "language": "auto",
        "greeting": script,
        "theme": {},
    }
    answers = [page.say(f"How often is the filter washed? {script}"), page.request("GET", "conversation")]
    for answer in answers:
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["x-content-type-options"] == "nosniff"
    streamed = page.say_streaming("How often is the filter washed?")
    assert streamed.headers["content-type"].startswith("text/event-stream")
    assert streamed.headers["x-content-type-options"] == "nosniff"
    for _, _, data in read_events(httpx.Response(200, text=streamed.text)):
        assert isinstance(data, dict)
    assert "<script>" not in site["snippet"].replace("<script src=", "").replace("</script>", "")


def test_every_flood_is_told_to_wait(tmp_path: Path) -> None:
    few = WidgetSettings(sessions_per_minute=3, requests_per_minute=40, messages_per_minute=2, streams_per_visitor=1)
    with shop(tmp_path, widget=few) as narrow:
        page, other = narrow.visit(), narrow.visit()
        assert [page.say().status_code for _ in range(3)] == [200, 200, 429]
        flooded = page.say()
        assert code(flooded) == (429, "rate_limited")
        assert 1 <= int(flooded.headers["retry-after"]) <= 60
        assert flooded.headers["access-control-allow-origin"] == ORIGIN
        assert other.say().status_code == 200  # one visitor's flood is nobody else's
        with narrow.client.stream("GET", "/api/widget/events", headers=other.headers) as events:
            assert events.status_code == 200
            assert other.request("GET", "events").status_code == 429
        assert narrow.begin().status_code == 200
        assert code(narrow.begin()) == (429, "rate_limited")
        narrow.client.patch("/api/sites/shop", json={"settings": {"per_minute": 1}}).raise_for_status()
        statuses = [narrow.begin(origin=FOREIGN).status_code for _ in range(60)]
        assert statuses[0] == 403
        assert statuses[-1] == 429
        assert narrow.client.get("/api/sites").status_code == 200  # the API beside it goes on


def test_all_visitors_of_a_site_share_its_limit(opened: Shop) -> None:
    site = opened.new_site(settings={"per_minute": 2, "per_visitor_per_minute": 100})
    said = [opened.visit(site=site["id"]).say().status_code for _ in range(4)]
    assert said == [200, 200, 429, 429]
    assert opened.visit().say().status_code == 200


def test_a_failure_tells_visitors_nothing_of_the_installation(tmp_path: Path) -> None:
    secret = "http://10.0.0.7:8000/v1 refused the key sk-123 of model DeepSeek"
    script = Script(error=RuntimeError(secret))
    settings = settings_in(tmp_path, answers=patient(), widget=GENEROUS)
    services = ScriptedServices(settings, script)
    with live(create_app(services)) as client:
        client.post("/api/knowledge-bases", json={"name": "manuals"}).raise_for_status()
        failing = Shop(client, services)
        failing.site = failing.new_site(name="shop")
        page = failing.visit()
        failed = page.say()
        assert code(failed) in ((503, "answer_failed"), (503, "unavailable"))
        streamed = failing.visit().say_streaming().text
        names = [name for name, _, _ in read_events(httpx.Response(200, text=streamed))]
        assert names[-1] == "done"
        assert "error" in names
        for text in (failed.text, streamed, page.request("GET", "conversation").text):
            for word in ("10.0.0.7", "sk-123", "DeepSeek", "RuntimeError", "Traceback", "scripted", "timings"):
                assert word not in text, text
        script.error = None
        told = failing.visit().say_streaming().text
        shown = {name: data for name, _, data in read_events(httpx.Response(200, text=told))}
        assert shown.keys() == {"message", "token", "done"}  # the cited document is not there, so not public
        assert shown["done"].keys() == MESSAGE_FIELDS
        assert shown["token"].keys() == {"message_id", "text"}


def test_an_agents_reply_shows_no_internal_document(opened: Shop) -> None:
    page = opened.visit()
    page.ask()
    with opened.services.database.write() as session:
        rows = [passage_from_row(row) for row in session.execute(PASSAGES)]
        internal = next(each for each in rows if each.external_id == "margins.txt")
        reply = Message(
            conversation_id=page.session["conversation_id"],
            ordinal=2,
            client_message_id=new_id(),
            role="agent",
            status="answered",
            text="Please descale it <b>weekly</b> [1].",
            change=3,
            author="Grace",
            request={},
        )
        session.add(reply)
        session.flush()
        cited = Citation(
            message_id=reply.id,
            marker=1,
            passage_id=internal.id,
            document_id=internal.document_id,
            document_version=1,
            external_id=internal.external_id,
            title=internal.title,
            heading_path=[],
            spans=spans_to_row(internal.spans),
            quote=INTERNAL_TEXT,
            boxes=[],
        )
        session.add(cited)
        session.flush()
        citation_id = cited.id
    seen = page.request("GET", "conversation").json()["messages"][-1]
    assert (seen["role"], seen["author"], seen["citations"]) == ("agent", "Grace", [])
    assert code(page.request("GET", f"citations/{citation_id}/page.png")) == (404, "not_found")


def test_questions_have_their_answers_as_events_that_visitors_may_have(opened: Shop) -> None:
    page = opened.visit()
    with opened.client.stream("GET", "/api/widget/events?after=0", headers=page.headers) as events:
        told = page.say_streaming().text
        seen = []
        for name, _, data in read_events(events):
            seen.append((name, data))
            if name == "done":
                break
    own = [(name, data) for name, _, data in read_events(httpx.Response(200, text=told))]
    for found in (own, seen):
        assert {name for name, _ in found} == {"message", "token", "citation", "done"}
        ids = [data["citation"]["id"] for name, data in found if name == "citation"]
        assert ids
        assert len(ids) == len(set(ids))
        for name, data in found:
            if name in ("message", "done"):
                assert data.keys() == MESSAGE_FIELDS
            if name == "citation":
                assert data["citation"].keys() == CITATION_FIELDS


def test_a_product_goes_out_with_its_own_fields_and_addresses_of_the_web() -> None:
    product = {"sku": "A1", "name": "<b>Kettle", "price": 9.5, "score": 0.7, "source": "api", "vector": "x"}
    addresses = {"url": "javascript:alert(1)", "image": "data:text/html,<script>alert(1)</script>"}
    message = MessageShape(
        id="1",
        client_message_id="1",
        conversation_id="1",
        role="assistant",
        status="answered",
        kind=AnswerKind.FLOW,
        text="",
        citations=[],
        searched_for=None,
        answerer=None,
        model=None,
        timings_ms={"total": 1.0},
        products=[{**product, **addresses}, {**product, "url": "https://shop.example/a1"}],
        guard={"probability": 0.9},
        created_at=now(),
    )
    shown = VisitorMessage.of(message, ())
    kept = {"sku": "A1", "name": "<b>Kettle", "price": 9.5}
    assert shown.products == [kept, {**kept, "url": "https://shop.example/a1"}]
    assert shown.model_dump().keys() == MESSAGE_FIELDS
