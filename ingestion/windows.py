"""Cuts a text into windows: slices of a few sentences, each small enough to be about one thing.

Owns the size of windows and their borders. Does not know tokens, headings or the embedder.
"""

import re
from collections.abc import Iterator
from itertools import accumulate

from rag.sentences import sentence_spans

_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
_CJK_CHARACTER = re.compile(f"[{_CJK}]")
_WORD = re.compile(rf"[^\s{_CJK}]{{1,24}}")
"""A word of another script. What is longer, such as an address or a hexadecimal dump, counts as several."""

_ATOM = re.compile(rf"[{_CJK}]|[^\s{_CJK}]{{1,24}}")
_SOFT_BORDERS = frozenset(",;:，、：；)）|")


def window_spans(text: str, *, words: int = 40, characters: int = 80, overlap: float = 0.0) -> list[tuple[int, int]]:
    """Windows of about `words` words, or `characters` Chinese characters, as (start, end) offsets into `text`.

    In mixed text a Chinese character counts `words / characters` of a word. Windows are in order, begin and end
    on sentence borders and not in white space, and cover every other character; a sentence of more than one and
    a half windows (code, tables) is cut at newlines, else at commas, else anywhere. A last window of less than a
    third joins the one before it. `overlap` (below 1) is the share of a window, in whole sentences, that
    the next one repeats; by default nothing is repeated.
    """
    weight_of_character = words / characters
    pieces: list[tuple[int, int, float]] = []
    for start, end in sentence_spans(text):
        weight = _weight(text[start:end], weight_of_character)
        if weight > 1.5 * words:
            pieces.extend(_soft_pieces(text, start, end, words, weight_of_character))
        else:
            pieces.append((start, end, weight))
    return [(pieces[first][0], pieces[last][1]) for first, last in _groups([p[2] for p in pieces], words, overlap)]


def _weight(text: str, weight_of_character: float) -> float:
    return len(_CJK_CHARACTER.findall(text)) * weight_of_character + len(_WORD.findall(text))


def _groups(weights: list[float], target: float, overlap: float) -> Iterator[tuple[int, int]]:
    """First and last index of each run of pieces whose weight comes closest to `target`."""
    total_from = [*accumulate(reversed(weights), initial=0.0)][::-1]
    first = 0
    while first < len(weights):
        last, total = first, weights[first]
        while last + 1 < len(weights) and abs(total + weights[last + 1] - target) <= abs(total - target):
            last += 1
            total += weights[last]
        if total_from[last + 1] < target / 3:
            last = len(weights) - 1
        yield first, last
        if last == len(weights) - 1:
            return
        following, repeated = last + 1, 0.0
        while following - 1 > first and repeated + weights[following - 1] <= overlap * target:
            following -= 1
            repeated += weights[following]
        first = following


def _soft_pieces(
    text: str, start: int, end: int, words: int, weight_of_character: float
) -> Iterator[tuple[int, int, float]]:
    """Cuts one long sentence into pieces of at most `words`: (start, end, weight), trimmed of white space."""
    atoms: list[tuple[int, int, float, int]] = []  # start, end, weight, how good a border its end is
    for match in _ATOM.finditer(text, start, end):
        alone = match.end() - match.start() == 1 and _CJK_CHARACTER.match(match[0])
        atoms.append((match.start(), match.end(), weight_of_character if alone else 1.0, 0))
    for index, (atom_start, atom_end, weight, _) in enumerate(atoms):
        gap_end = atoms[index + 1][0] if index + 1 < len(atoms) else end
        gap = text[atom_end:gap_end]
        border = 3 if "\n" in gap else 2 if text[atom_end - 1] in _SOFT_BORDERS else 1 if gap else 0
        atoms[index] = (atom_start, atom_end, weight, border)
    first = 0
    while first < len(atoms):
        last, total, best = first, 0.0, first
        while last < len(atoms) and (total + atoms[last][2] <= words or last == first):
            total += atoms[last][2]
            # The best border of the second half; of equal ones the last.
            if total <= words / 2 or atoms[last][3] >= atoms[best][3]:
                best = last
            last += 1
        if last == len(atoms):
            best = last - 1
        yield atoms[first][0], atoms[best][1], sum(atom[2] for atom in atoms[first : best + 1])
        first = best + 1
