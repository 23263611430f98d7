"""How sure one may be that the passages found answer the question.

Owns a logistic model over what can be seen of the hits: how near the best window is, how far ahead of the other
passages, and how much of the question's words it has. The weights are fitted by `benchmarks/fit_abstention.py` and
lie beside this file; the features are taken from the hits alone, so that they mean the same in a knowledge base of
40 pages and in one of 100,000.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources

from rag.answerers.extractive_ranking import ReadHit
from rag.types import Hit

FEATURES = ("nearness", "ahead_of_mean", "ahead_of_next", "coverage", "window_coverage")
"""Best cosine; its lead over the mean and over the best of the other hits; coverage by passage and by window."""


@dataclass(frozen=True, slots=True)
class ConfidenceModel:
    """Weights per feature, and the typical values used where there is nothing to compare with."""

    bias: float
    weights: Mapping[str, float]
    typical: Mapping[str, float]
    refuse_below: float
    doubt_below: float

    def probability(self, features: Mapping[str, float]) -> float:
        """That the passages answer the question, between 0 and 1."""
        logit = self.bias + sum(weight * features[name] for name, weight in self.weights.items())
        return 1 / (1 + math.exp(-max(-50.0, min(50.0, logit))))


def fitted_model() -> ConfidenceModel:
    """The model fitted on public data (`confidence.json`)."""
    raw = json.loads(resources.files(__package__).joinpath("confidence.json").read_text(encoding="utf-8"))
    return ConfidenceModel(raw["bias"], raw["weights"], raw["typical"], raw["refuse_below"], raw["doubt_below"])


def confidence_features(
    hits: Sequence[Hit], best: ReadHit, frequencies: Mapping[str, float], typical: Mapping[str, float]
) -> dict[str, float]:
    """The features of the first of `hits`, which is `best`, among all of them.

    Where only one passage was found there is no lead to look at, and `typical` stands in for it.
    """
    nearness = [max(hit.window_scores, default=typical["nearness"]) for hit in hits]
    others = nearness[1:]
    total = sum(frequencies.values())
    features = dict(typical)
    features["nearness"] = nearness[0]
    if others:
        features["ahead_of_mean"] = nearness[0] - sum(others) / len(others)
        features["ahead_of_next"] = nearness[0] - max(others)
    if total:
        features["coverage"] = _share(frequencies, best.front.union(*best.terms), total)
        features["window_coverage"] = _share(frequencies, _best_window_terms(best), total)
    return features


def _share(frequencies: Mapping[str, float], terms: frozenset[str], total: float) -> float:
    return sum(weight for term, weight in frequencies.items() if term in terms) / total


def _best_window_terms(read: ReadHit) -> frozenset[str]:
    """The terms of the units that the best window touches, and those of title and headings."""
    scores, windows = read.hit.window_scores, read.hit.passage.windows
    if not scores or len(scores) != len(windows):
        return read.front.union(*read.terms)
    start, end = windows[max(range(len(scores)), key=scores.__getitem__)]
    touched = [read.terms[i] for i, unit in enumerate(read.layout.units) if unit.start < end and unit.end > start]
    return read.front.union(*touched)
