"""what answers becomes one generation of several

Everything that is there becomes the first generation of its knowledge base. Tables that others refer to are never made
anew: on SQLite that would delete what refers to them.
"""

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
import uuid_utils
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_EMPTY = sa.text("''")
_MADE_WITH = ("embedder", "dimension", "chunker_version")


def upgrade() -> None:
    op.create_table(
        "generation",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("knowledge_base_id", sa.String(length=36), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("change", sa.BigInteger(), nullable=False),
        sa.Column("embedder", sa.String(length=200), nullable=False),
        sa.Column("embedder_model", sa.String(length=1000), nullable=False),
        sa.Column("dimension", sa.Integer(), nullable=False),
        sa.Column("chunker_version", sa.String(length=40), nullable=False),
        sa.Column("chunker", sa.JSON(), nullable=False),
        sa.Column("switch_when_ready", sa.Boolean(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("building_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ready_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("switched_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["knowledge_base_id"],
            ["knowledge_base.id"],
            name=op.f("fk_generation_knowledge_base_id_knowledge_base"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_generation")),
        sa.UniqueConstraint("knowledge_base_id", "number", name=op.f("uq_generation_knowledge_base_id_number")),
    )
    op.create_table(
        "generation_document",
        sa.Column("generation_id", sa.String(length=36), nullable=False),
        sa.Column("document_key", _KEY, autoincrement=False, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(length=24), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("warnings", sa.JSON(), nullable=False),
        sa.Column("page_count", sa.Integer(), nullable=False),
        sa.Column("passage_count", sa.Integer(), nullable=False),
        sa.Column("window_count", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["document_key"],
            ["document.key"],
            name=op.f("fk_generation_document_document_key_document"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["generation_id"],
            ["generation.id"],
            name=op.f("fk_generation_document_generation_id_generation"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("generation_id", "document_key", name=op.f("pk_generation_document")),
    )
    op.create_index(op.f("ix_generation_document_document_key"), "generation_document", ["document_key"])
    op.add_column("knowledge_base", sa.Column("generation_id", sa.String(36), server_default=_EMPTY, nullable=False))
    op.add_column("passage", sa.Column("generation_id", sa.String(36), server_default=_EMPTY, nullable=False))
    op.add_column("job", sa.Column("generation_id", sa.String(36), nullable=True))
    op.create_index(op.f("ix_job_generation_id"), "job", ["generation_id"])
    _make_first_generations()
    _pages_of_generations()
    op.drop_index("ix_passage_change", table_name="passage")
    op.drop_index("ix_passage_document", table_name="passage")
    op.create_index("ix_passage_change", "passage", ["generation_id", "added_change"])
    op.create_index("ix_passage_document", "passage", ["document_key", "generation_id", "ordinal"])
    for column in _MADE_WITH:
        op.drop_column("knowledge_base", column)


def downgrade() -> None:
    """Only what answers is kept."""
    op.execute("DELETE FROM passage WHERE generation_id NOT IN (SELECT generation_id FROM knowledge_base)")
    op.execute("DELETE FROM page WHERE generation_id NOT IN (SELECT generation_id FROM knowledge_base)")
    op.execute("DELETE FROM job WHERE generation_id IS NOT NULL")
    op.add_column("knowledge_base", sa.Column("embedder", sa.String(200), server_default=_EMPTY, nullable=False))
    op.add_column("knowledge_base", sa.Column("dimension", sa.Integer(), server_default="0", nullable=False))
    op.add_column("knowledge_base", sa.Column("chunker_version", sa.String(40), server_default=_EMPTY, nullable=False))
    for column in _MADE_WITH:
        op.execute(
            f"UPDATE knowledge_base SET {column} = (SELECT {column} FROM generation "
            "WHERE generation.id = knowledge_base.generation_id)"
        )
    op.execute("CREATE TABLE page_before AS SELECT document_key, number, label, text, source_map FROM page")
    op.drop_table("page")
    _create_pages("page", [])
    op.execute("INSERT INTO page SELECT document_key, number, label, text, source_map FROM page_before")
    op.drop_table("page_before")
    op.drop_index("ix_passage_change", table_name="passage")
    op.drop_index("ix_passage_document", table_name="passage")
    op.create_index("ix_passage_change", "passage", ["knowledge_base_id", "added_change"])
    op.create_index("ix_passage_document", "passage", ["document_key", "ordinal"])
    op.drop_index(op.f("ix_job_generation_id"), table_name="job")
    for table in ("job", "passage", "knowledge_base"):
        op.drop_column(table, "generation_id")
    op.drop_index(op.f("ix_generation_document_document_key"), table_name="generation_document")
    op.drop_table("generation_document")
    op.drop_table("generation")


def _make_first_generations() -> None:
    connection = op.get_bind()
    known = sa.text("SELECT id, change, embedder, dimension, chunker_version FROM knowledge_base")
    generation = sa.table(
        "generation",
        *(sa.column(name) for name in ("id", "knowledge_base_id", "number", "status", "change", *_MADE_WITH)),
        *(sa.column(name) for name in ("embedder_model", "message")),
        sa.column("chunker", sa.JSON()),
        sa.column("switch_when_ready", sa.Boolean()),
        sa.column("created_at", sa.DateTime(timezone=True)),
    )
    for row in connection.execute(known).all():
        id_ = str(uuid_utils.uuid7())
        values: dict[str, Any] = {
            "id": id_,
            "knowledge_base_id": row.id,
            "number": 1,
            "status": "active",
            "change": row.change,
            **{name: getattr(row, name) for name in _MADE_WITH},
            "embedder_model": "",
            "message": "",
            "chunker": {},
            "switch_when_ready": False,
            "created_at": datetime.now(UTC),
        }
        connection.execute(sa.insert(generation).values(values))
        of_base = {"generation": id_, "base": row.id}
        for table, condition in (("knowledge_base", "id = :base"), ("passage", "knowledge_base_id = :base")):
            connection.execute(sa.text(f"UPDATE {table} SET generation_id = :generation WHERE {condition}"), of_base)
    op.execute(
        "INSERT INTO generation_document (generation_id, document_key, version, status, message, warnings, page_count, "
        "passage_count, window_count) "
        "SELECT base.generation_id, document.key, document.version, "
        "CASE WHEN CAST(document.warnings AS VARCHAR) = '[]' THEN 'ready' ELSE 'ready_with_warnings' END, "
        "'', document.warnings, document.page_count, document.passage_count, document.window_count "
        "FROM document JOIN knowledge_base base ON base.id = document.knowledge_base_id WHERE document.version > 0"
    )


def _pages_of_generations() -> None:
    """Nothing refers to pages, so that their table can be made anew with another key."""
    op.execute("ALTER TABLE page RENAME TO page_before")
    if op.get_bind().dialect.name == "postgresql":  # names of constraints are taken as long as their table is there
        op.execute("ALTER TABLE page_before DROP CONSTRAINT pk_page")
        op.execute("ALTER TABLE page_before DROP CONSTRAINT fk_page_document_key_document")
    _create_pages("page", [sa.Column("generation_id", sa.String(length=36), nullable=False)])
    op.execute(
        "INSERT INTO page (document_key, generation_id, number, label, text, source_map) "
        "SELECT page_before.document_key, base.generation_id, page_before.number, page_before.label, page_before.text, "
        "page_before.source_map FROM page_before JOIN document ON document.key = page_before.document_key "
        "JOIN knowledge_base base ON base.id = document.knowledge_base_id"
    )
    op.drop_table("page_before")


def _create_pages(name: str, of_generation: list[sa.Column[Any]]) -> None:
    op.create_table(
        name,
        sa.Column("document_key", _KEY, autoincrement=False, nullable=False),
        *of_generation,
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("label", sa.String(length=40), nullable=True),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("source_map", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["document_key"], ["document.key"], name=op.f("fk_page_document_key_document"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint(
            "document_key", *(column.name for column in of_generation), "number", name=op.f("pk_page")
        ),
    )
