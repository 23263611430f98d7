"""How well each unit of the best passages answers the question.

Owns the features of a unit and their weights, fitted by `benchmarks/fit_sentences.py` on public question sets.
Embeds nothing: the window scores were computed by the search, from vectors made at ingestion.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from rag.analyzer import words
from rag.answerers.extractive.coverage import Coverage
from rag.answerers.extractive.layout import Layout, layout_of
from rag.answerers.extractive.measures import measured_in
from rag.answerers.extractive.terms import (
    asks_for_date,
    asks_for_name,
    asks_how_many,
    codes_in,
    content_terms,
    has_date,
    names_in,
    numbers_in,
    question_terms,
    terms_of_word,
)
from rag.answerers.extractive.units import UnitKind, is_one_of, names_of
from rag.follow_up import content_words
from rag.types import Hit

FEATURES = (
    "window",  # cosine of the unit's best window, less that of the best window of all
    "coverage",  # share of the question's terms in the unit, by inverse frequency in the hits
    "rare_coverage",  # the same, terms that many units of the passage have counting less
    "coverage_before",  # what the unit before has besides: an answer often follows what it is about
    "coverage_after",
    "passage_behind",  # how far its passage was ranked behind the first: 0 for that, 1 for the last one found
    "date",  # the question asks for a date and the unit has one
    "number",  # the question asks for a number and the unit has one that is not in the question
    "names",  # the question asks for a name and the unit has some
)
WEIGHTS = np.array([58.0, 4.1, 3.0, 3.0, 0.3, -4.5, 2.5, 1.4, 1.0])
PENALTIES = {UnitKind.LABEL: -2.0, UnitKind.HEADING: -1e9, UnitKind.CRUMB: -1e9}
_NO_WINDOW_BEHIND = -0.1
_FARTHEST = -0.12
"""Difference of cosines beyond which a window is simply far: other embedders spread them more than the one that the
weights were fitted with, and must not drown a code that only one passage has."""
_COLUMNS = " | "
"""Between the names of a table's columns, which rows stand under as under a heading; nobody calls a place by them."""

_WITHOUT_CODE = -4.0
_MOST_WITH_CODE = 3
"""Log-odds for a passage without a code of the question that at most one in so many of the passages found has. Not
fitted: the public sets have no such questions."""

_CODE_WEIGHT = 1.5
"""A model's number or an error code says more than a word; its parts do not count besides."""

SAID_BEFORE = 0.7
SAYS_NOTHING = 0.5
"""What words of the questions before a follow-up count, and those of its own that are about nothing. Set by hand."""


@dataclass(frozen=True, slots=True)
class ReadHit:
    """A hit with its layout, the terms of each unit, and those of its title and headings (`front`).

    measured: of each unit, the terms of the properties that it gives measures of.
    """

    hit: Hit
    layout: Layout
    terms: tuple[frozenset[str], ...]
    front: frozenset[str]
    measured: tuple[frozenset[str], ...]

    @property
    def all_terms(self) -> frozenset[str]:
        return self.front.union(*self.terms)

    def coverage(self, frequencies: Mapping[str, float]) -> Coverage:
        """Of a question's terms, by inverse frequency."""
        return Coverage(self.front, self.terms, frequencies, self.measured)

    def text(self, unit: int) -> str:
        place = self.layout.units[unit]
        return self.hit.passage.text[place.start : place.end]

    def window_score(self, start: int, end: int, default: float) -> float:
        """The question's best cosine among the windows that `start` to `end` of the text touches."""
        windows = zip(self.hit.passage.windows, self.hit.window_scores, strict=False)
        return max((score for (first, last), score in windows if first < end and last > start), default=default)

    def best_window(self) -> tuple[int, int] | None:
        """The place of the window nearest to the question; None where none is known."""
        scores, windows = self.hit.window_scores, self.hit.passage.windows
        if not scores or len(scores) != len(windows):
            return None
        return windows[max(range(len(scores)), key=scores.__getitem__)]

    def units_at(self, start: int, end: int) -> list[int]:
        """The numbers of the units that `start` to `end` of the text touches."""
        return [number for number, unit in enumerate(self.layout.units) if unit.start < end and unit.end > start]

    def heading_at(self, position: int) -> str:
        """The heading that a character of the passage stands under: short sections may share a passage."""
        passage = self.hit.passage
        over = self.layout.heading_over(position)
        printed = "" if over is None else passage.text[over.start : over.end]
        if printed and not is_one_of(names_of(passage.heading_path), printed):
            return printed
        headings = [each for each in passage.heading_path if _COLUMNS not in each]
        return headings[-1] if headings else passage.title or passage.external_id


@dataclass(frozen=True, slots=True)
class RankedUnit:
    """A unit and its score; differences of scores are log-odds. `probability` is its share among all ranked."""

    hit: int
    unit: int
    score: float
    probability: float


def telling_codes(question: str, hits: Sequence[ReadHit]) -> frozenset[str]:
    """The codes of the question that a few of the hits have: with such a code the others are about something else.

    A model's name that most passages have, or none, tells nothing: a section need not repeat it.
    """
    asked = codes_in(question)
    if not asked:
        return frozenset()
    counts = Counter(code for hit in hits for code in asked & _codes_of(hit))
    return frozenset(code for code, count in counts.items() if count * _MOST_WITH_CODE <= len(hits))


def _codes_of(read: ReadHit) -> frozenset[str]:
    passage = read.hit.passage
    return codes_in("\n".join((passage.title, *passage.heading_path, passage.text)))


def read_hit(hit: Hit) -> ReadHit:
    passage = hit.passage
    return ReadHit(hit, *_read(passage.text, passage.title, passage.heading_path))


@lru_cache(maxsize=512)  # most questions are about the same few passages; some 30 kB each
def _read(
    text: str, title: str, heading_path: tuple[str, ...]
) -> tuple[Layout, tuple[frozenset[str], ...], frozenset[str], tuple[frozenset[str], ...]]:
    """A passage's layout, the terms of each of its units, those of title and headings, and what each unit measures."""
    layout = layout_of(text, heading_path)
    units = [text[unit.start : unit.end] for unit in layout.units]
    terms = tuple(frozenset(content_terms(each)) for each in units)
    front = frozenset(content_terms(" ".join((title, *heading_path))))
    return layout, terms, front, tuple(map(measured_in, units))


def inverse_frequencies(
    question: str, hits: Sequence[frozenset[str]], translations: Sequence[str] = (), *, own: str | None = None
) -> dict[str, float]:
    """Each term of the question with its inverse frequency among the hits, given by their terms.

    Where hits have words that translate some of it, these take the place of the terms that no hit has. `own` is what
    was said last, where `question` has earlier questions before it: their words count less, and least those of `own`
    that say nothing by themselves ("how long does it take").
    """
    terms = question_terms(question)
    if translations:
        terms = [term for term in terms if any(term in hit for hit in hits)]
        terms = list(dict.fromkeys([*terms, *(term for word in translations for term in terms_of_word(word))]))
    counts = Counter(term for hit in hits for term in hit.intersection(terms))
    whole = [term for term in terms if not term.isalpha() and counts[term]]
    parts = {part for code in whole for part in content_terms(code) if part != code}
    weights = {term: _CODE_WEIGHT if term in whole else 1.0 for term in terms if term not in parts}
    if own is not None and question != own and question.endswith(own):
        vague = {term for word in set(words(own)).difference(content_words(own)) for term in terms_of_word(word)}
        said_last = {*question_terms(own), *(term for word in translations for term in terms_of_word(word))} - vague
        for term in weights:
            weights[term] *= 1.0 if term in said_last else SAYS_NOTHING if term in vague else SAID_BEFORE
    # A word of the question that no hit has may be another word for one that they have: it must not outweigh the rest.
    return {term: weight * math.log(1 + (len(hits) + 0.5) / (counts[term] + 1.5)) for term, weight in weights.items()}


def rank_units(
    question: str,
    hits: Sequence[ReadHit],
    frequencies: Mapping[str, float],
    quotable: int,
    *,
    asking: str | None = None,
) -> list[RankedUnit]:
    """All units of the first `quotable` of the hits, best first; `asking` tells what kind of answer is wanted."""
    last_score = min((hit.hit.score for hit in hits), default=0.0)
    codes = telling_codes(question, hits)
    hits = hits[:quotable]
    features = [unit_features(question, hits, index, frequencies, last_score, asking) for index in range(len(hits))]
    places = [(index, unit) for index, hit in enumerate(hits) for unit in range(len(hit.layout.units))]
    if not places:
        return []
    lacking = [_WITHOUT_CODE * bool(codes and not codes & _codes_of(hit)) for hit in hits]
    kinds = [hits[index].layout.units[unit].kind for index, unit in places]
    penalties = [PENALTIES.get(kind, 0.0) + lacking[index] for kind, (index, _) in zip(kinds, places, strict=True)]
    scores = np.concatenate(features) @ WEIGHTS + np.array(penalties)
    shares = np.exp(scores - scores.max())
    shares /= shares.sum()
    ranked = [
        RankedUnit(index, unit, float(score), float(share))
        for (index, unit), score, share in zip(places, scores, shares, strict=True)
    ]
    return sorted(ranked, key=lambda unit: -unit.score)


def unit_features(
    question: str,
    hits: Sequence[ReadHit],
    index: int,
    frequencies: Mapping[str, float],
    last_score: float,
    asking: str | None = None,
) -> NDArray[np.float64]:
    """The features of the units of `hits[index]`, shape [units, len(FEATURES)]; `last_score` is the lowest of a hit."""
    read = hits[index]
    units = read.layout.units
    found = {term for hit in hits for terms in hit.terms for term in terms if term in frequencies}
    total = sum(frequencies[term] for term in found) or 1.0
    shared = Counter(term for terms in read.terms for term in terms if term in found)
    rare = [sum(frequencies[term] / shared[term] for term in terms & found) / total for terms in read.terms]
    coverage = read.coverage(frequencies)
    best = max((max(hit.hit.window_scores, default=0.0) for hit in hits), default=0.0)
    asking = question if asking is None else asking
    wants_date, wants_number, wants_name = asks_for_date(asking), asks_how_many(asking), asks_for_name(asking)
    known = numbers_in(question) if wants_number else frozenset()
    behind = (hits[0].hit.score - read.hit.score) / ((hits[0].hit.score - last_score) or 1.0)
    rows = np.zeros((len(units), len(FEATURES)))
    for number, unit in enumerate(units):
        text = read.text(number)
        rows[number] = (
            max(read.window_score(unit.start, unit.end, best + _NO_WINDOW_BEHIND) - best, _FARTHEST),
            coverage.units[number],
            rare[number],
            coverage.pairs[number - 1] - coverage.units[number] if number else 0.0,
            coverage.units[number + 1] if number + 1 < len(units) else 0.0,
            behind,
            float(wants_date and has_date(text)),
            float(wants_number and not numbers_in(text) <= known),
            min(names_in(text), 3) / 3 if wants_name else 0.0,
        )
    return rows
