"""What belongs to a passage's rows and steps but stands in the passage before or behind it.

Owns the joins across passage borders: the header of a table that goes on, the rest of a procedure, the steps of the
same section. Only passages that the search found are looked at; nothing is fetched.
"""

from collections.abc import Callable, Sequence

from rag.answerers.extractive.layout import ItemList, Table
from rag.answerers.extractive.ranking import ReadHit
from rag.answerers.extractive.units import LEADS_ON, UnitKind

Place = tuple[int, int]
"""Number of a hit, number of a unit in it."""

_LONGEST_REST = 4


def neighbour(hits: Sequence[ReadHit], index: int, step: int) -> int | None:
    """The number of the hit that stands `step` passages behind `hits[index]` in its document, in the same section."""
    passage = hits[index].hit.passage
    for number, other in enumerate(read.hit.passage for read in hits):
        same = (other.document_key, other.heading_path[:1]) == (passage.document_key, passage.heading_path[:1])
        if same and other.ordinal == passage.ordinal + step and number != index:
            return number
    return None


def header_of(hits: Sequence[ReadHit], index: int, table: Table) -> Place | None:
    """The row that names the columns of `table`: its own, or that of the table it continues."""
    if table.header is not None:
        return index, table.header
    for earlier in reversed(hits[index].layout.tables):
        if earlier.last < table.first and earlier.columns == table.columns and earlier.header is not None:
            return index, earlier.header
    before = neighbour(hits, index, -1)
    if before is None or _first_quotable(hits[index]) != table.first or not hits[before].layout.tables:
        return None
    last = hits[before].layout.tables[-1]
    return (before, last.header) if last.header is not None and last.columns == table.columns else None


def whole_list(hits: Sequence[ReadHit], index: int, items: ItemList) -> list[Place]:
    """The units of a list with its lead-in, and with what the passages before and behind have of it."""
    places = [(index, unit) for unit in range(items.first, items.last + 1)]
    if items.lead is not None:
        places.insert(0, (index, items.lead))
    elif items.first == _first_quotable(hits[index]):
        places = _part_before(hits, index, items) + places
    return places + _part_behind(hits, index, items)


def _part_before(hits: Sequence[ReadHit], index: int, items: ItemList) -> list[Place]:
    before = neighbour(hits, index, -1)
    if before is None or not hits[before].layout.units:
        return []
    layout = hits[before].layout
    last = len(layout.units) - 1
    if items.numbers and items.numbers[0] > 1:
        earlier = layout.lists[-1] if layout.lists else None
        if earlier is None or not earlier.numbers or earlier.numbers[1] + 1 != items.numbers[0]:
            return []
        first = earlier.first if earlier.lead is None else earlier.lead
        return [(before, unit) for unit in range(first, last + 1)]
    return [(before, last)] if LEADS_ON.search(hits[before].text(last)) else []


def _part_behind(hits: Sequence[ReadHit], index: int, items: ItemList) -> list[Place]:
    rest = range(items.last + 1, len(hits[index].layout.units))
    if items.numbers is None or len(rest) > _LONGEST_REST:
        return []
    behind = neighbour(hits, index, 1)
    later = next(iter(hits[behind].layout.lists), None) if behind is not None else None
    if behind is None or later is None or not later.numbers or later.numbers[0] != items.numbers[1] + 1:
        return []
    first = _first_quotable(hits[behind])
    # What stands between the two steps, on either side of the border, belongs to the first.
    places = [(index, unit) for unit in rest]
    return places if first is None else [*places, *((behind, unit) for unit in range(first, later.last + 1))]


def steps_of_section(
    hits: Sequence[ReadHit], index: int, is_asked_for: Callable[[str], bool]
) -> tuple[int, ItemList] | None:
    """The first numbered list under a heading asked for, of a passage or else of the next one of its section."""
    behind = neighbour(hits, index, 1)
    path = hits[index].hit.passage.heading_path
    places = [index] if behind is None or hits[behind].hit.passage.heading_path != path else [index, behind]
    for place in places:
        read = hits[place]
        for items in read.layout.lists:
            if items.numbers and is_asked_for(read.heading_at(read.layout.units[items.first].start)):
                return place, items
    return None


def _first_quotable(read: ReadHit) -> int | None:
    kinds = (unit.kind for unit in read.layout.units)
    return next((n for n, kind in enumerate(kinds) if kind not in (UnitKind.HEADING, UnitKind.CRUMB)), None)
