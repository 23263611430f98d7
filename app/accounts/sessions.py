"""Signing in: from e-mail and password to a token, and from a token to who bears it.

Owns tokens, how long they hold, and that guessing passwords becomes slow. SQL keeps the SHA-256 of a token: who reads
the table cannot sign in with it. Knows no HTTP.
"""

import hashlib
import math
import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.accounts import accounts
from app.db import Database
from app.errors import RateLimited, Unauthorized
from app.models import now
from app.scope import AccountIdentity
from app.service.tables import Account, AccountSession, AgentPresence, SignInAttempt

PREFIX = "ads_"
_TOKEN = re.compile(r"ads_[A-Za-z0-9_-]{43}")
_RENEWED_AFTER = timedelta(minutes=5)
_FREE_FAILURES = 5
_LONGEST_WAIT_S = 900.0
_FORGOTTEN_AFTER = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class SignedIn:
    token: str
    expires_at: datetime
    account: AccountIdentity


def sign_in(database: Database, email: str, password: str, address: str, hours: float) -> SignedIn:
    """A session of so many hours since it was last used.

    Raises `Unauthorized` for a wrong e-mail or password, without saying which, and `RateLimited` after too many
    failures of this e-mail or from this address; then the password is not even looked at. An attempt counts as a
    failure from its beginning, so that guessing many at once is no faster.
    """
    wanted = email.strip().lower()[:254]
    keys = (f"email:{wanted}", f"address:{address}")
    _begin_attempt(database, keys)
    with database.read() as session:
        row = session.scalars(select(Account).where(Account.email == wanted)).first()
    if not accounts.is_right(password, row) or row is None or row.disabled_at is not None:
        raise Unauthorized("E-mail or password is wrong.")
    token = PREFIX + secrets.token_urlsafe(32)
    expires_at = now() + timedelta(hours=hours)
    with database.write() as session:
        known = session.get(Account, row.id, with_for_update=True, populate_existing=True)
        # Checking a password takes long enough for it to be changed, or the account disabled, meanwhile.
        if known is None or known.password_hash != row.password_hash or known.disabled_at is not None:
            raise Unauthorized("E-mail or password is wrong.")
        _forgive(session, *keys)
        session.execute(delete(AccountSession).where(AccountSession.expires_at < now()))
        session.add(AccountSession(token_hash=hash_of(token), account_id=known.id, expires_at=expires_at))
        identity = accounts.identity_of(known)
    return SignedIn(token, expires_at, identity)


def bearer(database: Database, token: str, hours: float) -> AccountIdentity | None:
    """Whose token it is, which is held for so many hours more; None when it is nobody's any more."""
    if _TOKEN.fullmatch(token) is None:
        return None
    query = (
        select(Account, AccountSession.expires_at)
        .join(AccountSession, AccountSession.account_id == Account.id)
        .where(
            AccountSession.token_hash == hash_of(token),
            AccountSession.expires_at > now(),
            Account.disabled_at.is_(None),
        )
    )
    with database.read() as session:
        found = session.execute(query).first()
    if found is None:
        return None
    row, expires_at = found
    renewed = now() + timedelta(hours=hours)
    if renewed - expires_at > min(_RENEWED_AFTER, timedelta(hours=hours) / 2):
        with database.write() as session:
            kept = session.get(AccountSession, hash_of(token))
            if kept is not None:
                kept.expires_at = renewed
    return accounts.identity_of(row)


def sign_out(database: Database, token: str) -> None:
    """Ends the session, if it is one. Whose last it was is no longer there to take conversations."""
    with database.write() as session:
        ended = delete(AccountSession).where(AccountSession.token_hash == hash_of(token))
        account_id = session.scalar(ended.returning(AccountSession.account_id))
        others = select(AccountSession.account_id).where(
            AccountSession.account_id == account_id, AccountSession.expires_at > now()
        )
        if account_id is not None and session.scalar(others.limit(1)) is None:
            session.execute(delete(AgentPresence).where(AgentPresence.account_id == account_id))


def hash_of(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _begin_attempt(database: Database, keys: tuple[str, str]) -> None:
    """Counts an attempt. Raises `RateLimited` until 1, 2, 4, ... seconds have passed since one beyond the first few."""
    with database.write() as session:
        session.execute(delete(SignInAttempt).where(SignInAttempt.last_at < now() - _FORGOTTEN_AFTER))
        rows = [_attempts(session, key) for key in keys]
        left = max(_wait_s(row) - (now() - row.last_at).total_seconds() for row in rows)
        if left > 0:
            raise RateLimited(math.ceil(left))
        for row in rows:
            row.failures += 1
            row.last_at = now()


def _attempts(session: Session, key: str) -> SignInAttempt:
    """The row of a key, locked, so that of several attempts at once each sees those before it."""
    row = session.get(SignInAttempt, key, with_for_update=True)
    if row is not None:
        return row
    row = SignInAttempt(key=key, failures=0)
    try:
        with session.begin_nested():
            session.add(row)
    except IntegrityError:  # another process has just made it
        return session.get_one(SignInAttempt, key, with_for_update=True)
    return row


def _wait_s(row: SignInAttempt) -> float:
    beyond = row.failures - _FREE_FAILURES * (4 if row.key.startswith("address:") else 1)  # an office shares one
    return 0.0 if beyond < 0 else min(2.0 ** min(beyond, 20), _LONGEST_WAIT_S)


def _forgive(session: Session, email_key: str, address_key: str) -> None:
    """The attempt was no failure: the e-mail begins anew.

    Of the address's failures only this one goes, or whoever has an account could guess at others beside it.
    """
    session.execute(delete(SignInAttempt).where(SignInAttempt.key == email_key))
    own = update(SignInAttempt).where(SignInAttempt.key == address_key, SignInAttempt.failures > 0)
    session.execute(own.values(failures=SignInAttempt.failures - 1))
