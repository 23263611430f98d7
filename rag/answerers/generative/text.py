"""A model's words on their way to the reader: cleaned, with real markers, without quotations that do not hold.

Owns what may be shown when. Text is held back while it may still become a marker or the refusal, and a sentence
with a quotation until its markers are known. Does not know where the words come from.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from rag.answerers.extractive.ranking import ReadHit, read_hit
from rag.answerers.extractive.terms import content_terms
from rag.answerers.extractive.units import UnitKind
from rag.answerers.generative.data import without_copied_joiners
from rag.answerers.generative.links import addresses_in, unfinished_address, unlinked
from rag.answerers.generative.quotations import first_mark, marks_in, without_unsupported
from rag.citations import WORD_JOINER, CitationList, find_quotation, guarded
from rag.language import word_count
from rag.sentences import sentence_spans
from rag.types import Citation, Cited, Hit, Token

REFUSAL = "NOT_IN_MANUALS"
LONGEST_HELD = 1500
"""Characters of an unfinished quotation that are held back; a longer one is shown without its marks."""

SHORTEST_CLAIM = 4
"""Words of a sentence that needs support; shorter ones ("Good.", "Yes, it does.") say too little to be looked up."""

_NUMBER = r"\s{0,2}\^?\d{1,3}\s{0,2}"
_MARKER = re.compile(rf"[\[【［]{_NUMBER}(?:[,，、;；]{_NUMBER}){{0,11}}[\]】］]")
_SPACED_MARKER = re.compile(rf"\s*{_MARKER.pattern}")
_MARKER_BEGUN = re.compile(r"[\[【［][\s^\d,，、;；]{0,100}\Z")
_REFUSAL = re.compile(r"[*_`\"]*NOT\\?_IN\\?_MANUALS[*_`\"]*\.?")
_SENTENCE_END = re.compile(r"[.!?](?=\s|[\[【［]|\Z)|[。！？…\n]")
_OTHERWISE_UNDECIDED = re.compile(r"['’]\Z|>[>\s]{0,20}\Z")
_BLOCK_QUOTE = re.compile(r"^[^\S\n]*>+[^\S\n]*(?=[^\W\d])", re.MULTILINE)
_THOUGHTS = re.compile(r"\s*<think>.*?(?:</think>\s*|\Z)", re.DOTALL)
_PUNCTUATION = frozenset(".,;:!?。，；：！？、)）")
_KEPT_FORMATS = frozenset("\u200c\u200d" + WORD_JOINER)
_CLOSERS = frozenset("\"'”’»」』)）")


@dataclass(slots=True)
class ModelText:
    """Takes a model's pieces, gives what may be shown. `hits` are the numbered passages, the first being 1."""

    hits: Sequence[Hit]
    citations: CitationList = field(default_factory=CitationList)
    shown: list[str] = field(default_factory=list)
    dropped_markers: int = 0
    unsupported_quotations: int = 0
    broken_links: int = 0
    refused: bool = False
    _addresses: frozenset[str] = field(init=False)
    _held: str = ""
    _last: str = ""
    _sentence: str = ""
    _uncited: list[str] = field(default_factory=list)
    _half: str = ""
    _thinking: bool = True
    _space: str = ""
    _marker_dropped: bool = False
    _run: set[int] = field(default_factory=set)
    _said: str = ""
    _cited_now: set[int] = field(default_factory=set)
    _cited_ever: set[int] = field(default_factory=set)
    _read: dict[int, ReadHit] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._addresses = addresses_in(hit.passage.text for hit in self.hits)

    def feed(self, piece: str) -> Iterator[Token | Cited]:
        """What may be shown after one more piece of the model's text."""
        self._held += self._clean(piece)
        yield from self._release(final=False)

    def finish(self) -> Iterator[Token | Cited]:
        """What was still held back, after the last piece."""
        self._held += _REPLACEMENT if self._half else ""
        self._half = ""
        if half := _MARKER_BEGUN.search(self._held):
            self.dropped_markers += any(character.isdigit() for character in half[0])
            self._held = self._held[: half.start()]
        yield from self._release(final=True)
        yield from self._credit()

    def unsupported_sentences(self) -> int:
        """Sentences without a marker of which less than half the words are in anything that is cited."""
        cited = {term for citation in self.citations.citations for term in content_terms(citation.quote)}
        each = (set(content_terms(sentence)) for sentence in self._uncited)
        return sum(len(terms & cited) < len(terms) / 2 for terms in each if terms)

    def _clean(self, piece: str) -> str:
        """Without control characters and invisible formats; halves of surrogate pairs joined or replaced."""
        piece = self._half + piece
        self._half = piece[-1] if piece and "\ud800" <= piece[-1] <= "\udbff" else ""
        piece = piece[:-1] if self._half else piece
        whole = piece.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        seen = "".join(c for c in whole if c in "\n\t" or c in _KEPT_FORMATS or unicodedata.category(c) not in _HIDDEN)
        clean = without_copied_joiners(self._last + seen)[len(self._last) :]
        self._last = (self._last + clean)[-1:]
        return clean

    def _release(self, *, final: bool) -> Iterator[Token | Cited]:
        if self._thinking and not self._passes_thoughts(final=final):
            return
        while self._held and (end := self._releasable(final=final)):
            segment, self._held = self._held[:end], self._held[end:]
            yield from self._write(segment)

    def _passes_thoughts(self, *, final: bool) -> bool:
        """Whether the answer itself has begun; a reasoning model's thoughts in front of it are left out."""
        begun = self._held.lstrip()
        if not final and (not begun or "<think>".startswith(begun)):
            return False
        if begun.startswith("<think>"):
            if "</think>" not in begun and not final:
                return False
            self._held = _THOUGHTS.sub("", self._held, count=1)
        self._held = self._held.lstrip()
        self._thinking = not self._held
        return not self._thinking

    def _releasable(self, *, final: bool) -> int:
        """How many of the held characters may be shown now."""
        mark = first_mark(self._held, self._before())
        if mark == 0:
            return self._quoting_end(final=final)
        if final:
            return len(self._held) if mark is None else mark
        end = len(self._held) - self._undecided(self._held)
        return end if mark is None else min(mark, end)

    def _undecided(self, text: str) -> int:
        """How many characters at the end may still become something else: a marker, the refusal, an address."""
        marker = _MARKER_BEGUN.search(text)
        undecided = len(text) - marker.start() if marker else 0
        tail = text[-2 * len(REFUSAL) :]
        for length in range(1, len(tail) + 1):
            if REFUSAL.startswith(tail[-length:].replace("\\", "").lstrip("*_`")):
                undecided = max(undecided, length)
        if other := _OTHERWISE_UNDECIDED.search(text):
            undecided = max(undecided, len(text) - other.start())
        return max(undecided, unfinished_address(text))

    def _quoting_end(self, *, final: bool) -> int:
        """The end of the sentence that begins with a quotation mark, its markers included; 0 while it is not known."""
        held = self._held
        if final or len(held) > LONGEST_HELD:
            return len(held) if final else len(held) - self._undecided(held)
        marks = marks_in(held, self._before())
        for stop in _SENTENCE_END.finditer(held):
            end = stop.end()
            while end < len(held) and held[end] in _CLOSERS:
                end += 1
            while marker := _SPACED_MARKER.match(held, end):
                end = marker.end()
            rest = held[end:].lstrip()
            if not rest or _MARKER_BEGUN.match(rest):
                return 0
            inside = any(first < end <= last for first, last in marks.pairs) or any(p < end for p in marks.open)
            if not inside:
                return end
        return 0

    def _write(self, segment: str) -> Iterator[Token | Cited]:
        """Shows a stretch of text whose markers and quotations are complete."""
        if refusal := _REFUSAL.search(segment):
            self.refused = True
            segment = segment[: refusal.start()] + _REFUSAL.sub("", segment[refusal.start() :])
        if self._said.rstrip()[-1:] in _ENDS and not _SPACED_MARKER.match(segment):
            self._cited_now.clear()
        markers = [self._named(match[0]) for match in _MARKER.finditer(segment)]
        named = {number for numbers in markers for number in numbers}
        pages = named | self._cited_now or self._cited_ever
        literal, removed = without_unsupported(
            _MARKER.sub("\0", segment), self._before(), lambda quotation: self._is_on(quotation, pages)
        )
        self.unsupported_quotations += removed
        for index, text in enumerate(literal.split("\0")):
            if index:
                yield from self._cite(markers[index - 1])
            yield from self._say(text)

    def _named(self, marker: str) -> list[int]:
        """The indexes of the hits that a marker names; numbers that name none are counted."""
        numbers = [int(number) - 1 for number in re.findall(r"\d+", marker)]
        named = [number for number in numbers if 0 <= number < len(self.hits)]
        self.dropped_markers += len(numbers) - len(named)
        return named

    def _is_on(self, quotation: str, pages: set[int]) -> bool:
        words = quotation.replace("\0", "")
        return any(find_quotation(self.hits[page].passage.text, words) for page in pages)

    def _say(self, text: str) -> Iterator[Token | Cited]:
        """Shows words; a sentence that ends without a marker is looked for in the passages first."""
        before = self._sentence + self._space
        last = 0
        if text.strip() and any(end in before or end in text for end in _ENDS_OR_LINE):
            for _, end in sentence_spans(before + text)[:-1]:
                cut = max(end - len(before), 0)
                yield from self._say_part(text[last:cut])
                yield from self._credit()
                last = cut
        yield from self._say_part(text[last:])

    def _credit(self) -> Iterator[Token | Cited]:
        """Cites the sentence just ended if a passage has it word for word; otherwise it is one without support."""
        sentence = _LIST_MARK.sub("", self._sentence).replace("*", "").strip()
        self._sentence = ""
        if word_count(sentence) < SHORTEST_CLAIM:
            return
        found = (number for number, hit in enumerate(self.hits) if find_quotation(hit.passage.text, sentence))
        if (number := next(found, None)) is None:
            self._uncited.append(sentence)
            return
        space = self._space
        yield from self._cite([number])
        self._space = space

    def _say_part(self, text: str) -> Iterator[Token]:
        inside_line = "" if self._before() in ("", "\n") else "\0"
        text = _BLOCK_QUOTE.sub("", inside_line + text).removeprefix(inside_line)
        words = text.strip()
        if not words:
            self._space += text
            return
        begin = len(text) - len(text.lstrip())
        space = self._space + text[:begin]
        if self._marker_dropped:
            space = "" if words[0] in _PUNCTUATION else "\n" * min(space.count("\n"), 2) or " "
        shown = guarded((space if self.shown else "") + words)
        if self.shown and self.shown[-1].endswith("[") and words[0].isdigit() and not space:
            shown = WORD_JOINER + shown
        shown, broken = unlinked(shown, "".join(self.shown[-4:])[-4:], self._addresses)
        self.broken_links += broken
        self._space = text[begin + len(words) :]
        self._marker_dropped = False
        self._run.clear()
        if _SENTENCE_END.search(words[:-1]) or "\n" in space:
            self._cited_now.clear()
        self._said = (self._said + space + words)[-2 * LONGEST_HELD :]
        self._sentence = (self._sentence + space + words)[-LONGEST_HELD:]
        yield self._show(shown)

    def _cite(self, indexes: Sequence[int]) -> Iterator[Token | Cited]:
        """Writes the markers of the citations that back the sentence just said."""
        if not indexes:
            self._marker_dropped = True
        else:
            self._sentence = ""
        for index in dict.fromkeys(indexes):
            citation, new = self._supporting(index)
            self._cited_now.add(index)
            self._cited_ever.add(index)
            self._space = ""
            if citation.marker in self._run:
                continue
            self._run.add(citation.marker)
            yield self._show((" " if self.shown else "") + f"[{citation.marker}]")
            if new:
                yield Cited(citation)

    def _supporting(self, index: int) -> tuple[Citation, bool]:
        """The citation of the unit of a passage that shares most with the sentence just said."""
        read = self._read.setdefault(index, read_hit(self.hits[index]))
        passage = read.hit.passage
        spans = sentence_spans(self._said)
        terms = set(content_terms(self._said[slice(*spans[-1])])) if spans else set()
        best, most = (0, len(passage.text)), 0.0
        for number, unit in enumerate(read.layout.units):
            if unit.kind is UnitKind.CRUMB:
                continue
            shared = len(terms & read.terms[number]) / (len(read.terms[number]) + 4) ** 0.5
            shared += 1e-3 * _nearness(read.hit, unit.start, unit.end)
            if shared > most:
                best, most = (unit.start, unit.end), shared
        return self.citations.add(passage, *best)

    def _before(self) -> str:
        """The character in front of what is held, empty at the beginning."""
        return (self._said + self._space)[-1:]

    def _show(self, text: str) -> Token:
        self.shown.append(text)
        return Token(text)


_REPLACEMENT = "\ufffd"
_HIDDEN = frozenset(("Cc", "Cf", "Cs", "Co"))
_ENDS = frozenset(".!?。！？…")
_ENDS_OR_LINE = (*_ENDS, "\n")
_LIST_MARK = re.compile(r"^\s*(?:\d{1,3}[.)、．]|[-*•])\s*")


def _nearness(hit: Hit, start: int, end: int) -> float:
    """The question's best cosine among the windows that the range touches; decides where no words are shared."""
    windows = zip(hit.passage.windows, hit.window_scores, strict=False)
    return max((score for (first, last), score in windows if first < end and last > start), default=0.01)
