"""A knowledge base with customers and agents, for tests of hand-offs: reached through what the routes call."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select

from app import messages
from app.db import Database
from app.message_leases import claim, orphans
from app.models import Conversation, KnowledgeBase, Message, new_id, now
from app.scope import AccountIdentity, Role, Scope
from app.service.handoff import agents_work, presence
from app.service.handoff.agents_work import Reply
from app.service.tables import Account, HandOff
from app.service.turn import HandOffReason, HandOffWanted, ServiceAnswer
from app.shapes import MessageShape
from rag.types import Answer, AnswerKind
from tests.installation import new_knowledge_base

PATIENCE = timedelta(seconds=60)
ALWAYS = timedelta(days=30)  # so long are agents seen ahead, for tests that go forward in time


@dataclass
class Office:
    """A knowledge base; everything in it happens through `database`."""

    database: Database
    settings: dict[str, Any] = field(default_factory=lambda: {"answer_within_s": int(PATIENCE.total_seconds())})
    knowledge_base: str = ""
    name: str = "manuals"

    def __post_init__(self) -> None:
        self.knowledge_base = new_knowledge_base(self.database, self.name)
        self.set(self.settings)

    def set(self, service: dict[str, Any]) -> None:
        with self.database.write() as session:
            session.get_one(KnowledgeBase, self.knowledge_base).settings = {"service": service}

    def agent(self, name: str, groups: Sequence[str] = (), role: Role = Role.AGENT, *, online: bool = True) -> Scope:
        """A new account, there until further notice unless it is not `online`."""
        row = Account(id=new_id(), email=f"{new_id()}@example.org", name=name, role=role.value, groups=list(groups))
        row.password_hash = ""
        with self.database.write() as session:
            session.add(row)
        identity = AccountIdentity(id=row.id, name=name, email=row.email, role=role, groups=tuple(groups))
        scope = Scope(role=role, account=identity)
        if online:
            self.comes(scope)
        return scope

    def comes(self, scope: Scope) -> None:
        self._is(scope, now() + ALWAYS)

    def leaves(self, scope: Scope) -> None:
        self._is(scope, now() - ALWAYS)

    def conversation(self) -> str:
        row = Conversation(id=new_id(), knowledge_base_id=self.knowledge_base)
        with self.database.write() as session:
            session.add(row)
        return row.id

    def says(
        self,
        conversation_id: str,
        text: str,
        *,
        wants: str | None = None,
        reason: HandOffReason = HandOffReason.ASKED_FOR,
        kind: AnswerKind = AnswerKind.ANSWER,
        client_message_id: str | None = None,
    ) -> None:
        """The customer's message with the assistant's answer, if it is the assistant's to answer.

        `wants` is the skill group of the person to whom the answer hands over, for this `reason`.
        """
        receipt = messages.receive(
            *(self.database, Scope(), conversation_id),
            text=text,
            client_message_id=client_message_id or new_id(),
            request={},
            lease=new_id(),
            lease_s=60.0,
            admit=lambda *_: None,
        )
        if receipt.assignment is None:
            return
        parts = {"citations": (), "hits": (), "searched_for": text, "answerer": "test", "model": None}
        answer = Answer(kind=kind, text=f"About {text}", timings_ms={"total": 5.0}, **parts)
        if wants is not None:
            wanted = HandOffWanted(reason, wants)
            answer = ServiceAnswer(AnswerKind.HAND_OFF, "A person comes.", **parts, hand_off=wanted)
        assert messages.finish(self.database, receipt.assignment, answer, {}) is not None

    def takes_over(self) -> None:
        """As the look for answers that nobody makes does."""
        for orphan in orphans(self.database, 1000):
            lease = new_id()
            assignment = claim(self.database, orphan, lease=lease, lease_s=60.0, admit=lambda *_: None)
            if assignment is not None:
                text = assignment.question.text
                answer = Answer(AnswerKind.ANSWER, f"About {text}", (), (), text, "test", None)
                assert messages.finish(self.database, assignment, answer, {}) is not None

    def waiting(self, text: str = "I want a person", group: str = "general") -> str:
        """A new conversation that has just been handed over; the id of its hand-off."""
        conversation_id = self.conversation()
        self.says(conversation_id, text, wants=group)
        return self.hand_off(conversation_id).id

    def waits_in_flow(self, conversation_id: str) -> None:
        """As if the assistant had just asked the customer whether to file a return."""
        with self.database.write() as session:
            row = session.get_one(Conversation, conversation_id)
            row.state = {**row.state, "flow": {"name": "return_product", "step": "sure"}, "failures": 2}

    def state(self, conversation_id: str) -> dict[str, Any]:
        with self.database.read() as session:
            return session.get_one(Conversation, conversation_id).state

    def replies(self, scope: Scope, conversation_id: str, text: str, **more: Any) -> MessageShape:
        given = Reply(text=text, client_message_id=more.pop("client_message_id", new_id()), **more)
        return agents_work.reply(self.database, scope, conversation_id, given)[1]

    def hand_off(self, conversation_id: str) -> HandOff:
        """The newest."""
        query = select(HandOff).where(HandOff.conversation_id == conversation_id).order_by(HandOff.id.desc())
        with self.database.read() as session:
            return session.scalars(query.limit(1)).one()

    def one(self, hand_off_id: str) -> HandOff:
        with self.database.read() as session:
            return session.get_one(HandOff, hand_off_id)

    def handler(self, conversation_id: str) -> str:
        with self.database.read() as session:
            return session.get_one(Conversation, conversation_id).handler

    def record(self, conversation_id: str) -> list[Message]:
        query = select(Message).where(Message.conversation_id == conversation_id).order_by(Message.ordinal)
        with self.database.read() as session:
            return list(session.scalars(query))

    def told(self, conversation_id: str) -> list[str]:
        """What the system has said, in order."""
        return [each.text for each in self.record(conversation_id) if each.role == "system"]

    def _is(self, scope: Scope, seen_at: datetime) -> None:
        assert scope.account is not None
        with self.database.write() as session:
            presence.set_status(session, scope.account.id, "online", seen_at)
