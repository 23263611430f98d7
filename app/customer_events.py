"""Events of a conversation as a customer with an account gets them.

Owns what becomes of each event; `retrieval`, and whatever there may be one day, is not for customers.
"""

from dataclasses import replace

from fastapi.concurrency import run_in_threadpool

from app.customer_shapes import for_customer
from app.db import Database
from app.events import Event
from app.publicity import public_among
from app.shapes import CitationEvent, ErrorShape, HandOffEvent, MessageShape, TokenEvent, TypingEvent


async def event_for_customer(database: Database, event: Event) -> Event | None:
    """The event with what the customer may see of it; None when that is nothing."""
    match event.shape:
        case MessageShape() as message:
            return replace(event, shape=await message_for_customer(database, message), _encoded=None)
        case CitationEvent(citation=citation):
            return event if await run_in_threadpool(_is_public, database, citation.document_id) else None
        case TokenEvent() | TypingEvent() | HandOffEvent() | ErrorShape():
            return event
        case _:
            return None


async def message_for_customer(database: Database, message: MessageShape) -> MessageShape:
    """The message as a customer sees it now."""
    return await run_in_threadpool(_message, database, message)


def _message(database: Database, message: MessageShape) -> MessageShape:
    with database.read() as session:
        return for_customer(session, [message])[0]


def _is_public(database: Database, document_id: str) -> bool:
    with database.read() as session:
        return bool(public_among(session, [document_id]))
