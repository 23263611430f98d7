"""The most memory that this process and the parser processes below it have held, from Linux' own count.

Owns the reading of `/proc` (proc(5)): `VmHWM` is the peak of the program that runs now. getrusage(2) will not do: what
it says of a child includes the parent as it was at the fork.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread

_BETWEEN_LOOKS_S = 0.1


@dataclass(slots=True)
class Peaks:
    """Megabytes. `together` is the highest sum of both that was seen at one time."""

    worker: int = 0
    parser: int = 0
    together: int = 0

    def as_row(self) -> dict[str, int]:
        return {
            "peak_worker_mb": self.worker,
            "peak_parser_mb": self.parser,
            "sum_of_peaks_mb": self.worker + self.parser,
            "peak_together_mb": self.together,
        }


@contextmanager
def watched_memory() -> Iterator[Peaks]:
    """Peaks from the start of this process to the end of the block; children are looked at ten times a second."""
    peaks, is_over = Peaks(), Event()

    def watch() -> None:
        while not is_over.wait(_BETWEEN_LOOKS_S):
            _look(peaks)

    watcher = Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield peaks
    finally:
        is_over.set()
        watcher.join()
        _look(peaks)


def children() -> list[int]:
    """The process ids of this process' own children."""
    return [int(pid) for task in Path("/proc/self/task").iterdir() for pid in _children(task)]


def _look(peaks: Peaks) -> None:
    below = [_status(pid) for pid in children() if _program(pid) != _program("self")]
    own = _status("self")
    peaks.worker = own.get("VmHWM", 0) // 1024
    peaks.parser = max([peaks.parser, *(each.get("VmHWM", 0) // 1024 for each in below)])
    peaks.together = max(peaks.together, sum(each.get("VmRSS", 0) for each in [own, *below]) // 1024)


def _program(process: int | str) -> bytes:
    """Its command line: between fork and exec a child still has its parent's, and all of its parent's pages."""
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def _children(task: Path) -> list[str]:
    try:
        return (task / "children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):  # the thread has ended meanwhile
        return []


def _status(process: int | str) -> dict[str, int]:
    """Kilobytes by name; nothing of a process that is gone."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return {}
    return {name: int(value.split()[0]) for name, _, value in (each.partition(":") for each in lines) if "kB" in value}
