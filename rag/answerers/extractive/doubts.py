"""Why an answer is doubtful, for the person who reads it.

Owns the choice of one reason from the signals of the confidence model. The words are `rag.language`'s.
"""

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum

from rag.answerers.extractive.terms import content_terms, names_written_in
from rag.language import Language, Phrases

_WRITTEN = re.compile(r"[A-Za-z0-9\u00c0-\u024f]+(?:[-_./][A-Za-z0-9]+)*")
_MOST_NAMED = 3


class Doubt(StrEnum):
    MISSING = "missing"  # a name or a number of the question is not in the passage
    RIVALS = "rivals"  # other passages are about as near
    FAR = "far"  # nothing is near, or few of the words are there
    LANGUAGE = "language"  # the passage is in another language, so that words cannot be compared


def doubt_of(
    signals: Mapping[str, float], typical: Mapping[str, float], missing: Sequence[str], *, foreign: bool
) -> Doubt:
    """The reason that says most: what is missing, else too little of the question, else that others are as near.

    `foreign`: the passage is in another language than the question.
    """
    if foreign:
        return Doubt.LANGUAGE
    if missing:
        return Doubt.MISSING
    covered = all(signals[name] >= typical[name] for name in ("sentence_coverage", "window_coverage"))
    return Doubt.RIVALS if covered and signals["lead"] < typical["lead"] else Doubt.FAR


def doubt_told(phrases: Phrases, language: Language, doubt: Doubt, missing: Sequence[str]) -> str:
    """The sentence that tells the reason."""
    if doubt is Doubt.MISSING:
        named = list(missing[:_MOST_NAMED])
        words = "、".join(f"“{word}”" for word in named) if language == "zh" else _in_english(named)
        return phrases.doubt_missing.format(words)
    told = {
        Doubt.RIVALS: phrases.doubt_rivals,
        Doubt.FAR: phrases.doubt_far,
        Doubt.LANGUAGE: phrases.doubt_language,
    }
    return told[doubt]


def as_written(question: str, terms: Sequence[str]) -> list[str]:
    """The words and quoted terms of a question that have any of these terms, as they stand there, each once."""
    words = [*_WRITTEN.findall(question), *(name for name in names_written_in(question) if not name.isascii())]
    return [word for word in dict.fromkeys(words) if not set(content_terms(word)).isdisjoint(terms)]


def _in_english(words: Sequence[str]) -> str:
    marked = [f"“{word}”" for word in words]
    return marked[0] if len(marked) == 1 else ", ".join(marked[:-1]) + " or " + marked[-1]
