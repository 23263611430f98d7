"""The vectors of a snapshot: a flat FAISS index of half precision, with many rows behind a quick look.

Owns the FAISS calls, and when a search is exact: while there are few rows, and wherever a filter leaves few of many.
Does not know what a row stands for.
"""

from collections.abc import Sequence
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray

from rag.errors import IndexDamaged
from rag.quick_scan import FROM_ROWS, QuickScan
from rag.types import Vector, Vectors

MIDDLE_ROWS = 4096
"""Rows, spread evenly over an index, whose mean stands for that of all."""

QUICK_SHARE = 0.25
"""A quick look cannot leave rows out; where fewer than this share are admitted, an exact search costs less."""


class VectorIndex:
    """Rows of normalised float16 vectors, compared by inner product. Never changed once made: any thread may search."""

    def __init__(self, index: faiss.IndexScalarQuantizer, quick: QuickScan | None = None) -> None:
        self._index = index
        self.quick = quick
        self.dimension = int(index.d)
        self.rows = int(index.ntotal)
        # The codes of this quantizer are the vectors themselves: a view instead of a second copy.
        codes = faiss.rev_swig_ptr(index.codes.data(), index.codes.size()) if self.rows else np.empty(0, np.uint8)
        self.vectors: Vectors = codes.view(np.float16).reshape(self.rows, self.dimension)
        self.middle = middle_of(self.vectors)

    @classmethod
    def of(cls, vectors: Vectors, quick_from: int = FROM_ROWS) -> "VectorIndex":
        """An index of float16 [rows, dimension], with a quick look from `quick_from` rows on."""
        index = faiss.IndexScalarQuantizer(vectors.shape[1], faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
        if len(vectors):
            faiss.copy_array_to_vector(np.ascontiguousarray(vectors).view(np.uint8).reshape(-1), index.codes)
            index.ntotal = len(vectors)
        return cls(index, QuickScan.of(vectors, index) if len(vectors) >= quick_from else None)

    @classmethod
    def read(cls, path: Path, quick: Path | None = None) -> "VectorIndex":
        """`quick` is the file of the quick look, if there is one. Raises `IndexDamaged` for files of another kind."""
        try:
            index = faiss.read_index(str(path))
        except RuntimeError as error:
            raise IndexDamaged(f"{path} cannot be read; `answerdesk index rebuild` makes a new one") from error
        if not isinstance(index, faiss.IndexScalarQuantizer) or index.code_size != 2 * index.d:
            raise IndexDamaged(f"{path} is an index of another kind; `answerdesk index rebuild` makes a new one")
        looked = QuickScan.read(quick) if quick is not None else None
        if looked is not None and looked.index.ntotal != index.ntotal:
            raise IndexDamaged(f"{quick} belongs to another index; `answerdesk index rebuild` makes a new one")
        return cls(index, looked)

    def write(self, path: Path, quick: Path) -> None:
        faiss.write_index(self._index, str(path))
        if self.quick is not None:
            self.quick.write(quick)

    def decoded(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """The vectors of these rows, float32 [n, dimension]."""
        faiss.omp_set_num_threads(1)
        # FAISS widens half precision faster than numpy (0.6 against 0.9 ms for 1,600 rows).
        codes = self.vectors[rows].view(np.uint8)
        decoded: NDArray[np.float32] = (
            self._index.sa_decode(codes) if len(rows) else self.vectors[rows].astype(np.float32)
        )
        return decoded

    def search(
        self, question: Vector, limit: int, admitted: NDArray[np.bool_] | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The `limit` nearest rows among the admitted: (rows int64 [n], cosines float32 [n]), best first.

        `admitted` is bool [rows]; n is less than `limit` only where there are not more.
        """
        limit = min(limit, self.rows)
        if limit <= 0:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        faiss.omp_set_num_threads(1)  # of this thread; for a single question a second one only costs
        share = 1.0 if admitted is None else float(admitted.mean())
        if self.quick is not None and share >= QUICK_SHARE:
            looked = np.sort(self.quick.nearest(question, limit, share))
            looked = looked if admitted is None else looked[admitted[looked]]
            if len(looked) >= limit:
                exact = np.vecdot(self.decoded(looked), question)
                best = np.argsort(-exact, kind="stable")[:limit]
                return looked[best], exact[best]
        parameters = None
        if admitted is not None:
            bitmap = np.packbits(admitted, bitorder="little")
            selector = faiss.IDSelectorBitmap(bitmap)  # type: ignore[call-arg,arg-type]  # typed as in C++
            parameters = faiss.SearchParameters(sel=selector)  # type: ignore[call-arg]
        scores, rows = self._index.search(question[None, :], limit, params=parameters)
        found = rows[0] >= 0
        return rows[0][found], scores[0][found]


class GrowingVectors:
    """Vectors added since a snapshot. One thread adds; readers keep to the number of rows they know of."""

    def __init__(self, dimension: int) -> None:
        self._buffer = np.empty((64, dimension), np.float32)
        self.rows = 0

    def add(self, vectors: Vectors) -> None:
        """Appends float16 [n, dimension]; what earlier calls of `first` returned stays as it is."""
        needed = self.rows + len(vectors)
        if needed > len(self._buffer):
            larger = np.empty((max(needed, 2 * len(self._buffer)), self._buffer.shape[1]), np.float32)
            larger[: self.rows] = self._buffer[: self.rows]
            self._buffer = larger
        self._buffer[self.rows : needed] = vectors
        self.rows = needed

    def first(self, rows: int) -> NDArray[np.float32]:
        """The first `rows` vectors, a view, float32 [rows, dimension]."""
        return self._buffer[:rows]


def middle_of(vectors: NDArray[np.float16] | NDArray[np.float32]) -> Vector:
    """The mean of [rows, dimension], taken from some of many rows; zeros without rows."""
    some = vectors[:: max(1, -(-len(vectors) // MIDDLE_ROWS))]
    mean: Vector = some.mean(axis=0, dtype=np.float32) if len(some) else np.zeros(vectors.shape[1], np.float32)
    return mean


def rows_of(first_rows: NDArray[np.int64], passages: NDArray[np.int64] | Sequence[int]) -> NDArray[np.int64]:
    """The rows of `passages` in their order, where passage p has the rows first_rows[p] to first_rows[p + 1] - 1."""
    starts = first_rows[passages]
    counts = first_rows[np.asarray(passages, np.int64) + 1] - starts
    ends = np.cumsum(counts)
    rows: NDArray[np.int64] = np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - (ends - counts), counts)
    return rows
