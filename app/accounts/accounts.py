"""Accounts in SQL: made, changed, disabled, deleted; passwords as Argon2id hashes.

Owns what a password must be and how it is checked. Every function is one short transaction. Knows no HTTP.
"""

import re
from collections.abc import Sequence

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.db import Database
from app.errors import BadRequest, Conflict, NotFound
from app.models import now
from app.scope import AccountIdentity, Role
from app.service.tables import Account, AccountSession

SHORTEST_PASSWORD = 10
LONGEST_PASSWORD = 200
_EMAIL = re.compile(r"[^@\s\x00-\x1f]{1,64}@[^@\s\x00-\x1f]{1,180}")
_GROUP = re.compile(r"[a-z][a-z0-9_]{0,59}")
_HASHER = PasswordHasher()  # Argon2id with the library's parameters, which are those of RFC 9106 for little memory
_NOBODYS = _HASHER.hash("nobody has this password")


def create(
    database: Database, *, email: str, name: str, role: Role, password: str, groups: Sequence[str] = ()
) -> Account:
    """The first one is an admin's. Raises `BadRequest` for what is not valid, and `Conflict` for a known e-mail."""
    row = Account(
        email=checked_email(email),
        name=_checked_name(name),
        role=role.value,
        groups=_checked_groups(groups),
        password_hash=hash_of(password),
    )
    try:
        with database.write() as session:
            session.add(row)
            session.flush()
            _require_an_admin(session)
            session.expunge(row)
    except IntegrityError as error:
        raise Conflict(f"{row.email} has an account already.", {"email": row.email}) from error
    return row


def change(
    database: Database,
    account_id: str,
    *,
    name: str | None = None,
    role: Role | None = None,
    groups: Sequence[str] | None = None,
    password: str | None = None,
    disabled: bool | None = None,
) -> Account:
    """Changes what is given. A new password, another role and disabling end every session of the account.

    Raises `NotFound`, `BadRequest`, and `Conflict` when no admin would be left.
    """
    password_hash = None if password is None else hash_of(password)  # before anybody is kept waiting for the row
    with database.write() as session:
        row = session.get(Account, account_id, with_for_update=True)
        if row is None:
            raise NotFound(f"There is no account {account_id!r}.", {"account": account_id})
        if name is not None:
            row.name = _checked_name(name)
        if groups is not None:
            row.groups = _checked_groups(groups)
        if password_hash is not None:
            row.password_hash = password_hash
        if role is not None and role != row.role:
            row.role = role.value
        if disabled is not None:
            row.disabled_at = (row.disabled_at or now()) if disabled else None
        session.flush()
        _require_an_admin(session)
        if password is not None or role is not None or disabled:
            session.execute(delete(AccountSession).where(AccountSession.account_id == row.id))
        session.expunge(row)
    return row


def remove(database: Database, account_id: str) -> None:
    """Raises `NotFound`, and `Conflict` when no admin would be left."""
    with database.write() as session:
        row = session.get(Account, account_id)
        if row is None:
            raise NotFound(f"There is no account {account_id!r}.", {"account": account_id})
        session.delete(row)
        session.flush()
        _require_an_admin(session)


def listed(database: Database) -> list[Account]:
    """By e-mail."""
    with database.read() as session:
        return list(session.scalars(select(Account).order_by(Account.email)))


def named(database: Database, email: str) -> Account:
    """Raises `NotFound`."""
    with database.read() as session:
        row = session.scalars(select(Account).where(Account.email == email.strip().lower())).first()
    if row is None:
        raise NotFound(f"There is no account {email!r}.", {"email": email})
    return row


def exist(database: Database) -> bool:
    """Whether there is any account: from then on nobody gets in without one, or the admin key."""
    with database.read() as session:
        return session.scalar(select(Account.id).limit(1)) is not None


def identity_of(row: Account) -> AccountIdentity:
    return AccountIdentity(row.id, row.name, row.email, Role(row.role), tuple(row.groups))


def hash_of(password: str) -> str:
    """Raises `BadRequest` for a password that is too short or too long."""
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD or not password.strip():
        raise BadRequest(f"A password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters.")
    return _HASHER.hash(password)


def is_right(password: str, row: Account | None) -> bool:
    """Takes as long when there is no such account."""
    try:
        _HASHER.verify(_NOBODYS if row is None else row.password_hash, password)
    except (VerificationError, InvalidHashError):
        return False
    return row is not None


def checked_email(email: str) -> str:
    """In lower case. Raises `BadRequest` for what is none."""
    found = email.strip().lower()
    if _EMAIL.fullmatch(found) is None:
        raise BadRequest(f"{email!r} is no e-mail address.")
    return found


def _checked_name(name: str) -> str:
    found = " ".join(name.split())
    if not 1 <= len(found) <= 100 or not found.isprintable():
        raise BadRequest("A name has 1 to 100 characters that can be printed.")
    return found


def _checked_groups(groups: Sequence[str]) -> list[str]:
    for group in groups:
        if _GROUP.fullmatch(group) is None:
            raise BadRequest(f"{group!r} is no skill group: small letters, digits and _, beginning with a letter.")
    return list(dict.fromkeys(groups))


def _require_an_admin(session: Session) -> None:
    """Else nobody could make accounts any more."""
    active = select(func.count()).where(Account.role == Role.ADMIN.value, Account.disabled_at.is_(None))
    if session.scalar(active) == 0:
        raise Conflict("An installation with accounts needs an admin who can sign in: make one first.")
