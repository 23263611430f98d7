"""The folder on disk that a parser process may write to, and what is left of those whose owners were killed.

Owns that a folder goes with its owner: at once when it is let go, and with the next one that anybody makes when its
owner had no time for that. Does not know what is in it.
"""

import fcntl
import os
import shutil
import stat
from contextlib import suppress
from pathlib import Path
from tempfile import gettempdir, mkdtemp
from time import time

PREFIX = "answerdesk-parser-"
_OWNER = "owner"
_NO_OWNER_AFTER_S = 86_400.0
"""A folder gets its owner in the moment after it is made; one without was left behind by a process that died then."""


class ScratchFolder:
    """A new folder in the system's place for temporary files, for this user only.

    The owner is who holds the lock (flock(2)) on a file in it. The system gives that up for whoever dies, and nobody
    else can be taken for an owner, as by the number of a process.
    """

    def __init__(self) -> None:
        _remove_left_behind()
        self.path = Path(mkdtemp(prefix=PREFIX))
        unnamed = self.path / f".{_OWNER}"
        self._lock = os.open(unnamed, os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        unnamed.rename(self.path / _OWNER)  # under this name nobody finds it without its lock

    def remove(self) -> None:
        """Removes the folder with all that is in it; a second time does nothing."""
        if self._lock >= 0:
            shutil.rmtree(self.path, ignore_errors=True)
            os.close(self._lock)
            self._lock = -1


def _remove_left_behind() -> None:
    for folder in Path(gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):  # another process is removing it at the same time
            found = folder.lstat()
            if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and _has_no_owner(folder, found.st_mtime):
                shutil.rmtree(folder, ignore_errors=True)


def _has_no_owner(folder: Path, changed: float) -> bool:
    try:
        lock = os.open(folder / _OWNER, os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:
        return time() - changed > _NO_OWNER_AFTER_S
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
    return True
