"""The answer as it is written: words and citations in order, each sentence checked against what it cites.

Owns how a model's words and the markers behind them become text, which unit of a passage a citation quotes, and what
becomes of a sentence that says what is not there: a note behind it, or nothing of it is shown. Does not know what
is a marker, a quotation or a refusal (`generative.text`).
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from rag.answerers.extractive.ranking import ReadHit, read_hit
from rag.answerers.extractive.terms import content_terms
from rag.answerers.extractive.units import UnitKind
from rag.answerers.generative.facts import LIST_MARK, Claims, Evidence
from rag.answerers.generative.links import addresses_in, unlinked
from rag.answerers.generative.planted import without_planted
from rag.answerers.generative.quotations import UNQUOTED
from rag.citations import WORD_JOINER, CitationList, guarded
from rag.language import PHRASES, language_of, word_count
from rag.sentences import sentence_spans
from rag.types import Citation, Cited, Hit, Token

LONGEST_HELD = 1500
"""Characters of a sentence that are kept to be looked at."""

SHORTEST_CLAIM = 4
"""Words of a sentence that needs support; shorter ones ("Good.", "Yes, it does.") say too little to be looked up."""

SENTENCE_END = re.compile(r"[.!?](?=\s|[\[【［]|\Z)|[。！？…\n]")
ENDS = frozenset(".!?。！？…")
_ENDS_OR_LINE = (*ENDS, "\n")
_PUNCTUATION = frozenset(".,;:!?。，；：！？、)）")
_BLOCK_QUOTE = re.compile(r"^[^\S\n]*>+[^\S\n]*(?=[^\W\d])", re.MULTILINE)
_MARKS_AROUND = re.compile(r"[\[\]<>`*|\"“”「」『』«»]+")
_NAMED_AT_MOST = 4


class WhenNotFound(StrEnum):
    """What becomes of a generated sentence that says what its passages do not say."""

    FLAG = "flag"
    DROP = "drop"


@dataclass(slots=True)
class Counts:
    """What was found out about an answer's sentences. A sentence counts when it is a claim or has a marker.

    sentences: all of them. cited: those with a marker. not_found: those that say what is not in their passages,
    shown or not; dropped: those of them that are not shown. claims: parts looked up; found: those that were there.
    """

    sentences: int = 0
    cited: int = 0
    not_found: int = 0
    dropped: int = 0
    claims: int = 0
    found: int = 0


@dataclass(frozen=True, slots=True)
class _Begun:
    """How things were before the sentence that is being written."""

    events: int
    shown: int
    citations: int
    space: str
    said: str
    cited_ever: frozenset[int]
    uncited: int


@dataclass(slots=True)
class AnswerWriter:
    """Takes words and the passages that markers name, gives what may be shown. `hits` are the passages, the first 0."""

    hits: Sequence[Hit]
    when_not_found: WhenNotFound = WhenNotFound.FLAG
    citations: CitationList = field(default_factory=CitationList)
    shown: list[str] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)
    missing: list[str] = field(default_factory=list)
    broken_links: int = 0
    cited_now: set[int] = field(default_factory=set)
    cited_ever: set[int] = field(default_factory=set)
    _addresses: frozenset[str] = field(init=False)
    _evidence: list[Evidence] = field(init=False)
    _events: list[Token | Cited] = field(default_factory=list)
    _begun: _Begun | None = None
    _open: str = ""
    _pages: set[int] = field(default_factory=set)
    _cited_at_end: bool = False
    _unquoted: bool = False
    _sentence: str = ""
    _uncited: list[str] = field(default_factory=list)
    _space: str = ""
    _marker_dropped: bool = False
    _run: set[int] = field(default_factory=set)
    _said: str = ""
    _read: dict[int, ReadHit] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._addresses = addresses_in(hit.passage.text for hit in self.hits)
        self._evidence = [Evidence(hit.passage, without_planted) for hit in self.hits]

    def taken(self) -> list[Token | Cited]:
        """What may be shown now. A sentence that may still be dropped is not among it."""
        ready = len(self._events)
        if self.when_not_found is WhenNotFound.DROP and self._begun is not None:
            ready = self._begun.events
            self._begun = replace(self._begun, events=0)
        events, self._events = self._events[:ready], self._events[ready:]
        return events

    def finish(self) -> None:
        """Ends the last sentence."""
        self._credit()
        self._close()

    def before(self) -> str:
        """The character in front of what comes next, empty at the beginning."""
        return (self._said + self._space)[-1:]

    def ended(self) -> bool:
        """Whether the last words ended a sentence."""
        return self._said.rstrip()[-1:] in ENDS

    def quotes(self, words: str, pages: Iterable[int]) -> bool:
        """Whether the words stand in one of these passages."""
        return any(self._evidence[page].quotes(words) for page in pages)

    def unsupported_sentences(self) -> int:
        """Sentences without a marker of which less than half the words are in anything that is cited."""
        cited = {term for citation in self.citations.citations for term in content_terms(citation.quote)}
        each = (set(content_terms(sentence)) for sentence in self._uncited)
        return sum(len(terms & cited) < len(terms) / 2 for terms in each if terms)

    def say(self, text: str) -> None:
        """Writes words; a sentence that ends without a marker is looked for in the passages first."""
        before = self._sentence + self._space
        last = 0
        if text.strip() and any(end in before or end in text for end in _ENDS_OR_LINE):
            for _, end in sentence_spans(before + text)[:-1]:
                cut = max(end - len(before), 0)
                self._say_part(text[last:cut])
                self._credit()
                last = cut
        self._say_part(text[last:])

    def cite(self, indexes: Sequence[int]) -> None:
        """Writes the markers of the citations that back the sentence just said."""
        if not indexes:
            self._marker_dropped = True
        else:
            self._sentence = ""
        for index in dict.fromkeys(indexes):
            if not self._open:
                self._begin()
            citation, new = self._supporting(index)
            self._pages.add(index)
            self._cited_at_end = self._open[-1:] in ENDS
            self.cited_now.add(index)
            self.cited_ever.add(index)
            self._space = ""
            if citation.marker in self._run:
                continue
            self._run.add(citation.marker)
            self._show((" " if self.shown else "") + f"[{citation.marker}]")
            if new:
                self._events.append(Cited(citation))

    def _credit(self) -> None:
        """Cites the sentence just ended if a passage has it word for word; otherwise it is one without support."""
        sentence = LIST_MARK.sub("", self._sentence).replace("*", "").strip()
        self._sentence = ""
        if word_count(sentence) < SHORTEST_CLAIM:
            return
        found = (number for number, each in enumerate(self._evidence) if each.has_sentence(sentence))
        if (number := next(found, None)) is None:
            self._uncited.append(sentence)
            return
        space = self._space
        self.cite([number])
        self._space = space

    def _say_part(self, text: str) -> None:
        is_unquoted = UNQUOTED in text
        text = text.replace(UNQUOTED, "")
        inside_line = "" if self.before() in ("", "\n") else "\0"
        text = _BLOCK_QUOTE.sub("", inside_line + text).removeprefix(inside_line)
        words = text.strip()
        if not words:
            self._space += text
            self._unquoted = self._unquoted or is_unquoted
            return
        begin = len(text) - len(text.lstrip())
        self._space += text[:begin]
        if self._open and self._is_over(words):
            self._close()
        if self._begun is None:
            self._begin()
        space = self._space
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
        if SENTENCE_END.search(words[:-1]) or "\n" in space:
            self.cited_now.clear()
        self._said = (self._said + space + words)[-2 * LONGEST_HELD :]
        self._sentence = (self._sentence + space + words)[-LONGEST_HELD:]
        self._unquoted = self._unquoted or is_unquoted
        self._cited_at_end = False
        self._open = (self._open + (space if self._open else "") + words)[-LONGEST_HELD:]
        self._show(shown)

    def _is_over(self, words: str) -> bool:
        """Whether the open sentence ended before `words`."""
        if self._cited_at_end or ("\n" in self._space and (self._pages or self._open[-1] in ENDS)):
            return True
        return sentence_spans(self._open + self._space + words)[0][1] <= len(self._open)

    def _begin(self) -> None:
        if self._begun is None:
            self._begun = _Begun(
                len(self._events),
                len(self.shown),
                len(self.citations.citations),
                self._space,
                self._said,
                frozenset(self.cited_ever),
                len(self._uncited),
            )

    def _close(self) -> None:
        """Checks the sentence that has ended, markers included, and notes or undoes what does not hold."""
        sentence, pages, unquoted = self._open, self._pages, self._unquoted
        begun, self._begun, self._open, self._pages, self._unquoted = self._begun, None, "", set(), False
        if not sentence:
            return
        claims = Claims(sentence)
        is_claim = word_count(LIST_MARK.sub("", sentence)) >= SHORTEST_CLAIM
        looked_in = [self._evidence[page] for page in sorted(pages)] or self._evidence
        missing = claims.missing(looked_in)
        if is_claim or pages or claims.count:
            self.counts.sentences += 1
            self.counts.cited += bool(pages)
            self.counts.claims += claims.count
            self.counts.found += claims.count - len(missing)
        if not missing and not unquoted and (not is_claim or claims.is_about(looked_in, cited=bool(pages))):
            return
        self.counts.not_found += 1
        self.missing += missing
        if self.when_not_found is WhenNotFound.FLAG:
            note, _ = unlinked(_note(sentence, missing), "", self._addresses)
            self._show(note)
        elif begun is not None:
            self.counts.dropped += 1
            self._undo(begun)

    def _undo(self, begun: _Begun) -> None:
        del self._events[begun.events :]
        del self.shown[begun.shown :]
        self.citations.keep_first(begun.citations)
        self.cited_ever = set(begun.cited_ever)
        del self._uncited[begun.uncited :]
        self.cited_now.clear()
        self._run.clear()
        self._said = begun.said
        self._sentence = ""
        self._space = max(begun.space, self._space, key=lambda space: (space.count("\n"), len(space)))

    def _supporting(self, index: int) -> tuple[Citation, bool]:
        """The citation of the unit of a passage that shares most with the sentence just said."""
        if index not in self._read:
            self._read[index] = read_hit(self.hits[index])
        read = self._read[index]
        passage = read.hit.passage
        spans = sentence_spans(self._said)
        terms = set(content_terms(self._said[slice(*spans[-1])])) if spans else set()
        best, most = (0, len(passage.text)), 0.0
        for number, unit in enumerate(read.layout.units):
            if unit.kind is UnitKind.CRUMB:
                continue
            shared = len(terms & read.terms[number]) / (len(read.terms[number]) + 4) ** 0.5
            shared += 1e-3 * read.window_score(unit.start, unit.end, default=0.01)
            if shared > most:
                best, most = (unit.start, unit.end), shared
        return self.citations.add(passage, *best)

    def _show(self, text: str) -> None:
        self.shown.append(text)
        self._events.append(Token(text))


def _note(sentence: str, missing: Sequence[str]) -> str:
    """The words behind a sentence that says what is not there, with the parts that are not, without any marks."""
    phrases = PHRASES[language_of(sentence)]
    named = [_MARKS_AROUND.sub(" ", words).strip()[:60] for words in missing[:_NAMED_AT_MOST]]
    return phrases.not_found_in_pages([guarded(words) for words in named if words])
