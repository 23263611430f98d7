"""The processes of a runtime: which they are, whether they live, and ending every one of them. Linux only (/proc).

A server's processes are found in four ways, because no single one is enough: by the process group and the session it
was started in, by a mark in their environment (a process that changes its title may overwrite it), and as descendants
of one so found. Knows nothing of vLLM.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

MARK = "ANSWERDESK_RUNTIME_MARK"
"""Name of the environment variable that a runtime's processes inherit."""

_PROC = Path("/proc")
_KILL_WITHIN_S = 10.0
_ENGINE_NAME = "VLLM::"


@dataclass(frozen=True)
class Identity:
    """A process that cannot be taken for a later one of the same number: `ticks` is when it began, since boot."""

    pid: int
    ticks: int

    def is_alive(self) -> bool:
        """Whether it runs still; a zombie does not."""
        found = _read_process(self.pid)
        return found is not None and found.ticks == self.ticks and found.state != "Z"


@dataclass(frozen=True)
class _Process:
    pid: int
    name: str
    state: str
    parent: int
    group: int
    session: int
    ticks: int


def identify(pid: int) -> Identity:
    """Raises `ProcessLookupError` when there is no such process."""
    found = _read_process(pid)
    if found is None:
        raise ProcessLookupError(f"there is no process {pid}")
    return Identity(pid, found.ticks)


def boot_id() -> str:
    """Changes when the machine starts anew: process numbers from before mean nothing."""
    return (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def processes_of(leader: Identity | None, mark: str) -> list[int]:
    """Process numbers of all that live of the server led by `leader` and marked `mark`; never this process's own."""
    processes = {process.pid: process for process in _all_processes() if process.state != "Z"}
    found = {pid for pid in processes if mark and _has_mark(pid, mark)}
    if leader is not None and not _was_taken_over(leader, processes):
        found |= {process.pid for process in processes.values() if leader.pid in (process.group, process.session)}
    grew = True
    while grew:
        more = {process.pid for process in processes.values() if process.parent in found} - found
        found |= more
        grew = bool(more)
    return sorted(found - {os.getpid()})


def engine_processes(leader: Identity | None, mark: str) -> list[Identity]:
    """Those of the server's processes that vLLM calls its engine and workers: when one ends, no answer comes any more.

    vLLM names them "VLLM::..." where it can; where it cannot, there are none. Other helpers may come and go.
    """
    found = (_read_process(pid) for pid in processes_of(leader, mark))
    return [Identity(process.pid, process.ticks) for process in found if process and _is_of_engine(process)]


def end_processes(leader: Identity | None, mark: str, within_s: float) -> list[int]:
    """Ends all that `processes_of` finds: SIGTERM, and SIGKILL after `within_s` seconds. Returns who is left."""
    _signal(processes_of(leader, mark), signal.SIGTERM)
    deadline = time.monotonic() + within_s
    while processes_of(leader, mark) and time.monotonic() < deadline:
        time.sleep(0.05)
    deadline = time.monotonic() + _KILL_WITHIN_S
    # Repeated, because what is killed may have started another process meanwhile.
    while (left := processes_of(leader, mark)) and time.monotonic() < deadline:
        _signal(left, signal.SIGKILL)
        time.sleep(0.05)
    return left


def _signal(pids: Iterable[int], number: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):  # it has ended by itself
            os.kill(pid, number)


def _was_taken_over(leader: Identity, processes: dict[int, _Process]) -> bool:
    """Whether another process has the leader's number now: then its group is not ours."""
    now = processes.get(leader.pid)
    return now is not None and now.ticks != leader.ticks


def _is_of_engine(process: _Process) -> bool:
    return process.name.startswith(_ENGINE_NAME)


def _has_mark(pid: int, mark: str) -> bool:
    try:
        environment = (_PROC / str(pid) / "environ").read_bytes()
    except OSError:  # it has ended, or is another user's
        return False
    return f"{MARK}={mark}".encode() in environment.split(b"\0")


def _all_processes() -> list[_Process]:
    numbers = [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdecimal()]
    return [process for number in numbers if (process := _read_process(number)) is not None]


def _read_process(pid: int) -> _Process | None:
    """From /proc/PID/stat (proc_pid_stat(5)); the name, second, may hold blanks and brackets."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    begin, _, rest = text.rpartition(")")
    fields = rest.split()
    return _Process(
        pid, begin.partition("(")[2], fields[0], int(fields[1]), int(fields[2]), int(fields[3]), int(fields[19])
    )
