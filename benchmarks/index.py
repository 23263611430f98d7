"""Vector search at growing sizes: latency, memory and recall of the quick look beside the exact search.

    python -m benchmarks.index KNOWLEDGE_BASE [--sizes 10000,100000,1000000] [--questions 100]

Takes the vectors of a knowledge base of the configured installation (one large manual at least). Every tenth of its
rows is a question and left out of the rows searched. Sizes beyond the real rows are filled with a + (b - c) / 2 of
three real rows: such rows have the real ones' mean and covariance and lie between them, not in clusters of their own.
Searches take turns question by question, one thread each.
"""

import argparse
import resource
import time
from collections.abc import Sequence

import faiss
import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select

from app.db import Database
from app.models import KnowledgeBase, Passage, PassageVectors
from app.passages import unpack_vectors
from app.settings import Settings
from rag.quick_scan import WANTED_RECALL
from rag.types import Vectors
from rag.vector_index import VectorIndex

LIMIT = 480
"""Rows a question asks for: 8 for each of 60 candidate passages."""

HEADER = "      rows  real  exact ms  quick ms  ratio  recall  at 10  depth      MB  quick MB  build s"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("knowledge_base")
    parser.add_argument("--sizes", default="10000,100000,1000000")
    parser.add_argument("--questions", type=int, default=100)
    arguments = parser.parse_args()
    real = _real_rows(arguments.knowledge_base)
    held_out = np.zeros(len(real), np.bool_)
    held_out[::10] = True
    questions = _spread(real[held_out], arguments.questions).astype(np.float32)
    rows = real[~held_out]
    print(f"{len(rows):,} real rows of {arguments.knowledge_base}, {len(questions)} questions, {LIMIT} rows wanted")
    print(HEADER)
    for size in [int(size) for size in arguments.sizes.split(",")]:
        print(_measured(_of_size(rows, size), min(1.0, len(rows) / size), questions), flush=True)


def _measured(vectors: Vectors, real: float, questions: NDArray[np.float32]) -> str:
    exact = VectorIndex.of(vectors, quick_from=len(vectors) + 1)
    began = time.perf_counter()
    quick = VectorIndex.of(vectors, quick_from=1)
    built = time.perf_counter() - began
    if quick.quick is None:
        return f"{len(vectors):>10,} {real:>5.0%} no depth reaches a recall of {WANTED_RECALL}: the search stays exact"
    seconds: tuple[list[float], list[float]] = ([], [])
    recalls, recalls_at_10 = [], []
    for question in questions:
        truth = _timed(exact, question, seconds[0])
        found = _timed(quick, question, seconds[1])
        recalls.append(np.isin(truth, found).mean())
        recalls_at_10.append(np.isin(truth[:10], found[:10]).mean())
    by_exact, by_quick = (float(np.median(each)) * 1000 for each in seconds)
    codes = faiss.serialize_index(quick.quick.index).nbytes
    return (
        f"{len(vectors):>10,} {real:>5.0%} {by_exact:>9.2f} {by_quick:>9.2f} {by_quick / by_exact:>6.2f} "
        f"{np.mean(recalls):>7.4f} {np.mean(recalls_at_10):>6.4f} {quick.quick.depth:>6} {vectors.nbytes / 1e6:>7.0f} "
        f"{codes / 1e6:>9.0f} {built:>8.1f}   (peak of the process {_peak_mb():,.0f} MB)"
    )


def _timed(index: VectorIndex, question: NDArray[np.float32], seconds: list[float]) -> NDArray[np.int64]:
    began = time.perf_counter()
    rows, _ = index.search(question, LIMIT)
    seconds.append(time.perf_counter() - began)
    return rows


def _of_size(rows: Vectors, size: int) -> Vectors:
    """float16 [size, dimension]: the real rows, cut or filled up."""
    if size <= len(rows):
        return np.ascontiguousarray(_spread(rows, size))
    random = np.random.default_rng(0)
    filled = np.empty((size, rows.shape[1]), np.float16)
    filled[: len(rows)] = rows
    for begin in range(len(rows), size, 65_536):
        count = min(65_536, size - begin)
        a, b, c = (rows[random.integers(0, len(rows), count)].astype(np.float32) for _ in range(3))
        made = a + (b - c) / 2
        filled[begin : begin + count] = made / np.linalg.norm(made, axis=1, keepdims=True)
    return filled


def _spread(rows: Vectors, count: int) -> Vectors:
    """`count` rows, evenly from all."""
    return rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(np.int64)]


def _real_rows(name: str) -> Vectors:
    settings = Settings()
    database = Database(settings.database_url, settings.database.busy_timeout_s)
    with database.read() as session:
        base = session.scalars(select(KnowledgeBase).where(KnowledgeBase.name == name)).one_or_none()
        if base is None:
            raise SystemExit(f"There is no knowledge base {name!r} in {settings.home_folder}.")
        packed: Sequence[bytes] = session.scalars(
            select(PassageVectors.vectors)
            .join(Passage, Passage.key == PassageVectors.passage_key)
            .where(Passage.knowledge_base_id == base.id)
            .order_by(Passage.key)
        ).all()
    return np.concatenate([unpack_vectors(each, base.dimension) for each in packed])


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
