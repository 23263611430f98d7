"""How an answer ends: saved, or saved as failed, and its quotes found on the page images afterwards.

Owns what is written about an answer that was made. Every method waits for storage, so none is called where a place at
the chat model is held. Does not know which answers are to be made, nor who listens.
"""

import logging
from collections.abc import Mapping

from app import cited_pages, messages
from app.bootstrap import Services
from app.error_responses import for_readers
from app.errors import ServiceError
from app.message_leases import Assignment
from app.metrics import AnswerClock, Metrics
from app.shapes import CitationShape, MessageShape
from rag.errors import RagError
from rag.language import Language, language_of
from rag.types import Answer

_LOG = logging.getLogger(__name__)

Ended = tuple[int, MessageShape]
"""The change number under which a message was saved, and the message."""

APOLOGIES: dict[Language, str] = {
    "en": "Sorry, I could not answer this because of a technical problem. Please ask again in a moment.",
    "zh": "抱歉，由于技术问题，我暂时无法回答。请稍后再问一次。",
}


class AnswerSaver:
    """Safe for threads."""

    def __init__(self, services: Services, metrics: Metrics) -> None:
        self._services = services
        self._database = services.database
        self._metrics = metrics

    def finish(
        self, assignment: Assignment, answer: Answer, citation_ids: Mapping[int, str], clock: AnswerClock
    ) -> Ended | None:
        """Saves an answer; None when somebody else has taken over. `citation_ids` as for `messages.finish`."""
        ended = messages.finish(self._database, assignment, answer, citation_ids)
        if ended is None:
            _LOG.warning("Message %s is not ours any more; its answer is dropped.", assignment.message.id)
        else:
            self._metrics.count_answer(answer, clock)
        return ended

    def fail(self, assignment: Assignment, error: Exception) -> Ended | None:
        """Saves an apology in an answer's place; None when somebody else has taken over."""
        _LOG.log(
            logging.WARNING if isinstance(error, RagError | ServiceError) else logging.ERROR,
            "Message %s could not be answered.",
            assignment.message.id,
            exc_info=error,
        )
        shape = for_readers(error)
        ended = messages.fail(
            self._database,
            assignment,
            text=APOLOGIES[language_of(assignment.question.text)],
            code=shape.error.code,
            reason=shape.error.message,
        )
        if ended is not None:
            self._metrics.count_failure(shape.error.code)
        return ended

    def add_boxes(self, message: MessageShape) -> list[CitationShape]:
        """After the answer was sent: its citations with the places of their quotes on the page images."""
        try:
            found = cited_pages.boxes_of(self._services, message.citations)
            return messages.set_boxes(self._database, found) if found else []
        except Exception:  # noqa: BLE001  the answer is out; boxes only decorate it
            _LOG.exception("The boxes of message %s could not be found; its answer stands without.", message.id)
            return []
