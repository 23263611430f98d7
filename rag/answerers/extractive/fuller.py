"""The rest of an answer to somebody who asks for help: what else the passages say that is near to the question.

A question for a fact has words of the sentence that answers it. Who has a problem, or wants something done, has words
of his own: what helps may share none of them, but stands where the vectors are near. Owns what is added and how far it
goes. Adds nothing but what can be read without what stands around it.
"""

from collections.abc import Iterator, Mapping, Sequence

from rag.answerers.extractive.neighbours import Place, whole_list
from rag.answerers.extractive.ranking import ReadHit
from rag.answerers.extractive.sentences import is_fragment, leads_on, led_to, needed_before
from rag.answerers.extractive.units import CAPTION, UnitKind
from rag.language import word_count

FAR = 0.05
"""Cosine by which a window may be farther from the question than the nearest one."""

_SECOND_PASSAGE = 0.01
"""Cosine that a window of another passage than the first must be nearer by, to be told before one of the first."""


def fuller(
    hits: Sequence[ReadHit], pieces: Mapping[Place, bool], readable: Sequence[int], words: float, code_lines: int
) -> dict[Place, bool]:
    """The chosen units with those of the nearest windows of the hits of numbers `readable`, up to so many words.

    `pieces` says of each unit whether it is only context; `code_lines` are those of an example that a line leads to.
    """
    told = dict(pieces)
    length = _words(hits, told)
    for index, (start, end) in _nearest(hits, readable):
        added = {
            place: context
            for place, context in _readable(hits, index, start, end, code_lines).items()
            if told.get(place) is not False
        }
        more = _words(hits, added)
        if more and length + more <= words:
            told |= added
            length += more
    return told


def _nearest(hits: Sequence[ReadHit], readable: Sequence[int]) -> Iterator[tuple[int, tuple[int, int]]]:
    """The windows that are near enough, nearest first, each with the number of its hit."""
    windows = [
        (score - (_SECOND_PASSAGE if index != readable[0] else 0.0), index, window)
        for index in readable
        for window, score in zip(hits[index].hit.passage.windows, hits[index].hit.window_scores, strict=False)
    ]
    windows.sort(key=lambda each: -each[0])
    return ((index, window) for score, index, window in windows if score >= windows[0][0] - FAR)


def _readable(hits: Sequence[ReadHit], index: int, start: int, end: int, code_lines: int) -> dict[Place, bool]:
    """The units of a window with what they cannot be read without; of each whether it is only context.

    No rows of tables: those beside the one that is asked for are about something else.
    """
    read = hits[index]
    found: dict[Place, bool] = {}
    for unit in read.units_at(start, end):
        place = read.layout.units[unit]
        shared = min(end, place.end) - max(start, place.start)
        if place.kind in (UnitKind.CRUMB, UnitKind.HEADING) or CAPTION.match(read.text(unit)):
            continue
        if 2 * shared < min(end - start, place.end - place.start) or read.layout.table_at(unit):
            continue
        for other, context in _with_what_it_needs(hits, index, unit, code_lines).items():
            found[other] = context and found.get(other, True)
    return found


def _with_what_it_needs(hits: Sequence[ReadHit], index: int, unit: int, code_lines: int) -> dict[Place, bool]:
    read = hits[index]
    if items := read.layout.list_at(unit):
        if unit < items.first:
            return {}
        if items.numbers:  # some of its steps are no procedure
            return dict.fromkeys(whole_list(hits, index, items), False)
        titled = items.lead is None or read.layout.units[items.lead].kind is UnitKind.LABEL
        over = {} if items.lead is None or titled else {(index, items.lead): True}
        return over | {(index, each): False for each in items.item_at(unit)}
    if read.layout.units[unit].kind is UnitKind.LABEL:
        return {}  # it comes with what leads to it, or with the sentence that needs it
    if leads_on(read, unit):
        following = led_to(read, unit, code_lines)
        return {(index, each): False for each in (unit, *following)} if following else {}
    if is_fragment(read, unit):
        return {}
    return {(index, each): False for each in (*needed_before(read, unit), unit)}


def _words(hits: Sequence[ReadHit], pieces: Mapping[Place, bool]) -> float:
    return sum(word_count(hits[hit].text(unit)) for (hit, unit), context in pieces.items() if not context)
