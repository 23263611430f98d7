"""Finds a sentence-transformers folder and reads what its small files say.

Owns: how a model's name in the settings becomes a folder, the model's identity, its prompts and token limit.
Does not know weights, tokens or backends.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from model_runtime.e5_export import MODEL_NAME, Progress, export_default_embedder
from model_runtime.errors import ModelUnavailable

DEFAULT_MODELS = ("", MODEL_NAME)
DEFAULT_MAX_TOKENS = 512
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_HUB_FILES = ["*.json", "*.txt", "*.safetensors", "*.model"]
_CONTENT = {".json", ".txt", ".safetensors", ".model", ".bin"}
_PASSAGE_PROMPTS = ("passage", "document", "corpus")


@dataclass(frozen=True)
class ModelFolder:
    """A sentence-transformers model on disk.

    `identity` is the model's name and a hash of its content. `modules` are the class names of its stages
    (`Transformer`, `Pooling`, ...), `pooling` the modes of the second ("mean", "cls", ...), `lower_case`
    whether texts are lower-cased before they reach the tokenizer, `config` the transformer's own config.json.
    """

    path: Path
    identity: str
    max_tokens: int
    passage_prefix: str
    query_prefix: str
    modules: tuple[str, ...]
    pooling: tuple[str, ...]
    pools_prompt: bool
    lower_case: bool
    config: Mapping[str, Any] = field(repr=False)


def find_model(model: str, cache_dir: Path, progress: Progress | None = None) -> ModelFolder:
    """The folder of `model`: "" or the default's name (exported on demand), a folder, or a hub id (downloaded).

    Raises `ModelUnavailable` if there is none.
    """
    if model in DEFAULT_MODELS:
        exported = export_default_embedder(cache_dir, progress)
        return read_folder(exported, identity=exported.name)  # its name carries the hash of its source
    folder = Path(model).expanduser()
    if folder.is_dir():
        return read_folder(folder, f"{folder.resolve().name}-{_content_hash(folder)}")
    if _HUB_ID.fullmatch(model):
        downloaded = _download(model, cache_dir / "hub")
        return read_folder(downloaded, f"{model}-{_content_hash(downloaded)}")
    raise ModelUnavailable(f"no embedder {model!r}: neither a folder, nor a hub id (owner/name), nor {MODEL_NAME!r}")


def read_folder(folder: Path, identity: str) -> ModelFolder:
    """What the folder's small files say; `ModelUnavailable` if one is not JSON or none is there."""
    config = _json(folder / "config.json")
    if not config and not (folder / "modules.json").is_file():
        raise ModelUnavailable(
            f"{folder} is not a sentence-transformers folder: it has neither modules.json nor config.json"
        )
    modules = _json(folder / "modules.json") or []
    prompts = _json(folder / "config_sentence_transformers.json").get("prompts") or {}
    transformer = _json(folder / "sentence_bert_config.json")
    limits = (transformer.get("max_seq_length"), config.get("max_position_embeddings"))
    pooling = [_json(folder / module["path"] / "config.json") for module in modules if "Pooling" in module["type"]]
    return ModelFolder(
        path=folder,
        identity=identity,
        max_tokens=min(filter(None, limits), default=DEFAULT_MAX_TOKENS),
        passage_prefix=next((prompts[key] for key in _PASSAGE_PROMPTS if prompts.get(key)), ""),
        query_prefix=prompts.get("query") or "",
        modules=tuple(module["type"].rsplit(".", 1)[-1] for module in modules),
        pooling=_pooling_modes(pooling[0]) if pooling else (),
        pools_prompt=not pooling or pooling[0].get("include_prompt", True),
        lower_case=transformer.get("do_lower_case", False),
        config=config,
    )


def _pooling_modes(config: Mapping[str, Any]) -> tuple[str, ...]:
    """ "mean", "cls", ...: one key in sentence-transformers from version 6, one flag a mode before."""
    if mode := config.get("pooling_mode"):
        return (mode,) if isinstance(mode, str) else tuple(mode)
    flags = [
        key.removeprefix("pooling_mode_")
        for key, chosen in config.items()
        if key.startswith("pooling_mode_") and chosen
    ]
    return tuple(flag.removesuffix("_tokens").removesuffix("_token") for flag in flags)


def _json(path: Path) -> Any:
    """The file's content, an empty dictionary if there is no such file."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise ModelUnavailable(f"{path} is damaged: {error}") from error


def _content_hash(folder: Path) -> str:
    """A hash of every file that can change a token or a vector, about 1 GB a second."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.suffix in _CONTENT and path.is_file()):
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{path.relative_to(folder).as_posix()}\0{content}\n".encode())
    return digest.hexdigest()[:16]


def _download(model: str, cache_dir: Path) -> Path:
    from huggingface_hub import snapshot_download  # slow to import; tokenizers depends on it

    try:
        return Path(snapshot_download(model, cache_dir=cache_dir, allow_patterns=_HUB_FILES))
    except Exception as error:
        raise ModelUnavailable(
            f"cannot download {model!r} from the hub, and no folder of that name exists: {error}"
        ) from error
