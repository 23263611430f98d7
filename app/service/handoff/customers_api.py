"""Customers' side of people over HTTP, for those who are signed in or use the portal; the widget has its own routes.

Owns the routes and what they take; what they do is `customers_work`.
"""

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from app.bootstrap import ServicesOf
from app.scope import CallerScope
from app.service.handoff import customers_work
from app.service.handoff.shapes import RatingShape

router = APIRouter(prefix="/api/conversations/{conversation_id}", tags=["conversations"])


class NewRating(BaseModel):
    model_config = ConfigDict(extra="forbid")

    stars: int = Field(ge=1, le=5)
    comment: Annotated[str, StringConstraints(strip_whitespace=True, max_length=4000, pattern=r"^[^\x00]*$")] = ""


@router.post("/hand-off", status_code=204)
def post_conversation_hand_off(conversation_id: str, services: ServicesOf, scope: CallerScope) -> None:
    """Asks for a person. What follows is told by a message of the system and by `hand_off` events."""
    customers_work.ask_for_person(services.database, scope, conversation_id)


@router.delete("/hand-off", status_code=204)
def delete_conversation_hand_off(conversation_id: str, services: ServicesOf, scope: CallerScope) -> None:
    """Goes back to the assistant as long as no agent has the conversation."""
    customers_work.cancel(services.database, scope, conversation_id)


@router.post("/typing", status_code=204)
def post_conversation_typing(conversation_id: str, services: ServicesOf, scope: CallerScope) -> None:
    """Shows agents, for some seconds, that the customer is writing."""
    customers_work.types(services.database, scope, conversation_id, role="customer")


@router.post("/rating")
def post_conversation_rating(
    conversation_id: str, new: NewRating, services: ServicesOf, scope: CallerScope
) -> RatingShape:
    """Says how the conversation was. One rating a conversation: the last one counts."""
    return customers_work.rate(services.database, scope, conversation_id, new.stars, new.comment)
