"""Upper bounds on speed from the data sheet: what no software can exceed, whatever its kernels. A real server stays
below them: what travels between GPUs is not in them.

Decode: each step must read the weights it uses and the KV cache of its conversations once, and do the arithmetic.
Prefill: arithmetic alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from model_runtime.plan.gpus import Gpu
from model_runtime.plan.memory import Split, Stage
from model_runtime.plan.parameters import Parameters
from model_runtime.plan.quantization import Quantization
from model_runtime.plan.shape import ModelShape


@dataclass(frozen=True)
class DecodeBound:
    """At most `tokens_per_second` over all of `batch` conversations. `distinct_experts` is what a step's tokens touch
    in each layer, on average over evenly spread choices. `limited_by` is "memory" or "compute"."""

    batch: int
    tokens_per_second: float
    distinct_experts: float
    limited_by: str


def distinct_experts(experts: int, per_token: int, tokens: int) -> float:
    """Expected number of different experts that `tokens` tokens choose: E (1 - (1 - k/E)^B)."""
    return experts * (1 - (1 - per_token / experts) ** tokens)


def decode_bound(
    shape: ModelShape,
    split: Split,
    stages: Sequence[Stage],
    gpu: Gpu,
    quantization: Quantization,
    *,
    batch: int,
    context: int,
) -> DecodeBound:
    """The bound for `batch` conversations that are all `context` tokens long, spread evenly over the replicas."""
    replicas = min(batch, split.data)
    per_replica = -(-batch // replicas)
    waves = min(split.pipeline, per_replica)  # micro-batches under way in the pipeline at once
    sequences = -(-per_replica // waves)
    touched = 0.0
    if shape.experts:
        touched = distinct_experts(shape.experts.count, shape.experts.per_token, sequences * replicas)
    times = [
        _stage_time(shape, split, stage, gpu, quantization, sequences, replicas, touched, context) for stage in stages
    ]
    slowest = [max(memory, compute) for memory, compute in times]
    step = max(sum(slowest), waves * max(slowest))
    memory_bound = sum(memory for memory, _ in times) >= sum(compute for _, compute in times)
    return DecodeBound(batch, batch / step, touched, "memory" if memory_bound else "compute")


def prefill_bound(
    shape: ModelShape, parameters: Parameters, split: Split, gpu: Gpu, quantization: Quantization, context: int
) -> float:
    """Prompt tokens a second over all GPUs of the split, for prompts of `context` tokens (two operations a weight;
    the output head is needed for the last token only; a token sees half the prompt on average)."""
    body = parameters.active_without_embedding - (
        parameters.embedding if shape.tied_embeddings else parameters.output_head
    )
    attention = 2 * shape.layers * shape.heads * _prefill_sizes(shape) * context / 2
    seconds = 2 * body / weight_rate(gpu, quantization) + attention / (gpu.bf16_tflops * 1e12)
    return split.gpus / seconds


def weight_rate(gpu: Gpu, quantization: Quantization) -> float:
    """Operations a second of one GPU in the type that the weights are multiplied in. 4-bit weights, and fp8 on GPUs
    without it, are unpacked to bf16 first."""
    rate = {Quantization.FP8: gpu.fp8_tflops, Quantization.INT8: gpu.int8_tops}.get(quantization)
    return (rate or gpu.bf16_tflops) * 1e12


def _stage_time(
    shape: ModelShape,
    split: Split,
    stage: Stage,
    gpu: Gpu,
    quantization: Quantization,
    sequences: int,
    replicas: int,
    touched: float,
    context: int,
) -> tuple[float, float]:
    """Seconds for memory and for arithmetic on one rank of a stage, for `sequences` on each of `replicas`."""
    # Whole experts: even if all else is balanced, some rank reads at least one. Slices: every rank reads its slice.
    experts_read = max(1.0, touched / split.expert_ways) if split.experts_whole else touched
    read = stage.always_read + stage.expert_layers * experts_read * stage.one_expert
    read += sequences * context * stage.kv_bytes_per_token
    per_token = shape.experts.per_token if shape.experts else 0
    expert_work = stage.expert_layers * per_token * stage.one_expert_parameters * sequences * replicas
    weights = 2 * (sequences * stage.always_parameters + expert_work / split.expert_ways)
    attention = 2 * sequences * context * stage.layers * shape.heads / split.tensor * _decode_sizes(shape)
    seconds = weights / weight_rate(gpu, quantization) + attention / (gpu.bf16_tflops * 1e12)
    return read / (gpu.bandwidth_gb_s * 1e9), seconds


def _decode_sizes(shape: ModelShape) -> int:
    """Multiplications for one head and one cached token: scores, then values. MLA works on the compressed form."""
    if shape.latent:
        return 2 * shape.latent.kv_rank + shape.latent.rope_size
    return 2 * shape.head_size


def _prefill_sizes(shape: ModelShape) -> int:
    if shape.latent:
        return shape.latent.plain_size + shape.latent.rope_size + shape.latent.value_size
    return 2 * shape.head_size
