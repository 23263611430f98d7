"""Tensors of a `.safetensors` file as numpy arrays over the mapped file, read only where they are touched.

Owns that one file format (huggingface/safetensors, README "Format": 8 bytes little-endian length, a JSON
header, then the data). Knows no model. The mapped pages are shared between processes and given back under
memory pressure.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_runtime.errors import ModelUnavailable

# bfloat16 has no numpy type: its 16 bits are the upper half of a float32.
_TYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "BF16": np.dtype("<u2")}


class Weights:
    """The float tensors of one file. `ModelUnavailable` if the file is cut short or not safetensors."""

    def __init__(self, path: Path) -> None:
        try:
            data = np.memmap(path, np.uint8, "c")  # copy on write: OpenVINO shares only arrays it could write to
            start = 8 + int.from_bytes(data[:8].tobytes(), "little")
            header = json.loads(data[8:start].tobytes())
            header.pop("__metadata__", None)
            end = max(entry["data_offsets"][1] for entry in header.values())
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelUnavailable(f"{path} is absent or damaged: {error}") from error
        if start + end != len(data):
            raise ModelUnavailable(f"{path} is damaged: {len(data)} bytes, {start + end} expected")
        self._data: NDArray[np.uint8] = data
        self._start = start
        self._header: dict[str, Any] = header

    def __contains__(self, name: str) -> bool:
        return name in self._header

    def array(self, name: str) -> NDArray[np.float32]:
        """The tensor as float32: a view of the mapped file if it is stored so, else a converted copy.

        Raises `KeyError` if there is no such tensor.
        """
        return as_float32(self.stored(name))

    def stored(self, name: str) -> NDArray[Any]:
        """The tensor as it is stored, a view of the mapped file; bfloat16 as uint16. For `as_float32`."""
        entry = self._header[name]
        start, end = (self._start + offset for offset in entry["data_offsets"])
        kind = _TYPES.get(entry["dtype"])
        if kind is None or end - start != math.prod(entry["shape"]) * kind.itemsize:
            raise ModelUnavailable(f"tensor {name} of type {entry['dtype']} cannot be read")
        return np.ndarray(entry["shape"], kind, self._data.data, start)


def as_float32(stored: NDArray[Any]) -> NDArray[np.float32]:
    """float32 values of what `Weights.stored` gave, or of rows of it."""
    if stored.dtype == np.uint16:
        return (stored.astype(np.uint32) << 16).view(np.float32)
    return stored.astype(np.float32, copy=False)
