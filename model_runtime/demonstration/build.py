"""Writes the folder of smollm2-moe: `python -m model_runtime.demonstration.build GGUF FOLDER EXPERTS TOP_K`.

A process of vLLM's environment, where the package gguf is. Prints `done total` after each layer; what went wrong
stands, as a sentence, last on its standard error. Where the folder lies is `smollm2`'s to say.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_runtime.demonstration.gguf_file import SmolLM2File, UnexpectedFile
from model_runtime.demonstration.sparse_upcycling import Experts, Matrix, mixtral_config, padded, sparse_layer

_KV_HEADS = 4  # of 3: so that two, and four, tensor-parallel ranks share them evenly


def write_folder(source: SmolLM2File, folder: Path, experts: Experts, progress: Callable[[int, int], None]) -> None:
    """An ordinary Hugging Face folder: configuration, tokenizer, weights in bfloat16. Raises `OSError`."""
    folder.mkdir()
    wide = padded(source.shape, _KV_HEADS)
    config = mixtral_config(wide, experts, source.special_tokens)
    for name, content in {"config.json": config, **_small_files(source)}.items():
        (folder / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    (folder / "chat_template.jinja").write_text(source.chat_template, encoding="utf-8")
    source.tokenizer().save(str(folder / "tokenizer.json"))
    tensors = {
        "model.embed_tokens.weight": _bfloat16(source.embedding()),
        "model.norm.weight": _bfloat16(source.norm()),
    }
    for number in range(wide.layers):
        for names, matrix in sparse_layer(source.layer(number), number, wide, experts):
            tensors |= dict.fromkeys(names, _bfloat16(matrix))  # equal experts share their memory, not their place
        progress(number + 1, wide.layers)
    _save(tensors, folder / "model.safetensors")


def _small_files(source: SmolLM2File) -> dict[str, dict[str, Any]]:
    ids = source.special_tokens
    bos, eos, pad = (source.tokens[ids[f"{name}_token_id"]] for name in ("bos", "eos", "pad"))
    return {
        "generation_config.json": {**ids},
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": source.shape.context,
            "bos_token": bos,
            "eos_token": eos,
            "pad_token": pad,
            "unk_token": source.tokens[source.unknown_token],
            "clean_up_tokenization_spaces": False,
            "chat_template": source.chat_template,  # where older readers of the folder look for it
        },
    }


def _bfloat16(matrix: Matrix) -> NDArray[np.uint16]:
    """The upper halves of float32 values, rounded to the nearest, ties to even."""
    bits = np.ascontiguousarray(matrix).view(np.uint32)
    return ((bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)).astype("<u2")


def _save(tensors: Mapping[str, NDArray[np.uint16]], path: Path) -> None:
    """A safetensors file (huggingface/safetensors, README "Format"), which numpy, having no bfloat16, cannot write."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, tensor in tensors.items():
        header[name] = {"dtype": "BF16", "shape": tensor.shape, "data_offsets": [end, end + tensor.nbytes]}
        end += tensor.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # the data begin at a multiple of eight
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for tensor in tensors.values():
            file.write(tensor.tobytes())


def _say(done: int, total: int) -> None:
    sys.stdout.write(f"{done} {total}\n")
    sys.stdout.flush()


def main(arguments: list[str]) -> int:
    packed, folder, count, top_k = arguments
    try:
        write_folder(SmolLM2File(Path(packed)), Path(folder), Experts(int(count), int(top_k)), _say)
    except (UnexpectedFile, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
