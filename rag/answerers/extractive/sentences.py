"""What a sentence or a line of a passage cannot be read without: what stands before it, and what it leads to.

Owns those rules, for one unit of a passage at a time. Knows no question.
"""

import re

from rag.answerers.extractive.ranking import ReadHit
from rag.answerers.extractive.units import CAPTION, LEADS_ON, STOP_AT_END, UnitKind

_GOES_ON = re.compile(r"(?:which|where|and|or|but|so|respective|with)\b|[,;，；]")
_DANGLES = re.compile(
    r"(?:it|its|they|their|this|these|those|that|he|she|his|her|such|however|therefore|thus|otherwise|also|then)\b"
    r"|[这该它其此那他她]|因此|否则|但是?|然而|同时|另外|此外",
    re.IGNORECASE,
)
_SIGNATURE = re.compile(r"[(=]|\. \. \.")


def needed_before(read: ReadHit, unit: int) -> list[int]:
    """What a sentence cannot be read without: the term it defines, or the sentence that its "it" refers to."""
    units = read.layout.units
    before = unit - 1
    if before < 0:
        return []
    same_line = units[before].line == units[unit].line
    if units[before].kind is UnitKind.LABEL and not same_line:
        return [before] if _is_term(read, before) else []
    depends = same_line and units[before].kind is UnitKind.SENTENCE and _DANGLES.match(read.text(unit))
    return [before] if depends else []


def _is_term(read: ReadHit, unit: int) -> bool:
    """Whether a label is a heading or a defined term, not a caption or the last line of an example."""
    if CAPTION.match(read.text(unit)):
        return False
    lines = [unit]
    while lines[0] and read.layout.units[lines[0] - 1].kind is UnitKind.LABEL:
        lines.insert(0, lines[0] - 1)
    before = lines[0] - 1
    example = before >= 0 and LEADS_ON.search(read.text(before)) is not None
    return not example and (len(lines) == 1 or all(_SIGNATURE.search(read.text(line)) for line in lines))


def leads_on(read: ReadHit, unit: int) -> bool:
    """Whether a line leads to what follows it: by a colon, or because it ends nowhere in front of an example."""
    text = read.text(unit)
    after = read.layout.units[unit + 1] if unit + 1 < len(read.layout.units) else None
    if LEADS_ON.search(text):
        return True
    example = after is not None and after.kind is UnitKind.LABEL and after.line != read.layout.units[unit].line
    return example and STOP_AT_END.search(text) is None


def is_fragment(read: ReadHit, unit: int) -> bool:
    """The rest of a sentence broken by a formula or by the border of the passage: nothing on its own."""
    text = read.text(unit)
    cut = unit == 0 and text[:1].islower()
    return cut or _GOES_ON.match(text) is not None


def led_to(read: ReadHit, unit: int, lines: int) -> list[int]:
    """What a term or a line ending in a colon leads to: an example's lines, or the next sentence or list."""
    units = read.layout.units
    items = read.layout.list_at(unit + 1) if unit + 1 < len(units) else None
    if items is not None and items.first == unit + 1:
        return list(range(items.first, items.last + 1)) if len(items.items) <= lines else []
    found: list[int] = []
    label = units[unit].kind is UnitKind.LABEL
    for following in range(unit + 1, min(unit + 1 + lines, len(units))):
        kind = units[following].kind
        if kind not in (UnitKind.SENTENCE, UnitKind.LABEL):
            break
        if kind is UnitKind.SENTENCE:
            return [*found, following] if label or not found else found
        found.append(following)
    return [] if label else found
