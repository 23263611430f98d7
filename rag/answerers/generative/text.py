"""A model's words on their way to the reader: cleaned, with real markers, without quotations that do not hold.

Owns what may be shown when. Text is held back while it may still become a marker or the refusal, and a sentence
with a quotation until its markers are known. Does not know where the words come from, nor how sentences are cited and
checked (`generative.writer`).
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rag.answerers.generative.data import without_copied_joiners
from rag.answerers.generative.invisible import JOINERS, without_invisible
from rag.answerers.generative.links import unfinished_address
from rag.answerers.generative.quotations import first_mark, marks_in, without_unsupported
from rag.answerers.generative.writer import LONGEST_HELD, SENTENCE_END, AnswerWriter
from rag.citations import WORD_JOINER
from rag.types import Cited, Hit, Token

REFUSAL = "NOT_IN_MANUALS"
_NUMBER = r"\s{0,2}\^?\d{1,3}\s{0,2}"
_MARKER = re.compile(rf"[\[【［]{_NUMBER}(?:[,，、;；]{_NUMBER}){{0,11}}[\]】］]")
_SPACED_MARKER = re.compile(rf"\s*{_MARKER.pattern}")
_MARKER_BEGUN = re.compile(r"[\[【［][\s^\d,，、;；]{0,100}\Z")
_REFUSAL = re.compile(r"[*_`\"]*NOT\\?_IN\\?_MANUALS[*_`\"]*\.?")
_OTHERWISE_UNDECIDED = re.compile(r"(?<!['’])['’]++\Z|>[>\s]{0,20}\Z")
_THOUGHTS = re.compile(r"\s*<think>.*?(?:</think>\s*|\Z)", re.DOTALL)
_CLOSERS = frozenset("\"'”’»」』)）")
_REPLACEMENT = "\ufffd"


@dataclass(slots=True)
class ModelText:
    """Takes a model's pieces, gives what may be shown. `writer` has the numbered passages, the first being 1."""

    writer: AnswerWriter
    dropped_markers: int = 0
    unsupported_quotations: int = 0
    refused: bool = False
    _held: str = ""
    _last: str = ""
    _half: str = ""
    _thinking: bool = True

    @property
    def hits(self) -> Sequence[Hit]:
        return self.writer.hits

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
        self.writer.finish()
        yield from self.writer.taken()

    def _clean(self, piece: str) -> str:
        """Without control characters and invisible formats; halves of surrogate pairs joined or replaced."""
        piece = self._half + piece
        self._half = piece[-1] if piece and "\ud800" <= piece[-1] <= "\udbff" else ""
        piece = piece[:-1] if self._half else piece
        whole = piece.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        seen = without_invisible(whole, JOINERS + WORD_JOINER)
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
        for stop in SENTENCE_END.finditer(held):
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
        writer = self.writer
        if refusal := _REFUSAL.search(segment):
            self.refused = True
            segment = segment[: refusal.start()] + _REFUSAL.sub("", segment[refusal.start() :])
        if writer.ended() and not _SPACED_MARKER.match(segment):
            writer.cited_now.clear()
        markers = [self._named(match[0]) for match in _MARKER.finditer(segment)]
        named = {number for numbers in markers for number in numbers}
        pages = named | writer.cited_now or writer.cited_ever
        literal, removed = without_unsupported(
            _MARKER.sub("\0", segment),
            self._before(),
            lambda quotation: writer.quotes(quotation.replace("\0", ""), pages),
        )
        self.unsupported_quotations += removed
        for index, text in enumerate(literal.split("\0")):
            if index:
                writer.cite(markers[index - 1])
            writer.say(text)
        yield from writer.taken()

    def _named(self, marker: str) -> list[int]:
        """The indexes of the hits that a marker names; numbers that name none are counted."""
        numbers = [int(number) - 1 for number in re.findall(r"\d+", marker)]
        named = [number for number in numbers if 0 <= number < len(self.hits)]
        self.dropped_markers += len(numbers) - len(named)
        return named

    def _before(self) -> str:
        """The character in front of what is held, empty at the beginning."""
        return self.writer.before()
