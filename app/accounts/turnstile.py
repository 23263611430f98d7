"""Few at a time: what is costly, and open to everybody.

Owns how many run at once, in threads of their own, and how many may wait. Knows nothing of what they do.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from app.errors import RateLimited

_Result = TypeVar("_Result")

_TRY_AGAIN_S = 5


class Turnstile:
    """For one event loop. A password's hash takes 64 MiB and some tens of milliseconds on every core."""

    def __init__(self, at_once: int = 2, waiting: int = 20) -> None:
        self._threads = ThreadPoolExecutor(at_once, "turnstile")
        self._most = at_once + waiting
        self._inside = 0

    async def run(self, work: Callable[[], _Result]) -> _Result:
        """What `work` gives, made in a thread. Raises `RateLimited` at once when too many wait already."""
        if self._inside >= self._most:
            raise RateLimited(_TRY_AGAIN_S)
        self._inside += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._inside -= 1
