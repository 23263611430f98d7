"""The examples of intents: the built-in ones, and those of a knowledge base.

Owns when which of them hold: the built-in ones until a knowledge base has examples of its own. Changes nothing
(`app.service.routing.intent_work`).
"""

import hashlib
import uuid
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from pathlib import Path

import yaml
from sqlalchemy import bindparam, func, select
from sqlalchemy.orm import Session

from app.models import KnowledgeBase
from app.service.routing.example import Example
from app.service.tables import IntentExample

BUILT_IN_FILE = Path(__file__).parent / "intents.yaml"

Stamp = tuple[int, datetime | None]
"""How many examples a knowledge base has and when the last was written: changes whenever they do."""

_STAMP = select(func.count(), func.max(IntentExample.created_at)).where(
    IntentExample.knowledge_base_id == bindparam("knowledge_base_id")
)


@cache
def built_in_examples() -> tuple[Example, ...]:
    """Those of `intents.yaml`, English and Chinese."""
    content = yaml.safe_load(BUILT_IN_FILE.read_text(encoding="utf-8"))
    return tuple(
        Example(text, intent) for intent, languages in content.items() for texts in languages.values() for text in texts
    )


def stamp_of(session: Session, knowledge_base: KnowledgeBase) -> Stamp:
    """One cheap statement, asked for every message."""
    count, latest = session.connection().execute(_STAMP, {"knowledge_base_id": knowledge_base.id}).one()
    return count, latest


def examples_of(session: Session, knowledge_base: KnowledgeBase) -> list[IntentExample]:
    """By intent, oldest first; the built-in ones, in no session, where the knowledge base has none of its own."""
    own = session.scalars(
        select(IntentExample)
        .where(IntentExample.knowledge_base_id == knowledge_base.id)
        .order_by(IntentExample.intent, IntentExample.created_at, IntentExample.id)
    ).all()
    return list(own) or built_in_rows(knowledge_base)


def built_in_rows(knowledge_base: KnowledgeBase) -> list[IntentExample]:
    """The built-in examples as rows of this knowledge base, with ids that stay the same when they are saved."""
    return [
        IntentExample(
            id=str(uuid.uuid5(uuid.NAMESPACE_OID, f"{knowledge_base.id} {example.text}")),
            knowledge_base_id=knowledge_base.id,
            intent=example.intent,
            text=example.text,
        )
        for example in built_in_examples()
    ]


def digest_of(examples: Sequence[Example]) -> str:
    """The same for the same examples in any order."""
    lines = sorted(f"{example.intent}\0{example.text}" for example in examples)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
