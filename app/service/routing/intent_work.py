"""Examples of intents: list, add, delete, bring the built-in ones.

Owns that the first change makes the built-in examples the knowledge base's own, so that they can be changed like any
other. Trains nothing: that happens when the next message comes (`app.service.routing.trained`).
"""

from collections.abc import Iterable, Sequence

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from app.errors import BadRequest, Conflict, NotFound
from app.models import KnowledgeBase, now
from app.service.routing.examples import built_in_rows, examples_of
from app.service.tables import IntentExample

MOST_EXAMPLES = 5000
"""Of one knowledge base: so many are learnt in some seconds, once embedded."""


def add_examples(session: Session, knowledge_base: KnowledgeBase, intent: str, texts: Sequence[str]) -> None:
    """Raises `Conflict` for a text that is another intent's, `BadRequest` for too many."""
    known = {row.text: row.intent for row in _own_rows(session, knowledge_base)}
    for text in texts:
        if known.get(text, intent) != intent:
            raise Conflict(
                f"{text!r} is an example of the intent {known[text]!r} already; delete it there first.",
                {"text": text, "intent": known[text]},
            )
    new = [IntentExample(intent=intent, text=text) for text in dict.fromkeys(texts) if text not in known]
    if len(known) + len(new) > MOST_EXAMPLES:
        raise BadRequest(
            f"A knowledge base can have {MOST_EXAMPLES} examples; it has {len(known)}.", {"examples": len(known)}
        )
    _save(session, knowledge_base, new)


def delete_example(session: Session, knowledge_base: KnowledgeBase, intent: str, example_id: str) -> None:
    """Raises `NotFound` when there is none of that id, `Conflict` when it is the last one of all."""
    rows = _own_rows(session, knowledge_base)
    found = [row for row in rows if (row.id, row.intent) == (example_id, intent)]
    if not found:
        raise NotFound(f"There is no example {example_id!r}.", {"example": example_id})
    _remove(session, rows, found)


def delete_intent(session: Session, knowledge_base: KnowledgeBase, intent: str) -> None:
    """With all of its examples. Raises as `delete_example` does."""
    rows = _own_rows(session, knowledge_base)
    found = [row for row in rows if row.intent == intent]
    if not found:
        raise NotFound(f"There is no intent {intent!r}.", {"intent": intent})
    _remove(session, rows, found)


def add_built_in(session: Session, knowledge_base: KnowledgeBase) -> None:
    """Those that are missing; a text that is here under another intent stays there."""
    known = {row.text for row in _own_rows(session, knowledge_base)}
    _save(session, knowledge_base, [row for row in built_in_rows(knowledge_base) if row.text not in known])


def back_to_built_in(session: Session, knowledge_base: KnowledgeBase) -> None:
    """Deletes every example of the knowledge base's own: the built-in ones hold again."""
    session.execute(delete(IntentExample).where(IntentExample.knowledge_base_id == knowledge_base.id))


def _own_rows(session: Session, knowledge_base: KnowledgeBase) -> list[IntentExample]:
    """The rows, which are saved with the built-in examples if there are none. One change at a time."""
    session.execute(select(KnowledgeBase.id).where(KnowledgeBase.id == knowledge_base.id).with_for_update())
    rows = examples_of(session, knowledge_base)
    _save(session, knowledge_base, [row for row in rows if row not in session])
    return rows


def _save(session: Session, knowledge_base: KnowledgeBase, rows: Iterable[IntentExample]) -> None:
    at = now()
    for row in rows:
        row.knowledge_base_id = knowledge_base.id
        row.created_at = at
        session.add(row)
    session.flush()


def _remove(session: Session, rows: Sequence[IntentExample], found: Sequence[IntentExample]) -> None:
    if len(found) == len(rows):
        raise Conflict(
            "These are the only examples. Add others first, or go back to the built-in ones "
            "(DELETE /api/knowledge-bases/{knowledge_base}/intents)."
        )
    for row in found:
        session.delete(row)
    session.flush()
