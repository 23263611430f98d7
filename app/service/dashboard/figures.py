"""The dashboard's figures, counted in SQL: what comes out is a row a day and knowledge base, however many messages.

Owns what is counted how. Everything belongs to the day, in UTC, on which it happened: a conversation to that of its
first moment, a message, hand-off, thumb or rating to its own. Writes nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, exists, func, or_, select
from sqlalchemy.orm import Session, aliased
from sqlalchemy.orm.util import AliasedClass

from app.models import Conversation, Feedback, KnowledgeBase, Message
from app.scope import Scope
from app.service.dashboard.shapes import DayFigures, Figures, Quantiles, ReasonCount, StarCount
from app.service.tables import ConversationRating, HandOff
from rag.types import AnswerKind

Key = tuple[str, str]
"""A day in UTC, as YYYY-MM-DD, and a knowledge base's id."""

_QUANTILES = (50, 95)
_NOT_SAID = AnswerKind.NOT_IN_MANUALS.value


def is_unanswered(answer: type[Message] | AliasedClass[Message]) -> ColumnElement[bool]:
    """Whether the manuals did not have it; so it is too where people were called for that, behind the same answer.

    The kind comes first: of a hundred thousand answers the details of few are looked into.
    """
    called = and_(answer.kind == AnswerKind.HAND_OFF.value, answer.details[_NOT_SAID].as_boolean())
    return or_(answer.kind == _NOT_SAID, called)


@dataclass(frozen=True, slots=True)
class Window:
    """Whole days up to today's, of the knowledge bases that the caller may see, or of one of them."""

    days: int
    now: datetime
    scope: Scope
    knowledge_base_id: str | None = None

    @property
    def since(self) -> date:
        return self.now.astimezone(UTC).date() - timedelta(days=self.days - 1)

    @property
    def until(self) -> date:
        return self.now.astimezone(UTC).date()

    def includes(self, column: Any) -> ColumnElement[bool]:
        """Whether the time in `column`, of a row joined to its conversation, is in the window, and is the caller's."""
        begins = datetime.combine(self.since, time(), UTC)
        allowed = self.scope.knowledge_base_query().with_only_columns(KnowledgeBase.id)
        if self.knowledge_base_id is not None:
            allowed = allowed.where(KnowledgeBase.id == self.knowledge_base_id)
        ends = begins + timedelta(days=self.days)
        return and_(column >= begins, column < ends, Conversation.knowledge_base_id.in_(allowed))


@dataclass(slots=True)
class Counted:
    """What was counted: by day and knowledge base, and over all."""

    by_day: dict[Key, dict[str, Any]] = field(default_factory=dict)
    totals: dict[str, Any] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
    stars: dict[int, int] = field(default_factory=dict)

    def add(self, key: Key, **numbers: int) -> None:
        for name, number in numbers.items():
            for into in (self.by_day.setdefault(key, {}), self.totals):
                into[name] = into.get(name, 0) + number


def count(session: Session, window: Window) -> Counted:
    """All figures of the window."""
    counted = Counted()
    _count_conversations(session, window, counted)
    _count_messages(session, window, counted)
    _measure_answers(session, window, counted)
    _count_hand_offs(session, window, counted)
    _count_opinions(session, window, counted)
    return counted


def day_figures(session: Session, counted: Counted) -> list[DayFigures]:
    """Oldest day first, and by the knowledge base's name."""
    ids = {knowledge_base for _, knowledge_base in counted.by_day}
    query = select(KnowledgeBase.id, KnowledgeBase.name).where(KnowledgeBase.id.in_(ids))
    names = {row.id: row.name for row in session.execute(query)}
    rows = [
        DayFigures(
            day=date.fromisoformat(day),
            knowledge_base=knowledge_base,
            knowledge_base_name=names[knowledge_base],
            **_finished(numbers),
        )
        for (day, knowledge_base), numbers in counted.by_day.items()
    ]
    return sorted(rows, key=lambda each: (each.day, each.knowledge_base_name))


def total_figures(counted: Counted) -> Figures:
    return Figures(**_finished(counted.totals))


def reason_counts(counted: Counted) -> list[ReasonCount]:
    """The most frequent first."""
    ordered = sorted(counted.reasons.items(), key=lambda item: (-item[1], item[0]))
    return [ReasonCount(reason=reason, count=number) for reason, number in ordered]


def star_counts(counted: Counted) -> list[StarCount]:
    return [StarCount(stars=stars, count=number) for stars, number in sorted(counted.stars.items())]


def _count_conversations(session: Session, window: Window, counted: Counted) -> None:
    """Those with a customer's message; a conversation's last answer is that with the highest ordinal."""
    is_customers, is_answer = Message.role == "customer", Message.role == "assistant"
    each = (
        select(
            Conversation.id,
            Conversation.knowledge_base_id,
            _day(session, Conversation.created_at).label("day"),
            func.max(case((is_answer, Message.ordinal))).label("last_answer"),
        )
        .join(Message, Message.conversation_id == Conversation.id)
        .where(window.includes(Conversation.created_at))
        .group_by(Conversation.id)
        .having(func.count(case((is_customers, 1))) > 0)
        .subquery()
    )
    last = aliased(Message)
    is_resolved = and_(
        last.status == "answered",
        or_(last.kind.is_(None), last.kind != _NOT_SAID),
        ~exists().where(HandOff.conversation_id == each.c.id),
    )
    query = (
        select(each.c.day, each.c.knowledge_base_id, func.count(), func.sum(case((is_resolved, 1), else_=0)))
        .outerjoin(
            last,
            and_(last.conversation_id == each.c.id, last.ordinal == each.c.last_answer, last.role == "assistant"),
        )
        .group_by(each.c.day, each.c.knowledge_base_id)
    )
    for day, knowledge_base, conversations, resolved in session.execute(query):
        counted.add((day, knowledge_base), conversations=conversations, resolved_without_person=int(resolved))


def _count_messages(session: Session, window: Window, counted: Counted) -> None:
    day = _day(session, Message.created_at).label("day")
    is_answer = Message.role == "assistant"

    def number(condition: ColumnElement[bool]) -> ColumnElement[int]:
        return func.count(case((condition, 1)))

    query = (
        select(
            day,
            Conversation.knowledge_base_id,
            number(Message.role == "customer"),
            number(and_(is_answer, Message.status == "answered")),
            number(and_(is_answer, Message.status == "answered", is_unanswered(Message))),
            number(and_(is_answer, Message.status == "failed")),
        )
        .join(Conversation, Conversation.id == Message.conversation_id)
        .where(window.includes(Message.created_at))
        .group_by(day, Conversation.knowledge_base_id)
    )
    for row in session.execute(query):
        counted.add((row[0], row[1]), customer_messages=row[2], answers=row[3], unanswered=row[4], failed=row[5])


def _measure_answers(session: Session, window: Window, counted: Counted) -> None:
    """Quantiles of the whole time of answers, sought by the database: only the ranks that are wanted come back."""
    took = Message.timings_ms["total"].as_float()
    each = (
        select(
            _day(session, Message.created_at).label("day"),
            Conversation.knowledge_base_id.label("knowledge_base"),
            took.label("took"),
        )
        .join(Conversation, Conversation.id == Message.conversation_id)
        .where(
            window.includes(Message.created_at),
            Message.role == "assistant",
            Message.status == "answered",
            took.is_not(None),
        )
        .subquery()
    )
    own = (each.c.day, each.c.knowledge_base)
    ranked = select(
        each,
        func.row_number().over(order_by=each.c.took, partition_by=own).label("rank"),
        func.count().over(partition_by=own).label("number"),
        func.row_number().over(order_by=each.c.took).label("total_rank"),
        func.count().over().label("total"),
    ).subquery()
    for row in session.execute(_at_ranks(ranked)):
        key = (row.day, row.knowledge_base)
        for percent in _QUANTILES:
            if row.rank == _rank(row.number, percent):
                _measured(counted.by_day.setdefault(key, {}), "answer_ms", percent, row.took, row.number)
            if row.total_rank == _rank(row.total, percent):
                _measured(counted.totals, "answer_ms", percent, row.took, row.total)


def _at_ranks(ranked: Any) -> Select[Any]:
    """Those rows whose rank among their own, or over all, is that of a quantile."""
    conditions = []
    for percent in _QUANTILES:
        for rank, number in ((ranked.c.rank, ranked.c.number), (ranked.c.total_rank, ranked.c.total)):
            # rank = ceil(number * percent / 100), without dividing, which databases do differently
            conditions.append(and_(rank * 100 >= number * percent, (rank - 1) * 100 < number * percent))
    return select(ranked).where(or_(*conditions))


def _count_hand_offs(session: Session, window: Window, counted: Counted) -> None:
    """Fewer by far than messages, so that the waiting times are sorted here."""
    query = (
        select(
            _day(session, HandOff.created_at),
            Conversation.knowledge_base_id,
            HandOff.reason,
            HandOff.created_at,
            HandOff.answered_at,
        )
        .join(Conversation, Conversation.id == HandOff.conversation_id)
        .where(window.includes(HandOff.created_at))
    )
    waited: dict[Key, list[float]] = {}
    for day, knowledge_base, reason, created_at, answered_at in session.execute(query):
        key = (day, knowledge_base)
        counted.add(key, hand_offs=1)
        counted.reasons[reason] = counted.reasons.get(reason, 0) + 1
        if answered_at is not None:
            waited.setdefault(key, []).append((answered_at - created_at).total_seconds())
    for key, seconds in waited.items():
        _measure(counted.by_day.setdefault(key, {}), "first_reply_s", seconds)
    _measure(counted.totals, "first_reply_s", [each for seconds in waited.values() for each in seconds])


def _count_opinions(session: Session, window: Window, counted: Counted) -> None:
    day = _day(session, Feedback.created_at).label("day")
    thumbs = (
        select(day, Conversation.knowledge_base_id, Feedback.rating, func.count())
        .join(Message, Message.id == Feedback.message_id)
        .join(Conversation, Conversation.id == Message.conversation_id)
        .where(window.includes(Feedback.created_at))
        .group_by(day, Conversation.knowledge_base_id, Feedback.rating)
    )
    for thumbed_on, knowledge_base, rating, number in session.execute(thumbs):
        counted.add((thumbed_on, knowledge_base), **{f"thumbs_{rating}": number})
    day = _day(session, ConversationRating.created_at).label("day")
    ratings = (
        select(day, Conversation.knowledge_base_id, ConversationRating.stars, func.count())
        .join(Conversation, Conversation.id == ConversationRating.conversation_id)
        .where(window.includes(ConversationRating.created_at))
        .group_by(day, Conversation.knowledge_base_id, ConversationRating.stars)
    )
    for rated_on, knowledge_base, stars, number in session.execute(ratings):
        counted.add((rated_on, knowledge_base), ratings=number, all_stars=number * stars)
        counted.stars[stars] = counted.stars.get(stars, 0) + number


def _finished(numbers: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of `Figures`: sums as they are, shares and means made of them."""
    figures = dict(numbers)
    all_stars = figures.pop("all_stars", 0)
    if figures.get("ratings"):
        figures["stars"] = all_stars / figures["ratings"]
    if figures.get("conversations"):
        figures["share_without_person"] = figures["resolved_without_person"] / figures["conversations"]
    return {name: Quantiles(**value) if isinstance(value, dict) else value for name, value in figures.items()}


def _measure(into: dict[str, Any], name: str, values: Sequence[float]) -> None:
    ordered = sorted(values)
    for percent in _QUANTILES if ordered else ():
        _measured(into, name, percent, ordered[_rank(len(ordered), percent) - 1], len(ordered))


def _measured(into: dict[str, Any], name: str, percent: int, value: float, number: int) -> None:
    into.setdefault(name, {"count": number})[f"p{percent}"] = value


def _rank(number: int, percent: int) -> int:
    """Of the smallest value that so many percent of `number` values do not exceed; from 1."""
    return -(-number * percent // 100)


def _day(session: Session, column: Any) -> ColumnElement[str]:
    """The day in UTC, as YYYY-MM-DD."""
    if session.get_bind().dialect.name == "sqlite":
        return func.date(column)  # stored in UTC
    return func.to_char(func.timezone("UTC", column), "YYYY-MM-DD")
