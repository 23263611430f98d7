"""Small random models of the real mixture-of-experts architectures, written as ordinary Hugging Face folders.

Owns their configurations and weights, under the names that published checkpoints use. They are made so that a
comparison can see: every stage adds about as much to the residual stream as it finds there, routers spread their
scores, norms and the score bias are random, and the head is scaled for log-probabilities whose first and second token
are nats apart. Knows neither vLLM nor transformers, and needs no torch.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit

from model_runtime.verify.choices import Architecture

Tensors = Mapping[str, NDArray[np.float32]]

CONTEXT = 256
"""Tokens a model reads. A multiple of every block size of vLLM, so that its count of KV tokens is exact."""

VOCABULARY = 512

_HIDDEN = 256
_HEADS = 4
_SEED = 20_26
_HEAD_SPREAD = 8.0  # standard deviation of the logits, in nats: the first is then 2 above the second
_SCORE_BIAS = 0.15  # about the distance between neighbouring scores, so that it decides without ruling


@dataclass(frozen=True)
class SmallModel:
    """A configuration and weights; every value is one that bfloat16 holds, so that both precisions mean the same."""

    config: Mapping[str, Any]
    tensors: Tensors


def make_model(architecture: Architecture, seed: int = _SEED) -> SmallModel:
    """The same model for the same seed, on every machine with the same numpy."""
    makers = {
        Architecture.DEEPSEEK_V3: _deepseek_v3,
        Architecture.MIXTRAL: _mixtral,
        Architecture.QWEN3_MOE: _qwen3_moe,
    }
    return makers[architecture](_Maker(np.random.default_rng(seed)))


def write_model(model: SmallModel, folder: Path) -> None:
    """A new `folder` with config.json, model.safetensors and a tokenizer of as many words as there are tokens."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(dict(model.config), indent=2) + "\n", encoding="utf-8")
    save_file(dict(model.tensors), folder / "model.safetensors", metadata={"format": "pt"})
    tokenizer = Tokenizer(WordLevel({f"w{token}": token for token in range(VOCABULARY)}, unk_token="w0"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    tokenizer.save(str(folder / "tokenizer.json"))
    named = {"tokenizer_class": "PreTrainedTokenizerFast", "unk_token": "w0", "eos_token": "w1"}
    (folder / "tokenizer_config.json").write_text(json.dumps(named) + "\n", encoding="utf-8")


class _Maker:
    """Draws weights and keeps them by name."""

    def __init__(self, random: np.random.Generator) -> None:
        self._random = random
        self.tensors: dict[str, NDArray[np.float32]] = {}

    def linear(self, name: str, outputs: int, inputs: int, gain: float = 1.0) -> None:
        """Inputs of spread 1 come out with spread `gain`."""
        self._keep(f"{name}.weight", self._random.standard_normal((outputs, inputs)) * (gain / math.sqrt(inputs)))

    def norm(self, name: str, size: int) -> None:
        self._keep(f"{name}.weight", 1 + 0.2 * self._random.standard_normal(size))

    def bias(self, name: str, size: int, spread: float) -> None:
        self._keep(name, self._random.standard_normal(size) * spread)

    def mlp(
        self, name: str, width: int, gain: float, names: tuple[str, str, str] = ("gate_proj", "up_proj", "down_proj")
    ) -> None:
        # A gate through SiLU times an unrelated value has spread 0.6; the last matrix brings it back.
        gate, up, down = names
        self.linear(f"{name}.{gate}", width, _HIDDEN)
        self.linear(f"{name}.{up}", width, _HIDDEN)
        self.linear(f"{name}.{down}", _HIDDEN, width, gain / 0.6)

    def ends(self) -> None:
        self._keep("model.embed_tokens.weight", self._random.standard_normal((VOCABULARY, _HIDDEN)))
        self.norm("model.norm", _HIDDEN)
        self.linear("lm_head", VOCABULARY, _HIDDEN, _HEAD_SPREAD)

    def grouped_attention(self, layer: str, key_value_heads: int, head_size: int, head_norms: bool) -> None:
        self.linear(f"{layer}.self_attn.q_proj", _HEADS * head_size, _HIDDEN, 1.5)
        self.linear(f"{layer}.self_attn.k_proj", key_value_heads * head_size, _HIDDEN)
        self.linear(f"{layer}.self_attn.v_proj", key_value_heads * head_size, _HIDDEN)
        self.linear(f"{layer}.self_attn.o_proj", _HIDDEN, _HEADS * head_size, 1.5)
        if head_norms:
            self.norm(f"{layer}.self_attn.q_norm", head_size)
            self.norm(f"{layer}.self_attn.k_norm", head_size)

    def layer_norms(self, layer: str) -> None:
        self.norm(f"{layer}.input_layernorm", _HIDDEN)
        self.norm(f"{layer}.post_attention_layernorm", _HIDDEN)

    def _keep(self, name: str, values: NDArray[np.float64]) -> None:
        self.tensors[name] = _as_bfloat16(values.astype(np.float32))


def _deepseek_v3(maker: _Maker) -> SmallModel:
    """The ranks and rope size of the real model: vLLM's CPU kernel knows no others. arXiv:2412.19437, section 2.1."""
    config = {
        **_common("DeepseekV3ForCausalLM", "deepseek_v3", layers=3),
        "num_key_value_heads": _HEADS,
        "kv_lora_rank": 512,
        "q_lora_rank": 192,
        "qk_rope_head_dim": 64,
        "qk_nope_head_dim": 128,
        "v_head_dim": 128,
        "first_k_dense_replace": 1,
        "moe_layer_freq": 1,
        "moe_intermediate_size": 128,
        "n_routed_experts": 16,
        "num_experts_per_tok": 4,
        "n_group": 4,
        "topk_group": 2,
        "n_shared_experts": 1,
        "norm_topk_prob": True,
        "routed_scaling_factor": 1.5,
        "scoring_func": "sigmoid",
        "topk_method": "noaux_tc",
        "num_nextn_predict_layers": 0,
        "rope_interleave": True,
        "rope_scaling": {
            "type": "yarn",
            "factor": 4.0,
            "original_max_position_embeddings": CONTEXT // 4,
            "beta_fast": 32,
            "beta_slow": 1,
            "mscale": 1.0,
            "mscale_all_dim": 1.0,
        },
    }
    for number in range(config["num_hidden_layers"]):
        layer = f"model.layers.{number}"
        maker.layer_norms(layer)
        _latent_attention(maker, f"{layer}.self_attn", config)
        if number < config["first_k_dense_replace"]:
            maker.mlp(f"{layer}.mlp", config["intermediate_size"], 1.0)
            continue
        maker.linear(f"{layer}.mlp.gate", config["n_routed_experts"], _HIDDEN, 1.5)
        maker.bias(f"{layer}.mlp.gate.e_score_correction_bias", config["n_routed_experts"], _SCORE_BIAS)
        for expert in range(config["n_routed_experts"]):
            maker.mlp(f"{layer}.mlp.experts.{expert}", config["moe_intermediate_size"], 2.0)
        maker.mlp(f"{layer}.mlp.shared_experts", config["moe_intermediate_size"], 1.0)
    maker.ends()
    return SmallModel(config, maker.tensors)


def _latent_attention(maker: _Maker, name: str, config: Mapping[str, Any]) -> None:
    query_rank, rank, rope = config["q_lora_rank"], config["kv_lora_rank"], config["qk_rope_head_dim"]
    plain, value = config["qk_nope_head_dim"], config["v_head_dim"]
    maker.linear(f"{name}.q_a_proj", query_rank, _HIDDEN)
    maker.norm(f"{name}.q_a_layernorm", query_rank)
    maker.linear(f"{name}.q_b_proj", _HEADS * (plain + rope), query_rank, 1.5)
    maker.linear(f"{name}.kv_a_proj_with_mqa", rank + rope, _HIDDEN)
    maker.norm(f"{name}.kv_a_layernorm", rank)
    maker.linear(f"{name}.kv_b_proj", _HEADS * (plain + value), rank)
    maker.linear(f"{name}.o_proj", _HIDDEN, _HEADS * value, 1.5)


def _mixtral(maker: _Maker) -> SmallModel:
    """Two key-value heads: tensor parallel 2 cuts them."""
    config = {
        **_common("MixtralForCausalLM", "mixtral", layers=2),
        "num_key_value_heads": 2,
        "head_dim": 64,
        "intermediate_size": 128,
        "num_local_experts": 8,
        "num_experts_per_tok": 2,
        "sliding_window": None,
    }
    for number in range(config["num_hidden_layers"]):
        layer = f"model.layers.{number}"
        maker.layer_norms(layer)
        maker.grouped_attention(layer, config["num_key_value_heads"], config["head_dim"], head_norms=False)
        maker.linear(f"{layer}.block_sparse_moe.gate", config["num_local_experts"], _HIDDEN, 1.5)
        for expert in range(config["num_local_experts"]):
            name = f"{layer}.block_sparse_moe.experts.{expert}"
            maker.mlp(name, config["intermediate_size"], 1.5, names=("w1", "w3", "w2"))
    maker.ends()
    return SmallModel(config, maker.tensors)


def _qwen3_moe(maker: _Maker) -> SmallModel:
    """One key-value head: tensor parallel 2 repeats it on both ranks."""
    config = {
        **_common("Qwen3MoeForCausalLM", "qwen3_moe", layers=2),
        "num_key_value_heads": 1,
        "head_dim": 64,
        "moe_intermediate_size": 128,
        "num_experts": 16,
        "num_experts_per_tok": 4,
        "norm_topk_prob": True,
        "decoder_sparse_step": 1,
        "mlp_only_layers": [],
        "attention_bias": False,
        "use_sliding_window": False,
    }
    for number in range(config["num_hidden_layers"]):
        layer = f"model.layers.{number}"
        maker.layer_norms(layer)
        maker.grouped_attention(layer, config["num_key_value_heads"], config["head_dim"], head_norms=True)
        maker.linear(f"{layer}.mlp.gate", config["num_experts"], _HIDDEN, 1.5)
        for expert in range(config["num_experts"]):
            maker.mlp(f"{layer}.mlp.experts.{expert}", config["moe_intermediate_size"], 2.0)
    maker.ends()
    return SmallModel(config, maker.tensors)


def _common(name: str, family: str, layers: int) -> dict[str, Any]:
    return {
        "architectures": [name],
        "model_type": family,
        "vocab_size": VOCABULARY,
        "hidden_size": _HIDDEN,
        "intermediate_size": 2 * _HIDDEN,
        "num_hidden_layers": layers,
        "num_attention_heads": _HEADS,
        "max_position_embeddings": CONTEXT,
        "rms_norm_eps": 1e-6,
        "rope_theta": 10_000.0,
        "hidden_act": "silu",
        "tie_word_embeddings": False,
        "torch_dtype": "float32",
        "bos_token_id": 0,
        "eos_token_id": 1,
    }


def _as_bfloat16(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rounded to the nearest value of bfloat16, ties to even: the upper half of the bits of a float32."""
    bits = values.view(np.uint32)
    rounded = bits + 0x7FFF + ((bits >> 16) & 1)
    return (rounded & 0xFFFF0000).astype(np.uint32).view(np.float32)
