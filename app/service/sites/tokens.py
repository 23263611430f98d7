"""Visitors' tokens: JSON Web Tokens (RFC 7519) that this installation signs and nobody else reads.

Owns their two kinds and what they say. An access token is bound to site, origin, visitor and conversation and holds for
minutes; how often a resume token is good is checked in SQL (`app.service.sites.visitors`). Knows no SQL.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

import jwt

from app.errors import Unauthorized
from app.models import new_id, now
from app.service.sites.secret import key_for

_ALGORITHM = "HS256"  # the only one that is accepted, whatever a token's header says
_ISSUER = "answerdesk"
_CLAIMS = ("iss", "aud", "sub", "exp", "iat", "jti")


@dataclass(frozen=True, slots=True)
class VisitorClaims:
    """What an access token proves. `expires_at` is when it ceases to.

    `resume_hash` is that of the resume token that came with it, or was there before: who bears this one has got it.
    """

    visitor_id: str
    site_id: str
    origin: str
    conversation_id: str
    resume_hash: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class ResumeClaims:
    visitor_id: str
    site_id: str
    origin: str


class TokenSigner:
    """Signs and reads tokens; safe for threads. Reading raises `Unauthorized`, never saying which check failed."""

    def __init__(self, secret: bytes, access_lifetime: timedelta, resume_lifetime: timedelta) -> None:
        self._access_key = key_for(secret, "visitor access")
        self._resume_key = key_for(secret, "visitor resume")
        self._access_lifetime = access_lifetime
        self._resume_lifetime = resume_lifetime

    def access(
        self, visitor_id: str, site_id: str, origin: str, conversation_id: str, resume_hash: str
    ) -> tuple[str, VisitorClaims]:
        """A new access token, and what it proves."""
        expires_at = (now() + self._access_lifetime).replace(microsecond=0)
        bound = {"sub": visitor_id, "aud": site_id, "origin": origin}
        said = {**bound, "conversation": conversation_id, "resume": resume_hash}
        claims = VisitorClaims(visitor_id, site_id, origin, conversation_id, resume_hash, expires_at)
        return _signed(self._access_key, said, expires_at), claims

    def resume(self, visitor_id: str, site_id: str, origin: str) -> str:
        """A new resume token, unlike every other."""
        bound = {"sub": visitor_id, "aud": site_id, "origin": origin}
        return _signed(self._resume_key, bound, now() + self._resume_lifetime)

    def read_access(self, token: str, *, even_expired: bool = False) -> VisitorClaims:
        """`even_expired`: also one that held once, of a page that was asleep."""
        claims = _read(self._access_key, token, even_expired)
        return VisitorClaims(
            visitor_id=str(claims["sub"]),
            site_id=str(claims["aud"]),
            origin=str(claims["origin"]),
            conversation_id=str(claims["conversation"]),
            resume_hash=str(claims["resume"]),
            expires_at=datetime.fromtimestamp(claims["exp"], now().tzinfo),
        )

    def read_resume(self, token: str) -> ResumeClaims:
        claims = _read(self._resume_key, token)
        return ResumeClaims(str(claims["sub"]), str(claims["aud"]), str(claims["origin"]))


def hash_of(token: str) -> str:
    """What is kept of a resume token: who reads the table cannot come back with it."""
    return sha256(token.encode()).hexdigest()


def _signed(key: bytes, bound: dict[str, str], expires_at: datetime) -> str:
    claims = {**bound, "iss": _ISSUER, "iat": now(), "exp": expires_at, "jti": new_id()}
    return jwt.encode(claims, key, algorithm=_ALGORITHM)


def _read(key: bytes, token: str, even_expired: bool = False) -> dict[str, Any]:
    try:
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=[_ALGORITHM],
            issuer=_ISSUER,
            # The audience is compared with the site that it names, which is looked up by it.
            options={"require": list(_CLAIMS), "verify_aud": False, "verify_exp": not even_expired},
        )
    except jwt.InvalidTokenError as error:
        raise Unauthorized("The visitor's token does not hold (any more): begin or resume a session.") from error
    return claims
