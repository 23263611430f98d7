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

from rag.answerers.extractive.parts import Asked, rows_named
from rag.answerers.extractive.ranking import ReadHit
from rag.language import language_of
from rag.types import Hit

FEATURES = ("nearness", "ahead_of_mean", "ahead_in_score", "coverage", "window_coverage")
"""Best cosine of the passage that answers; its lead over the mean of its rivals; the lead of its fused score over the
best of them; coverage of the question by the passage and by its best window."""

_ROW_NAMED = 4.0
_CODE_NOWHERE = -4.0
"""Log-odds for a table row that begins with the code asked for, and for a code that no passage found has. Not fitted:
the public sets have no such questions."""


@dataclass(frozen=True, slots=True)
class ConfidenceModel:
    """Weights per feature, and the typical values used where there is nothing to compare with."""

    bias: float
    weights: Mapping[str, float]
    typical: Mapping[str, float]
    refuse_below: float
    doubt_below: float

    def probability(
        self, features: Mapping[str, float], *, row_named: float = 0.0, code_nowhere: bool = False
    ) -> float:
        """That the passages answer the question, between 0 and 1.

        row_named: how much of the question a table row covers that begins with a code it names, from 0 to 1;
        code_nowhere: one of the question's codes is in no passage found.
        """
        logit = self.bias + sum(weight * features[name] for name, weight in self.weights.items())
        logit += _ROW_NAMED * row_named + _CODE_NOWHERE * code_nowhere
        return 1 / (1 + math.exp(-max(-50.0, min(50.0, logit))))


def fitted_model() -> ConfidenceModel:
    """The model fitted on public data (`confidence.json`)."""
    raw = json.loads(resources.files(__package__).joinpath("confidence.json").read_text(encoding="utf-8"))
    return ConfidenceModel(raw["bias"], raw["weights"], raw["typical"], raw["refuse_below"], raw["doubt_below"])


def confidence_features(
    read: Sequence[ReadHit], best: int, frequencies: Mapping[str, float], typical: Mapping[str, float]
) -> dict[str, float]:
    """The features of the hit of number `best` among all of them.

    Its rivals are the hits of other sections, in its own language as far as there are some: passages of one section,
    and translations, are near to the same questions. Without rivals there is no lead to look at, and `typical` stands
    in for it.
    """
    hit = read[best].hit
    nearness = _nearness(hit, typical)
    rivals = [other.hit for other in read if other is not read[best] and not _same_section(hit, other.hit)]
    language = language_of(hit.passage.text)
    rivals = [rival for rival in rivals if language_of(rival.passage.text) == language] or rivals
    total = sum(frequencies.values())
    features = {**typical, "nearness": nearness}
    if rivals:
        features["ahead_of_mean"] = nearness - sum(_nearness(rival, typical) for rival in rivals) / len(rivals)
        features["ahead_in_score"] = hit.score - max(rival.score for rival in rivals)
    if total:
        features["coverage"] = _share(frequencies, read[best].all_terms, total)
        features["window_coverage"] = _share(frequencies, _best_window_terms(read[best]), total)
    return features


def named_row_coverage(read: Sequence[ReadHit], asked: Asked) -> float:
    """How much of the question is in a row that begins with its code and in the headings over it; 0 without one."""
    total = sum(asked.frequencies.values()) or 1.0
    named = ((hit, row) for hit in read for row in rows_named(asked, hit))
    return max((_share(asked.frequencies, hit.front | hit.terms[row], total) for hit, row in named), default=0.0)


def _nearness(hit: Hit, typical: Mapping[str, float]) -> float:
    return max(hit.window_scores, default=typical["nearness"])


def _same_section(hit: Hit, other: Hit) -> bool:
    one, two = hit.passage, other.passage
    return one.document_key == two.document_key and one.heading_path == two.heading_path


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
