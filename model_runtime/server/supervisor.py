"""The process that keeps one model server running: `python -m model_runtime.server.supervisor`, with a `Task` as JSON
on its standard input (the environment in it may hold a key, which a command line would show to everyone).

Owns the life of the server: start, wait until ready, watch, restart with a growing pause, give up, stop. A first start
that fails is not tried again: a wrong setting stays wrong. Knows no option of vLLM.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import httpx
from filelock import Timeout

from model_runtime.server.processes import MARK, boot_id, end_processes, engine_processes, identify
from model_runtime.server.state import RuntimeFolder, State, Status, now

ALREADY_RUNNING = 3
"""Exit status when another supervisor holds the lock."""

_CHECK_EVERY_S = 0.5
_CHECK_TIMEOUT_S = 1.5
_AFTER_FAILURE_S = 0.5  # a server that failed has nothing to finish, and readers wait for the next one


@dataclass(frozen=True)
class Task:
    """What to keep running. `environment` is all of the server's; `health` is empty where it answers no HTTP."""

    folder: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    address: str
    health: str
    model: str
    source: str
    device: str
    ready_timeout_s: float
    restarts: int
    first_pause_s: float
    longest_pause_s: float
    steady_after_s: float
    silent_after_s: float
    stop_within_s: float

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Task:
        fields: dict[str, Any] = json.loads(text)
        return cls(**{**fields, "command": tuple(fields["command"])})


class Supervisor:
    """Runs in a process of its own, for the life of one runtime."""

    def __init__(self, task: Task, stopping: threading.Event) -> None:
        self._task = task
        self._stopping = stopping
        self._folder = RuntimeFolder(Path(task.folder))
        self._server: subprocess.Popen[bytes] | None = None
        self._log_start = 0
        # One client, for making one costs 30 ms; no proxy of the environment, for the server is on this machine.
        self._client = httpx.Client(
            timeout=_CHECK_TIMEOUT_S, trust_env=False, limits=httpx.Limits(max_keepalive_connections=0)
        )
        self._status = Status(
            State.STARTING,
            since=now(),
            model=task.model,
            source=task.source,
            device=task.device,
            address=task.address,
            mark=uuid.uuid4().hex,
            boot=boot_id(),
            supervisor=identify(os.getpid()),
            log=str(self._folder.log),
        )

    def run(self) -> None:
        """Until told to stop or until it gives up; leaves no process of the server behind."""
        try:
            self._keep_running()
        except BaseException:
            end_processes(self._status.server, self._status.mark, within_s=0)
            raise

    def _keep_running(self) -> None:
        failures = 0
        self._write(State.STARTING)
        while not self._stopping.is_set():
            self._start()
            error = self._wait_until_ready()
            was_ready = time.monotonic()
            if not error and not self._stopping.is_set():
                self._write(State.READY)
                error = self._watch()
            failures = 1 if time.monotonic() - was_ready >= self._task.steady_after_s else failures + 1
            error = self._end_server(error)
            if self._status.state is State.FAILED:
                return
            if error and (self._status.ready_after_s is None or failures > self._task.restarts):
                self._give_up(error, failures)
                return
            if error:
                self._pause(failures)
        self._write(State.STOPPED)

    def _start(self) -> None:
        self._log_start = self._folder.log.stat().st_size if self._folder.log.exists() else 0
        with open(os.open(self._folder.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab") as log:
            self._server = subprocess.Popen(
                self._task.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**self._task.environment, MARK: self._status.mark},
                start_new_session=True,
            )
        # Before anything else: whoever stops a runtime whose supervisor was killed needs to know the server.
        self._write(self._status.state, server=identify(self._server.pid))

    def _wait_until_ready(self) -> str:
        """Empty once it is ready, or when told to stop; else what went wrong."""
        began = time.monotonic()
        while not self._stopping.is_set():
            ended = self._end_of_server()
            if ended:
                return f"The server ended at its start ({ended})."
            if not self._task.health or self._health() == httpx.codes.OK:
                self._status = replace(self._status, ready_after_s=round(time.monotonic() - began, 1))
                return ""
            if time.monotonic() - began > self._task.ready_timeout_s:
                return f"The server was not ready within {self._task.ready_timeout_s:g} seconds."
            self._stopping.wait(_CHECK_EVERY_S)
        return ""

    def _watch(self) -> str:
        """Returns what happened to a server that was ready; empty when told to stop."""
        answered = time.monotonic()
        engine = engine_processes(self._status.server, self._status.mark)
        while not self._stopping.wait(_CHECK_EVERY_S):
            ended = self._end_of_server()
            if ended:
                return f"The server ended ({ended})."
            if gone := [process.pid for process in engine if not process.is_alive()]:
                # vLLM itself takes ten seconds to notice, and its readers wait as long.
                return f"The process {gone[0]} of the model's engine ended."
            if not self._task.health:
                continue
            status = self._health()
            if status is not None and status >= 500:  # vLLM's word for "my engine is dead"
                return f"The server says that it is out of order (status {status})."
            if status is not None:
                answered = time.monotonic()
            elif time.monotonic() - answered > self._task.silent_after_s:
                return f"The server answered no health check for {self._task.silent_after_s:g} seconds."
        return ""

    def _health(self) -> int | None:
        """The status of the health check; None when nothing answered."""
        try:
            return self._client.get(self._task.health).status_code
        except httpx.TransportError:
            return None

    def _end_of_server(self) -> str:
        assert self._server is not None
        code = self._server.poll()
        if code is None:
            return ""
        return f"signal {-code}, {signal.strsignal(-code)}" if code < 0 else f"status {code}"

    def _end_server(self, error: str) -> str:
        """Ends all its processes; returns `error` with the server's last words. `failed` when some cannot be ended."""
        assert self._server is not None
        stopped = self._stopping.is_set()
        last_words = self._folder.last_words(since=self._log_start)
        if error and not stopped:
            error = f"{error} Its last words:\n{last_words}" if last_words else error
        self._write(State.STOPPING if stopped else self._after_failure(), last_error=error or self._status.last_error)
        within = self._task.stop_within_s if stopped else min(self._task.stop_within_s, _AFTER_FAILURE_S)
        left = end_processes(self._status.server, self._status.mark, within)
        if left:
            self._write(State.FAILED, last_error=f"The processes {left} could not be ended. {error}")
            return error
        self._server.wait()
        self._write(self._status.state, server=None)
        return "" if stopped else error

    def _after_failure(self) -> State:
        return State.STARTING if self._status.ready_after_s is None else State.RESTARTING

    def _pause(self, failures: int) -> None:
        self._write(State.RESTARTING, restarts=self._status.restarts + 1)
        self._stopping.wait(min(self._task.first_pause_s * 2 ** (failures - 1), self._task.longest_pause_s))

    def _give_up(self, error: str, failures: int) -> None:
        gave_up = f"Given up after {failures - 1} restarts in a row. " if self._status.ready_after_s is not None else ""
        self._write(State.FAILED, last_error=gave_up + error)

    def _write(self, state: State, **changes: Any) -> None:
        since = self._status.since if state is self._status.state else now()
        self._status = replace(self._status, state=state, since=since, **changes)
        self._folder.write(self._status)


def main() -> int:
    """Returns 0 after a stop, 1 after giving up, `ALREADY_RUNNING` when there is another."""
    task = Task.from_json(sys.stdin.read())
    folder = RuntimeFolder(Path(task.folder))
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    try:
        with folder.lock().acquire(timeout=0):
            Supervisor(task, stopping).run()
    except Timeout:
        return ALREADY_RUNNING
    return 0 if folder.read().state is State.STOPPED else 1


if __name__ == "__main__":
    sys.exit(main())
