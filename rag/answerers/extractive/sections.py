"""Quotes from several sections, for questions that one place of a manual does not answer.

Owns which further sections are quoted and how much of each. What is quoted of one section is `choose`'s.
"""

from collections.abc import Sequence
from dataclasses import replace

from rag.answerers.extractive.choice import ChoiceLimits, Chosen, choose
from rag.answerers.extractive.parts import Asked
from rag.answerers.extractive.ranking import ReadHit, rank_units
from rag.answerers.extractive.terms import question_terms
from rag.answerers.extractive.units import plain
from rag.breadth import ABOUT, Breadth, section_of
from rag.language import language_of, word_count


def from_more_sections(
    breadth: Breadth, asked: Asked, hits: Sequence[ReadHit], chosen: Sequence[Chosen], limits: ChoiceLimits
) -> list[Chosen]:
    """What was chosen, and behind it the best of further sections in the order of the hits.

    Only of sections in the question's language that are about it or about a side of it, as far as the limits go.
    """
    if not chosen:
        return []
    broad = list(chosen)
    words = sum(_words(hits, quote) for quote in broad)
    quoted = {section_of(hits[quote.hit].hit.passage) for quote in broad}
    told = {_text(hits, quote) for quote in broad}
    about = _about(breadth.sides or (asked.text,), asked, hits)
    language = language_of(asked.text)
    for number, read in enumerate(hits):
        section = section_of(read.hit.passage)
        if section in quoted or number not in about or language_of(read.hit.passage.text) != language:
            continue
        further = _best_of(asked, hits, number, limits)
        if told.issuperset(_text(hits, quote) for quote in further):
            continue
        length = sum(_words(hits, quote) for quote in further)
        if len(quoted) == limits.sections or words + length > limits.broad_words:
            continue
        quoted.add(section)
        told.update(_text(hits, quote) for quote in further)
        words += length
        broad += further
    return broad


def _about(sides: Sequence[str], asked: Asked, hits: Sequence[ReadHit]) -> set[int]:
    """The hits that have nearly as much of a side's words as the one that has most."""
    about: set[int] = set()
    for side in sides:
        terms = set(question_terms(side))
        covered = [
            sum(weight for term, weight in asked.frequencies.items() if term in terms & read.all_terms) for read in hits
        ]
        most = max(covered)
        about.update(number for number, each in enumerate(covered) if each >= ABOUT * most > 0)
    return about


def _best_of(asked: Asked, hits: Sequence[ReadHit], number: int, limits: ChoiceLimits) -> list[Chosen]:
    alone = [hits[number]]
    ranked = rank_units(asked.text, alone, asked.frequencies, 1, asking=asked.asking)
    return [replace(quote, hit=number) for quote in choose(asked, alone, ranked, limits.of_section())]


def _words(hits: Sequence[ReadHit], quote: Chosen) -> float:
    return word_count(_text(hits, quote))


def _text(hits: Sequence[ReadHit], quote: Chosen) -> str:
    return plain(hits[quote.hit].hit.passage.text[quote.start : quote.end])
