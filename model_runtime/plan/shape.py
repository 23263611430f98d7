"""What a Hugging Face `config.json` says about a language model, in one form for all architectures.

Owns reading and checking the fields. Does not count anything (`parameters`) and reads no weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from model_runtime.plan.errors import BadConfig

_LATENT = frozenset({"deepseek_v2", "deepseek_v3", "kimi_k2"})
_QUERY_KEY_NORM = frozenset({"qwen3", "qwen3_moe"})
FAMILIES = ("llama", "mistral", "qwen2", "qwen3", "mixtral", "qwen3_moe", "deepseek_v2", "deepseek_v3", "kimi_k2")

# Far above any model there is; keeps a hostile file from making a plan that never ends.
_LARGEST = 10**8
_MOST_LAYERS = 2_000


@dataclass(frozen=True)
class LatentAttention:
    """Multi-head latent attention (DeepSeek-V2, arXiv:2405.04434): one compressed key and value for all heads."""

    kv_rank: int
    query_rank: int | None
    rope_size: int
    plain_size: int
    value_size: int


@dataclass(frozen=True)
class Experts:
    """The mixture of experts of a layer. `shared_width` is that of the experts every token passes, together."""

    count: int
    per_token: int
    width: int
    shared_width: int
    score_bias: bool


@dataclass(frozen=True)
class ModelShape:
    """A decoder-only model. `expert_layers[i]` says whether layer i has experts instead of one dense MLP."""

    name: str
    family: str
    vocabulary: int
    hidden: int
    layers: int
    heads: int
    key_value_heads: int
    head_size: int
    mlp_width: int
    longest_context: int
    tied_embeddings: bool
    input_bias: bool
    output_bias: bool
    mlp_bias: bool
    query_key_norm: bool
    latent: LatentAttention | None
    experts: Experts | None
    expert_layers: tuple[bool, ...]
    extra_prediction_layers: int
    checkpoint_quantization: str
    fp8_block: tuple[int, int] | None
    group_size: int


def read_shape(config: object, name: str) -> ModelShape:
    """`config`: the parsed JSON. Raises `BadConfig` naming the field that is missing, wrong or not understood."""
    if not isinstance(config, Mapping):
        raise BadConfig(f"{name}: a config.json holds one JSON object")
    fields = _Fields(config, name)
    family = fields.text("model_type")
    if family not in FAMILIES:
        raise BadConfig(f"{name}: models of type {family!r} are not counted; those that are: {', '.join(FAMILIES)}")
    layers = fields.count("num_hidden_layers", most=_MOST_LAYERS)
    hidden, heads = fields.count("hidden_size"), fields.count("num_attention_heads")
    key_value_heads = fields.count("num_key_value_heads", default=heads)
    if heads % key_value_heads:
        raise BadConfig(f"{name}: {heads} attention heads are not a multiple of {key_value_heads} key-value heads")
    if "head_dim" not in fields and hidden % heads:
        raise BadConfig(f"{name}: hidden_size {hidden} is not a multiple of {heads} heads, and there is no head_dim")
    experts = _experts(fields, family)
    quantization, block, group = _quantization(fields)
    bias = fields.flag("attention_bias", family == "qwen2") if family not in ("mistral", "mixtral") else False
    return ModelShape(
        name=name,
        family=family,
        vocabulary=fields.count("vocab_size"),
        hidden=hidden,
        layers=layers,
        heads=heads,
        key_value_heads=key_value_heads,
        head_size=fields.count("head_dim", default=max(1, hidden // heads)),
        mlp_width=fields.count("intermediate_size"),
        longest_context=fields.count("max_position_embeddings"),
        tied_embeddings=fields.flag("tie_word_embeddings", False),
        input_bias=bias or family == "qwen2",
        output_bias=bias and family != "qwen2",
        mlp_bias=family == "llama" and fields.flag("mlp_bias", False),
        query_key_norm=family in _QUERY_KEY_NORM,
        latent=_latent(fields) if family in _LATENT else None,
        experts=experts,
        expert_layers=_expert_layers(fields, family, layers) if experts else (False,) * layers,
        extra_prediction_layers=fields.count("num_nextn_predict_layers", default=0, least=0, most=8),
        checkpoint_quantization=quantization,
        fp8_block=block,
        group_size=group,
    )


class _Fields:
    """Typed access to a configuration; every complaint names the model and the field."""

    def __init__(self, config: Mapping[str, Any], name: str) -> None:
        self._config, self._name = config, name

    def __contains__(self, field: str) -> bool:
        return self._config.get(field) is not None

    def count(self, field: str, *, default: int | None = None, least: int = 1, most: int = _LARGEST) -> int:
        value = self._config.get(field)
        if value is None:
            value = default
        if value is None:
            raise BadConfig(f"{self._name}: config.json has no {field}")
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise BadConfig(f"{self._name}: {field} must be a whole number from {least} to {most}, not {value!r}")
        return value

    def flag(self, field: str, default: bool) -> bool:
        value = self._config.get(field)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise BadConfig(f"{self._name}: {field} must be true or false, not {value!r}")
        return value

    def text(self, field: str) -> str:
        value = self._config.get(field)
        if not isinstance(value, str) or not value:
            raise BadConfig(f"{self._name}: config.json has no {field}; is it that of a language model?")
        return value

    def counts(self, field: str) -> list[int]:
        value = self._config.get(field) or []
        if not isinstance(value, list) or not all(isinstance(each, int) for each in value):
            raise BadConfig(f"{self._name}: {field} must be a list of whole numbers")
        return value

    def section(self, field: str) -> _Fields:
        value = self._config.get(field) or {}
        if not isinstance(value, Mapping):
            raise BadConfig(f"{self._name}: {field} must be an object")
        return _Fields(value, f"{self._name}, {field}")


def _latent(fields: _Fields) -> LatentAttention:
    return LatentAttention(
        kv_rank=fields.count("kv_lora_rank"),
        query_rank=fields.count("q_lora_rank") if "q_lora_rank" in fields else None,
        rope_size=fields.count("qk_rope_head_dim"),
        plain_size=fields.count("qk_nope_head_dim"),
        value_size=fields.count("v_head_dim"),
    )


def _experts(fields: _Fields, family: str) -> Experts | None:
    if family == "mixtral":
        experts = Experts(
            count=fields.count("num_local_experts"),
            per_token=fields.count("num_experts_per_tok"),
            width=fields.count("intermediate_size"),
            shared_width=0,
            score_bias=False,
        )
    elif family == "qwen3_moe":
        experts = Experts(
            count=fields.count("num_experts"),
            per_token=fields.count("num_experts_per_tok"),
            width=fields.count("moe_intermediate_size"),
            shared_width=0,
            score_bias=False,
        )
    elif family in _LATENT and "n_routed_experts" in fields:
        width = fields.count("moe_intermediate_size")
        experts = Experts(
            count=fields.count("n_routed_experts"),
            per_token=fields.count("num_experts_per_tok"),
            width=width,
            shared_width=width * fields.count("n_shared_experts", default=0, least=0),
            score_bias=family != "deepseek_v2",
        )
    else:
        return None
    if experts.per_token > experts.count:
        raise BadConfig(f"a token cannot use {experts.per_token} of {experts.count} experts")
    return experts


def _expert_layers(fields: _Fields, family: str, layers: int) -> tuple[bool, ...]:
    if family == "qwen3_moe":
        dense, step = set(fields.counts("mlp_only_layers")), fields.count("decoder_sparse_step", default=1)
        return tuple(layer not in dense and (layer + 1) % step == 0 for layer in range(layers))
    if family in _LATENT:
        first = fields.count("first_k_dense_replace", default=0, least=0)
        frequency = fields.count("moe_layer_freq", default=1)
        return tuple(layer >= first and layer % frequency == 0 for layer in range(layers))
    return (True,) * layers


def _quantization(fields: _Fields) -> tuple[str, tuple[int, int] | None, int]:
    """How the checkpoint is stored, the block of its fp8 scales (None: one scale a matrix, which is also what vLLM
    makes of 16-bit weights), and the group of its 4-bit scales."""
    section = fields.section("quantization_config")
    block = section.counts("weight_block_size")
    if block and (len(block) != 2 or not all(1 <= side <= 4096 for side in block)):
        raise BadConfig("weight_block_size must be two whole numbers from 1 to 4096")
    group = section.count("group_size", default=128, most=4096)
    method = section.text("quant_method") if "quant_method" in section else "bf16"
    known = {"bf16": "bf16", "fp8": "fp8", "awq": "awq", "gptq": "gptq", "gptq_marlin": "gptq", "awq_marlin": "awq"}
    # compressed-tensors files say more than their method's name; the operator names what they are.
    return known.get(method, ""), (block[0], block[1]) if block else None, group
