"""What a number of GPUs can serve of a model: every split that vLLM would start, what fits, and which to take.

`plan()` is the whole of it. Shapes come from `models`, sizes from `memory`, bounds from `speed`;
printing is the command's (`app/cli_runtime.py`) and `report`'s.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from model_runtime.plan.errors import ImpossiblePlan
from model_runtime.plan.gpus import GIB, GPUS, Gpu
from model_runtime.plan.memory import (
    BLOCK_TOKENS,
    KvType,
    Replication,
    Split,
    Stage,
    checkpoint_bytes,
    kv_bytes_per_token,
    refusal,
    replication,
    stages_of,
)
from model_runtime.plan.parameters import Parameters, count_parameters
from model_runtime.plan.quantization import FOUR_BIT, Quantization, describe
from model_runtime.plan.shape import ModelShape
from model_runtime.plan.speed import DecodeBound, decode_bound, prefill_bound

DEFAULT_CONTEXT = 32_768
MOST_GPUS = 128
# CUDA or ROCm context, captured graphs and communication buffers; measured values in vLLM's logs are 1 to 2 GiB.
_FIXED_RESERVE = int(1.5 * GIB)
# What a step costs beyond the bounds for each doubling of the ranks that must exchange results: a rule of thumb to
# choose between splits whose bounds are close; it is in no printed figure.
_EXCHANGE_FAST, _EXCHANGE_SLOW, _EXCHANGE_NODES = 0.90, 0.70, 0.50


@dataclass(frozen=True)
class PlanRequest:
    """What is to be planned. `context`: tokens of a conversation (`default_context`). `quantization`: of the weights
    (`checkpoint_quantization`). `max_sequences`, `max_batched_tokens`: vLLM's, for each replica. `reserve_gib` None:
    estimated, see `reserve_bytes`."""

    shape: ModelShape
    gpu: Gpu
    gpus: int
    context: int
    quantization: Quantization
    kv_type: KvType = KvType.BF16
    gpu_memory_utilization: float = 0.9
    max_sequences: int = 256
    max_batched_tokens: int = 8192
    reserve_gib: float | None = None
    gpus_per_node: int = 8


@dataclass(frozen=True)
class SplitPlan:
    """One split on its fullest rank. Sizes in bytes; KV tokens and conversations over all replicas.

    `kv_space` is what is left for the KV cache (negative when the weights alone do not fit). `fits`: each replica
    holds at least one conversation of the planned context.
    """

    split: Split
    weights_per_rank: tuple[int, ...]
    reserve: int
    kv_space: int
    kv_bytes_per_token_per_rank: int
    kv_tokens: int
    conversations: int
    fits: bool
    replication: Replication
    decode_one: DecodeBound | None
    decode_largest: DecodeBound | None
    prefill_tokens_per_second: float


@dataclass(frozen=True)
class FormatPlan:
    """The same GPUs with the weights in another format. `weights_per_rank`: bytes on the fullest rank, by split."""

    quantization: Quantization
    description: str
    checkpoint_bytes: int
    unsupported: str
    weights_per_rank: dict[str, int]
    refused: dict[str, str]
    fits: bool


@dataclass(frozen=True)
class Plan:
    """The answer. `splits` use all GPUs, `recommended` perhaps fewer; `would_fit` is for when nothing does."""

    shape: ModelShape
    parameters: Parameters
    gpu: Gpu
    gpus: int
    quantization: Quantization
    kv_type: KvType
    context: int
    checkpoint_bytes: int
    kv_bytes_per_token: int
    gpu_memory_utilization: float
    max_sequences: int
    max_batched_tokens: int
    splits: tuple[SplitPlan, ...]
    refused: dict[str, str]
    recommended: SplitPlan | None
    reason: str
    would_fit: tuple[str, ...]
    formats: tuple[FormatPlan, ...]


def default_context(shape: ModelShape) -> int:
    """Tokens: the model's own longest, at most 32,768."""
    return min(DEFAULT_CONTEXT, shape.longest_context)


def checkpoint_quantization(shape: ModelShape) -> Quantization:
    """How the checkpoint is stored. Raises `ImpossiblePlan` when its config does not say it clearly."""
    if not shape.checkpoint_quantization:
        raise ImpossiblePlan(
            f"{shape.name} is quantized in a way that its config does not tell; name it with --quantization"
            f" ({', '.join(Quantization)})"
        )
    return Quantization(shape.checkpoint_quantization)


def plan(request: PlanRequest) -> Plan:
    """Plans `request`. Raises `ImpossiblePlan` when its options contradict each other or the model."""
    _check(request)
    splits, refused = _plan_all(request, request.gpus)
    recommended = _recommend(request)
    return Plan(
        shape=request.shape,
        parameters=count_parameters(request.shape),
        gpu=request.gpu,
        gpus=request.gpus,
        quantization=request.quantization,
        kv_type=request.kv_type,
        context=request.context,
        checkpoint_bytes=checkpoint_bytes(request.shape, request.quantization),
        kv_bytes_per_token=kv_bytes_per_token(request.shape, request.kv_type),
        gpu_memory_utilization=request.gpu_memory_utilization,
        max_sequences=request.max_sequences,
        max_batched_tokens=request.max_batched_tokens,
        splits=tuple(splits),
        refused=refused,
        recommended=recommended,
        reason=_reason(request, recommended, splits),
        would_fit=() if recommended else tuple(_what_would_fit(request)),
        formats=tuple(_plan_format(request, quantization) for quantization in Quantization),
    )


def plan_split(request: PlanRequest, split: Split) -> SplitPlan:
    """One split of a request. The split must have no `refusal`."""
    shape, quantization, context = request.shape, request.quantization, request.context
    stages = stages_of(shape, split, quantization, request.kv_type)
    reserve = reserve_bytes(request, split)
    budget = int(request.gpu.memory_bytes * request.gpu_memory_utilization) - reserve
    kv_tokens = max(0, min(_kv_tokens(stage, budget) for stage in stages))
    per_replica = kv_tokens // context
    largest = min(request.max_sequences, per_replica) * split.data

    def bound(batch: int) -> DecodeBound | None:
        if not per_replica:
            return None
        return decode_bound(shape, split, stages, request.gpu, quantization, batch=batch, context=context)

    return SplitPlan(
        split=split,
        weights_per_rank=tuple(stage.weights for stage in stages),
        reserve=reserve,
        kv_space=min(budget - stage.weights for stage in stages),
        kv_bytes_per_token_per_rank=max(stage.kv_bytes_per_token for stage in stages),
        kv_tokens=kv_tokens * split.data,
        conversations=per_replica * split.data,
        fits=per_replica > 0,
        replication=replication(shape, split, quantization),
        decode_one=bound(1),
        decode_largest=bound(largest),
        prefill_tokens_per_second=prefill_bound(
            shape, count_parameters(shape), split, request.gpu, quantization, context
        ),
    )


def reserve_bytes(request: PlanRequest, split: Split) -> int:
    """What a rank needs besides weights and KV cache, in bytes: 1.5 GiB fixed, the activations of a full prefill step
    (residual streams, projections and MLP on this rank, the copies that fused experts work on), and the logits of a
    full decode batch in 32 bits, twice. An estimate: vLLM measures it when it starts."""
    if request.reserve_gib is not None:
        return int(request.reserve_gib * GIB)
    shape = request.shape
    per_token = 4 * shape.hidden + 3 * shape.mlp_width // split.tensor
    per_token += 3 * shape.heads * shape.head_size // split.tensor
    if shape.experts:
        slice_width = shape.experts.width // (1 if split.experts_whole else split.expert_ways)
        per_token += shape.experts.per_token * (shape.hidden + 3 * slice_width)
    logits = request.max_sequences * shape.vocabulary * 4 * 2
    return _FIXED_RESERVE + request.max_batched_tokens * per_token * 2 + logits


def splits_of(shape: ModelShape, gpus: int) -> Iterator[Split]:
    """Every way to use exactly `gpus` GPUs, with expert parallelism off and, for mixtures of experts, on."""
    for tensor in _divisors(gpus):
        for pipeline in _divisors(gpus // tensor):
            data = gpus // tensor // pipeline
            yield Split(tensor, pipeline, data, False)
            if shape.experts and tensor * data > 1:
                yield Split(tensor, pipeline, data, True)


def _plan_all(request: PlanRequest, gpus: int) -> tuple[list[SplitPlan], dict[str, str]]:
    planned: list[SplitPlan] = []
    refused: dict[str, str] = {}
    for split in splits_of(request.shape, gpus):
        why_not = refusal(request.shape, split, request.quantization)
        if why_not:
            refused[str(split)] = why_not
        else:
            planned.append(plan_split(request, split))
    return planned, refused


def _plan_format(request: PlanRequest, quantization: Quantization) -> FormatPlan:
    planned, refused = _plan_all(replace(request, quantization=quantization), request.gpus)
    why_not = unsupported(request.gpu, quantization)
    return FormatPlan(
        quantization=quantization,
        description=describe(quantization, request.shape),
        checkpoint_bytes=checkpoint_bytes(request.shape, quantization),
        unsupported=why_not,
        weights_per_rank={str(each.split): max(each.weights_per_rank) for each in planned},
        refused=refused,
        fits=not why_not and any(each.fits for each in planned),
    )


def _recommend(request: PlanRequest) -> SplitPlan | None:
    """The best split on at most the given GPUs; fewer only where more do not make it faster."""
    fitting = [split for gpus in range(1, request.gpus + 1) for split in _plan_all(request, gpus)[0] if split.fits]
    return max(fitting, key=lambda each: _merit(request, each), default=None)


def _merit(request: PlanRequest, planned: SplitPlan) -> tuple[float, float, int]:
    """Decode bound at the largest batch, less what exchanging results costs; then speed for one; then simplicity."""
    split = planned.split
    link = _EXCHANGE_FAST if request.gpu.fast_link else _EXCHANGE_SLOW
    factor = link ** math.log2(split.tensor) * _EXCHANGE_FAST ** math.log2(split.pipeline)
    if request.shape.experts:
        factor *= link ** math.log2(split.data)
        # Slices of experts over replicas gather every token on every GPU; whole experts get only their own tokens.
        factor *= link if split.data > 1 and not split.experts_whole else 1
    if split.tensor > request.gpus_per_node:
        factor *= _EXCHANGE_NODES
    rounded = float(f"{_speed(planned.decode_largest) * factor:.2g}")
    return rounded, _speed(planned.decode_one), -split.gpus


def _reason(request: PlanRequest, best: SplitPlan | None, splits: list[SplitPlan]) -> str:
    if best is None:
        return f"Nothing fits: {_largest_shortage(request, splits)}."
    words = [
        f"{best.split}: the highest decode bound at its largest batch ({_speed(best.decode_largest):,.0f} tokens/s for"
        f" {best.decode_largest.batch if best.decode_largest else 0:,} conversations), less a rule-of-thumb discount"
        " for what the GPUs exchange"
    ]
    quickest = max(splits, key=lambda each: _speed(each.decode_one), default=best)
    quick, own = _speed(quickest.decode_one), _speed(best.decode_one)
    if quick > 1.1 * own:
        words.append(
            f"for one conversation at a time {quickest.split} is quicker ({quick:,.0f} against {own:,.0f} tokens/s)"
        )
    if request.shape.latent and best.split.tensor < best.split.gpus:
        words.append("every tensor-parallel rank of MLA holds the same KV cache, every data-parallel one its own")
    if best.split.gpus < request.gpus:
        words.append(f"{request.gpus - best.split.gpus} of {request.gpus} GPUs stay free: no split of more does better")
    if not request.gpu.fast_link and best.split.tensor > 1:
        words.append("without NVLink the exchange goes over PCIe: expect to stay far below the bounds")
    return "; ".join(words) + "."


def _speed(bound: DecodeBound | None) -> float:
    return bound.tokens_per_second if bound else 0.0


def _largest_shortage(request: PlanRequest, splits: list[SplitPlan]) -> str:
    if not splits:
        return "vLLM would refuse every split of these GPUs"
    roomiest = max(splits, key=lambda each: each.kv_space)
    fullest = max(roomiest.weights_per_rank)
    usable = request.gpu.memory_bytes * request.gpu_memory_utilization
    if roomiest.kv_space <= 0:
        return (
            f"with {roomiest.split} the fullest GPU would hold {fullest / GIB:,.1f} GiB of weights and"
            f" {roomiest.reserve / GIB:.1f} GiB of reserve, and has {usable / GIB:,.1f} GiB"
        )
    tokens = max(each.kv_tokens // each.split.data for each in splits)
    return f"the weights fit, but the KV cache holds {tokens:,} tokens and one conversation needs {request.context:,}"


def _what_would_fit(request: PlanRequest) -> Iterator[str]:
    """Changes of one thing at a time after which something fits, nearest first."""
    planned, _ = _plan_all(request, request.gpus)
    shorter = max((each.kv_tokens // each.split.data for each in planned), default=0)
    if shorter >= 1024:
        yield f"a context of at most {shorter // 1024 * 1024:,} tokens (--context {shorter // 1024 * 1024})"
    if request.kv_type is KvType.BF16 and _fits(replace(request, kv_type=KvType.FP8)):
        yield "a KV cache in fp8 (--kv-cache-dtype fp8)"
    for quantization in Quantization:
        smaller = checkpoint_bytes(request.shape, quantization) < checkpoint_bytes(request.shape, request.quantization)
        worth_trying = (smaller or not planned) and not unsupported(request.gpu, quantization)
        if worth_trying and _fits(replace(request, quantization=quantization)):
            yield f"weights in {quantization} (--quantization {quantization})"
    more = next((count for count in _counts_above(request.gpus) if _fits(replace(request, gpus=count))), None)
    if more:
        yield f"{more} x {request.gpu.name} (--gpus {more})"
    for gpu in GPUS.values():
        other = replace(request, gpu=gpu)
        if gpu != request.gpu and not unsupported(gpu, request.quantization) and _fits(other):
            yield f"{request.gpus} x {gpu.name} (--gpu {gpu.name})"


def unsupported(gpu: Gpu, quantization: Quantization) -> str:
    """Why vLLM cannot run that format on that GPU; empty when it can."""
    if quantization is Quantization.INT8 and gpu.int8_tops is None:
        return f"vLLM has no int8 kernels for {gpu.name}; take fp8"
    if quantization in FOUR_BIT and not gpu.packed_4_bit:
        return f"vLLM does not support {quantization} on {gpu.name}; take fp8"
    return ""


def _fits(request: PlanRequest) -> bool:
    return any(split.fits for gpus in range(request.gpus, 0, -1) for split in _plan_all(request, gpus)[0])


def _counts_above(gpus: int) -> Iterator[int]:
    """Numbers of GPUs that people buy: doublings up to a node, then whole nodes, doubled."""
    yield from (count for count in (1, 2, 4, 8, 16, 32, 64) if count > gpus)


def _kv_tokens(stage: Stage, budget: int) -> int:
    """Whole blocks of KV cache beside the weights of `stage`, in tokens."""
    return (budget - stage.weights) // (stage.kv_bytes_per_token * BLOCK_TOKENS) * BLOCK_TOKENS


def _check(request: PlanRequest) -> None:
    why_not = unsupported(request.gpu, request.quantization)
    if why_not:
        raise ImpossiblePlan(why_not)
    longest = request.shape.longest_context
    if not 1 <= request.context <= longest:
        raise ImpossiblePlan(f"a context of {request.context:,} tokens: {request.shape.name} reads 1 to {longest:,}")
    if not 1 <= request.gpus <= MOST_GPUS:
        raise ImpossiblePlan(f"{request.gpus} GPUs: plans are made for 1 to {MOST_GPUS}")
    if not 0.1 <= request.gpu_memory_utilization <= 1:
        raise ImpossiblePlan("gpu_memory_utilization lies between 0.1 and 1")


def _divisors(number: int) -> list[int]:
    return [each for each in range(1, number + 1) if number % each == 0]
