"""What readers think of an answer.

Owns one row a message. Who may see the message is `app.scope`.
"""

from sqlalchemy import select

from app.db import Database
from app.errors import BadRequest
from app.models import Feedback, Message
from app.scope import Scope
from app.shapes import FeedbackShape


def save_feedback(database: Database, scope: Scope, message: str, rating: str, comment: str) -> FeedbackShape:
    """One feedback a message; the last one counts."""
    with database.write() as session:
        of_message = scope.message(session, message)
        if of_message.role == "customer":
            raise BadRequest("Feedback is for answers, not for questions.", {"message": message})
        session.execute(select(Message.id).where(Message.id == of_message.id).with_for_update())
        row = session.scalars(select(Feedback).where(Feedback.message_id == of_message.id)).first()
        if row is None:
            row = Feedback(message_id=of_message.id)
            session.add(row)
        row.rating, row.comment = rating, comment
        session.flush()
        return FeedbackShape.of(row)
