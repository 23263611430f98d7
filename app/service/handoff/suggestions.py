"""What the assistant would answer, for an agent to send or to edit; and that its citations are what they claim to be.

Owns neither: the answer is the knowledge base's own chain's, stored nowhere, and a citation that comes back with a
reply is made anew from the passage that it quotes.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError, wait
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial

from sqlalchemy import select

from app.admission import Admitted, Place
from app.bootstrap import Services
from app.errors import BadRequest, Conflict
from app.message_reading import asked, turns_before
from app.messages import citation_row
from app.models import Citation, KnowledgeBase, Passage
from app.scope import Scope
from app.service.handoff.record import last_question
from app.service.handoff.shapes import SuggestedCitation, Suggestion
from app.shapes import CitationShape
from rag import types as rag
from rag.citations import cite, find_quotation
from rag.errors import ModelFailed
from rag.types import Answer, Finished, Question


@dataclass(frozen=True, slots=True)
class Quoted:
    """A citation as a client sends it: the marker in the text, and what it quotes of which passage."""

    marker: int
    passage_id: str
    quote: str


Run = Callable[[Callable[[], None], Admitted], None]
"""Runs what makes an answer in a thread of its own (`ConversationManager.run`)."""


def suggest(services: Services, run: Run, scope: Scope, conversation_id: str) -> Suggestion:
    """The chain's answer to the customer's last question, which is waited for.

    Raises `Conflict` when there is no such message yet, `RuntimeBusy` when the chat model has no place, `ModelFailed`
    when the answer is not there within the longest time for one, waiting for the model included, and what chains raise.
    """
    with services.database.read() as session:
        conversation = scope.conversation(session, conversation_id)
        last = last_question(session, conversation.id)
        if last is None:
            raise Conflict("The customer has not written anything yet.", {"conversation": conversation_id})
        knowledge_base = session.get_one(KnowledgeBase, conversation.knowledge_base_id)
        _, history = turns_before(session, conversation.id, before=last.ordinal)
        question = asked(last.text, history, last.request, conversation.state)
    admitted = services.admit(knowledge_base, question)
    made: Future[Answer] = Future()
    run(partial(_make, services, knowledge_base, question, admitted, made), admitted)
    patience_s = services.settings.answers.timeout_s
    if not wait([made], patience_s).done and made.cancel():
        if isinstance(admitted, Place):
            admitted.give_up()
        raise ModelFailed(f"There was no answer within {patience_s:g} seconds. Try again in a moment.", transient=True)
    return _shape(last.id, made.result())


def verified(services: Services, scope: Scope, conversation_id: str, quoted: Sequence[Quoted]) -> list[Citation]:
    """Rows of these citations, which belong to no message yet.

    Raises `BadRequest` for a passage that is not (any more) in the knowledge base, or does not have the quote.
    """
    if not quoted:
        return []
    with services.database.read() as session:
        knowledge_base = session.get_one(KnowledgeBase, scope.conversation(session, conversation_id).knowledge_base_id)
        wanted = Passage.id.in_({each.passage_id for each in quoted})
        keys = {row.id: row.key for row in session.execute(select(Passage.id, Passage.key).where(wanted))}
    passages = services.passages(knowledge_base).hydrate(list(keys.values()))
    rows = []
    for each in quoted:
        passage = passages.get(keys.get(each.passage_id, -1))
        place = _place_of(each.quote, passage) if passage is not None else None
        if passage is None or place is None:
            raise BadRequest(
                f"What [{each.marker}] quotes is not in the manuals (any more): take it out of the text.",
                {"marker": each.marker, "passage_id": each.passage_id},
            )
        rows.append(citation_row(cite(passage, *place, each.marker)))
    return rows


def _place_of(quote: str, passage: rag.Passage) -> tuple[int, int] | None:
    """Where it stands, to the letter if it does."""
    start = passage.text.find(quote)
    return (start, start + len(quote)) if start >= 0 else find_quotation(passage.text, quote)


def _make(
    services: Services, knowledge_base: KnowledgeBase, question: Question, admitted: Admitted, made: "Future[Answer]"
) -> None:
    """In a thread; ends when nobody waits any more, which is what a cancelled future says."""
    try:
        with closing(services.chain(knowledge_base, admitted).stream(question)) as events:
            for event in events:
                if made.cancelled():
                    return
                if isinstance(event, Finished):
                    with suppress(InvalidStateError):  # it was given up at this moment
                        made.set_result(event.answer)
                    return
        raise RuntimeError("the chain ended without an answer")
    except Exception as error:  # noqa: BLE001  handed on, raised where the answer is waited for
        with suppress(InvalidStateError):
            made.set_exception(error)


def _shape(message_id: str, answer: Answer) -> Suggestion:
    citations = [
        SuggestedCitation(**CitationShape.of(citation_row(each)).model_dump(), passage_id=each.passage_id)
        for each in answer.citations
    ]
    return Suggestion(message_id=message_id, kind=answer.kind.value, text=answer.text, citations=citations)
