"""Run by vLLM's environment: `compare_smollm2.py GGUF FOLDER` prints, as JSON, how far a folder of smollm2-moe is from
the dense model as transformers itself reads it from the GGUF file. Float32, weights rounded to bfloat16 in both."""

import json
import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM
from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

TEXTS = [
    "To descale the machine, pour 500 mL of water into the tank and press the button. It takes 38 minutes. Don't open",
    "水箱容量为 1.8 升。错误代码 E-42：请联系客服。",
    "  Leading blanks,\ttabs\n\nand new lines; año 2024, naïve café, 12345678 🙂<|im_end|>",
]


def log_probabilities(model: torch.nn.Module, tokens: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return torch.log_softmax(model(tokens).logits[0], -1)


def dense_model(packed: Path) -> LlamaForCausalLM:
    """As transformers reads it; its `from_pretrained` would ask for accelerate, which nothing else here needs."""
    model = LlamaForCausalLM(LlamaConfig(**load_gguf_checkpoint(packed)["config"])).float().eval()
    tensors = load_gguf_checkpoint(packed, return_tensors=True, model_to_load=model)["tensors"]
    rounded = {name: tensor.to(torch.bfloat16).float() for name, tensor in tensors.items()}
    missing, unexpected = model.load_state_dict(rounded, strict=False)
    if unexpected or set(missing) != {"lm_head.weight"}:
        raise ValueError(f"transformers reads another model: missing {missing}, unexpected {unexpected}")
    model.tie_weights()
    return model


def main() -> None:
    packed, folder = Path(sys.argv[1]), sys.argv[2]
    dense = dense_model(packed)
    sparse = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    reference, tokenizer = (
        AutoTokenizer.from_pretrained(packed.parent, gguf_file=packed.name),
        AutoTokenizer.from_pretrained(folder),
    )
    tokens = torch.tensor([tokenizer("\n".join(TEXTS * 4)).input_ids])
    expected = log_probabilities(dense, tokens)
    found = log_probabilities(sparse, tokens)
    english = torch.tensor([tokenizer(TEXTS[0]).input_ids])
    chosen = log_probabilities(dense, english)[:-1].gather(-1, english[0, 1:, None])
    without = []
    for expert in range(sparse.config.num_local_experts):
        kept = [layer.mlp.experts.down_proj[expert].clone() for layer in sparse.model.layers]
        with torch.no_grad():
            for layer in sparse.model.layers:
                layer.mlp.experts.down_proj[expert].zero_()
            without.append(float((log_probabilities(sparse, tokens) - expected).abs().max()))
            for layer, weights in zip(sparse.model.layers, kept, strict=True):
                layer.mlp.experts.down_proj[expert].copy_(weights)
    chat = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    config = sparse.generation_config
    result = {
        "tokens": tokens.shape[1],
        "mean_log_probability": float(chosen.mean()),
        "largest_difference": float((found - expected).abs().max()),
        "without_expert": without,
        "same_tokens": all(tokenizer(text).input_ids == reference(text).input_ids for text in TEXTS),
        "text_survives": all(tokenizer.decode(tokenizer(text).input_ids) == text for text in TEXTS),
        "eos": [tokenizer.eos_token, tokenizer.eos_token_id, config.eos_token_id],
        "pad": [tokenizer.pad_token, tokenizer.pad_token_id, config.pad_token_id],
        "chat": tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True),
    }
    sys.stdout.write(f"\n{json.dumps(result)}\n")


if __name__ == "__main__":
    main()
