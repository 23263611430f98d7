"""Tensors of a `.safetensors` file as numpy arrays over the mapped file, or row by row from the file itself.

Owns that one file format (huggingface/safetensors, README "Format": 8 bytes little-endian length, a JSON
header, then the data). Knows no model. The mapped pages are shared between processes and given back under
memory pressure.
"""

from __future__ import annotations

import json
import math
import mmap
import os
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
        self._path = path
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
        start, shape, kind = self._place(name)
        return np.ndarray(shape, kind, self._data.data, start)

    def rows(self, name: str) -> RowReader:
        """A reader of rows of a tensor of two dimensions. Raises `KeyError`."""
        start, shape, kind = self._place(name)
        if len(shape) != 2:
            raise ModelUnavailable(f"tensor {name} has {len(shape)} dimensions, not rows")
        return RowReader(self._path, start, shape[0], shape[1], kind)

    def let_go(self) -> None:
        """Gives back the memory of all that was touched; what is touched again is read again."""
        self._data._mmap.madvise(mmap.MADV_DONTNEED)  # type: ignore[attr-defined]

    def _place(self, name: str) -> tuple[int, tuple[int, ...], np.dtype[Any]]:
        """Offset in the file, shape and type."""
        entry = self._header[name]
        start, end = (self._start + offset for offset in entry["data_offsets"])
        kind = _TYPES.get(entry["dtype"])
        if kind is None or end - start != math.prod(entry["shape"]) * kind.itemsize:
            raise ModelUnavailable(f"tensor {name} of type {entry['dtype']} cannot be read")
        return start, tuple(entry["shape"]), kind


class RowReader:
    """Rows of a table that lies in a file, read as they are asked for. Safe to use from several threads.

    A mapped table would count as the process's memory where it was touched, 64 KB around every row.
    """

    def __init__(self, path: Path, start: int, rows: int, columns: int, kind: np.dtype[Any]) -> None:
        self._file = path.open("rb")
        self._start = start
        self._rows = rows
        self._columns = columns
        self._kind = kind

    def __call__(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """float32 [*ids.shape, columns]. Raises `IndexError` for an id that the table does not have."""
        wanted, places = np.unique(ids, return_inverse=True)
        if len(wanted) and not 0 <= wanted[0] <= wanted[-1] < self._rows:
            raise IndexError(f"row {wanted[-1]} of a table of {self._rows}")
        length = self._columns * self._kind.itemsize
        read = [os.pread(self._file.fileno(), length, self._start + int(row) * length) for row in wanted]
        table = np.frombuffer(b"".join(read), self._kind).reshape(len(wanted), self._columns)
        rows: NDArray[np.float32] = as_float32(table)[places.reshape(ids.shape)]
        return rows


def as_float32(stored: NDArray[Any]) -> NDArray[np.float32]:
    """float32 values of what `Weights.stored` gave, or of rows of it."""
    if stored.dtype == np.uint16:
        return (stored.astype(np.uint32) << 16).view(np.float32)
    return stored.astype(np.float32, copy=False)
