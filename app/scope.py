"""Whose it is: the one place through which every row that a person can see is looked up.

Owns the conditions that keep workspaces apart. A caller holds a `Scope` made from its identity and never
writes such a condition itself, so that accounts and tenants change only this file. Knows no HTTP routes.
"""

from dataclasses import dataclass
from typing import Annotated, TypeVar

from fastapi import Depends, Request
from sqlalchemy import ColumnElement, Select, false, or_, select
from sqlalchemy.orm import Session

from app.errors import Forbidden, NotFound, Unauthorized
from app.models import (
    DEFAULT_WORKSPACE,
    Citation,
    Conversation,
    Document,
    GoldenQuestion,
    GoldenRun,
    Job,
    KnowledgeBase,
    Message,
)
from app.roles import Role

__all__ = ["AccountIdentity", "AdminScope", "AgentScope", "CallerScope", "Role", "Scope"]

_Row = TypeVar("_Row")


@dataclass(frozen=True, slots=True)
class AccountIdentity:
    """Who has signed in. `groups` are an agent's skill groups; empty means all."""

    id: str
    name: str
    email: str
    role: Role
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Scope:
    """What one caller may see. Every method raises `NotFound` for rows that are missing or another's.

    The `…_query` methods give the same rows as a statement, for listings that add their own conditions.
    """

    workspace_id: str = DEFAULT_WORKSPACE
    role: Role = Role.ADMIN
    account: AccountIdentity | None = None
    visitor_id: str | None = None
    site_id: str | None = None

    @property
    def _customer(self) -> str:
        """Whose conversations a customer sees. One that is nobody sees none."""
        return self.visitor_id or ""

    @property
    def _spoken_with(self) -> ColumnElement[bool]:
        """Whether a knowledge base is one of a visitor's conversations: its site's, now or when they began."""
        own = (Conversation.visitor_id == self._customer, Conversation.site_id == self.site_id)
        return KnowledgeBase.id.in_(select(Conversation.knowledge_base_id).where(*own))

    def knowledge_base_query(self) -> Select[KnowledgeBase]:
        query = select(KnowledgeBase).where(KnowledgeBase.workspace_id == self.workspace_id)
        return query if self.site_id is None else query.where(self._spoken_with)

    def knowledge_base(self, session: Session, id_or_name: str) -> KnowledgeBase:
        named = or_(KnowledgeBase.id == id_or_name, KnowledgeBase.name == id_or_name)
        found = session.scalars(self.knowledge_base_query().where(named)).first()
        if found is None:
            raise NotFound(f"There is no knowledge base {id_or_name!r}.", {"knowledge_base": id_or_name})
        return found

    def document_query(self) -> Select[Document]:
        query = (
            select(Document)
            .join(KnowledgeBase, KnowledgeBase.id == Document.knowledge_base_id)
            .where(KnowledgeBase.workspace_id == self.workspace_id)
        )
        query = query if self.site_id is None else query.where(self._spoken_with)
        return query if self.role is not Role.CUSTOMER else query.where(Document.is_public)

    def document(self, session: Session, document_id: str) -> Document:
        return _one(session, self.document_query().where(Document.id == document_id), "document", document_id)

    def job_query(self) -> Select[Job]:
        """None for customers: how documents come in is nothing for them."""
        query = (
            select(Job)
            .join(KnowledgeBase, KnowledgeBase.id == Job.knowledge_base_id)
            .where(KnowledgeBase.workspace_id == self.workspace_id)
        )
        return query if self.role is not Role.CUSTOMER else query.where(false())

    def job(self, session: Session, job_id: str) -> Job:
        return _one(session, self.job_query().where(Job.id == job_id), "job", job_id)

    def golden_question_query(self, knowledge_base: KnowledgeBase) -> Select[GoldenQuestion]:
        """Of a knowledge base that was itself looked up here."""
        return select(GoldenQuestion).where(GoldenQuestion.knowledge_base_id == knowledge_base.id)

    def golden_question(self, session: Session, knowledge_base: KnowledgeBase, question_id: str) -> GoldenQuestion:
        query = self.golden_question_query(knowledge_base).where(GoldenQuestion.id == question_id)
        return _one(session, query, "golden question", question_id)

    def golden_run_query(self, knowledge_base: KnowledgeBase) -> Select[GoldenRun]:
        """Of a knowledge base that was itself looked up here."""
        return select(GoldenRun).where(GoldenRun.knowledge_base_id == knowledge_base.id)

    def golden_run(self, session: Session, knowledge_base: KnowledgeBase, id_or_number: str) -> GoldenRun:
        number = int(id_or_number) if id_or_number.isdecimal() and len(id_or_number) < 10 else -1
        named = or_(GoldenRun.id == id_or_number, GoldenRun.number == number)
        return _one(session, self.golden_run_query(knowledge_base).where(named), "run", id_or_number)

    def conversation_query(self) -> Select[Conversation]:
        query = select(Conversation).where(Conversation.workspace_id == self.workspace_id)
        return query if self.role is not Role.CUSTOMER else query.where(Conversation.visitor_id == self._customer)

    def conversation(self, session: Session, conversation_id: str) -> Conversation:
        query = self.conversation_query().where(Conversation.id == conversation_id)
        return _one(session, query, "conversation", conversation_id)

    def message_query(self) -> Select[Message]:
        query = (
            select(Message)
            .join(Conversation, Conversation.id == Message.conversation_id)
            .where(Conversation.workspace_id == self.workspace_id)
        )
        return query if self.role is not Role.CUSTOMER else query.where(Conversation.visitor_id == self._customer)

    def message(self, session: Session, message_id: str) -> Message:
        return _one(session, self.message_query().where(Message.id == message_id), "message", message_id)

    def citation(self, session: Session, citation_id: str) -> Citation:
        query = (
            select(Citation)
            .join(Message, Message.id == Citation.message_id)
            .join(Conversation, Conversation.id == Message.conversation_id)
            .where(Conversation.workspace_id == self.workspace_id, Citation.id == citation_id)
        )
        if self.role is Role.CUSTOMER:  # its document may have been public then, and no longer be
            query = query.join(Document, Document.id == Citation.document_id)
            query = query.where(Conversation.visitor_id == self._customer, Document.is_public)
        return _one(session, query, "citation", citation_id)


async def caller_scope(request: Request) -> Scope:
    """The scope of a request, which the gate has found out (`app.auth`), as a FastAPI dependency."""
    caller = request.scope["state"]["caller"]
    if not isinstance(caller, Scope):
        raise Unauthorized("This needs a sign-in.")
    return caller


CallerScope = Annotated[Scope, Depends(caller_scope)]
"""A route's parameter of this type gets the caller's scope."""


async def agent_scope(scope: CallerScope) -> Scope:
    """Raises `Forbidden` for customers."""
    if scope.role is Role.CUSTOMER:
        raise Forbidden("This is for agents and admins.")
    return scope


async def admin_scope(scope: CallerScope) -> Scope:
    """Raises `Forbidden` for everybody else."""
    if scope.role is not Role.ADMIN:
        raise Forbidden("This is for admins.")
    return scope


async def admin_to_change(request: Request, scope: CallerScope) -> Scope:
    """Everybody may read, as far as the scope shows it; raises `Forbidden` for others than admins who change."""
    return scope if request.method in _READING else await admin_scope(scope)


async def agent_to_read(request: Request, scope: CallerScope) -> Scope:
    """Agents may read, admins change. Raises `Forbidden`."""
    return await (agent_scope(scope) if request.method in _READING else admin_scope(scope))


_READING = frozenset(("GET", "HEAD"))

AgentScope = Annotated[Scope, Depends(agent_scope)]
AdminScope = Annotated[Scope, Depends(admin_scope)]


def _one(session: Session, query: Select[_Row], what: str, given_id: str) -> _Row:
    found = session.scalars(query).first()
    if found is None:
        raise NotFound(f"There is no {what} {given_id!r}.", {what: given_id})
    return found
