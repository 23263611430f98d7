"""Whose it is: the one place through which every row that a person can see is looked up.

Owns the conditions that keep workspaces apart. A caller holds a `Scope` made from its identity and never
writes such a condition itself, so that accounts and tenants change only this file. Knows no HTTP routes.
"""

from dataclasses import dataclass
from typing import Annotated, TypeVar

from fastapi import Depends
from sqlalchemy import Select, or_, select
from sqlalchemy.orm import Session

from app.errors import NotFound
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

_Row = TypeVar("_Row")


@dataclass(frozen=True, slots=True)
class Scope:
    """What one caller may see. Every method raises `NotFound` for rows that are missing or another's.

    The `…_query` methods give the same rows as a statement, for listings that add their own conditions.
    """

    workspace_id: str = DEFAULT_WORKSPACE

    def knowledge_base_query(self) -> Select[KnowledgeBase]:
        return select(KnowledgeBase).where(KnowledgeBase.workspace_id == self.workspace_id)

    def knowledge_base(self, session: Session, id_or_name: str) -> KnowledgeBase:
        named = or_(KnowledgeBase.id == id_or_name, KnowledgeBase.name == id_or_name)
        found = session.scalars(self.knowledge_base_query().where(named)).first()
        if found is None:
            raise NotFound(f"There is no knowledge base {id_or_name!r}.", {"knowledge_base": id_or_name})
        return found

    def document_query(self) -> Select[Document]:
        return (
            select(Document)
            .join(KnowledgeBase, KnowledgeBase.id == Document.knowledge_base_id)
            .where(KnowledgeBase.workspace_id == self.workspace_id)
        )

    def document(self, session: Session, document_id: str) -> Document:
        return _one(session, self.document_query().where(Document.id == document_id), "document", document_id)

    def job_query(self) -> Select[Job]:
        return (
            select(Job)
            .join(KnowledgeBase, KnowledgeBase.id == Job.knowledge_base_id)
            .where(KnowledgeBase.workspace_id == self.workspace_id)
        )

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
        return select(Conversation).where(Conversation.workspace_id == self.workspace_id)

    def conversation(self, session: Session, conversation_id: str) -> Conversation:
        query = self.conversation_query().where(Conversation.id == conversation_id)
        return _one(session, query, "conversation", conversation_id)

    def message_query(self) -> Select[Message]:
        return (
            select(Message)
            .join(Conversation, Conversation.id == Message.conversation_id)
            .where(Conversation.workspace_id == self.workspace_id)
        )

    def message(self, session: Session, message_id: str) -> Message:
        return _one(session, self.message_query().where(Message.id == message_id), "message", message_id)

    def citation(self, session: Session, citation_id: str) -> Citation:
        query = (
            select(Citation)
            .join(Message, Message.id == Citation.message_id)
            .join(Conversation, Conversation.id == Message.conversation_id)
            .where(Conversation.workspace_id == self.workspace_id, Citation.id == citation_id)
        )
        return _one(session, query, "citation", citation_id)


def caller_scope() -> Scope:
    """The scope of a request, as a FastAPI dependency. Until there are accounts everybody is the one workspace."""
    return Scope()


CallerScope = Annotated[Scope, Depends(caller_scope)]
"""A route's parameter of this type gets the caller's scope."""


def _one(session: Session, query: Select[_Row], what: str, given_id: str) -> _Row:
    found = session.scalars(query).first()
    if found is None:
        raise NotFound(f"There is no {what} {given_id!r}.", {what: given_id})
    return found
