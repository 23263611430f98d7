"""A dense Llama-shaped model made into a mixture of experts of Mixtral's shape whose outputs are the dense model's.

Owns the arithmetic and the names of Mixtral's tensors and configuration. Knows no file. Every expert begins as the
dense MLP (Komatsuzaki et al., "Sparse Upcycling: Training Mixture-of-Experts from Dense Checkpoints", 2023, section 2).
Mixtral's gates are normalised over the chosen experts, so that any choice sums to that MLP.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]
"""Rows are outputs, columns are inputs, as in `torch.nn.Linear`."""

_ROUTER_SCALE = 0.02
_ROUTER_SEED = 20241031
_MLP = {"gate": "w1", "up": "w3", "down": "w2"}


@dataclass(frozen=True)
class DenseShape:
    """What a Llama-shaped model is like. `heads` is a multiple of `kv_heads`."""

    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head_size: int
    vocabulary: int
    context: int
    rope_theta: float
    norm_epsilon: float


@dataclass(frozen=True)
class Experts:
    """`count` experts a layer, of which a token uses `top_k`."""

    count: int = 4
    top_k: int = 2

    def __post_init__(self) -> None:
        if not 1 <= self.top_k <= self.count:
            raise ValueError(f"a token cannot use {self.top_k} of {self.count} experts")


@dataclass(frozen=True)
class DenseLayer:
    """One layer: norms of (hidden,), and matrices. `query`, `key`, `value` have heads x head size rows."""

    attention_norm: Matrix
    mlp_norm: Matrix
    query: Matrix
    key: Matrix
    value: Matrix
    output: Matrix
    gate: Matrix
    up: Matrix
    down: Matrix


def padded(shape: DenseShape, kv_heads: int) -> DenseShape:
    """The shape with `kv_heads` key-value heads; each keeps its number of query heads. Raises `ValueError` if fewer."""
    if kv_heads < shape.kv_heads:
        raise ValueError(f"{shape.kv_heads} key-value heads cannot be padded to {kv_heads}")
    heads = shape.heads // shape.kv_heads * kv_heads
    return DenseShape(**{**vars(shape), "heads": heads, "kv_heads": kv_heads})


def sparse_layer(
    layer: DenseLayer, number: int, wide: DenseShape, experts: Experts
) -> Iterator[tuple[list[str], Matrix]]:
    """Mixtral's tensors of layer `number`, each with the names that share it. `wide`: the shape with added heads.

    The added heads stand last, a whole group at a time, so that every query head keeps its key-value head. They are
    zero: equal attention to values of zero, which columns of zero then read.
    """
    prefix = f"model.layers.{number}"
    yield [f"{prefix}.input_layernorm.weight"], layer.attention_norm
    yield [f"{prefix}.self_attn.q_proj.weight"], _rows(layer.query, wide.heads * wide.head_size)
    yield [f"{prefix}.self_attn.k_proj.weight"], _rows(layer.key, wide.kv_heads * wide.head_size)
    yield [f"{prefix}.self_attn.v_proj.weight"], _rows(layer.value, wide.kv_heads * wide.head_size)
    yield [f"{prefix}.self_attn.o_proj.weight"], _rows(layer.output.T, wide.heads * wide.head_size).T
    yield [f"{prefix}.post_attention_layernorm.weight"], layer.mlp_norm
    # Any router gives the same outputs as long as the experts are equal; this one spreads the tokens over all of them.
    router = np.random.default_rng((_ROUTER_SEED, number)).standard_normal((experts.count, wide.hidden), np.float32)
    mixture = f"{prefix}.block_sparse_moe"
    yield [f"{mixture}.gate.weight"], router * np.float32(_ROUTER_SCALE)
    for dense, name in _MLP.items():
        matrix: Matrix = getattr(layer, dense)
        yield [f"{mixture}.experts.{expert}.{name}.weight" for expert in range(experts.count)], matrix


def mixtral_config(wide: DenseShape, experts: Experts, tokens: Mapping[str, int]) -> dict[str, Any]:
    """The content of config.json; the embedding is also the head. `tokens`: bos, eos and pad, each `..._token_id`."""
    return {
        "architectures": ["MixtralForCausalLM"],
        "model_type": "mixtral",
        "attention_dropout": 0.0,
        **tokens,
        "head_dim": wide.head_size,
        "hidden_act": "silu",
        "hidden_size": wide.hidden,
        "initializer_range": 0.02,
        "intermediate_size": wide.intermediate,
        "max_position_embeddings": wide.context,
        "num_attention_heads": wide.heads,
        "num_experts_per_tok": experts.top_k,
        "num_hidden_layers": wide.layers,
        "num_key_value_heads": wide.kv_heads,
        "num_local_experts": experts.count,
        "output_router_logits": False,
        "rms_norm_eps": wide.norm_epsilon,
        "rope_theta": wide.rope_theta,
        "router_aux_loss_coef": 0.001,
        "router_jitter_noise": 0.0,
        "sliding_window": None,
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
        "use_cache": True,
        "vocab_size": wide.vocabulary,
    }


def _rows(matrix: Matrix, count: int) -> Matrix:
    """The matrix with rows of zero below, up to `count` rows."""
    return np.concatenate([matrix, np.zeros((count - len(matrix), matrix.shape[1]), np.float32)])
