"""customer service"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "account",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("workspace_id", sa.String(length=36), nullable=False),
        sa.Column("email", sa.String(length=254), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("groups", sa.JSON(), nullable=False),
        sa.Column("password_hash", sa.String(length=200), nullable=False),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account")),
        sa.UniqueConstraint("email", name=op.f("uq_account_email")),
    )
    op.create_table(
        "flow_version",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_flow_version")),
        sa.UniqueConstraint("name", "digest", name=op.f("uq_flow_version_name_digest")),
    )
    op.create_table(
        "inbox_change",
        sa.Column("workspace_id", sa.String(length=36), nullable=False),
        sa.Column("change", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", name=op.f("pk_inbox_change")),
    )
    op.create_table(
        "sign_in_attempt",
        sa.Column("key", sa.String(length=300), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_sign_in_attempt")),
    )
    op.create_table(
        "account_session",
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("account_id", sa.String(length=36), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name=op.f("fk_account_session_account_id_account"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_account_session")),
    )
    op.create_index(op.f("ix_account_session_account_id"), "account_session", ["account_id"], unique=False)

    op.create_table(
        "agent_presence",
        sa.Column("account_id", sa.String(length=36), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name=op.f("fk_agent_presence_account_id_account"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_agent_presence")),
    )
    op.create_table(
        "faq_candidate",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("knowledge_base_id", sa.String(length=36), nullable=False),
        sa.Column("message_id", sa.String(length=36), nullable=False),
        sa.Column("question", sa.Text(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("author", sa.String(length=100), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("is_public", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reviewed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["knowledge_base_id"],
            ["knowledge_base.id"],
            name=op.f("fk_faq_candidate_knowledge_base_id_knowledge_base"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_faq_candidate")),
        sa.UniqueConstraint("message_id", name=op.f("uq_faq_candidate_message_id")),
    )
    op.create_index("ix_faq_candidate_status", "faq_candidate", ["knowledge_base_id", "status"], unique=False)

    op.create_table(
        "intent_example",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("knowledge_base_id", sa.String(length=36), nullable=False),
        sa.Column("intent", sa.String(length=100), nullable=False),
        sa.Column("text", sa.String(length=500), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["knowledge_base_id"],
            ["knowledge_base.id"],
            name=op.f("fk_intent_example_knowledge_base_id_knowledge_base"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_intent_example")),
        sa.UniqueConstraint("knowledge_base_id", "text", name=op.f("uq_intent_example_knowledge_base_id_text")),
    )
    op.create_table(
        "catalogue_file",
        sa.Column("knowledge_base_id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=500), nullable=False),
        sa.Column("change", sa.BigInteger(), nullable=False),
        sa.Column("uploaded_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["knowledge_base_id"],
            ["knowledge_base.id"],
            name=op.f("fk_catalogue_file_knowledge_base_id_knowledge_base"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("knowledge_base_id", name=op.f("pk_catalogue_file")),
    )
    op.create_table(
        "product",
        sa.Column("key", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("knowledge_base_id", sa.String(length=36), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("sku", sa.String(length=100), nullable=False),
        sa.Column("name", sa.String(length=500), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("attributes", sa.JSON(), nullable=False),
        sa.Column("price", sa.Float(), nullable=True),
        sa.Column("currency", sa.String(length=8), nullable=False),
        sa.Column("stock", sa.Integer(), nullable=True),
        sa.Column("url", sa.String(length=2000), nullable=False),
        sa.Column("embedder", sa.String(length=200), nullable=False),
        sa.Column("vector", sa.LargeBinary(), nullable=False),
        sa.Column("content_hash", sa.String(length=64), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["knowledge_base_id"],
            ["knowledge_base.id"],
            name=op.f("fk_product_knowledge_base_id_knowledge_base"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_product")),
        sa.UniqueConstraint("knowledge_base_id", "sku", name=op.f("uq_product_knowledge_base_id_sku")),
    )
    op.create_table(
        "site",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("workspace_id", sa.String(length=36), nullable=False),
        sa.Column("knowledge_base_id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("origins", sa.JSON(), nullable=False),
        sa.Column("identity", sa.JSON(), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["knowledge_base_id"],
            ["knowledge_base.id"],
            name=op.f("fk_site_knowledge_base_id_knowledge_base"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_site")),
        sa.UniqueConstraint("workspace_id", "name", name=op.f("uq_site_workspace_id_name")),
    )
    op.create_index(op.f("ix_site_knowledge_base_id"), "site", ["knowledge_base_id"], unique=False)

    op.create_table(
        "visitor",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("workspace_id", sa.String(length=36), nullable=False),
        sa.Column("site_id", sa.String(length=36), nullable=False),
        sa.Column("origin", sa.String(length=300), nullable=False),
        sa.Column("conversation_id", sa.String(length=36), nullable=True),
        sa.Column("resume_hash", sa.String(length=64), nullable=False),
        sa.Column("resume_before", sa.String(length=64), nullable=False),
        sa.Column("customer", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["site_id"], ["site.id"], name=op.f("fk_visitor_site_id_site"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_visitor")),
    )
    op.create_index(op.f("ix_visitor_site_id"), "visitor", ["site_id"], unique=False)
    op.create_index(op.f("ix_visitor_resume_hash"), "visitor", ["resume_hash"], unique=False)
    op.create_table(
        "agent_note",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("conversation_id", sa.String(length=36), nullable=False),
        sa.Column("account_id", sa.String(length=36), nullable=True),
        sa.Column("author", sa.String(length=100), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name=op.f("fk_agent_note_account_id_account"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["conversation_id"],
            ["conversation.id"],
            name=op.f("fk_agent_note_conversation_id_conversation"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agent_note")),
    )
    op.create_index(op.f("ix_agent_note_conversation_id"), "agent_note", ["conversation_id"], unique=False)

    op.create_table(
        "conversation_rating",
        sa.Column("conversation_id", sa.String(length=36), nullable=False),
        sa.Column("stars", sa.Integer(), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["conversation_id"],
            ["conversation.id"],
            name=op.f("fk_conversation_rating_conversation_id_conversation"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("conversation_id", name=op.f("pk_conversation_rating")),
    )
    op.create_table(
        "hand_off",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("workspace_id", sa.String(length=36), nullable=False),
        sa.Column("conversation_id", sa.String(length=36), nullable=False),
        sa.Column("knowledge_base_id", sa.String(length=36), nullable=False),
        sa.Column("skill_group", sa.String(length=60), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=40), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column("passages", sa.JSON(), nullable=False),
        sa.Column("state", sa.JSON(), nullable=False),
        sa.Column("agent_id", sa.String(length=36), nullable=True),
        sa.Column("offered_to", sa.String(length=36), nullable=True),
        sa.Column("offered_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("passed_over", sa.JSON(), nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("waiting_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("change", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["agent_id"], ["account.id"], name=op.f("fk_hand_off_agent_id_account"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["conversation_id"],
            ["conversation.id"],
            name=op.f("fk_hand_off_conversation_id_conversation"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["knowledge_base_id"],
            ["knowledge_base.id"],
            name=op.f("fk_hand_off_knowledge_base_id_knowledge_base"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hand_off")),
    )
    op.create_index(op.f("ix_hand_off_agent_id"), "hand_off", ["agent_id"], unique=False)
    op.create_index("ix_hand_off_change", "hand_off", ["change"], unique=False)
    op.create_index("ix_hand_off_conversation", "hand_off", ["conversation_id", "created_at"], unique=False)
    op.create_index("ix_hand_off_queue", "hand_off", ["status", "skill_group", "created_at"], unique=False)

    op.create_table(
        "typing",
        sa.Column("conversation_id", sa.String(length=36), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["conversation_id"],
            ["conversation.id"],
            name=op.f("fk_typing_conversation_id_conversation"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("conversation_id", "role", name=op.f("pk_typing")),
    )
    op.add_column(
        "conversation",
        sa.Column("handler", sa.String(length=16), server_default=sa.text("'assistant'"), nullable=False),
    )
    op.add_column("conversation", sa.Column("site_id", sa.String(length=36), nullable=True))
    op.add_column("conversation", sa.Column("visitor_id", sa.String(length=36), nullable=True))
    op.add_column("conversation", sa.Column("customer", sa.JSON(none_as_null=True), nullable=True))
    op.create_index(op.f("ix_conversation_site_id"), "conversation", ["site_id"], unique=False)
    op.create_index(op.f("ix_conversation_visitor_id"), "conversation", ["visitor_id"], unique=False)

    op.add_column("document", sa.Column("is_public", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.add_column("job", sa.Column("is_public", sa.Boolean(), nullable=True))
    op.add_column("message", sa.Column("author", sa.String(length=100), nullable=True))
    op.add_column("message", sa.Column("author_id", sa.String(length=36), nullable=True))


def downgrade() -> None:
    op.drop_column("message", "author_id")
    op.drop_column("message", "author")
    op.drop_column("job", "is_public")
    op.drop_column("document", "is_public")

    op.drop_index(op.f("ix_conversation_visitor_id"), table_name="conversation")
    op.drop_index(op.f("ix_conversation_site_id"), table_name="conversation")
    op.drop_column("conversation", "customer")
    op.drop_column("conversation", "visitor_id")
    op.drop_column("conversation", "site_id")
    op.drop_column("conversation", "handler")

    op.drop_table("typing")
    op.drop_index("ix_hand_off_queue", table_name="hand_off")
    op.drop_index("ix_hand_off_conversation", table_name="hand_off")
    op.drop_index("ix_hand_off_change", table_name="hand_off")
    op.drop_index(op.f("ix_hand_off_agent_id"), table_name="hand_off")

    op.drop_table("hand_off")
    op.drop_table("conversation_rating")
    op.drop_index(op.f("ix_agent_note_conversation_id"), table_name="agent_note")

    op.drop_table("agent_note")
    op.drop_index(op.f("ix_site_knowledge_base_id"), table_name="site")

    op.drop_index(op.f("ix_visitor_resume_hash"), table_name="visitor")
    op.drop_index(op.f("ix_visitor_site_id"), table_name="visitor")
    op.drop_table("visitor")
    op.drop_table("site")
    op.drop_table("product")
    op.drop_table("catalogue_file")
    op.drop_table("intent_example")
    op.drop_index("ix_faq_candidate_status", table_name="faq_candidate")

    op.drop_table("faq_candidate")
    op.drop_table("agent_presence")
    op.drop_index(op.f("ix_account_session_account_id"), table_name="account_session")

    op.drop_table("account_session")
    op.drop_table("sign_in_attempt")
    op.drop_table("inbox_change")
    op.drop_table("flow_version")
    op.drop_table("account")
