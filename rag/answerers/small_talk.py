"""Greetings, thanks, abuse and questions about the assistant itself: answered politely and never searched for.

A message is small talk only when it consists of nothing else: of phrases from a closed list, or of common words and
one phrase about the assistant. One other word ("thanks, and the filter?") makes it a question to the manuals.
"""

import re

from rag.answerers.small_talk_phrases import ABOUT, ASKING, FILLERS, KNOWN, PHRASES, QUESTIONS, TELLING, SmallTalk
from rag.chinese import simplified
from rag.language import Language

__all__ = ["SmallTalk", "small_talk_in", "small_talk_reply"]

_PATTERNS = {kind: re.compile(rf"(?:{phrases})\Z") for kind, phrases in PHRASES.items()}
_ABOUT_PATTERNS = {kind: re.compile(rf"\b(?:{about})\b") for kind, about in ABOUT.items()}
_SEPARATORS = re.compile(r"[\s,.!~;:。！，、；：～…?？\U0001f300-\U0001faff\u2600-\u27bf\ufe0f\u200d\"'“”()-]+")
_SENTENCE = re.compile(r"[^.!?。！？\n]+[.!?。！？\n]*")
_CHINESE_FILLER = re.compile(r"^(?:请问|那么?)(?=.)|(?<=.)[啊呀呢啦]$")
_LONGEST = 80
_ASKED = frozenset({SmallTalk.WHO, SmallTalk.CHAT, SmallTalk.ABUSE})

_REPLIES: dict[Language, dict[SmallTalk, str]] = {
    "en": {
        SmallTalk.GREETING: "Hello! What would you like to know from the manuals?",
        SmallTalk.THANKS: "You are welcome. Ask me if there is anything else.",
        SmallTalk.GOODBYE: "Goodbye!",
        SmallTalk.ASSENT: "Good. Ask me if there is anything else.",
        SmallTalk.WHO: (
            "I am an automatic assistant. I answer questions from the manuals and show the page of each answer."
        ),
        SmallTalk.CHAT: "I can only answer questions from the manuals. What would you like to know?",
        SmallTalk.ABUSE: (
            "I am sorry that I have not been of help. Tell me what you want to do, and I will look in the manuals."
        ),
    },
    "zh": {
        SmallTalk.GREETING: "您好！您想从手册中了解什么？",
        SmallTalk.THANKS: "不客气。如有其他问题，请随时提问。",
        SmallTalk.GOODBYE: "再见！",
        SmallTalk.ASSENT: "好的。如有其他问题，请随时提问。",
        SmallTalk.WHO: "我是自动应答助手，根据手册回答问题，并注明每个答案所在的页。",
        SmallTalk.CHAT: "我只能根据手册回答问题。您想了解什么？",
        SmallTalk.ABUSE: "很抱歉没能帮到您。请告诉我您想做什么，我会在手册中查找。",
    },
}


def small_talk_in(text: str) -> SmallTalk | None:
    """What kind of small talk `text` is, or None when it may be a question to the manuals."""
    if len(text) > _LONGEST:
        return None
    kinds: list[SmallTalk] = []
    for sentence in _SENTENCE.findall(simplified(text).casefold().replace("’", "'")):
        found = _kinds_in(sentence)
        if found is None:
            return None
        kinds.extend(found)
    return max(kinds, key=TELLING.index, default=None)


def small_talk_reply(kind: SmallTalk, language: Language) -> str:
    """The product's polite words."""
    return _REPLIES[language][kind]


def _kinds_in(sentence: str) -> list[SmallTalk] | None:
    """The kinds of small talk that a sentence consists of; None when it may be something else."""
    words = [word for word in _SEPARATORS.split(sentence) if word]
    is_question = sentence.rstrip().endswith(("?", "？"))
    kinds: list[SmallTalk] = []
    position = 0
    while position < len(words):
        step = _phrase_at(words, position)
        if step is None:
            about = _about(words, is_question=is_question)
            return None if about is None else [about]
        kind, position = step
        if kind is not None:
            kinds.append(kind)
    if words and (not kinds or (is_question and not _may_ask(kinds, words))):
        return None
    return kinds


def _about(words: list[str], *, is_question: bool) -> SmallTalk | None:
    """What a message of common words only is about."""
    message = " ".join(words)
    for kind, pattern in _ABOUT_PATTERNS.items():
        if found := pattern.search(message):
            rest = (message[: found.start()] + message[found.end() :]).split()
            asks = kind not in _ASKED and (is_question or not ASKING.isdisjoint(rest))
            return kind if KNOWN.issuperset(words) and not asks else None
    return None


def _phrase_at(words: list[str], position: int) -> tuple[SmallTalk | None, int] | None:
    """The longest phrase that begins at `position`, with the position behind it; None for an unknown word."""
    for end in range(len(words), position, -1):
        phrase = _CHINESE_FILLER.sub("", " ".join(words[position:end]))
        for kind, pattern in _PATTERNS.items():
            if pattern.match(phrase):
                return kind, end
        if FILLERS.match(phrase):
            return None, end
    return None


def _may_ask(kinds: list[SmallTalk], words: list[str]) -> bool:
    """Only some phrases are small talk as questions: "OK?" may be asking about a button."""
    if _ASKED.intersection(kinds):
        return True
    return any(QUESTIONS.match(" ".join(words[start:])) for start in range(len(words)))
