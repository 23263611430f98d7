"""Runs any sentence-transformers model through PyTorch. With `torch_cross_encoder` the only file that imports torch or
sentence_transformers.

Owns the device, the type and one lock around the model. Needs the extra `torch`; importing this file without
it raises `MissingExtra`.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from model_runtime.embedder import Embedder, batches_by_length
from model_runtime.errors import MissingExtra, ModelUnavailable, UnsupportedModel
from model_runtime.model_folder import ModelFolder
from model_runtime.token_reader import TokenReader

try:
    import torch
    from sentence_transformers import SentenceTransformer
except ModuleNotFoundError as error:
    raise MissingExtra(f"{error.name}, which backend=torch needs,", "torch") from error

# Padded tokens in one batch: float32 activations of a small model stay near 100 MB on a CPU, a GPU wants more
# at once.
TOKEN_BUDGET = {"cpu": 2048, "cuda": 65536}
_PRECISIONS = {torch.float32: "f32", torch.float16: "f16", torch.bfloat16: "bf16"}


class TorchEmbedder(Embedder):
    """The folder's model in float32, on the first GPU if there is one, else on the CPU.

    `threads` sets torch's number of CPU threads for the whole process. Calls are served one after the other.
    """

    backend = "torch"

    def __init__(self, folder: ModelFolder, threads: int = 0) -> None:
        if threads:
            torch.set_num_threads(threads)
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        try:
            self._model = SentenceTransformer(
                str(folder.path),
                device=self._device,
                local_files_only=True,
                model_kwargs={"dtype": torch.float32},
            )
        except (OSError, ValueError, RuntimeError, KeyError) as error:
            raise ModelUnavailable(f"sentence-transformers cannot load {folder.path}: {error}") from error
        self._lock = threading.Lock()
        dimension = self._model.get_embedding_dimension()
        if dimension is None:
            raise UnsupportedModel(f"{folder.path} does not say the dimension of its vectors")
        self.identity = folder.identity
        self.dimension = dimension
        self.max_tokens = min(folder.max_tokens, self._model.max_seq_length or folder.max_tokens)
        self.passage_prefix = folder.passage_prefix
        self.query_prefix = folder.query_prefix
        # A copy: sentence-transformers switches truncation on and off on its own tokenizer.
        copy = Tokenizer.from_str(_tokenizer(self._model, folder).to_str())
        self._tokens = TokenReader(copy, folder.passage_prefix, folder.query_prefix, self.max_tokens)
        self.overhead_tokens = self._tokens.overhead
        kind = next(self._model.parameters()).dtype
        self.precision = _PRECISIONS.get(kind, str(kind))

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return self._tokens.count(texts)

    def token_offsets(self, text: str) -> list[tuple[int, int]]:
        return self._tokens.offsets(text)

    def embed_passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        lengths = [len(ids) for ids in self._tokens.passages(texts)]
        vectors = np.empty((len(lengths), self.dimension), np.float32)
        for batch in batches_by_length(lengths, TOKEN_BUDGET[self._device]):
            vectors[batch] = self._encode([texts[index] for index in batch], self.passage_prefix)
        return vectors

    def embed_question(self, text: str) -> NDArray[np.float32]:
        vector: NDArray[np.float32] = self._encode([text], self.query_prefix)[0]
        return vector

    def _encode(self, texts: list[str], prefix: str) -> NDArray[np.float32]:
        with self._lock:
            vectors: NDArray[np.float32] = self._model.encode(
                texts,
                prompt=prefix,
                batch_size=len(texts),
                normalize_embeddings=True,
                show_progress_bar=False,
            )
        return vectors


def _tokenizer(model: SentenceTransformer, folder: ModelFolder) -> Tokenizer:
    """The model's `tokenizers.Tokenizer`; `UnsupportedModel` where it has none (token offsets need it)."""
    tokenizer: Any = model.tokenizer
    if isinstance(tokenizer, Tokenizer):
        return tokenizer
    if isinstance(backend := getattr(tokenizer, "backend_tokenizer", None), Tokenizer):
        return backend
    raise UnsupportedModel(f"{folder.path} has no fast tokenizer (tokenizer.json): choose another model")
