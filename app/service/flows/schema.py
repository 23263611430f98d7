"""What stands in a flow file: names, kinds and bounds of every field.

Owns the form of a file, part by part. Whether the parts fit together (steps that exist, names that are known) is
`app.service.flows.checks`; what they do is `app.service.flows.engine`. `docs/flows.md` describes every kind.
"""

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from app.service.flows import expressions, patterns, texts
from app.service.settings import Name
from rag.language import Language

END = "end"
"""Where a flow is over, as a step's name."""

SECRET = re.compile(r"\$\{secret\.([A-Z][A-Z0-9_]{0,59})\}")
_OWN_HEADERS = frozenset(
    ("host", "content-length", "transfer-encoding", "connection", "idempotency-key", "accept-encoding")
)


def _checked(text: str, mistake: str | None) -> str:
    if mistake:
        raise ValueError(mistake)
    return text


Template = Annotated[str, AfterValidator(lambda text: _checked(text, texts.mistake_in(text)))]
Sentence = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=2000),
    AfterValidator(lambda text: _checked(text, texts.mistake_in(text))),
]
Label = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=80)]
Expression = Annotated[
    str,
    StringConstraints(min_length=1, max_length=1000),
    AfterValidator(lambda text: _checked(text, expressions.mistake_in(text))),
]
Pattern = Annotated[
    str,
    StringConstraints(min_length=1, max_length=200),
    AfterValidator(lambda text: _checked(text, patterns.mistake_in(text))),
]
Status = Annotated[int, Field(ge=300, le=599)]


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Text(Part):
    """What is said, in each language."""

    en: Sentence
    zh: Sentence

    def in_(self, language: Language) -> str:
        return self.zh if language == "zh" else self.en


class Labels(Part):
    en: Label
    zh: Label


class Synonyms(Part):
    """What customers also say for a choice."""

    en: tuple[Label, ...] = Field((), max_length=30)
    zh: tuple[Label, ...] = Field((), max_length=30)


class Option(Part):
    value: Annotated[str, StringConstraints(min_length=1, max_length=80)]
    label: Labels
    also: Synonyms = Synonyms()


class OrderNumberSlot(Part):
    """A number of the company's own, known by its pattern."""

    type: Literal["order_number"]
    pattern: Pattern
    case: Literal["upper", "lower", "as_said"] = "upper"


class DateSlot(Part):
    """A day. `must_be` is checked against today, which is neither past nor future and always allowed."""

    type: Literal["date"]
    must_be: Literal["past", "future", "any"] = "any"


class ChoiceSlot(Part):
    """One of some things: written here, or `options_from` a value that a step before took, a list of {value, label}."""

    type: Literal["choice"]
    options: tuple[Option, ...] = Field((), max_length=20)
    options_from: Name | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if bool(self.options) == (self.options_from is not None):
            raise ValueError("a choice has either options or options_from")
        values = [each.value for each in self.options]
        if len(set(values)) < len(values):
            raise ValueError("two options have the same value")
        return self


class EmailSlot(Part):
    type: Literal["email"]


Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]


class AmountSlot(Part):
    """Money. The first of `currencies` is meant where none is said."""

    type: Literal["amount"]
    currencies: tuple[Currency, ...] = Field(min_length=1, max_length=20)
    at_least: float = Field(0, ge=0)
    at_most: float = Field(1_000_000_000, gt=0)


class TextSlot(Part):
    """Whatever the customer says, in their own words. It may not stand in a path."""

    type: Literal["text"]
    at_most: int = Field(500, ge=1, le=4000, description="Characters; more is asked for again.")


class NumberSlot(Part):
    type: Literal["number"]
    at_least: float = -1_000_000_000
    at_most: float = 1_000_000_000
    whole: bool = True


class YesNoSlot(Part):
    type: Literal["yes_no"]


Slot = Annotated[
    OrderNumberSlot | DateSlot | ChoiceSlot | EmailSlot | AmountSlot | TextSlot | NumberSlot | YesNoSlot,
    Field(discriminator="type"),
]
SLOT_TYPES = ("order_number", "date", "choice", "email", "amount", "text", "number", "yes_no")


def _header(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9-]{0,60}", name) or name.lower() in _OWN_HEADERS:
        raise ValueError(f"{name!r} is no header that a flow may set")
    return name


def _header_value(value: str) -> str:
    if "{" in SECRET.sub("", value) or not re.fullmatch(r"[ -~]{1,500}", value):
        raise ValueError("a header's value is plain ASCII, with ${secret.NAME} and nothing else to be put in")
    return value


def _base_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise ValueError("must begin with http:// or https:// and a host, without user name and password")
    if parts.query or parts.fragment or not re.fullmatch(r"[!-~]{1,500}", url) or "{" in url:
        raise ValueError("is an address without ?, # and placeholders")
    return url.rstrip("/")


BaseUrl = Annotated[str, AfterValidator(_base_url)]


class Api(Part):
    """An HTTP API. Calls go to this address and nowhere else; private addresses are allowed, for an admin wrote it."""

    url: BaseUrl
    headers: dict[Annotated[str, AfterValidator(_header)], Annotated[str, AfterValidator(_header_value)]] = Field(
        {}, max_length=20
    )
    timeout_s: float = Field(5.0, ge=0.05, le=30)
    retries: int = Field(1, ge=0, le=3)
    honours_key: bool = Field(False, description="It acts once for one Idempotency-Key, so a POST may be sent again.")
    largest_kb: int = Field(256, ge=1, le=2048)


class Step(Part):
    id: Name


class Collect(Step):
    """Asks for a slot, unless it is known already."""

    kind: Literal["collect"]
    slot: Name
    ask: Text
    wrong: Text | None = None
    tries: int = Field(3, ge=1, le=10)
    otherwise: Name = Field(description="The step for customers who were asked so often in vain.")
    next: Name | None = None


class Reject(Step):
    """What was collected is no good: it is forgotten, and asked for again as long as its tries last."""

    kind: Literal["reject"]
    slot: Name
    text: Text


def _body(body: dict[str, Any]) -> dict[str, Any]:
    for text in texts_in(body):
        _checked(text, texts.mistake_in(text))
    return body


def texts_in(body: Any) -> Iterator[str]:
    """Every text in a body, which may be a template."""
    match body:
        case str():
            yield body
        case dict():
            for each in body.values():
                yield from texts_in(each)
        case list():
            for each in body:
                yield from texts_in(each)


class Call(Step):
    kind: Literal["call"]
    api: Name
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    path: Annotated[Template, StringConstraints(pattern=r"^/[A-Za-z0-9/_.{}~-]{0,300}$")]
    query: dict[Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.\[\]-]{1,60}$")], Template] = Field(
        {}, max_length=30
    )
    body: Annotated[dict[str, Any], AfterValidator(_body)] | None = None
    take: dict[Name, Expression] = Field({}, max_length=30)
    may_be_missing: tuple[Name, ...] = ()
    on: dict[Status, Name] = Field({}, max_length=20)
    failed: Name
    next: Name | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.body is not None and self.method in ("GET", "DELETE"):
            raise ValueError(f"a {self.method} has no body")
        if unknown := sorted(set(self.may_be_missing) - set(self.take)):
            raise ValueError(f"may_be_missing names {', '.join(unknown)}, which it does not take")
        if {".", ".."} & set(self.path.split("/")):
            raise ValueError("a path has no . and ..")
        return self


class Case(Part):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    if_: Expression = Field(alias="if")
    next: Name


class Branch(Step):
    kind: Literal["branch"]
    cases: tuple[Case, ...] = Field(min_length=1, max_length=30)
    otherwise: Name


class Say(Step):
    kind: Literal["say"]
    text: Text
    next: Name | None = None


class Confirm(Step):
    kind: Literal["confirm"]
    text: Text
    yes: Name
    no: Name
    tries: int = Field(3, ge=1, le=10)
    otherwise: Name


class AnswerStep(Step):
    """Asks the manuals and says what they say, with citations."""

    kind: Literal["answer"]
    question: Text
    not_found: Name | None = None
    next: Name | None = None


class SearchProducts(Step):
    """Looks in the catalogue for `query`, or for what the customer said, and says what was found."""

    kind: Literal["search_products"]
    query: Text | None = None
    text: Text
    limit: int = Field(5, ge=1, le=10)
    into: Name | None = None
    none: Name
    next: Name | None = None


class Decide(Step):
    kind: Literal["decide"]
    table: Name
    features: dict[Name, Expression] = Field(max_length=50)
    into: Name
    failed: Name
    next: Name | None = None


class HandOffStep(Step):
    kind: Literal["hand_off"]
    group: Name = "general"
    note: Annotated[Template, StringConstraints(max_length=500)] = ""
    text: Text | None = None


AnyStep = Annotated[
    Collect | Reject | Call | Branch | Say | Confirm | AnswerStep | SearchProducts | Decide | HandOffStep,
    Field(discriminator="kind"),
]
STEP_KINDS = (
    *("collect", "reject", "call", "branch", "say", "confirm", "answer", "search_products", "decide", "hand_off"),
)


class FlowFile(Part):
    """One task. Begins at the first step; each goes on to the one below unless it says `next`."""

    title: Labels
    apis: dict[Name, Api] = Field({}, max_length=10)
    slots: dict[Name, Slot] = Field({}, max_length=40)
    steps: tuple[AnyStep, ...] = Field(min_length=1, max_length=100)
