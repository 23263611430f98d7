"""What a knowledge base may set for itself, and what then holds for it.

Owns the names and bounds of these settings, and the rule that what is not set follows the installation. Knows neither
tables nor routes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.service.settings import ServiceSettings
from app.settings import AnswererName, Settings, WhenUnavailable

_T = TypeVar("_T")

LOWEST_FALSE_ANSWERS: Final = 0.015
"""The public data on which the probability is fitted knows of no threshold for a lower share: all would be refused."""


class DocumentFilter(StrEnum):
    """What a passage can be excluded for. Of several reasons the first is told."""

    UNREADABLE = "unreadable"
    DUPLICATE = "duplicate"
    BOILERPLATE = "boilerplate"

    @property
    def setting(self) -> str:
        """The setting that turns it on."""
        return f"exclude_{self.value}"


class KnowledgeBaseSettings(BaseModel):
    """What a knowledge base may set for itself; what is missing or null follows the installation's settings."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dense_weight: float | None = Field(
        None, ge=0, le=1, description="A plain mix instead of learned weights: the share of the vectors."
    )
    answer_passages: int | None = Field(None, ge=1, le=20, description="Passages an answer is made from.")
    answerer: AnswererName | None = Field(None, description="extractive or generative.")
    refuse_below: float | None = Field(
        None, ge=0, le=1, description="Probability of a right answer below which the manuals do not say it."
    )
    false_answers: float | None = Field(
        None,
        ge=LOWEST_FALSE_ANSWERS,
        le=0.5,
        description="In the place of refuse_below: share of the questions not in the manuals that may be answered, as "
        "measured on public data. Calibrating with a run of golden questions sets refuse_below from the manuals' own.",
    )
    doubt_below: float | None = Field(
        None, ge=0, le=1, description="Probability of a right answer below which an answer is called uncertain."
    )
    temperature: float | None = Field(None, ge=0, le=2, description="Sampling temperature of generative answers.")
    max_tokens: int | None = Field(None, ge=16, le=8192, description="Longest generative answer, in tokens.")
    when_unavailable: WhenUnavailable | None = Field(
        None, description="When the chat model is busy or down: error, or extractive (an answer marked as such)."
    )
    answer_cache: bool | None = Field(None, description="false: every answer is made anew.")
    exclude_unreadable: bool | None = Field(None, description="true: passages with too little text are never found.")
    exclude_duplicate: bool | None = Field(
        None, description="true: of nearly identical documents, what stands in the newest is found there only."
    )
    exclude_boilerplate: bool | None = Field(
        None, description="true: passages of nothing but recurring text are found in one place only."
    )

    service: ServiceSettings | None = Field(
        None, description="Customer service: routing, flows, people. Null: every message is a question to the manuals."
    )

    @model_validator(mode="after")
    def _one_decides_when_to_refuse(self) -> Self:
        """Raises `ValueError` for both `refuse_below` and `false_answers`."""
        if self.refuse_below is not None and self.false_answers is not None:
            raise ValueError(
                "refuse_below and false_answers both decide when to refuse: set one of them, and the other to null"
            )
        return self


@dataclass(frozen=True, slots=True)
class EffectiveSettings:
    """What holds for one knowledge base. Of the probabilities, None means the answerer's own; of the mix, no mix."""

    dense_weight: float | None
    answer_passages: int
    answerer: AnswererName
    refuse_below: float | None
    false_answers: float | None
    doubt_below: float | None
    temperature: float
    max_tokens: int
    when_unavailable: WhenUnavailable
    answer_cache: bool


def effective_settings(own: Mapping[str, Any], settings: Settings) -> EffectiveSettings:
    """`own` is what the knowledge base's row keeps."""
    here = KnowledgeBaseSettings.model_validate(own)
    retrieval, answers, keeps_answers = settings.retrieval, settings.answers, settings.caches.answers_mb > 0
    return EffectiveSettings(
        dense_weight=_first(here.dense_weight, retrieval.dense_weight),
        answer_passages=_first(here.answer_passages, retrieval.answer_passages),
        answerer=_first(here.answerer, answers.answerer),
        refuse_below=here.refuse_below,
        false_answers=here.false_answers,
        doubt_below=here.doubt_below,
        temperature=_first(here.temperature, answers.temperature),
        max_tokens=_first(here.max_tokens, answers.max_tokens),
        when_unavailable=_first(here.when_unavailable, answers.when_unavailable),
        answer_cache=keeps_answers and here.answer_cache is not False,
    )


def with_tried(own: Mapping[str, Any], tried: Mapping[str, Any]) -> dict[str, Any]:
    """`own` settings with others tried in their place; what says when to refuse takes the place of both that do."""
    deciding = {"refuse_below", "false_answers"}
    replaced = deciding if any(tried.get(each) is not None for each in deciding) else set()
    return {**{name: value for name, value in own.items() if name not in replaced}, **tried}


def wanted_filters(own: Mapping[str, Any]) -> list[DocumentFilter]:
    """The filters that are on. `own` is what the knowledge base's row keeps."""
    return [each for each in DocumentFilter if own.get(each.setting)]


def _first(own: _T | None, installed: _T) -> _T:
    return installed if own is None else own
