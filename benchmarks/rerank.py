"""What a second look at the first passages gains and costs: `python -m benchmarks.rerank FOLDER [--cache FOLDER]`.

FOLDER holds the public sets (`benchmarks.question_sets`). Every answerable question is searched for as it is, and with
each reranker over the same first passages: late interaction over the windows' cosines in several forms, and with
`--model` a cross-encoder, as `ANSWERDESK_RETRIEVAL__RERANKER` takes it. Printed are hit@1 and recall@5, the gain in
hit@1 with a paired bootstrap interval, and the median time of the search. All are asked in turn, so that the machine's
noise is the same for all.
"""

import argparse
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.question_sets import Asked, EmbeddedSet, cross_language_sets, default_embedder, load_sets
from model_runtime.cross_encoder import load_cross_encoder
from rag.rerank import PairReranker, Reranker
from rag.retriever import HybridRetriever
from rag.types import Hit, Vector

SAMPLES = 2000


class BestWindows:
    """Fused score plus a share of the mean cosine of a passage's best windows, in deviations over the passages."""

    def __init__(self, windows: int, share: float) -> None:
        self._windows = windows
        self._share = share

    def scores(self, question: str, vector: Vector, hits: Sequence[Hit]) -> NDArray[np.float32]:
        means = [float(np.mean(sorted(_windows_of(hit))[-self._windows :])) for hit in hits]
        return _mixed(hits, means, self._share)


class NeighbouringWindows:
    """Fused score plus a share of the best mean cosine of two windows side by side."""

    def __init__(self, share: float) -> None:
        self._share = share

    def scores(self, question: str, vector: Vector, hits: Sequence[Hit]) -> NDArray[np.float32]:
        best: list[float] = []
        for hit in hits:
            windows = np.array(_windows_of(hit))
            pairs = (windows[1:] + windows[:-1]) / 2
            best.append(float(pairs.max() if len(pairs) else windows.max()))
        return _mixed(hits, best, self._share)


def main() -> None:
    arguments = _arguments()
    embedder = default_embedder(arguments.model_cache)
    ways: dict[str, Reranker | None] = {
        "as it is": None,
        **{f"best {n} windows, {share:g}": BestWindows(n, share) for n in (2, 3) for share in (0.1, 0.3, 1.0)},
        **{f"neighbouring windows, {share:g}": NeighbouringWindows(share) for share in (0.1, 0.3, 1.0)},
    }
    if arguments.model:
        ways = {
            "as it is": None,
            arguments.model: PairReranker(load_cross_encoder(arguments.model, arguments.model_cache)),
        }
    for questions in [*load_sets(arguments.folder), *cross_language_sets(arguments.folder)]:
        if arguments.sets and questions.name not in arguments.sets:
            continue
        embedded = EmbeddedSet(questions, embedder, arguments.cache)
        retriever = embedded.retriever(range(len(questions.documents)))
        settings = replace(retriever.settings, reranked=arguments.passages)
        retrievers = {
            name: retriever.model_copy(update={"reranker": way, "settings": settings}) for name, way in ways.items()
        }
        answerable = [asked for asked in questions.questions if asked.answers][:: arguments.every]
        _print(questions.name, _ranks(retrievers, answerable))


def _windows_of(hit: Hit) -> Sequence[float]:
    return hit.window_scores or (hit.signals["whole"],)


def _mixed(hits: Sequence[Hit], signal: Sequence[float], share: float) -> NDArray[np.float32]:
    values = np.array(signal, np.float32)
    fused = np.array([hit.score for hit in hits], np.float32)
    if len(hits) < 2:
        return fused
    mixed: NDArray[np.float32] = fused + share * (values - values.mean()) / max(float(values.std()), 1e-6)
    return mixed


def _ranks(
    retrievers: Mapping[str, HybridRetriever], questions: Sequence[Asked]
) -> dict[str, tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """For each way and question the rank of the first text that answers, 5 for none in five, and the milliseconds."""
    found: dict[str, list[tuple[int, float]]] = {name: [] for name in retrievers}
    for asked in questions:
        wanted = {asked.document, *asked.also}
        for name, retriever in retrievers.items():
            start = time.perf_counter()
            hits = retriever.search(asked.text, top_k=5).hits
            took = 1000 * (time.perf_counter() - start)
            places = ({hit.passage.external_id, *(at.external_id for at in hit.also_at)} for hit in hits)
            answering = {str(document) for document in wanted}
            found[name].append((next((rank for rank, at in enumerate(places) if at & answering), 5), took))
    return {
        name: (np.array([rank for rank, _ in each]), np.array([took for _, took in each]))
        for name, each in found.items()
    }


def _print(name: str, ranks: Mapping[str, tuple[NDArray[np.int64], NDArray[np.float64]]]) -> None:
    random = np.random.default_rng(1)
    before, time_before = ranks["as it is"]
    resampled = random.integers(0, len(before), (SAMPLES, len(before)))
    print(f"{name}, {len(before)} questions")
    for way, (rank, took) in ranks.items():
        gains = ((rank == 0).astype(float) - (before == 0))[resampled].mean(axis=1)
        low, high = np.quantile(gains, (0.025, 0.975))
        gain = float((rank == 0).mean() - (before == 0).mean())
        print(
            f"  {way}: hit@1 {(rank == 0).mean():.4f} ({gain:+.4f}, {low:+.4f} to {high:+.4f}), "
            f"recall@5 {(rank < 5).mean():.4f}, {np.median(took):.1f} ms, "
            f"{np.median(took) / np.median(time_before):.2f} of the search as it is",
            flush=True,
        )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Time and gain of rerankers.")
    parser.add_argument("folder", type=Path, help="where the public sets are")
    parser.add_argument("--model", default="", help="a cross-encoder: a folder, or a hub id that has been downloaded")
    parser.add_argument("--passages", type=int, default=20, help="how many passages are looked at again")
    parser.add_argument("--sets", nargs="*", help="only these, by name")
    parser.add_argument("--every", type=int, default=1, help="only every Nth question")
    parser.add_argument("--cache", type=Path, default=Path("/tmp/answerdesk-sets"), help="where vectors are kept")
    parser.add_argument("--model-cache", type=Path, default=Path("~/.cache/answerdesk").expanduser())
    return parser.parse_args()


if __name__ == "__main__":
    main()
