"""The flow files of an installation: which there are, what is wrong with them, and every version that was good.

Owns the folder and the table `flow_version`. A changed file is read when a flow is next asked for; one with mistakes is
reported, and the last good version goes on answering, also after a restart. Knows no conversations.
"""

import logging
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import RLock
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from app.db import Database
from app.errors import BadRequest, NotFound
from app.models import now
from app.service.flows.checks import checked
from app.service.flows.errors import BadFlow, FlowProblem
from app.service.flows.source import LARGEST
from app.service.flows.version import Version, digest_of
from app.service.tables import FlowVersion

_LOG = logging.getLogger(__name__)

SUFFIX = ".yaml"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,59}")
_MOST_FILES = 200

_Seen = tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """A flow: what answers, if anything does, and what is wrong with the file as it is now."""

    name: str
    version: Version | None
    problems: tuple[FlowProblem, ...] = ()


class Library:
    """Safe for threads, and for processes that share the folder and the database."""

    def __init__(self, folder: Path, database: Database) -> None:
        """A folder that is not there holds no flows."""
        self.folder = folder
        self._database = database
        self._lock = RLock()
        self._seen: _Seen | None = None
        self._entries: dict[str, Entry] = {}
        self._versions: dict[tuple[str, str], Version] = {}

    def names(self) -> tuple[str, ...]:
        """Those that can be begun."""
        return tuple(entry.name for entry in self.entries() if entry.version is not None)

    def entries(self) -> list[Entry]:
        """One a file, by name, as the folder is now."""
        seen = self._files()
        with self._lock:
            if seen != self._seen:
                self._entries = {name: self._entry(name) for name, *_ in seen}
                self._seen = seen
            return [self._entries[name] for name in sorted(self._entries)]

    def current(self, name: str) -> Version:
        """What a new conversation begins. Raises `NotFound`."""
        found = next((entry.version for entry in self.entries() if entry.name == name), None)
        if found is None:
            raise NotFound(f"There is no flow {name!r} that could begin.", {"flow": name})
        return found

    def version(self, state: Mapping[str, Any]) -> Version | None:
        """The very version that a conversation is in; None when it cannot be read any more."""
        key = (str(state.get("name")), str(state.get("digest")))
        with self._lock:
            if key not in self._versions and (kept := self._kept(*key)) is not None:
                self._versions[key] = kept
            return self._versions.get(key)

    def source(self, name: str) -> str:
        """The file as it is. Raises `NotFound`."""
        path = self._path(name)
        if not path.is_file():
            raise NotFound(f"There is no flow {name!r}.", {"flow": name})
        return path.read_text(encoding="utf-8", errors="replace")

    def save(self, name: str, source: str) -> Entry:
        """Writes the file, whole or not at all. Raises `BadFlow` when it has mistakes: nothing is written then."""
        path = self._path(name)
        checked(path.name, source)
        self.folder.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{path.name}.{os.getpid()}.{id(source):x}")
        try:
            beside.write_text(source, encoding="utf-8", newline="")
            os.replace(beside, path)
        finally:
            beside.unlink(missing_ok=True)
        return next(entry for entry in self.entries() if entry.name == name)

    def delete(self, name: str) -> None:
        """Removes the file: nobody begins the flow any more, who is in it goes on. Raises `NotFound`."""
        try:
            self._path(name).unlink()
        except FileNotFoundError as error:
            raise NotFound(f"There is no flow {name!r}.", {"flow": name}) from error

    def versions(self, name: str) -> list[FlowVersion]:
        """Every good version there was, newest first."""
        query = select(FlowVersion).where(FlowVersion.name == name).order_by(FlowVersion.created_at.desc())
        with self._database.read() as session:
            return list(session.scalars(query))

    def _path(self, name: str) -> Path:
        """Of a name that can be no way out of the folder. Raises `BadRequest`."""
        if not _NAME.fullmatch(name):
            raise BadRequest(f"{name!r} is no name for a flow: small letters, digits and _, beginning with a letter.")
        return self.folder / f"{name}{SUFFIX}"

    def _files(self) -> _Seen:
        """The files by name, with what changes when they are written."""
        found = []
        try:
            with os.scandir(self.folder) as folder:
                for each in folder:
                    name = each.name.removesuffix(SUFFIX)
                    if each.name.endswith(SUFFIX) and not name.startswith(".") and each.is_file():
                        stat = each.stat()
                        found.append((name, stat.st_mtime_ns, stat.st_size, stat.st_ino))
        except FileNotFoundError:
            return ()
        return tuple(sorted(found)[:_MOST_FILES])

    def _entry(self, name: str) -> Entry:
        file = f"{name}{SUFFIX}"
        try:
            if not _NAME.fullmatch(name):
                reason = "a flow's file is named with small letters, digits and _, beginning with a letter"
                raise BadFlow([FlowProblem(file, 1, "", reason)])
            source = _read(self.folder / file)
            version = Version(name, digest_of(source), checked(file, source))
        except BadFlow as error:
            _LOG.error("A flow file has mistakes, what was there before goes on answering:\n%s", error)
            return Entry(name, self._last_good(name), error.problems)
        self._keep(version, source)
        self._versions[name, version.digest] = version
        return Entry(name, version)

    def _keep(self, version: Version, source: str) -> None:
        """Writes the version down, as the newest of its name, before anybody begins it."""
        known = self.versions(version.name)
        if known and known[0].digest == version.digest:
            return
        try:
            with self._database.write() as session:
                row = session.scalars(
                    select(FlowVersion).where(FlowVersion.name == version.name, FlowVersion.digest == version.digest)
                ).first()
                if row is not None:
                    row.created_at = now()
                else:
                    session.add(FlowVersion(name=version.name, digest=version.digest, source=source))
        except IntegrityError:
            _LOG.debug("Another process wrote the same version of %s down.", version.name)

    def _last_good(self, name: str) -> Version | None:
        for row in self.versions(name):
            if (version := _checked_again(row)) is not None:
                return version
        return None

    def _kept(self, name: str, digest: str) -> Version | None:
        query = select(FlowVersion).where(FlowVersion.name == name, FlowVersion.digest == digest)
        with self._database.read() as session:
            row = session.scalars(query).first()
        return None if row is None else _checked_again(row)


def _checked_again(row: FlowVersion) -> Version | None:
    """A version as it was written down; None when the rules have changed so that it is none any more."""
    try:
        return Version(row.name, row.digest, checked(f"{row.name}{SUFFIX}", row.source))
    except BadFlow as error:
        _LOG.error("An earlier version of a flow can no longer be read:\n%s", error)
        return None


def _read(path: Path) -> str:
    """The file's text. Raises `BadFlow` for what cannot be one."""
    try:
        with path.open("rb") as file:
            return file.read(LARGEST + 1).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadFlow([FlowProblem(path.name, 1, "", f"cannot be read: {error}")]) from error
