"""what was embedded, so that a new version embeds only what has changed"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Null in the rows that are there: their vectors are good, but nobody knows any more what text each was made from.
    op.add_column("passage_vectors", sa.Column("text_hashes", sa.LargeBinary(), nullable=True))


def downgrade() -> None:
    op.drop_column("passage_vectors", "text_hashes")
