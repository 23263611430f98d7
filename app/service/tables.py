"""The tables of customer service, beside those of `app.models` and under its conventions.

Owns names, types and constraints; the migrations create them. Knows no queries. What a message or a conversation has
come to (its flow, its routing, its decisions) is not here: it lies with the message and the conversation themselves, so
that it is written in one commit with the answer.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Float, ForeignKey, Index, LargeBinary, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.models import DEFAULT_WORKSPACE, Base, IntegerKey, new_id, now


class Account(Base):
    """Somebody who signs in. `groups` are the skill groups whose conversations an agent is offered; empty means all."""

    __tablename__ = "account"
    __table_args__ = (UniqueConstraint("email"),)

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=new_id)
    workspace_id: Mapped[str] = mapped_column(String(36), default=DEFAULT_WORKSPACE)
    email: Mapped[str] = mapped_column(String(254))  # in lower case
    name: Mapped[str] = mapped_column(String(100))
    role: Mapped[str] = mapped_column(String(16))  # see app.scope.Role
    groups: Mapped[list[Any]] = mapped_column(default=list)
    password_hash: Mapped[str] = mapped_column(String(200))  # Argon2id
    disabled_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=now)


class AccountSession(Base):
    """A sign-in. `token_hash` is the SHA-256 of the token: who reads the table cannot sign in with it."""

    __tablename__ = "account_session"

    token_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    account_id: Mapped[str] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime] = mapped_column(default=now)
    expires_at: Mapped[datetime]


class SignInAttempt(Base):
    """Failed sign-ins of one address or e-mail, which slow the next ones down."""

    __tablename__ = "sign_in_attempt"

    key: Mapped[str] = mapped_column(String(300), primary_key=True)
    failures: Mapped[int] = mapped_column(default=0)
    last_at: Mapped[datetime] = mapped_column(default=now)


class AgentPresence(Base):
    """Whether an agent is there. Who has not been seen for a while is not, whatever `status` says."""

    __tablename__ = "agent_presence"

    account_id: Mapped[str] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"), primary_key=True)
    status: Mapped[str] = mapped_column(String(16), default="online")  # online, away
    seen_at: Mapped[datetime] = mapped_column(default=now)


class Typing(Base):
    """Somebody is writing in a conversation, until then at least. `role` is customer or agent."""

    __tablename__ = "typing"

    conversation_id: Mapped[str] = mapped_column(ForeignKey("conversation.id", ondelete="CASCADE"), primary_key=True)
    role: Mapped[str] = mapped_column(String(16), primary_key=True)
    name: Mapped[str] = mapped_column(String(100), default="")
    until: Mapped[datetime]


class Site(Base):
    """A web site that shows the widget. Only its `origins` may; `identity` is how it signs its customers in."""

    __tablename__ = "site"
    __table_args__ = (UniqueConstraint("workspace_id", "name"),)

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=new_id)
    workspace_id: Mapped[str] = mapped_column(String(36), default=DEFAULT_WORKSPACE)
    knowledge_base_id: Mapped[str] = mapped_column(ForeignKey("knowledge_base.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(100))
    origins: Mapped[list[Any]] = mapped_column(default=list)
    identity: Mapped[dict[str, Any]] = mapped_column(default=dict)  # {algorithm, key}: HS256, ES256, EdDSA or RS256
    settings: Mapped[dict[str, Any]] = mapped_column(default=dict)  # language, greeting, theme, rate limits
    created_at: Mapped[datetime] = mapped_column(default=now)


class Visitor(Base):
    """Somebody who met the widget of a site. `customer` is who the site has said it is.

    `resume_hash` is the SHA-256 of the newest token with which it can come back; each use makes a new one.
    `resume_before` is that of the one before, empty as soon as the newest is known to have arrived.
    """

    __tablename__ = "visitor"

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=new_id)
    workspace_id: Mapped[str] = mapped_column(String(36), default=DEFAULT_WORKSPACE)
    site_id: Mapped[str] = mapped_column(ForeignKey("site.id", ondelete="CASCADE"), index=True)
    origin: Mapped[str] = mapped_column(String(300))
    conversation_id: Mapped[str | None] = mapped_column(String(36))  # the one it is in
    resume_hash: Mapped[str] = mapped_column(String(64), index=True)
    resume_before: Mapped[str] = mapped_column(String(64), default="")
    customer: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    created_at: Mapped[datetime] = mapped_column(default=now)
    seen_at: Mapped[datetime] = mapped_column(default=now)


class IntentExample(Base):
    """How customers say something: one utterance of an intent, as an admin wrote it."""

    __tablename__ = "intent_example"
    __table_args__ = (UniqueConstraint("knowledge_base_id", "text"),)

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=new_id)
    knowledge_base_id: Mapped[str] = mapped_column(ForeignKey("knowledge_base.id", ondelete="CASCADE"))
    intent: Mapped[str] = mapped_column(String(100))
    text: Mapped[str] = mapped_column(String(500))
    created_at: Mapped[datetime] = mapped_column(default=now)


class FlowVersion(Base):
    """A flow file as it was read: a conversation goes on with the version that it began with."""

    __tablename__ = "flow_version"
    __table_args__ = (UniqueConstraint("name", "digest"),)

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(String(100))
    digest: Mapped[str] = mapped_column(String(64))  # SHA-256 of the source
    source: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(default=now)


class HandOff(Base):
    """A conversation that a person is to take over, or has. `change` orders what happened over all hand-offs.

    `status` is queued, claimed, resolved, returned (to the assistant) or cancelled. `offered_to` is the agent whose
    turn it is until `offered_until`; null is everybody's.
    """

    __tablename__ = "hand_off"
    __table_args__ = (
        Index("ix_hand_off_conversation", "conversation_id", "created_at"),
        Index("ix_hand_off_queue", "status", "skill_group", "created_at"),
        Index("ix_hand_off_change", "change"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=new_id)
    workspace_id: Mapped[str] = mapped_column(String(36), default=DEFAULT_WORKSPACE)
    conversation_id: Mapped[str] = mapped_column(ForeignKey("conversation.id", ondelete="CASCADE"))
    knowledge_base_id: Mapped[str] = mapped_column(ForeignKey("knowledge_base.id", ondelete="CASCADE"))
    skill_group: Mapped[str] = mapped_column(String(60), default="general")
    status: Mapped[str] = mapped_column(String(16), default="queued")
    reason: Mapped[str] = mapped_column(String(40))  # asked_for, anger, repeated_failure, sensitive, flow
    summary: Mapped[str] = mapped_column(Text, default="")
    passages: Mapped[list[Any]] = mapped_column(default=list)  # [{passage_id, title, page_label, text}]
    state: Mapped[dict[str, Any]] = mapped_column(default=dict)  # the conversation's, as it was
    agent_id: Mapped[str | None] = mapped_column(ForeignKey("account.id", ondelete="SET NULL"), index=True)
    offered_to: Mapped[str | None] = mapped_column(String(36))
    offered_until: Mapped[datetime | None]
    passed_over: Mapped[list[Any]] = mapped_column(default=list)  # agents who let their turn go by
    answered_at: Mapped[datetime | None]  # the agent's first reply
    waiting_since: Mapped[datetime | None]  # the customer's oldest message that no agent has answered
    claimed_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    change: Mapped[int] = mapped_column(BigInteger, default=0)
    created_at: Mapped[datetime] = mapped_column(default=now)


class InboxChange(Base):
    """One row a workspace: the number of the last change in its inbox, raised under the row's lock."""

    __tablename__ = "inbox_change"

    workspace_id: Mapped[str] = mapped_column(String(36), primary_key=True)
    change: Mapped[int] = mapped_column(BigInteger, default=0)


class AgentNote(Base):
    """What agents tell each other about a conversation. Never among its messages, so that no customer gets it."""

    __tablename__ = "agent_note"

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=new_id)
    conversation_id: Mapped[str] = mapped_column(ForeignKey("conversation.id", ondelete="CASCADE"), index=True)
    account_id: Mapped[str | None] = mapped_column(ForeignKey("account.id", ondelete="SET NULL"))
    author: Mapped[str] = mapped_column(String(100))
    text: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(default=now)


class FaqCandidate(Base):
    """An agent's answer that may become part of the knowledge base. `status`: candidate, approved, dismissed."""

    __tablename__ = "faq_candidate"
    __table_args__ = (
        UniqueConstraint("message_id"),
        Index("ix_faq_candidate_status", "knowledge_base_id", "status"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=new_id)
    knowledge_base_id: Mapped[str] = mapped_column(ForeignKey("knowledge_base.id", ondelete="CASCADE"))
    message_id: Mapped[str] = mapped_column(String(36))  # the agent's; no foreign key: the entry outlives it
    question: Mapped[str] = mapped_column(Text)
    answer: Mapped[str] = mapped_column(Text)
    author: Mapped[str] = mapped_column(String(100), default="")
    status: Mapped[str] = mapped_column(String(16), default="candidate")
    is_public: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(default=now)
    reviewed_at: Mapped[datetime | None]


class ConversationRating(Base):
    """What a customer thought of a conversation when it was over: 1 to 5."""

    __tablename__ = "conversation_rating"

    conversation_id: Mapped[str] = mapped_column(ForeignKey("conversation.id", ondelete="CASCADE"), primary_key=True)
    stars: Mapped[int]
    comment: Mapped[str] = mapped_column(Text, default="")
    created_at: Mapped[datetime] = mapped_column(default=now)


class CatalogueFile(Base):
    """The file that a catalogue was last replaced with. `change` is raised by every replacement."""

    __tablename__ = "catalogue_file"

    knowledge_base_id: Mapped[str] = mapped_column(
        ForeignKey("knowledge_base.id", ondelete="CASCADE"), primary_key=True
    )
    name: Mapped[str] = mapped_column(String(500))
    change: Mapped[int] = mapped_column(BigInteger, default=0)
    uploaded_at: Mapped[datetime] = mapped_column(default=now)


class Product(Base):
    """One product of a catalogue, which is a knowledge base that has such rows; `position` is its place in the file.

    `vector` is its text's, float16, little endian, made by `embedder`. `price` and `stock` are as the file last said;
    an API may know better.
    """

    __tablename__ = "product"
    __table_args__ = (UniqueConstraint("knowledge_base_id", "sku"),)

    key: Mapped[int] = mapped_column(IntegerKey, primary_key=True, autoincrement=True)
    knowledge_base_id: Mapped[str] = mapped_column(ForeignKey("knowledge_base.id", ondelete="CASCADE"))
    position: Mapped[int] = mapped_column(default=0)
    sku: Mapped[str] = mapped_column(String(100))
    name: Mapped[str] = mapped_column(String(500))
    text: Mapped[str] = mapped_column(Text, default="")
    attributes: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    price: Mapped[float | None] = mapped_column(Float)
    currency: Mapped[str] = mapped_column(String(8), default="")
    stock: Mapped[int | None]
    url: Mapped[str] = mapped_column(String(2000), default="")
    embedder: Mapped[str] = mapped_column(String(200), default="")
    vector: Mapped[bytes] = mapped_column(LargeBinary, default=b"")
    content_hash: Mapped[str] = mapped_column(String(64), default="")
    updated_at: Mapped[datetime] = mapped_column(default=now, onupdate=now)
