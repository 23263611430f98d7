"""What the load generator itself costs: it is set against a server that computes nothing.

Owns the null server's process and the clients that all targets share. What a measurement reports is worth little
if the measuring takes the processor from what is measured; so this is measured too, and printed.
"""

from __future__ import annotations

import contextlib
import random
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass

import httpx

from model_runtime.bench.errors import BenchError
from model_runtime.bench.figures import figures_of
from model_runtime.bench.http_server import Handler, listen
from model_runtime.bench.relay import Relay
from model_runtime.bench.sweep import measure_leg
from model_runtime.bench.targets import ChatTarget, ModelTarget, Target, inspect_server

_STREAMS, _QUESTIONS, _TOKENS = 4, 5, 128


@dataclass(frozen=True, slots=True)
class GeneratorCost:
    """Processor time of this process for a token, in microseconds; `relayed_us` is what the relay adds to it.

    `first_token_ms`: median time of one stream to its first token where nothing is computed, 512 token ids sent.
    """

    token_us: float
    relayed_us: float
    first_token_ms: float

    def share_of_core(self, tokens_per_s: float, *, relayed: bool) -> float:
        """Of one processor, while that many tokens a second come in."""
        return tokens_per_s * (self.token_us + (self.relayed_us if relayed else 0.0)) / 1e6


def http_client(address: str, key: str = "", timeout_s: float = 600.0) -> httpx.AsyncClient:
    """A client without a limit on connections, and without proxies: what is measured is what is addressed."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return httpx.AsyncClient(base_url=address, headers=headers, timeout=timeout_s, limits=limits, trust_env=False)


@contextlib.contextmanager
def stub_process(arguments: Sequence[str] = ()) -> Iterator[str]:
    """The address of a `stub_server` in a process of its own, which ends with the context or with this process."""
    command = [sys.executable, "-m", "model_runtime.bench.stub_server", *arguments]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        if not port:
            raise BenchError(f"the stub server ended at its start with status {process.wait()}")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.communicate()


@contextlib.asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    """The address of `handler` on this event loop."""
    server, port = await listen(handler)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.close()


async def generator_cost() -> GeneratorCost:
    """Measured for about a second, straight at the null server and through the relay. Raises `BenchError`."""
    with stub_process() as address:
        async with (
            http_client(address) as straight,
            serving(Relay(straight, _TOKENS).handle) as relay_address,
            http_client(relay_address) as relayed,
        ):
            server = await inspect_server(straight)
            model = ModelTarget(straight, server.model, server.vocabulary, 512, _TOKENS, random.Random(0))
            await _measure(model, _STREAMS)  # the first connections and the first run of all code
            _, first_ms = await _measure(model, 1)
            token_us, _ = await _measure(model, _STREAMS)
            both_us, _ = await _measure(ChatTarget(relayed, server.model, ["How?"] * _STREAMS * _QUESTIONS), _STREAMS)
    return GeneratorCost(token_us, max(both_us - token_us, 0.0), first_ms)


async def _measure(target: Target, streams: int) -> tuple[float, float]:
    """Microseconds of processor time a token, and the median milliseconds to the first."""
    started = time.process_time()
    leg = await measure_leg(target, streams=streams, questions=_QUESTIONS)
    used = time.process_time() - started
    figures = figures_of([leg])
    if figures.errors or figures.first_token_ms.p50 is None:
        raise BenchError(f"the load generator failed against a server that computes nothing: {figures.errors}")
    return used * 1e6 / (figures.requests * _TOKENS), figures.first_token_ms.p50
