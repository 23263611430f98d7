"""What Prometheus is told: requests, answers, jobs.

Owns the names of the metrics and a registry for each application. Counting never fails a request. Knows no
routes beyond their names; job counts are read from SQL when they are asked for.
"""

import time
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import func, select
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.db import Database
from app.models import Job
from rag.types import Answer

_SECONDS = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
JOB_STATUSES = ("queued", "running", "done", "failed", "cancelled")
BY_STATUS = select(Job.status, func.count().label("number")).group_by(Job.status)


class Metrics:
    """The metrics of one application. All methods may be called from any thread."""

    def __init__(self, database: Database) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "answerdesk_requests_total", "Requests.", ["method", "route", "status"], registry=self._registry
        )
        self.request_seconds = Histogram(
            "answerdesk_request_seconds",
            "Time until a response begins.",
            ["method", "route"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._answers = Counter("answerdesk_answers_total", "Answers.", ["kind", "answerer"], registry=self._registry)
        self._failures = Counter(
            "answerdesk_failed_answers_total", "Answers that failed.", ["code"], registry=self._registry
        )
        self._stages = Histogram(
            "answerdesk_answer_stage_seconds",
            "Time of each stage of an answer.",
            ["stage"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._dropped_markers = Counter(
            "answerdesk_dropped_markers_total",
            "Markers of a model's answer that named no passage.",
            registry=self._registry,
        )
        self._registry.register(_Jobs(database))

    def count_answer(self, answer: Answer) -> None:
        self._answers.labels(answer.kind.value, answer.answerer).inc()
        for stage, milliseconds in answer.timings_ms.items():
            self._stages.labels(stage).observe(milliseconds / 1000)
        dropped = answer.details.get("dropped_markers", 0)
        if isinstance(dropped, int):
            self._dropped_markers.inc(dropped)

    def count_failure(self, code: str) -> None:
        self._failures.labels(code).inc()

    def exposition(self) -> bytes:
        """The metrics in Prometheus' text format."""
        return generate_latest(self._registry)


class MetricsMiddleware:
    """Counts requests by route, not by path, so that ids do not make a series each."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = getattr(scope.get("route"), "path", "none")
                self._metrics.requests.labels(scope["method"], route, str(message["status"])).inc()
                self._metrics.request_seconds.labels(scope["method"], route).observe(time.perf_counter() - started)
            await send(message)

        await self._app(scope, receive, counted)


class _Jobs(Collector):
    def __init__(self, database: Database) -> None:
        self._database = database

    def describe(self) -> Iterator[GaugeMetricFamily]:
        yield self._family()  # so that registering does not ask the database

    def collect(self) -> Iterator[GaugeMetricFamily]:
        family = self._family()
        with self._database.read() as session:
            counts = {row.status: row.number for row in session.execute(BY_STATUS)}
        for status in JOB_STATUSES:
            family.add_metric([status], counts.get(status, 0))
        yield family

    def _family(self) -> GaugeMetricFamily:
        return GaugeMetricFamily("answerdesk_jobs", "Ingestion jobs by status.", labels=["status"])
