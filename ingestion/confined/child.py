"""The process that parses files or draws pages: requests come on its standard input, frames go to standard output.

    python -m ingestion.confined.child MEMORY_BYTES FILE_BYTES

Started by `confined.sandbox_process` and by nobody else. Owns its own confinement: before it reads its first request
it gives up memory, core dumps, large files and its place in the queue for the processor, and asks the system to be
killed with its parent. It has no database handle, no secrets in its environment and nothing to lose.
"""

import ctypes
import os
import resource
import select
import signal
import sys
import traceback
from dataclasses import replace
from pathlib import Path

from ingestion.confined.child_frames import (
    HEADER,
    Fault,
    Kind,
    Request,
    decode,
    drawn_frame,
    error_frame,
    fault_frame,
    frame,
    item_frame,
    read_header,
)
from ingestion.errors import IngestionError
from ingestion.reader import HereReader
from ingestion.shown.page_request import DrawRequest

_PR_SET_PDEATHSIG = 1  # prctl(2)
_NICENESS = 5
_SPARE_CPU_SECONDS = 5
_RSS_UNITS_A_MB = 2**20 if sys.platform == "darwin" else 2**10  # getrusage(2): bytes there, kilobytes elsewhere


def main() -> None:
    memory_bytes, file_bytes = (int(argument) for argument in sys.argv[1:])
    requests, answers = _own_pipes()
    _confine(memory_bytes, file_bytes)
    _done(answers)
    while (request := _next_request(requests)) is not None:
        _answer(request, requests, answers)
        _done(answers)


def _own_pipes() -> tuple[int, int]:
    """The two pipes under other numbers: what a library prints goes nowhere, and cannot pass for a frame."""
    requests, answers = os.dup(0), os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nowhere, number)
    os.close(nowhere)
    return requests, answers


def _confine(memory_bytes: int, file_bytes: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # Private writable memory, not address space: mapped files and reserved but unused ranges cost nothing.
    _lower(resource.RLIMIT_DATA, memory_bytes)
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_FSIZE, file_bytes)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # the write fails with an error that names the reason
    os.nice(_NICENESS)


def _lower(limit: int, value: int) -> None:
    hard = resource.getrlimit(limit)[1]
    resource.setrlimit(limit, (value, value) if hard == resource.RLIM_INFINITY or value <= hard else (hard, hard))


def _limit_cpu(seconds: int) -> None:
    """Counts from now. The watcher outside is quicker; this holds when there is nobody left to watch."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    end = int(used.ru_utime + used.ru_stime) + seconds + _SPARE_CPU_SECONDS
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (end if hard == resource.RLIM_INFINITY else min(end, hard), hard))


def _answer(request: Request | DrawRequest, requests: int, answers: int) -> None:
    """All frames of one request but the last."""
    try:
        if isinstance(request, DrawRequest):
            _draw(request, answers)
        else:
            _limit_cpu(request.cpu_seconds)
            _parse(request, requests, answers)
    except IngestionError as error:
        _write(answers, error_frame(error))
    except Exception as error:  # noqa: BLE001  who asked logs it; it costs this request, not more
        fault = Fault(type(error).__name__, str(error), "".join(traceback.format_exception(error)))
        _write(answers, fault_frame(fault))


def _parse(request: Request, requests: int, answers: int) -> None:
    resume = replace(
        request.resume,
        opening=lambda number: _write(answers, frame(Kind.OPENING, number)),
        opening_member=lambda number, external_id: _write(answers, frame(Kind.MEMBER, [number, external_id])),
    )
    for item in HereReader().read(request.source, request.limits, resume):
        _write(answers, item_frame(item))
        if _is_called_off(requests):
            return


def _draw(request: DrawRequest, answers: int) -> None:
    from ingestion.shown.page_image import draw  # who parses may never need what draws

    _write(answers, drawn_frame(draw(request)))


def _done(answers: int) -> None:
    _write(answers, frame(Kind.DONE, _peak_mb()))


def _peak_mb() -> int:
    """The most memory that this program has held. Linux' getrusage(2) also counts what forked it, so not that."""
    if sys.platform == "linux":
        status = Path("/proc/self/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) // 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // _RSS_UNITS_A_MB


def _is_called_off(requests: int) -> bool:
    """Whether the parent has sent STOP, or is gone, while the request is being answered."""
    if not select.select([requests], [], [], 0)[0]:
        return False
    _read_frame(requests)
    return True


def _next_request(requests: int) -> Request | DrawRequest | None:
    """None when the parent has closed the pipe. A STOP that came too late is passed over."""
    while (received := _read_frame(requests)) is not None:
        if isinstance(received, Request | DrawRequest):
            return received
    return None


def _read_frame(requests: int) -> object:
    header = _read(requests, HEADER.size)
    if not header:
        return None
    kind, length = read_header(header)
    value = decode(kind, _read(requests, length))
    return kind if value is None else value


def _read(requests: int, length: int) -> bytes:
    """`length` bytes, or none at the end of the pipe."""
    content = b""
    while len(content) < length:
        some = os.read(requests, length - len(content))
        if not some:
            return b""
        content += some
    return content


def _write(answers: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(answers, view) :]


if __name__ == "__main__":
    main()
