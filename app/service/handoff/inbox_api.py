"""The inbox over HTTP, for agents and admins.

Owns the routes and what they take. What they do is `agents_work`, what they show `inbox_reading`; everything that
changes a hand-off or shows to customers needs an account, reading only the role.
"""

from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from app.bootstrap import ServicesOf
from app.chat_api import ClientId, ManagerOf, Text
from app.event_stream import EventStream
from app.models import now
from app.scope import AgentScope
from app.service.handoff import agents_work, inbox_reading, presence, suggestions
from app.service.handoff.agents_work import Reply, agent_of
from app.service.handoff.inbox_reading import Box
from app.service.handoff.running import People
from app.service.handoff.shapes import (
    AgentList,
    HandOffShape,
    Inbox,
    InboxConversation,
    NoteShape,
    Suggestion,
)
from app.service.settings import Name
from app.shapes import MessageShape
from app.stream_access import StreamAccessOf

router = APIRouter(prefix="/api/inbox", tags=["inbox"])

_Id = Annotated[str, StringConstraints(min_length=1, max_length=36)]
_Cursor = Annotated[str | None, Query(max_length=36)]
_EVENTS: dict[int | str, dict[str, Any]] = {
    200: {"description": "Events `hand_off` and `presence`.", "content": {"text/event-stream": {}}}
}


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class QuotedShape(_Body):
    marker: int = Field(ge=1, le=99)
    passage_id: _Id
    quote: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=8000)]


class NewReply(_Body):
    text: Text
    client_message_id: ClientId = Field(description="The same again gives the same message, never a second one.")
    suggestion_of: _Id | None = Field(None, description="The customer's message to which this was suggested.")
    citations: list[QuotedShape] = Field(
        [], max_length=20, description="Of a suggestion; those whose marker `[1]` the text has are kept, if true."
    )
    keep_as_faq: bool = Field(False, description="Whether it becomes a candidate entry of the FAQ.")


class Transfer(_Body):
    skill_group: Name | None = None
    agent_id: _Id | None = None
    note: Annotated[str, StringConstraints(strip_whitespace=True, max_length=4000, pattern=r"^[^\x00]*$")] = Field(
        "", description="For agents only."
    )


class LastWords(_Body):
    text: Text | None = Field(None, description="A last message to the customer.")


class Resolution(LastWords):
    keep_as_faq: bool = Field(True, description="Whether the answers given become candidate entries of the FAQ.")


class NewNote(_Body):
    text: Text


class NewPresence(_Body):
    status: Literal["online", "away"]


async def people_of(request: Request) -> People:
    people: People = request.app.state.people
    return people


@router.get("")
def get_inbox(services: ServicesOf, scope: AgentScope, box: Box = Box.QUEUE, cursor: _Cursor = None) -> Inbox:
    """A box of hand-offs: `queue` and `mine` in the order in which customers came, `all` newest first."""
    return inbox_reading.list_inbox(services.database, scope, box, cursor)


@router.get("/events", response_class=Response, responses=_EVENTS)
async def get_inbox_events(
    people: Annotated[People, Depends(people_of)],
    access: StreamAccessOf,
    last_event_id: Annotated[int | None, Header(ge=0)] = None,
    after: Annotated[int | None, Query(ge=0, description="As Last-Event-ID, for a first connection.")] = None,
) -> Response:
    """Every hand-off that changes, and who is there. While it is open, its agent is there."""
    since = after if last_event_id is None else last_event_id
    return EventStream(await people.feed.listen(access, since))


@router.get("/agents")
def get_inbox_agents(services: ServicesOf, scope: AgentScope) -> AgentList:
    """Who can take conversations, and who of them is there."""
    with services.database.read() as session:
        return AgentList(agents=inbox_reading.agents(session, scope.workspace_id))


@router.put("/presence", status_code=204)
def put_presence(new: NewPresence, services: ServicesOf, scope: AgentScope) -> None:
    """Says that the caller is there, or away. Needed once a minute unless the inbox's events are being read."""
    agent = agent_of(scope)
    with services.database.write() as session:
        presence.set_status(session, agent.id, new.status, now())


@router.get("/conversations/{conversation_id}")
def get_inbox_conversation(conversation_id: str, services: ServicesOf, scope: AgentScope) -> InboxConversation:
    """A conversation with what only agents see: routing, flow, decisions, notes, hand-offs."""
    return inbox_reading.inbox_conversation(services.database, scope, conversation_id)


@router.post("/hand-offs/{hand_off_id}/claim")
def post_claim(hand_off_id: str, services: ServicesOf, scope: AgentScope) -> HandOffShape:
    """Makes it the caller's. 409, saying who has it, when somebody was faster."""
    agents_work.claim(services.database, scope, hand_off_id)
    return inbox_reading.hand_off_shape(services.database, hand_off_id)


@router.post("/hand-offs/{hand_off_id}/transfer")
def post_transfer(hand_off_id: str, new: Transfer, services: ServicesOf, scope: AgentScope) -> HandOffShape:
    """Passes it on to another group, or to one agent who is there."""
    agents_work.transfer(services.database, scope, hand_off_id, group=new.skill_group, to=new.agent_id, note=new.note)
    return inbox_reading.hand_off_shape(services.database, hand_off_id)


@router.post("/hand-offs/{hand_off_id}/resolve")
def post_resolve(hand_off_id: str, new: Resolution, services: ServicesOf, scope: AgentScope) -> HandOffShape:
    """Ends it; the customer is asked for a rating."""
    agents_work.resolve(services.database, scope, hand_off_id, text=new.text, keep_as_faq=new.keep_as_faq)
    return inbox_reading.hand_off_shape(services.database, hand_off_id)


@router.post("/hand-offs/{hand_off_id}/return")
def post_return(hand_off_id: str, new: LastWords, services: ServicesOf, scope: AgentScope) -> HandOffShape:
    """Hands the conversation back to the assistant."""
    agents_work.give_back(services.database, scope, hand_off_id, text=new.text)
    return inbox_reading.hand_off_shape(services.database, hand_off_id)


@router.post("/conversations/{conversation_id}/messages")
def post_agent_message(
    conversation_id: str, new: NewReply, services: ServicesOf, manager: ManagerOf, scope: AgentScope
) -> MessageShape:
    """Answers the customer, who sees who does. Only for the agent who has claimed the conversation."""
    agent_of(scope)
    quoted = [suggestions.Quoted(**each.model_dump()) for each in new.citations if f"[{each.marker}]" in new.text]
    reply = Reply(
        text=new.text,
        client_message_id=new.client_message_id,
        suggestion_of=new.suggestion_of,
        citations=suggestions.verified(services, scope, conversation_id, quoted),
        keep_as_faq=new.keep_as_faq,
    )
    change, message = agents_work.reply(services.database, scope, conversation_id, reply)
    manager.bus.post(partial(manager.bus.publish, change, message))  # readers here need not wait for the next look
    return message


@router.post("/conversations/{conversation_id}/notes", status_code=201)
def post_agent_note(conversation_id: str, new: NewNote, services: ServicesOf, scope: AgentScope) -> NoteShape:
    """Keeps a note that only agents see."""
    return NoteShape.of(agents_work.add_note(services.database, scope, conversation_id, new.text))


@router.post("/conversations/{conversation_id}/typing", status_code=204)
def post_agent_typing(conversation_id: str, services: ServicesOf, scope: AgentScope) -> None:
    """Shows the customer, for some seconds, that the caller is writing."""
    agents_work.types(services.database, scope, conversation_id)


@router.post("/conversations/{conversation_id}/suggestion")
def post_suggestion(conversation_id: str, services: ServicesOf, manager: ManagerOf, scope: AgentScope) -> Suggestion:
    """What the assistant would answer to the customer's last question. Nothing of it is kept."""
    return suggestions.suggest(services, manager.run, scope, conversation_id)
