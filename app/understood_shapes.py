"""The JSON shapes of what was understood: products, choices, and what a conversation has come to.

Owns names and types of these fields, as `app.shapes` owns those of the rest.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from app.service.turn import FLOW
from rag.chain import CHOICES, PRODUCTS, PRODUCTS_FROM
from rag.products.names import readable
from rag.products.scope import PRODUCT, ScopeSource


class Shape(BaseModel):
    model_config = ConfigDict(frozen=True)


class ChoiceShape(Shape):
    """A product to choose: `label` may be sent as the next message, or `filter` with any."""

    label: str
    filter: dict[str, Any]


class UnderstoodShape(Shape):
    """Which products an answer is about, as their documents' facets name them, and what named them."""

    products: list[str]
    products_from: ScopeSource

    @classmethod
    def of(cls, details: Mapping[str, Any]) -> "UnderstoodShape | None":
        """From an answer's details; None when no product was understood."""
        if PRODUCTS not in details:
            return None
        return cls(products=details[PRODUCTS], products_from=details[PRODUCTS_FROM])


def choices_of(details: Mapping[str, Any]) -> list[ChoiceShape]:
    """What a `question_back` or a flow offers."""
    products = [ChoiceShape(label=readable(each), filter={PRODUCT: each}) for each in details.get(CHOICES, ())]
    return products or [ChoiceShape(label=each, filter={}) for each in (details.get(FLOW) or {}).get(CHOICES, ())]


class OpenQuestionShape(Shape):
    """What the customer has been asked and not yet answered."""

    text: str
    choices: list[ChoiceShape]


class ConversationStateShape(Shape):
    """What the conversation has come to, for whoever takes it over."""

    products: list[str] = Field([], description="What it is about, as the documents' facets name it.")
    products_from: ScopeSource | None = None
    topic: str = Field("", description="The last question that stands alone, with those since that lean on it.")
    searched_for: str = ""
    open_question: OpenQuestionShape | None = None
    cited: list[str] = Field([], description="Ids of the passages that the last answer cited.")
    context: dict[str, Any] = Field({}, description="Where the customer was last.")
