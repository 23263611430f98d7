"""Texts to token ids: prefixes, special tokens, counting, offsets, and the rule for texts that are too long.

Owns Hugging Face's `tokenizers.Tokenizer` of one model. Does not know what becomes of the ids. Safe to use
from several
threads: truncation and padding, which are state of a tokenizer, are switched off for good.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer

from model_runtime.errors import ModelUnavailable, TextTooLong


class TokenReader:
    """A tokenizer with a model's prefixes and its limit of `max_tokens`, special tokens included."""

    def __init__(self, tokenizer: Tokenizer, passage_prefix: str, query_prefix: str, max_tokens: int) -> None:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._tokenizer = tokenizer
        self._passage_prefix = passage_prefix
        self._query_prefix = query_prefix
        self._max_tokens = max_tokens
        self.overhead = len(tokenizer.encode(passage_prefix).ids)

    @classmethod
    def from_folder(cls, folder: Path, passage_prefix: str, query_prefix: str, max_tokens: int) -> TokenReader:
        """Reads `tokenizer.json`; `ModelUnavailable` if it is absent or damaged."""
        path = folder / "tokenizer.json"
        try:
            tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:
            raise ModelUnavailable(f"{path} is absent or damaged: {error}") from error
        return cls(tokenizer, passage_prefix, query_prefix, max_tokens)

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text as a passage, with prefix and special tokens."""
        encodings = self._tokenizer.encode_batch_fast([self._passage_prefix + text for text in texts])
        return [len(encoding.ids) for encoding in encodings]

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """Start and end character of each token of the text itself, without prefix and special tokens."""
        return list(self._tokenizer.encode(text, add_special_tokens=False).offsets)

    def passages(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of each text as a passage; `TextTooLong` for the first that exceeds the limit."""
        encodings = self._tokenizer.encode_batch_fast([self._passage_prefix + text for text in texts])
        ids = [encoding.ids for encoding in encodings]
        for index, content in enumerate(ids):
            if len(content) > self._max_tokens:
                raise TextTooLong(index, len(content), self._max_tokens)
        return ids

    def question(self, text: str) -> list[int]:
        """Ids of a question, its end cut off where it exceeds the limit, the special tokens kept."""
        encoding = self._tokenizer.encode(self._query_prefix + text, add_special_tokens=False)
        encoding.truncate(self._max_tokens - self._tokenizer.num_special_tokens_to_add(False))
        ids: list[int] = self._tokenizer.post_process(encoding).ids
        return ids
