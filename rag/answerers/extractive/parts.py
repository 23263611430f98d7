"""Which rows of a table, or items of a list, a question is about: some, or the whole.

Owns the comparison of a question with parts that stand under one heading: what all of them share tells nothing.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rag.answerers.extractive.measures import measured_in
from rag.answerers.extractive.ranking import ReadHit
from rag.answerers.extractive.terms import asks_of_its_own, codes_in, content_terms, is_code, title_terms
from rag.answerers.extractive.units import cells_of
from rag.chinese import simplified

_CELL_PARTS = re.compile(r"[\s,;、，/]+")
_NUMBERED_TITLE = re.compile(r"\s*(?:table|tab\.?|figure|fig\.?|表格?|图)\s*[\d.A-Z-]+[.:：]?\s*", re.IGNORECASE)
_WORD = re.compile(r"[^\W_]+")
_ENOUGH = 0.8
"""A part counts as asked for when it has this share of what the best part has."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as parts are compared with it: its terms by inverse frequency, its codes, its words as written.

    `asking` is what tells the kind of answer that is wanted: of a follow-up not the question before it.
    """

    text: str
    asking: str
    frequencies: Mapping[str, float]
    codes: frozenset[str]
    written: Mapping[str, frozenset[str]]


def asked_for(text: str, frequencies: Mapping[str, float], own: str | None = None) -> Asked:
    """`text` is what is looked for; `own` what was said last, where that is less."""
    asking = own if own is not None and asks_of_its_own(own) else text
    written: dict[str, set[str]] = {}
    for word in _words(text):
        for term in content_terms(word):
            written.setdefault(term, set()).add(word)
    return Asked(text, asking, frequencies, codes_in(text), {term: frozenset(words) for term, words in written.items()})


def parts_asked_for(asked: Asked, common: str, parts: Sequence[str]) -> list[int]:
    """The numbers of the parts that have words of the question which `common` does not have; none: ask for the whole.

    A measure is as good as the word for what it measures.

    "Descaler" is such a word under the title "What descaling needs", though their stems are the same.
    """
    shared, shared_words = set(content_terms(common)), _words(common)
    terms = [measured_in(part).union(content_terms(part)).intersection(asked.frequencies) for part in parts]
    counts = Counter(term for found in terms for term in found)
    scores = []
    for part, found in zip(parts, terms, strict=True):
        as_written = _words(part) - shared_words
        own = [t for t in found if t not in shared or as_written & asked.written.get(t, frozenset())]
        name = set(content_terms(cells_of(part)[0])) if len(cells_of(part)) > 1 else found
        # Asked for "power", the row "Power" is meant rather than "Power on standby".
        named = 0.5 + 0.5 * len(name & found) / len(name) if name & found else 0.5
        scores.append(named * sum(asked.frequencies[term] / counts[term] for term in own))
    best = max(scores, default=0.0)
    return [number for number, score in enumerate(scores) if score and score >= _ENOUGH * best]


def shares_words(asked: Asked, text: str) -> bool:
    """Whether a title or a header has any of the question's terms."""
    return not asked.frequencies.keys().isdisjoint(content_terms(text))


def is_title_asked_for(asked: Asked, title: str) -> bool:
    """Whether the question has all that a title says, which must be two words at least: the whole is asked for."""
    terms = title_terms(_NUMBERED_TITLE.sub("", title))
    return sum(map(str.isalpha, terms)) >= 2 and terms <= title_terms(asked.text)


def rows_named(asked: Asked, read: ReadHit) -> list[int]:
    """The table rows whose first cell is a code that the question names, or several codes."""
    if not asked.codes:
        return []
    rows = (row for table in read.layout.tables for row in table.rows)
    return [row for row in rows if asked.codes & _codes_of_cell(cells_of(read.text(row))[0])]


def _codes_of_cell(cell: str) -> frozenset[str]:
    """The codes in a cell that holds nothing else: `E-01, E-02`."""
    parts = [part for part in _CELL_PARTS.split(cell) if part]
    return codes_in(cell) if all(map(is_code, parts)) else frozenset()


def _words(text: str) -> set[str]:
    return {word.casefold() for word in _WORD.findall(simplified(text))}
