"""Understands a follow-up without a model: decides whether a question stands alone, and if not, what it is about.

Owns the gate and the context taken from earlier turns. Does not search, and never changes a question that stands
alone. English and Chinese.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice

import numpy as np

from rag.analyzer import words
from rag.chinese import simplified
from rag.types import Turn, Vector

CONTEXT_WEIGHT = 0.5
"""What a word of an earlier question counts against one of the question itself."""

OWN_SHARE = 0.5
"""What a follow-up by itself counts in its vector."""

ENOUGH_WORDS = 6
"""A question with as many different words of content is about them, whatever a pronoun in it may stand for."""

QUESTIONS_LOOKED_BACK = 3

CONTEXT_WORDS = 500
"""Words taken from earlier questions at most, the first ones: what a conversation is about is said in fewer."""

LOOKED_AT = 1000
"""Characters of a question that tell whether it stands alone."""

HISTORY_BUDGET = 3000
"""Characters of earlier turns that a model is shown to understand a question."""


@dataclass(frozen=True, slots=True)
class ContextualQuestion:
    """What to search for: `text` is what is looked for, `weights` are its words and how much each counts.

    `own` is the question without what was taken from the conversation.
    """

    text: str
    weights: Mapping[str, float]
    standalone: bool
    own: str

    def embedded(self, embed: Callable[[str], Vector]) -> Vector:
        """float32 [dimension], normalised: of a follow-up half what it says by itself, half what it says in context.

        In context alone the earlier question outweighs the later one.
        """
        if self.standalone:
            return embed(self.text)
        mixed = OWN_SHARE * embed(self.own) + (1 - OWN_SHARE) * embed(self.text)
        vector: Vector = (mixed / np.linalg.norm(mixed)).astype(np.float32)
        return vector


def contextualise(question: str, history: Sequence[Turn] = ()) -> ContextualQuestion:
    """The question with the earlier questions that it needs, oldest first; by itself when it stands alone."""
    own = words(question)
    weights = {word: float(own.count(word)) for word in own}
    earlier = [] if not history or stands_alone(question) else _topic(history)
    if not earlier:
        return ContextualQuestion(question, weights, standalone=True, own=question)
    said = dict.fromkeys(word for turn in earlier for word in words(turn) if word not in weights)
    weights |= dict.fromkeys(islice(said, CONTEXT_WORDS), CONTEXT_WEIGHT)
    return ContextualQuestion(" ".join([*earlier, question]), weights, standalone=False, own=question)


def stands_alone(question: str) -> bool:
    """Whether a question can be understood without what was said before it. Time is linear in its length."""
    question = question.strip()[:LOOKED_AT]
    text = simplified(question).lower()
    if _CHINESE.search(text):
        return not _leans_in_chinese(text)
    return not (_leans_in_english(text) or _is_poor(question))


def topic_of(question: str, history: Sequence[Turn] = ()) -> str:
    """What a conversation is about after this question: the last one that stood alone and those after it."""
    return " ".join([*([] if stands_alone(question) else _topic(history)), question])


def relevant_turns(question: str, history: Sequence[Turn], budget: int = HISTORY_BUDGET) -> list[Turn]:
    """The turns that a follow-up may lean on, oldest first, of `budget` characters together.

    From the last question that stood alone on; when that is too much, those that share most words with the question
    go first, and among equals the later ones.
    """
    topic = set(_topic(history))
    start = next((place for place, turn in enumerate(history) if turn.text.strip() in topic), len(history))
    asked = set(content_words(question))
    places = range(start, len(history))
    best = sorted(places, key=lambda place: (-len(asked.intersection(words(history[place].text))), -place))
    kept: list[int] = []
    for place in best:
        if budget >= len(history[place].text):
            kept.append(place)
            budget -= len(history[place].text)
    return [history[place] for place in sorted(kept)]


def _topic(history: Sequence[Turn]) -> list[str]:
    """The latest question that stood alone and those after it, at most `QUESTIONS_LOOKED_BACK`, oldest first."""
    found: list[str] = []
    for turn in reversed(history):
        if not turn.is_customers or not turn.text.strip():
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
_ONE = re.compile(
    r"\b(which|that|this|the other|another|other|first|second|last|the) ones?\b|\bthe \w+ ones\b|\b(else|ones?)\W*$"
    r"|\b(instead|then|too|as well|there|before|after that|afterwards|in that case|i mean)\W*$"
)
# "How long does it take to ...", "is it possible to ...": the word stands for what follows it.
_JUDGED = (
    "possible|necessary|safe|ok|okay|normal|allowed|better|best|worth|important|advisable|required|recommended|hard|easy"
    "|difficult|true|likely|enough|useful|sensible|good|bad|legal|fair"
)
_EXPLETIVE = re.compile(
    rf"\b(is|was|would|will|can|could|should|does|did) it (be |so |very )?(take|cost|make|mean|from|{_JUDGED})\b"
    r"(\s+\w+){0,4}?\s+(to|that|if|when|for)\s+\w+(\s+\w+)?"
    rf"|\bit(['’]s| is| was| takes?| took| costs?| makes?)( \w+)? ({_JUDGED}|long|time|hours?|minutes?|days?)?\b"
    r"(\s+\w+){0,4}?\s+(to|that|if|when|for)\s+\w+\s+\w+"
    r"|\b(is|are|was|were) there\b|\bthere(['’]s| is| are| was| were)\b"
)
_LAST = re.compile(r"\b(it|them|these|those|that|this)\W*$|\b(of|in|on|for|with|from|about|by) (it|them)\b")
_ALSO = re.compile(r"(can|could|do|does|is|are|will|would|should|may) \w+ (also|even|still|then)\b")
_CLAUSE_BEFORE = re.compile(r"\w[.!?;,]\s+\w|\b(if|but|and|when|while|because)\b.*\w")
_ENOUGH_BEFORE_LAST = 4
_NAMED_BEFORE = 2
_FRAGMENT = re.compile(
    r"(an?|any|anything|as|at|before|after|between|both|by|during|for|from|in|into|like|of|on|only|over|through|to|under"
    r"|until|using|via|with|within|without)\b"
)
_CLAUSE = re.compile(r"(until|if|unless|because|even if)\b[^,]*\?\s*$")
_ASKS = re.compile(
    r"\b(what|which|who|whom|whose|when|where|why|how|is|are|was|were|do|does|did|can|could|will|would|should|has|have)\b"
)
_LONGEST_FRAGMENT = 7
_ORDINARY = re.compile(r"[a-z]+(['’]s)?\W*")
_DEFINITE = re.compile(r"\b(the|which|other|more) [a-z]+")
_DEFINITION = re.compile(r"\s*(what|who)(['’]s| is| are| was| were| does| do)\b")
# "the movement that would become ...": after a noun, with a clause to follow.
_RELATIVE = re.compile(r"([a-z][\w'-]*)\s+that\s+\S+\s+\S")
_DETERMINER = re.compile(r"\b(this|that|these|those|both|either|neither|same)\s+([a-z0-9][\w-]*)")
_ENGLISH_VAGUE = """
    long much many often far big cost costs price take work works happen happens mean means next step more detail
    details example explain show tell give again need use get go other another different possible necessary safe thing
    way time
    any anything something before after also only know
    option options default alternative alternatives reason result difference requirements limit should now just please
"""
_CHINESE_VAGUE = """
    多久 一次 还是 不行 怎么办 如果 方法 办法 其他 其它 时间 需要 价格 多少钱 解释 例子 下一步 步骤 更多 详细 意思
    一下 选项 默认 区别 原因
"""
_CHINESE_OPENING = re.compile(r"(那么?|然后|还有|另外|接着|而且|可是|但是|不过|所以)|(好的?|嗯|谢谢)[，,。!！\s]")
_CHINESE_ENDING = re.compile(
    r"^[^，,。；;]{0,10}呢\s*[?？。!！]*$|^[^，,。；;\u3400-\u9fff]*呢\s*[?？。!！]*$|^[^是，,]{2,16}的\s*[?？]$"
)
# Without a subject: "可以加密吗？"
_CHINESE_BARE = re.compile(
    r"^(还|也|可以|可不可以|能|能不能|有|会|需要|要|支持)[^，,。；;]{1,14}吗\s*[?？]*$|^[^，,]{1,10}也(能|可以|是|要|会)"
)
_SHORT_CHINESE = 18
_CHINESE_FIRST = re.compile(r"(它们?|这些|那些|这个|那个)的?|[^，,是]{1,6}的(怎么|如何)")
_CHINESE_INSIDE = re.compile(r"^(在|从)?(其中|里面|上面|下面|这上面)|(它们?|其中)\s*[?？]*$")
_CHINESE_ASKING = re.compile(r"(怎么|如何|怎样|可以|能|可不可以|能不能|用|把|给|让)[^，,]{0,12}它")
_CHINESE_ANAPHOR = re.compile(
    r"它们?|他们?|她们?|这个|那个|这些|那些|这样|那样|这里|那里|这儿|那儿|这种|那种|上述|前者|后者|这款|那款|这一步|[此该其](?![他它次实中])"
)


def _leans_in_english(text: str) -> bool:
    content = content_words(text)
    if not content or _ENGLISH_OPENING.match(text):
        return True
    if len(set(content)) >= ENOUGH_WORDS:
        return False
    if _ONE.search(text) or _ALSO.match(text) or _is_fragment(text):
        return True
    text = _EXPLETIVE.sub(_blanks, text)
    if _LAST.search(text) and not _CLAUSE_BEFORE.search(text) and _content_count(text) < _ENOUGH_BEFORE_LAST:
        return True
    relatives = {match.end(1) for match in _RELATIVE.finditer(text) if words(match[1])}
    before = end = 0
    for anaphor in _ENGLISH_ANAPHOR.finditer(text):
        before += _content_count(gap := text[end : anaphor.start()])
        # What the word stands for may be in the question itself, before it; "this TV" names it.
        if before >= _NAMED_BEFORE:
            return False
        is_relative = end + len(gap.rstrip()) in relatives
        end = anaphor.start()
        determined = _DETERMINER.match(text, end)
        noun = bool(determined and words(determined[2]))
        if not is_relative and not (noun and len(content) > 1):
            return True
    return False


def _is_poor(question: str) -> bool:
    """Whether it asks of something definite by one ordinary word: "Which modes are there?" A name would be enough."""
    telling = [token for token in question.split() if content_words(token)]
    if len(telling) != 1 or not _ORDINARY.fullmatch(telling[0]) or not question.rstrip().endswith("?"):
        return False
    lowered = question.lower()
    return bool(_DEFINITE.search(lowered)) and not _DEFINITION.match(lowered)


def _content_count(text: str) -> int:
    """How many words of content there are, "fine-tune" being one."""
    return sum(1 for token in text.split() if content_words(token))


def _blanks(match: re.Match[str]) -> str:
    return " " * len(match[0])


def _is_fragment(text: str) -> bool:
    """Whether only somebody else's sentence makes it whole: "In both directions?"."""
    is_asked = text.rstrip().endswith("?") and len(text.split()) <= _LONGEST_FRAGMENT
    return is_asked and bool(_CLAUSE.match(text) or (_FRAGMENT.match(text) and not _ASKS.search(text)))


def _leans_in_chinese(text: str) -> bool:
    if not content_words(text) or _CHINESE_ENDING.match(text):
        return True
    # 那不勒斯 and 那曲 are names: there the character is part of a word.
    if _CHINESE_OPENING.match(text) and not (text[0] == "那" and any(word[0] == "那" for word in words(text))):
        return True
    if len(text) <= _SHORT_CHINESE and (_CHINESE_INSIDE.search(text) or _CHINESE_FIRST.match(text)):
        return True
    if len(set(content_words(text))) >= ENOUGH_WORDS:
        return False
    if _CHINESE_BARE.search(text) or _CHINESE_ASKING.match(text):
        return True
    first = _CHINESE_ANAPHOR.search(text)
    return bool(first and len(words(text[: first.start()])) < 2)


def content_words(text: str) -> list[str]:
    """The words that say what a question is about."""
    vague = _vague(in_chinese=bool(_CHINESE.search(text)))
    return [word for word in words(text) if word not in vague and not word.isdigit()]


@cache
def _vague(*, in_chinese: bool) -> frozenset[str]:
    """Words that ask about something without saying about what. Chinese ones need a dictionary: only when asked."""
    return frozenset(words(_ENGLISH_VAGUE + (_CHINESE_VAGUE if in_chinese else "")))
