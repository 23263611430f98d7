"""How often somebody may do something: token buckets, counted in this process.

Owns the buckets and the counts of open streams, of a bounded number of keys, so that no flood of addresses fills the
memory. Knows nothing of who asks. Several processes count each by itself.
"""

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from threading import Lock

from app.errors import RateLimited

MOST_KEYS = 100_000
"""Of the longest unseen ones the bucket is forgotten, which can only let more in."""


class RateLimit:
    """A bucket a key; safe for threads. A full one holds `per_minute` tokens, and fills up in a minute."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, most_keys: int = MOST_KEYS) -> None:
        self._clock = clock
        self._most_keys = most_keys
        self._lock = Lock()
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens left, and when

    def take(self, key: str, per_minute: int) -> None:
        """Takes a token. Raises `RateLimited`, saying when there is one again, and takes none, when none is left."""
        now = self._clock()
        with self._lock:
            left, before = self._left.pop(key, (float(per_minute), now))
            left = min(per_minute, left + (now - before) * per_minute / 60)
            is_let_in = left >= 1
            self._left[key] = (left - 1 if is_let_in else left, now)
            while len(self._left) > self._most_keys:
                self._left.popitem(last=False)
        if not is_let_in:
            raise RateLimited(max(1, math.ceil((1 - left) * 60 / per_minute)))


class OpenStreams:
    """How many streams each key has open; safe for threads."""

    _TRY_AGAIN_S = 5

    def __init__(self) -> None:
        self._lock = Lock()
        self._open: dict[str, int] = {}

    def enter(self, *counted: tuple[str, int]) -> Callable[[], None]:
        """Counts one for each key, of which so many may be open; what is returned takes it back.

        Raises `RateLimited`, and counts none, when one of the keys has as many open already.
        """
        with self._lock:
            if any(self._open.get(key, 0) >= most for key, most in counted):
                raise RateLimited(self._TRY_AGAIN_S)
            for key, _ in counted:
                self._open[key] = self._open.get(key, 0) + 1
        return lambda: self._leave([key for key, _ in counted])

    def _leave(self, keys: Sequence[str]) -> None:
        with self._lock:
            for key in keys:
                self._open[key] -= 1
                if not self._open[key]:
                    del self._open[key]
