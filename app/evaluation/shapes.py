"""What is asked of golden questions, runs and candidates, and what is told of them: the shapes of the API.

Owns names, bounds and the step from rows. Knows no queries.
"""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app import models
from app.knowledge_base_settings import KnowledgeBaseSettings
from rag.evaluation.asking import Outcome
from rag.evaluation.calibration import HIGHEST_WANTED, LOWEST_WANTED, Calibration, Share
from rag.evaluation.comparing import Change
from rag.evaluation.questions import LONGEST_ID, LONGEST_TEXT, MOST_TURNS
from rag.types import NO_PAGE

RunStatus = Literal["queued", "running", "done", "failed", "cancelled"]

_EXPECTED = (
    'The right answer: {"document": external id, "page": from 1, "answer": text}, each one or a list, pages and '
    'answer optional; or "not answerable".'
)


class NewGoldenQuestion(BaseModel):
    """A question as it stands in a golden file, its id there under `name`."""

    model_config = ConfigDict(extra="forbid")

    name: str | None = Field(None, min_length=1, max_length=LONGEST_ID, description="Made of the question if missing.")
    question: str = Field(min_length=1, max_length=LONGEST_TEXT)
    history: list[str | dict[str, Any]] = Field([], max_length=MOST_TURNS, description="Turns before it, oldest first.")
    filter: dict[str, Any] = Field({}, description="Narrows documents, as in a conversation.")
    expected: dict[str, Any] | Literal["not answerable"] = Field(description=_EXPECTED)


class GoldenQuestionShape(BaseModel):
    id: str
    name: str
    question: str
    history: list[dict[str, Any]]
    filter: dict[str, Any]
    expected: dict[str, Any] | Literal["not answerable"]
    message_id: str | None = Field(description="The thumbed-down answer that it came from.")
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, row: models.GoldenQuestion) -> "GoldenQuestionShape":
        record = row.record
        return cls(
            id=row.id,
            name=row.name,
            question=record["question"],
            history=record.get("history", []),
            filter=record.get("filter", {}),
            expected=record["expected"],
            message_id=row.message_id,
            created_at=row.created_at,
            updated_at=row.updated_at,
        )


class GoldenQuestionList(BaseModel):
    """In the order in which they were added."""

    questions: list[GoldenQuestionShape]
    total: int
    next_cursor: str | None


class UploadedQuestions(BaseModel):
    """How many questions of a file were new, changed, and there already."""

    added: int
    changed: int
    unchanged: int


class NewGoldenRun(BaseModel):
    model_config = ConfigDict(extra="forbid")

    settings: KnowledgeBaseSettings = Field(
        KnowledgeBaseSettings(), description="Tried in place of the knowledge base's own, which stay as they are."
    )
    note: str = Field("", max_length=200, pattern=r"^[^\x00-\x1f]*$", description="For people, one line.")


class GoldenRunShape(BaseModel):
    """`figures` are those of `answerdesk evaluate --json`, empty until the run is done."""

    id: str
    knowledge_base: str
    number: int = Field(description="From 1 in each knowledge base; may be used in place of the id.")
    status: RunStatus
    note: str
    message: str = Field(description="Why it failed, or what it waits for.")
    tried: dict[str, Any]
    used: dict[str, Any] = Field(description="What held: settings, model, embedder, generation and change number.")
    done: int
    total: int
    outcomes: dict[str, int] = Field(description="Questions by outcome, so far.")
    figures: dict[str, Any]
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @classmethod
    def of(cls, row: models.GoldenRun, outcomes: dict[str, int]) -> "GoldenRunShape":
        return cls(
            id=row.id,
            knowledge_base=row.knowledge_base_id,
            number=row.number,
            status=row.status,
            note=row.note,
            message=row.message,
            tried=row.tried,
            used=row.used,
            done=sum(outcomes.values()),
            total=row.total,
            outcomes=outcomes,
            figures=row.figures,
            created_at=row.created_at,
            started_at=row.started_at,
            finished_at=row.finished_at,
        )


class GoldenRunList(BaseModel):
    """Newest first."""

    runs: list[GoldenRunShape]


class WantedCalibration(BaseModel):
    model_config = ConfigDict(extra="forbid")

    false_answers: float = Field(
        ge=LOWEST_WANTED,
        le=HIGHEST_WANTED,
        description="Share of the questions not in the manuals that may be answered.",
    )


class ShareShape(BaseModel):
    """A share of the golden questions; `low` and `high` bound it for all questions of the kind, at 95%."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, share: Share) -> "ShareShape":
        return cls(value=share.value, low=share.low, high=share.high)


class CalibrationShape(BaseModel):
    """The threshold that the knowledge base has now, and what it does to the questions it was chosen by."""

    refuse_below: float
    wanted: float
    false_answers: ShareShape
    false_refusals: ShareShape
    expected_false_answers: float = Field(description="At most so many of further questions not in the manuals.")
    answerable: int
    not_answerable: int
    questions_missing: int = Field(
        description="Above 0: so many more not answerable ones it takes until the share can be as low as wanted."
    )

    @classmethod
    def of(cls, made: Calibration) -> "CalibrationShape":
        return cls(
            refuse_below=made.threshold,
            wanted=made.wanted,
            false_answers=ShareShape.of(made.false_answers),
            false_refusals=ShareShape.of(made.false_refusals),
            expected_false_answers=made.expected_false_answers,
            answerable=made.answerable,
            not_answerable=made.not_answerable,
            questions_missing=made.questions_missing,
        )


class GoldenResultShape(BaseModel):
    """One question of a run. `details` hold the answer, its citations, what was found, confidence and milliseconds."""

    ordinal: int
    question_id: str
    question: str
    history: list[dict[str, Any]]
    expected: dict[str, Any] | Literal["not answerable"]
    outcome: Outcome | None = Field(description="Null until it has been asked.")
    values: dict[str, float]
    details: dict[str, Any]

    @classmethod
    def of(cls, row: models.GoldenResult) -> "GoldenResultShape":
        return cls(
            ordinal=row.ordinal,
            question_id=row.question_id,
            question=row.record["question"],
            history=row.record.get("history", []),
            expected=row.record["expected"],
            outcome=None if row.outcome is None else Outcome(row.outcome),
            values=row.values,
            details=row.details,
        )


class GoldenResultList(BaseModel):
    results: list[GoldenResultShape]
    next_cursor: str | None


class FigureChange(BaseModel):
    """`low` and `high` bound the difference at 95%, by a paired bootstrap over the questions that both runs have."""

    figure: str
    first: float
    second: float | None
    difference: float | None
    low: float | None
    high: float | None
    questions: int
    is_worse: bool

    @classmethod
    def of(cls, change: Change) -> "FigureChange":
        return cls(
            figure=change.figure,
            first=change.before,
            second=change.now,
            difference=None if change.now is None else change.now - change.before,
            low=change.low,
            high=change.high,
            questions=change.questions,
            is_worse=change.is_worse,
        )


class OutcomeChange(BaseModel):
    """A question whose outcome differs between two runs."""

    question_id: str
    question: str
    first: Outcome
    second: Outcome


class RunComparison(BaseModel):
    first: GoldenRunShape
    second: GoldenRunShape
    settings: dict[str, list[Any]] = Field(
        description="What the runs were made with and differs: name, [first, second]."
    )
    figures: list[FigureChange]
    questions: list[OutcomeChange]


class CandidateShape(BaseModel):
    """A thumbed-down answer that may become a golden question."""

    message_id: str
    question: str
    history: list[dict[str, Any]]
    filter: dict[str, Any]
    kind: str | None
    answer: str
    cited: list[dict[str, Any]] = Field(description="Where the answer stood: document (external id), title, page.")
    comment: str
    created_at: datetime


class CandidateList(BaseModel):
    """Newest first."""

    candidates: list[CandidateShape]


class AcceptedCandidate(BaseModel):
    """What the right answer would have been."""

    model_config = ConfigDict(extra="forbid")

    expected: dict[str, Any] | Literal["not answerable"] = Field(description=_EXPECTED)
    question: str | None = Field(None, min_length=1, max_length=LONGEST_TEXT, description="As it was asked if missing.")


def place_of(document: str, title: str, page: int) -> dict[str, Any]:
    """Where a citation stands, for people: `document` is the external id."""
    return {"document": document, "title": title, "page": None if page == NO_PAGE else page}
