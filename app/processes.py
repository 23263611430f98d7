"""`answerdesk run`: the API, a worker and the user interface as child processes of one command.

Owns starting, watching, restarting and stopping them. Knows nothing of what they do.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx

RESTARTS = 5
"""A child that ends this often within `RESTART_WINDOW_S` is given up, and everything is stopped."""

RESTART_WINDOW_S = 60.0
STOP_AFTER_S = 15.0


class PortTaken(Exception):
    """Another program listens on an address that a child needs."""


class ChildGaveUp(Exception):
    """A child keeps ending."""


@dataclass(slots=True)
class Child:
    """One process to keep running; its output goes to `log`."""

    name: str
    command: Sequence[str]
    log: Path
    environment: Mapping[str, str]
    process: subprocess.Popen[bytes] | None = None
    started: list[float] = field(default_factory=list)

    def start(self) -> None:
        self.started = [at for at in self.started if time.monotonic() - at < RESTART_WINDOW_S]
        if len(self.started) >= RESTARTS:
            raise ChildGaveUp(f"The {self.name} process keeps ending. Its last words:\n{self.last_words()}")
        self.started.append(time.monotonic())
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            # A session of its own: Ctrl-C reaches us alone, and we stop the children in order.
            self.process = subprocess.Popen(
                self.command,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env=self.environment,
                start_new_session=True,
            )

    def has_ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def stop(self) -> None:
        """Ends the child's whole process group: politely, then for good, also whoever outlives the child in it."""
        if self.process is None:
            return
        _signal_group(self.process, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):  # it is ended for good below
            self.process.wait(STOP_AFTER_S)
        _signal_group(self.process, signal.SIGKILL)
        self.process.wait()

    def last_words(self, lines: int = 15) -> str:
        text = self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])


def python_child(
    name: str, arguments: Sequence[str], logs: Path, environment: Mapping[str, str] | None = None
) -> Child:
    """A child that runs `python -m ...` of this very environment."""
    return Child(
        name=name,
        command=[sys.executable, "-m", *arguments],
        log=logs / f"{name}.log",
        environment={**os.environ, **(environment or {})},
    )


def require_free_port(host: str, port: int, setting: str) -> None:
    """Raises `PortTaken` with what to do, before anything is started."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise PortTaken(
                f"Cannot listen on {host}:{port} ({error.strerror}). Is Answerdesk running already? "
                f"Otherwise choose another port with {setting}."
            ) from error


def wait_until_answering(
    address: str,
    children: Sequence[Child],
    timeout_s: float = 120.0,
    is_enough: Callable[[httpx.Response], bool] = lambda answer: answer.status_code == httpx.codes.OK,
    headers: Mapping[str, str] | None = None,
) -> None:
    """Waits until `address`, on this machine, answers with what is enough.

    Raises `ChildGaveUp` when a child ends first, time is up, or we are refused: that does not change with time.
    """
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        for child in children:
            if child.has_ended():
                raise ChildGaveUp(f"The {child.name} process ended at its start. Its last words:\n{child.last_words()}")
        try:
            answer = httpx.get(address, headers=headers, timeout=5, trust_env=False)
        except httpx.TransportError:
            time.sleep(0.1)  # not listening yet: that is what we wait for
            continue
        if answer.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            raise ChildGaveUp(
                f"{address} refuses us with status {answer.status_code}: does another program answer there, or was it "
                "started with another ANSWERDESK_SERVER__ADMIN_KEY?"
            )
        if is_enough(answer):
            return
        time.sleep(0.1)
    raise ChildGaveUp(f"{address} did not answer within {timeout_s:.0f} seconds.")


def keep_running(
    children: Sequence[Child],
    stopping: Callable[[], bool],
    report: Callable[[str], None],
    look: Callable[[], None] | None = None,
) -> None:
    """Restarts children that end, until `stopping()`; raises `ChildGaveUp` when one keeps ending.

    `look` is called as often as the children are looked at, for what else there is to watch.
    """
    while not stopping():
        restart_ended(children, report)
        if look is not None:
            look()
        time.sleep(0.2)


def restart_ended(children: Sequence[Child], report: Callable[[str], None]) -> None:
    """Looks once at every child; raises `ChildGaveUp` when one keeps ending."""
    for child in children:
        if child.process is not None and child.process.poll() is not None:
            report(f"The {child.name} process ended with status {child.process.returncode}; starting it again.")
            child.start()


def stop_all(children: Sequence[Child]) -> None:
    """Stops the last started first: the interface, the worker, then the API."""
    for child in reversed(children):
        child.stop()


def _signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return  # it has ended by itself
