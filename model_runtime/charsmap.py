"""Builds SentencePiece's "precompiled character map" from a plain dictionary.

Owns that one binary format, which Hugging Face's `tokenizers` reads as its `Precompiled` normaliser. Knows no
model.

Layout (sentencepiece, `normalizer.cc`): a 32-bit size in bytes, a double-array trie in darts-clone's
unit format, then the replacement strings, each ended by a zero byte; the trie's values are offsets into those
strings. A unit of the trie (darts-clone, `darts.h`): bits 0 to 7 the label, bit 8 "has a leaf", bits 10 to 30
the distance (exclusive or) to its children, whose place is that base exclusive-or their label; a leaf has
label 0, bit 31 and the value.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

_LEAF = 1 << 31
_HAS_LEAF = 1 << 8
_DISTANCE_SHIFT = 10
_MAX_DISTANCE = 1 << 21


def precompiled_charsmap(replacements: Mapping[str, str]) -> bytes:
    """The character map that replaces each key by its value; keys are non-empty and hold no zero character.

    Raises `ValueError` if the trie outgrows what one unit can address (about two million units).
    """
    strings = bytearray()
    values: dict[bytes, int] = {}
    offsets: dict[str, int] = {}
    for key, value in replacements.items():
        if value not in offsets:
            offsets[value] = len(strings)
            strings += value.encode() + b"\0"
        values[key.encode()] = offsets[value]
    trie = _double_array(values)
    return struct.pack("<I", len(trie) * 4) + struct.pack(f"<{len(trie)}I", *trie) + bytes(strings)


def _double_array(values: Mapping[bytes, int]) -> list[int]:
    units: dict[int, int] = {0: 0}
    bases = {0}  # a base serves one node only, or one node could take another's children for its own
    first_free = 1

    def place(labels: list[int]) -> int:
        """The lowest unused base from which every label's place is free."""
        nonlocal first_free
        while first_free in units:
            first_free += 1
        anchor = first_free
        while True:
            base = anchor ^ labels[0]
            if anchor not in units and base not in bases and all(base ^ label not in units for label in labels):
                return base
            anchor += 1

    pending = [(0, sorted(values.items()), 0)] if values else []
    while pending:
        node, entries, depth = pending.pop()
        groups: dict[int, list[tuple[bytes, int]]] = {}
        for key, value in entries:
            groups.setdefault(key[depth] if depth < len(key) else 0, []).append((key, value))
        base = place(list(groups))
        if (distance := base ^ node) >= _MAX_DISTANCE:
            raise ValueError(f"too many replacements: {len(values)}")
        bases.add(base)
        units[node] |= distance << _DISTANCE_SHIFT | (_HAS_LEAF if 0 in groups else 0)
        for label, group in groups.items():
            units[base ^ label] = label if label else _LEAF | group[0][1]
            if label:
                pending.append((base ^ label, group, depth + 1))
    # Readers follow a base before they compare the label, so every base must lie inside: pad to a whole
    # block.
    size = (max(units) | 0xFF) + 1
    return [units.get(index, 0) for index in range(size)]
