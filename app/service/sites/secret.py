"""The installation's own secret, with which visitors' tokens are signed.

Owns where it comes from: a setting, or a file that is made once and that nobody else may read. Knows no tokens.
"""

import hmac
import os
import secrets
import stat
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from app.errors import Unavailable
from app.settings import Settings

FILE = "token.secret"
_BYTES = 32


def installation_secret(settings: Settings) -> bytes:
    """The setting's, else the file's, which is made when there is none; of several processes all get the same.

    Raises `Unavailable` when the file cannot be made or read, is too short, or is open to others.
    """
    given = settings.server.token_secret
    if given is not None:
        return given.get_secret_value().encode()
    path = settings.home_folder / FILE
    try:
        if not path.exists():
            _make(path)
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise Unavailable(f"{FILE} in ANSWERDESK_HOME can be read by others: chmod 600, or delete it to change it.")
        secret = path.read_bytes()
    except OSError as error:
        raise Unavailable(f"{FILE} in ANSWERDESK_HOME cannot be used: {error.strerror or error}.") from error
    if len(secret) < _BYTES:
        raise Unavailable(f"{FILE} in ANSWERDESK_HOME is damaged: delete it, and visitors begin anew.")
    return secret


def key_for(secret: bytes, purpose: str) -> bytes:
    """A key of its own for each purpose, 32 bytes, so that nothing signed for one passes for another."""
    return hmac.digest(secret, purpose.encode(), sha256)


def _make(path: Path) -> None:
    """Written beside and linked into place, whole: who comes second finds the first one's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{FILE}.{secrets.token_hex(8)}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(_BYTES))
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(beside, path)
    finally:
        beside.unlink()
