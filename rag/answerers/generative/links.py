"""Links in a model's text: none that the manuals do not give, and no pictures.

Owns what a Markdown viewer would make a link, a picture or a tag of. A picture's address is fetched without a click and
so carries away whatever a planted instruction put into it. Knows nothing of streams.
"""

import re
from collections.abc import Iterable

from rag.citations import WORD_JOINER, unguarded

_ADDRESS = re.compile(r"(?i)(?:(?:https?|ftp)://|www\.)[^\s<>\[\]\"'“”‘’«»「」『』（）()，。；、]{1,500}")
_BEGUN = re.compile(r"(?i)(?:[a-z]{1,6}:/{0,2}|www?\.?|[a-z]{1,5})\Z")
_GROWING = re.compile(rf"{_ADDRESS.pattern}\Z")
_COLON = re.compile(r":/?\Z")
_FIRSTS = ("https://", "http://", "ftp://", "www.")
_AROUND = ".,;:!?*_`~'\""
_LINKED = re.compile(r"(?<=\])(?=[(:\[])|(?<=:)(?=//)|(?<=<)(?=[A-Za-z/!?])|(?<=\bwww)(?=\.)", re.IGNORECASE)


def addresses_in(texts: Iterable[str]) -> frozenset[str]:
    """The web addresses that stand in passages, in lower case."""
    return frozenset(found[0].rstrip(_AROUND).lower() for text in texts for found in _ADDRESS.finditer(text))


def unfinished_address(text: str) -> int:
    """How many characters at the end may be an address, or become one."""
    if growing := _GROWING.search(text):
        return len(text) - growing.start()
    begun = _BEGUN.search(text)
    if begun and any(first.startswith(begun[0].lower()) for first in _FIRSTS):
        return len(begun[0])
    # Two slashes may follow: behind whatever a colon stands, a viewer may take it for an address.
    slashes = _COLON.search(text)
    return len(slashes[0]) if slashes else 0


def unlinked(text: str, before: str, known: frozenset[str]) -> tuple[str, int]:
    """`text`, which stands behind `before`, so that only addresses among `known` are links; and how many were not.

    What would make a link, a picture or a tag is parted by a word joiner: it is read as it was written.
    """
    kept = [found.span() for found in _ADDRESS.finditer(text) if _is_known(found[0], known)]
    whole = before + text
    places = [found.start() - len(before) for found in _LINKED.finditer(whole)]
    broken = [place for place in places if place >= 0 and not any(start < place < end for start, end in kept)]
    pieces, last = [], 0
    for place in broken:
        pieces.append(text[last:place])
        last = place
    return WORD_JOINER.join([*pieces, text[last:]]), len(broken)


def _is_known(address: str, known: frozenset[str]) -> bool:
    return unguarded(address).rstrip(_AROUND).lower() in known
