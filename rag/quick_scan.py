"""A fast first look at many vectors: one bit a dimension is scanned, and the best of it are compared exactly.

Owns the FAISS index of RaBitQ codes, how deep a look must be, and the measurement that decides whether it may be used
at all. Embeddings of sentences lie too evenly for lists of neighbours: on 44,000 windows of two manuals an inverted
file had to read a fifth of all rows to find 98 in 100 of the nearest, and a graph can neither remove nor filter. Codes
are made in seconds and read whole, so nothing is missed for lying elsewhere.
Source: J. Gao and C. Long, RaBitQ (SIGMOD 2024). Does not know what a row stands for.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray

from rag.errors import IndexDamaged
from rag.types import Vector, Vectors

FROM_ROWS = 250_000
"""Below this an exact search is as fast: `benchmarks/index.py`."""

WANTED_RECALL = 0.985
DEPTHS = (2, 3, 4, 5, 6, 8, 12, 16, 24)
"""Rows looked at for each row wanted, at least for 480. The first that reaches `WANTED_RECALL` is kept."""

_PROBES = 64
_PROBED_ROWS = 480
_TRAINED_ON = 100_000
_CODED_AT_ONCE = 65_536


@dataclass(frozen=True, slots=True)
class QuickScan:
    """Codes of all rows of an index. `recall` is the share of the nearest `_PROBED_ROWS` rows that `depth` found."""

    index: faiss.IndexRaBitQFastScan
    depth: int
    recall: float

    @classmethod
    def of(cls, vectors: Vectors, exact: faiss.Index) -> "QuickScan | None":
        """Codes of float16 [rows, dimension], or None where no depth comes close enough to the `exact` search.

        Takes about 4 s and 55 MB a million rows of 384 dimensions.
        """
        index = faiss.IndexRaBitQFastScan(vectors.shape[1], faiss.METRIC_INNER_PRODUCT)
        step = max(1, len(vectors) // _TRAINED_ON)
        index.train(vectors[::step].astype(np.float32))
        for begin in range(0, len(vectors), _CODED_AT_ONCE):
            index.add(vectors[begin : begin + _CODED_AT_ONCE].astype(np.float32))
        probes = vectors[:: max(1, len(vectors) // _PROBES)][:_PROBES].astype(np.float32)
        wanted = min(_PROBED_ROWS, len(vectors))
        truth = exact.search(probes, wanted)[1]
        for depth in DEPTHS:
            looked = index.search(probes, min(depth * wanted, len(vectors)))[1]
            found = [np.isin(true, seen).mean() for true, seen in zip(truth, looked, strict=True)]
            recall = float(np.mean(found))
            if recall >= WANTED_RECALL:
                return cls(index, depth, recall)
        return None

    def nearest(self, question: Vector, wanted: int, share: float) -> NDArray[np.int64]:
        """Rows among which the `wanted` nearest are to be sought, where a `share` of all rows is admitted; int64."""
        count = min(int(self.depth * max(wanted, _PROBED_ROWS) / share), int(self.index.ntotal))
        rows: NDArray[np.int64] = self.index.search(question[None, :], count)[1][0]
        return rows[rows >= 0]

    def write(self, path: Path) -> None:
        """Writes the codes to `path` and beside them, in JSON, what was measured."""
        faiss.write_index(self.index, str(path))
        path.with_suffix(".json").write_text(json.dumps({"depth": self.depth, "recall": self.recall}) + "\n")

    @classmethod
    def read(cls, path: Path) -> "QuickScan":
        """Raises `IndexDamaged` when the files are not such an index."""
        try:
            index = faiss.read_index(str(path))
            measured = json.loads(path.with_suffix(".json").read_text())
            depth, recall = int(measured["depth"]), float(measured["recall"])
        except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
            raise IndexDamaged(f"{path} cannot be read; `answerdesk index rebuild` makes a new one") from error
        if not isinstance(index, faiss.IndexRaBitQFastScan) or depth < 1:
            raise IndexDamaged(f"{path} is an index of another kind; `answerdesk index rebuild` makes a new one")
        return cls(index, depth, recall)
