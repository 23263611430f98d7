"""The cross-encoder seam: a model that reads a question and a text together and says how well the text answers.

Owns the interface and how a model's name becomes a folder. Does not know how the model computes, nor what is done with
its scores. Nothing is fetched: a cross-encoder is a folder on this machine, or a hub id that has been downloaded.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model_runtime.errors import ModelUnavailable

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


class CrossEncoder(ABC):
    """Pairs of question and text to scores. May be called from several threads at once.

    max_tokens: what the model reads of one pair; of a longer one the end of the text is cut off.
    """

    max_tokens: int

    @abstractmethod
    def scores(self, question: str, texts: Sequence[str]) -> NDArray[np.float32]:
        """The model's own output for each text, higher is better, float32 [len(texts)], in the order of the texts."""


def load_cross_encoder(model: str, cache_dir: Path) -> CrossEncoder:
    """Loads a cross-encoder: the path of its folder, or a hub id whose files lie in `cache_dir`/hub or the hub's cache.

    Raises `MissingExtra` without sentence-transformers, `ModelUnavailable` when nothing can be loaded by that name, and
    `UnsupportedModel` for a model that does not give one score a pair.
    """
    from model_runtime.torch_cross_encoder import TorchCrossEncoder

    return TorchCrossEncoder(_folder(model, cache_dir / "hub"))


def _folder(model: str, hub: Path) -> Path:
    folder = Path(model).expanduser()
    if folder.is_dir():
        return folder
    if not _HUB_ID.fullmatch(model):
        raise ModelUnavailable(f"no cross-encoder {model!r}: neither a folder here nor a hub id (owner/name)")
    from huggingface_hub import snapshot_download  # slow to import; tokenizers depends on it
    from huggingface_hub.errors import LocalEntryNotFoundError

    for cache in (hub, None):
        try:
            return Path(snapshot_download(model, cache_dir=cache, local_files_only=True))
        except LocalEntryNotFoundError:
            continue
    raise ModelUnavailable(
        f"the cross-encoder {model!r} has not been downloaded, and questions fetch nothing: put its files into {hub} "
        f"(`hf download {model} --cache-dir {hub}`), or give the path of its folder"
    )
