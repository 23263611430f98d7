"""The sites as an admin keeps them.

Owns their shape over the API and the changes of their rows. What they may hold is `settings` and `identity`. Signing
keys go in and never come out. Knows no visitors.
"""

from datetime import datetime
from html import escape
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from sqlalchemy import Select, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.bootstrap import Services
from app.errors import Conflict, NotFound
from app.models import KnowledgeBase
from app.scope import Scope
from app.service.sites.identity import Algorithm, IdentityKey
from app.service.sites.settings import MOST_ORIGINS, Origin, SiteName, SiteSettings
from app.service.tables import Site


def _once(origins: list[str]) -> list[str]:
    return list(dict.fromkeys(origins))


Origins = Annotated[list[Origin], Field(max_length=MOST_ORIGINS), AfterValidator(_once)]
_KnowledgeBase = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class NewSite(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    name: SiteName
    knowledge_base: _KnowledgeBase = Field(description="Id or name.")
    origins: Origins = Field([], description="Whose pages may show it, like https://shop.example; at first none.")
    identity: IdentityKey | None = Field(None, description="How the site's backend signs its customers in.")
    settings: SiteSettings = SiteSettings()


class SiteChange(BaseModel):
    """Only what is sent is changed; of the settings, too."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    name: SiteName | None = None
    knowledge_base: _KnowledgeBase | None = Field(None, description="Id or name; of new conversations.")
    origins: Origins | None = None
    identity: IdentityKey | None = Field(None, description="Null takes the key away.")
    settings: SiteSettings | None = None


class IdentityShape(BaseModel):
    algorithm: Algorithm


class SiteShape(BaseModel):
    id: str
    name: str
    knowledge_base: str = Field(description="Id.")
    origins: list[str]
    identity: IdentityShape | None = Field(description="How customers are signed in; the key is never shown.")
    settings: SiteSettings
    snippet: str = Field(description="What the site's pages hold, before </body>.")
    created_at: datetime


class SiteList(BaseModel):
    """By name."""

    sites: list[SiteShape]


def list_sites(services: Services, scope: Scope) -> SiteList:
    with services.database.read() as session:
        rows = session.scalars(_query(scope).order_by(Site.name)).all()
    return SiteList(sites=[_shape(services, row) for row in rows])


def get_site(services: Services, scope: Scope, id_or_name: str) -> SiteShape:
    with services.database.read() as session:
        return _shape(services, _one(session, scope, id_or_name))


def create_site(services: Services, scope: Scope, new: NewSite) -> SiteShape:
    """Raises `NotFound` for the knowledge base and `Conflict` for a name that is taken."""
    try:
        with services.database.write() as session:
            row = Site(
                workspace_id=scope.workspace_id,
                knowledge_base_id=scope.knowledge_base(session, new.knowledge_base).id,
                name=new.name,
                origins=new.origins,
                identity=_kept(new.identity),
                settings=new.settings.model_dump(mode="json", exclude_defaults=True),
            )
            session.add(row)
            session.flush()
            return _shape(services, row)
    except IntegrityError as error:
        raise _taken(new.name) from error


def change_site(services: Services, scope: Scope, id_or_name: str, change: SiteChange) -> SiteShape:
    """Visitors feel it with their next request. Raises as `create_site`."""
    try:
        with services.database.write() as session:
            row = _one(session, scope, id_or_name)
            session.refresh(row, with_for_update=True)
            if change.name is not None:
                row.name = change.name
            if change.knowledge_base is not None:
                row.knowledge_base_id = scope.knowledge_base(session, change.knowledge_base).id
            if change.origins is not None:
                row.origins = change.origins
            if "identity" in change.model_fields_set:
                row.identity = _kept(change.identity)
            if change.settings is not None:
                settings = SiteSettings.model_validate(row.settings).changed(change.settings)
                row.settings = settings.model_dump(mode="json", exclude_defaults=True)
            session.flush()
            return _shape(services, row)
    except IntegrityError as error:
        raise _taken(change.name or id_or_name) from error


def delete_site(services: Services, scope: Scope, id_or_name: str) -> None:
    """Its visitors' tokens hold no longer; their conversations stay, for agents."""
    with services.database.write() as session:
        session.delete(_one(session, scope, id_or_name))


def _query(scope: Scope) -> Select[Site]:
    """Those of the caller's workspace whose knowledge base it may see."""
    mine = scope.knowledge_base_query().with_only_columns(KnowledgeBase.id)
    return select(Site).where(Site.workspace_id == scope.workspace_id, Site.knowledge_base_id.in_(mine))


def _one(session: Session, scope: Scope, id_or_name: str) -> Site:
    named = or_(Site.id == id_or_name, Site.name == id_or_name)
    found = session.scalars(_query(scope).where(named).order_by(Site.id != id_or_name)).first()
    if found is None:
        raise NotFound(f"There is no site {id_or_name!r}.", {"site": id_or_name})
    return found


def _shape(services: Services, row: Site) -> SiteShape:
    algorithm = row.identity.get("algorithm")
    return SiteShape(
        id=row.id,
        name=row.name,
        knowledge_base=row.knowledge_base_id,
        origins=row.origins,
        identity=IdentityShape(algorithm=algorithm) if algorithm else None,
        settings=SiteSettings.model_validate(row.settings),
        snippet=snippet(services, row.id),
        created_at=row.created_at,
    )


def snippet(services: Services, site_id: str) -> str:
    """The one line for the site's pages."""
    address = str(services.settings.server.public_url or services.settings.api_address).rstrip("/")
    return f'<script src="{escape(address)}/widget.js" data-site="{escape(site_id)}" async></script>'


def _kept(identity: IdentityKey | None) -> dict[str, Any]:
    return {} if identity is None else identity.model_dump(mode="json")


def _taken(name: str) -> Conflict:
    return Conflict(f"There is a site {name!r} already.", {"name": name})
