"""Sites over HTTP, for admins.

Owns the routes. What a site is, is `app.service.sites.sites`.
"""

from fastapi import APIRouter, Response

from app.bootstrap import ServicesOf
from app.scope import AdminScope
from app.service.sites import sites
from app.service.sites.sites import NewSite, SiteChange, SiteList, SiteShape

router = APIRouter(prefix="/api", tags=["sites"])


@router.get("/sites")
def get_sites(services: ServicesOf, scope: AdminScope) -> SiteList:
    """Lists the sites that show the widget."""
    return sites.list_sites(services, scope)


@router.post("/sites", status_code=201)
def post_site(new: NewSite, services: ServicesOf, scope: AdminScope) -> SiteShape:
    """Makes a site. No page may show its widget before its origin is listed."""
    return sites.create_site(services, scope, new)


@router.get("/sites/{site}")
def get_site(site: str, services: ServicesOf, scope: AdminScope) -> SiteShape:
    """One site, by id or name."""
    return sites.get_site(services, scope, site)


@router.patch("/sites/{site}")
def patch_site(site: str, change: SiteChange, services: ServicesOf, scope: AdminScope) -> SiteShape:
    """Changes what is sent; it holds from the next request on."""
    return sites.change_site(services, scope, site, change)


@router.delete("/sites/{site}", status_code=204)
def remove_site(site: str, services: ServicesOf, scope: AdminScope) -> Response:
    """Deletes a site with its visitors; their conversations stay."""
    sites.delete_site(services, scope, site)
    return Response(status_code=204)
