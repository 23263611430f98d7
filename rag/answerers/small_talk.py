"""Greetings, thanks and the like, which are answered politely and never searched for.

Owns a closed list of phrases. A message is small talk only when it consists of nothing else: one word that is
not on the list ("thanks, and the filter?") makes it a question to the manuals.
"""

import re
from enum import StrEnum

from rag.language import Language


class SmallTalk(StrEnum):
    GREETING = "greeting"
    THANKS = "thanks"
    GOODBYE = "goodbye"
    ASSENT = "assent"
    WHO = "who"


_PHRASES: dict[SmallTalk, str] = {
    SmallTalk.GREETING: (
        r"hi|hiya|hello|hey|good (?:morning|afternoon|evening|day)|greetings|nice to meet you|how are you(?: doing)?"
        r"|你好|您好|嗨|哈喽|早上好|上午好|中午好|下午好|晚上好|大家好|在吗|在么|有人吗"
    ),
    SmallTalk.THANKS: (
        r"thanks?|thanks? (?:a lot|so much|very much|a million)|(?:many|much) thanks|thank you(?: (?:so|very) much)?"
        r"|thx|ty|cheers|much appreciated|i appreciate (?:it|that|your help)|that (?:helps|helped)(?: a lot)?"
        r"|谢谢|谢谢你|谢谢您|谢谢啦|谢谢了|多谢|非常感谢|十分感谢|感谢|感谢您|感谢你|谢了|辛苦了|麻烦了|麻烦您了"
    ),
    SmallTalk.GOODBYE: (
        r"bye|bye bye|goodbye|good bye|good night|see you(?: later| soon)?|take care"
        r"|have a (?:nice|good|great) (?:day|evening|weekend|one)|再见|拜拜|晚安|回头见|祝您愉快"
    ),
    SmallTalk.ASSENT: (
        r"ok|okay|great|perfect|excellent|awesome|wonderful|cool|nice|super|all right|alright|got it|i see|understood"
        r"|that is all|thats all|that's all|no problem|好|好的|好吧|行|可以了|明白|明白了|知道了|懂了"
        r"|了解|没问题|没事了|太好了"
    ),
    SmallTalk.WHO: (
        r"who are you|what are you|what can you do(?: for me)?|what can you help (?:me )?with"
        r"|are you (?:a )?(?:human|robot|bot)"
        r"|你是谁|您是谁|你是什么|你能做什么|您能做什么|你会什么|你可以做什么|你是机器人吗|你是真人吗|你能帮我什么"
    ),
}
_FILLERS = re.compile(
    r"(?:there|everyone|all|again|so|oh|ah|well|then|for (?:your|the|all your) help|for that|啊|呀|哦|嗯|啦|哈)\Z"
)
_PATTERNS = {kind: re.compile(rf"(?:{phrases})\Z") for kind, phrases in _PHRASES.items()}
_QUESTIONS = re.compile(r"how are you(?: doing)?\Z|在吗\Z|在么\Z|有人吗\Z")
_SEPARATORS = re.compile(r"[\s,.!~;:。！，、；：～…?？\U0001f300-\U0001faff\u2600-\u27bf\ufe0f\u200d\"'“”()-]+")
_LONGEST = 80
_TELLING = [SmallTalk.ASSENT, SmallTalk.GREETING, SmallTalk.THANKS, SmallTalk.GOODBYE, SmallTalk.WHO]
"""Of several kinds in one message the later of these is answered: "OK, thanks, bye" is a goodbye."""

_REPLIES: dict[Language, dict[SmallTalk, str]] = {
    "en": {
        SmallTalk.GREETING: "Hello! What would you like to know from the manuals?",
        SmallTalk.THANKS: "You are welcome. Ask me if there is anything else.",
        SmallTalk.GOODBYE: "Goodbye!",
        SmallTalk.ASSENT: "Good. Ask me if there is anything else.",
        SmallTalk.WHO: (
            "I am an automatic assistant. I answer questions from the manuals and show the page of each answer."
        ),
    },
    "zh": {
        SmallTalk.GREETING: "您好！您想从手册中了解什么？",
        SmallTalk.THANKS: "不客气。如有其他问题，请随时提问。",
        SmallTalk.GOODBYE: "再见！",
        SmallTalk.ASSENT: "好的。如有其他问题，请随时提问。",
        SmallTalk.WHO: "我是自动应答助手，根据手册回答问题，并注明每个答案所在的页。",
    },
}


def small_talk_in(text: str) -> SmallTalk | None:
    """What kind of small talk `text` is, or None when it may be a question to the manuals."""
    if len(text) > _LONGEST:
        return None
    words = [word for word in _SEPARATORS.split(text.casefold().replace("’", "'")) if word]
    kinds: list[SmallTalk] = []
    position = 0
    while position < len(words):
        step = _phrase_at(words, position)
        if step is None:
            return None
        kind, position = step
        if kind is not None:
            kinds.append(kind)
    if not kinds or (_is_question(text) and not _may_ask(kinds, words)):
        return None
    return max(kinds, key=_TELLING.index)


def small_talk_reply(kind: SmallTalk, language: Language) -> str:
    """The product's polite words."""
    return _REPLIES[language][kind]


def _phrase_at(words: list[str], position: int) -> tuple[SmallTalk | None, int] | None:
    """The longest phrase that begins at `position`, with the position behind it; None for an unknown word."""
    for end in range(len(words), position, -1):
        phrase = " ".join(words[position:end])
        for kind, pattern in _PATTERNS.items():
            if pattern.match(phrase):
                return kind, end
        if _FILLERS.match(phrase):
            return None, end
    return None


def _is_question(text: str) -> bool:
    return text.rstrip().endswith(("?", "？"))


def _may_ask(kinds: list[SmallTalk], words: list[str]) -> bool:
    """Only some phrases are small talk as questions: "OK?" may be asking about a button."""
    return SmallTalk.WHO in kinds or any(_QUESTIONS.match(" ".join(words[start:])) for start in range(len(words)))
