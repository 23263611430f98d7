"""Visitors' sessions: on both databases, in several tabs, behind a proxy, and in streams that outlive them."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import select, update

from app import event_stream
from app.errors import Forbidden, Unauthorized
from app.models import Conversation, KnowledgeBase, Message, new_id, now
from app.service.sites import visitor_events, visitors
from app.service.sites.tokens import TokenSigner, hash_of
from app.service.sites.visitors import Proof
from app.service.tables import Site, Visitor
from app.settings import ServerSettings, WidgetSettings
from app.upkeep import Upkeep
from tests.app.service.widget_shop import ORIGIN, Page, Shop, shop
from tests.installation import Installation

SECRET = b"an installation's own secret, as long as it has to be"
SIGNER = TokenSigner(SECRET, timedelta(minutes=15), timedelta(days=30))


@pytest.fixture
def site(installation: Installation) -> Site:
    with installation.services.database.write() as session:
        base = session.get_one(KnowledgeBase, installation.knowledge_base)
        row = Site(knowledge_base_id=base.id, name="shop", origins=[ORIGIN])
        session.add(row)
        session.flush()
        return row


def test_of_tabs_that_resume_at_once_each_goes_on_and_one_can_come_back(installation: Installation, site: Site) -> None:
    database = installation.services.database
    first = visitors.begin(database, SIGNER, site, ORIGIN, Proof(), "zh")

    def resume(_: int) -> visitors.Begun:
        return visitors.begin(database, SIGNER, site, ORIGIN, Proof(resume=first.resume), None)

    with ThreadPoolExecutor(6) as pool:
        tabs = list(pool.map(resume, range(6)))
    assert {each.access.conversation_id for each in tabs} == {first.access.conversation_id}
    for each in tabs:
        visitors.known(database, each.access.claims, ORIGIN)
    with database.read() as session:
        visitor = session.get_one(Visitor, first.access.visitor_id)
        assert visitor.resume_before == visitors.NONE
        (newest,) = [each for each in tabs if hash_of(each.resume or "") == visitor.resume_hash]
        assert session.get_one(Conversation, first.access.conversation_id).state == {"language": "zh"}
    visitors.begin(database, SIGNER, site, ORIGIN, Proof(resume=newest.resume), None)
    with pytest.raises(Unauthorized):
        visitors.begin(database, SIGNER, site, ORIGIN, Proof(resume=first.resume), None)
    for each in tabs:
        with pytest.raises(Unauthorized):
            visitors.known(database, each.access.claims, ORIGIN)


def test_a_new_conversation_is_begun_once_something_was_said(installation: Installation, site: Site) -> None:
    database = installation.services.database
    begun = visitors.begin(database, SIGNER, site, ORIGIN, Proof(customer={"id": "7", "name": "Ada"}), None)
    same = visitors.begin_conversation(database, SIGNER, begun.access, None)
    assert same.access.conversation_id == begun.access.conversation_id
    with database.write() as session:
        session.add(
            Message(
                conversation_id=begun.access.conversation_id,
                ordinal=0,
                client_message_id=new_id(),
                role="customer",
                status="received",
                text="hello",
                request={},
            )
        )
    other = visitors.begin_conversation(database, SIGNER, same.access, "en")
    assert other.access.conversation_id != begun.access.conversation_id
    with database.read() as session:
        row = session.get_one(Conversation, other.access.conversation_id)
        assert (row.visitor_id, row.site_id, row.customer) == (
            begun.access.visitor_id,
            site.id,
            {"id": "7", "name": "Ada"},
        )
    for each in (begun, other):  # a token is for its own conversation as long as it holds
        known = visitors.known(database, each.access.claims, ORIGIN)
        assert known.conversation_id == each.access.conversation_id
    with pytest.raises(Forbidden):
        visitors.known(database, other.access.claims, "https://outlet.example")


def test_a_deleted_conversation_or_site_leaves_no_way_in(installation: Installation, site: Site) -> None:
    database = installation.services.database
    begun = visitors.begin(database, SIGNER, site, ORIGIN, Proof(), None)
    with database.write() as session:
        session.delete(session.get_one(Conversation, begun.access.conversation_id))
    with pytest.raises(Unauthorized):
        visitors.known(database, begun.access.claims, ORIGIN)
    again = visitors.begin(database, SIGNER, site, ORIGIN, Proof(resume=begun.resume), None)
    assert again.access.visitor_id == begun.access.visitor_id
    assert again.access.conversation_id != begun.access.conversation_id
    installation.client.delete(f"/api/sites/{site.id}").raise_for_status()
    with pytest.raises(Unauthorized):
        visitors.known(database, again.access.claims, ORIGIN)


def test_page_views_in_which_nothing_was_said_are_removed_after_a_day(installation: Installation, site: Site) -> None:
    services = installation.services
    long_ago = now() - timedelta(days=1, minutes=1)

    def begin(**proof: Any) -> visitors.Begun:
        return visitors.begin(services.database, SIGNER, site, ORIGIN, Proof(**proof), None)

    def say(begun: visitors.Begun) -> None:
        said = {"client_message_id": new_id(), "role": "customer", "status": "received", "text": "hello"}
        with services.database.write() as session:
            session.add(Message(conversation_id=begun.access.conversation_id, ordinal=0, request={}, **said))

    def unseen(*begun: visitors.Begun) -> None:
        ids = [each.access.visitor_id for each in begun]
        with services.database.write() as session:
            session.execute(update(Visitor).where(Visitor.id.in_(ids)).values(seen_at=long_ago))

    def left() -> tuple[set[str], set[str | None]]:
        """Visitors, and whose conversations."""
        with services.database.read() as session:
            return set(session.scalars(select(Visitor.id))), set(session.scalars(select(Conversation.visitor_id)))

    nothing, spoke, here, account = begin(), begin(), begin(), new_id()
    say(spoke)
    with services.database.write() as session:
        base = site.knowledge_base_id
        session.add(Conversation(knowledge_base_id=base, visitor_id=account))  # a customer's with an account
        session.flush()
        session.execute(update(Conversation).values(created_at=long_ago))
    new = begin()
    unseen(nothing, spoke, new)
    spoken = spoke.access.visitor_id
    Upkeep(services).when_idle()
    stay = {spoken, here.access.visitor_id, new.access.visitor_id}  # the last one's conversation is too young
    assert left() == (stay, {*stay, account})
    with pytest.raises(Unauthorized):
        begin(resume=nothing.resume)
    installation.client.delete(f"/api/sites/{site.id}").raise_for_status()
    Upkeep(services).when_idle()
    assert left() == (set(), {spoken, new.access.visitor_id, account})


@pytest.fixture
def proxied(tmp_path: Path) -> Iterator[Shop]:
    few = WidgetSettings(sessions_per_minute=3)
    server = ServerSettings(trusted_proxies=("127.0.0.1",), token_secret=SecretStr(SECRET.decode()))
    with shop(tmp_path, widget=few, server=server) as running:
        yield running


def test_limits_count_the_real_client_behind_a_proxy(proxied: Shop) -> None:
    def begins(forwarded: str) -> list[int]:
        return [proxied.begin(headers={"X-Forwarded-For": forwarded}).status_code for _ in range(4)]

    assert begins("203.0.113.7") == [200, 200, 200, 429]
    assert begins("203.0.113.8") == [200, 200, 200, 429]
    said = [f"198.51.100.{number}, 203.0.113.7" for number in range(4)]  # what a client says of itself counts nothing
    assert [proxied.begin(headers={"X-Forwarded-For": each}).status_code for each in said] == [429] * 4


def test_a_stream_ends_with_its_token_and_with_its_visitors_session(
    proxied: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_stream, "HEARTBEAT_S", 0.1)
    monkeypatch.setattr(visitor_events, "LOOKS_AGAIN_S", 0.1)
    page = proxied.visit()
    bound = (page.session["visitor_id"], proxied.site["id"], ORIGIN, page.session["conversation_id"], "")
    short = TokenSigner(SECRET, timedelta(seconds=2), timedelta(days=1)).access(*bound)[0]
    soon_over = Page(page.client, ORIGIN, {"token": short})
    with ThreadPoolExecutor(2) as pool:
        expiring = pool.submit(soon_over.request, "GET", "events")
        ending = pool.submit(page.request, "GET", "events")
        assert expiring.result(20).text.startswith("retry:")
        assert not ending.done()
        again = proxied.visit(resume=page.session["resume"])
        assert again.request("POST", "typing", json={}).status_code == 204
        assert proxied.begin(resume=page.session["resume"]).status_code == 401
        assert ending.result(20).status_code == 200
    assert page.request("GET", "events").status_code == 401
