"""What handlers of a message hand back, and what they are handed: the values of one turn.

Owns the seam between `app.service.desk` and the handlers (flows, hand-off, small talk), and what `app.messages` saves
of a turn. Knows no SQL and no HTTP.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from rag.language import Language
from rag.types import Answer

ROUTING = "routing"
FLOW = "flow"
DECISIONS = "decisions"
PRODUCTS_FOUND = "products_found"
HAND_OFF = "hand_off"
"""Keys of a message's details; see docs/customer-service.md."""

FAILURES = "failures"
"""In a conversation's state: how many answers in a row found nothing."""


class Handler(StrEnum):
    """Who answers a message."""

    KNOWLEDGE = "knowledge"
    FLOW = "flow"
    CHAT = "chat"
    HAND_OFF = "hand_off"
    REFUSAL = "refusal"


class HandOffReason(StrEnum):
    ASKED_FOR = "asked_for"
    ANGER = "anger"
    REPEATED_FAILURE = "repeated_failure"
    SENSITIVE = "sensitive"
    FLOW = "flow"


@dataclass(frozen=True, slots=True)
class HandOffWanted:
    """A person is to take the conversation over. `note` tells the agent why, in a sentence, by language or in one."""

    reason: HandOffReason
    skill_group: str = "general"
    note: str | Mapping[Language, str] = ""

    def note_in(self, language: Language) -> str:
        return self.note if isinstance(self.note, str) else self.note[language]


@dataclass(frozen=True, slots=True)
class ServiceAnswer(Answer):
    """An answer with what it changes of the conversation: `state` replaces top-level keys of the conversation's."""

    state: Mapping[str, object] = field(default_factory=dict)
    hand_off: HandOffWanted | None = None
