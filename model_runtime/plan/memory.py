"""What lies in the memory of each GPU under a split: weights and KV cache, byte by byte. Knows nothing of speed.

The rules are vLLM's: attention and MLP are cut by tensor-parallel ranks, whole layers by pipeline stages (the
remainder goes to the stages before the last), routed experts over tensor x data ranks (whole experts under expert
parallelism, slices of all otherwise); everything else is repeated on each data-parallel replica.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from model_runtime.plan.parameters import Cut, Layer, Matrix, embedding_table, make_layer, output_head
from model_runtime.plan.quantization import Quantization, matrix_bytes, misfit
from model_runtime.plan.shape import ModelShape

VOCABULARY_MULTIPLE = 64  # vLLM pads embedding and head to this
BLOCK_TOKENS = 16  # vLLM's KV cache block


class KvType(StrEnum):
    BF16 = "bf16"
    FP8 = "fp8"


@dataclass(frozen=True)
class Split:
    """Tensor x pipeline x data parallel sizes; `experts_whole` is vLLM's --enable-expert-parallel."""

    tensor: int
    pipeline: int
    data: int
    experts_whole: bool

    @property
    def gpus(self) -> int:
        return self.tensor * self.pipeline * self.data

    @property
    def expert_ways(self) -> int:
        return self.tensor * self.data

    @property
    def vllm_options(self) -> str:
        """The same for `vllm serve`."""
        sizes = (("tensor", self.tensor), ("pipeline", self.pipeline), ("data", self.data))
        options = [f"--{name}-parallel-size {size}" for name, size in sizes if size > 1]
        return " ".join([*options, "--enable-expert-parallel"] if self.experts_whole else options)

    def __str__(self) -> str:
        sizes = (("TP", self.tensor), ("PP", self.pipeline), ("DP", self.data))
        words = [f"{name}{size}" for name, size in sizes if size > 1] or ["TP1"]
        return " ".join([*words, f"EP{self.expert_ways}"] if self.experts_whole else words)


def split_named(name: str) -> Split:
    """The split that `str` gives this name: "TP8 EP8", "TP4 PP2". Raises `ValueError` for another name."""
    sizes = {word[:2]: int(word[2:]) for word in name.upper().split() if word[2:].isdecimal()}
    split = Split(sizes.get("TP", 1), sizes.get("PP", 1), sizes.get("DP", 1), experts_whole="EP" in sizes)
    if min(sizes.values(), default=0) < 1 or sorted(str(split).split()) != sorted(name.upper().split()):
        raise ValueError(f"{name!r} is no split")
    return split


@dataclass(frozen=True)
class Stage:
    """One pipeline stage on its fullest rank; sizes in bytes.

    `always_read`: weights that every step reads. `experts`: all routed experts here. `one_expert`: one expert of one
    layer as this rank holds it. `latent_copies`: 16-bit copies of kv_b_proj that vLLM makes of a packed one.
    `*_parameters`: what one token multiplies with on this rank, for the compute bound.
    """

    layers: int
    expert_layers: int
    embedding: int
    always_read: int
    experts: int
    one_expert: int
    latent_copies: int
    kv_bytes_per_token: int
    always_parameters: float
    one_expert_parameters: int

    @property
    def weights(self) -> int:
        return self.embedding + self.always_read + self.experts + self.latent_copies


@dataclass(frozen=True)
class Replication:
    """Bytes that the GPUs hold together beyond one copy of the checkpoint, by reason."""

    tensor_ranks: int  # what cannot be cut: norms, routers, few KV heads, compressed projections, shared scales
    vocabulary_padding: int
    data_replicas: int  # everything but the routed experts, once more for each further replica
    tied_embedding: int  # the table on the last stage too, where it serves as the head
    latent_copies: int

    @property
    def total(self) -> int:
        extra = self.tensor_ranks + self.vocabulary_padding + self.data_replicas
        return extra + self.tied_embedding + self.latent_copies


def refusal(shape: ModelShape, split: Split, quantization: Quantization) -> str:
    """Why vLLM would not start this split, or why it makes no sense; empty when it would."""
    tensor = split.tensor
    if shape.heads % tensor:
        return f"{shape.heads} attention heads are not divisible by TP {tensor}"
    if shape.latent is None and shape.key_value_heads % tensor and tensor % shape.key_value_heads:
        return f"{shape.key_value_heads} key-value heads and TP {tensor} do not divide each other"
    if _padded(shape.vocabulary) % tensor:
        return f"the padded vocabulary of {_padded(shape.vocabulary)} is not divisible by TP {tensor}"
    if split.pipeline > shape.layers:
        return f"{shape.layers} layers cannot fill PP {split.pipeline}"
    if split.experts_whole and (shape.experts is None or shape.experts.count % split.expert_ways):
        return f"{shape.experts.count if shape.experts else 0} experts are not divisible by EP {split.expert_ways}"
    for has_experts in set(shape.expert_layers):
        layer = _layer(shape, has_experts)
        expert_ways = 1 if split.experts_whole else split.expert_ways
        for matrices, ways in ((layer.own, tensor), (layer.expert, expert_ways)):
            for matrix in matrices:
                if _cut_length(matrix) % ways and matrix.cut in (Cut.ROWS, Cut.COLUMNS):
                    return f"{matrix.name}: {_cut_length(matrix)} is not divisible by {ways} ranks"
                reason = misfit(matrix, *_part(matrix, ways, shape), ways, quantization, shape)
                if reason:
                    return reason
    return ""


def stages_of(shape: ModelShape, split: Split, quantization: Quantization, kv: KvType) -> list[Stage]:
    """The pipeline stages of `split`, first to last. The split must have no `refusal`."""
    stages, first = [], 0
    for index, size in enumerate(layers_per_stage(shape.layers, split.pipeline)):
        expert_layers = sum(shape.expert_layers[first : first + size])
        stages.append(_stage(shape, split, quantization, kv, index, size, expert_layers))
        first += size
    return stages


def layers_per_stage(layers: int, stages: int) -> list[int]:
    """vLLM's division: the remainder goes to the stages before the last, one each."""
    each, remainder = divmod(layers, stages)
    sizes = [each] * stages
    for place in range(2, remainder + 2):
        sizes[-place] += 1
    return sizes


def checkpoint_bytes(shape: ModelShape, quantization: Quantization) -> int:
    """One copy of all weights, uncut, scales included: about the size of the checkpoint's files."""
    tables = [matrix for matrix in (embedding_table(shape), output_head(shape), _final_norm(shape)) if matrix]
    total = sum(_bytes_at(matrix, 1, quantization, shape) for matrix in tables)
    for has_experts in shape.expert_layers:
        own, expert = _layer_bytes(shape, has_experts, 1, 1, quantization)
        total += own + expert * (shape.experts.count if has_experts and shape.experts else 0)
    return total - _padding(shape) * (1 if shape.tied_embeddings else 2)


def replication(shape: ModelShape, split: Split, quantization: Quantization) -> Replication:
    """What is held more than once under `split`, from the matrices one by one."""
    tensor, data = split.tensor, split.data
    tied_copies = 1 if shape.tied_embeddings and split.pipeline > 1 else 0
    one_table = _bytes_at(embedding_table(shape), 1, quantization, shape)
    tables = one_table * (1 if shape.tied_embeddings else 2)
    repeated = _repeated(_final_norm(shape), tensor, quantization, shape)
    own_once = _bytes_at(_final_norm(shape), 1, quantization, shape)
    expert_repeats = 0
    for has_experts in shape.expert_layers:
        layer = _layer(shape, has_experts)
        own_once += sum(_bytes_at(matrix, 1, quantization, shape) for matrix in layer.own)
        repeated += sum(_repeated(matrix, tensor, quantization, shape) for matrix in layer.own)
        if has_experts and shape.experts and not split.experts_whole:
            each = sum(_repeated(matrix, split.expert_ways, quantization, shape) for matrix in layer.expert)
            expert_repeats += each * shape.experts.count
    return Replication(
        tensor_ranks=repeated + expert_repeats,
        vocabulary_padding=_padding(shape) * (1 if shape.tied_embeddings else 2),
        data_replicas=(data - 1) * (own_once + repeated + tables),
        tied_embedding=tied_copies * one_table * data,
        latent_copies=_latent_copy(shape, 1, quantization) * shape.layers * data,
    )


def kv_bytes_per_token(shape: ModelShape, kv: KvType, tensor: int = 1) -> int:
    """KV cache of one token over all layers, on one tensor-parallel rank. MLA keeps the compressed key-value and the
    rope key once for all heads, so every rank has all of it; otherwise keys and values of the rank's heads."""
    return _layer_kv(shape, kv, tensor) * shape.layers


def _layer_kv(shape: ModelShape, kv: KvType, tensor: int) -> int:
    size = 1 if kv is KvType.FP8 else 2
    if shape.latent:
        return (shape.latent.kv_rank + shape.latent.rope_size) * size
    return 2 * max(1, shape.key_value_heads // tensor) * shape.head_size * size


def _stage(
    shape: ModelShape, split: Split, quantization: Quantization, kv: KvType, index: int, size: int, expert_layers: int
) -> Stage:
    tensor, expert_ways = split.tensor, 1 if split.experts_whole else split.expert_ways
    is_last = index == split.pipeline - 1
    table = _bytes_at(embedding_table(shape), tensor, quantization, shape)
    dense_own, _ = _layer_bytes(shape, False, tensor, 1, quantization)
    own, expert = _layer_bytes(shape, True, tensor, expert_ways, quantization) if expert_layers else (0, 0)
    experts_here = (shape.experts.count // (split.expert_ways if split.experts_whole else 1)) if shape.experts else 0
    always_read = dense_own * (size - expert_layers) + own * expert_layers
    multiplied = _layer_parameters(shape, False) * (size - expert_layers)
    multiplied += _layer_parameters(shape, True) * expert_layers if expert_layers else 0
    if is_last:
        always_read += table + _bytes_at(_final_norm(shape), tensor, quantization, shape)
        multiplied += shape.vocabulary * shape.hidden
    # A tied table on a single stage is one matrix: it is counted as the head, which every step reads.
    has_own_table = index == 0 and not (shape.tied_embeddings and is_last)
    return Stage(
        layers=size,
        expert_layers=expert_layers,
        embedding=table if has_own_table else 0,
        always_read=always_read,
        experts=expert * experts_here * expert_layers,
        one_expert=expert,
        latent_copies=_latent_copy(shape, tensor, quantization) * size,
        kv_bytes_per_token=_layer_kv(shape, kv, tensor) * size,
        always_parameters=multiplied / tensor,
        one_expert_parameters=sum(matrix.parameters for matrix in _layer(shape, True).expert) if shape.experts else 0,
    )


@lru_cache(maxsize=256)
def _layer(shape: ModelShape, has_experts: bool) -> Layer:
    return make_layer(shape, has_experts)


@lru_cache(maxsize=4096)
def _layer_bytes(
    shape: ModelShape, has_experts: bool, tensor: int, expert_ways: int, quantization: Quantization
) -> tuple[int, int]:
    """Bytes on one rank of a layer's own weights, and of one of its experts."""
    layer = _layer(shape, has_experts)
    own = sum(_bytes_at(matrix, tensor, quantization, shape) for matrix in layer.own)
    return own, sum(_bytes_at(matrix, expert_ways, quantization, shape) for matrix in layer.expert)


@lru_cache(maxsize=256)
def _layer_parameters(shape: ModelShape, has_experts: bool) -> int:
    return sum(matrix.parameters for matrix in _layer(shape, has_experts).own)


def _part(matrix: Matrix, ways: int, shape: ModelShape) -> tuple[int, int]:
    """Rows and columns of `matrix` on one of `ways` ranks."""
    if matrix.cut is Cut.ROWS:
        return matrix.rows // ways, matrix.columns
    if matrix.cut is Cut.COLUMNS:
        return matrix.rows, matrix.columns // ways
    if matrix.cut is Cut.KEY_VALUE_HEADS:
        return matrix.rows // min(ways, shape.key_value_heads), matrix.columns
    if matrix.cut is Cut.VOCABULARY:
        return _padded(matrix.rows) // ways, matrix.columns
    return matrix.rows, matrix.columns


def _bytes_at(matrix: Matrix, ways: int, quantization: Quantization, shape: ModelShape) -> int:
    return matrix_bytes(matrix, *_part(matrix, ways, shape), quantization, shape)


def _repeated(matrix: Matrix, ways: int, quantization: Quantization, shape: ModelShape) -> int:
    """Bytes that `ways` ranks hold together beyond one copy: whole matrices, shared KV heads, scales of cut inputs."""
    once = _bytes_at(matrix, 1, quantization, shape)
    if matrix.cut is Cut.WHOLE:
        return once * (ways - 1)
    if matrix.cut is Cut.KEY_VALUE_HEADS and ways > shape.key_value_heads:
        heads = shape.key_value_heads
        copies = (ways - heads) * _bytes_at(matrix, heads, quantization, shape)
        return copies + _repeated_scales(matrix, heads, quantization, shape)
    return _repeated_scales(matrix, ways, quantization, shape)


def _repeated_scales(matrix: Matrix, ways: int, quantization: Quantization, shape: ModelShape) -> int:
    """Scales that ranks share, and blocks cut in two: what the parts have together more than the whole."""
    return ways * _bytes_at(matrix, ways, quantization, shape) - _bytes_at(matrix, 1, quantization, shape)


def _latent_copy(shape: ModelShape, tensor: int, quantization: Quantization) -> int:
    """The 16-bit kv_b_proj of one layer that vLLM's MLA multiplies with; unpacked weights are used in place."""
    if shape.latent is None or quantization is Quantization.BF16:
        return 0
    latent = shape.latent
    return 2 * latent.kv_rank * (shape.heads // tensor) * (latent.plain_size + latent.value_size)


def _final_norm(shape: ModelShape) -> Matrix:
    return Matrix("norm", shape.hidden, 1, Cut.WHOLE, linear=False)


def _padding(shape: ModelShape) -> int:
    return 2 * (_padded(shape.vocabulary) - shape.vocabulary) * shape.hidden


def _padded(vocabulary: int) -> int:
    return -(-vocabulary // VOCABULARY_MULTIPLE) * VOCABULARY_MULTIPLE


def _cut_length(matrix: Matrix) -> int:
    return matrix.columns if matrix.cut is Cut.COLUMNS else matrix.rows
