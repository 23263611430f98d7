"""Who may call which route: every one stands here, and is asked by everybody."""

import re
from pathlib import Path

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from fastapi.routing import iter_route_contexts

from app.accounts import accounts
from app.main import create_app
from app.scope import Role
from tests.app.live_app import Script, ScriptedServices, live, patient
from tests.conftest import settings_in

PASSWORD = "correct horse battery"
ORIGIN = "https://shop.example.com"

NOBODY, VISITOR, CUSTOMER, AGENT, ADMIN = range(5)
"""Who a route asks for at least. A visitor is known by a token of the widget, which is no other's."""

ROUTES = """
NOBODY
    GET /api/auth/me
    POST /api/auth/sign-in
    GET /health
    GET /widget.js
    GET /widget/{file}
VISITOR
    GET /api/widget/citations/{citation_id}/page.png
    GET /api/widget/conversation
    POST /api/widget/conversations
    GET /api/widget/events
    DELETE POST /api/widget/hand-off
    POST /api/widget/messages
    POST /api/widget/messages/{message_id}/feedback
    POST /api/widget/rating
    POST /api/widget/sessions
    POST /api/widget/typing
CUSTOMER
    GET /
    POST /api/auth/sign-out
    GET /api/citations/{citation_id}
    GET /api/citations/{citation_id}/page.png
    GET POST /api/conversations
    GET /api/conversations/{conversation_id}
    GET /api/conversations/{conversation_id}/events
    DELETE POST /api/conversations/{conversation_id}/hand-off
    POST /api/conversations/{conversation_id}/messages
    POST /api/conversations/{conversation_id}/rating
    POST /api/conversations/{conversation_id}/typing
    GET /api/documents/{document_id}
    GET /api/documents/{document_id}/pages/{number}.png
    GET /api/documents/{document_id}/passages
    GET /api/knowledge-bases
    GET /api/knowledge-bases/{knowledge_base}
    GET /api/knowledge-bases/{knowledge_base}/documents
    POST /api/messages/{message_id}/feedback
    GET /docs
    GET /docs/oauth2-redirect
    GET /openapi.json
AGENT
    GET /api/jobs/{job_id}
    GET /api/inbox
    GET /api/inbox/agents
    GET /api/inbox/conversations/{conversation_id}
    POST /api/inbox/conversations/{conversation_id}/messages
    POST /api/inbox/conversations/{conversation_id}/notes
    POST /api/inbox/conversations/{conversation_id}/suggestion
    POST /api/inbox/conversations/{conversation_id}/typing
    GET /api/inbox/events
    POST /api/inbox/hand-offs/{hand_off_id}/claim
    POST /api/inbox/hand-offs/{hand_off_id}/resolve
    POST /api/inbox/hand-offs/{hand_off_id}/return
    POST /api/inbox/hand-offs/{hand_off_id}/transfer
    PUT /api/inbox/presence
    GET /api/knowledge-bases/{knowledge_base}/catalogue
    GET /api/knowledge-bases/{knowledge_base}/catalogue/compare
    GET /api/knowledge-bases/{knowledge_base}/catalogue/search
    POST /v1/chat/completions
    GET /v1/models
    GET /v1/models/{model:path}
ADMIN
    GET POST /api/accounts
    DELETE PATCH /api/accounts/{account_id}
    GET /api/dashboard
    GET /api/dashboard.csv
    GET /api/decisions
    POST /api/decisions/check
    POST /api/decisions/{name}/evaluate
    DELETE PATCH /api/documents/{document_id}
    POST /api/documents/{document_id}/cancel
    POST /api/documents/{document_id}/retry
    GET /api/faq-candidates
    POST /api/faq-candidates/{candidate_id}/approve
    POST /api/faq-candidates/{candidate_id}/dismiss
    GET /api/flows
    POST /api/flows/check
    DELETE GET PUT /api/flows/{name}
    POST /api/jobs/{job_id}/cancel
    POST /api/jobs/{job_id}/retry
    POST /api/knowledge-bases
    POST /api/knowledge-bases/import
    DELETE PATCH /api/knowledge-bases/{knowledge_base}
    DELETE PUT /api/knowledge-bases/{knowledge_base}/catalogue
    POST /api/knowledge-bases/{knowledge_base}/documents
    GET /api/knowledge-bases/{knowledge_base}/export
    GET POST /api/knowledge-bases/{knowledge_base}/generations
    DELETE GET /api/knowledge-bases/{knowledge_base}/generations/{generation}
    POST /api/knowledge-bases/{knowledge_base}/generations/{generation}/activate
    POST /api/knowledge-bases/{knowledge_base}/generations/{generation}/retry
    GET /api/knowledge-bases/{knowledge_base}/golden-candidates
    POST /api/knowledge-bases/{knowledge_base}/golden-candidates/{message_id}/accept
    POST /api/knowledge-bases/{knowledge_base}/golden-candidates/{message_id}/dismiss
    GET POST /api/knowledge-bases/{knowledge_base}/golden-questions
    GET POST /api/knowledge-bases/{knowledge_base}/golden-questions/file
    DELETE PUT /api/knowledge-bases/{knowledge_base}/golden-questions/{question_id}
    GET POST /api/knowledge-bases/{knowledge_base}/golden-runs
    GET /api/knowledge-bases/{knowledge_base}/golden-runs/compare
    DELETE GET /api/knowledge-bases/{knowledge_base}/golden-runs/{run}
    POST /api/knowledge-bases/{knowledge_base}/golden-runs/{run}/calibrate
    POST /api/knowledge-bases/{knowledge_base}/golden-runs/{run}/cancel
    GET /api/knowledge-bases/{knowledge_base}/golden-runs/{run}/results
    POST /api/knowledge-bases/{knowledge_base}/golden-runs/{run}/retry
    DELETE GET POST /api/knowledge-bases/{knowledge_base}/intents
    POST /api/knowledge-bases/{knowledge_base}/intents/built-in
    POST /api/knowledge-bases/{knowledge_base}/intents/test
    DELETE /api/knowledge-bases/{knowledge_base}/intents/{intent}
    DELETE /api/knowledge-bases/{knowledge_base}/intents/{intent}/examples/{example_id}
    PUT /api/knowledge-bases/{knowledge_base}/public
    GET /api/knowledge-bases/{knowledge_base}/report
    POST /api/knowledge-bases/{knowledge_base}/search
    GET POST /api/sites
    DELETE GET PATCH /api/sites/{site}
    GET /metrics
    GET /ready
"""


def declared() -> dict[tuple[str, str], int]:
    """By method and path, who may call it."""
    found: dict[tuple[str, str], int] = {}
    who = NOBODY
    for line in ROUTES.strip().splitlines():
        if not line.startswith(" "):
            who = globals()[line]
            continue
        *methods, path = line.split()
        found.update({(method, path): who for method in methods})
    return found


def routes_of(application: FastAPI) -> set[tuple[str, str]]:
    """All but those of the reference's own pictures and scripts."""
    found = set()
    for each in iter_route_contexts(application.routes):
        if each.methods:
            found |= {(method, str(each.path)) for method in each.methods if method != "HEAD"}
        else:
            assert getattr(each.original_route, "path", None) == "/docs-assets", f"{each} is no route with methods"
    return found


def test_every_route_stands_here_and_no_other(tmp_path: Path) -> None:
    application = create_app(ScriptedServices(settings_in(tmp_path), Script()))
    assert routes_of(application) == set(declared()), "say in ROUTES who may call a new route"


def test_a_forgotten_route_is_noticed(tmp_path: Path) -> None:
    """Else the walk over the routes could find none of those that the table does not have."""
    application = create_app(ScriptedServices(settings_in(tmp_path), Script()))
    inner, outer = APIRouter(), APIRouter(prefix="/api")
    inner.get("/secrets")(lambda: None)
    outer.include_router(inner)
    application.include_router(outer)
    assert routes_of(application) - set(declared()) == {("GET", "/api/secrets")}


def test_every_route_lets_in_whom_it_should_and_nobody_else(tmp_path: Path) -> None:
    """Called without a body, and of things that are not there: who may not is told so before any of that is."""
    services = ScriptedServices(settings_in(tmp_path, answers=patient()), Script())
    wrong: list[str] = []
    with live(create_app(services)) as client:
        callers: dict[int, str | None] = {NOBODY: None}
        for role, who in ((Role.ADMIN, ADMIN), (Role.AGENT, AGENT), (Role.CUSTOMER, CUSTOMER)):
            email = f"{role.value}@example.com"
            accounts.create(services.database, email=email, name=email, role=role, password=PASSWORD)
            given = client.post("/api/auth/sign-in", json={"email": email, "password": PASSWORD})
            callers[who] = given.json()["token"]
        for (method, path), needed in sorted(declared().items(), key=lambda each: each[0][1].endswith("/sign-out")):
            for who, token in callers.items():
                status = _status(client, method, path, token)
                if needed == VISITOR:
                    is_right = status in (401, 403)  # whoever it is
                elif who >= needed:
                    is_right = status not in (401, 403) and status < 500
                else:
                    is_right = status == (401 if who == NOBODY else 403)
                if not is_right:
                    wrong.append(f"{method} {path}: {status} for {('nobody', '', 'customer', 'agent', 'admin')[who]}")
    assert not wrong


@pytest.mark.parametrize("origin", [None, ORIGIN])
def test_an_account_is_no_visitor(tmp_path: Path, origin: str | None) -> None:
    """An admin's token opens nothing of the widget's, even from a page that may show it."""
    services = ScriptedServices(settings_in(tmp_path, answers=patient()), Script())
    with live(create_app(services)) as client:
        client.post("/api/knowledge-bases", json={"name": "manuals"}).raise_for_status()
        site = {"name": "shop", "knowledge_base": "manuals", "origins": [ORIGIN]}
        client.post("/api/sites", json=site).raise_for_status()
        accounts.create(services.database, email="a@example.com", name="A", role=Role.ADMIN, password=PASSWORD)
        token = client.post("/api/auth/sign-in", json={"email": "a@example.com", "password": PASSWORD}).json()["token"]
        for (method, path), needed in declared().items():
            if needed == VISITOR and not path.endswith("/sessions"):
                assert _status(client, method, path, token, origin) in (401, 403), path


def _status(client: httpx.Client, method: str, path: str, token: str | None, origin: str | None = None) -> int:
    filled = re.sub(r"\{[^}]*\}", "00000000-0000-7000-8000-000000000000", path)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    headers |= {"Origin": origin} if origin else {}
    with client.stream(method, filled, headers=headers) as answer:  # some never end
        return answer.status_code
