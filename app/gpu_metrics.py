"""Memory and load of the machine's NVIDIA GPUs, for Prometheus; nothing where there is none.

Owns the question to `nvidia-smi` and what its answer means. Asked at most every few seconds and never waited for long,
so that a driver that hangs does not hold up the other metrics.
"""

import csv
import io
import logging
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from threading import Lock

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

_LOG = logging.getLogger(__name__)

ASK_EVERY_S = 5.0
WAIT_AT_MOST_S = 2.0
_MIB = 2**20
_QUERY = ("--query-gpu=index,name,memory.used,memory.total,utilization.gpu", "--format=csv,noheader,nounits")


@dataclass(frozen=True, slots=True)
class Gpu:
    """One line of `nvidia-smi`'s answer. `busy` is a share from 0 to 1; what the driver does not tell is None."""

    index: str
    name: str
    used_bytes: int | None
    total_bytes: int | None
    busy: float | None


def gpus_in(answer: str) -> list[Gpu]:
    """The GPUs in what `nvidia-smi` printed for our query; lines that are something else are left out."""
    gpus = []
    for row in csv.reader(io.StringIO(answer), skipinitialspace=True):
        if len(row) != 5 or not row[0].strip().isdecimal():
            continue
        index, name, used, total, load = (cell.strip() for cell in row)
        used_mib, total_mib, percent = _number(used), _number(total), _number(load)
        gpus.append(
            Gpu(
                index=index,
                name=name,
                used_bytes=None if used_mib is None else int(used_mib * _MIB),
                total_bytes=None if total_mib is None else int(total_mib * _MIB),
                busy=None if percent is None else percent / 100,
            )
        )
    return gpus


def ask_nvidia_smi() -> str:
    """Its answer; "" where there is no such program, where it fails or takes too long (the log says so)."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ""
    try:
        done = subprocess.run((program, *_QUERY), capture_output=True, text=True, timeout=WAIT_AT_MOST_S, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        _LOG.warning("nvidia-smi does not tell about the GPUs: %s", error)
        return ""
    return done.stdout


class GpuCollector(Collector):
    """Asks with `ask` at most every `ASK_EVERY_S` seconds; between two questions the last answer stands."""

    def __init__(self, ask: Callable[[], str] = ask_nvidia_smi, clock: Callable[[], float] = time.monotonic) -> None:
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
                self._gpus = gpus_in(self._ask())
                self._asked_at = now
            gpus = self._gpus
        used, total, busy = families = self._families()
        for gpu in gpus:
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


def _number(text: str) -> float | None:
    """None for `[N/A]`, `[Not Supported]` and other words of the driver's."""
    try:
        return float(text)
    except ValueError:
        return None
