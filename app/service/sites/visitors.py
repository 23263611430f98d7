"""Visitors in SQL: how they begin, come back, and are known again; whose conversation is whose.

Owns the one-time use of resume tokens, and when a browser is taken to be somebody else's by now. Every function is one
short transaction. Knows no HTTP.

A resume token is used up once the one that it gave has arrived. Until then it may come again, as the answer may have
been lost: the page was left, or the process killed. Each time it gives another one, and only the last of these holds.
That it has arrived is proven by using it, or an access token that came with it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from app.db import Database
from app.errors import Forbidden, Unauthorized
from app.models import DEFAULT_WORKSPACE, Conversation, Message, new_id, now
from app.scope import Role, Scope
from app.service.sites.settings import SiteSettings
from app.service.sites.tokens import ResumeClaims, TokenSigner, VisitorClaims, hash_of
from app.service.tables import Site, Visitor

NONE = ""
"""In the place of a resume token's hash. Where there is none at all, nobody comes back as this visitor any more."""

Language = Literal["en", "zh"]


@dataclass(frozen=True, slots=True)
class VisitorAccess:
    """A visitor who has proven who it is, for one request."""

    visitor_id: str
    site_id: str
    site_name: str
    conversation_id: str
    workspace_id: str
    settings: SiteSettings
    customer: Mapping[str, Any] | None
    claims: VisitorClaims

    @property
    def scope(self) -> Scope:
        """Its own conversations, and the public documents of its site's knowledge base."""
        return Scope(
            workspace_id=self.workspace_id, role=Role.CUSTOMER, visitor_id=self.visitor_id, site_id=self.site_id
        )


@dataclass(frozen=True, slots=True)
class Begun:
    """A session that has begun or gone on: the tokens that its page gets. `resume` is None where the old one holds."""

    access: VisitorAccess
    token: str
    resume: str | None


@dataclass(frozen=True, slots=True)
class Proof:
    """What a page brings when it asks for a session.

    `customer` is whom the site has signed in, verified; `page_token` the access token that this very page had before.
    """

    resume: str | None = None
    customer: Mapping[str, Any] | None = None
    page_token: str | None = None


def site_for(database: Database, id_or_name: str, origin: str) -> Site:
    """The site, if pages of this origin may show it. Raises `Forbidden`, whether there is such a site or not."""
    named = or_(Site.id == id_or_name, Site.name == id_or_name)
    query = select(Site).where(Site.workspace_id == DEFAULT_WORKSPACE, named).order_by(Site.id != id_or_name)
    with database.read() as session:
        site = session.scalars(query).first()
    if site is None or origin not in site.origins:
        raise Forbidden("This page may not show that site's widget: an admin has to list its origin with the site.")
    return site


def is_listed(database: Database, origin: str) -> bool:
    """Whether any site lists this origin."""
    with database.read() as session:
        return any(origin in origins for origins in session.scalars(select(Site.origins)))


def begin(
    database: Database, signer: TokenSigner, site: Site, origin: str, proof: Proof, language: Language | None
) -> Begun:
    """Goes on with the visitor whose resume token is brought, or makes a new one.

    A new one, too, when the browser is another customer's by now. Raises `Unauthorized` for a resume token that does
    not hold; one that is used up is proof that it was copied, and ends the visitor's session.
    """
    if proof.resume is None:
        with database.write() as session:
            return _new(session, signer, site, origin, proof.customer, language)
    claims = signer.read_resume(proof.resume)
    if (claims.site_id, claims.origin) != (site.id, origin):
        raise Unauthorized("The resume token is another site's: begin a session without one.")
    with database.write() as session:
        begun = _resumed(session, signer, site, claims, proof, language)
    if begun is None:
        raise Unauthorized("The resume token has been used before, or the session has ended: begin one without it.")
    return begun


def known(database: Database, claims: VisitorClaims, origin: str) -> VisitorAccess:
    """The visitor of an access token, as of now.

    Raises `Forbidden` for another origin than the token's, or one that the site no longer lists, and `Unauthorized`
    when the visitor's session has ended.
    """
    query = (
        select(Site, Visitor)
        .join(Visitor, Visitor.site_id == Site.id)
        .join(Conversation, Conversation.visitor_id == Visitor.id)
        .where(
            Site.id == claims.site_id,
            Visitor.id == claims.visitor_id,
            Visitor.resume_hash != NONE,
            Conversation.id == claims.conversation_id,
        )
    )
    with database.read() as session:
        found = session.execute(query).first()
    if found is None:
        raise Unauthorized("The visitor's session has ended: begin a new one.")
    site, visitor = found
    if origin != claims.origin or origin not in site.origins:
        raise Forbidden("The visitor's token is for pages of another origin.")
    if visitor.resume_before and visitor.resume_hash == claims.resume_hash:
        _note_arrival(database, claims)
    return _access(site, visitor, claims)


def begin_conversation(
    database: Database, signer: TokenSigner, access: VisitorAccess, language: Language | None
) -> Begun:
    """A new conversation of the visitor, and a token for it; the one it is in, as long as nothing was said there."""
    with database.write() as session:
        site = session.get(Site, access.site_id)
        visitor = session.get(Visitor, access.visitor_id, with_for_update=True)
        if site is None or visitor is None or visitor.resume_hash == NONE:
            raise Unauthorized("The visitor's session has ended: begin a new one.")
        said = select(Message.id).where(Message.conversation_id == visitor.conversation_id).limit(1)
        if session.scalar(said) is not None or session.get(Conversation, visitor.conversation_id or "") is None:
            visitor.conversation_id = _new_conversation(session, site, visitor, language)
        visitor.seen_at = now()
        return _begun(signer, site, visitor, access.claims.resume_hash)


def _note_arrival(database: Database, claims: VisitorClaims) -> None:
    arrived = (Visitor.id == claims.visitor_id, Visitor.resume_hash == claims.resume_hash)
    with database.write() as session:
        session.execute(update(Visitor).where(*arrived).values(resume_before=NONE))


def _resumed(
    session: Session,
    signer: TokenSigner,
    site: Site,
    claims: ResumeClaims,
    proof: Proof,
    language: Language | None,
) -> Begun | None:
    """None when the token is used up: then the visitor's session has ended."""
    assert proof.resume is not None
    resume, used = signer.resume(claims.visitor_id, site.id, claims.origin), hash_of(proof.resume)
    own = Visitor.id == claims.visitor_id
    holds = or_(Visitor.resume_hash == used, Visitor.resume_before == used)
    swapped = session.execute(
        update(Visitor)
        .where(own, Visitor.site_id == site.id, holds)
        .values(resume_hash=hash_of(resume), resume_before=used, seen_at=now())
    )
    if not swapped.rowcount:  # type: ignore[attr-defined]  # SQLAlchemy types every result alike
        session.execute(update(Visitor).where(own).values(resume_hash=NONE, resume_before=NONE))
        return None
    visitor = session.get_one(Visitor, claims.visitor_id, populate_existing=True)
    if not _is_same_person(signer, visitor, proof):
        visitor.resume_hash = visitor.resume_before = NONE
        return _new(session, signer, site, claims.origin, proof.customer, language)
    conversation = session.get(Conversation, visitor.conversation_id or "")
    if proof.customer is not None:
        visitor.customer = dict(proof.customer)
        if conversation is not None:
            conversation.customer = visitor.customer
    if conversation is None:
        visitor.conversation_id = _new_conversation(session, site, visitor, language)
    return _begun(signer, site, visitor, visitor.resume_hash, resume)


def _is_same_person(signer: TokenSigner, visitor: Visitor, proof: Proof) -> bool:
    """Whether what a customer has said may be shown: to whoever is signed in as that customer, or in the same page.

    Nobody signed out, and nobody else signed in, gets to see it on a computer that several people use. A page that
    was loaded while the customer was signed in proves it by the token that it had.
    """
    if visitor.customer is None:
        return True
    if proof.customer is not None:
        return bool(proof.customer["id"] == visitor.customer["id"])
    if proof.page_token is None:
        return False
    try:
        return signer.read_access(proof.page_token, even_expired=True).visitor_id == visitor.id
    except Unauthorized:
        return False


def _new(
    session: Session,
    signer: TokenSigner,
    site: Site,
    origin: str,
    customer: Mapping[str, Any] | None,
    language: Language | None,
) -> Begun:
    visitor_id = new_id()
    resume = signer.resume(visitor_id, site.id, origin)
    visitor = Visitor(
        id=visitor_id,
        workspace_id=site.workspace_id,
        site_id=site.id,
        origin=origin,
        resume_hash=hash_of(resume),
        customer=None if customer is None else dict(customer),
    )
    session.add(visitor)
    session.flush()
    visitor.conversation_id = _new_conversation(session, site, visitor, language)
    return _begun(signer, site, visitor, visitor.resume_hash, resume)


def _new_conversation(session: Session, site: Site, visitor: Visitor, language: Language | None) -> str:
    row = Conversation(
        workspace_id=site.workspace_id,
        knowledge_base_id=site.knowledge_base_id,
        site_id=site.id,
        visitor_id=visitor.id,
        customer=visitor.customer,
        state={} if language is None else {"language": language},
    )
    session.add(row)
    session.flush()
    return row.id


def _begun(signer: TokenSigner, site: Site, visitor: Visitor, resume_hash: str, resume: str | None = None) -> Begun:
    """`resume_hash` is that of the newest resume token which this page has or gets."""
    assert visitor.conversation_id is not None
    token, claims = signer.access(visitor.id, visitor.site_id, visitor.origin, visitor.conversation_id, resume_hash)
    return Begun(_access(site, visitor, claims), token, resume)


def _access(site: Site, visitor: Visitor, claims: VisitorClaims) -> VisitorAccess:
    return VisitorAccess(
        visitor_id=visitor.id,
        site_id=site.id,
        site_name=site.name,
        conversation_id=claims.conversation_id,
        workspace_id=site.workspace_id,
        settings=SiteSettings.model_validate(site.settings),
        customer=visitor.customer,
        claims=claims,
    )
