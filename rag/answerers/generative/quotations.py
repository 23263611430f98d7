"""Quotation marks in a model's text: which belong together, and which promise words that are on no cited page.

Owns the pairing of marks in a finished stretch of text and the removal of those that do not hold. Knows nothing of
streams and markers.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

UNQUOTED = "\x01"
"""Stands where a quotation began that does not hold; no text of a model has this character."""

DOUBLE_PRIME = "″"
"""Takes the place of a straight mark behind a number: 32″ is a size."""

_OPENING = {"“": 0, "„": 0, "‟": 0, "〝": 0, "«": 1, "「": 2, "﹁": 2, "『": 3, "﹃": 3, "‘": 4, "‚": 4, "‹": 5}
_CLOSING = {"”": 0, "〞": 0, "〟": 0, "»": 1, "」": 2, "﹂": 2, "』": 3, "﹄": 3, "›": 5}
_EITHER = {'"': 6, "＂": 6}  # of their own: one that closed a curly mark could be read as opening the next quotation
_SINGLE = 4
_MARKS = "\"＂“”„‟〝〞〟«»「」﹁﹂『』﹃﹄‘’‚‹›'"
_MARK = re.compile(f"[{_MARKS}]")


@dataclass(frozen=True, slots=True)
class Marks:
    """Where the quotation marks of a text are: `pairs`, `unpaired`, signs of `inches`, and `open` ones at its end."""

    pairs: tuple[tuple[int, int], ...]
    unpaired: tuple[int, ...]
    inches: tuple[int, ...]
    open: tuple[int, ...]


def marks_in(text: str, before: str) -> Marks:
    """The marks of `text`, which stands behind the character `before` (empty at the beginning)."""
    pairs: list[tuple[int, int]] = []
    unpaired: list[int] = []
    inches: list[int] = []
    opened: dict[int, int] = {}
    for match in _MARK.finditer(text):
        place, mark = match.start(), match[0]
        left = text[place - 1] if place else before
        right = text[place + 1 : place + 2]
        if mark in "'’":
            # Otherwise an apostrophe. A straight mark opens in front of a word, also where other marks that may go
            # stand between; either closes behind one.
            if _SINGLE in opened and not (right.isalnum() and left.isalnum()):
                pairs.append((opened.pop(_SINGLE), place))
            elif mark == "'" and not left.isalnum() and text[place:].lstrip(_MARKS)[:1].isalnum():
                opened[_SINGLE] = place
        elif mark in _EITHER and _EITHER[mark] not in opened and left.isdigit():
            inches.append(place)
        elif mark in _EITHER and _EITHER[mark] not in opened and right.isspace():
            unpaired.append(place)  # it opens nothing; as if it did, what stands between two quotations would be one
        elif mark in _OPENING or (mark in _EITHER and _EITHER[mark] not in opened):
            family = _EITHER.get(mark) or _OPENING[mark]
            if family in opened:
                unpaired.append(opened[family])
            opened[family] = place
        else:
            family = _EITHER.get(mark) or _CLOSING[mark]
            if family in opened:
                pairs.append((opened.pop(family), place))
            else:
                unpaired.append(place)
    return Marks(tuple(pairs), tuple(unpaired), tuple(inches), tuple(sorted(opened.values())))


def first_mark(text: str, before: str) -> int | None:
    """Where the first mark stands that is part of a quotation or may become so, or None."""
    marks = marks_in(text, before)
    places = [start for start, _ in marks.pairs] + [*marks.unpaired, *marks.open]
    return min(places, default=None)


def without_unsupported(text: str, before: str, supported: Callable[[str], bool]) -> tuple[str, int]:
    """`text` without the marks of quotations that are not `supported`, and how many of these there were.

    Labels and words set apart are quotations too; `UNQUOTED` takes the place of the first mark. Unpaired marks go,
    except apostrophes; sizes in inches get a double prime.
    """
    marks = marks_in(text, before)
    removed: set[int] = set()
    replaced = dict.fromkeys(marks.inches, DOUBLE_PRIME)
    count = 0
    for start, end in marks.pairs:
        quotation = text[start + 1 : end]
        if not supported(quotation):
            removed.add(end)
            replaced[start] = UNQUOTED
            count += 1
    loose = [place for place in (*marks.unpaired, *marks.open) if text[place] != "'"]
    removed.update(loose)
    count += len(loose)
    kept = (replaced.get(i, c) for i, c in enumerate(text) if i not in removed)
    return "".join(kept), count
