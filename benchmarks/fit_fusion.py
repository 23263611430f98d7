"""Fits the weights by which candidates are ranked, on public question sets.

    python -m benchmarks.fit_fusion DATA_FOLDER [--write] [--cache FOLDER] [--vectors FOLDER]

Each question's candidates and their signals come from the product's own index; the weights make the passage that
holds the answer the most probable one (softmax over the windows of all candidates). The weights of words and vectors
are fitted on the sets of one language, those for foreign questions on top of them on xquad asked across languages.
Prints for every set hit@1 and recall@5 of the plain mix, of weights fitted on the sets of other families, of weights
fitted on the set itself, and of what is written, fitted on all; then the gain of the transferred weights over the mix
with a 95% interval from a paired bootstrap over the questions. Across languages there is one family: those two sets
are each other's test.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize  # type: ignore[import-untyped]

from benchmarks.question_sets import EmbeddedSet, cross_language_sets, default_embedder, load_sets
from rag.analyzer import words
from rag.fusion import SIGNALS, Signals, mixed_scores, signals_of
from rag.retriever import RetrievalSettings

FAMILIES = {
    "emanual_smart_tv": ("emanual_smart_tv",),
    "xquad": ("xquad en", "xquad zh"),
    "cmrc2018": ("cmrc2018",),
}
FOREIGN = ("english over chinese", "chinese over english")
FOREIGN_SIGNALS = ("whole_if_foreign", "middle_if_foreign", "translated", "translated_in_passage")
MIX_SHARE = 0.65
"""Of the vectors in the plain mix; the learned weights are written on its scale."""

PENALTY = 1e-3
PER_SET = 1000  # questions fitted on, so that no set outweighs another by far in time
CANDIDATES_FITTED = 40
ROUNDS = 10_000
WEIGHTS_FILE = Path(__file__).parent.parent / "rag" / "fusion.json"

Weights = NDArray[np.float64]


@dataclass(frozen=True)
class Seen:
    """A question's candidates: signals, scores by the plain mix, their documents, and the documents that answer it."""

    signals: Signals
    mixed: NDArray[np.float32]
    documents: NDArray[np.int64]
    right: tuple[int, ...]

    def is_right(self) -> NDArray[np.bool_]:
        return np.isin(self.documents, self.right)

    def figures(self, weights: Weights | None) -> tuple[float, float]:
        """Hit at 1 and recall at 5 by distinct documents; None for the plain mix."""
        scores = self.mixed if weights is None else self.signals.scores(weights.astype(np.float32))
        ranked = list(dict.fromkeys(self.documents[np.argsort(-scores, kind="stable")].tolist()))[:5]
        return float(ranked[0] in self.right), len(set(ranked).intersection(self.right)) / len(self.right)


def main() -> None:
    arguments = _arguments()
    embedder = default_embedder(arguments.cache)
    seen = {
        each.name: questions_seen(EmbeddedSet(each, embedder, arguments.vectors or arguments.cache / "vectors"))
        for each in [*load_sets(arguments.data), *cross_language_sets(arguments.data)]
        if each.name in (*FOREIGN, *(name for family in FAMILIES.values() for name in family))
    }
    all_names = tuple(name for family in FAMILIES.values() for name in family)
    shipped = fitted(seen, all_names, FOREIGN)
    for family, names in FAMILIES.items():
        others = tuple(name for name in all_names if name not in names)
        transferred = fitted(seen, others, () if family == "xquad" else FOREIGN)
        for name in names:
            report(name, seen[name], transferred, fitted(seen, (name,), ()), shipped)
    for name in FOREIGN:
        rest = tuple(other for other in FOREIGN if other != name)
        report(name, seen[name], fitted(seen, all_names, rest), fitted(seen, all_names, (name,)), shipped)
    print({name: round(float(weight), 3) for name, weight in zip(SIGNALS, shipped, strict=True)})
    if arguments.write:
        weights = {name: round(float(weight), 4) for name, weight in zip(SIGNALS, shipped, strict=True)}
        content = {"fitted_on": [*all_names, *FOREIGN], "weights": weights}
        WEIGHTS_FILE.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def questions_seen(each: EmbeddedSet) -> list[Seen]:
    """What the product's retriever sees of each answerable question, over the whole set."""
    retriever = each.retriever(range(len(each.set.documents)))
    view = retriever.index.refresh(retriever.store)
    document_of = {passage.key: passage.document_key for passage in each.passages}
    found = []
    for asked in each.set.questions:
        if not asked.answers:
            continue
        vector = np.asarray(each.embeddings.embed_query(asked.text), np.float32)
        own = words(asked.text)
        spelled = view.spelling(own)
        own = [spelled.get(word, word) for word in own]
        weights = {word: float(own.count(word)) for word in own}
        foreign = view.foreign_words(own, retriever.dictionary) if retriever.dictionary else ()
        candidates = view.search(vector, weights, RetrievalSettings().candidates, foreign=foreign)
        documents = np.array([document_of[key] for key in candidates.keys.tolist()])
        mixed = mixed_scores(candidates, MIX_SHARE, 0.0)
        found.append(Seen(signals_of(candidates, own), mixed, documents, (asked.document, *asked.also)))
    return found


def fitted(seen: dict[str, list[Seen]], names: Sequence[str], foreign: Sequence[str]) -> Weights:
    """Weights of the signals: first those of one language, then, these kept, those for foreign questions."""
    is_foreign = np.array([name in FOREIGN_SIGNALS for name in SIGNALS])
    weights = np.zeros(len(SIGNALS))
    weights = _minimised([seen[name] for name in names], weights, ~is_foreign)
    if foreign:
        weights = _minimised([seen[name] for name in foreign], weights, is_foreign)
    of_window = float(weights[SIGNALS.index("window")])
    return np.asarray(weights * (MIX_SHARE / of_window), np.float64)


def _minimised(sets: Sequence[Sequence[Seen]], start: Weights, free: NDArray[np.bool_]) -> Weights:
    """`start` with the free weights such that the right passages' windows are the most probable."""
    rows, is_right, owner, share = [], [], [], []
    for questions in sets:
        answerable = [one for one in questions if one.is_right().any()]
        some = answerable[:: max(1, len(answerable) // PER_SET)]
        for one in some:
            right = one.is_right()
            kept = right | (np.argsort(np.argsort(-one.mixed)) < CANDIDATES_FITTED)
            counts = np.diff(np.append(one.signals.first_windows, len(one.signals.of_windows)))
            in_kept = np.repeat(kept, counts)
            rows.append(one.signals.of_windows[in_kept])
            is_right.append(np.repeat(right, counts)[in_kept])
            owner.append(len(rows[-1]))
            share.append(1 / len(some) / len(sets))
    every, right_rows, shares = np.concatenate(rows), np.concatenate(is_right), np.array(share)
    starts = np.concatenate([[0], np.cumsum(owner)[:-1]])
    of = np.repeat(np.arange(len(owner)), owner)

    def loss(values: Weights) -> tuple[float, Weights]:
        weights = start.copy()
        weights[free] = values
        scores = every @ weights.astype(np.float32)
        powers = np.exp(scores - np.maximum.reduceat(scores, starts)[of])
        probable = powers / np.add.reduceat(powers, starts)[of]
        of_right = np.add.reduceat(probable * right_rows, starts) + 1e-12
        slope = (shares[of] * (probable - probable * right_rows / of_right[of])) @ every
        value = -float(shares @ np.log(of_right)) + PENALTY * float(values @ values)
        return value, slope[free].astype(np.float64) + 2 * PENALTY * values

    found = start.copy()
    found[free] = minimize(loss, start[free], jac=True, method="L-BFGS-B").x
    return found


def report(name: str, questions: Sequence[Seen], transferred: Weights, own: Weights, shipped: Weights) -> None:
    every = {
        what: np.array([one.figures(weights) for one in questions])
        for what, weights in (("mix", None), ("transferred", transferred), ("own", own), ("shipped", shipped))
    }
    figures = "  ".join(f"{what} {values[:, 0].mean():.4f} {values[:, 1].mean():.4f}" for what, values in every.items())
    low, high = interval(every["transferred"] - every["mix"])
    print(f"{name:21} hit@1 recall@5: {figures}", flush=True)
    print(f"{'':21} transferred - mix: hit@1 {low[0]:+.4f} to {high[0]:+.4f}, recall@5 {low[1]:+.4f} to {high[1]:+.4f}")


def interval(differences: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The middle 95% of the mean difference when the questions are drawn again, [figures] each."""
    dice = np.random.default_rng(7)
    drawn = [differences[dice.integers(0, len(differences), len(differences))].mean(axis=0) for _ in range(ROUNDS)]
    return np.quantile(drawn, 0.025, axis=0), np.quantile(drawn, 0.975, axis=0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "answerdesk")
    parser.add_argument("--vectors", type=Path, help="where to keep vectors; by default a folder in the cache")
    parser.add_argument("--write", action="store_true", help="write the weights file of the product")
    return parser.parse_args()


if __name__ == "__main__":
    main()
