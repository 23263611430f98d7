"""One at a time for each name, in this process.

Owns the locks of long work that several requests may ask for at once, so that the second finds what the first has made.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock


class Turns:
    """A lock for each name, while anybody holds or awaits it."""

    def __init__(self) -> None:
        self._mine = Lock()
        self._locks: dict[str, Lock] = {}
        self._wanted: Counter[str] = Counter()

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        """Waits until nobody else is in a block of this name."""
        with self._mine:
            lock = self._locks.setdefault(name, Lock())
            self._wanted[name] += 1
        try:
            with lock:
                yield
        finally:
            with self._mine:
                self._wanted[name] -= 1
                if not self._wanted[name]:
                    del self._wanted[name], self._locks[name]
