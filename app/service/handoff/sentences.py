"""What customers are told about people, in English and Chinese.

Owns every such sentence, and which of the two languages a conversation is in. Knows no tables.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from rag.language import Language, language_of

_WEEKDAYS: dict[Language, tuple[str, ...]] = {
    "en": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    "zh": ("星期一", "星期二", "星期三", "星期四", "星期五", "星期六", "星期日"),
}
_MONTHS: tuple[str, ...] = ("January", "February", "March", "April", "May", "June", "July", "August")
_MONTHS += ("September", "October", "November", "December")

_SENTENCES: dict[Language, dict[str, str]] = {
    "en": {
        "coming": "I am handing you over to a colleague, who has our conversation so far. You are next.",
        "queued": "I am handing you over to a colleague, who has our conversation so far. "
        "There are {ahead} before you in the queue.",
        "queued_behind_one": "I am handing you over to a colleague, who has our conversation so far. "
        "There is one customer before you in the queue.",
        "waiting": "Your request is with our colleagues already; one of them will be with you.",
        "nobody": "None of my colleagues is here at the moment. Your request is kept, and the first one who comes will "
        "see it. Until then I go on helping you.",
        "closed": "Our team is not here now. We are back on {opening}. Your request is kept, and you will be "
        "answered then. Until then I go on helping you.",
        "gone": "I am sorry: none of our colleagues is here any more. What you wrote is kept for them, and I, the "
        "assistant, go on helping you.",
        "gone_closed": "I am sorry: our team has left for today and is back on {opening}. What you wrote is kept for "
        "them, and I, the assistant, go on helping you.",
        "claimed": "{agent} is here now and answers you.",
        "transferred": "{agent} is passing you on to a colleague. What you wrote stays with the conversation.",
        "next_agent": "I am sorry for the wait. A colleague is being asked to take over.",
        "resolved": "{agent} has ended this conversation. How was it? Please rate it with 1 to 5 stars. "
        "If there is anything else, the assistant is here.",
        "silent": "This conversation with {agent} ends here, as nothing has been written for a while. How was it? "
        "Please rate it with 1 to 5 stars. If there is anything else, the assistant is here.",
        "returned": "{agent} has handed you back to the assistant, who answers you from here on.",
        "cancelled": "You are back with the assistant. Ask for a person at any time.",
    },
    "zh": {
        "coming": "正在为您转接人工客服，同事可以看到我们之前的对话。下一位就是您。",
        "queued": "正在为您转接人工客服，同事可以看到我们之前的对话。您前面还有 {ahead} 位顾客。",
        "queued_behind_one": "正在为您转接人工客服，同事可以看到我们之前的对话。您前面还有 1 位顾客。",
        "waiting": "您的请求已经转给人工客服，同事会尽快与您联系。",
        "nobody": "目前没有人工客服在线。您的请求已经记录，同事上线后会第一时间看到。在此之前，我会继续为您解答。",
        "closed": "现在是非工作时间，人工客服将于{opening}上线。您的请求已经记录，届时会回复您。"
        "在此之前，我会继续为您解答。",
        "gone": "非常抱歉，人工客服现在都不在线。您写的内容已为他们保留，由我（智能助手）继续为您解答。",
        "gone_closed": "非常抱歉，人工客服已经下班，将于{opening}上线。您写的内容已为他们保留，"
        "由我（智能助手）继续为您解答。",
        "claimed": "{agent} 已接入，为您服务。",
        "transferred": "{agent} 正在将您转给另一位同事，您之前写的内容会一并转交。",
        "next_agent": "抱歉让您久等了，正在请另一位同事为您服务。",
        "resolved": "{agent} 已结束本次对话。请用 1 到 5 颗星评价本次服务。如果还有其他问题，可以继续询问智能助手。",
        "silent": "由于一段时间没有新消息，您与 {agent} 的对话到此结束。请用 1 到 5 颗星评价本次服务。"
        "如果还有其他问题，可以继续询问智能助手。",
        "returned": "{agent} 已将您转回智能助手，接下来由助手为您解答。",
        "cancelled": "您已回到智能助手。需要时可以随时要求人工客服。",
    },
}


def sentence(name: str, language: Language, **parts: str) -> str:
    """The sentence of that name; `parts` are put into it as they are."""
    return _SENTENCES[language][name].format(**parts)


def queue_sentence(ahead: int, language: Language) -> str:
    """That somebody is coming, when so many are before the customer."""
    name = "coming" if ahead == 0 else "queued_behind_one" if ahead == 1 else "queued"
    return sentence(name, language, ahead=str(ahead))


def opening_words(opening: datetime, language: Language) -> str:
    """A time as it is said to customers; the zone is named, for theirs may be another."""
    weekday, clock = _WEEKDAYS[language][opening.weekday()], f"{opening:%H:%M} ({opening.tzinfo})"
    if language == "zh":
        return f"{opening.month}月{opening.day}日（{weekday}）{clock}"
    return f"{weekday}, {opening.day} {_MONTHS[opening.month - 1]}, at {clock}"


def language_in(state: Mapping[str, Any], *texts: str) -> Language:
    """The conversation's, as its state has it; else that of the first text that says something."""
    known = state.get("language")
    if known == "en" or known == "zh":
        return "zh" if known == "zh" else "en"
    return next((language_of(text) for text in texts if text.strip()), "en")
