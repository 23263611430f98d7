"""What a customer's text says that a rule may go by: amounts, counts, how it sounds, and what it names.

Owns a small lexicon of moods in English and Chinese; it sees loud feelings only, and reads nothing between the lines.
"""

import re
from collections.abc import Mapping
from typing import Any

from app.service.catalogue.quantities import MONEY, QUANTITY, folded, number_of, unit_of
from rag.language import Language

LONGEST = 4_000
"""Characters of a text that are read, the first ones."""

_MOST = 20

_WORDS: dict[Language, tuple[str, str]] = {
    "en": (
        r"thanks?|thank you|great|good|happy|glad|love|perfect|excellent|helpful|nice|satisfied|appreciate\w*|pleased",
        r"terrible|awful|angry|furious|worst|useless|unacceptable|ridiculous|scam|fraud|rip-?off|disappoint\w*|hate|bad"
        r"|disgust\w*|annoy\w*|frustrat\w*|lied|lies|liars?|never again|fed up|rubbish|outrag\w*|upset",
    ),
    "zh": (
        r"谢谢|感谢|很好|太好了|满意|喜欢|不错|完美|贴心|开心|高兴|辛苦了",
        r"生气|愤怒|气死|垃圾|骗子|骗人|欺骗|太差|很差|糟糕|失望|投诉|恶心|差评|坑人|忍无可忍|不能接受|离谱|过分|烦死|讨厌",
    ),
}
_NEGATED = re.compile(
    r"(?:\b(?:not|no|never|isn't|wasn't|don't|didn't)\s(?:\w+\s)?|(?:不|没|没有)(?:是|太|很|怎么|够|那么)*)$"
)
_ENTITIES = {
    "email": re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+"),
    "order_number": re.compile(r"\b[A-Za-z]{1,4}-?\d{4,12}\b"),
    "date": re.compile(r"\b\d{4}-\d{2}-\d{2}\b|\d{4}年\d{1,2}月\d{1,2}[日号]"),
}


def features_of(text: str, language: Language) -> Mapping[str, Any]:
    """The features of a text, by name; what it does not have is not among them.

    amount: the largest sum of money; amounts: all; currency: of the largest, where the text says it.
    count: the first number that is no money; counts: all. sentiment: -1 to 1, 0 where nothing is felt.
    exclamations: how many. entities: e-mail addresses, order numbers and dates, by kind.
    """
    text = text[:LONGEST]
    features: dict[str, Any] = {"sentiment": _sentiment(text, language), "exclamations": len(re.findall("[!！]", text))}
    entities = {kind: pattern.findall(text)[:_MOST] for kind, pattern in _ENTITIES.items()}
    features["entities"] = {kind: found for kind, found in entities.items() if found}
    rest = text
    for pattern in _ENTITIES.values():
        rest = pattern.sub(" ", rest)  # the digits of an order number are no count
    amounts: list[tuple[float, str]] = []
    counts: list[float] = []
    for match in QUANTITY.finditer(folded(rest)):
        number = number_of(match["number"])
        unit = unit_of(match["sign"] or match["unit"])
        if unit is not None and unit.kind == MONEY:
            amounts.append((number, unit.name))
        else:
            counts.append(number)
    if amounts:
        features["amount"], features["currency"] = max(amounts)
        features["amounts"] = [number for number, _ in amounts[:_MOST]]
    if counts:
        features["count"], features["counts"] = counts[0], counts[:_MOST]
    return features


def _sentiment(text: str, language: Language) -> float:
    """The balance of good words and bad ones, "not good" counting as bad; customers mix both languages."""
    good = bad = 0
    lower = folded(text)
    for spoken in dict.fromkeys((language, *_WORDS)):
        for words, is_good in zip(_WORDS[spoken], (True, False), strict=True):
            pattern = rf"\b(?:{words})\b" if spoken == "en" else words
            for match in re.finditer(pattern, lower):
                is_negated = bool(_NEGATED.search(lower[max(0, match.start() - 16) : match.start()]))
                if is_good != is_negated:
                    good += 1
                else:
                    bad += 1
    return (good - bad) / (good + bad) if good + bad else 0.0
