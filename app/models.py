"""The tables. SQL is the truth; every index is derived from it.

Owns names, types and constraints; the migrations in `migrations/versions` create them. Knows no queries.

Public ids are UUIDv7 strings; `key` columns are the integers by which indexes know passages and documents.
A knowledge base's `change` is its change number: raised under the row's lock in the transaction that changes
its passages, it orders `Passage.added_change` and `Removal.change`. Each generation notes the last one that concerns
it, so that what happens to one does not disturb the readers of another.

One file, though a long one: the tables refer to each other, and whoever writes a migration wants them all before him.
"""

from datetime import UTC, datetime
from typing import Any

import uuid_utils
from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

DEFAULT_WORKSPACE = "default"

ASSISTANT, PEOPLE = "assistant", "people"
"""Who takes a conversation's next message."""

IntegerKey = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows by itself only for INTEGER


def new_id() -> str:
    """A UUIDv7: unique, and ordered by the time it was made."""
    return str(uuid_utils.uuid7())


def now() -> datetime:
    return datetime.now(UTC)


class UtcDateTime(TypeDecorator[datetime]):
    """Times in UTC with their zone, also on SQLite, which stores none."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012  SQLAlchemy reads it from the class
        dict[str, Any]: JSON,
        list[Any]: JSON,
        datetime: UtcDateTime,
    }


class KnowledgeBase(Base):
    __tablename__ = "knowledge_base"
    __table_args__ = (UniqueConstraint("workspace_id", "name"),)

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=new_id)
    workspace_id: Mapped[str] = mapped_column(String(36), default=DEFAULT_WORKSPACE)
    name: Mapped[str] = mapped_column(String(200))
    language: Mapped[str] = mapped_column(String(16), default="")
    change: Mapped[int] = mapped_column(BigInteger, default=0)
    # The one that answers. No foreign key, and a default in the database, here and in `passage`: SQLite adds a column
    # to a table that others refer to in no other way.
    generation_id: Mapped[str] = mapped_column(String(36), server_default=text("''"))
    settings: Mapped[dict[str, Any]] = mapped_column(default=dict)
    created_at: Mapped[datetime] = mapped_column(default=now)

    generation: Mapped["Generation"] = relationship(
        primaryjoin="foreign(KnowledgeBase.generation_id) == Generation.id",
        lazy="joined",  # whoever reads the row has both as they were at one moment
        innerjoin=True,
        viewonly=True,
    )


class Generation(Base):
    """Everything that was made of a knowledge base's documents with one embedder and one chunker.

    `chunker` are the settings that differ from `ingestion.chunker.ChunkerSettings`; where it is empty the
    installation's hold, which is how databases older than generations were filled. `embedder` is the identity of
    the model, `embedder_model` under what name it is loaded ("" for the default one, and where nobody noted it).
    """

    __tablename__ = "generation"
    __table_args__ = (UniqueConstraint("knowledge_base_id", "number"),)

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=new_id)
    knowledge_base_id: Mapped[str] = mapped_column(ForeignKey("knowledge_base.id", ondelete="CASCADE"))
    number: Mapped[int] = mapped_column(default=1)  # for people, from 1 in each knowledge base
    status: Mapped[str] = mapped_column(String(16), default="active")  # see app.generation_state
    change: Mapped[int] = mapped_column(BigInteger, default=0)  # the knowledge base's, when it was last concerned
    embedder: Mapped[str] = mapped_column(String(200))
    embedder_model: Mapped[str] = mapped_column(String(1000), default="")
    dimension: Mapped[int]
    chunker_version: Mapped[str] = mapped_column(String(40))
    chunker: Mapped[dict[str, Any]] = mapped_column(default=dict)
    switch_when_ready: Mapped[bool] = mapped_column(default=False)
    message: Mapped[str] = mapped_column(Text, default="")
    created_at: Mapped[datetime] = mapped_column(default=now)
    building_since: Mapped[datetime | None]
    ready_at: Mapped[datetime | None]
    switched_at: Mapped[datetime | None]  # when it began to answer, or ceased to


class GenerationDocument(Base):
    """A document as one generation has it: of which version, and what it was cut into, or why it could not be."""

    __tablename__ = "generation_document"

    generation_id: Mapped[str] = mapped_column(ForeignKey("generation.id", ondelete="CASCADE"), primary_key=True)
    document_key: Mapped[int] = mapped_column(
        IntegerKey, ForeignKey("document.key", ondelete="CASCADE"), primary_key=True, autoincrement=False, index=True
    )
    version: Mapped[int]
    status: Mapped[str] = mapped_column(String(24))  # ready, ready_with_warnings, failed
    message: Mapped[str] = mapped_column(Text, default="")
    warnings: Mapped[list[Any]] = mapped_column(default=list)
    page_count: Mapped[int] = mapped_column(default=0)
    passage_count: Mapped[int] = mapped_column(default=0)
    window_count: Mapped[int] = mapped_column(default=0)


class Job(Base):
    """One uploaded source to ingest: a file, or a JSONL of many records.

    With a `generation_id` it is read again for a generation that is being built; without, for the one that answers.
    """

    __tablename__ = "job"
    __table_args__ = (Index("ix_job_claim", "status", "created_at"),)

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=new_id)
    knowledge_base_id: Mapped[str] = mapped_column(ForeignKey("knowledge_base.id", ondelete="CASCADE"), index=True)
    status: Mapped[str] = mapped_column(String(16), default="queued")  # queued, running, done, failed, cancelled
    source_name: Mapped[str] = mapped_column(String(1000))
    source_path: Mapped[str] = mapped_column(String(2000))  # relative to the files folder
    external_id: Mapped[str] = mapped_column(String(1000))
    content_hash: Mapped[str] = mapped_column(String(64), default="")
    media_type: Mapped[str] = mapped_column(String(120), default="")
    facets: Mapped[dict[str, Any]] = mapped_column(
        default=dict
    )  # given at the upload, for every document of the source
    generation_id: Mapped[str | None] = mapped_column(String(36), index=True)
    attempts: Mapped[int] = mapped_column(default=0)
    lease_owner: Mapped[str | None] = mapped_column(String(100))
    lease_until: Mapped[datetime | None]
    not_before: Mapped[datetime | None]
    stage: Mapped[str] = mapped_column(String(16), default="queued")
    done: Mapped[int] = mapped_column(default=0)
    total: Mapped[int | None]
    seconds_left: Mapped[float | None] = mapped_column(Float)
    message: Mapped[str] = mapped_column(Text, default="")
    created_at: Mapped[datetime] = mapped_column(default=now)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    is_public: Mapped[bool | None]  # as said at the upload, of every document of the source; null says nothing
    removed: Mapped[list[Any] | None]  # external ids: documents that were deleted while this waited or ran


class Document(Base):
    __tablename__ = "document"
    __table_args__ = (
        UniqueConstraint("knowledge_base_id", "external_id"),
        {"sqlite_autoincrement": True},  # a key is never given twice: indexes remember removed ones
    )

    key: Mapped[int] = mapped_column(IntegerKey, primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(String(36), unique=True, default=new_id)
    knowledge_base_id: Mapped[str] = mapped_column(ForeignKey("knowledge_base.id", ondelete="CASCADE"))
    job_id: Mapped[str | None] = mapped_column(ForeignKey("job.id", ondelete="SET NULL"), index=True)
    external_id: Mapped[str] = mapped_column(String(1000))
    title: Mapped[str] = mapped_column(String(1000))
    version: Mapped[int] = mapped_column(default=0)  # 0 until its first content is stored
    status: Mapped[str] = mapped_column(String(24), default="queued")
    message: Mapped[str] = mapped_column(Text, default="")
    media_type: Mapped[str] = mapped_column(String(120), default="")
    language: Mapped[str] = mapped_column(String(16), default="")
    content_hash: Mapped[str] = mapped_column(String(64), default="")
    file_path: Mapped[str] = mapped_column(String(2000), default="")  # of the stored content, in the files folder
    facets: Mapped[dict[str, Any]] = mapped_column(default=dict)
    # What an admin has said of it (`app.document_facets`), which goes before what its next version says.
    edits: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    is_public: Mapped[bool] = mapped_column(server_default=text("false"), default=False)  # visitors may see it
    warnings: Mapped[list[Any]] = mapped_column(default=list)
    page_count: Mapped[int] = mapped_column(default=0)
    passage_count: Mapped[int] = mapped_column(default=0)
    window_count: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime] = mapped_column(default=now, onupdate=now)


class Page(Base):
    """A page's text as it is cited. `source_map` is as `app.source_maps` packs it."""

    __tablename__ = "page"

    document_key: Mapped[int] = mapped_column(
        IntegerKey, ForeignKey("document.key", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    generation_id: Mapped[str] = mapped_column(String(36), primary_key=True)  # each cites the text that it was cut from
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    label: Mapped[str | None] = mapped_column(String(40))
    text: Mapped[str] = mapped_column(Text)
    source_map: Mapped[bytes] = mapped_column(LargeBinary, default=b"")


class Passage(Base):
    __tablename__ = "passage"
    __table_args__ = (
        Index("ix_passage_change", "generation_id", "added_change"),
        Index("ix_passage_document", "document_key", "generation_id", "ordinal"),
        {"sqlite_autoincrement": True},
    )

    key: Mapped[int] = mapped_column(IntegerKey, primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(String(36), unique=True, default=new_id)
    knowledge_base_id: Mapped[str] = mapped_column(ForeignKey("knowledge_base.id", ondelete="CASCADE"))
    generation_id: Mapped[str] = mapped_column(String(36), server_default=text("''"))
    document_key: Mapped[int] = mapped_column(IntegerKey, ForeignKey("document.key", ondelete="CASCADE"))
    added_change: Mapped[int] = mapped_column(BigInteger)
    ordinal: Mapped[int]
    heading_path: Mapped[list[Any]]
    spans: Mapped[list[Any]]  # [[page, start, end, anchor], ...]
    windows: Mapped[list[Any]]  # [[start, end], ...]
    first_page: Mapped[int] = mapped_column(default=0)  # of its spans; 0 in documents without pages
    last_page: Mapped[int] = mapped_column(default=0)
    page_label: Mapped[str | None] = mapped_column(String(40))  # printed on its first page
    text: Mapped[str] = mapped_column(Text)
    content_hash: Mapped[str] = mapped_column(String(64), default="")
    excluded: Mapped[str | None] = mapped_column(String(16))  # by which filter; then no index has it


class PassageVectors(Base):
    """float16, shape [1 + windows, dimension], C order, little endian: row 0 the passage, then its windows.

    `text_hashes` names what was embedded, 16 bytes a row (`ingestion.waiting`), so that the document's next
    version need not embed it again; null where nobody noted it: then nothing is taken from there.
    """

    __tablename__ = "passage_vectors"

    passage_key: Mapped[int] = mapped_column(
        IntegerKey, ForeignKey("passage.key", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    vectors: Mapped[bytes] = mapped_column(LargeBinary)
    text_hashes: Mapped[bytes | None] = mapped_column(LargeBinary)


class Removal(Base):
    """A passage that is gone, so that indexes learn of it."""

    __tablename__ = "removal"
    __table_args__ = (Index("ix_removal_change", "knowledge_base_id", "change"),)

    knowledge_base_id: Mapped[str] = mapped_column(
        ForeignKey("knowledge_base.id", ondelete="CASCADE"), primary_key=True
    )
    passage_key: Mapped[int] = mapped_column(IntegerKey, primary_key=True, autoincrement=False)
    change: Mapped[int] = mapped_column(BigInteger)


class DocumentReport(Base):
    """What was found out about a generation's documents, and which filters have been applied to it.

    `findings` are true of `change`; `filters` were applied up to `applied_change` (`app.document_filters`), and
    `message` says why they could not be applied since.
    """

    __tablename__ = "document_report"

    generation_id: Mapped[str] = mapped_column(ForeignKey("generation.id", ondelete="CASCADE"), primary_key=True)
    change: Mapped[int] = mapped_column(BigInteger, default=-1)
    findings: Mapped[dict[str, Any]] = mapped_column(default=dict, deferred=True)  # long, and wanted for reports only
    made_at: Mapped[datetime] = mapped_column(default=now)
    applied_change: Mapped[int] = mapped_column(BigInteger, default=-1)
    filters: Mapped[list[Any]] = mapped_column(default=list)
    message: Mapped[str | None] = mapped_column(Text)


class SyncSource(Base):
    """A folder or list of pages that `answerdesk sync` has read into a knowledge base."""

    __tablename__ = "sync_source"
    __table_args__ = (UniqueConstraint("knowledge_base_id", "address"),)

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=new_id)
    knowledge_base_id: Mapped[str] = mapped_column(ForeignKey("knowledge_base.id", ondelete="CASCADE"))
    address: Mapped[str] = mapped_column(String(600))
    synced_at: Mapped[datetime] = mapped_column(default=now)


class SyncFile(Base):
    """A file or page of a source as it was last read. `place` is its path in the folder, or its URL."""

    __tablename__ = "sync_file"

    source_id: Mapped[str] = mapped_column(ForeignKey("sync_source.id", ondelete="CASCADE"), primary_key=True)
    place: Mapped[str] = mapped_column(String(1000), primary_key=True)
    content_hash: Mapped[str] = mapped_column(String(64))
    etag: Mapped[str] = mapped_column(String(500), default="")
    last_modified: Mapped[str] = mapped_column(String(100), default="")


class SyncDocument(Base):
    """Which file of which source a document came from; what is not here came by an upload."""

    __tablename__ = "sync_document"
    __table_args__ = (Index("ix_sync_document_source_id_place", "source_id", "place"),)

    knowledge_base_id: Mapped[str] = mapped_column(
        ForeignKey("knowledge_base.id", ondelete="CASCADE"), primary_key=True
    )
    external_id: Mapped[str] = mapped_column(String(1000), primary_key=True)
    source_id: Mapped[str] = mapped_column(ForeignKey("sync_source.id", ondelete="CASCADE"))
    place: Mapped[str] = mapped_column(String(1000))


class Conversation(Base):
    __tablename__ = "conversation"

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=new_id)
    workspace_id: Mapped[str] = mapped_column(String(36), default=DEFAULT_WORKSPACE)
    knowledge_base_id: Mapped[str] = mapped_column(ForeignKey("knowledge_base.id", ondelete="CASCADE"), index=True)
    change: Mapped[int] = mapped_column(BigInteger, default=0)
    state: Mapped[dict[str, Any]] = mapped_column(default=dict)
    readers_until: Mapped[datetime | None]  # somebody listens, until then at least, in a process that does not answer
    # Who takes the customer's next message: the assistant, or people (queued or claimed, see `hand_off`). Defaults in
    # the database and no foreign keys, as above.
    handler: Mapped[str] = mapped_column(String(16), server_default=text("'assistant'"), default="assistant")
    site_id: Mapped[str | None] = mapped_column(String(36), index=True)
    visitor_id: Mapped[str | None] = mapped_column(String(36), index=True)  # of the widget; null: begun by an account
    customer: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))  # as the site has signed it
    created_at: Mapped[datetime] = mapped_column(default=now)


class Message(Base):
    """A customer's question or the answer to it. `change` orders what happened in the conversation.

    The pair is written together; question and answer carry the same `client_message_id`, so the unique
    constraint makes a repeated request find the first pair. An answer is written by whoever holds its lease.
    """

    __tablename__ = "message"
    __table_args__ = (
        UniqueConstraint("conversation_id", "client_message_id", "role"),
        Index("ix_message_conversation_change", "conversation_id", "change"),
        Index("ix_message_status_lease", "status", "lease_until"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=new_id)
    conversation_id: Mapped[str] = mapped_column(ForeignKey("conversation.id", ondelete="CASCADE"))
    ordinal: Mapped[int]
    client_message_id: Mapped[str] = mapped_column(String(100))
    reply_to: Mapped[str | None] = mapped_column(String(36))
    role: Mapped[str] = mapped_column(String(16))
    status: Mapped[str] = mapped_column(String(16))
    kind: Mapped[str | None] = mapped_column(String(24))
    text: Mapped[str] = mapped_column(Text, default="")
    # Filter, context, images: what the answer needs. Read only for that, since pictures are large.
    request: Mapped[dict[str, Any]] = mapped_column(default=dict, deferred=True)
    searched_for: Mapped[str | None] = mapped_column(Text)
    answerer: Mapped[str | None] = mapped_column(String(40))
    model: Mapped[str | None] = mapped_column(String(200))
    timings_ms: Mapped[dict[str, Any]] = mapped_column(default=dict)
    details: Mapped[dict[str, Any]] = mapped_column(default=dict)
    change: Mapped[int] = mapped_column(BigInteger, default=0)
    lease_owner: Mapped[str | None] = mapped_column(String(100))
    lease_until: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(default=0)
    author: Mapped[str | None] = mapped_column(String(100))  # the agent's name, as the customer sees it
    author_id: Mapped[str | None] = mapped_column(String(36))
    created_at: Mapped[datetime] = mapped_column(default=now)


class Citation(Base):
    """A copy of what was cited, readable when the document has changed."""

    __tablename__ = "citation"

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=new_id)
    message_id: Mapped[str] = mapped_column(ForeignKey("message.id", ondelete="CASCADE"), index=True)
    marker: Mapped[int]
    passage_id: Mapped[str] = mapped_column(String(36))
    document_id: Mapped[str] = mapped_column(String(36))  # no foreign key: the citation outlives the document
    document_version: Mapped[int]
    external_id: Mapped[str] = mapped_column(String(1000))
    title: Mapped[str] = mapped_column(String(1000))
    heading_path: Mapped[list[Any]]
    spans: Mapped[list[Any]]
    page_label: Mapped[str | None] = mapped_column(String(40))
    quote: Mapped[str] = mapped_column(Text)
    boxes: Mapped[list[Any]] = mapped_column(default=list)


class Feedback(Base):
    __tablename__ = "feedback"

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=new_id)
    message_id: Mapped[str] = mapped_column(ForeignKey("message.id", ondelete="CASCADE"), unique=True)
    rating: Mapped[str] = mapped_column(String(8))  # up, down
    comment: Mapped[str] = mapped_column(Text, default="")
    review: Mapped[str | None] = mapped_column(String(16))  # of a thumbed-down answer: accepted or dismissed
    created_at: Mapped[datetime] = mapped_column(default=now)


class GoldenQuestion(Base):
    """A question whose right answer is known, as `rag.evaluation.questions.record_of` writes it.

    `name` is the id it has in files; `message_id` the thumbed-down answer that it came from, which it
    may outlive.
    """

    __tablename__ = "golden_question"
    __table_args__ = (UniqueConstraint("knowledge_base_id", "name"),)

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=new_id)
    knowledge_base_id: Mapped[str] = mapped_column(ForeignKey("knowledge_base.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(200))
    record: Mapped[dict[str, Any]]
    message_id: Mapped[str | None] = mapped_column(String(36))
    created_at: Mapped[datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime] = mapped_column(default=now, onupdate=now)


class GoldenRun(Base):
    """The golden questions of a knowledge base, asked once, with `tried` in place of its own settings.

    `used` is what held in the end: settings, model, embedder, generation and change number.
    """

    __tablename__ = "golden_run"
    __table_args__ = (
        UniqueConstraint("knowledge_base_id", "number"),
        Index("ix_golden_run_claim", "status", "created_at"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=new_id)
    knowledge_base_id: Mapped[str] = mapped_column(ForeignKey("knowledge_base.id", ondelete="CASCADE"))
    number: Mapped[int]  # for people, from 1 in each knowledge base
    status: Mapped[str] = mapped_column(String(16), default="queued")  # queued, running, done, failed, cancelled
    note: Mapped[str] = mapped_column(String(200), default="")
    tried: Mapped[dict[str, Any]] = mapped_column(default=dict)
    used: Mapped[dict[str, Any]] = mapped_column(default=dict)
    total: Mapped[int]
    figures: Mapped[dict[str, Any]] = mapped_column(default=dict)
    message: Mapped[str] = mapped_column(Text, default="")
    attempts: Mapped[int] = mapped_column(default=0)  # since the last question that was answered
    lease_owner: Mapped[str | None] = mapped_column(String(100))
    lease_until: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=now)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class GoldenResult(Base):
    """One question of a run, copied, so that the run stays readable; `outcome` is null until it has been asked."""

    __tablename__ = "golden_result"

    run_id: Mapped[str] = mapped_column(ForeignKey("golden_run.id", ondelete="CASCADE"), primary_key=True)
    ordinal: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    question_id: Mapped[str] = mapped_column(String(36))  # no foreign key: the result outlives the question
    record: Mapped[dict[str, Any]]
    outcome: Mapped[str | None] = mapped_column(String(24))  # see rag.evaluation.asking.Outcome
    values: Mapped[dict[str, Any]] = mapped_column(default=dict)
    details: Mapped[dict[str, Any]] = mapped_column(default=dict)  # the answer, what was found, confidence, times
