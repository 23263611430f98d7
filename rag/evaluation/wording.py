"""What an answer says, compared with the answer that was expected.

Owns the removal of markers and of the product's own words, tokens and their overlap, and which sentences of an answer
bear a citation. English is compared by words, Chinese by characters.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

from rag.citations import find_quotation, unguarded
from rag.language import PHRASES
from rag.sentences import sentence_spans

_MARKER = re.compile(r"[^\S\n]*\[\d{1,3}\]")
_CHINESE = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_TOKEN = re.compile(rf"[{_CHINESE}]|[^\W_{_CHINESE}]+")
_ARTICLES = frozenset(("a", "an", "the"))
_LEADS = tuple(phrases.from_here.format("*") for phrases in PHRASES.values())
_NOT_FOUND = re.compile(
    "|".join(
        re.escape(note).replace(re.escape("{}"), ".{0,400}?")
        for phrases in PHRASES.values()
        for note in (phrases.not_found, phrases.not_found_named)
    )
)
"""What the product notes behind a generated sentence that its pages do not bear out."""

_DOUBTS = tuple(phrases.may_help for phrases in PHRASES.values())


def tokens(text: str) -> list[str]:
    """Words in lower case, Chinese characters one by one; neither punctuation nor English articles."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    return [token for token in _TOKEN.findall(plain) if token not in _ARTICLES]


def token_f1(answer: str, golds: Sequence[str]) -> float:
    """The best F1 of the answer's tokens with those of one of `golds`, as SQuAD has it (Rajpurkar et al., 2016)."""
    return max(_overlap(tokens(answer), tokens(gold))[0] for gold in golds)


def token_recall(text: str, golds: Sequence[str]) -> float:
    """The largest share of the tokens of one of `golds` that stand in the text."""
    return max(_overlap(tokens(text), tokens(gold))[1] for gold in golds)


def is_contained(text: str, golds: Sequence[str]) -> bool:
    """Whether one of `golds` stands in the text as it is; case, white space and width make no difference."""
    return any(find_quotation(text, gold) is not None for gold in golds)


def own_text(text: str) -> str:
    """What an answer says, without markers, notes, lines that say where it comes from, and the one that doubts."""
    return unguarded(_MARKER.sub("", _without_frame(text))).strip()


def cited_sentences(text: str, quotes: Sequence[str]) -> tuple[int, int]:
    """How many sentences of an answer bear a citation, and how many there are.

    One bears it when a marker stands behind it, or when it is part of a quotation of several sentences.
    """
    quoted = "\n".join(quotes)
    *marked, rest = [unguarded(part) for part in _MARKER.split(_without_frame(text))]
    cited = count = 0
    for part, has_marker in [*((each, True) for each in marked), (rest, False)]:
        sentences = [part[start:end] for start, end in sentence_spans(part)]
        sentences = [sentence for sentence in sentences if tokens(sentence)]
        for number, sentence in enumerate(sentences, start=1):
            is_marked = has_marker and number == len(sentences)
            count += 1
            cited += is_marked or find_quotation(quoted, sentence) is not None
    return cited, count


def _without_frame(text: str) -> str:
    text = _NOT_FOUND.sub("", text)
    lines = text.splitlines()
    return "\n".join(line for line in lines if not line.startswith(_DOUBTS) and not _is_lead(line.strip()))


def _is_lead(line: str) -> bool:
    return line.startswith(_LEADS) and line.endswith((":", "："))


def _overlap(answer: Sequence[str], gold: Sequence[str]) -> tuple[float, float]:
    """F1 and the share of `gold` that is in `answer`; repeated tokens count as often as both have them."""
    if not answer or not gold:
        return (float(answer == gold),) * 2
    shared = sum((Counter(answer) & Counter(gold)).values())
    return 2 * shared / (len(answer) + len(gold)), shared / len(gold)
