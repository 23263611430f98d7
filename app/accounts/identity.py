"""Who a request is from: the local admin, the bearer of a key, or somebody who has signed in.

Owns how that follows from the request's Authorization, and that without accounts and without an admin key everybody who
reaches the API from this very machine is its admin. Knows no routes.
"""

import time
from hmac import compare_digest

from app.accounts import accounts, sessions
from app.db import Database
from app.errors import Unauthorized
from app.scope import AccountIdentity, Role, Scope
from app.settings import ServerSettings

_LOOK_AGAIN_S = 1.0

TO_SIGN_IN = "The API needs to know who you are: sign in, or send the header 'Authorization: Bearer KEY'."


class Identities:
    """Safe for threads."""

    def __init__(self, settings: ServerSettings, database: Database) -> None:
        keys = (settings.admin_key, settings.run_key)
        self._keys = [key.get_secret_value().encode() for key in keys if key is not None]
        self._needs_key = settings.admin_key is not None
        self._session_hours = settings.session_hours
        self._database = database
        self._seen: tuple[bool, float] = (False, float("-inf"))

    def scope(self, token: str | None, *, is_local: bool = True) -> Scope:
        """What the bearer of a token may see. Raises `Unauthorized` when it is nobody's, or one is needed.

        `is_local`: the request comes from this machine itself, and not through a proxy that anybody may have asked.
        """
        if token is None:
            if self.accounts_exist():
                raise Unauthorized(TO_SIGN_IN)
            if self._needs_key:
                raise Unauthorized(_NEEDS_KEY)
            if not is_local:
                raise Unauthorized(_NOBODY_YET)
            return Scope()
        if any(compare_digest(token.encode(), key) for key in self._keys):
            return Scope()
        if token.startswith(sessions.PREFIX):
            account = sessions.bearer(self._database, token, self._session_hours)
            if account is not None:
                return scope_of(account)
            raise Unauthorized("The session has ended: sign in again.")
        if self._needs_key or self.accounts_exist():
            raise Unauthorized(_NEEDS_KEY)
        if not is_local:
            raise Unauthorized(_NOBODY_YET)
        return Scope()  # as ever: there is nothing to prove, and a client that sends some key may do so

    def accounts_exist(self) -> bool:
        """As it was at most a second ago: it is asked at every request."""
        exist, at = self._seen
        if time.monotonic() - at > _LOOK_AGAIN_S:
            exist = accounts.exist(self._database)
            self._seen = (exist, time.monotonic())
        return exist


_NOBODY_YET = (
    "There is no account yet, so only requests from this machine itself are let in, under its own name and through no "
    "proxy. Make an admin first (answerdesk account create), or set ANSWERDESK_SERVER__ADMIN_KEY."
)
_NEEDS_KEY = "The API needs its admin key: send the header 'Authorization: Bearer KEY'."


def scope_of(account: AccountIdentity) -> Scope:
    """A customer sees what is its own; its conversations bear its account's id."""
    visitor_id = account.id if account.role is Role.CUSTOMER else None
    return Scope(role=account.role, account=account, visitor_id=visitor_id)
