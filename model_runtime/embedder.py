"""The embedder seam: what a model that turns texts into vectors offers, and the factory that loads one.

Owns the interface and the choice of backend. Does not know how a backend computes, nor where vectors are
kept. A folder of weights gives the same vectors on every backend (cosine above 0.999), so `identity` does not
name it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from langchain_core.embeddings import Embeddings
from numpy.typing import NDArray

from model_runtime.errors import EmbedderError
from model_runtime.model_folder import find_model

Backend = Literal["openvino", "torch"]


class Embedder(Embeddings, ABC):
    """Texts to vectors of unit length. Every method may be called from several threads at once.

    identity: name and content hash of the model; only vectors of the same identity may be compared.
    dimension: length of a vector.
    max_tokens: what the model reads of one text, prefix and special tokens included.
    overhead_tokens: how many of them the passage prefix and the special tokens take.
    backend, precision: what computes ("openvino", "torch", ...) and in which type ("bf16", "f32", ...), read
        back from it.
    passage_prefix, query_prefix: what is put before a passage and before a question, "" for none.
    """

    identity: str
    dimension: int
    max_tokens: int
    overhead_tokens: int
    backend: str
    precision: str
    passage_prefix: str
    query_prefix: str

    @abstractmethod
    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text when embedded as a passage: with prefix and special tokens, never cut."""

    @abstractmethod
    def token_offsets(self, text: str) -> list[tuple[int, int]]:
        """Start and end character of each token of `text` itself, in order, without prefix and special tokens.

        A token may include the white space before its word, and may be empty. For a text with more than white
        space, `overhead_tokens` plus their number is what `count_tokens` gives.
        """

    @abstractmethod
    def embed_passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """float32 [len(texts), dimension], rows of unit length in the order of the texts.

        Raises `TextTooLong` when a text exceeds `max_tokens`; then nothing is embedded.
        """

    @abstractmethod
    def embed_question(self, text: str) -> NDArray[np.float32]:
        """float32 [dimension], of unit length. What exceeds `max_tokens` is cut off at the end."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """LangChain's name for `embed_passages`."""
        vectors: list[list[float]] = self.embed_passages(texts).tolist()
        return vectors

    def embed_query(self, text: str) -> list[float]:
        """LangChain's name for `embed_question`."""
        vector: list[float] = self.embed_question(text).tolist()
        return vector


def load_embedder(model: str, backend: Backend, cache_dir: Path, threads: int = 0) -> Embedder:
    """Loads `model` on `backend`; `threads` 0 leaves their number to the backend (all cores).

    `model` is "" or "multilingual-e5-small" for the default (exported into `cache_dir` the first time), the
    path of a sentence-transformers folder, or a hub id. Raises `ModelUnavailable`, `UnsupportedModel` (the
    backend cannot run it) or `MissingExtra` (the backend is not installed).
    """
    if backend == "openvino":
        from model_runtime.openvino_embedder import OpenVinoEmbedder

        return OpenVinoEmbedder(find_model(model, cache_dir), threads)
    if backend == "torch":
        from model_runtime.torch_embedder import TorchEmbedder

        return TorchEmbedder(find_model(model, cache_dir), threads)
    raise EmbedderError(f"unknown embedder backend {backend!r}: openvino or torch")


def batches_by_length(lengths: Sequence[int], token_budget: int) -> list[list[int]]:
    """Indices of the texts in batches, longest texts first; a batch padded to its longest text fits the
    budget.

    A text longer than the budget is a batch of its own. Sorting keeps the padding small, and longest first
    shows at once whether the memory suffices.
    """
    batches: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        if batches and (len(batches[-1]) + 1) * lengths[batches[-1][0]] <= token_budget:
            batches[-1].append(index)
        else:
            batches.append([index])
    return batches
