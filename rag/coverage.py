"""How much of a question's words the windows and passages of the candidates have, and how many side by side.

Owns the counting over terms; scores are made of it in `fusion`. A word counts by its inverse document frequency, a
pair of neighbouring words by the commoner of the two. What stands in title and headings counts for every window
under them. Does not know the index or storage.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from rag.terms import Terms, terms_of

Shares = NDArray[np.float32]
_Found = NDArray[np.bool_]
_Numbers = Terms | NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Coverage:
    """Shares of the question from 0 to 1. Rows are those of the candidates' vectors.

    of_windows, pairs_of_windows: float32 [rows]; row 0 of a passage, its whole, has what title and headings cover.
    of_passages, pairs_of_passages: float32 [passages].
    """

    of_windows: Shares
    of_passages: Shares
    pairs_of_windows: Shares
    pairs_of_passages: Shares


def coverage(
    asked: Sequence[str],
    weights: Mapping[str, float],
    terms: Terms,
    first_terms: NDArray[np.int64],
    first_rows: NDArray[np.int64],
) -> Coverage:
    """Coverage of a question by passages.

    `asked` are its words in order; `weights` says how much each counts, words without a weight do not. The terms of
    row r are terms[first_terms[r] : first_terms[r + 1]], the rows of passage p first_rows[p] to first_rows[p + 1] - 1.
    """
    counted = [word for word in weights if weights[word] > 0]
    number_of = {word: number for number, word in enumerate(counted)}
    pairs = {(one, other): (number_of[one], number_of[other]) for one, other in pairwise(asked) if one != other
             and one in number_of and other in number_of}  # fmt: skip
    where, which = matches(terms_of(counted), terms)
    rows = len(first_terms) - 1
    row_of_match = np.searchsorted(first_terms, where, side="right") - 1

    words_found = np.zeros((rows, len(counted)), np.bool_)
    words_found[row_of_match, which] = True

    neighbours = np.flatnonzero((np.diff(where) == 1) & (np.diff(row_of_match) == 0))
    asked_pairs = np.array([one * len(counted) + other for one, other in pairs.values()], np.int64)
    paired, which_pair = matches(asked_pairs, which[neighbours] * len(counted) + which[neighbours + 1])
    pairs_found = np.zeros((rows, len(pairs)), np.bool_)
    pairs_found[row_of_match[neighbours[paired]], which_pair] = True

    of_words = np.array([weights[word] for word in counted], np.float32)
    of_pairs = np.array([min(weights[one], weights[other]) for one, other in pairs], np.float32)
    return Coverage(*_shares(words_found, of_words, first_rows), *_shares(pairs_found, of_pairs, first_rows))


def matches(wanted: _Numbers, terms: _Numbers) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where `terms` has one of `wanted`, ascending, and which of them it is there.

    In memory that grows like the two of them: questions of thousands of words are asked, too.
    """
    if not len(wanted):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    order = np.argsort(wanted)
    ordered = wanted[order]
    places = np.minimum(np.searchsorted(ordered, terms), len(ordered) - 1)
    where = np.flatnonzero(ordered[places] == terms)
    return where, order[places[where]]


def _shares(found: _Found, weights: Shares, first_rows: NDArray[np.int64]) -> tuple[Shares, Shares]:
    """Of each row together with its passage's row 0, and of each passage."""
    rows, total = len(found), float(weights.sum())
    if not rows or not total:
        return np.zeros(rows, np.float32), np.zeros(len(first_rows) - 1, np.float32)
    of_rows, of_passages = with_fronts(found, first_rows)
    return of_rows @ weights / total, of_passages @ weights / total


def with_fronts(found: _Found, first_rows: NDArray[np.int64]) -> tuple[_Found, _Found]:
    """What each row has together with its passage's row 0, and what each passage has."""
    if not len(found):
        return found, np.zeros((len(first_rows) - 1, found.shape[1]), np.bool_)
    fronts = found[np.repeat(first_rows[:-1], np.diff(first_rows))]
    return found | fronts, np.logical_or.reduceat(found, first_rows[:-1], axis=0)
