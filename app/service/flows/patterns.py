r"""Patterns of order numbers: the part of regular expressions that can never take long, whatever a customer sends.

Owns which part that is: letters, digits, classes, groups with `|`, and counts with an end (`?`, `{3}`, `{2,6}`); no
`*`, no `+`, nothing repeated that is itself a group. Ways to match are at most the product of the counts' spans, which
has a bound.
"""

import re
from functools import cache
from math import prod

_PART = re.compile(
    r"""(?P<atom>\\[dw\-./#]|\[(?:[^\]\\\[]|\\[dw\-./\]])+\]|[A-Za-z0-9 /#_:-])|(?P<group>\(\?:|\(|\||\))
    |(?P<count>\?|\{\d{1,2}(?:,\d{1,2})?\})""",
    re.VERBOSE,
)
_MOST_WAYS = 2000


def mistake_in(pattern: str) -> str | None:
    """Why it may not be used, None when it may."""
    position, before, spans = 0, "", [1]
    while position < len(pattern):
        part = _PART.match(pattern, position)
        if part is None:
            return f"has {pattern[position : position + 10]!r}, which is not for patterns: see docs/flows.md"
        if part["count"]:
            if before != "atom":
                return f"repeats at {pattern[position:]!r} what is not one character or class"
            spans.append(_span(part["count"]))
        if part["group"] == "|":
            spans.append(2)
        before, position = str(part.lastgroup), part.end()
    if min(spans) < 1:
        return "has a count whose end is before its start"
    if prod(spans) > _MOST_WAYS:
        return f"could be matched in too many ways ({prod(spans):,}; {_MOST_WAYS:,} are allowed): narrow its counts"
    try:
        empty = re.compile(pattern).fullmatch("")
    except re.error as error:
        return f"is no pattern: {error}"
    return "matches nothing at all" if empty else None


@cache
def finder(pattern: str) -> re.Pattern[str]:
    """Finds it in a text as a word of its own, in either case."""
    return re.compile(rf"(?<![A-Za-z0-9])(?:{pattern})(?![A-Za-z0-9])", re.IGNORECASE | re.ASCII)


def _span(count: str) -> int:
    if count == "?":
        return 2
    first, _, last = count[1:-1].partition(",")
    return int(last or first) - int(first) + 1
