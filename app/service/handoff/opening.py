"""How a conversation comes to people: what the customer is told, the hand-off that is opened, and messages to people.

Owns what an agent finds of the conversation: summary, passages, state. Every function runs in the transaction of the
message that it belongs to, under the conversation's lock (`app.messages`). Knows no HTTP.
"""

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from app.models import PEOPLE, Citation, Conversation, KnowledgeBase, Message, now
from app.service.handoff import presence
from app.service.handoff.changes import touched
from app.service.handoff.office_hours import is_open, next_opening
from app.service.handoff.sentences import language_in, opening_words, queue_sentence, sentence
from app.service.handoff.states import Status, end_flow, give_to_people, open_in
from app.service.settings import ServiceSettings
from app.service.tables import HandOff, Typing
from app.service.turn import HAND_OFF, HandOffWanted
from app.shapes import spans_from_row
from rag.language import Language
from rag.types import NO_PAGE, Answer

_LOG = logging.getLogger(__name__)

_TURNS = 6  # of the summary
_LONGEST_TURN = 300
_PASSAGES = 5


def hand_off_reply(
    session: Session,
    knowledge_base: KnowledgeBase,
    wanted: HandOffWanted,
    language: Language,
    at: datetime | None = None,
    *,
    conversation_id: str | None = None,
) -> str:
    """What the customer is told: that somebody comes and how many are before, or when people are back.

    A hand-off that is open in the conversation already counts, as it does for `open_hand_off`.
    """
    at = at or now()
    known = select(HandOff.skill_group).where(
        HandOff.conversation_id == conversation_id, HandOff.status == Status.QUEUED.value
    )
    asked_before = session.scalar(known) if conversation_id is not None else None
    group = _group_that_comes(session, knowledge_base, [asked_before, wanted.skill_group], at)
    if group is None:
        return nobody_sentence(knowledge_base, language, at)
    waiting = (
        select(func.count())
        .select_from(HandOff)
        .join(Conversation, Conversation.id == HandOff.conversation_id)
        .where(
            HandOff.workspace_id == knowledge_base.workspace_id,
            HandOff.skill_group == group,
            HandOff.status == Status.QUEUED.value,
            Conversation.handler == PEOPLE,
        )
    )
    return queue_sentence(session.scalar(waiting) or 0, language)


def open_hand_off(
    session: Session,
    conversation: Conversation,
    *,
    wanted: HandOffWanted,
    answer: Answer | None = None,
    question: str,
    at: datetime | None = None,
) -> HandOff:
    """Queues the conversation for people, who take it over at once if somebody is there.

    One that is open already stays: asked for again when somebody has come meanwhile, people take over now, those of
    its group or else of the one that is wanted now, which it then belongs to. The caller holds the conversation's lock,
    and what belongs to the turn is written already.
    """
    at = at or now()
    knowledge_base = session.get_one(KnowledgeBase, conversation.knowledge_base_id)
    row = open_in(session, conversation.id)
    if row is None:
        language = language_in(conversation.state, question)
        row = HandOff(
            workspace_id=conversation.workspace_id,
            conversation_id=conversation.id,
            knowledge_base_id=conversation.knowledge_base_id,
            skill_group=wanted.skill_group,
            status=Status.QUEUED.value,
            reason=wanted.reason.value,
            summary=_summary(session, conversation.id, wanted.note_in(language), language),
            passages=_passages(session, conversation.id, answer),
            state=dict(conversation.state),
            passed_over=[],
            waiting_since=at,
            created_at=at,
        )
        session.add(row)
    end_flow(conversation, row)
    is_left_to_assistant = row.status == Status.QUEUED and conversation.handler != PEOPLE
    groups = [row.skill_group, wanted.skill_group] if is_left_to_assistant else []
    group = _group_that_comes(session, knowledge_base, groups, at)
    if group is not None:
        row.skill_group = group
        give_to_people(conversation, row)
        offer(session, row, knowledge_base, presence.next_agent(session, row.workspace_id, row.skill_group, at), at)
    touched(session, row)
    session.flush()
    if answer is not None:
        _note_in_answer(session, conversation, row, wanted)
    return row


def customer_wrote(session: Session, conversation: Conversation, text: str, at: datetime) -> None:
    """Notes that a customer waits for people to answer; the message itself is written by the caller."""
    session.execute(delete(Typing).where(Typing.conversation_id == conversation.id, Typing.role == "customer"))
    row = open_in(session, conversation.id)
    if row is None:
        _LOG.error("Conversation %s is handled by people, but has no open hand-off.", conversation.id)
        return
    row.waiting_since = row.waiting_since or at
    touched(session, row)
    session.flush()


def somebody_is_there(session: Session, knowledge_base: KnowledgeBase, group: str, at: datetime) -> bool:
    """Whether people answer now: it is office hours, where there are any, and an agent of the group is online."""
    if not is_open(service_settings(knowledge_base).office_hours, at):
        return False
    return bool(presence.agents_there(session, knowledge_base.workspace_id, group, at))


def _group_that_comes(
    session: Session, knowledge_base: KnowledgeBase, groups: Iterable[str | None], at: datetime
) -> str | None:
    """The first of the groups of which somebody is there."""
    known = (each for each in groups if each is not None)
    return next((each for each in known if somebody_is_there(session, knowledge_base, each, at)), None)


def nobody_sentence(
    knowledge_base: KnowledgeBase, language: Language, at: datetime, *, has_waited: bool = False
) -> str:
    """That nobody is there, and when somebody will be, where that is known. `has_waited`: somebody was to come."""
    closed, nobody = ("gone_closed", "gone") if has_waited else ("closed", "nobody")
    hours = service_settings(knowledge_base).office_hours
    if hours is not None and not is_open(hours, at) and (opening := next_opening(hours, at)):
        return sentence(closed, language, opening=opening_words(opening, language))
    return sentence(nobody, language)


def offer(session: Session, row: HandOff, knowledge_base: KnowledgeBase, account_id: str | None, at: datetime) -> None:
    """Makes it an agent's turn; None: everybody's. Whoever takes the group may claim it all the same."""
    patience = timedelta(seconds=service_settings(knowledge_base).answer_within_s)
    row.offered_to, row.offered_until = account_id, at + patience


def service_settings(knowledge_base: KnowledgeBase) -> ServiceSettings:
    """Those of the knowledge base; the defaults where it has set none."""
    return ServiceSettings.model_validate(knowledge_base.settings.get("service") or {})


def _note_in_answer(session: Session, conversation: Conversation, row: HandOff, wanted: HandOffWanted) -> None:
    """Keeps with the answer that hands over, which is what changed last in the conversation, why it did."""
    newest = select(Message).where(
        Message.conversation_id == conversation.id,
        Message.change == conversation.change,
        Message.role == "assistant",
    )
    for message in session.scalars(newest):
        noted = {"id": row.id, "reason": wanted.reason.value, "skill_group": row.skill_group}
        message.details = {**message.details, HAND_OFF: noted}
    session.flush()


def _summary(session: Session, conversation_id: str, note: str, language: Language) -> str:
    """The last turns, word for word but short, below the note."""
    rows = session.execute(
        select(Message.role, Message.author, Message.text)
        .where(Message.conversation_id == conversation_id, Message.text != "", Message.role != "system")
        .order_by(Message.ordinal.desc())
        .limit(_TURNS)
    ).all()
    names = {"customer": "顾客", "assistant": "助手"} if language == "zh" else {}
    told = [f"{row.author or names.get(row.role, row.role.capitalize())}: {_short(row.text)}" for row in reversed(rows)]
    return "\n".join([note, *told] if note else told)


def _short(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= _LONGEST_TURN else words[: _LONGEST_TURN - 1] + "…"


def _passages(session: Session, conversation_id: str, answer: Answer | None) -> list[dict[str, Any]]:
    """What has been found: for this turn first, then what the last answers cited."""
    found: dict[str, dict[str, Any]] = {}
    for hit in answer.hits if answer is not None else ():
        passage = hit.passage
        found[passage.id] = _passage(passage.id, passage.title, passage.page_label, passage.spans[0].page, passage.text)
    cited = (
        select(Citation.passage_id, Citation.title, Citation.page_label, Citation.spans, Citation.quote)
        .join(Message, Message.id == Citation.message_id)
        .where(Message.conversation_id == conversation_id)
        .order_by(Message.ordinal.desc(), Citation.marker)
        .limit(4 * _PASSAGES)
    )
    for row in session.execute(cited):
        page = spans_from_row(row.spans)[0].page
        found.setdefault(row.passage_id, _passage(row.passage_id, row.title, row.page_label, page, row.quote))
    return list(found.values())[:_PASSAGES]


def _passage(passage_id: str, title: str, page_label: str | None, page: int, text: str) -> dict[str, Any]:
    """With the number printed on its page, else the page's number in the file."""
    label = page_label or (None if page == NO_PAGE else str(page))
    return {"passage_id": passage_id, "title": title, "page_label": label, "text": text}
