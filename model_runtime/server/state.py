"""What is known of the runtime of an installation: the folder `runtime` with its state, log and lock.

Owns the files and what they mean to a reader. The supervisor alone writes the state while it lives.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from filelock import FileLock

from model_runtime.server.processes import Identity, boot_id, processes_of

_TAIL_BYTES = 256 * 1024
_LARGEST_LOG_BYTES = 64 * 1024 * 1024


class State(StrEnum):
    STARTING = "starting"
    READY = "ready"
    RESTARTING = "restarting"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"
    LOST = "lost"  # never written: the supervisor died without a word


LIVE = frozenset({State.STARTING, State.READY, State.RESTARTING, State.STOPPING})


@dataclass(frozen=True)
class Status:
    """One runtime as last written. `since`: when it came into this state. `model`: the name it is served under;
    `source`: its folder or hub id. `mark`: what its processes inherit."""

    state: State
    since: str
    model: str = ""
    source: str = ""
    device: str = ""
    address: str = ""
    restarts: int = 0
    last_error: str = ""
    mark: str = ""
    boot: str = ""
    supervisor: Identity | None = None
    server: Identity | None = None
    ready_after_s: float | None = None
    log: str = ""

    def processes(self) -> list[int]:
        """Numbers of the server's processes that live, workers included."""
        return processes_of(self.server, self.mark) if self.boot == boot_id() else []

    def to_json(self) -> dict[str, Any]:
        """For people's programs: flat, without what only we need."""
        shown = asdict(self)
        for hidden in ("mark", "boot", "supervisor", "server"):
            del shown[hidden]
        return {
            **shown,
            "supervisor_pid": self.supervisor.pid if self.supervisor else None,
            "server_pid": self.server.pid if self.server else None,
            "processes": self.processes(),
        }


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


class RuntimeFolder:
    """The folder `path`, readable by its owner alone: a log may quote questions."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.log = path / "vllm.log"
        self._state = path / "state.json"

    def prepare(self) -> None:
        """Makes the folder; a large log of earlier runs is put aside."""
        self.path.mkdir(parents=True, exist_ok=True)
        self.path.chmod(0o700)
        if self.log.exists() and self.log.stat().st_size > _LARGEST_LOG_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))

    def lock(self) -> FileLock:
        """Held by the supervisor for as long as it lives; the system lets go of it when the process ends."""
        return FileLock(self.path / "lock", mode=0o600)

    def write(self, status: Status) -> None:
        partial = self._state.with_suffix(f".{os.getpid()}")
        partial.write_text(json.dumps(asdict(status), indent=2) + "\n", encoding="utf-8")
        partial.replace(self._state)

    def read(self) -> Status:
        """The state now: `lost` when a live one was written and its supervisor is gone."""
        try:
            written = json.loads(self._state.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return Status(State.STOPPED, since="", log=str(self.log))
        for name in ("supervisor", "server"):
            written[name] = Identity(**written[name]) if written[name] else None
        status = Status(**{**written, "state": State(written["state"])})
        if status.state not in LIVE or self._is_supervised(status):
            return status
        return replace(status, state=State.LOST, last_error="The supervisor ended without a word (killed?).")

    def last_words(self, lines: int = 15, since: int = 0) -> str:
        """The last lines of the log, of what was written after its first `since` bytes."""
        if not self.log.exists():
            return ""
        with self.log.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(since if since <= size else 0, size - _TAIL_BYTES))
            text = log.read().decode("utf-8", errors="replace")
        return "\n".join(text.splitlines()[-lines:])

    def follow(self, stopping: Callable[[], bool], pause_s: float = 0.2) -> Iterator[str]:
        """What is written to the log from now on, until `stopping()`; goes on in a new file where the old was put
        aside."""
        position = self.log.stat().st_size if self.log.exists() else 0
        while not stopping():
            if self.log.exists():
                size = self.log.stat().st_size
                position = position if position <= size else 0
                with self.log.open("rb") as log:
                    log.seek(position)
                    text = log.read()
                position += len(text)
                if text:
                    yield text.decode("utf-8", errors="replace")
                    continue
            time.sleep(pause_s)

    def _is_supervised(self, status: Status) -> bool:
        return status.boot == boot_id() and status.supervisor is not None and status.supervisor.is_alive()
