"""The application: routes, the gate in front of them, errors, and what runs beside them.

Owns how the parts of the HTTP service are put together, and the addresses for operators. Knows no feature.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Literal

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.routing import APIRoute
from fastapi_offline import FastAPIOffline
from pydantic import BaseModel, Field
from sqlalchemy.exc import SQLAlchemyError
from starlette.middleware import Middleware

from app import (
    chat_api,
    document_facets,
    document_report,
    documents,
    error_responses,
    generation_api,
    knowledge_bases,
    openai_api,
    page_api,
)
from app.accounts import api as accounts
from app.accounts.identity import Identities
from app.auth import Gate
from app.bootstrap import Services, ServicesOf, build_services
from app.bundle import api as bundle
from app.conversations import ConversationManager
from app.evaluation import api as evaluation
from app.metrics import Metrics, MetricsMiddleware
from app.runtime_health import RuntimeHealth
from app.scope import (
    AdminScope,
    CallerScope,
    Role,
    admin_scope,
    admin_to_change,
    agent_scope,
    agent_to_read,
    caller_scope,
)
from app.service.catalogue import api as catalogue
from app.service.dashboard import api as dashboard
from app.service.decisions import api as decisions
from app.service.flows import api as flows
from app.service.handoff import customers_api, faq_api, inbox_api
from app.service.handoff.running import People
from app.service.routing import intents_api as intents
from app.service.sites import public_documents, sites_api, widget_api, widget_files
from app.service.sites.gate import SiteGate
from app.service.sites.widget import Widget
from app.settings import AnswererName, Settings
from app.shapes import ErrorShape
from app.upkeep import IndexCheck, last_checks
from app.warm_up import WarmUp
from model_runtime.demonstration.smollm2 import DEMONSTRATION_MODELS

_LOG = logging.getLogger(__name__)

_DESCRIPTION = """Answers from long manuals, with every sentence cited to its page.

Wherever a knowledge base is asked for, its id or its name will do. Every error has one shape: a stable `code`,
a `message` for people, and `details`."""

_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorShape, "description": description}
    for status, description in {
        400: "The request cannot be fulfilled as it is.",
        401: "The admin key is missing.",
        403: "Host or Origin is not allowed.",
        404: "There is no such thing.",
        413: "The request is too large.",
        422: "A field is missing or not valid.",
        429: "The chat model has no place; Retry-After says when to ask again.",
        503: "A part that is needed is not available.",
    }.items()
}

router = APIRouter(tags=["operation"])


class Answers(BaseModel):
    """What answers where a knowledge base does not choose otherwise.

    `model` is empty where no chat model is set, and for customers unless it is a demonstration.
    """

    answerer: AnswererName
    model: str
    demonstration: bool = Field(description="The chat model is a small one to try things with: it says wrong things.")


class Addresses(BaseModel):
    name: str
    documentation: str
    openapi: str
    health: str
    ready: str
    metrics: str
    user_interface: str
    answers: Answers


class Health(BaseModel):
    status: Literal["ok"]


class Readiness(BaseModel):
    """`problems` name what is not there (yet); `warnings` concern single knowledge bases, or what can be replaced.

    `index_checks` are the last outcomes of `answerdesk index check`, or of an idle worker's, by knowledge base.
    """

    status: Literal["ready", "not_ready"]
    problems: dict[str, str]
    warnings: dict[str, str]
    index_checks: dict[str, IndexCheck]


_ROUTES: tuple[tuple[APIRouter, Callable[..., object] | None], ...] = (
    (router, None),  # each says itself who may call it
    (accounts.router, None),
    (knowledge_bases.router, admin_to_change),
    (bundle.router, admin_scope),
    (generation_api.router, admin_scope),
    (documents.router, admin_to_change),
    (document_facets.router, agent_to_read),
    (document_report.router, admin_scope),
    (evaluation.router, admin_scope),
    (chat_api.router, caller_scope),
    (page_api.router, caller_scope),
    (openai_api.router, agent_scope),
    (intents.router, admin_scope),
    (flows.router, admin_scope),
    (catalogue.router, agent_scope),
    (decisions.router, admin_scope),
    (customers_api.router, caller_scope),
    (inbox_api.router, agent_scope),
    (faq_api.router, admin_scope),
    (dashboard.router, admin_scope),
    (sites_api.router, admin_scope),
    (public_documents.router, admin_scope),
    (widget_api.router, None),  # visitors, known by their tokens (`service.sites.access`)
    (widget_files.router, None),  # everybody
)
"""Who may call the routes, besides what the scope shows them."""


def create_app(services: Services) -> FastAPI:
    """The HTTP service on these services, which it closes when it stops."""
    runtime_health = RuntimeHealth(services.settings)
    metrics = Metrics(services, runtime_health)
    manager = ConversationManager(services, metrics)
    warm_up = WarmUp(services)
    widget = Widget(services.settings)
    people = People(services.database)
    identities = Identities(services.settings.server, services.database)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await asyncio.to_thread(services.prepare)
        await manager.start()
        people.start()
        warm_up.start()
        yield
        await asyncio.to_thread(warm_up.stop)
        await people.stop()
        await manager.stop()
        services.close()

    app = FastAPIOffline(  # the reference at /docs must work without the internet
        redoc_url=None,
        static_url="/docs-assets",
        title="Answerdesk",
        description=_DESCRIPTION,
        lifespan=lifespan,
        responses=_ERRORS,
        middleware=[
            Middleware(MetricsMiddleware, metrics=metrics),
            Middleware(Gate, settings=services.settings, identities=identities),
            Middleware(SiteGate, services=services, widget=widget),
        ],
        generate_unique_id_function=_operation_id,
    )
    app.state.services = services
    app.state.conversations = manager
    app.state.metrics = metrics
    app.state.warm_up = warm_up
    app.state.identities = identities
    app.state.people = people
    app.state.widget = widget
    app.state.runtime_health = runtime_health
    error_responses.install(app)
    for routes, who_may in _ROUTES:
        app.include_router(routes, dependencies=[Depends(who_may)] if who_may is not None else [])
    return app


def application() -> FastAPI:
    """The HTTP service of one process of several, on the settings of the environment."""
    return create_app(build_services(Settings()))


@router.get("/")
def get_addresses(services: ServicesOf, scope: CallerScope) -> Addresses:
    """Where everything is, and what answers."""
    ui, answers = services.settings.ui, services.settings.answers
    is_demonstration = answers.chat_model in DEMONSTRATION_MODELS
    return Addresses(
        name="Answerdesk",
        documentation="/docs",
        openapi="/openapi.json",
        health="/health",
        ready="/ready",
        metrics="/metrics",
        user_interface=f"http://{ui.host}:{ui.port}",
        answers=Answers(
            answerer=answers.answerer,
            model=answers.chat_model if is_demonstration or scope.role is not Role.CUSTOMER else "",
            demonstration=is_demonstration,
        ),
    )


@router.get("/health")
async def get_health() -> Health:
    """Whether the process answers. Needs no key."""
    return Health(status="ok")


@router.get("/ready", responses={503: {"model": Readiness, "description": "Not ready; says why."}})
def get_readiness(request: Request, response: Response, services: ServicesOf, _: AdminScope) -> Readiness:
    """Whether questions can be answered: database, embedder, indexes, chat model."""
    warm_up: WarmUp = request.app.state.warm_up
    runtime_health: RuntimeHealth = request.app.state.runtime_health
    problems, warnings = dict(warm_up.problems), dict(warm_up.warnings)
    if silent := runtime_health.problem():
        (problems if runtime_health.is_needed else warnings)["chat_model"] = silent
    checks: dict[str, IndexCheck] = {}
    try:
        services.database.is_reachable()
        checks = last_checks(services)
    except SQLAlchemyError:
        _LOG.exception("The database is not reachable.")
        problems["database"] = "The database is not reachable; the server's log says why."
    for name, check in checks.items():
        if not check.is_sound:
            warnings.setdefault(name, check.for_people())
    if problems:
        response.status_code = 503
    status = "not_ready" if problems else "ready"
    return Readiness(status=status, problems=problems, warnings=warnings, index_checks=checks)


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
def get_metrics(request: Request, _: AdminScope) -> Response:
    """What Prometheus collects."""
    metrics: Metrics = request.app.state.metrics
    return Response(metrics.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _operation_id(route: APIRoute) -> str:
    return route.name
