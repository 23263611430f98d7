"""How much of a text is writing that somebody could read: words, as against dots, digits and debris.

Owns what counts as a word, and from where on a text has too few of them. Whether a PDF's text layer is to be trusted
at all is `ingestion.parsers.readability`'s.
"""

import re

from ingestion.parsers.readability import is_garbled

FEWEST_LETTERS = 12
"""Letters in words (a Chinese character counts for three) that a passage has at least, or it says nothing."""

LOWEST_SHARE = 0.25
"""Of a text's characters, how many are in words at least. Tables of figures have 0.3 and more, dumps less than 0.1."""

_WORD = re.compile(r"(?<![^\W_])[^\W\d_]{2,30}(?![^\W_])")
_VOWEL = re.compile(r"[aeiouy\u00c0-\u024f]", re.IGNORECASE)
_WIDE = re.compile("[\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff]")
_HEXADECIMAL = re.compile(r"[a-fA-F]+")
_SPACE = re.compile(r"\s+")
_WORTH_OF_WIDE = 3
_LATIN = re.compile(r"[A-Za-z]+")
_MOSTLY_WIDE = 0.3
_LEADERS = re.compile(r"(?:[.·…‧_][^\S\n]*){4,}")


def is_unreadable(text: str) -> bool:
    """Whether a text has too little writing to answer anything: garbled, a dump, a line of dots, a stray number."""
    real, characters, wide = _measured(text)
    if real < FEWEST_LETTERS or real < LOWEST_SHARE * characters:
        return True
    # Beside Chinese sentences Latin letters are commands and codes, which need no vowels and no small words.
    return is_garbled(_LATIN.sub(" ", text) if wide > _MOSTLY_WIDE * characters else text)


def is_unreadable_page(text: str) -> bool:
    """As for a passage; but what leads to page numbers in a table of contents is not held against a page."""
    return is_unreadable(_LEADERS.sub(" ", text))


def _measured(text: str) -> tuple[int, int, int]:
    """Letters in words, all characters, and of both the wide ones, which count for three."""
    wide = len(_WIDE.findall(text))
    narrow = _WIDE.sub(" ", text)
    letters = sum(len(word) for word in _WORD.findall(narrow) if _is_word(word))
    worth = _WORTH_OF_WIDE * wide
    return letters + worth, len(_SPACE.sub("", narrow)) + worth, worth


def _is_word(word: str) -> bool:
    """Letters of other alphabets always, those of ours with a vowel unless they are hexadecimal digits."""
    if not word.isascii():
        return True
    return _VOWEL.search(word) is not None and not (
        len(word) <= 8 and _HEXADECIMAL.fullmatch(word) and len(word) % 2 == 0
    )
