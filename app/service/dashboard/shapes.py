"""The JSON shapes of the dashboard.

Owns names and types of the fields; what is counted how is `figures`'.
"""

from datetime import date, datetime

from pydantic import Field

from app.understood_shapes import Shape


class Quantiles(Shape):
    """By nearest rank: half, or nineteen in twenty, took no longer. Null where nothing was measured."""

    p50: float | None = None
    p95: float | None = None
    count: int = 0


class Figures(Shape):
    conversations: int = Field(0, description="Begun, with at least one message of the customer's.")
    resolved_without_person: int = Field(
        0, description="Of those: no hand-off, and the last answer neither failed nor was that the manuals do not say."
    )
    share_without_person: float | None = None
    customer_messages: int = 0
    answers: int = Field(0, description="The assistant's, of every kind.")
    unanswered: int = Field(0, description="Of those: the manuals do not say.")
    failed: int = Field(0, description="Messages to which no answer could be made.")
    hand_offs: int = 0
    thumbs_up: int = 0
    thumbs_down: int = 0
    ratings: int = 0
    stars: float | None = Field(None, description="The mean.")
    answer_ms: Quantiles = Quantiles()
    first_reply_s: Quantiles = Field(Quantiles(), description="From the hand-off to the agent's first message.")


class DayFigures(Figures):
    day: date
    knowledge_base: str
    knowledge_base_name: str


class ReasonCount(Shape):
    reason: str
    count: int


class StarCount(Shape):
    stars: int
    count: int


class UnansweredQuestion(Shape):
    text: str
    count: int = Field(description="How often it was asked in these words.")
    conversation_id: str
    message_id: str
    created_at: datetime


class Topic(Shape):
    """Questions that the manuals did not answer and that are near each other; `topic` is the one in their middle."""

    topic: str
    knowledge_base: str
    knowledge_base_name: str
    count: int
    examples: list[UnansweredQuestion]


class Dashboard(Shape):
    """Days are those of UTC, the last one today's. `by_day` has the days on which something happened, oldest first."""

    since: date
    until: date
    knowledge_base: str | None
    totals: Figures
    by_day: list[DayFigures]
    hand_off_reasons: list[ReasonCount]
    star_counts: list[StarCount]
    unanswered: list[Topic]
    problems: list[str] = Field([], description="What could not be told, and why.")
