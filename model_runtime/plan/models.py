"""Finds the `config.json` that a plan is about: a short name that ships with us, a path, or a model in the local
Hugging Face cache. Never downloads."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

from model_runtime.plan.errors import BadConfig, UnknownModel
from model_runtime.plan.shape import ModelShape, read_shape

# A config.json has a few kilobytes; this keeps a wrong path (a weight file) from being read whole.
_MOST_BYTES = 4 * 1024 * 1024


def shipped_models() -> list[str]:
    """The short names, sorted."""
    folder = resources.files("model_runtime.plan") / "configs"
    return sorted(entry.name.removesuffix(".json") for entry in folder.iterdir() if entry.name.endswith(".json"))


def load_model(model: str, hub_cache: Path | None = None) -> ModelShape:
    """The shape of `model`: a short name, a config.json or the folder with it, or a hub id that is in the cache.

    `hub_cache` is the Hugging Face cache folder (its own default when None). Raises `UnknownModel` saying what to do,
    or `BadConfig`.
    """
    if model.lower() in shipped_models():
        shipped = resources.files("model_runtime.plan") / "configs" / f"{model.lower()}.json"
        return read_shape(json.loads(shipped.read_text(encoding="utf-8")), model.lower())
    path = Path(model).expanduser()
    if path.is_dir():
        path = path / "config.json"
    if path.is_file():
        return read_shape(_read_json(path), model)
    cached = _cached_config(model, hub_cache)
    if cached is not None:
        return read_shape(_read_json(cached), model)
    raise UnknownModel(
        f"no model {model!r}: it is neither a short name ({', '.join(shipped_models())}), nor a config.json or a folder"
        f" with one, nor in the local Hugging Face cache. Nothing is downloaded here: get its config with"
        f" `hf download {model if '/' in model else 'OWNER/NAME'} config.json` and try again, or give its path."
    )


def _cached_config(model: str, hub_cache: Path | None) -> Path | None:
    from huggingface_hub import try_to_load_from_cache  # slow to import; tokenizers depends on it
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(model, "config.json", cache_dir=hub_cache)
    except HFValidationError:  # not an id at all, such as a path that does not exist
        return None
    return Path(found) if isinstance(found, str) else None


def _read_json(path: Path) -> object:
    if path.stat().st_size > _MOST_BYTES:
        raise BadConfig(f"{path} has {path.stat().st_size:,} bytes: that is no config.json")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise BadConfig(f"{path} is not JSON: {error}") from error
