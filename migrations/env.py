"""What Alembic runs for every command: the steps, on the connection that `migrations` hands over."""

from typing import Any, Literal

from alembic import context

from app.models import Base, UtcDateTime
from app.service import tables as _service_tables  # noqa: F401  they join the metadata

connection = context.config.attributes["connection"]
if connection is None:
    raise RuntimeError("Migrations run through migrations.upgrade(database) only.")


def _without_our_types(kind: str, item: Any, _context: Any) -> str | Literal[False]:
    """Steps name SQLAlchemy's own types, so that they do not change when `app.models` does."""
    if kind == "type" and isinstance(item, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    return False


context.configure(
    connection=connection,
    target_metadata=Base.metadata,
    transactional_ddl=True,  # SQLite can, as our transactions are real ones (see app.db)
    render_as_batch=connection.dialect.name == "sqlite",
    render_item=_without_our_types,
)
with context.begin_transaction():
    context.run_migrations()
