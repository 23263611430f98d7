"""The application: routes, the gate in front of them, errors, and what runs beside them.

Owns how the parts of the HTTP service are put together, and the addresses for operators. Knows no feature.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

from fastapi import APIRouter, FastAPI, Request, Response
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
from app.auth import Gate
from app.bootstrap import Services, ServicesOf
from app.bundle import api as bundle
from app.conversations import ConversationManager
from app.evaluation import api as evaluation
from app.metrics import Metrics, MetricsMiddleware
from app.runtime_health import RuntimeHealth
from app.settings import AnswererName
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
    """What answers where a knowledge base does not choose otherwise. `model` is empty where no chat model is set."""

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


def create_app(services: Services) -> FastAPI:
    """The HTTP service on these services, which it closes when it stops."""
    runtime_health = RuntimeHealth(services.settings)
    metrics = Metrics(services, runtime_health)
    manager = ConversationManager(services, metrics)
    warm_up = WarmUp(services)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await asyncio.to_thread(services.prepare)
        await manager.start()
        warm_up.start()
        yield
        await asyncio.to_thread(warm_up.stop)
        await manager.stop()
        services.close()

    app = FastAPIOffline(  # the reference at /docs must work without the internet
        redoc_url=None,
        static_url="/docs-assets",
        title="Answerdesk",
        description=_DESCRIPTION,
        lifespan=lifespan,
        responses=_ERRORS,
        middleware=[Middleware(MetricsMiddleware, metrics=metrics), Middleware(Gate, settings=services.settings)],
        generate_unique_id_function=_operation_id,
    )
    app.state.services = services
    app.state.conversations = manager
    app.state.metrics = metrics
    app.state.warm_up = warm_up
    app.state.runtime_health = runtime_health
    error_responses.install(app)
    for routes in (
        router,
        knowledge_bases.router,
        bundle.router,
        generation_api.router,
        documents.router,
        document_facets.router,
        document_report.router,
        evaluation.router,
        chat_api.router,
        page_api.router,
        openai_api.router,
    ):
        app.include_router(routes)
    return app


@router.get("/")
def get_addresses(services: ServicesOf) -> Addresses:
    """Where everything is, and what answers."""
    ui, answers = services.settings.ui, services.settings.answers
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
            model=answers.chat_model,
            demonstration=answers.chat_model in DEMONSTRATION_MODELS,
        ),
    )


@router.get("/health")
async def get_health() -> Health:
    """Whether the process answers. Needs no key."""
    return Health(status="ok")


@router.get("/ready", responses={503: {"model": Readiness, "description": "Not ready; says why."}})
def get_readiness(request: Request, response: Response, services: ServicesOf) -> Readiness:
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
def get_metrics(request: Request) -> Response:
    """What Prometheus collects."""
    metrics: Metrics = request.app.state.metrics
    return Response(metrics.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _operation_id(route: APIRoute) -> str:
    return route.name
