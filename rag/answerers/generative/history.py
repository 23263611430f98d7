"""The conversation so far, as messages that stay byte for byte what they were when a turn is added.

Owns how much of a conversation is sent and how. A server keeps what it has computed for a prompt and uses it again for
the longest beginning that is the same; a history that slides by one turn each time has no such beginning. So
old turns go in blocks: seldom, and then many at once. A summary of what has gone may stand in their place; it changes
only when another block goes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from rag.answerers.generative.data import as_data, without_old_markers
from rag.answerers.generative.planted import without_planted
from rag.language import Language, language_of
from rag.types import Turn

Summarize = Callable[[Sequence[BaseMessage]], str]
"""Sums up messages; empty where there is no summary."""

HANDED_OVER = 24
"""Turns of a conversation that storage hands over at least; fewer than twice as many."""

_CUT = " …"
_UNANSWERED = "…"
_EARLIER: dict[Language, str] = {"en": "Earlier in this conversation: {}", "zh": "此前的对话：{}"}


@dataclass(frozen=True, slots=True)
class HistoryLimits:
    """At most `turns` messages of together `characters`; each is cut to `turn_characters`.

    Beyond either limit the oldest go until at most half of both is left, so that between two such cuts at least
    min(turns, characters / turn_characters) / 2 messages are added.
    """

    turns: int = 16
    characters: int = 6000
    turn_characters: int = 600


def first_handed_over(count: int) -> int:
    """Of `count` messages the index of the first to be handed over; it moves by `HANDED_OVER` at a time."""
    return max(0, count // HANDED_OVER - 1) * HANDED_OVER


def history_messages(
    turns: Sequence[Turn], limits: HistoryLimits, summarize: Summarize | None = None
) -> list[BaseMessage]:
    """The turns that are sent, oldest first: a customer's, then an answer, and so on, as some chat templates demand.

    Adding turns adds messages and changes none, except where a block goes. What `summarize` says of the turns that have
    gone stands before the others, as a customer's turn; it counts for no limit.
    """
    told = _alternating(turns, limits)
    start, size = 0, 0
    for number, message in enumerate(told):
        size += len(message.text)
        if number - start < limits.turns and size <= limits.characters:
            continue
        while start <= number and (
            number - start >= limits.turns // 2
            or size > limits.characters // 2
            or not isinstance(told[start], HumanMessage)
        ):
            size -= len(told[start].text)
            start += 1
    summary = summarize(told[:start]) if summarize is not None and start else ""
    if not summary:
        return told[start:]
    earlier = _EARLIER[language_of(told[0].text)].format(summary)
    return [HumanMessage(earlier), AIMessage(_UNANSWERED), *told[start:]]


def _alternating(turns: Sequence[Turn], limits: HistoryLimits) -> list[BaseMessage]:
    """One message a turn; a question without an answer gets an ellipsis, two answers in a row become one."""
    told: list[BaseMessage] = []
    for turn in turns:
        text = _shortened(turn.text, limits.turn_characters)
        if turn.role == "customer":
            if told and isinstance(told[-1], HumanMessage):
                told.append(AIMessage(_UNANSWERED))
            told.append(HumanMessage(text))
        elif told and isinstance(told[-1], AIMessage):
            told[-1] = AIMessage(_cut(f"{told[-1].text}\n\n{text}", limits.turn_characters))
        elif told:
            told.append(AIMessage(text))
    if told and isinstance(told[-1], HumanMessage):
        told.append(AIMessage(_UNANSWERED))
    return told


def _shortened(text: str, characters: int) -> str:
    """A turn as data; the markers of old answers named passages that are not there now."""
    return _cut(as_data(without_planted(without_old_markers(text))), characters)


def _cut(text: str, characters: int) -> str:
    return text if len(text) <= characters else text[: characters - len(_CUT)] + _CUT
