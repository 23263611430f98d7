"""The part of a very long sentence that a question is about.

Owns where a sentence may be cut, and which run of its clauses has most of the question. Knows nothing of passages.
"""

import re
from collections.abc import Mapping
from itertools import accumulate, pairwise

from rag.answerers.extractive.terms import content_terms
from rag.language import word_count

_BORDER = re.compile(r"[;；:：，]\s*|,\s+(?=\D)|\s+[–—-]\s+|——|\s+(?=\()")


def best_clauses(sentence: str, frequencies: Mapping[str, float], words: float) -> tuple[int, int]:
    """The run of whole clauses of at most `words` words that has most of the question's terms, as (start, end).

    Among equal runs the one with the terms nearest to its middle, so that what is said of them is there too. The
    whole sentence where it is short enough; a single clause that is longer than `words` is not cut.
    """
    if word_count(sentence) <= words:
        return 0, len(sentence)
    borders = [0, *(match.end() for match in _BORDER.finditer(sentence) if match.end() < len(sentence)), len(sentence)]
    clauses = list(pairwise(dict.fromkeys(borders)))
    lengths = [word_count(sentence[start:end]) for start, end in clauses]
    ends = [0.0, *accumulate(lengths)]
    found = [frequencies.keys() & set(content_terms(sentence[start:end])) for start, end in clauses]

    def worth(run: tuple[int, int]) -> tuple[float, float]:
        first, last = run
        terms = set().union(*found[first:last])
        middle = (ends[first] + ends[last]) / 2
        off = [abs((ends[n] + ends[n + 1]) / 2 - middle) for n in range(first, last) if found[n]]
        return sum(frequencies[term] for term in terms), -sum(off) / len(off) if off else 0.0

    runs = []
    for first in range(len(clauses)):
        last = first + 1
        while last < len(clauses) and ends[last + 1] - ends[first] <= words:
            last += 1
        runs.append((first, last))
    first, last = max(runs, key=worth)
    start, end = clauses[first][0], clauses[last - 1][1]
    return start, start + len(sentence[start:end].rstrip(" ,;:，；：、–—-("))
