"""Runs a sentence-transformers cross-encoder through PyTorch. With `torch_embedder` the only file that imports either
for the product's questions.

Owns the device, the batches and one lock around the model. Needs the extra `torch`; importing this file without it
raises `MissingExtra`.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model_runtime import cross_encoder
from model_runtime.errors import MissingExtra, ModelUnavailable, UnsupportedModel

try:
    import torch
    from safetensors import SafetensorError
    from sentence_transformers import CrossEncoder
except ModuleNotFoundError as error:
    raise MissingExtra(f"{error.name}, which a reranker needs,", "torch") from error

BATCH = 16
"""Pairs read at once; sentence-transformers sorts them by length."""

MOST_TOKENS = 512
"""Passages are no longer, and some models would read thousands at many times the cost."""


class TorchCrossEncoder(cross_encoder.CrossEncoder):
    """The folder's model in float32, on the first GPU if there is one, else on the CPU. One call after the other."""

    def __init__(self, folder: Path) -> None:
        try:
            self._model = CrossEncoder(
                str(folder),
                device="cuda" if torch.cuda.is_available() else "cpu",
                local_files_only=True,
                model_kwargs={"dtype": torch.float32},
            )
        except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
            raise ModelUnavailable(f"sentence-transformers cannot load the cross-encoder {folder}: {error}") from error
        if self._model.num_labels != 1:
            raise UnsupportedModel(f"{folder} gives {self._model.num_labels} numbers a pair; a reranker gives one")
        self.max_tokens = min(self._model.max_seq_length or MOST_TOKENS, MOST_TOKENS)
        self._model.max_seq_length = self.max_tokens
        self._lock = threading.Lock()

    def scores(self, question: str, texts: Sequence[str]) -> NDArray[np.float32]:
        if not texts:
            return np.empty(0, np.float32)
        with self._lock:
            found = self._model.predict(
                [(question, text) for text in texts],
                batch_size=BATCH,
                activation_fn=torch.nn.Identity(),
                show_progress_bar=False,
            )
        return np.asarray(found, np.float32)
