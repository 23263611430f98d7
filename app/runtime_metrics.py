"""How busy the chat model is, whether it can be reached, and what the caches save, for Prometheus.

Owns the names of these metrics. Reads the figures where they are kept; nothing is counted here.
"""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from app.bootstrap import Services
from app.runtime_health import RuntimeHealth

_CIRCUIT = {"closed": 0.0, "half_open": 0.5, "open": 1.0}


class RuntimeCollector(Collector):
    """Health, queue and circuit of the chat model, and both caches of this process."""

    def __init__(self, services: Services, health: RuntimeHealth) -> None:
        self._services = services
        self._health = health

    def collect(self) -> Iterator[Metric]:
        admission, circuit = self._services.admission, self._services.circuit
        if self._health.is_known:
            yield GaugeMetricFamily(
                "answerdesk_runtime_up",
                "Whether the chat model's server answers when it is asked for its models; asked whether or not there "
                "are questions.",
                float(self._health.problem() is None),
            )
        yield GaugeMetricFamily("answerdesk_runtime_running", "Questions at the chat model.", admission.running)
        yield GaugeMetricFamily("answerdesk_runtime_waiting", "Questions waiting for it.", admission.waiting)
        yield CounterMetricFamily(
            "answerdesk_runtime_rejections", "Questions that found no place there.", admission.turned_away
        )
        yield GaugeMetricFamily(
            "answerdesk_runtime_circuit_open",
            "1 while a chat model that could not be reached is left alone, 0.5 when it may be tried again.",
            _CIRCUIT[circuit.state],
        )
        yield CounterMetricFamily("answerdesk_runtime_outages", "Times it could not be reached.", circuit.outages)
        yield from self._caches()

    def _caches(self) -> Iterator[Metric]:
        hits = CounterMetricFamily("answerdesk_cache_hits", "Found in a cache.", labels=["cache"])
        misses = CounterMetricFamily("answerdesk_cache_misses", "Not found in a cache.", labels=["cache"])
        evictions = CounterMetricFamily("answerdesk_cache_evictions", "Dropped for lack of room.", labels=["cache"])
        entries = GaugeMetricFamily("answerdesk_cache_entries", "Entries of a cache.", labels=["cache"])
        size = GaugeMetricFamily("answerdesk_cache_bytes", "Size of a cache.", labels=["cache"])
        for name, cache in (
            ("answers", self._services.answer_cache),
            ("question_vectors", self._services.question_vectors),
        ):
            counts = cache.counts()
            hits.add_metric([name], counts.hits)
            misses.add_metric([name], counts.misses)
            evictions.add_metric([name], counts.evictions)
            entries.add_metric([name], counts.entries)
            size.add_metric([name], counts.bytes)
        yield from (hits, misses, evictions, entries, size)
