"""Which units make the answer: a whole procedure, a row with its header, or the few best sentences.

Owns the choice and its limits. Does not write text: it hands back ranges of passages in reading order.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rag.answerers.extractive_ranking import RankedUnit, ReadHit
from rag.answerers.extractive_terms import asks_for_steps
from rag.answerers.extractive_units import ItemList, UnitKind
from rag.language import word_count


@dataclass(frozen=True, slots=True)
class ChoiceLimits:
    """Lengths in words, two Chinese characters counting as one.

    words: of an answer made of single sentences or rows. list_words: of a list of items that is given whole;
    numbered steps are given whole up to step_words. enough: sentences are added until they hold this share of the
    probability. second_passage: how probable its best sentence must be for a second passage to be quoted.
    """

    words: int = 60
    list_words: int = 120
    step_words: int = 350
    enough: float = 0.85
    second_passage: float = 0.3


@dataclass(frozen=True, slots=True)
class Chosen:
    """A contiguous quote: `text[start:end]` of the passage of `hits[hit]`."""

    hit: int
    start: int
    end: int


_LEADS_ON = re.compile(r"[:：]\s*\Z")
_GOES_ON = re.compile(r"(?:which|where|and|or|but|so|respective|with)\b|[,;，；]")
_DANGLES = re.compile(
    r"(?:it|its|they|their|this|these|those|that|he|she|his|her|such|however|therefore|thus|otherwise|also|then)\b"
    r"|[这该它其此那他她]|因此|否则|但是?|然而|同时|另外|此外",
    re.IGNORECASE,
)


def choose(question: str, hits: Sequence[ReadHit], ranked: Sequence[RankedUnit], limits: ChoiceLimits) -> list[Chosen]:
    """The ranges to quote: passage by passage, in the order of the page, contiguous units joined."""
    if not ranked:
        return []
    best = ranked[0]
    whole = _whole_list(question, hits[best.hit], best.unit, limits)
    units = {(best.hit, unit) for unit in whole} if whole else _best_units(hits, ranked, limits)
    return _joined(hits, sorted(units))


def _whole_list(question: str, read: ReadHit, unit: int, limits: ChoiceLimits) -> list[int]:
    """The units of the list that `unit` stands in or leads to, with its lead-in; empty when it is none or too long."""
    items = _list_of(read, unit)
    if items is None:
        return []
    first = items.first if items.lead is None else items.lead
    words = word_count(_slice(read, first, items.last))
    steps = items.numbered or asks_for_steps(question)
    return list(range(first, items.last + 1)) if words <= (limits.step_words if steps else limits.list_words) else []


def _list_of(read: ReadHit, unit: int) -> ItemList | None:
    inside = read.layout.list_at(unit)
    return inside or next((items for items in read.layout.lists if items.lead == unit), None)


def _best_units(hits: Sequence[ReadHit], ranked: Sequence[RankedUnit], limits: ChoiceLimits) -> set[tuple[int, int]]:
    """The best sentences or rows up to `limits.words`, each with what it cannot be read without."""
    chosen: set[tuple[int, int]] = set()
    told: set[str] = set()
    words = probability = 0.0
    main = ranked[0].hit
    for candidate in ranked:
        if chosen and probability >= limits.enough:
            break
        if candidate.hit != main and candidate.probability < limits.second_passage:
            continue
        read = hits[candidate.hit]
        text = _plain(read.text(candidate.unit))
        if not text or text in told or read.layout.units[candidate.unit].kind is UnitKind.CRUMB:
            continue
        if chosen and (_is_fragment(read, candidate.unit) or _is_lone_item(read, candidate, chosen)):
            continue
        group = [unit for unit in _with_companions(read, candidate.unit) if (candidate.hit, unit) not in chosen]
        length = sum(word_count(read.text(unit)) for unit in group)
        if chosen and words + length > limits.words:
            group, length = [candidate.unit], word_count(read.text(candidate.unit))
            if words + length > limits.words or (candidate.hit, candidate.unit) in chosen:
                continue
        chosen.update((candidate.hit, unit) for unit in group)
        told.add(text)
        words += length
        probability += candidate.probability
    return chosen


def _with_companions(read: ReadHit, unit: int) -> list[int]:
    """`unit`, and before it what it depends on: a row's header, an item's lead-in, what "it" refers to."""
    units = read.layout.units
    rows = read.layout.rows_at(unit)
    if rows:
        return [rows[0], unit] if unit != rows[0] and _is_header(read, rows) else [unit]
    items = read.layout.list_at(unit)
    if items:
        return [unit] if items.lead is None else [items.lead, unit]
    kind = units[unit].kind
    if kind is UnitKind.LABEL or _LEADS_ON.search(read.text(unit)):
        following = _following_text(read, unit)
        return [unit, *following]
    before = unit - 1
    if before < 0:
        return [unit]
    same_line = units[before].line == units[unit].line
    if units[before].kind is UnitKind.LABEL and not same_line and not _is_heading(read, before):
        return [before, unit]  # a defined term, a heading
    if same_line and _DANGLES.match(read.text(unit)):
        return [before, unit]
    return [unit]


def _is_fragment(read: ReadHit, unit: int) -> bool:
    """A label, a line that only leads on, or the rest of a sentence broken by a formula: nothing on its own."""
    text = read.text(unit)
    return read.layout.units[unit].kind is UnitKind.LABEL or bool(_LEADS_ON.search(text) or _GOES_ON.match(text))


def _is_lone_item(read: ReadHit, candidate: RankedUnit, chosen: set[tuple[int, int]]) -> bool:
    """An item of a list of which nothing else is quoted: behind other sentences it would hang in the air."""
    items = read.layout.list_at(candidate.unit)
    return items is not None and not any((candidate.hit, n) in chosen for n in range(items.first, items.last + 1))


def _is_heading(read: ReadHit, unit: int) -> bool:
    """Whether a label is the section's own heading, which the lead line names already."""
    path = read.hit.passage.heading_path
    return bool(path) and _plain(read.text(unit)) == _plain(path[-1])


def _is_header(read: ReadHit, rows: tuple[int, int]) -> bool:
    """Whether the first of some table rows names the columns: short cells, and at least two rows below it."""
    cells = re.split(r"\s\|\s|\t+", read.text(rows[0]))
    return rows[1] - rows[0] >= 2 and all(word_count(cell) <= 4 and not cell.rstrip().endswith(".") for cell in cells)


def _following_text(read: ReadHit, unit: int) -> list[int]:
    """What a heading, a term or a line ending in a colon leads to: the next unit that is not one of them."""
    units = read.layout.units
    for following in range(unit + 1, min(unit + 4, len(units))):
        if units[following].kind is UnitKind.SENTENCE:
            return list(range(unit + 1, following + 1))
    return []


def _plain(text: str) -> str:
    return re.sub(r"\W+", "", text).casefold()


def _slice(read: ReadHit, first: int, last: int) -> str:
    return read.hit.passage.text[read.layout.units[first].start : read.layout.units[last].end]


def _joined(hits: Sequence[ReadHit], units: Sequence[tuple[int, int]]) -> list[Chosen]:
    """Ranges of units in order, joined where only white space lies between them."""
    ranges: list[Chosen] = []
    for hit, unit in units:
        place = hits[hit].layout.units[unit]
        if ranges and ranges[-1].hit == hit:
            gap = hits[hit].hit.passage.text[ranges[-1].end : place.start]
            if not gap.strip():
                ranges[-1] = Chosen(hit, ranges[-1].start, place.end)
                continue
        ranges.append(Chosen(hit, place.start, place.end))
    return ranges
