"""Achieved decode speed as a share of the planner's bound: how much of the GPU's memory bandwidth the server uses.

Owns the arithmetic and which GPU of the planner's table a machine has. On a CPU there is no bound: the table has none.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass

from model_runtime.bench.figures import Figures, ratio
from model_runtime.bench.sweep import Cell
from model_runtime.plan.gpus import GPUS, Gpu
from model_runtime.plan.memory import KvType, Split, stages_of
from model_runtime.plan.quantization import Quantization
from model_runtime.plan.shape import ModelShape
from model_runtime.plan.speed import DecodeBound, decode_bound

_MEMORY_TOLERANCE = 0.03
_SLOWER_MEMORY = ("pcie", "nvl")  # of the same name as the SXM form that the table has


@dataclass(frozen=True, slots=True)
class BoundShare:
    """Decode tokens a second of all streams together, and the planner's bound for that many streams of that length.

    `bandwidth_gb_s` is what one GPU's memory gives at least to reach that speed; None where arithmetic is the bound.
    """

    achieved_tokens_per_s: float
    bound_tokens_per_s: float
    share: float
    bandwidth_gb_s: float | None
    limited_by: str


@dataclass(frozen=True)
class ServedModel:
    """What is served on what: all that a bound depends on besides the load."""

    shape: ModelShape
    split: Split
    gpu: Gpu
    quantization: Quantization
    kv_type: KvType

    def bound(self, streams: int, context: int) -> DecodeBound:
        stages = stages_of(self.shape, self.split, self.quantization, self.kv_type)
        return decode_bound(self.shape, self.split, stages, self.gpu, self.quantization, batch=streams, context=context)


def decode_speed(streams: int, inter_token_ms: float | None) -> float | None:
    """Tokens a second while every stream writes, the prompts being read: one token each per inter-token time."""
    return ratio(streams * 1000.0, inter_token_ms)


def share_of_bound(figures: Figures, streams: int, bound: DecodeBound, gpu: Gpu) -> BoundShare | None:
    """None where no inter-token time was measured."""
    achieved = decode_speed(streams, figures.inter_token_ms.p50)
    if achieved is None:
        return None
    share = achieved / bound.tokens_per_second
    bandwidth = share * gpu.bandwidth_gb_s if bound.limited_by == "memory" else None
    return BoundShare(achieved, bound.tokens_per_second, share, bandwidth, bound.limited_by)


def shares(served: ServedModel, target: str) -> Callable[[Cell], BoundShare | None]:
    """For each cell the share of `target`. An answer half written is the length that counts on average."""

    def share(cell: Cell) -> BoundShare | None:
        figures = cell.figures[target]
        context = round(figures.prompt_tokens + figures.output_tokens / 2)
        return share_of_bound(figures, cell.streams, served.bound(cell.streams, context), served.gpu)

    return share


def gpu_named(name: str, memory_mib: float) -> Gpu | None:
    """The GPU of the table that the driver calls `name`, with so much memory; None when it has none like it."""
    words = re.sub(r"[^a-z0-9]+", " ", name.lower()).split()
    joined = {*words, *(first + second for first, second in itertools.pairwise(words))}
    if any(word in words for word in _SLOWER_MEMORY):
        return None
    for gpu in GPUS.values():
        is_near = abs(memory_mib / 1024 / gpu.memory_gib - 1) <= _MEMORY_TOLERANCE
        if gpu.name.partition("-")[0] in joined and is_near:
            return gpu
    return None
