"""The extractive answerer: the sentences, steps or rows that answer the question, in the manual's own words.

Owns the order of the work (read, rank, choose, judge, write) and how quotes are set together. Every word that is
not in a passage comes from `rag.language`. Uses no model and embeds nothing.
"""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field

from rag.answerers.base import Found
from rag.answerers.extractive_choice import ChoiceLimits, Chosen, choose
from rag.answerers.extractive_confidence import ConfidenceModel, confidence_features, fitted_model
from rag.answerers.extractive_ranking import ReadHit, hit_terms, inverse_frequencies, rank_units, read_hit
from rag.citations import CitationList, guarded
from rag.language import PHRASES, Phrases, language_of
from rag.types import (
    NO_PAGE,
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

    refuse_below, doubt_below: probabilities; None means those fitted on public data (about 5% false refusals).
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
        candidates = [read_hit(hit) for hit in found.hits[:QUOTED_PASSAGES]]
        frequencies = inverse_frequencies(words, [hit_terms(hit) for hit in found.hits])
        signals = self._signals(found.hits, candidates, frequencies)
        probability = self._confidence.probability(signals) if signals else 0.0
        ranked = rank_units(words, candidates, frequencies)
        chosen = choose(question.text, candidates, ranked, self._settings.limits)
        kind = self._kind(probability) if chosen else AnswerKind.NOT_IN_MANUALS
        writer = _Writer(PHRASES[language_of(question.text)], self._settings.lead_line)
        if kind is AnswerKind.NOT_IN_MANUALS:
            yield from writer.refusal([read_hit(hit) for hit in found.hits[:NEAREST_PAGES]])
        else:
            yield from writer.quotes(candidates, chosen, doubtful=kind is AnswerKind.UNCERTAIN)
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

    def _signals(
        self, hits: Sequence[Hit], candidates: Sequence[ReadHit], frequencies: Mapping[str, float]
    ) -> dict[str, float]:
        if not candidates:
            return {}
        return confidence_features(hits, candidates[0], frequencies, self._confidence.typical)

    def _kind(self, probability: float) -> AnswerKind:
        settings, fitted = self._settings, self._confidence
        refuse = fitted.refuse_below if settings.refuse_below is None else settings.refuse_below
        doubt = fitted.doubt_below if settings.doubt_below is None else settings.doubt_below
        if probability < refuse:
            return AnswerKind.NOT_IN_MANUALS
        return AnswerKind.UNCERTAIN if probability < doubt else AnswerKind.ANSWER


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
        before: Chosen | None = None
        for quote in chosen:
            hit = hits[quote.hit].hit
            if before is None or before.hit != quote.hit:
                lead = self._phrases.lead(_place(self._phrases, hit, quote)) + "\n\n" if self._lead_line else ""
                yield self._write(("\n\n" if before else "") + lead)
            else:
                yield self._write(_gap(hit.passage.text[before.end : quote.start]))
            yield from self._quote(hit, quote.start, quote.end)
            before = quote

    def _quote(self, hit: Hit, start: int, end: int) -> Generator[AnswerEvent]:
        yield self._write(guarded(hit.passage.text[start:end]))
        yield from self._mark(hit, start, end)

    def refusal(self, hits: Sequence[ReadHit]) -> Generator[AnswerEvent]:
        """Says that the manuals do not say, and names the nearest pages, without quoting them as an answer."""
        yield self._write(self._phrases.not_in_manuals)
        for number, read in enumerate(hit for hit in hits if hit.layout.units):
            if number == 0:
                yield self._write("\n\n" + self._phrases.nearest_pages + "\n")
            start, end = _best_window(read)
            quote = Chosen(number, start, end)
            yield self._write("\n- " + _place(self._phrases, read.hit, quote))
            yield from self._mark(read.hit, start, end)

    def _mark(self, hit: Hit, start: int, end: int) -> Generator[AnswerEvent]:
        citation, new = self.citations.add(hit.passage, start, end)
        yield self._write(f" [{citation.marker}]")
        if new:
            yield Cited(citation)

    def _write(self, text: str) -> Token:
        self.text.append(text)
        return Token(text)


def _place(phrases: Phrases, hit: Hit, quote: Chosen) -> str:
    """Heading and page of a quote, for people."""
    passage = hit.passage
    names = [passage.heading_path[-1]] if passage.heading_path else [passage.title or passage.external_id]
    offset = 0
    page: str | None = None
    for span in passage.spans:
        if offset <= quote.start < offset + span.end - span.start and span.page != NO_PAGE:
            first_page = span is passage.spans[0]
            page = passage.page_label if first_page and passage.page_label else str(span.page)
        offset += span.end - span.start
    return phrases.place([guarded(" ".join(name.split()).replace("*", "")) for name in names], page)


def _gap(between: str) -> str:
    """What stands between two quotes of a passage: a space within a paragraph, else a new line or paragraph."""
    lines = between.count("\n")
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
