"""Reads SmolLM2-135M-Instruct from its GGUF file: shape, tensors as transformers lays them out, tokenizer, template.

Owns what GGUF does to a Llama-shaped model (ggml-org/ggml, docs/gguf.md; llama.cpp's converter interleaves the rows of
queries and keys). Needs the package gguf, which is in vLLM's environment only. Knows nothing of experts.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGUFReader
from gguf.quants import dequantize
from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE

from model_runtime.demonstration.sparse_upcycling import DenseLayer, DenseShape, Matrix

_CONTROL_TOKEN = 3


class UnexpectedFile(Exception):
    """The file is not GGUF, or not of the model that this reader knows."""


class SmolLM2File:
    """The model in `path`. Raises `UnexpectedFile` when it is damaged or another model."""

    def __init__(self, path: Path) -> None:
        try:
            self._reader = GGUFReader(path)
            self._tensors = {tensor.name: tensor for tensor in self._reader.tensors}
            described = (self._value("general.architecture"), self._value("tokenizer.ggml.pre"))
        except (ValueError, IndexError, KeyError, OSError) as error:
            raise UnexpectedFile(f"{path} cannot be read as GGUF: {error}") from error
        if described != ("llama", "smollm") or "output.weight" in self._tensors:
            raise UnexpectedFile(f"{path} holds another model than SmolLM2: {described}")
        self.shape = self._shape()
        self.chat_template: str = self._value("tokenizer.chat_template")
        self.special_tokens: Mapping[str, int] = {
            "bos_token_id": self._value("tokenizer.ggml.bos_token_id"),
            "eos_token_id": self._value("tokenizer.ggml.eos_token_id"),
            "pad_token_id": self._value("tokenizer.ggml.padding_token_id"),
        }
        self.unknown_token: int = self._value("tokenizer.ggml.unknown_token_id")
        self.tokens: list[str] = self._value("tokenizer.ggml.tokens")

    def embedding(self) -> Matrix:
        """(vocabulary, hidden); it is the output's matrix too."""
        return self._tensor("token_embd.weight")

    def norm(self) -> Matrix:
        """(hidden,): the norm after the last layer."""
        return self._tensor("output_norm.weight")

    def layer(self, number: int) -> DenseLayer:
        block = f"blk.{number}"
        return DenseLayer(
            attention_norm=self._tensor(f"{block}.attn_norm.weight"),
            mlp_norm=self._tensor(f"{block}.ffn_norm.weight"),
            query=_halves(self._tensor(f"{block}.attn_q.weight"), self.shape.heads),
            key=_halves(self._tensor(f"{block}.attn_k.weight"), self.shape.kv_heads),
            value=self._tensor(f"{block}.attn_v.weight"),
            output=self._tensor(f"{block}.attn_output.weight"),
            gate=self._tensor(f"{block}.ffn_gate.weight"),
            up=self._tensor(f"{block}.ffn_up.weight"),
            down=self._tensor(f"{block}.ffn_down.weight"),
        )

    def tokenizer(self) -> Tokenizer:
        """Byte-level BPE that splits numbers into digits: what GGUF calls `smollm`."""
        merges = [tuple(merge.split(" ")) for merge in self._value("tokenizer.ggml.merges")]
        tokenizer = Tokenizer(BPE({token: index for index, token in enumerate(self.tokens)}, merges))
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )
        tokenizer.decoder = decoders.ByteLevel()
        kinds = self._value("tokenizer.ggml.token_type")
        control = [token for token, kind in zip(self.tokens, kinds, strict=True) if kind == _CONTROL_TOKEN]
        tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in control])
        return tokenizer

    def _shape(self) -> DenseShape:
        heads, hidden = self._value("llama.attention.head_count"), self._value("llama.embedding_length")
        return DenseShape(
            layers=self._value("llama.block_count"),
            hidden=hidden,
            intermediate=self._value("llama.feed_forward_length"),
            heads=heads,
            kv_heads=self._value("llama.attention.head_count_kv"),
            head_size=hidden // heads,
            vocabulary=self._value("llama.vocab_size"),
            context=self._value("llama.context_length"),
            rope_theta=self._value("llama.rope.freq_base"),
            norm_epsilon=float(f"{self._value('llama.attention.layer_norm_rms_epsilon'):.6g}"),  # stored as float32
        )

    def _value(self, key: str) -> Any:
        return self._reader.fields[key].contents()

    def _tensor(self, name: str) -> Matrix:
        tensor = self._tensors[name]
        values: Matrix = np.ascontiguousarray(dequantize(tensor.data, tensor.tensor_type), dtype=np.float32)
        return values


def _halves(interleaved: Matrix, heads: int) -> Matrix:
    """Rows of each head in the order of transformers' rotary embedding (its two halves), from GGUF's (pairs)."""
    rows, columns = interleaved.shape
    pairs = interleaved.reshape(heads, rows // heads // 2, 2, columns)
    return pairs.swapaxes(1, 2).reshape(rows, columns)
