"""The inbox's change number, which orders what happens to all hand-offs of a workspace, and rows kept one a key.

The number is raised under its row's lock in the transaction of the change, as the last thing: so numbers are in the
order of commits, and whoever has seen one has seen all before it.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from sqlalchemy import insert, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.models import Base
from app.service.tables import HandOff, InboxChange

_numbers = Base.metadata.tables[InboxChange.__tablename__]


def touched(session: Session, row: HandOff) -> None:
    """Gives the hand-off the inbox's next number."""
    row.change = _next_number(session, row.workspace_id)


def set_row(session: Session, table: type[Base], key: Mapping[str, Any], values: Mapping[str, Any]) -> None:
    """Sets `values` in the row of this key, which is made when there is none; of two at once the later one counts."""
    of_table = Base.metadata.tables[table.__tablename__]
    change = update(of_table).where(*(of_table.c[name] == value for name, value in key.items())).values(**values)
    if session.execute(change.returning(*(of_table.c[name] for name in key))).first() is not None:
        return
    try:
        with session.begin_nested():
            session.execute(insert(table).values(**key, **values))
    except IntegrityError:  # another process has just made it
        session.execute(change)


def _next_number(session: Session, workspace_id: str) -> int:
    raised = (
        update(_numbers)
        .where(_numbers.c.workspace_id == workspace_id)
        .values(change=_numbers.c.change + 1)
        .returning(_numbers.c.change)
    )
    number = session.execute(raised).scalar()
    if number is None:
        with suppress(IntegrityError), session.begin_nested():  # another process may make it at the same moment
            session.execute(insert(_numbers).values(workspace_id=workspace_id, change=0))
        number = session.execute(raised).scalar_one()
    return int(number)
