"""What a knowledge base sets for its customer service: the part `service` of its settings.

Owns names and bounds. Knows neither tables nor routes; whether flows and groups of these names exist is found out where
they are used.
"""

import re
from datetime import date, time
from typing import Annotated, Any, Final, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,59}$")]
MIDNIGHT = time(0)
"""As the end of a span: of that day."""

SHORTEST_SILENCE_S: Final = 60
Span = tuple[time, time]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class IntentRule(_Part):
    """What is done about an intent; without any of them the manuals are asked."""

    flow: Name | None = Field(None, description="The flow that it begins.")
    hand_off: Name | None = Field(None, description="The skill group that it goes to.")
    reply: dict[Literal["en", "zh"], Annotated[str, StringConstraints(min_length=1, max_length=1000)]] | None = Field(
        None, description="What is said, by language."
    )

    @model_validator(mode="after")
    def _one_thing(self) -> Self:
        if sum(each is not None for each in (self.flow, self.hand_off, self.reply)) > 1:
            raise ValueError("an intent begins a flow, goes to a group, or has a reply: one of them")
        return self


class OfficeHours(_Part):
    """When people are there. A day that is missing has none; `closed` are days off, of the time zone's calendar."""

    timezone: str = Field("UTC", max_length=64, description="IANA name, like Europe/Berlin.")
    days: dict[Weekday, tuple[Span, ...]] = Field(
        description='From and until: {"mon": ["09:00", "17:30"]}; of several spans a list of them: '
        '{"mon": [["09:00", "12:30"], ["14:00", "18:00"]]}. Until 24:00 is until midnight.'
    )
    closed: tuple[date, ...] = Field((), max_length=100)

    @field_validator("timezone")
    @classmethod
    def _known(cls, name: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9_+/-]+", name):
            raise ValueError("a time zone is named like Europe/Berlin")
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError(f"there is no time zone {name!r}; name one like Europe/Berlin") from error
        return name

    @field_validator("days", mode="before")
    @classmethod
    def _spans(cls, days: Any) -> Any:
        """A span alone is the only one of its day; midnight at the end of one is kept as 00:00."""
        if not isinstance(days, dict):
            return days
        several = {day: [given] if _is_span(given) else given for day, given in days.items()}
        return {
            day: [_until_midnight(span) for span in given] if isinstance(given, list | tuple) else given
            for day, given in several.items()
        }

    @field_validator("days")
    @classmethod
    def _in_order(cls, days: dict[Weekday, tuple[Span, ...]]) -> dict[Weekday, tuple[Span, ...]]:
        for day, spans in days.items():
            reached = None
            for opens, closes in spans:
                if opens.tzinfo or closes.tzinfo:
                    raise ValueError(f"{day} has times with an offset: they are those of the time zone")
                if closes != MIDNIGHT and opens >= closes:
                    raise ValueError(f"{day} ends before it begins")
                if reached is not None and (reached == MIDNIGHT or opens < reached):
                    raise ValueError(f"the spans of {day} overlap or are not in order")
                reached = closes
        return days


def _is_span(given: Any) -> bool:
    return _is_pair(given) and not any(isinstance(end, list | tuple) for end in given)


def _until_midnight(span: Any) -> Any:
    return (span[0], MIDNIGHT) if _is_pair(span) and span[1] in ("24:00", "24:00:00") else span


def _is_pair(given: Any) -> bool:
    return isinstance(given, list | tuple) and len(given) == 2


class ServiceSettings(_Part):
    """Present: messages to this knowledge base are routed; absent: every message is a question to its manuals."""

    intents: dict[Name, IntentRule] = Field({}, max_length=300, description="What is done about which intent.")
    flows: tuple[Name, ...] | None = Field(None, description="The flows it has; null means every flow there is.")
    catalogue: str | None = Field(None, max_length=200, description="Id or name of the catalogue that flows search.")
    office_hours: OfficeHours | None = Field(None, description="Null: whenever an agent is online.")
    failures_before_hand_off: int = Field(
        2, ge=1, le=10, description="Answers in a row that found nothing, after which a person is offered."
    )
    answer_within_s: int = Field(
        120, ge=5, le=86_400, description="After so long without an agent's reply it is the next agent's turn."
    )
    ends_after_silence_s: int | None = Field(
        None,
        ge=SHORTEST_SILENCE_S,
        le=90 * 86_400,
        description="What an agent has answered ends after so long without a message; null: when the agent ends it.",
    )
