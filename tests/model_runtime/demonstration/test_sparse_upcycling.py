"""A mixture made of a small random Llama says what the Llama says, whatever its heads, padding and experts."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from model_runtime.demonstration.sparse_upcycling import (
    DenseLayer,
    DenseShape,
    Experts,
    mixtral_config,
    padded,
    sparse_layer,
)

torch = pytest.importorskip("torch", reason="needs the extra torch")
transformers = pytest.importorskip("transformers", reason="needs the extra torch")

TOKENS = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2}


def llama(shape: DenseShape) -> "transformers.LlamaForCausalLM":
    """Weights large enough that attention and every nonlinearity matter."""
    torch.manual_seed(shape.heads)
    model = transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            hidden_size=shape.hidden,
            intermediate_size=shape.intermediate,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            num_key_value_heads=shape.kv_heads,
            head_dim=shape.head_size,
            vocab_size=shape.vocabulary,
            rms_norm_eps=shape.norm_epsilon,
            rope_theta=shape.rope_theta,
            initializer_range=0.3,
            tie_word_embeddings=True,
        )
    )
    return model.eval()


def mixture(dense: "transformers.LlamaForCausalLM", wide: DenseShape, experts: Experts, folder: Path) -> Path:
    """The folder of a mixture of `dense`, in float32."""
    weights = {name: tensor.numpy() for name, tensor in dense.state_dict().items()}
    tensors = {name: weights[name] for name in ("model.embed_tokens.weight", "model.norm.weight")}
    for number in range(wide.layers):
        part = {
            "attention_norm": "input_layernorm",
            "mlp_norm": "post_attention_layernorm",
            **{each: f"self_attn.{each[0]}_proj" for each in ("query", "key", "value", "output")},
            **{each: f"mlp.{each}_proj" for each in ("gate", "up", "down")},
        }
        layer = DenseLayer(**{field: weights[f"model.layers.{number}.{name}.weight"] for field, name in part.items()})
        for names, matrix in sparse_layer(layer, number, wide, experts):
            tensors |= {name: np.array(matrix, order="C") for name in names}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(mixtral_config(wide, experts, TOKENS)))
    return folder


@pytest.mark.parametrize(
    ("heads", "kv_heads", "wanted", "experts"),
    [(6, 3, 4, Experts(4, 2)), (9, 3, 4, Experts(4, 4)), (4, 4, 6, Experts(3, 1)), (3, 1, 2, Experts(2, 2))],
)
def test_the_mixture_says_what_the_dense_model_says(
    heads: int, kv_heads: int, wanted: int, experts: Experts, tmp_path: Path
) -> None:
    shape = DenseShape(2, 36, 40, heads, kv_heads, 8, 64, 128, 10_000.0, 1e-5)
    wide = padded(shape, wanted)
    assert (wide.heads, wide.kv_heads) == (heads // kv_heads * wanted, wanted)
    dense = llama(shape)
    sparse = transformers.AutoModelForCausalLM.from_pretrained(
        mixture(dense, wide, experts, tmp_path), dtype=torch.float32
    ).eval()
    tokens = torch.randint(0, shape.vocabulary, (2, 40), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        said, expected = (torch.log_softmax(model(tokens).logits, -1) for model in (sparse, dense))
        alone = torch.log_softmax(dense(tokens[:, -1:]).logits, -1)
    assert (expected[:, -1:] - alone).abs().max() > 0.1, "the context must matter, or the heads are not tested"
    assert (said - expected).abs().max() < 1e-3


def test_heads_are_never_taken_away() -> None:
    shape = DenseShape(2, 36, 40, 6, 3, 8, 64, 128, 10_000.0, 1e-5)
    with pytest.raises(ValueError, match="cannot be padded to 2"):
        padded(shape, 2)


@pytest.mark.parametrize(("count", "top_k"), [(4, 5), (4, 0)])
def test_a_token_uses_some_of_the_experts(count: int, top_k: int) -> None:
    with pytest.raises(ValueError, match=f"cannot use {top_k} of {count}"):
        Experts(count, top_k)
