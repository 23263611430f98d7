"""Fits how the extractive answerer ranks sentences, on public question sets.

    python -m benchmarks.fit_sentences DATA_FOLDER [--sample N] [--cache FOLDER]

Every question is asked of its whole set; a sentence of the passages quoted from is right when it holds a gold answer
and stands in the question's text. The weights are those of a softmax over the sentences that make right ones most
probable, each set counting the same. Prints, per set, how often the best sentence is right: with the weights in the
code, and with weights fitted on the questions about one half of the texts and tested on the other; then the weights
fitted on all, for `rag.answerers.extractive.ranking`.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.fit_abstention import FIT_ON, spread
from benchmarks.question_sets import Asked, EmbeddedSet, default_embedder, load_sets
from rag.answerers.extractive.answerer import QUOTED_PASSAGES
from rag.answerers.extractive.ranking import (
    FEATURES,
    PENALTIES,
    WEIGHTS,
    inverse_frequencies,
    read_hit,
    unit_features,
)
from rag.types import Hit

CANDIDATES = 8
RIDGE = 3.0
ROUNDS = 12
WEIGHT_OF_A_SET = 1000.0

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Ranked:
    """The sentences that a question chooses from: features [sentences, FEATURES], which are right, penalties."""

    document: int
    features: Matrix
    right: NDArray[np.bool_]
    penalties: Matrix

    def best_is_right(self, weights: Matrix) -> bool:
        return bool(self.right[np.argmax(self.features @ weights + self.penalties)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "answerdesk")
    parser.add_argument("--vectors", type=Path, help="where to keep vectors; by default a folder in the cache")
    parser.add_argument("--sample", type=int, default=0, help="ask about N questions of each set, evenly spread")
    arguments = parser.parse_args()
    embedder = default_embedder(arguments.cache)
    chosen = [each for each in load_sets(arguments.data) if each.name in FIT_ON]
    vectors = arguments.vectors or arguments.cache / "vectors"
    sets = {each.name: ranked(EmbeddedSet(each, embedder, vectors), arguments.sample) for each in chosen}
    halves = [
        fit([[each for each in questions if each.document // 10 % 2 != half] for questions in sets.values()])
        for half in (0, 1)
    ]
    for name, questions in sets.items():
        crossed = np.mean([each.best_is_right(halves[each.document // 10 % 2]) for each in questions])
        now = np.mean([each.best_is_right(WEIGHTS) for each in questions])
        print(f"{name:12} best sentence right: {now:.3f}, fitted on the other half {crossed:.3f}, of {len(questions)}")
    for name, weight in zip(FEATURES, fit(list(sets.values())), strict=True):
        print(f"{name:16} {weight:8.2f}")


def ranked(each: EmbeddedSet, sample: int) -> list[Ranked]:
    """What each answerable question of a set chooses from."""
    retriever = each.retriever(range(len(each.set.documents)))
    questions = spread([question for question in each.set.questions if question.answers], sample)
    found = [sentences(asked, retriever.search(asked.text, top_k=CANDIDATES).hits) for asked in questions]
    return [sentence for sentence in found if sentence is not None]


def sentences(asked: Asked, hits: Sequence[Hit]) -> Ranked | None:
    """What one question chooses from; None where nothing is quoted from."""
    read = [read_hit(hit) for hit in hits]
    frequencies = inverse_frequencies(asked.text, [hit.all_terms for hit in read])
    quoted = read[:QUOTED_PASSAGES]
    places = [(hit, unit) for hit in quoted for unit in range(len(hit.layout.units))]
    if not places:
        return None
    last = min(hit.score for hit in hits)
    features = [unit_features(asked.text, quoted, index, frequencies, last) for index in range(len(quoted))]
    right = [
        hit.hit.passage.document_key == asked.document and any(gold in hit.text(unit) for gold in asked.answers)
        for hit, unit in places
    ]
    penalties = [PENALTIES.get(hit.layout.units[unit].kind, 0.0) for hit, unit in places]
    return Ranked(asked.document, np.concatenate(features), np.array(right), np.array(penalties))


def fit(sets: Sequence[Sequence[Ranked]]) -> Matrix:
    """The weights under which right sentences are most probable (Newton's method on scaled features, ridge penalty)."""
    scale = np.concatenate([each.features for questions in sets for each in questions]).std(0) + 1e-9
    solution = np.zeros(len(FEATURES))
    for _ in range(ROUNDS):
        gradient, curvature = -RIDGE * solution, RIDGE * np.eye(len(FEATURES))
        for questions in sets:
            useful = [each for each in questions if each.right.any()]
            for each in useful:
                features = each.features / scale
                scores = features @ solution + each.penalties
                shares = np.exp(scores - scores.max())
                shares /= shares.sum()
                wanted = shares * each.right / (shares @ each.right)
                mean = shares @ features
                weight = WEIGHT_OF_A_SET / len(useful)
                gradient += weight * (wanted @ features - mean)
                curvature += weight * ((features * shares[:, None]).T @ features - np.outer(mean, mean))
        solution += np.linalg.solve(curvature, gradient)
    weights: Matrix = solution / scale
    return weights


if __name__ == "__main__":
    main()
