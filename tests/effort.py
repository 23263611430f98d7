"""How much work a call is: processor time, which a busy or paused machine does not lengthen as it does a clock's."""

import time
from collections.abc import Callable


def costs_at_most(seconds: float, call: Callable[[], object], attempts: int = 3) -> bool:
    """Whether one of some runs of `call` takes its thread no more than so many seconds of processor time."""
    for _ in range(attempts):
        started = time.thread_time()
        call()
        if time.thread_time() - started <= seconds:
            return True
    return False
