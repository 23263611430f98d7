"""Has pages drawn in a process of their own, so that a hostile file costs its picture and never the service.

Owns what a drawing may spend, and how long and how many may wait for theirs. How a page is drawn is
`ingestion.shown.page_image`'s, which runs in `ingestion.confined.child`.
"""

import logging
from collections.abc import Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import BoundedSemaphore, Lock
from time import monotonic

from ingestion.confined.child_frames import Fault, Kind
from ingestion.confined.kept_process import KeptProcess
from ingestion.confined.sandbox_process import ChildEnded
from ingestion.errors import IngestionError, ParserFailed, TransientError
from ingestion.shown.page_request import Box, Drawn, DrawRequest, PageSource

_LOG = logging.getLogger(__name__)
_FILE_BYTES = 2**20  # drawing writes no files
_MOST_WAITING = 24  # of the 40 threads in which a server of ours answers; the others are for who wants no picture

Ranges = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class DrawingLimits:
    """What one picture may cost: megabytes of private memory, and seconds. Its turn must come within `turn_s`."""

    memory_mb: int = 2048
    picture_s: float = 20.0
    turn_s: float = 10.0


class PageDrawer:
    """Draws one page at a time, for any number of threads.

    The process starts with the first page that is asked for; `close` ends it.
    """

    def __init__(self, limits: DrawingLimits) -> None:
        self._limits = limits
        self._kept = KeptProcess(limits.memory_mb)
        self._thread: ThreadPoolExecutor | None = None
        self._lock = Lock()
        self._closed = False
        self._places = BoundedSemaphore(_MOST_WAITING)

    def picture(self, page: PageSource, marked: Ranges, *, scale: float, around: Ranges = ()) -> bytes:
        """A PNG of a page, `marked` marked strongly and `around` lightly; `scale` is pixels a point.

        Raises `ParserFailed` when the page cannot be drawn within the limits, `TransientError` when too many others
        are to be drawn first, and as `ingestion.shown.page_image.draw`.
        """
        if not self._places.acquire(blocking=False):
            raise _too_busy()
        try:
            return self._drawn_in_turn(DrawRequest(page, marked, around, scale)).png
        finally:
            self._places.release()

    def boxes(self, page: PageSource, marked: Ranges) -> Sequence[Box]:
        """Where spans of a page's text stand on it. Raises as `picture`, but is never too late and takes no place.

        Nobody looks on, and a box that is not found now is never asked for again, so it waits for as long as it takes:
        for one thread's use, since what waits here makes every picture wait.
        """
        return _result(self._submit(DrawRequest(page, marked))).boxes

    def close(self) -> None:
        """Ends the process after the drawing at hand; who waits for another, or asks later, gets a `TransientError`."""
        with self._lock:
            self._closed = True
            thread, self._thread = self._thread, None
        if thread is not None:  # not under the lock: who asks meanwhile is sent away at once
            thread.shutdown(cancel_futures=True)
            self._kept.close()

    def _drawn_in_turn(self, request: DrawRequest) -> Drawn:
        asked = self._submit(request)
        try:
            return _result(asked, self._limits.turn_s)
        except TimeoutError:
            if asked.cancel():
                raise _too_busy() from None
            return _result(asked)  # its turn has come; from here on its own limits hold

    def _submit(self, request: DrawRequest) -> Future[Drawn]:
        with self._lock:
            if self._closed:
                raise _stopping()
            # A process dies with the thread that started it, and a server's threads come and go: it has one of its own.
            self._thread = self._thread or ThreadPoolExecutor(max_workers=1, thread_name_prefix="page-drawer")
            return self._thread.submit(self._drawn, request)

    def _drawn(self, request: DrawRequest, *, again: bool = True) -> Drawn:
        try:
            return self._attempt(request)
        except ChildEnded as ended:
            self._kept.close()
            if ended.is_foreign and again:  # nothing is known against the page
                return self._drawn(request, again=False)
            raise _not_drawn(request, f"the process that draws {ended}") from ended

    def _attempt(self, request: DrawRequest) -> Drawn:
        """Raises `ChildEnded`."""
        process = self._kept.ready(_FILE_BYTES)
        process.ask(request)
        end = monotonic() + self._limits.picture_s
        drawn: Drawn | None = None
        failure: Exception | None = None
        while True:
            received = process.receive(max(0.0, end - monotonic()))
            if received is None:
                self._kept.close()
                raise _not_drawn(request, f"it takes more than {self._limits.picture_s:g} seconds")
            kind, value = received
            if kind is Kind.DRAWN:
                drawn = value
            elif kind in (Kind.ERROR, Kind.FAULT):
                failure = self._failure(request, value)
            elif kind is Kind.DONE:
                self._kept.keep(value)
                break
        if failure is not None or drawn is None:
            raise failure or _not_drawn(request, "nothing came back")
        return drawn

    def _failure(self, request: DrawRequest, value: IngestionError | Fault) -> Exception:
        """What to raise once the process is done with the page. Raises `ChildEnded` where it is not to be kept."""
        if isinstance(value, IngestionError):
            return value
        if value.name == "MemoryError":
            raise ChildEnded(f"needed more than {self._limits.memory_mb:,} MB of memory")
        _LOG.error("Drawing page %d of %s failed.\n%s", request.page.number, request.page.file, value.traceback)
        reason = f"{value.name}: {value.message[:200]}"
        return _not_drawn(request, f"it holds something that nobody expects ({reason})")


def _result(asked: Future[Drawn], timeout_s: float | None = None) -> Drawn:
    """Raises `TimeoutError`, and `TransientError` for what was cancelled, which only `close` does to who waits."""
    try:
        return asked.result(timeout_s)
    except CancelledError:
        raise _stopping() from None


def _not_drawn(request: DrawRequest, reason: str) -> ParserFailed:
    return ParserFailed(f"Page {request.page.number} cannot be shown, because {reason}.")


def _too_busy() -> TransientError:
    return TransientError("Too many pages are being drawn at once. Ask for this one again in a few seconds.")


def _stopping() -> TransientError:
    return TransientError("No more pages are drawn, because the service is stopping. Ask again later.")
