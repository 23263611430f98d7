"""How sure one may be that the passages found answer the question.

Owns a logistic model over what can be seen of the hits, and its thresholds by the wanted rate of errors. The weights
are fitted by `benchmarks/fit_abstention.py` and lie beside this file. The features are taken from vectors and words of
the hits alone, never from their fused score, so that they mean the same in a knowledge base of 40 pages and in one of
100,000, and whatever the ranking was made with.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

from rag.answerers.extractive.coverage import Coverage
from rag.answerers.extractive.parts import Asked, rows_named
from rag.answerers.extractive.ranking import ReadHit
from rag.answerers.extractive.terms import asks_for_steps, content_terms, names_written_in, question_terms
from rag.language import Language, language_of
from rag.types import Hit

FEATURES = (
    "near_and_covered",  # nearness of the best window, times the question's share in the two best sentences
    "lead",  # how much nearer the best window is than that of any rival
    "window_coverage",  # the question's share in the best window
    "coverage_lead",  # in the passage, over the mean of its rivals
    "numbers_there",  # 1 unless the question has a number or a code that the passage has not
    "names_there",  # the share of the question's names and quoted terms that the passage has
)
"""Of the passage that answers. All of them speak for the answer: the larger, the surer."""

SENTENCE_COVERAGE = "sentence_coverage"
"""What `near_and_covered` is made with; it has a typical value and no weight."""

_KANA = re.compile(r"[\u3041-\u30ff]")
_FAR = 0.75
"""Cosine of the default embedder below which nothing is near."""

_ROW_NAMED = 4.0
_CODE_NOWHERE = -4.0
_STEPS_NAMED = 2.0
"""Log-odds for a table row that begins with the code asked for, for a code that no passage found has, and for steps
under a heading that the question names. Not fitted: the public sets have no such questions."""
_NAMED = 1 / 3
"""Share of the question's terms that a heading must have to be what the question is about."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """A probability, and what refusing below it costs: shares of the questions of the sets it was fitted on.

    false_refusals: of those that the texts answer; false_answers: of those whose text had been left out.
    """

    probability: float
    false_refusals: float
    false_answers: float


@dataclass(frozen=True, slots=True)
class ConfidenceModel:
    """Weights per feature, typical values for where there is nothing to compare with, and thresholds, rising."""

    bias: float
    weights: Mapping[str, float]
    typical: Mapping[str, float]
    refuse_below: float
    doubt_below: float
    thresholds: Sequence[Threshold] = ()

    def probability(
        self,
        features: Mapping[str, float],
        *,
        row_named: float = 0.0,
        code_nowhere: bool = False,
        steps_named: bool = False,
    ) -> float:
        """That the passages answer the question, between 0 and 1.

        row_named: how much of the question a table row covers that begins with a code it names, from 0 to 1;
        code_nowhere: one of the question's codes is in no passage found; steps_named: the answer is a procedure under
        a heading that the question names.
        """
        logit = self.bias + sum(weight * features[name] for name, weight in self.weights.items())
        logit += _ROW_NAMED * row_named + _CODE_NOWHERE * code_nowhere + _STEPS_NAMED * steps_named
        return 1 / (1 + math.exp(-max(-50.0, min(50.0, logit))))

    def for_false_refusals(self, share: float) -> float:
        """The highest probability to refuse below that turns away at most this share of what could be answered."""
        allowed = [each.probability for each in self.thresholds if each.false_refusals <= share]
        return max(allowed, default=0.0)

    def for_false_answers(self, share: float) -> float:
        """The lowest probability to refuse below that answers at most this share of what cannot be answered."""
        allowed = [each.probability for each in self.thresholds if each.false_answers <= share]
        return min(allowed, default=1.0)


@cache
def fitted_model() -> ConfidenceModel:
    """The model fitted on public data (`confidence.json`)."""
    raw = json.loads(resources.files(__package__).joinpath("confidence.json").read_text(encoding="utf-8"))
    thresholds = tuple(Threshold(*each) for each in raw["thresholds"])
    return ConfidenceModel(
        raw["bias"], raw["weights"], raw["typical"], raw["refuse_below"], raw["doubt_below"], thresholds
    )


def confidence_features(
    question: str, read: Sequence[ReadHit], best: int, frequencies: Mapping[str, float], typical: Mapping[str, float]
) -> dict[str, float]:
    """The features of the hit of number `best` among all of them, and its cosine (`nearness`).

    Its rivals are the hits of other sections, in its own language as far as there are some: passages of one section,
    and translations, are near to the same questions. Where there is nothing to look at - no rivals, no words, a
    passage in another language than the question of which no word could be translated - `typical` stands in.
    """
    hit = read[best].hit
    nearness = _nearness(hit)
    rivals = [other for other in read if other is not read[best] and not _same_section(hit, other.hit)]
    language = _language(hit.passage.text)
    rivals = [rival for rival in rivals if _language(rival.hit.passage.text) == language] or rivals
    features = dict(typical)
    if rivals:
        features["lead"] = nearness - max(_nearness(rival.hit) for rival in rivals)
    foreign = is_foreign(question, read[best])
    if frequencies and (not foreign or any(each.hit.translations for each in read)):
        coverage = read[best].coverage(frequencies)
        window = read[best].best_window() or (0, len(hit.passage.text))
        own = _passage_coverage(read[best], frequencies)
        others = [_passage_coverage(rival, frequencies) for rival in rivals]
        lead = own - sum(others) / len(others) if others else min(own, typical["coverage_lead"])
        compared = {
            "window_coverage": coverage.together(read[best].units_at(*window)),
            "coverage_lead": lead,
            SENTENCE_COVERAGE: coverage.best,
        }
        if foreign:
            # A dictionary knows half of the words at best: what it sees is believed half.
            features |= {name: (value + typical[name]) / 2 for name, value in compared.items()}
        else:
            features |= compared | _what_is_there(question, read[best], frequencies)
    features["near_and_covered"] = (nearness - _FAR) * features[SENTENCE_COVERAGE]
    features["nearness"] = nearness
    return features


def is_foreign(question: str, read: ReadHit) -> bool:
    """Whether a passage is in another language than the question, so that their words cannot be compared."""
    return _language(question) != _language(read.hit.passage.text)


def missing_terms(question: str, read: ReadHit, frequencies: Mapping[str, float]) -> list[str]:
    """The terms of a question's names, numbers and quoted words that a passage in its language does not have."""
    return (
        []
        if is_foreign(question, read)
        else sorted((_names(question, frequencies) | _numbers(frequencies)) - read.all_terms)
    )


def named_row_coverage(read: Sequence[ReadHit], asked: Asked) -> float:
    """How much of the question is in a row that begins with its code and in the headings over it; 0 without one."""
    total = sum(asked.frequencies.values()) or 1.0
    named = ((hit, row) for hit in read for row in rows_named(asked, hit))
    return max((_share(asked.frequencies, hit.front | hit.terms[row], total) for hit, row in named), default=0.0)


def has_steps_named(asked: Asked, read: ReadHit, start: int, end: int) -> bool:
    """Whether steps are asked for, and `read.hit.passage.text[start:end]` has some under a heading the question names.

    It names a heading with all of its words, which are no small part of its own: "How do I start descaling?" is about
    "Descaling", where nothing may be said to start.
    """
    if not asks_for_steps(asked.asking):
        return False
    terms = frozenset(question_terms(asked.text))
    for items in read.layout.lists:
        first = read.layout.units[items.first].start
        if items.numbers and start <= first < end:
            heading = {term for term in content_terms(read.heading_at(first)) if term.isalpha()}
            if heading and heading <= terms and len(heading) >= _NAMED * len(terms):
                return True
    return False


def _passage_coverage(read: ReadHit, frequencies: Mapping[str, float]) -> float:
    return Coverage(read.all_terms, (), frequencies).together(())


def _what_is_there(question: str, read: ReadHit, frequencies: Mapping[str, float]) -> dict[str, float]:
    names, numbers = _names(question, frequencies), _numbers(frequencies)
    return {
        "numbers_there": float(numbers <= read.all_terms),
        "names_there": len(names & read.all_terms) / len(names) if names else 1.0,
    }


def _names(question: str, frequencies: Mapping[str, float]) -> frozenset[str]:
    return frozenset(content_terms(" ".join(names_written_in(question)))) & frequencies.keys()


def _numbers(frequencies: Mapping[str, float]) -> frozenset[str]:
    return frozenset(term for term in frequencies if any(map(str.isdigit, term)))


def _language(text: str) -> Language:
    """As `language_of`; some Japanese names make no Chinese text a foreign one."""
    return language_of(_KANA.sub("", text))


def _nearness(hit: Hit) -> float:
    """The cosine of the best window; of the passage itself where it has no windows."""
    return max(hit.window_scores, default=hit.signals.get("dense", _FAR))


def _same_section(hit: Hit, other: Hit) -> bool:
    one, two = hit.passage, other.passage
    return one.document_key == two.document_key and one.heading_path == two.heading_path


def _share(frequencies: Mapping[str, float], terms: frozenset[str], total: float) -> float:
    return sum(weight for term, weight in frequencies.items() if term in terms) / total
