"""What the desk itself says, by language; what is said of people is in `app.service.handoff.sentences`."""

from collections.abc import Mapping
from typing import Any

from rag.language import Language
from rag.types import AnswerKind

REFUSED: dict[Language, str] = {
    "en": "I can't help with that. I answer questions about our products and help with your orders.",
    "zh": "这个我帮不了您。我可以回答产品方面的问题，也可以帮您处理订单。",
}

TAKEN_OVER = "taken_over"
"""In a message's details: people answer in its place."""

_TAKEN_OVER: dict[Language, str] = {
    "en": "My colleague has taken over and answers this.",
    "zh": "我的同事已经接手，会回复您。",
}


def taken_over(state: Mapping[str, Any]) -> dict[str, Any]:
    """How an answer ends whose conversation people have taken over while it was made: without what it would have said.

    `state` is the conversation's.
    """
    language: Language = "zh" if state.get("language") == "zh" else "en"
    return {
        "status": "answered",
        "kind": AnswerKind.HAND_OFF.value,
        "text": _TAKEN_OVER[language],
        "details": {TAKEN_OVER: True},
    }
