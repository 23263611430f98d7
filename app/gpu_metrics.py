"""Memory and load of the machine's NVIDIA GPUs, for Prometheus; nothing where there is none.

Owns how often the driver is asked, and the metrics. What it says, and that it is never waited for long, is
`model_runtime.nvidia`'s.
"""

import logging
import time
from collections.abc import Callable, Iterator
from threading import Lock

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from model_runtime.nvidia import Gpu, NotTold, gpus, is_installed

_LOG = logging.getLogger(__name__)

ASK_EVERY_S = 5.0


def gpus_told() -> list[Gpu]:
    """The GPUs; none where there is no `nvidia-smi`, and where it fails or hangs, which the log then says."""
    if not is_installed():
        return []
    try:
        return gpus()
    except NotTold as error:
        _LOG.warning("The driver does not tell about the GPUs: %s", error)
        return []


class GpuCollector(Collector):
    """Asks with `ask` at most every `ASK_EVERY_S` seconds; between two questions the last answer stands."""

    def __init__(self, ask: Callable[[], list[Gpu]] = gpus_told, clock: Callable[[], float] = time.monotonic) -> None:
        self._ask = ask
        self._clock = clock
        self._lock = Lock()
        self._asked_at: float | None = None
        self._gpus: list[Gpu] = []

    def describe(self) -> Iterator[Metric]:
        yield from self._families()  # so that registering asks nobody

    def collect(self) -> Iterator[Metric]:
        with self._lock:
            now = self._clock()
            if self._asked_at is None or now - self._asked_at >= ASK_EVERY_S:
                self._gpus = self._ask()
                self._asked_at = now
            found = self._gpus
        used, total, busy = families = self._families()
        for gpu in found:
            for family, value in ((used, gpu.used_bytes), (total, gpu.total_bytes), (busy, gpu.busy)):
                if value is not None:
                    family.add_metric([gpu.index, gpu.name], value)
        yield from (family for family in families if family.samples)

    def _families(self) -> tuple[GaugeMetricFamily, GaugeMetricFamily, GaugeMetricFamily]:
        labels = ["gpu", "name"]
        return (
            GaugeMetricFamily("answerdesk_gpu_memory_used_bytes", "Memory of a GPU in use.", labels=labels),
            GaugeMetricFamily("answerdesk_gpu_memory_bytes", "Memory of a GPU.", labels=labels),
            GaugeMetricFamily("answerdesk_gpu_busy", "Share of the time that a GPU works, 0 to 1.", labels=labels),
        )
