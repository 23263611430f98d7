"""What customers who have accounts get of messages: the shapes of everybody, less what is not for them.

Owns which fields are emptied. Nothing of documents that are internal by now goes out, and nothing of how an answer was
made. Visitors of the widget have shapes of their own (`app.service.sites.visitor_shapes`).
"""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy.orm import Session

from app.publicity import public_among
from app.shapes import MessageShape

_EMPTIED: Final[dict[str, Any]] = {"searched_for": None, "model": None, "timings_ms": {}, "guard": None}


def for_customer(session: Session, messages: Sequence[MessageShape]) -> list[MessageShape]:
    """The messages as a customer sees them now: citing public documents alone."""
    cited = {citation.document_id for message in messages for citation in message.citations}
    public = public_among(session, cited) if cited else set()
    return [
        message.model_copy(
            update={**_EMPTIED, "citations": [each for each in message.citations if each.document_id in public]}
        )
        for message in messages
    ]
