"""What a message says outright about wanting, or needing, a person: rules in two languages.

Owns how messages are compared with them; the rules are in `signals.yaml`. They are made for precision: what is said
less plainly is left to the classifier. Knows no handlers.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from app.service.turn import HandOffReason
from rag.chinese import simplified
from rag.language import Language

_RULES_FILE = Path(__file__).parent / "signals.yaml"

_LOOKED_AT = 2000
"""Characters of a message that are looked at: longer ones would only cost time."""


@dataclass(frozen=True, slots=True)
class Signal:
    """Why a person is wanted; `note` tells the agent in a sentence, in the language of the conversation."""

    reason: HandOffReason
    note: Mapping[Language, str]


def signal_in(text: str) -> Signal | None:
    """The gravest signal of a message, or None."""
    plain = " ".join(simplified(text[:_LOOKED_AT]).casefold().replace("’", "'").split())
    return next((signal for signal, pattern in _rules() if pattern.search(plain)), None)


@cache
def _rules() -> tuple[tuple[Signal, re.Pattern[str]], ...]:
    """Raises `re.error` and `ValueError` for a broken file, which ships with the product and is tested."""
    content = yaml.safe_load(_RULES_FILE.read_text(encoding="utf-8"))
    named = re.compile(rf"\{{({'|'.join(content['words'])})\}}")
    return tuple(
        (
            Signal(HandOffReason(rule["reason"]), rule["note"]),
            re.compile(
                "|".join(named.sub(lambda found: content["words"][found[1]], each) for each in rule["patterns"])
            ),
        )
        for rule in content["rules"]
    )
