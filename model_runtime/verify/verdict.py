"""What `runtime verify` finds: for each small model what is right, and for each server whether it agrees.

Owns what agreement is made of. Starts and asks nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from model_runtime.server.settings import Device
from model_runtime.verify.choices import Architecture, Precision
from model_runtime.verify.comparison import Comparison, LogProbabilities, Probes
from model_runtime.verify.server import Ranks

_LARGEST_BLOCK = 256  # tokens of vLLM's largest KV cache block; what does not fill one is left over


@dataclass(frozen=True)
class Reference:
    """What is right for one small model, and what the comparison makes of wrong copies of it, by name. `clear_share`:
    of how many positions the first token is more than a nat above the second."""

    architecture: Architecture
    probes: Probes
    answers: LogProbabilities
    median_margin: float
    clear_share: float
    mutants: Mapping[str, Comparison]


@dataclass(frozen=True)
class KvCheck:
    """The plan against the log of the server: bytes of a token on one rank, tokens in the cache. `logged`: None when
    the server says nothing about it."""

    bytes_per_token: int
    cache_bytes: int
    logged: int | None

    @property
    def agrees(self) -> bool:
        left = self.cache_bytes - (self.logged or 0) * self.bytes_per_token
        return self.logged is None or 0 <= left < _LARGEST_BLOCK * self.bytes_per_token


@dataclass(frozen=True)
class RunVerdict:
    """One server. `with_first`: compared with the first server of the same model; None for that one itself."""

    ranks: Ranks
    with_reference: Comparison
    with_first: Comparison | None
    kv_cache: KvCheck
    ready_after_s: float

    @property
    def agrees(self) -> bool:
        return all(check.agrees for check in (self.with_reference, self.with_first, self.kv_cache) if check)


@dataclass(frozen=True)
class ModelVerdict:
    reference: Reference
    runs: tuple[RunVerdict, ...]

    @property
    def agrees(self) -> bool:
        rejected = all(not comparison.agrees for comparison in self.reference.mutants.values())
        return rejected and all(run.agrees for run in self.runs)


@dataclass(frozen=True)
class Verdict:
    device: Device
    precision: Precision
    mutant: str
    models: tuple[ModelVerdict, ...]

    @property
    def agrees(self) -> bool:
        return all(model.agrees for model in self.models)
