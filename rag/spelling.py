"""Mistyped words of a question: the nearest word that the knowledge base has.

Owns which words are looked at and what is near. Works on stems, as the word index holds them: one letter too many,
missing, wrong or changed places with its neighbour. Does not know the index, which is asked through a function.
"""

from collections.abc import Callable, Iterator
from string import ascii_lowercase

SHORTEST = 4
"""Letters of the shortest word that is corrected; shorter ones have too many neighbours."""


def corrected(word: str, containing: Callable[[str], int]) -> str | None:
    """The word one edit away that most passages contain, None where there is none; exact words stay as they are.

    `containing` gives the number of passages that have a word. A code is never corrected: another code is another
    thing. About 55 questions to the index for each letter.
    """
    if len(word) < SHORTEST or not (word.isascii() and word.isalpha()) or containing(word):
        return None
    best, most = None, 0
    for other in _near(word):
        count = containing(other)
        if count > most:
            best, most = other, count
    return best


def _near(word: str) -> Iterator[str]:
    """All words one edit away; the first letter stays, which people rarely mistype (Damerau, 1964)."""
    for at in range(1, len(word) + 1):
        before, after = word[:at], word[at:]
        if after:
            yield before + after[1:]
        if len(after) > 1:
            yield before + after[1] + after[0] + after[2:]
        for letter in ascii_lowercase:
            yield before + letter + after
            if after and letter != after[0]:
                yield before + letter + after[1:]
