"""The extractive answerer: the sentences, steps or rows that answer the question, in the manual's own words.

Owns the order of the work (read, rank, choose, judge, write) and how quotes are set together. Every word that is
not in a passage comes from `rag.language`. Uses no model and embeds nothing.
"""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from rag.answerers.base import Found
from rag.answerers.extractive.choice import ChoiceLimits, Chosen, choose
from rag.answerers.extractive.confidence import ConfidenceModel, confidence_features, fitted_model, named_row_coverage
from rag.answerers.extractive.parts import Asked, asked_for, rows_named
from rag.answerers.extractive.places import place, section_of
from rag.answerers.extractive.ranking import ReadHit, inverse_frequencies, rank_units, read_hit
from rag.answerers.extractive.terms import codes_in
from rag.citations import CitationList, guarded
from rag.language import PHRASES, Phrases, language_of
from rag.types import (
    Answer,
    AnswerEvent,
    AnswerKind,
    Cited,
    Finished,
    Hit,
    Question,
    Token,
)

QUOTED_PASSAGES = 2
NEAREST_PAGES = 3


@dataclass(frozen=True, slots=True)
class ExtractiveSettings:
    """How sure an answer must be, and how long it may get.

    refuse_below, doubt_below: probabilities; None means those fitted on public data (about 3% false refusals).
    lead_line: whether a line says where quotes are from.
    """

    refuse_below: float | None = None
    doubt_below: float | None = None
    lead_line: bool = True
    limits: ChoiceLimits = field(default_factory=ChoiceLimits)


class ExtractiveAnswerer:
    """Answers by quoting; an `rag.answerers.base.Answerer`."""

    name = "extractive"
    model = None

    def __init__(self, settings: ExtractiveSettings | None = None, confidence: ConfidenceModel | None = None) -> None:
        """Uses the fitted confidence model unless another is given."""
        self._settings = settings or ExtractiveSettings()
        self._confidence = confidence or fitted_model()

    def answer(self, question: Question, found: Found) -> Generator[AnswerEvent]:
        """The whole answer quote by quote; never waits for anything."""
        words = found.searched_for
        read = [read_hit(hit) for hit in found.hits]
        frequencies = inverse_frequencies(words, [hit.all_terms for hit in read])
        asked = asked_for(words, frequencies)
        quotable = _quotable(read, asked)
        ranked = rank_units(words, read[:quotable], frequencies)
        chosen = choose(asked, read, ranked, self._settings.limits)
        answering = next((quote.hit for quote in chosen if not quote.context), 0)
        signals = confidence_features(read, answering, frequencies, self._confidence.typical) if read else {}
        probability = self._probability(signals, read, asked) if signals else 0.0
        kind = self._kind(probability) if chosen else AnswerKind.NOT_IN_MANUALS
        writer = _Writer(PHRASES[language_of(question.text)], self._settings.lead_line)
        if kind is AnswerKind.NOT_IN_MANUALS:
            yield from writer.refusal(read[:NEAREST_PAGES])
        else:
            yield from writer.quotes(read, chosen, doubtful=kind is AnswerKind.UNCERTAIN)
        yield Finished(
            Answer(
                kind=kind,
                text="".join(writer.text),
                citations=tuple(writer.citations.citations),
                hits=tuple(found.hits),
                searched_for=found.searched_for,
                answerer=self.name,
                model=None,
                details={"confidence": probability, "signals": signals},
            )
        )

    def _probability(self, signals: Mapping[str, float], read: Sequence[ReadHit], asked: Asked) -> float:
        found = codes_in("\n".join(each.hit.passage.text for each in read)) if asked.codes else frozenset()
        return self._confidence.probability(
            signals,
            row_named=named_row_coverage(read, asked),
            code_nowhere=not asked.codes <= found,
        )

    def _kind(self, probability: float) -> AnswerKind:
        settings, fitted = self._settings, self._confidence
        refuse = fitted.refuse_below if settings.refuse_below is None else settings.refuse_below
        doubt = fitted.doubt_below if settings.doubt_below is None else settings.doubt_below
        if probability < refuse:
            return AnswerKind.NOT_IN_MANUALS
        return AnswerKind.UNCERTAIN if probability < doubt else AnswerKind.ANSWER


def _quotable(read: Sequence[ReadHit], asked: Asked) -> int:
    """How many of the hits may be quoted: further ones only for a row whose code is asked for."""
    named = (number for number, hit in enumerate(read) if rows_named(asked, hit))
    return max(QUOTED_PASSAGES, next(named, 0) + 1)


class _Writer:
    """Writes the answer's text and numbers its citations."""

    def __init__(self, phrases: Phrases, lead_line: bool) -> None:
        self._phrases = phrases
        self._lead_line = lead_line
        self.text: list[str] = []
        self.citations = CitationList()

    def quotes(self, hits: Sequence[ReadHit], chosen: Sequence[Chosen], *, doubtful: bool) -> Generator[AnswerEvent]:
        if doubtful:
            yield self._write(self._phrases.may_help + "\n\n")
        for section in _by_section(hits, chosen):
            if section[0] is not chosen[0]:
                yield self._write("\n\n")
            if self._lead_line:
                told = [quote for quote in section if not quote.context] or section
                yield self._write(self._phrases.lead(place(self._phrases, hits, told)) + "\n\n")
            for before, quote in zip([None, *section], section, strict=False):
                hit = hits[quote.hit].hit
                if before is not None:
                    yield self._write(_gap(hits, before, quote))
                yield self._write(guarded(hit.passage.text[quote.start : quote.end]))
                yield from self._mark(hit, quote.start, quote.end)

    def refusal(self, hits: Sequence[ReadHit]) -> Generator[AnswerEvent]:
        """Says that the manuals do not say, and names the nearest pages, without quoting them as an answer."""
        yield self._write(self._phrases.not_in_manuals)
        for number, read in enumerate(hit for hit in hits if hit.layout.units):
            if number == 0:
                yield self._write("\n\n" + self._phrases.nearest_pages + "\n")
            start, end = _best_window(read)
            yield self._write("\n- " + place(self._phrases, [read], [Chosen(0, start, end)]))
            yield from self._mark(read.hit, start, end)

    def _mark(self, hit: Hit, start: int, end: int) -> Generator[AnswerEvent]:
        citation, new = self.citations.add(hit.passage, start, end)
        yield self._write(f" [{citation.marker}]")
        if new:
            yield Cited(citation)

    def _write(self, text: str) -> Token:
        self.text.append(text)
        return Token(text)


def _by_section(hits: Sequence[ReadHit], chosen: Sequence[Chosen]) -> list[list[Chosen]]:
    """The quotes of one section of a document after each other stand under one lead line."""
    return [list(quotes) for _, quotes in groupby(chosen, key=lambda quote: section_of(hits[quote.hit].hit.passage))]


def _gap(hits: Sequence[ReadHit], before: Chosen, quote: Chosen) -> str:
    """What stands between two quotes: a space within a paragraph, else a new line or a new paragraph."""
    if before.context or before.hit != quote.hit:
        return "\n"
    lines = hits[quote.hit].hit.passage.text.count("\n", before.end, quote.start)
    return " " if not lines else "\n" if lines == 1 else "\n\n"


def _best_window(read: ReadHit) -> tuple[int, int]:
    """The window nearest to the question, widened to whole units."""
    passage = read.hit.passage
    scores = read.hit.window_scores
    if not scores or len(scores) != len(passage.windows):
        return read.layout.units[0].start, read.layout.units[0].end
    start, end = passage.windows[max(range(len(scores)), key=scores.__getitem__)]
    touched = [unit for unit in read.layout.units if unit.start < end and unit.end > start]
    return (touched[0].start, touched[-1].end) if touched else (start, end)
