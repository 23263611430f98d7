"""The product's processes, kept running as a service manager would, and killed when told.

Owns starting, restarting and killing them, and what is known of their ends: one that ends by itself is a fault of the
product. Knows no requests.
"""

import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import app
from tests.crash.plan import Kill, Step, Victim

ROOT = Path(app.__file__).resolve().parent.parent
_LOOK_S = 0.02
_STOP_S = 20.0
_COMMAND_S = 120.0


class Processes:
    """One API and some workers. Use it as a context: at its end everything is stopped."""

    def __init__(self, folder: Path, environment: Mapping[str, str], workers: int) -> None:
        self.faults: list[str] = []
        self.kills: Counter[str] = Counter()
        self.restarts = 0
        self._orders = folder / "orders"
        self._logs = folder / "logs"
        self._temporary = folder / "tmp"
        for each in (self._orders, self._logs, self._temporary):
            each.mkdir(parents=True)
        self._environment = {
            **os.environ,
            **environment,
            "PYTHONPATH": str(ROOT),
            "TMPDIR": str(self._temporary),
            "CRASH_ORDERS": str(self._orders),
        }
        self._commands = {"api": [Victim.API, "serve"]}
        self._commands |= {f"worker-{number}": [Victim.WORKER, "worker"] for number in range(workers)}
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._lock = threading.Lock()
        self._is_stopping = threading.Event()
        self._watch = threading.Thread(target=self._restart_killed, daemon=True)
        self._order: tuple[int, Kill] | None = None
        self._order_number = 0

    def __enter__(self) -> "Processes":
        self.start()
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        for name in self._commands:
            self._start(name)

    def stop(self) -> None:
        """Politely; what does not end by itself is killed and counted as a fault."""
        self._is_stopping.set()
        self._watch.join()
        for process in self._running.values():
            process.send_signal(signal.SIGTERM)
        for name, process in self._running.items():
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                self.faults.append(f"{name} did not end when told to")
                process.kill()
                process.wait()
        self._running.clear()

    def order(self, kill: Kill) -> None:
        """Sees to it that the victim dies: at its step, or from outside when the next kill is due before that."""
        self.finish_order()
        self._order_number += 1
        self._order = (self._order_number, kill)
        if kill.step is Step.MOMENT:
            threading.Timer(kill.nth / 1000, self._kill_from_outside, [self._order_number]).start()
            return
        written = self._orders / "new"
        written.write_text(json.dumps({"id": self._order_number, "step": kill.step, "nth": kill.nth}))
        written.rename(self._orders / f"{kill.victim}.json")

    def finish_order(self) -> None:
        """Returns when the last ordered kill has been done."""
        if self._order is None:
            return
        number, kill = self._order
        if (self._orders / f"{number}.obeyed").exists():
            self.kills[f"{kill.victim} at {kill.step}"] += 1
            self._order = None
        else:
            self._kill_from_outside(number)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command of the command line, to its end; nobody kills it."""
        command = [sys.executable, "-m", "tests.crash.product", "nobody", *arguments]
        return subprocess.run(
            command,
            env=self._environment,
            cwd=self._temporary,
            capture_output=True,
            text=True,
            timeout=_COMMAND_S,
            check=False,
        )

    def last_words(self) -> str:
        """The end of each log, for whoever looks into a failure."""
        ends = []
        for path in sorted(self._logs.iterdir()):
            ends.append(f"--- {path.name}\n{path.read_text(errors='replace')[-4000:]}")
        return "\n".join(ends)

    def log_lines(self) -> Iterator[str]:
        for path in sorted(self._logs.iterdir()):
            yield from path.read_text(errors="replace").splitlines()

    def _start(self, name: str) -> None:
        victim, *arguments = self._commands[name]
        with (self._logs / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                [sys.executable, "-m", "tests.crash.product", victim, *arguments],
                env=self._environment,
                cwd=self._temporary,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _restart_killed(self) -> None:
        while not self._is_stopping.wait(_LOOK_S):
            with self._lock:
                for name, process in self._running.items():
                    status = process.poll()
                    if status is None:
                        continue
                    if status != -signal.SIGKILL:
                        self.faults.append(f"{name} ended by itself with status {status}")
                    self.restarts += 1
                    self._start(name)

    def _kill_from_outside(self, number: int) -> None:
        """The victim of this order, unless it has been obeyed meanwhile."""
        with self._lock:
            if self._order is None or self._order[0] != number:
                return
            _, kill = self._order
            self._order = None
            (self._orders / f"{kill.victim}.json").unlink(missing_ok=True)
            if (self._orders / f"{number}.obeyed").exists():
                self.kills[f"{kill.victim} at {kill.step}"] += 1
                return
        victim = kill.victim
        if victim is Victim.PARSER and not self._pids(victim):
            victim = Victim.WORKER  # a worker that has read nothing yet has no parser
        self.kills[f"{victim} from outside"] += 1
        pids = self._pids(victim)
        with suppress(ProcessLookupError):  # it is just being started again: dead enough
            os.kill(random.Random(number).choice(pids), signal.SIGKILL)

    def _pids(self, victim: Victim) -> list[int]:
        role = Victim.API if victim is Victim.API else Victim.WORKER
        with self._lock:
            pids = [each.pid for name, each in self._running.items() if self._commands[name][0] == role]
        if victim is not Victim.PARSER:
            return pids
        return [child for pid in pids for child in children_of(pid)]


def children_of(pid: int) -> list[int]:
    """Linux' proc(5)."""
    children: list[int] = []
    for thread in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children += map(int, thread.read_text().split())
        except OSError:
            continue  # the thread has ended
    return children


def processes_in(folder: Path) -> list[int]:
    """Processes whose working directory lies in `folder`."""
    found = []
    for link in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if os.readlink(link).startswith(str(folder)):
                found.append(int(link.parent.name))
        except OSError:
            continue  # it has ended, or is not ours
    return found
