"""Who has opened a stream, and whether they may still have it.

Requests are looked at by the gate (`app.auth`), one by one; a stream outlives that look. Owns the look at those that
are open. Of a session it keeps the hash that SQL knows, never the token, and it does not prolong it: that a page was
left open is no use of it.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy import select

from app.accounts.identity import Identities
from app.accounts.sessions import hash_of
from app.db import Database, in_parts
from app.errors import Unauthorized
from app.models import now
from app.scope import CallerScope, Scope
from app.service.sites.access import bearer_of
from app.service.tables import Account, AccountSession


@dataclass(frozen=True, slots=True, eq=False)
class StreamAccess:
    """What a stream's reader may see, and by what: a session, or else a key or nothing, which `resolve` looks at."""

    scope: Scope
    session: str | None
    resolve: Callable[[], Scope] = field(repr=False)

    @property
    def account_id(self) -> str | None:
        return self.scope.account.id if self.scope.account is not None else None

    def still_holds(self, database: Database) -> bool:
        """Whether the reader may still have what it has opened."""
        return self in holding(database, [self])


async def stream_access(request: Request, scope: CallerScope) -> StreamAccess:
    """Of the request that opens a stream, as a FastAPI dependency."""
    identities: Identities = request.app.state.identities
    token = bearer_of(request)
    session = hash_of(token) if scope.account is not None and token is not None else None
    return StreamAccess(scope, session, partial(identities.scope, None if session is not None else token))


StreamAccessOf = Annotated[StreamAccess, Depends(stream_access)]


def holding(database: Database, accesses: Collection[StreamAccess]) -> set[StreamAccess]:
    """Those that still hold: whose bearer is the same account in the same role, or needs none as before."""
    sessions = {each.session for each in accesses if each.session is not None}
    found: set[tuple[str, str, str]] = set()
    if sessions:
        query = (
            select(AccountSession.token_hash, Account.id, Account.role)
            .join(Account, Account.id == AccountSession.account_id)
            .where(AccountSession.expires_at > now(), Account.disabled_at.is_(None))
        )
        with database.read() as session:
            for some in in_parts(sessions):
                rows = session.execute(query.where(AccountSession.token_hash.in_(some)))
                found |= {(row.token_hash, row.id, row.role) for row in rows}
    return {each for each in accesses if (_resolves(each) if each.session is None else _as_found(each) in found)}


def _as_found(access: StreamAccess) -> tuple[str | None, str | None, str]:
    return access.session, access.account_id, access.scope.role.value


def _resolves(access: StreamAccess) -> bool:
    try:
        return access.resolve() == access.scope
    except Unauthorized:
        return False
