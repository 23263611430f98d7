"""A PostgreSQL server that the tests start and throw away: in a temporary folder, on a Unix socket only.

Owns starting and stopping it, as another user where the tests run as root, because PostgreSQL refuses root.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

INSTALL_HINT = (
    "PostgreSQL is not installed: `apt-get install postgresql` (or put its initdb and postgres on the PATH). "
    "To leave these tests out, set ANSWERDESK_TEST_POSTGRES=0."
)

_FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=200", "shared_buffers=64MB")


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A running server. `superuser` is its only role; connections are made over the socket in `folder`."""

    folder: Path
    superuser: str = "answerdesk"

    def create_database(self, template: str | None = None) -> str:
        """Makes a database, empty or like that at the address `template`, which nobody uses; its SQLAlchemy address."""
        name = f"test_{uuid.uuid4().hex}"
        like = _name_in(template) if template else "template1"
        with psycopg.connect(self._address("postgres"), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{like}"')
        return f"postgresql+psycopg://{self.superuser}@/{name}?host={self.folder}"

    def drop_database(self, address: str) -> None:
        with psycopg.connect(self._address("postgres"), autocommit=True) as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{_name_in(address)}" WITH (FORCE)')

    def _address(self, name: str) -> str:
        return f"postgresql://{self.superuser}@/{name}?host={self.folder}"


@contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """A server for as long as the block runs. Raises `RuntimeError` with what to install when there is none."""
    programs = _programs()
    folder = Path(tempfile.mkdtemp(prefix="answerdesk-pg-", dir="/tmp"))  # a socket's path has 107 characters at most
    as_user = _other_user(folder)
    server = PostgresServer(folder)
    try:
        data = folder / "data"
        _run([*as_user, str(programs / "initdb"), "-D", str(data), "-U", server.superuser, "-A", "trust", "-E", "UTF8"])
        options = " ".join(
            f"-c {setting}" for setting in (*_FAST, "listen_addresses=", f"unix_socket_directories={folder}")
        )
        control = [*as_user, str(programs / "pg_ctl"), "-D", str(data), "-w"]
        _run([*control, "-l", str(folder / "log"), "-o", options, "start"])
        try:
            yield server
        finally:
            _run([*control, "-m", "immediate", "stop"])
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _programs() -> Path:
    """The folder of `initdb` and `pg_ctl`: Debian keeps them off the PATH, one folder a version."""
    on_path = shutil.which("pg_ctl")
    candidates = [Path(on_path).resolve().parent] if on_path else []
    versions = Path("/usr/lib/postgresql")
    if versions.is_dir():
        candidates += sorted((each / "bin" for each in versions.iterdir()), key=lambda each: -float(each.parent.name))
    for candidate in candidates:
        if (candidate / "initdb").exists() and (candidate / "pg_ctl").exists():
            return candidate
    raise RuntimeError(INSTALL_HINT)


def _other_user(folder: Path) -> list[str]:
    """What goes in front of a command so that it does not run as root; gives the folder to that user."""
    if os.geteuid() != 0:
        return []
    user = next((name for name in ("postgres", "nobody") if _exists(name)), None)
    if user is None:
        raise RuntimeError("PostgreSQL refuses to run as root, and there is no user postgres or nobody to run it as.")
    account = pwd.getpwnam(user)
    os.chown(folder, account.pw_uid, account.pw_gid)
    return ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]


def _exists(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True


def _run(command: Sequence[str]) -> None:
    # To a file and not a pipe: the server inherits it and would keep a pipe open for ever.
    with tempfile.TemporaryFile() as output:
        finished = subprocess.run(command, stdout=output, stderr=output, cwd="/", check=False)
        output.seek(0)
        if finished.returncode:
            raise RuntimeError(f"{' '.join(command)} failed:\n{output.read().decode(errors='replace')}")


def _name_in(address: str) -> str:
    return address.partition("?")[0].rpartition("/")[2]
