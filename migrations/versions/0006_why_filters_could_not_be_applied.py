"""why the filters of a knowledge base could not be applied"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("document_report", sa.Column("message", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("document_report", "message")
