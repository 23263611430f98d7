"""The reference: what Hugging Face transformers computes for a model. Runs as a program of the runtime environment.

`python reference_program.py JOBS.json`: for each job the log-probabilities of given sequences, in float32 on the CPU,
and the most probable continuations of given prompts. Imports numpy, torch and transformers and nothing of ours, because
that environment has nothing of ours. The side that starts it is `reference`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM

_MODELS_DIFFER = "transformers has not loaded {folder} as it is, so it is no reference: {left}"


def answer(job: dict[str, Any]) -> dict[str, Any]:
    """`job`: `folder`, `sequences` and `prompts` (rows of equal length) and `new_tokens`.

    Returns float32 `scores` [sequences, tokens - 1, vocabulary], row i about token i + 1; int64 `tokens` [prompts,
    new]; float32 `steps` [prompts, new, vocabulary], what they were chosen by. Exits when weights and model differ.
    """
    model, loading = AutoModelForCausalLM.from_pretrained(
        job["folder"],
        dtype=torch.float32,
        attn_implementation="eager",
        local_files_only=True,
        output_loading_info=True,
    )
    left = {what: sorted(map(str, names)) for what, names in loading.items() if names}
    if left:
        # What is missing would be filled with random numbers, and what is left over ignored.
        sys.exit(_MODELS_DIFFER.format(folder=job["folder"], left=left))
    model.eval()
    results = {"scores": _scores(model, torch.tensor(job["sequences"]))[:, :-1].numpy()}
    if job["prompts"]:
        written = torch.tensor(job["prompts"])
        begin = written.shape[1]
        for _ in range(job["new_tokens"]):
            written = torch.cat([written, _scores(model, written)[:, -1:].argmax(-1)], dim=1)
        results["tokens"] = written[:, begin:].numpy()
        results["steps"] = _scores(model, written)[:, begin - 1 : -1].numpy()
    return results


def _scores(model: Any, tokens: torch.Tensor) -> torch.Tensor:
    """Log-probabilities [rows, tokens, vocabulary], computed without a KV cache."""
    return torch.log_softmax(model(tokens, use_cache=False).logits.float(), dim=-1)


def main() -> None:
    torch.set_grad_enabled(False)
    # The matrices are small: two threads took seven times the processor time of one, waiting for each other.
    torch.set_num_threads(1)
    for job in json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")):
        np.savez(job["result"], **answer(job))


if __name__ == "__main__":
    main()
