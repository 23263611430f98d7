"""filters that exclude passages, the report on documents, and what admins say of them"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("passage", sa.Column("excluded", sa.String(length=16), nullable=True))
    op.add_column("document", sa.Column("edits", sa.JSON(), nullable=True))
    op.create_table(
        "document_report",
        sa.Column("generation_id", sa.String(length=36), nullable=False),
        sa.Column("change", sa.BigInteger(), nullable=False),
        sa.Column("findings", sa.JSON(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("applied_change", sa.BigInteger(), nullable=False),
        sa.Column("filters", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["generation_id"],
            ["generation.id"],
            name=op.f("fk_document_report_generation_id_generation"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("generation_id", name=op.f("pk_document_report")),
    )


def downgrade() -> None:
    """What was excluded is there again, for indexes after `answerdesk index rebuild`."""
    op.execute(
        "DELETE FROM removal WHERE passage_key IN (SELECT passage.key FROM passage WHERE passage.excluded IS NOT NULL)"
    )
    op.drop_table("document_report")
    op.drop_column("document", "edits")
    op.drop_column("passage", "excluded")
