"""Intents of a knowledge base over HTTP, for admins: their examples, and what a message would be routed to.

Owns the routes and their shapes; what they do is `intent_work`'s and the router's.
"""

from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from sqlalchemy.orm import Session

from app.bootstrap import ServicesOf
from app.db import storable_text
from app.models import KnowledgeBase
from app.scope import AdminScope
from app.service.routing import intent_work
from app.service.routing.examples import examples_of
from app.service.settings import Name
from app.service.turn import Handler, HandOffReason

router = APIRouter(prefix="/api/knowledge-bases/{knowledge_base}/intents", tags=["intents"])


def _has_words(text: str) -> str:
    if not any(character.isalnum() for character in text):
        raise ValueError("has no words")
    return " ".join(storable_text(text).split())


Utterance = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500), AfterValidator(_has_words)
]


class NewExamples(BaseModel):
    model_config = ConfigDict(extra="forbid")

    intent: Name = Field(description="A new one or one that there is; `outside` for what must stay with the manuals.")
    texts: list[Utterance] = Field(min_length=1, max_length=200, description="Whole messages, as customers write them.")


class Tried(BaseModel):
    model_config = ConfigDict(extra="forbid")

    text: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4000)]


class ExampleShape(BaseModel):
    id: str
    text: str


class IntentShape(BaseModel):
    name: str
    examples: list[ExampleShape]


class IntentList(BaseModel):
    """`built_in`: the knowledge base has no examples of its own, and these are the ones that ship."""

    built_in: bool
    intents: list[IntentShape]


class Likely(BaseModel):
    intent: str
    confidence: float


class RoutingShape(BaseModel):
    """As `app.service.routing.router.Routing`."""

    handler: Handler
    intent: str | None
    confidence: float
    reason: str
    alternatives: list[Likely]
    flow: str | None
    hand_off: HandOffReason | None
    skill_group: str | None
    reply: dict[str, str] | None


@router.get("")
def get_intents(knowledge_base: str, services: ServicesOf, scope: AdminScope) -> IntentList:
    """Lists intents with their examples."""
    with services.database.read() as session:
        return _listed(session, scope.knowledge_base(session, knowledge_base))


@router.post("", status_code=201)
def post_examples(knowledge_base: str, new: NewExamples, services: ServicesOf, scope: AdminScope) -> IntentList:
    """Adds examples to an intent, which need not exist."""
    with services.database.write() as session:
        row = scope.knowledge_base(session, knowledge_base)
        intent_work.add_examples(session, row, new.intent, new.texts)
        return _listed(session, row)


@router.delete("")
def delete_own_intents(knowledge_base: str, services: ServicesOf, scope: AdminScope) -> IntentList:
    """Deletes all examples of the knowledge base's own, so that the built-in ones hold again."""
    with services.database.write() as session:
        row = scope.knowledge_base(session, knowledge_base)
        intent_work.back_to_built_in(session, row)
        return _listed(session, row)


@router.post("/built-in")
def post_built_in(knowledge_base: str, services: ServicesOf, scope: AdminScope) -> IntentList:
    """Adds the built-in examples that are missing."""
    with services.database.write() as session:
        row = scope.knowledge_base(session, knowledge_base)
        intent_work.add_built_in(session, row)
        return _listed(session, row)


@router.post("/test")
def post_test(knowledge_base: str, tried: Tried, services: ServicesOf, scope: AdminScope) -> RoutingShape:
    """Says where a customer's first message would go. Writes nothing."""
    with services.database.read() as session:
        row = scope.knowledge_base(session, knowledge_base)
    vector_of = services.question_vector(row)
    found = services.router.route(tried.text, knowledge_base=row, state={}, vector_of=vector_of)
    return RoutingShape(
        handler=found.handler,
        intent=found.intent,
        confidence=round(found.confidence, 3),
        reason=found.reason,
        alternatives=[Likely(intent=intent, confidence=round(each, 3)) for intent, each in found.alternatives],
        flow=found.flow,
        hand_off=found.hand_off and found.hand_off.reason,
        skill_group=found.hand_off and found.hand_off.skill_group,
        reply=None if found.reply is None else {**found.reply},
    )


@router.delete("/{intent}", status_code=204)
def delete_intent(knowledge_base: str, intent: str, services: ServicesOf, scope: AdminScope) -> Response:
    """Deletes an intent with its examples."""
    with services.database.write() as session:
        intent_work.delete_intent(session, scope.knowledge_base(session, knowledge_base), intent)
    return Response(status_code=204)


@router.delete("/{intent}/examples/{example_id}", status_code=204)
def delete_example(
    knowledge_base: str, intent: str, example_id: str, services: ServicesOf, scope: AdminScope
) -> Response:
    """Deletes one example."""
    with services.database.write() as session:
        row = scope.knowledge_base(session, knowledge_base)
        intent_work.delete_example(session, row, intent, example_id)
    return Response(status_code=204)


def _listed(session: Session, knowledge_base: KnowledgeBase) -> IntentList:
    rows = examples_of(session, knowledge_base)
    by_intent: dict[str, list[ExampleShape]] = {}
    for row in sorted(rows, key=lambda row: row.intent):
        by_intent.setdefault(row.intent, []).append(ExampleShape(id=row.id, text=row.text))
    return IntentList(
        built_in=all(row not in session for row in rows),
        intents=[IntentShape(name=intent, examples=examples) for intent, examples in by_intent.items()],
    )
