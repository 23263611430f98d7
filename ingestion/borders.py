"""Chooses where a section that is too long for one passage is cut.

Owns what each border costs and the search for the cheapest cuts. Does not know tokenizers or embedding.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise

from ingestion.types import BlockKind, ParsedPage


class Piece(IntEnum):
    """What a unit is of its block: its beginning, or a later sentence of it, or a later part of a sentence."""

    BLOCK = 0
    SENTENCE = 1
    PART = 2


@dataclass(frozen=True, slots=True)
class Unit:
    """What a passage is put together from: a block, or a piece of a block that is too long for a passage.

    `page.text[start:end]`, without white space at either end. `tokens` are those of its text alone.
    """

    page: ParsedPage
    start: int
    end: int
    kind: BlockKind
    heading_path: tuple[str, ...]
    anchor: str | None
    piece: Piece
    tokens: int
    columns: str = ""

    @property
    def text(self) -> str:
        return self.page.text[self.start : self.end]


# A passage costs PASSAGE, and up to EMPTINESS more the emptier it is: so a border that costs more than both is
# only used when there is no other way, as between the steps of a procedure that would fit into one passage.
PASSAGE = 3.0
EMPTINESS = 6.0
MOST_UNITS = 160
"""Units of one passage. Text has fewer; a file of half a million full stops would else be looked at for minutes."""

_AFTER_HEADING = 40.0
_WITHIN_SENTENCE = 30.0
_WITHIN_LIST_OF_STEPS = 14.0
_AFTER_INTRODUCTION = 14.0
_BETWEEN_SENTENCES = 10.0
_WITHIN_LIST = 6.0
_BEFORE_EXAMPLE = 4.0
_BETWEEN_PARAGRAPHS = 1.0
_BETWEEN_SECTIONS = 0.0

_ITEMS = (BlockKind.STEP, BlockKind.LIST_ITEM, BlockKind.TABLE_ROW, BlockKind.CODE)


def cut(units: Sequence[Unit], budget: int) -> list[Sequence[Unit]]:
    """The units in as many runs as needed, each of at most `budget` tokens, at the cheapest borders.

    The sum of the costs of all borders and passages is minimal. A single unit beyond the budget stays alone, and no
    run has more than `MOST_UNITS`. Time is linear in the number of units times the number that fits into one passage.
    """
    borders = [0.0, *(border_cost(before, after) for before, after in pairwise(units))]
    lengths = [unit.tokens for unit in units]
    cheapest = [0.0] + [float("inf")] * len(units)
    begins = [0] * (len(units) + 1)
    for end in range(1, len(units) + 1):
        tokens = 0
        for begin in range(end - 1, max(-1, end - 1 - MOST_UNITS), -1):
            tokens += lengths[begin]
            if tokens > budget and begin < end - 1:
                break
            emptiness = max(0.0, 1 - tokens / budget)
            cost = cheapest[begin] + PASSAGE + EMPTINESS * emptiness**2 + borders[begin]
            if cost < cheapest[end]:
                cheapest[end], begins[end] = cost, begin
    runs: list[Sequence[Unit]] = []
    end = len(units)
    while end:
        runs.append(units[begins[end] : end])
        end = begins[end]
    return runs[::-1]


def border_cost(before: Unit, after: Unit) -> float:
    """What a reader loses when a passage ends between two neighbours."""
    if after.piece is Piece.PART:
        return _WITHIN_SENTENCE
    if after.piece is Piece.SENTENCE:
        return _BETWEEN_SENTENCES
    if before.kind is BlockKind.HEADING:
        return _AFTER_HEADING
    if before.heading_path != after.heading_path or after.kind is BlockKind.HEADING:
        return _BETWEEN_SECTIONS
    if after.kind is before.kind is BlockKind.STEP:
        return _WITHIN_LIST_OF_STEPS
    if after.kind is before.kind is BlockKind.TABLE_ROW and bool(after.columns) is not bool(before.columns):
        return _AFTER_HEADING if after.columns else _BETWEEN_PARAGRAPHS  # a header, and the end of its table
    if after.kind in _ITEMS and before.text.endswith((":", "：")):
        return _AFTER_INTRODUCTION
    if after.kind is before.kind and after.kind in _ITEMS:
        return _WITHIN_LIST
    if _continues_on_next_page(before, after):
        return _WITHIN_SENTENCE
    if after.kind is BlockKind.CODE or before.kind is BlockKind.STEP:
        return _BEFORE_EXAMPLE
    return _BETWEEN_PARAGRAPHS


def _continues_on_next_page(before: Unit, after: Unit) -> bool:
    """Whether two paragraphs are one that a page border cuts."""
    if before.page is after.page or not before.kind is after.kind is BlockKind.PARAGRAPH:
        return False
    return not before.text.endswith((".", "!", "?", ":", "。", "！", "？", "：", "”", '"', ")", "）"))
