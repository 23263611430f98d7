"""A small model served by the runtime itself, and what it answers.

Owns the settings of such a server, its folder and port apart from those of the user's own runtime, the probes over
its OpenAI-compatible API, and reading from its log how many tokens its KV cache holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from model_runtime.addresses import free_port
from model_runtime.plan.gpus import GIB
from model_runtime.server.control import start, stop
from model_runtime.server.settings import Device, RuntimeSettings
from model_runtime.verify.choices import Precision
from model_runtime.verify.comparison import LogProbabilities, Position, Probes
from model_runtime.verify.errors import BadAnswer, NotEnoughMemory
from model_runtime.verify.reference import LIKELIEST
from model_runtime.verify.small_models import CONTEXT

KV_CACHE_GIB = 1
"""Of each rank: the least that vLLM's CPU build can be told."""

# Measured with the CPU build 0.32: 0.6 GiB each for the two processes that every server has, 0.75 GiB for a worker.
_SERVER_GIB, _WORKER_GIB = 1.3, 0.8
_ANSWER_WITHIN_S = 600.0
_KV_TOKENS = re.compile(r"KV cache size: ([\d,]+) tokens")


@dataclass(frozen=True)
class Ranks:
    """How the ranks of one server share the model."""

    tensor: int
    experts_whole: bool = False

    def __str__(self) -> str:
        return f"TP{self.tensor} EP{self.tensor}" if self.experts_whole else f"TP{self.tensor}"


@dataclass(frozen=True)
class SmallServer:
    """A server that is ready. `kv_tokens`: what its cache holds by its own log, which may not say it."""

    address: str
    model: str
    kv_tokens: int | None
    ready_after_s: float

    def answer(self, probes: Probes) -> LogProbabilities:
        """Raises `BadAnswer`."""
        with httpx.Client(base_url=self.address, timeout=_ANSWER_WITHIN_S, trust_env=False) as client:
            scored = self._complete(client, probes.sequences, max_tokens=1, prompt_logprobs=LIKELIEST)
            continued = self._complete(
                client,
                probes.prompts,
                max_tokens=probes.new_tokens,
                logprobs=LIKELIEST,
                ignore_eos=True,
                return_tokens_as_token_ids=True,
            )
        try:
            return LogProbabilities(
                # Nothing predicts the first token.
                scores=tuple(tuple(map(_prompt_position, choice["prompt_logprobs"][1:])) for choice in scored),
                continuations=tuple(tuple(map(_token, choice["logprobs"]["tokens"])) for choice in continued),
                steps=tuple(tuple(map(_step_position, choice["logprobs"]["top_logprobs"])) for choice in continued),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BadAnswer(f"vLLM's answer has no log-probabilities where they belong: {error!r}") from error

    def _complete(self, client: httpx.Client, prompts: tuple[tuple[int, ...], ...], **options: Any) -> list[Any]:
        asked = {"model": self.model, "prompt": prompts, "temperature": 0, **options}
        try:
            response = client.post("/v1/completions", json=asked)
        except httpx.HTTPError as error:
            raise BadAnswer(f"vLLM gave no answer: {error!r}") from error
        if response.status_code != httpx.codes.OK:
            raise BadAnswer(f"vLLM answered with status {response.status_code}: {response.text[:500]}")
        try:
            choices = sorted(response.json()["choices"], key=lambda choice: int(choice["index"]))
        except (KeyError, TypeError, ValueError) as error:
            raise BadAnswer(f"vLLM's answer is not one to a completion ({error!r}): {response.text[:500]}") from error
        if len(choices) != len(prompts):
            raise BadAnswer(f"vLLM answered {len(choices)} of {len(prompts)} prompts")
        return choices


@contextmanager
def served(
    model: Path,
    ranks: Ranks,
    precision: Precision,
    device: Device,
    user: RuntimeSettings,
    folder: Path,
    environment: Mapping[str, str],
) -> Iterator[SmallServer]:
    """Serves `model` for the length of a `with`; `user`: the settings of the installation, for where vLLM is and how
    long things may take. `folder`: of this server alone. Raises what `control.start` raises, and
    `NotEnoughMemory`."""
    settings = _settings(model, ranks, precision, device, user)
    if device is Device.CPU:
        _require_memory(ranks)
    try:
        status = start(settings, folder, environment)
        log = Path(status.log).read_text(encoding="utf-8", errors="replace")
        yield SmallServer(status.address, str(model), _kv_tokens(log), status.ready_after_s or 0.0)
    finally:
        # Also when the start was interrupted: the supervisor outlives us by design.
        stop(folder, user.stop_within_s)


def _settings(
    model: Path, ranks: Ranks, precision: Precision, device: Device, user: RuntimeSettings
) -> RuntimeSettings:
    """The runtime as the operator starts it, for a small model: what proves nothing about another command."""
    extra = [f"--dtype={precision}"]
    if device is Device.GPU:
        extra.append(f"--kv-cache-memory-bytes={KV_CACHE_GIB * GIB}")
    elif precision is Precision.FLOAT32:
        # Where the processor has AMX, vLLM prefers kernels for latent attention that know bfloat16 alone; models with
        # other attention pass this over.
        extra.append("--attention-backend=CPU_MLA")
    return RuntimeSettings(
        model=str(model),
        environment=user.environment,
        device=device.value,
        port=free_port(),
        tensor_parallel_size=ranks.tensor,
        expert_parallel=ranks.experts_whole,
        context_length=CONTEXT,
        max_sequences=8,
        prefix_caching=False,
        # Of a GPU on which the user's own model may lie.
        gpu_memory_utilization=0.1,
        cpu_kv_cache_gib=KV_CACHE_GIB,
        eager=True,
        extra_arguments=tuple(extra),
        ready_timeout_s=user.ready_timeout_s,
        restarts=0,
        stop_within_s=user.stop_within_s,
    )


def _require_memory(ranks: Ranks) -> None:
    needed = _SERVER_GIB + ranks.tensor * (_WORKER_GIB + KV_CACHE_GIB)
    free = available_memory() / GIB
    if free < needed:
        raise NotEnoughMemory(
            f"serving a small model with {ranks} needs {needed:.1f} GiB of memory, and {free:.1f} GiB are free: stop"
            " other programs (`answerdesk runtime stop` ends your own runtime) and try again"
        )


def available_memory(root: Path = Path("/")) -> int:
    """Bytes that new processes may use: of the machine, or of the container (control group, version 2) we are in."""
    machine = (root / "proc/meminfo").read_text(encoding="ascii")
    found = re.search(r"^MemAvailable:\s+(\d+) kB$", machine, re.MULTILINE)
    free = int(found.group(1)) * 1024 if found else 0
    group = root / "sys/fs/cgroup"
    limit = _number(group / "memory.max")
    used = _number(group / "memory.current")
    if limit is None or used is None:
        return free
    statistics = (group / "memory.stat").read_text(encoding="ascii")
    cached = re.search(r"^inactive_file (\d+)$", statistics, re.MULTILINE)
    return min(free, limit - used + (int(cached.group(1)) if cached else 0))


def _number(file: Path) -> int | None:
    """None where there is no such file or it says `max`."""
    text = file.read_text(encoding="ascii").strip() if file.exists() else ""
    return int(text) if text.isdecimal() else None


def _kv_tokens(log: str) -> int | None:
    found = _KV_TOKENS.search(log)
    return int(found.group(1).replace(",", "")) if found else None


def _prompt_position(row: Mapping[str, Mapping[str, Any]]) -> Position:
    return {int(token): float(named["logprob"]) for token, named in row.items()}


def _step_position(row: Mapping[str, float]) -> Position:
    return {_token(token): float(value) for token, value in row.items()}


def _token(text: str) -> int:
    """`token_id:123`, as vLLM writes tokens where no text is wanted."""
    return int(text.removeprefix("token_id:"))
