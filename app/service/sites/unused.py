"""Removes what page views leave behind: visitors who opened the chat, said nothing, and have not come back for a day.

Owns when a conversation or a visitor counts as unused. Who calls this is `app.upkeep`.
"""

from datetime import timedelta
from typing import Final

from sqlalchemy import ColumnElement, delete, exists, select

from app.db import Database
from app.models import Conversation, Message, now
from app.service.tables import Visitor

UNSEEN_FOR: Final = timedelta(days=1)
"""Far longer than an access token can hold: who might say something in this very moment has been seen since."""

_AT_ONCE: Final = 500  # rows of a transaction, so that nobody who writes waits long


def remove_unused(database: Database) -> int:
    """How many rows have gone: empty conversations of visitors not seen for a day, and visitors without any.

    Conversations whose site has been deleted go as well, when nothing was said in them. Whoever comes back with a
    resume token gets a new conversation, or begins as a new visitor.
    """
    before = now() - UNSEEN_FOR
    seen = exists().where(Visitor.id == Conversation.visitor_id, Visitor.seen_at >= before)
    said = exists().where(Message.conversation_id == Conversation.id)
    of_page_view = (Conversation.site_id.is_not(None), Conversation.visitor_id.is_not(None), Conversation.change == 0)
    empty = (*of_page_view, Conversation.created_at < before, ~seen, ~said)
    has_conversation = exists().where(Conversation.visitor_id == Visitor.id)
    return _removed(database, Conversation, *empty) + _removed(
        database, Visitor, Visitor.seen_at < before, ~has_conversation
    )


def _removed(database: Database, table: type[Conversation | Visitor], *conditions: ColumnElement[bool]) -> int:
    removed = 0
    while True:
        with database.read() as session:
            ids = session.scalars(select(table.id).where(*conditions).limit(_AT_ONCE)).all()
        if ids:  # mostly there are none: then nobody has to wait for a writer
            with database.write() as session:
                session.execute(delete(table).where(table.id.in_(ids), *conditions))
        removed += len(ids)
        if len(ids) < _AT_ONCE:
            return removed
