"""What a flow is handed with a customer's message, and what it may reach beyond itself.

Owns the seam between the desk and the flows. Knows no flow.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import httpx

from rag.language import Language
from rag.types import Answer, Question


class Expectation(StrEnum):
    """How a message stands to what a flow waits for."""

    FITS = "fits"  # what was asked for, or an attempt at it
    CANCEL = "cancel"  # the customer no longer wants the task
    OTHER = "other"  # something else: a question in between, another task


class Decided(Protocol):
    """What a decision table says; `app.service.decisions` has the class."""

    @property
    def table(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def result(self) -> object: ...
    @property
    def score(self) -> float | None: ...
    @property
    def fired(self) -> Sequence[Any]: ...
    @property
    def inputs(self) -> Mapping[str, Any]: ...


class FlowTools(Protocol):
    """What steps reach for. Whoever builds it binds it to one knowledge base and one customer."""

    def answer(self, question: str) -> Answer:
        """The answer of the manuals, with its citations. Raises `rag.errors.RagError` or `ServiceError`."""
        ...

    def search_products(self, text: str, *, limit: int, language: Language) -> Sequence[Mapping[str, Any]]:
        """Products of the catalogue as JSON objects with at least `sku`, `name`, best first. Raises `ServiceError`."""
        ...

    def compare_products(self, text: str, *, language: Language) -> Sequence[Sequence[object]]:
        """A head and rows (attribute, of the one, of the other) when a text compares two products; else nothing.

        Raises `ServiceError`.
        """
        ...

    def decide(self, table: str, features: Mapping[str, Any]) -> Decided:
        """The decision of a table. Raises `ServiceError` when there is none or it cannot decide."""
        ...

    def http(self) -> httpx.Client:
        """The client of all calls (`app.service.flows.calls.new_client`), which flows do not close."""
        ...

    def secret(self, name: str) -> str | None:
        """The secret of that name (`app.settings.secret`), None when it is not set."""
        ...

    def timezone(self) -> ZoneInfo | None:
        """Where the company is, None for where this machine is: whose day is `today`."""
        ...


@dataclass(frozen=True, slots=True)
class FlowTurn:
    """One message to a flow. `message_id` is the same when the turn is made again after a crash.

    `slots` are values that are known before the flow begins, by slot name; those of names it has not are passed over.
    `customer` is who the site's backend, or the account, says it is; flows read it as `customer`.
    """

    text: str
    message_id: str
    language: Language
    question: Question
    tools: FlowTools
    customer: Mapping[str, Any] | None = None
    slots: Mapping[str, Any] = field(default_factory=dict)
    at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def now(self) -> datetime:
        """`at` by the company's clock."""
        return self.at.astimezone(self.tools.timezone())
