"""The two sides of `moe_kernels.py`: one model in one framework, in a process of vLLM's environment.

    python benchmarks/moe_kernels_sides.py vllm|transformers MODEL_FOLDER EXPERTS

Takes {"batch", "prompt", "new", "seed"} as JSON, a line each, and answers with the seconds of the prefill and of the
decode steps. Imports nothing of ours: that environment does not have it.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

Seconds = dict[str, float]


def vllm_side(model: str) -> Callable[[list[list[int]], int], Seconds]:
    """vLLM in this very process, eager as the other side, without its prefix cache."""
    from vllm import LLM, SamplingParams
    from vllm.inputs import TokensPrompt

    engine = LLM(
        model,
        dtype="bfloat16",
        enforce_eager=True,
        enable_prefix_caching=False,
        skip_tokenizer_init=True,
        max_model_len=1024,
        max_num_batched_tokens=8192,
        disable_log_stats=True,
    )

    def generate(prompts: list[list[int]], tokens: int) -> float:
        sampling = SamplingParams(
            temperature=0, max_tokens=tokens, min_tokens=tokens, ignore_eos=True, detokenize=False
        )
        started = time.perf_counter()
        answers = engine.generate([TokensPrompt(prompt_token_ids=each) for each in prompts], sampling, use_tqdm=False)
        taken = time.perf_counter() - started
        assert all(len(each.outputs[0].token_ids) == tokens for each in answers)
        return taken

    def run(prompts: list[list[int]], new: int) -> Seconds:
        prefill = generate(prompts, 1)
        return {"prefill_s": prefill, "decode_s": generate(prompts, 1 + new) - prefill}

    return run


def transformers_side(model: str, experts: str) -> Callable[[list[list[int]], int], Seconds]:
    """Hugging Face's model, step by step: without what its `generate` adds to a step."""
    import torch
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    loaded = AutoModelForCausalLM.from_pretrained(model, dtype=torch.bfloat16, experts_implementation=experts).eval()

    @torch.inference_mode()
    def run(prompts: list[list[int]], new: int) -> Seconds:
        started = time.perf_counter()
        output = loaded(torch.tensor(prompts), use_cache=True, logits_to_keep=1)
        token = output.logits[:, -1:].argmax(-1)
        read = time.perf_counter()
        for _ in range(new):
            output = loaded(token, past_key_values=output.past_key_values, use_cache=True, logits_to_keep=1)
            token = output.logits[:, -1:].argmax(-1)
        return {"prefill_s": read - started, "decode_s": time.perf_counter() - read}

    return run


def random_mixtral(folder: Path) -> None:
    """A small Mixtral of random weights, for where no real one lies in the cache."""
    import torch
    from transformers import MixtralConfig, MixtralForCausalLM

    torch.manual_seed(0)
    config = MixtralConfig(
        vocab_size=8192,
        hidden_size=512,
        intermediate_size=1024,
        num_hidden_layers=8,
        num_attention_heads=8,
        num_key_value_heads=4,
        num_local_experts=8,
        num_experts_per_tok=2,
        max_position_embeddings=2048,
        sliding_window=None,
    )
    MixtralForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)


def main() -> None:
    side, model, experts = sys.argv[1:4]
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the frameworks print is no answer
    if side == "make":
        random_mixtral(Path(model))
        return
    run = vllm_side(model) if side == "vllm" else transformers_side(model, experts)
    vocabulary = json.loads((Path(model) / "config.json").read_text())["vocab_size"]
    print("ready", file=out, flush=True)
    for line in sys.stdin:
        wish = json.loads(line)
        prompts = _prompts(wish["seed"], wish["batch"], wish["prompt"], vocabulary)
        print(json.dumps(run(prompts, wish["new"])), file=out, flush=True)


def _prompts(seed: int, batch: int, length: int, vocabulary: int) -> list[list[int]]:
    import random

    dice = random.Random(seed)
    return [[dice.randrange(100, vocabulary) for _ in range(length)] for _ in range(batch)]


if __name__ == "__main__":
    main()
