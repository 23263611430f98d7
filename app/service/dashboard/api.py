"""The dashboard over HTTP, for admins.

Owns the routes and what they take; what is counted is `figures`' and `topics`'.
"""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from app.bootstrap import Services, ServicesOf
from app.models import now
from app.scope import AdminScope, Scope
from app.service.dashboard import figures
from app.service.dashboard.csv_export import as_csv
from app.service.dashboard.figures import Window
from app.service.dashboard.shapes import Dashboard
from app.service.dashboard.topics import unanswered_topics

router = APIRouter(prefix="/api", tags=["dashboard"])

_Base = Annotated[str | None, Query(max_length=200, description="Id or name; all of them without it.")]
_Days = Annotated[int, Query(ge=1, le=366, description="How many days, today's included.")]


@router.get("/dashboard")
def get_dashboard(services: ServicesOf, scope: AdminScope, knowledge_base: _Base = None, days: _Days = 30) -> Dashboard:
    """How much there was to do, how it went, and what the manuals did not say."""
    window = _window(services, scope, knowledge_base, days)
    with services.database.read() as session:
        counted = figures.count(session, window)
        by_day = figures.day_figures(session, counted)
    topics, problems = unanswered_topics(services, window)
    return Dashboard(
        since=window.since,
        until=window.until,
        knowledge_base=window.knowledge_base_id,
        totals=figures.total_figures(counted),
        by_day=by_day,
        hand_off_reasons=figures.reason_counts(counted),
        star_counts=figures.star_counts(counted),
        unanswered=topics,
        problems=problems,
    )


@router.get("/dashboard.csv", response_class=Response, responses={200: {"content": {"text/csv": {}}}})
def get_dashboard_csv(
    services: ServicesOf, scope: AdminScope, knowledge_base: _Base = None, days: _Days = 30
) -> Response:
    """The figures by day and knowledge base, as a file."""
    window = _window(services, scope, knowledge_base, days)
    with services.database.read() as session:
        rows = figures.day_figures(session, figures.count(session, window))
    headers = {
        "content-disposition": f'attachment; filename="answerdesk-{window.since}-{window.until}.csv"',
        "x-content-type-options": "nosniff",
    }
    return Response(as_csv(rows), media_type="text/csv; charset=utf-8", headers=headers)


def _window(services: Services, scope: Scope, knowledge_base: str | None, days: int) -> Window:
    """Raises `NotFound` for a knowledge base that is none of the caller's."""
    if knowledge_base is None:
        return Window(days, now(), scope)
    with services.database.read() as session:
        return Window(days, now(), scope, scope.knowledge_base(session, knowledge_base).id)
