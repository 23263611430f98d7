"""One parser process as its parent holds it: started, asked, listened to, killed.

Owns the pipes, the environment and the end of the process (`ingestion.confined.child`). Does not know what is worth
waiting for; `ingestion.confined.sandbox` decides that.
"""

import os
import resource
import select
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from ingestion.confined.child_frames import (
    HEADER,
    BadFrame,
    Kind,
    Request,
    decode,
    draw_frame,
    read_header,
    request_frame,
)
from ingestion.confined.scratch import ScratchFolder
from ingestion.shown.page_request import DrawRequest

CHILD = "ingestion.confined.child"
_ROOT = Path(__file__).resolve().parents[2]
_KEPT_VARIABLES = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "OMP_NUM_THREADS")
"""Nothing else of the environment reaches the child: it may hold keys and database addresses."""

_READ_AT_ONCE = 1 << 20
_WRITTEN_AT_ONCE = select.PIPE_BUF  # a pipe that can be written to has room for so much: poll(2)
_PIPE_BYTES = 1 << 20  # so much is parsed ahead while earlier pages are embedded
_F_SETPIPE_SZ = 1031  # fcntl(2), Linux
_SECONDS_TO_EXIT = 2.0
_SECONDS_TO_LISTEN = 30.0  # as long may a request wait in the pipe until the process takes it
_HAS_ENDED = os.WEXITED | os.WNOHANG | os.WNOWAIT
_RSS_UNITS_A_MB = 2**20 if sys.platform == "darwin" else 2**10  # getrusage(2): bytes there, kilobytes elsewhere
_NEARLY = 0.75  # of the memory limit: a process that dies with so much died of it


class ChildEnded(Exception):
    """The process is gone. The message is the reason in words that go on after "the parser".

    `is_foreign`: somebody else killed it, or it never began, so that nothing is known about the file.
    """

    def __init__(self, reason: str, *, is_foreign: bool = False) -> None:
        super().__init__(reason)
        self.is_foreign = is_foreign


class ParserProcess:
    """Starts at once; the caller must `kill` it. On Linux it dies with the thread that made it."""

    def __init__(self, memory_mb: int, file_bytes: int) -> None:
        self.memory_mb = memory_mb
        self.file_bytes = file_bytes
        self.files = 0
        self._folder = ScratchFolder()
        environment = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
        environment |= {"PYTHONPATH": str(_ROOT), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUTF8": "1"}
        environment |= {"TMPDIR": str(self._folder.path), "HOME": str(self._folder.path)}
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", CHILD, str(memory_mb * 2**20), str(file_bytes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            cwd=self._folder.path,
            env=environment,
            start_new_session=True,
        )
        # Between fork and exec the child counts as large as we are, and wait4(2) remembers it.
        self._peak_at_birth = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._requests, self._answers = self._process.stdin, self._process.stdout
        if sys.platform == "linux":
            import fcntl

            fcntl.fcntl(self._answers, _F_SETPIPE_SZ, _PIPE_BYTES)
        os.set_blocking(self._requests.fileno(), False)
        self._poll, self._room = select.poll(), select.poll()
        self._poll.register(self._answers, select.POLLIN)
        self._room.register(self._requests, select.POLLOUT)
        self._received = bytearray()

    @property
    def pid(self) -> int:
        return self._process.pid

    def is_alive(self) -> bool:
        """Whether it can be asked again. One that died meanwhile is cleaned up."""
        if self._process.returncode is None and os.waitid(os.P_PID, self.pid, _HAS_ENDED) is not None:
            self.kill()
        return self._process.returncode is None

    def ask(self, request: Request | DrawRequest) -> None:
        """Raises `ChildEnded`."""
        self.files += 1
        self._send(draw_frame(request) if isinstance(request, DrawRequest) else request_frame(request))

    def stop(self) -> None:
        """Asks the child to leave its file; it answers with DONE after the page at hand. Raises `ChildEnded`."""
        self._send(HEADER.pack(Kind.STOP.value, 4) + b"null")

    def receive(self, wait_s: float) -> tuple[Kind, Any] | None:
        """The next frame, or None if none has come whole after `wait_s` seconds. Raises `ChildEnded`."""
        try:
            while (frame := self._next_frame()) is None:
                if not self._poll.poll(1000 * wait_s):
                    return None
                some = os.read(self._answers.fileno(), _READ_AT_ONCE)
                if not some:
                    raise self._ended()
                self._received += some
            return frame
        except BadFrame as error:
            self.kill()
            raise ChildEnded(f"sent what nobody can read: {error}") from error

    def kill(self) -> None:
        """Ends the process with all that it may have started, and removes what it left on disk."""
        if self._process.returncode is None:
            self._reap(patience_s=0.0)
        self._folder.remove()

    def _send(self, frame: bytes) -> None:
        end = monotonic() + _SECONDS_TO_LISTEN
        left = memoryview(frame)
        try:
            while left:
                if not self._room.poll(1000 * max(0.0, end - monotonic())):
                    self.kill()
                    reason = f"had not taken its request after {_SECONDS_TO_LISTEN:g} seconds"
                    raise ChildEnded(reason, is_foreign=True)
                left = left[os.write(self._requests.fileno(), left[:_WRITTEN_AT_ONCE]) :]
        except BrokenPipeError:
            raise self._ended() from None

    def _next_frame(self) -> tuple[Kind, Any] | None:
        if len(self._received) < HEADER.size:
            return None
        kind, length = read_header(bytes(self._received[: HEADER.size]))
        end = HEADER.size + length
        if len(self._received) < end:
            return None
        payload = bytes(self._received[HEADER.size : end])
        del self._received[:end]
        return kind, decode(kind, payload)

    def _ended(self) -> ChildEnded:
        """Why the process has closed its pipe. It is gone afterwards."""
        code, peak, was_killed = self._reap(_SECONDS_TO_EXIT)
        self._folder.remove()
        if was_killed:
            return ChildEnded("stopped answering")
        is_own = peak > self._peak_at_birth
        if code < 0 and is_own and peak // _RSS_UNITS_A_MB >= _NEARLY * self.memory_mb:
            return ChildEnded(f"needed more than {self.memory_mb:,} MB of memory")
        if code == -signal.SIGXCPU:
            return ChildEnded("used too much of the processor's time")
        if code == -signal.SIGKILL:
            return ChildEnded("was killed from outside, perhaps by the system for want of memory", is_foreign=True)
        if code < 0:
            return ChildEnded(f"crashed ({signal.Signals(-code).name})")
        return ChildEnded(f"ended unexpectedly (status {code})")

    def _reap(self, patience_s: float) -> tuple[int, int, bool]:
        """Exit code, peak memory in getrusage's unit, and whether it had not ended by itself after `patience_s`.

        All that it has started is killed in any case.
        """
        process = self._process
        end = monotonic() + patience_s
        while (ended := os.waitid(os.P_PID, process.pid, _HAS_ENDED)) is None and monotonic() < end:
            sleep(0.005)
        # Before it is waited for: until then nobody else can have its number.
        with suppress(ProcessLookupError, PermissionError):  # as some systems say of a group of the dead
            os.killpg(process.pid, signal.SIGKILL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)  # so that Popen does not wait for it again
        self._requests.close()
        self._answers.close()
        return process.returncode, usage.ru_maxrss, ended is None and process.returncode == -signal.SIGKILL
