"""Where the words of an answer stand: ranges of a passage's text as page spans, quotes and citations.

Owns the arithmetic between a passage's text and its pages, the numbering of citations in an answer, the search
for a quotation in a passage, and the guard that keeps other text from looking like a marker. Does not know how
answers are made.
"""

import re
import unicodedata
from dataclasses import dataclass, field

from rag.types import Citation, Passage, Span

WORD_JOINER = "\u2060"
"""Invisible; put behind a "[" that is followed by a digit, so that only real markers read as `[1]`."""

_LOOKS_LIKE_MARKER = re.compile(r"\[(?=\d)")
_HYPHENS = frozenset("-\u2010\u2011\u00ad\ufffe")
_QUOTE_SIGNS = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "„": '"', "「": '"', "」": '"'})


def guarded(text: str) -> str:
    """`text` with a word joiner in everything that could be taken for a marker: `x[1]` is code, not a citation."""
    return _LOOKS_LIKE_MARKER.sub("[" + WORD_JOINER, text)


def unguarded(text: str) -> str:
    """`text` as it stood before `guarded`."""
    return text.replace("[" + WORD_JOINER, "[")


def spans_between(passage: Passage, start: int, end: int) -> tuple[Span, ...]:
    """The page spans under `passage.text[start:end]`, in order; their slices concatenated are that text.

    Raises `ValueError` for an empty range and for one that is not inside the passage.
    """
    if not 0 <= start < end <= len(passage.text):
        raise ValueError(
            f"No text between {start} and {end} in passage {passage.id} of {len(passage.text)} characters."
        )
    spans: list[Span] = []
    offset = 0
    for span in passage.spans:
        length = span.end - span.start
        first, last = max(start - offset, 0), min(end - offset, length)
        if first < last:
            spans.append(Span(span.page, span.start + first, span.start + last, span.anchor))
        offset += length
    return tuple(spans)


def trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """The range without the white space at its ends."""
    words = text[start:end]
    return start + len(words) - len(words.lstrip()), start + len(words.rstrip())


def cite(passage: Passage, start: int, end: int, marker: int) -> Citation:
    """The citation of `passage.text[start:end]`, white space at the ends left out.

    Raises `ValueError` when nothing is left or the range is not inside the passage.
    """
    start, end = trimmed(passage.text, start, end)
    spans = spans_between(passage, start, end)
    return Citation(
        marker=marker,
        passage_id=passage.id,
        document_id=passage.document_id,
        document_version=passage.document_version,
        external_id=passage.external_id,
        title=passage.title,
        heading_path=passage.heading_path,
        spans=spans,
        page_label=printed_page(passage, spans[0].page),
        quote=passage.text[start:end],
    )


def printed_page(passage: Passage, page: int) -> str | None:
    """The number printed on a page of `passage`, None where it is not known.

    Only that of the passage's first page is stored; those behind it count on from it where it is a number.
    """
    behind = page - passage.spans[0].page
    label = passage.page_label
    if label is None or behind == 0:
        return label
    return str(int(label) + behind) if label.isdecimal() and behind > 0 else None


@dataclass(slots=True)
class CitationList:
    """The citations of one answer, numbered in order of appearance; the same quote keeps its number."""

    citations: list[Citation] = field(default_factory=list)
    _known: dict[tuple[int, int, int], Citation] = field(default_factory=dict)

    def add(self, passage: Passage, start: int, end: int) -> tuple[Citation, bool]:
        """The citation of `passage.text[start:end]`, and whether it is new in this answer."""
        start, end = trimmed(passage.text, start, end)
        place = (passage.key, start, end)
        if known := self._known.get(place):
            return known, False
        citation = cite(passage, start, end, len(self.citations) + 1)
        self._known[place] = citation
        self.citations.append(citation)
        return citation, True

    def keep_first(self, count: int) -> None:
        """Forgets all but the first `count` citations: their numbers are given anew."""
        del self.citations[count:]
        self._known = {place: citation for place, citation in self._known.items() if citation.marker <= count}


def find_quotation(text: str, quotation: str) -> tuple[int, int] | None:
    """Where `quotation` stands in `text`, as (start, end), or None.

    White space, invisible characters, letter case, the shape of quotation marks, character width and hyphens
    between letters (words broken at line ends) make no difference; every other character does. Whole words only.
    """
    needle, _ = _bare(quotation)
    needle = needle.rstrip(".,;:。，；：!?！？")  # an author's punctuation may stand inside the marks
    if not needle:
        return None
    hay, places = _bare(text)
    position = hay.find(needle)
    while position >= 0:
        start, end = places[position], places[position + len(needle) - 1] + 1
        if not _inside_word(text, start) and not _inside_word(text, end):
            return start, end
        position = hay.find(needle, position + 1)
    return None


def _bare(text: str) -> tuple[str, list[int]]:
    """`text` reduced to what must agree, and for each character left its place in `text`."""
    kept: list[str] = []
    places: list[int] = []
    for place, character in enumerate(text):
        if character.isspace() or (character in _HYPHENS and _between_letters(text, place)):
            continue
        if unicodedata.category(character) == "Cf":
            continue
        for plain in unicodedata.normalize("NFKC", character).casefold().translate(_QUOTE_SIGNS):
            if not plain.isspace():
                kept.append(plain)
                places.append(place)
    return "".join(kept), places


def _between_letters(text: str, place: int) -> bool:
    """Whether a hyphen joins or breaks a word there; before a number it is a minus sign and must agree."""
    after = text[place + 1 : place + 8].lstrip()
    return place > 0 and text[place - 1].isalpha() and after[:1].isalpha()


def _inside_word(text: str, border: int) -> bool:
    """Whether `border` cuts a word of letters and digits in two; Chinese is written without word borders."""
    if not 0 < border < len(text):
        return False
    return all(c.isalnum() and ord(c) < 0x2E80 for c in text[border - 1 : border + 1])
