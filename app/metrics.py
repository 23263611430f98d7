"""What Prometheus is told: requests, answers, jobs, the queue at the chat model, caches.

Owns the names of the metrics and a registry for each application. Counting never fails a request. Knows no
routes beyond their names; job counts are read from SQL when they are asked for, queue and caches from whoever has them.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import func, select
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.bootstrap import Services
from app.db import Database
from app.gpu_metrics import GpuCollector
from app.models import Job
from app.runtime_health import RuntimeHealth
from app.runtime_metrics import RuntimeCollector
from app.shapes import CACHED
from rag.answerers.base import GUARD
from rag.answerers.fallback import FALLBACK
from rag.types import Answer, AnswerEvent, Token

_SECONDS = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
JOB_STATUSES = ("queued", "running", "done", "failed", "cancelled")
BY_STATUS = select(Job.status, func.count().label("number")).group_by(Job.status)


# Steps of a third to a half from 1 ms to 2 minutes, so that a quantile read between two of them is not far off.
_STEPS = (1, 1.5, 2, 3, 4, 5, 7)
_FINE_SECONDS = (*(step / part for part in (1000, 100, 10, 1) for step in _STEPS), 10, 15, 20, 30, 40, 60, 90, 120)
_TOKENS_A_SECOND = (1, 2, 3, 5, 7, 10, 15, 20, 30, 40, 50, 70, 100, 150, 200, 300, 500, 1000)


@dataclass(slots=True)
class AnswerClock:
    """When an answer was begun, and its first and last piece of text seen; seconds of `time.perf_counter`."""

    began: float = field(default_factory=time.perf_counter)
    first: float | None = None
    last: float | None = None

    def saw(self, event: AnswerEvent) -> None:
        if isinstance(event, Token):
            self.last = time.perf_counter()
            self.first = self.first or self.last


class Metrics:
    """The metrics of one application. All methods may be called from any thread."""

    def __init__(self, services: Services, runtime_health: RuntimeHealth) -> None:
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
        self._sentences = Counter(
            "answerdesk_generated_sentences_total",
            "Sentences of generated answers: all, cited (coverage), with words that their pages do not have, left out.",
            ["what"],
            registry=self._registry,
        )
        self._claims = Counter(
            "answerdesk_generated_claims_total",
            "Numbers, dates, codes and names in generated answers looked up in the cited pages (precision).",
            ["found"],
            registry=self._registry,
        )
        self._quotations = Counter(
            "answerdesk_unsupported_quotations_total",
            "Quotations of a model that no cited page has; none was shown as one.",
            registry=self._registry,
        )
        self._planted = Counter(
            "answerdesk_planted_sentences_total",
            "Sentences of manuals addressed to a model and left out of its prompt.",
            registry=self._registry,
        )
        self._guarded = Counter(
            "answerdesk_guarded_questions_total",
            "Questions that tried to steer the assistant.",
            ["answer"],
            registry=self._registry,
        )
        self._fallbacks = Counter(
            "answerdesk_fallback_answers_total",
            "Answers quoted from the manuals because the chat model was busy or down.",
            ["reason"],
            registry=self._registry,
        )
        made_by = ["answerer", "cached"]
        self._first_token = Histogram(
            "answerdesk_first_token_seconds",
            "From a question's admission to the first piece of its answer, waiting included.",
            made_by,
            buckets=_FINE_SECONDS,
            registry=self._registry,
        )
        self._whole = Histogram(
            "answerdesk_answer_seconds",
            "From a question's admission to the end of its answer, waiting included.",
            made_by,
            buckets=_FINE_SECONDS,
            registry=self._registry,
        )
        self._tokens_a_second = Histogram(
            "answerdesk_tokens_per_second",
            "Tokens of an answer a second, from its first piece to its last, as the chat model counts them.",
            buckets=_TOKENS_A_SECOND,
            registry=self._registry,
        )
        self._registry.register(_Jobs(services.database))
        self._registry.register(RuntimeCollector(services, runtime_health))
        self._registry.register(GpuCollector())

    def count_answer(self, answer: Answer, clock: AnswerClock) -> None:
        """An answer that has just been finished; what took how long is in its timings and in `clock`."""
        made_by = (answer.answerer, "true" if answer.details.get(CACHED) else "false")
        self._whole.labels(*made_by).observe(time.perf_counter() - clock.began)
        if clock.first is not None and clock.last is not None:
            self._first_token.labels(*made_by).observe(clock.first - clock.began)
            tokens = answer.details.get("completion_tokens")
            if isinstance(tokens, int) and tokens > 1 and clock.last > clock.first and CACHED not in answer.details:
                self._tokens_a_second.observe((tokens - 1) / (clock.last - clock.first))
        if reason := answer.details.get(FALLBACK):
            self._fallbacks.labels(reason).inc()
        self._answers.labels(answer.kind.value, answer.answerer).inc()
        for stage, milliseconds in answer.timings_ms.items():
            self._stages.labels(stage).observe(milliseconds / 1000)
        dropped = answer.details.get("dropped_markers", 0)
        if isinstance(dropped, int):
            self._dropped_markers.inc(dropped)
        if CACHED not in answer.details:
            self._count_checks(answer)

    def _count_checks(self, answer: Answer) -> None:
        """What checking a generated answer found, and a question that was noticed."""

        def number(name: str) -> int:
            value = answer.details.get(name, 0)
            return value if isinstance(value, int) else 0

        for what in ("sentences", "cited_sentences", "not_found_sentences", "dropped_sentences"):
            self._sentences.labels(what.removesuffix("_sentences").replace("sentences", "all")).inc(number(what))
        self._claims.labels("true").inc(number("found_claims"))
        self._claims.labels("false").inc(number("claims") - number("found_claims"))
        self._quotations.inc(number("unsupported_quotations"))
        self._planted.inc(number("planted_left_out"))
        if GUARD in answer.details:
            self._guarded.labels(answer.kind.value).inc()

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
