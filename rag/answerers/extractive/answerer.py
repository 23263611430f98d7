"""The extractive answerer: the sentences, steps or rows that answer the question, in the manual's own words.

Owns the order of the work (read, rank, choose, judge, write) and how quotes are set together. Every word that is
not in a passage comes from `rag.language`. Uses no model and embeds nothing.
"""

import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from rag.answerers.base import Found
from rag.answerers.extractive.choice import ChoiceLimits, Chosen, choose
from rag.answerers.extractive.confidence import (
    ConfidenceModel,
    confidence_features,
    fitted_model,
    has_steps_named,
    is_foreign,
    missing_terms,
    named_row_coverage,
)
from rag.answerers.extractive.doubts import as_written, doubt_of, doubt_told
from rag.answerers.extractive.parts import Asked, asked_for, rows_named
from rag.answerers.extractive.places import place, section_of
from rag.answerers.extractive.ranking import ReadHit, inverse_frequencies, rank_units, read_hit
from rag.answerers.extractive.sections import from_more_sections
from rag.answerers.extractive.terms import codes_in
from rag.breadth import Breadth, breadth_of
from rag.citations import CitationList, guarded
from rag.follow_up import stands_alone
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
    false_refusals, false_answers: in the place of `refuse_below`, the share of questions with an answer in the manuals
    that may be refused, or of those without one that may be answered, as measured on public data; at most one of them.
    lead_line: whether a line says where quotes are from.
    """

    refuse_below: float | None = None
    doubt_below: float | None = None
    false_refusals: float | None = None
    false_answers: float | None = None
    lead_line: bool = True
    limits: ChoiceLimits = field(default_factory=ChoiceLimits)

    def __post_init__(self) -> None:
        """Raises `ValueError` when more than one of the three says when to refuse."""
        if sum(each is not None for each in (self.refuse_below, self.false_refusals, self.false_answers)) > 1:
            raise ValueError("set one of refuse_below, false_refusals and false_answers: each of them decides alone")

    def thresholds(self, fitted: ConfidenceModel) -> tuple[float, float]:
        """The probabilities below which to refuse and to doubt."""
        refuse = fitted.refuse_below if self.refuse_below is None else self.refuse_below
        if self.false_refusals is not None:
            refuse = fitted.for_false_refusals(self.false_refusals)
        elif self.false_answers is not None:
            refuse = fitted.for_false_answers(self.false_answers)
        return refuse, fitted.doubt_below if self.doubt_below is None else self.doubt_below


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
        translations = list(dict.fromkeys(word for hit in found.hits for word in hit.translations))
        frequencies = inverse_frequencies(words, [hit.all_terms for hit in read], translations, own=question.text)
        asked = asked_for(words, frequencies, question.text)
        ranked = rank_units(words, read, frequencies, _quotable(read, asked), asking=asked.asking)
        chosen = choose(asked, read, ranked, self._settings.limits)
        if breadth := _breadth(question):
            chosen = from_more_sections(breadth, asked, read, chosen, self._settings.limits)
        answer = next((quote for quote in chosen if not (quote.context or quote.further)), None)
        answering = answer.hit if answer else 0
        fitted = self._confidence
        signals = confidence_features(words, read, answering, frequencies, fitted.typical) if read else {}
        probability = self._probability(signals, read, asked, answer) if signals else 0.0
        if breadth and breadth.sides:
            quoted = [read[number] for number in sorted({quote.hit for quote in chosen})]
            probability = max(probability, self._of_sides(breadth.sides, quoted))
        foreign = bool(read) and is_foreign(words, read[answering])
        kind = self._kind(probability, foreign=foreign) if chosen else AnswerKind.NOT_IN_MANUALS
        details: dict[str, object] = {"confidence": probability, "signals": signals}
        language = language_of(question.text)
        writer = _Writer(PHRASES[language], self._settings.lead_line)
        if kind is AnswerKind.NOT_IN_MANUALS:
            yield from writer.refusal(read[:NEAREST_PAGES])
        else:
            doubt = ""
            if kind is AnswerKind.UNCERTAIN:
                missing = as_written(question.text, missing_terms(words, read[answering], frequencies))
                reason = details["doubt"] = doubt_of(signals, fitted.typical, missing, foreign=foreign)
                doubt = doubt_told(PHRASES[language], language, reason, missing)
            yield from writer.quotes(read, chosen, doubt)
        yield Finished(
            Answer(
                kind=kind,
                text="".join(writer.text),
                citations=tuple(writer.citations.citations),
                hits=tuple(found.hits),
                searched_for=found.searched_for,
                answerer=self.name,
                model=None,
                details=details,
            )
        )

    def _probability(
        self, signals: Mapping[str, float], read: Sequence[ReadHit], asked: Asked, answer: Chosen | None
    ) -> float:
        found = _codes_found(read) if asked.codes else frozenset()
        row_named, code_nowhere = named_row_coverage(read, asked), not asked.codes <= found
        sure = self._confidence.probability(signals, row_named=row_named, code_nowhere=code_nowhere)
        if answer is None or not has_steps_named(asked, read[answer.hit], answer.start, answer.end):
            return sure
        # The steps may help; whether they are those of what else the question says stays in doubt.
        surer = self._confidence.probability(signals, row_named=row_named, code_nowhere=code_nowhere, steps_named=True)
        return max(sure, min(surer, math.nextafter(self._settings.thresholds(self._confidence)[1], 0.0)))

    def _of_sides(self, sides: Sequence[str], quoted: Sequence[ReadHit]) -> float:
        """That each side of a comparison is answered by some passage that is quoted: the least of their probabilities.

        No passage need have all of the sides. Of a side no rivals are known: each was searched for by itself.
        """
        model = self._confidence
        terms = [each.all_terms for each in quoted]
        found = _codes_found(quoted)

        def sure(side: str) -> float:
            frequencies = inverse_frequencies(side, terms)
            features = (confidence_features(side, [each], 0, frequencies, model.typical) for each in quoted)
            nowhere = not codes_in(side) <= found
            return max((model.probability(each, code_nowhere=nowhere) for each in features), default=0.0)

        return min(map(sure, sides))

    def _kind(self, probability: float, *, foreign: bool) -> AnswerKind:
        """Of a passage in another language than the question no word is compared: it may help, and no more."""
        refuse, doubt = self._settings.thresholds(self._confidence)
        if probability < refuse:
            return AnswerKind.NOT_IN_MANUALS
        return AnswerKind.UNCERTAIN if probability < doubt or (foreign and doubt > 0) else AnswerKind.ANSWER


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

    def quotes(self, hits: Sequence[ReadHit], chosen: Sequence[Chosen], doubt: str) -> Generator[AnswerEvent]:
        """The quotes under the lines that say where they are from; `doubt` is why they may not be the answer."""
        if doubt:
            yield self._write(f"{self._phrases.may_help}{_between(doubt)}{doubt}\n\n")
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
                yield self._write(
                    ("… " if quote.cut_before else "") + guarded(hit.passage.text[quote.start : quote.end])
                )
                if quote.cut_after:
                    yield self._write(" …")
                yield from self._mark(hit, quote.start, quote.end)

    def refusal(self, hits: Sequence[ReadHit]) -> Generator[AnswerEvent]:
        """Says that the manuals do not say, and names the nearest pages, without quoting them as an answer."""
        yield self._write(self._phrases.not_in_manuals)
        for number, read in enumerate(hit for hit in hits if hit.layout.units):
            if number == 0:
                yield self._write("\n\n" + self._phrases.nearest_pages + "\n")
            start, end = _nearest(read)
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
    return [list(quotes) for _, quotes in groupby(chosen, key=lambda quote: section_of(hits[quote.hit], quote.start))]


def _gap(hits: Sequence[ReadHit], before: Chosen, quote: Chosen) -> str:
    """What stands between two quotes: a space within a paragraph, else a new line or a new paragraph."""
    if before.context or before.hit != quote.hit:
        return "\n"
    lines = hits[quote.hit].hit.passage.text.count("\n", before.end, quote.start)
    return " " if not lines else "\n" if lines == 1 else "\n\n"


def _nearest(read: ReadHit) -> tuple[int, int]:
    """The window nearest to the question, widened to whole units; the first unit where none is known."""
    units = read.layout.units
    window = read.best_window() or (units[0].start, units[0].end)
    touched = [units[number] for number in read.units_at(*window)]
    return (touched[0].start, touched[-1].end) if touched else window


def _codes_found(read: Sequence[ReadHit]) -> frozenset[str]:
    return codes_in("\n".join(each.hit.passage.text for each in read))


def _breadth(question: Question) -> Breadth | None:
    """What the question itself asks to be told of several sections: a follow-up does not inherit it."""
    follows_up = question.history and not stands_alone(question.text)
    return None if follows_up else breadth_of(question.text)


def _between(sentence: str) -> str:
    """What stands in front of a further sentence: Chinese ones follow without a space."""
    return "" if language_of(sentence) == "zh" else " "
