"""`HashingEmbedder` and `OverlapCrossEncoder`: an embedder and a cross-encoder without a model, for unit tests. They
know words, no meaning."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from model_runtime.cross_encoder import CrossEncoder
from model_runtime.embedder import Embedder
from model_runtime.errors import TextTooLong

# One token a word, and one a character of Chinese, Japanese or Korean script.
_CJK = r"\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_TOKEN = re.compile(rf"[{_CJK}]|[^\W{_CJK}]+|[^\w\s]")


class HashingEmbedder(Embedder):
    """A bag of hashed words of unit length: texts that share words are near. The same on every machine.

    Counts tokens by words and Chinese characters, with two special tokens and one for the prefix, like a
    model would.
    """

    identity = "hashing@1"
    backend = "fake"
    precision = "f32"
    passage_prefix = "passage: "
    query_prefix = "query: "
    overhead_tokens = 3

    def __init__(self, dimension: int = 64, max_tokens: int = 512) -> None:
        self.dimension = dimension
        self.max_tokens = max_tokens

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [self.overhead_tokens + len(self.token_offsets(text)) for text in texts]

    def token_offsets(self, text: str) -> list[tuple[int, int]]:
        return [match.span() for match in _TOKEN.finditer(text)]

    def embed_passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        for index, tokens in enumerate(self.count_tokens(texts)):
            if tokens > self.max_tokens:
                raise TextTooLong(index, tokens, self.max_tokens)
        return np.array([self._vector(text) for text in texts], np.float32).reshape(len(texts), self.dimension)

    def embed_question(self, text: str) -> NDArray[np.float32]:
        return self._vector(text)

    def _vector(self, text: str) -> NDArray[np.float32]:
        vector = np.zeros(self.dimension, np.float32)
        for start, end in self.token_offsets(text)[: self.max_tokens - self.overhead_tokens]:
            digest = hashlib.blake2b(text[start:end].lower().encode(), digest_size=8).digest()
            number = int.from_bytes(digest, "little")
            vector[number % self.dimension] += 1 if number >> 63 else -1
        # A text without a token, or one whose words cancel out, still gets a vector of unit length.
        if not vector.any():
            vector[0] = 1
        return vector / np.float32(np.linalg.norm(vector))


class OverlapCrossEncoder(CrossEncoder):
    """The share of the question's different words that a text has among its first `max_tokens`, from 0 to 1."""

    def __init__(self, max_tokens: int = 512) -> None:
        self.max_tokens = max_tokens

    def scores(self, question: str, texts: Sequence[str]) -> NDArray[np.float32]:
        asked = set(_TOKEN.findall(question.lower()))
        read = [set(_TOKEN.findall(text.lower())[: self.max_tokens]) for text in texts]
        return np.array([len(asked & words) / (len(asked) or 1) for words in read], np.float32)
