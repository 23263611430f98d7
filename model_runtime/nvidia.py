"""What NVIDIA's driver says of the GPUs of this machine, through `nvidia-smi`.

Owns the questions, what the answers mean, and how long is waited for one. A driver that hangs cannot even be killed:
its `nvidia-smi` is left behind, and no other is started before that one has ended.
"""

from __future__ import annotations

import csv
import io
import shutil
import subprocess
from dataclasses import dataclass
from threading import Lock

WAIT_AT_MOST_S = 2.0
_MIB = 2**20
_QUERY = ("--query-gpu=index,name,memory.used,memory.total,utilization.gpu", "--format=csv,noheader,nounits")


class NotTold(Exception):
    """The driver does not tell: no `nvidia-smi`, or it fails or hangs; the text says which."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU. `busy` is a share from 0 to 1; what the driver does not tell is None."""

    index: str
    name: str
    used_bytes: int | None
    total_bytes: int | None
    busy: float | None


def is_installed() -> bool:
    """Whether there is an `nvidia-smi` at all."""
    return shutil.which("nvidia-smi") is not None


def gpus(within_s: float = WAIT_AT_MOST_S) -> list[Gpu]:
    """All GPUs, as the driver tells now. Raises `NotTold`."""
    return gpus_in(said(*_QUERY, within_s=within_s))


def gpus_in(answer: str) -> list[Gpu]:
    """The GPUs in what `nvidia-smi` printed for our query; lines that are something else are left out."""
    found = []
    for row in csv.reader(io.StringIO(answer), skipinitialspace=True):
        if len(row) != 5 or not row[0].strip().isdecimal():
            continue
        index, name, used, total, load = (cell.strip() for cell in row)
        percent = _number(load)
        found.append(Gpu(index, name, _bytes(used), _bytes(total), None if percent is None else percent / 100))
    return found


_left_behind: subprocess.Popen[str] | None = None
_lock = Lock()


def said(*arguments: str, within_s: float) -> str:
    """What `nvidia-smi` prints for these arguments. Raises `NotTold`, after `within_s` seconds at the latest."""
    global _left_behind
    with _lock:
        if _left_behind is not None and _left_behind.poll() is None:
            raise NotTold("nvidia-smi has not answered an earlier question yet")
        _left_behind = None
        try:
            process = subprocess.Popen(
                ["nvidia-smi", *arguments],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                errors="replace",
            )
        except OSError as error:
            raise NotTold(f"nvidia-smi cannot be run ({error.strerror})") from error
        assert process.stdout is not None
        try:
            printed, _ = process.communicate(timeout=within_s)
        except subprocess.TimeoutExpired as error:
            # Not waited for: a process that waits inside the driver ends only when the driver lets go of it.
            process.kill()
            process.stdout.close()
            _left_behind = process
            raise NotTold(f"nvidia-smi did not answer within {within_s:g} s") from error
    if process.returncode != 0:
        raise NotTold(f"nvidia-smi ended with status {process.returncode}: {printed.strip()[:200]}")
    return printed


def _bytes(mib: str) -> int | None:
    number = _number(mib)
    return None if number is None else int(number * _MIB)


def _number(text: str) -> float | None:
    """None for `[N/A]`, `[Not Supported]` and other words of the driver's."""
    try:
        return float(text)
    except ValueError:
        return None
