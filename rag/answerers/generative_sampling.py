"""How a model's words are drawn, by what they are for.

Owns the defaults of each purpose. Does not know models: what it gives are keywords of any OpenAI-compatible chat model.
"""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Purpose(StrEnum):
    ANSWERS = "answers"
    REWRITING = "rewriting"


@dataclass(frozen=True, slots=True)
class Sampling:
    """What is None is left to the model's own settings, and not sent."""

    temperature: float | None = None
    max_tokens: int | None = None
    frequency_penalty: float | None = None
    repetition_penalty: float | None = None
    stop: tuple[str, ...] = ()

    def keywords(self) -> dict[str, Any]:
        """Keyword arguments for `BaseChatModel.stream` and `invoke`."""
        given = {name: value for name, value in asdict(self).items() if value is not None}
        return {**given, "stop": list(self.stop) or None}


_DEFAULTS = {
    # An answer has no delimiters: a model that writes one has begun to invent passages or the next question.
    Purpose.ANSWERS: Sampling(stop=("<passage", "</passage", "<question", "</question")),
    # The same question must always be looked up with the same words.
    Purpose.REWRITING: Sampling(temperature=0.0, max_tokens=100, stop=("\n",)),
}


def sampling(purpose: Purpose, **own: float | None) -> Sampling:
    """The sampling for a purpose; `own` values that are not None take the place of its defaults."""
    defaults = _DEFAULTS[purpose]
    return Sampling(**{**asdict(defaults), **{name: value for name, value in own.items() if value is not None}})
