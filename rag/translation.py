"""A question's words that no passage has, as the passages may call them: a Chinese question over an English manual.

Owns which words are translated, how they are searched for and how much of them a passage has. Pure functions over a
dictionary; does not know the index or storage.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from rag.coverage import Shares, matches, with_fronts
from rag.dictionary import Dictionary, Translation
from rag.terms import Terms, term_of, terms_of


@dataclass(frozen=True, slots=True)
class ForeignWord:
    """A word of a question that no passage has, and what it is in the passages' language.

    translations: the words of each, all of them together, and what having them counts: as much as the commonest does.
    """

    translations: Sequence[tuple[Translation, float]]


def translated_coverage(
    foreign: Sequence[ForeignWord], terms: Terms, first_terms: NDArray[np.int64], first_rows: NDArray[np.int64]
) -> tuple[Shares, Shares]:
    """The share of the foreign words that each row, float32 [rows], and each passage, float32 [passages], translates.

    A word counts by the best of its translations that are there. Terms and rows as in `coverage`.
    """
    if not foreign:
        return np.zeros(len(first_terms) - 1, np.float32), np.zeros(len(first_rows) - 1, np.float32)
    every = list(dict.fromkeys(word for each in foreign for said, _ in each.translations for word in said))
    number_of = {word: number for number, word in enumerate(every)}
    where, which = matches(terms_of(every), terms)
    found = np.zeros((len(first_terms) - 1, len(every)), np.bool_)
    found[np.searchsorted(first_terms, where, side="right") - 1, which] = True
    rows, passages = with_fronts(found, first_rows)
    of_rows, of_passages, total = np.zeros(len(rows), np.float32), np.zeros(len(passages), np.float32), 0.0
    for word in foreign:
        best_of_rows, best_of_passages = np.zeros_like(of_rows), np.zeros_like(of_passages)
        for said, counts in word.translations:
            columns = [number_of[part] for part in said]
            np.maximum(best_of_rows, counts * rows[:, columns].all(axis=1), out=best_of_rows, casting="same_kind")
            best = counts * passages[:, columns].all(axis=1)
            np.maximum(best_of_passages, best, out=best_of_passages, casting="same_kind")
        of_rows += best_of_rows
        of_passages += best_of_passages
        total += max(counts for _, counts in word.translations)
    return of_rows / total, of_passages / total


def foreign_words(
    asked: Sequence[str], dictionary: Dictionary, containing: Callable[[str], int], rarity: Callable[[str], float]
) -> list[ForeignWord]:
    """Words of a question in order, and pairs of them side by side, of which passages have translations only.

    `containing` gives the number of passages with a word, `rarity` its inverse document frequency. Raises what the
    dictionary raises.
    """
    is_unknown = [not containing(word) for word in asked]
    singles = [word for word, unknown in zip(asked, is_unknown, strict=True) if unknown]
    pairs = [f"{one} {other}" for (one, other), unknown in zip(pairwise(asked), pairwise(is_unknown), strict=True)
             if any(unknown)]  # fmt: skip
    found: list[ForeignWord] = []
    for translations in dictionary.translations([*singles, *pairs]).values():
        there = [said for said in translations if all(map(containing, said))]
        if there:
            found.append(ForeignWord([(said, min(map(rarity, said))) for said in there]))
    return found


def translations_in(foreign: Sequence[ForeignWord], terms: Terms) -> tuple[str, ...]:
    """Of each foreign word the words of its best translation that is among the terms of a passage, each once."""
    there = set(terms.tolist()) if foreign else set()
    found: dict[str, None] = {}
    for each in foreign:
        said = ((counts, words) for words, counts in each.translations if all(term_of(word) in there for word in words))
        _, best = max(said, key=lambda one: one[0], default=(0.0, ()))
        found.update(dict.fromkeys(best))
    return tuple(found)


def shared_out(foreign: Iterable[ForeignWord]) -> dict[str, float]:
    """The words of all translations; those of one foreign word count as one word together."""
    shared: dict[str, float] = {}
    for each in foreign:
        said = {word for words, _ in each.translations for word in words}
        for word in said:
            shared[word] = max(shared.get(word, 0.0), 1 / len(said))
    return shared
