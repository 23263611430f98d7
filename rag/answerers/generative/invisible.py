"""Characters that nobody sees, and a text without them.

Owns which characters these are: controls, formats, halves of surrogate pairs, private use. Who calls says which of
them have to stay.
"""

import unicodedata

JOINERS = "\u200c\u200d"
"""Join letters of some scripts, or keep them apart: a word without them may be another one."""

_CATEGORIES = frozenset(("Cc", "Cf", "Cs", "Co"))


def without_invisible(text: str, kept: str = "") -> str:
    """`text` without the characters that nobody sees; new lines, tabs and those in `kept` stay."""
    return "".join(c for c in text if c in "\n\t" or c in kept or unicodedata.category(c) not in _CATEGORIES)
