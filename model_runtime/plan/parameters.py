"""The weight matrices of a model, and how many parameters they hold. Knows nothing of GPUs, bytes or splits.

A layer is a list of `Matrix`; its routed experts are the matrices of one expert, times their number. The shapes are
those of transformers' modelling files, and a test compares every count with models built on torch's meta device.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from model_runtime.plan.shape import Experts, LatentAttention, ModelShape


class Cut(StrEnum):
    """How vLLM divides a matrix between tensor-parallel ranks."""

    ROWS = "rows"  # column-parallel layer: each rank has some of the outputs
    COLUMNS = "columns"  # row-parallel layer: each rank has some of the inputs
    KEY_VALUE_HEADS = "key_value_heads"  # by whole heads; repeated where there are fewer heads than ranks
    VOCABULARY = "vocabulary"  # rows, padded
    WHOLE = "whole"  # every rank has all of it


@dataclass(frozen=True)
class Matrix:
    """Weights of `rows` (outputs) x `columns` (inputs); a vector has one column.

    `linear`: it is what quantization schemes pack. `merged`: vLLM stores it fused with its neighbours.
    `wide`: kept in 32 bits.
    """

    name: str
    rows: int
    columns: int
    cut: Cut
    linear: bool = True
    merged: bool = False
    wide: bool = False

    @property
    def parameters(self) -> int:
        return self.rows * self.columns


@dataclass(frozen=True)
class Layer:
    """`own`: what every token uses. `expert`: the matrices of one routed expert (empty in a dense layer)."""

    own: tuple[Matrix, ...]
    expert: tuple[Matrix, ...]


@dataclass(frozen=True)
class Parameters:
    """Numbers of weights. Active: what one token passes through; both usual ways of counting, with the embedding
    table (Mistral's 12.9 B) and without it (DeepSeek's 37 B and 2.4 B), because a look-up multiplies nothing."""

    total: int
    active: int
    active_without_embedding: int
    embedding: int
    output_head: int
    routed_experts: int
    extra_prediction: int


def count_parameters(shape: ModelShape) -> Parameters:
    """Exact counts of the main model; the multi-token prediction module is counted apart (`extra_prediction`)."""
    layer_kinds = {has_experts: make_layer(shape, has_experts) for has_experts in set(shape.expert_layers)}
    own = sum(_parameters(layer_kinds[has_experts].own) for has_experts in shape.expert_layers)
    expert = sum(_parameters(layer_kinds[has_experts].expert) for has_experts in shape.expert_layers)
    embedding, head = embedding_table(shape), output_head(shape)
    head_parameters = head.parameters if head else 0
    everywhere = own + shape.hidden + embedding.parameters + head_parameters
    count, per_token = (shape.experts.count, shape.experts.per_token) if shape.experts else (0, 0)
    active = everywhere + expert * per_token
    # A tied table is the output head too, so every token multiplies with it.
    looked_up_only = 0 if shape.tied_embeddings else embedding.parameters
    return Parameters(
        total=everywhere + expert * count,
        active=active,
        active_without_embedding=active - looked_up_only,
        embedding=embedding.parameters,
        output_head=head_parameters,
        routed_experts=expert * count,
        extra_prediction=_extra_prediction(shape),
    )


def embedding_table(shape: ModelShape) -> Matrix:
    return Matrix("embed_tokens", shape.vocabulary, shape.hidden, Cut.VOCABULARY, linear=False)


def output_head(shape: ModelShape) -> Matrix | None:
    """None where the embedding table serves as the head."""
    if shape.tied_embeddings:
        return None
    return Matrix("lm_head", shape.vocabulary, shape.hidden, Cut.VOCABULARY, linear=False)


def make_layer(shape: ModelShape, has_experts: bool) -> Layer:
    attention = _latent_attention(shape, shape.latent) if shape.latent else _attention(shape)
    norms = (_vector("input_layernorm", shape.hidden), _vector("post_attention_layernorm", shape.hidden))
    if has_experts and shape.experts:
        mixture = (*_router(shape, shape.experts), *_mlp(shape.hidden, shape.experts.shared_width, "shared_experts."))
        return Layer((*norms, *attention, *mixture), _mlp(shape.hidden, shape.experts.width, "experts."))
    mlp = _mlp(shape.hidden, shape.mlp_width, "mlp.")
    biases = [_bias(matrix) for matrix in mlp] if shape.mlp_bias else []
    return Layer((*norms, *attention, *mlp, *biases), ())


def _attention(shape: ModelShape) -> tuple[Matrix, ...]:
    queries, keys = shape.heads * shape.head_size, shape.key_value_heads * shape.head_size
    inputs = [
        Matrix("q_proj", queries, shape.hidden, Cut.ROWS, merged=True),
        Matrix("k_proj", keys, shape.hidden, Cut.KEY_VALUE_HEADS, merged=True),
        Matrix("v_proj", keys, shape.hidden, Cut.KEY_VALUE_HEADS, merged=True),
    ]
    output = Matrix("o_proj", shape.hidden, queries, Cut.COLUMNS)
    biases = [_bias(matrix) for matrix in inputs] if shape.input_bias else []
    biases += [_bias(output)] if shape.output_bias else []
    norms = [_vector(f"{which}_norm", shape.head_size) for which in "qk"] if shape.query_key_norm else []
    return (*inputs, output, *biases, *norms)


def _latent_attention(shape: ModelShape, latent: LatentAttention) -> tuple[Matrix, ...]:
    queries = shape.heads * (latent.plain_size + latent.rope_size)
    compressed = Matrix("kv_a_proj_with_mqa", latent.kv_rank + latent.rope_size, shape.hidden, Cut.WHOLE)
    expanded = shape.heads * (latent.plain_size + latent.value_size)
    output = Matrix("o_proj", shape.hidden, shape.heads * latent.value_size, Cut.COLUMNS)
    matrices = [
        compressed,
        _vector("kv_a_layernorm", latent.kv_rank),
        Matrix("kv_b_proj", expanded, latent.kv_rank, Cut.ROWS),
        output,
    ]
    biased = [compressed, output]
    if latent.query_rank:
        down = Matrix("q_a_proj", latent.query_rank, shape.hidden, Cut.WHOLE, merged=True)
        matrices += [down, _vector("q_a_layernorm", latent.query_rank)]
        matrices += [Matrix("q_b_proj", queries, latent.query_rank, Cut.ROWS)]
        biased += [down]
    else:
        matrices += [Matrix("q_proj", queries, shape.hidden, Cut.ROWS)]
    return (*matrices, *(_bias(matrix) for matrix in biased if shape.output_bias))


def _router(shape: ModelShape, experts: Experts) -> tuple[Matrix, ...]:
    gate = Matrix("gate", experts.count, shape.hidden, Cut.WHOLE, linear=False)
    bias = Matrix("e_score_correction_bias", experts.count, 1, Cut.WHOLE, linear=False, wide=True)
    return (gate, bias) if experts.score_bias else (gate,)


def _mlp(hidden: int, width: int, prefix: str) -> tuple[Matrix, ...]:
    if not width:
        return ()
    return (
        Matrix(f"{prefix}gate_proj", width, hidden, Cut.ROWS, merged=True),
        Matrix(f"{prefix}up_proj", width, hidden, Cut.ROWS, merged=True),
        Matrix(f"{prefix}down_proj", hidden, width, Cut.COLUMNS),
    )


def _vector(name: str, length: int) -> Matrix:
    return Matrix(name, length, 1, Cut.WHOLE, linear=False)


def _bias(matrix: Matrix) -> Matrix:
    """The bias is cut like the outputs; that of a row-parallel layer is on every rank."""
    cut = Cut.WHOLE if matrix.cut is Cut.COLUMNS else matrix.cut
    return Matrix(f"{matrix.name}.bias", matrix.rows, 1, cut, linear=False)


def _parameters(matrices: tuple[Matrix, ...]) -> int:
    return sum(matrix.parameters for matrix in matrices)


def _extra_prediction(shape: ModelShape) -> int:
    """A prediction module: one more layer, a projection of two hidden states to one, and three norms
    (DeepSeek-V3, arXiv:2412.19437, section 2.2); its embedding and head are the main model's."""
    if not shape.extra_prediction_layers:
        return 0
    layer = make_layer(shape, shape.experts is not None)
    experts = shape.experts.count if shape.experts else 0
    one = _parameters(layer.own) + experts * _parameters(layer.expert) + 2 * shape.hidden**2 + 3 * shape.hidden
    return one * shape.extra_prediction_layers
