"""Understands a follow-up without a model: decides whether a question stands alone, and if not, what it is about.

Owns the gate and the context taken from earlier turns. Does not search, and never changes a question that stands
alone. English and Chinese.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from rag.analyzer import words
from rag.types import Turn

CONTEXT_WEIGHT = 0.5
"""What a word of an earlier question counts against one of the question itself."""

ENOUGH_WORDS = 6
"""A question with as many different words of content is about them, whatever a pronoun in it may stand for."""

QUESTIONS_LOOKED_BACK = 3
CUSTOMER_ROLES = frozenset({"customer", "user"})


@dataclass(frozen=True, slots=True)
class ContextualQuestion:
    """What to search for: `text` is embedded, `weights` are its words and how much each counts."""

    text: str
    weights: Mapping[str, float]
    standalone: bool


def contextualise(question: str, history: Sequence[Turn] = ()) -> ContextualQuestion:
    """The question with the earlier questions that it needs, oldest first; by itself when it stands alone."""
    own = words(question)
    weights = {word: float(own.count(word)) for word in own}
    earlier = [] if not history or stands_alone(question) else _topic(history)
    if not earlier:
        return ContextualQuestion(question, weights, standalone=True)
    for turn in earlier:
        for word in words(turn):
            weights.setdefault(word, CONTEXT_WEIGHT)
    return ContextualQuestion(" ".join([*earlier, question]), weights, standalone=False)


def stands_alone(question: str) -> bool:
    """Whether a question can be understood without what was said before it."""
    text = question.strip().lower()
    if _CHINESE.search(text):
        return not _leans_in_chinese(text)
    return not _leans_in_english(text)


def _topic(history: Sequence[Turn]) -> list[str]:
    """The latest question that stood alone and those after it, at most `QUESTIONS_LOOKED_BACK`, oldest first."""
    found: list[str] = []
    for turn in reversed(history):
        if turn.role not in CUSTOMER_ROLES or not turn.text.strip():
            continue
        found.append(turn.text.strip())
        if len(found) == QUESTIONS_LOOKED_BACK or stands_alone(turn.text):
            break
    return found[::-1]


_CHINESE = re.compile(r"[\u3400-\u9fff]")

_ENGLISH_OPENING = re.compile(
    r"(and|but|or|also|then|otherwise|instead|so|ok|okay|yes|no|really|thanks|thank you|well)\b[\s,.!]+\w"
    r"|(what|how) about\b|(and|but|why|how|when|where|really|so|which|who)( not| so| then| exactly)?\W*$"
)
_ENGLISH_ANAPHOR = re.compile(
    r"\b(it|its|they|them|their|theirs|this|that|these|those|he|him|his|she|hers?|there|same|former|latter|either|both"
    r"|neither)\b"
)
_ONE = re.compile(r"\b(which|that|this|the other|another|other|first|second|last) ones?\b|\binstead\W*$|\belse\W*$")
# "How long does it take to ...", "is it possible to ...": the word stands for what follows it.
_EXPLETIVE = re.compile(
    r"\bit\b\s+(\w+\s+){0,3}?(to|that|if|when|for)\s+\w+\s+\w+|\b(is|are|was|were) there\b|\bthere (is|are|was|were)\b"
)
# "the movement that would become ...": after a noun, with a clause to follow.
_RELATIVE = re.compile(r"([a-z][\w'-]*)\s+that\s+\S+\s+\S")
_DETERMINER = re.compile(r"\b(this|that|these|those|both|either|neither|same)\s+([a-z0-9][\w-]*)")
_ENGLISH_VAGUE = """
    long much many often far big cost costs price take work works happen happens mean means next step more detail
    details example explain show tell give again need use get go other another different possible necessary safe thing
    way time
    option options default alternative alternatives reason result difference requirements limit should now just please
"""
_CHINESE_VAGUE = """
    多久 一次 还是 不行 怎么办 如果 方法 办法 其他 其它 时间 需要 价格 多少钱 解释 例子 下一步 步骤 更多 详细 意思
    一下 选项 默认 区别 原因
"""
_CHINESE_OPENING = re.compile(r"(那么?|然后|还有|另外|接着|而且|可是|但是|不过|所以)|(好的?|嗯|谢谢)[，,。!！\s]")
_CHINESE_ENDING = re.compile(r"^[^，,。；;]{0,10}呢\s*[?？。!！]*$")
_CHINESE_ANAPHOR = re.compile(
    r"它们?|他们?|她们?|这个|那个|这些|那些|这样|那样|这里|那里|这儿|那儿|这种|那种|上述|前者|后者|这款|那款|这一步|[此该其](?![他它次实中])"
)


def _leans_in_english(text: str) -> bool:
    content = _content(text)
    if not content or _ENGLISH_OPENING.match(text):
        return True
    if len(content) <= 2 and _ONE.search(text):
        return True
    if len(set(content)) >= ENOUGH_WORDS or _EXPLETIVE.search(text):
        return False
    relatives = {match.end(1) for match in _RELATIVE.finditer(text) if words(match[1])}
    for anaphor in _ENGLISH_ANAPHOR.finditer(text):
        before = _content(text[: anaphor.start()])
        if text[: anaphor.start()].rstrip() in {text[:end] for end in relatives}:
            continue
        determined = _DETERMINER.match(text, anaphor.start())
        noun = bool(determined and words(determined[2]))
        # What the word stands for may be in the question itself, before it; "this TV" names it.
        if len(before) < 2 and not (noun and len(content) > 1):
            return True
    return False


def _leans_in_chinese(text: str) -> bool:
    if not _content(text) or _CHINESE_ENDING.match(text):
        return True
    # 那不勒斯 and 那曲 are names: there the character is part of a word.
    if _CHINESE_OPENING.match(text) and not (text[0] == "那" and any(word[0] == "那" for word in words(text))):
        return True
    if len(set(_content(text))) >= ENOUGH_WORDS:
        return False
    first = _CHINESE_ANAPHOR.search(text)
    return bool(first and len(words(text[: first.start()])) < 2)


def _content(text: str) -> list[str]:
    """The words that say what a question is about."""
    vague = _vague(in_chinese=bool(_CHINESE.search(text)))
    return [word for word in words(text) if word not in vague and not word.isdigit()]


@cache
def _vague(*, in_chinese: bool) -> frozenset[str]:
    """Words that ask about something without saying about what. Chinese ones need a dictionary: only when asked."""
    return frozenset(words(_ENGLISH_VAGUE + (_CHINESE_VAGUE if in_chinese else "")))
