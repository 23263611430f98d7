"""The database's schema, step by step (Alembic), and the calls that bring a database up to date.

The configuration is made in code, so that an installed package needs no `alembic.ini`. To write the next step
after a change of `app.models`: `python -m migrations "what it does"`, which compares the tables with a new
SQLite database that has all steps so far.
"""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from app.db import Database

_ONE_AT_A_TIME = 5_026_184_731  # the key of PostgreSQL's advisory lock; any number that nobody else uses


def upgrade(database_url: str) -> None:
    """Takes all steps that are missing, in one transaction; several processes may call it at once."""
    database = Database(database_url)
    with database.write() as session:
        if not database.is_sqlite:  # on SQLite the writers' transaction itself lets one in at a time
            session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ONE_AT_A_TIME})
        connection = session.connection()
        if _revision(connection) != head():
            command.upgrade(configuration(connection), "head")
    database.dispose()


def is_current(database: Database) -> bool:
    """Whether the database has every step of this version of the program."""
    with database.read() as session:
        return _revision(session.connection()) == head()


def head() -> str | None:
    """The last step."""
    return ScriptDirectory.from_config(configuration()).get_current_head()


def configuration(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    config.attributes["connection"] = connection
    return config


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()
