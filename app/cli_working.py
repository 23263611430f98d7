"""A worker inside a command: what `ingest`, `sync` and `kb rebuild --wait` do beside any worker that runs already.

Owns the thread, its end and its failure. Does not know what is waited for.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from app.bootstrap import Services
from app.worker import run_until_idle


@contextmanager
def working_here(services: Services) -> Iterator[threading.Thread]:
    """Works until nothing is left, in the thread that is given; leaving stops it and raises what it stumbled over."""
    stopping = threading.Event()
    failure: list[BaseException] = []

    def work() -> None:
        try:
            run_until_idle(services, stopping)
        except BaseException as error:  # noqa: BLE001  raised again below, in the thread that was asked
            failure.append(error)

    worker = threading.Thread(target=work, name="worker")
    worker.start()
    try:
        yield worker
    finally:
        stopping.set()
        worker.join()
    if failure:
        raise failure[0]
