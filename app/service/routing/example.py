"""What an example of an intent is, and the name of what is none. Nothing that takes long to load."""

from collections.abc import Sequence
from dataclasses import dataclass

OUTSIDE = "outside"
"""The class of messages that are no intent's: questions to the manuals, above all."""

FEW = 3000
"""Up to so many examples, what else is known of them is used as well; more of them teach enough."""


@dataclass(frozen=True, slots=True)
class Example:
    """How somebody says something."""

    text: str
    intent: str


def with_names(examples: Sequence[Example]) -> list[Example]:
    """Few examples, and the name of each intent, read as words: whoever chose it said in short what is meant."""
    intents = sorted({example.intent for example in examples} - {OUTSIDE})
    names = [Example(intent.replace("_", " "), intent) for intent in intents]
    return [*examples, *(names if len(examples) + len(names) <= FEW else ())]
