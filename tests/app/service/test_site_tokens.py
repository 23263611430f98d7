"""Visitors' tokens and customers' identities over HTTP: what each opens, for how long, and what not."""

import base64
import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest

from app.accounts import accounts
from app.auth import is_widgets
from app.models import Document, new_id, now
from app.scope import Role, Scope
from app.service.sites.tokens import TokenSigner
from app.worker import run_until_idle
from tests.app.accounts.test_roles import VISITOR, declared
from tests.app.live_app import wait_until
from tests.app.service.widget_shop import (
    FOREIGN,
    ORIGIN,
    OTHER_ORIGIN,
    Page,
    Shop,
    code,
    shop,
)

SECRET = "a secret that only the shop's backend knows"


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with shop(tmp_path_factory.mktemp("shop")) as running:
        yield running


def identity(site: dict[str, Any], customer: str, **other: Any) -> str:
    """A token that the site's backend would sign."""
    at = int(now().timestamp())
    claims = {"sub": customer, "name": customer.title(), "aud": site["id"], "iat": at, "exp": at + 60, **other}
    return jwt.encode(claims, SECRET, algorithm="HS256")


def call(client: httpx.Client, method: str, path: str, headers: dict[str, str]) -> int:
    """The status of a call about something that is not there."""
    with client.stream(method, re.sub(r"\{[^}]*\}", new_id(), path), headers=headers) as answer:  # some never end
        return answer.status_code


def asks_in_vain(page: Page, token: str) -> tuple[int, str]:
    return code(page.request("GET", "conversation", headers={"Authorization": f"Bearer {token}"}))


def test_a_site_is_shown_nowhere_until_an_origin_is_listed_and_no_longer_when_it_is_not(opened: Shop) -> None:
    site = opened.new_site(origins=[])
    assert code(opened.begin(site=site["id"])) == (403, "forbidden")
    assert opened.begin(site=site["id"]).json() == opened.begin(site="no such site").json()
    opened.client.patch(f"/api/sites/{site['id']}", json={"origins": [ORIGIN]}).raise_for_status()
    page = opened.visit(site=site["id"])
    assert page.request("GET", "conversation").status_code == 200
    opened.client.patch(f"/api/sites/{site['id']}", json={"origins": [OTHER_ORIGIN]}).raise_for_status()
    assert code(page.request("GET", "conversation")) == (403, "forbidden")
    assert opened.begin(site=site["id"], resume=page.session["resume"]).status_code == 403
    opened.client.delete(f"/api/sites/{site['id']}").raise_for_status()
    assert code(page.request("GET", "conversation")) == (401, "unauthorized")


def test_only_a_token_of_ours_that_holds_now_for_this_origin_opens_anything(opened: Shop) -> None:
    page = opened.visit()
    token = page.session["token"]
    head, body, signature = token.split(".")
    told = json.loads(base64.urlsafe_b64decode(body + "=="))
    none = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').rstrip(b"=").decode()
    theirs = opened.visit()
    own = page.session["conversation_id"]
    bound = (page.session["visitor_id"], opened.site["id"], ORIGIN)
    secret = (opened.services.settings.home_folder / "token.secret").read_bytes()
    expired = TokenSigner(secret, timedelta(seconds=-1), timedelta(days=1)).access(*bound, own, "")[0]
    forged = TokenSigner(b"another secret of thirty-two bytes", timedelta(1), timedelta(1)).access(*bound, own, "")[0]
    other_conversation = TokenSigner(secret, timedelta(1), timedelta(1)).access(
        *bound, theirs.session["conversation_id"], ""
    )[0]
    for bad in (
        *("x", "a.b.c", f"{head}.{body}.", f"{none}.{body}.", f"{none}.{body}.{signature}"),
        *(expired, forged, other_conversation, page.session["resume"]),
        jwt.encode(told, "x" * 32, algorithm="HS256"),
        token[:-4] + "AAAA",
    ):
        assert asks_in_vain(page, bad) == (401, "unauthorized"), bad
    headers = {"Origin": ORIGIN}
    assert opened.client.get("/api/widget/conversation", headers=headers).status_code == 401
    twice = [("Origin", ORIGIN), ("Authorization", f"Bearer {token}"), ("Authorization", f"Bearer {token}")]
    assert opened.client.get("/api/widget/conversation", headers=twice).status_code == 401
    elsewhere = opened.client.get("/api/widget/conversation", headers={**page.headers, "Origin": OTHER_ORIGIN})
    assert code(elsewhere) == (403, "forbidden")
    assert page.request("GET", "conversation").status_code == 200


@pytest.mark.parametrize("arrival", ["a request", "the next use"])
def test_a_resume_token_that_comes_after_its_successor_was_copied_and_ends_the_session(
    opened: Shop, arrival: str
) -> None:
    page = opened.visit()
    first = page.session["resume"]
    second = opened.visit(resume=first)
    assert second.session["resume"] != first
    assert opened.begin(origin=OTHER_ORIGIN, resume=second.session["resume"]).status_code == 401  # another origin's
    if arrival == "a request":
        assert second.request("GET", "conversation").status_code == 200  # which is no proof of a copy
    else:
        second = opened.visit(resume=second.session["resume"])
    replayed = opened.begin(resume=first)
    assert code(replayed) == (401, "unauthorized")
    assert "token" not in replayed.json()
    for bad in (second.session["resume"], first, second.session["token"], second.session["resume"][:-2]):
        assert opened.begin(resume=bad).status_code == 401
    for ended in (page, second):
        assert asks_in_vain(ended, ended.session["token"]) == (401, "unauthorized")


def test_a_resume_token_comes_again_when_what_it_gave_was_lost(opened: Shop) -> None:
    page = opened.visit()
    page.ask()
    first = page.session["resume"]
    lost = [opened.begin(resume=first).json() for _ in range(2)]  # the page was left before it had the answer
    assert page.request("GET", "conversation").status_code == 200  # another tab of before: it has not got them either
    moved = opened.client.post("/api/widget/conversations", json={}, headers=page.headers).json()
    assert Page(page.client, ORIGIN, moved).request("GET", "conversation").status_code == 200
    back = opened.visit(resume=first)
    assert back.session["visitor_id"] == page.session["visitor_id"]
    assert len({each["resume"] for each in (*lost, back.session)}) == 3
    assert (
        Page(page.client, ORIGIN, lost[0]).request("GET", "conversation").status_code == 200
    )  # a late one proves nothing
    assert opened.begin(resume=back.session["resume"]).status_code == 200  # the last one is the one that holds
    for replaced in lost:
        assert opened.begin(resume=replaced["resume"]).status_code == 401
        assert asks_in_vain(back, back.session["token"]) == (401, "unauthorized")


def test_a_visitors_token_opens_nothing_but_the_widgets_addresses(tmp_path: Path) -> None:
    """Where anybody signs in; without accounts the API listens to its own machine only, and to none of its pages."""
    with shop(tmp_path) as guarded:
        page, database = guarded.visit(), guarded.services.database
        for origin in (ORIGIN, FOREIGN):  # also as long as nobody has an account
            for method, path in declared():
                if not is_widgets(path):
                    assert call(guarded.client, method, path, {**page.headers, "Origin": origin}) == 403, path
        accounts.create(database, email="a@example.com", name="A", role=Role.ADMIN, password="correct horse battery")
        assert page.request("GET", "conversation").status_code == 200
        bearer = {"Authorization": page.headers["Authorization"]}
        wait_until(lambda: call(guarded.client, "GET", "/api/sites", bearer) == 401)  # known within a second
        for (method, path), needed in declared().items():
            if needed > VISITOR:
                assert call(guarded.client, method, path, bearer) == 401, path


def test_a_visitor_reaches_the_knowledge_base_of_its_site_and_no_other(opened: Shop) -> None:
    opened.client.post("/api/knowledge-bases", json={"name": "other"}).raise_for_status()
    address = "/api/knowledge-bases/other/documents"
    files = [("files", ("fridge.txt", b"The fridge hums."))]
    opened.client.post(address, files=files, data={"is_public": "true"}).raise_for_status()
    run_until_idle(opened.services)
    strange = opened.client.get(address).json()["documents"][0]["id"]
    site = opened.new_site()
    page = opened.visit(site=site["id"])
    visitor = {"visitor_id": page.session["visitor_id"], "site_id": site["id"]}

    def reached() -> tuple[set[str], set[str]]:
        scope = Scope(role=Role.CUSTOMER, **visitor)
        with opened.services.database.read() as session:
            bases = {each.name for each in session.scalars(scope.knowledge_base_query())}
            return bases, set(session.scalars(scope.document_query().with_only_columns(Document.id)))

    assert reached()[0] == {"manuals"}
    assert opened.documents["kettle.txt"] in reached()[1]
    assert not {strange, opened.documents["margins.txt"]} & reached()[1]
    opened.client.patch(f"/api/sites/{site['id']}", json={"knowledge_base": "other"}).raise_for_status()
    assert "50 ml" in page.ask()["text"]  # what has begun goes on with what it began with
    assert reached()[0] == {"manuals"}
    later = opened.client.post("/api/widget/conversations", json={}, headers=page.headers).json()
    assert "50 ml" not in Page(page.client, ORIGIN, later).ask()["text"]
    assert reached()[0] == {"manuals", "other"}


def test_a_signed_in_customers_conversation_is_for_that_customer_alone(opened: Shop) -> None:
    site = opened.new_site(identity={"algorithm": "HS256", "key": SECRET})
    assert SECRET not in opened.client.get(f"/api/sites/{site['id']}").text

    def begin(**body: Any) -> httpx.Response:
        return opened.begin(site=site["id"], **body)

    anonymous = opened.visit(site=site["id"])
    anonymous.ask("My order is late.")
    ada = opened.visit(site=site["id"], resume=anonymous.session["resume"], identity=identity(site, "ada"))
    assert ada.session["conversation_id"] == anonymous.session["conversation_id"]  # who signs in goes on
    renewed = begin(resume=ada.session["resume"], headers={"Authorization": f"Bearer {ada.session['token']}"}).json()
    assert renewed["conversation_id"] == ada.session["conversation_id"]  # so does the page that has the token
    signed_out = begin(resume=renewed["resume"]).json()
    assert signed_out["conversation_id"] != ada.session["conversation_id"]
    assert signed_out["messages"] == []
    assert begin(resume=renewed["resume"], identity=identity(site, "ada")).status_code == 401
    again = opened.visit(site=site["id"], identity=identity(site, "ada"))
    again.ask("It is still late.")
    bob = begin(resume=again.session["resume"], identity=identity(site, "bob")).json()
    assert bob["conversation_id"] != again.session["conversation_id"]
    assert bob["messages"] == []
    assert asks_in_vain(again, again.session["token"]) == (401, "unauthorized")
    for bad in (
        identity(site, "ada", exp=1_600_000_000),
        identity(site, "ada", aud="other"),
        identity(opened.site, "ada"),
        jwt.encode({"sub": "ada", "aud": site["id"]}, "", algorithm="none"),
    ):
        assert code(begin(identity=bad)) == (401, "unauthorized")
    assert code(opened.begin(identity=identity(opened.site, "ada"))) == (401, "unauthorized")  # it has no key
