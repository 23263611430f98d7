"""Has pages drawn in a process of their own, so that a hostile file costs its picture and never the service.

Owns what a drawing may spend and that the process is kept for the next one. How a page is drawn is
`ingestion.page_image`'s, which runs in `ingestion.child`.
"""

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock
from time import monotonic

from ingestion.child_frames import Fault, Kind
from ingestion.errors import IngestionError, ParserFailed, TransientError
from ingestion.page_request import Box, Drawn, DrawRequest, PageSource
from ingestion.sandbox_process import ChildEnded, ParserProcess

_LOG = logging.getLogger(__name__)
_SECONDS_TO_START = 60.0
_MOST_DRAWINGS = 500  # pdfium keeps a little of each file
_FILE_BYTES = 2**20  # drawing writes no files

Ranges = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class DrawingLimits:
    """What one picture may cost: megabytes of private memory, and seconds."""

    memory_mb: int = 2048
    picture_s: float = 20.0


class PageDrawer:
    """Draws one page at a time, for any number of threads.

    The process starts with the first page that is asked for; `close` ends it.
    """

    def __init__(self, limits: DrawingLimits) -> None:
        self._limits = limits
        self._process: ParserProcess | None = None
        self._thread: ThreadPoolExecutor | None = None
        self._lock = Lock()

    def picture(self, page: PageSource, marked: Ranges, *, scale: float, around: Ranges = ()) -> bytes:
        """A PNG of a page, `marked` marked strongly and `around` lightly; `scale` is pixels a point.

        Raises `ParserFailed` when the page cannot be drawn within the limits, and as `ingestion.page_image.draw`.
        """
        return self._ask(DrawRequest(page, marked, around, scale)).png

    def boxes(self, page: PageSource, marked: Ranges) -> Sequence[Box]:
        """Where spans of a page's text stand on it. Raises as `picture`."""
        return self._ask(DrawRequest(page, marked)).boxes

    def close(self) -> None:
        with self._lock:
            thread, self._thread = self._thread, None
            if thread is not None:
                thread.submit(self._let_go).result()
                thread.shutdown()

    def _ask(self, request: DrawRequest) -> Drawn:
        with self._lock:
            # A process dies with the thread that started it, and a server's threads come and go: it has one of its own.
            self._thread = self._thread or ThreadPoolExecutor(max_workers=1, thread_name_prefix="page-drawer")
            asked = self._thread.submit(self._drawn, request)
        return asked.result()

    def _drawn(self, request: DrawRequest, *, again: bool = True) -> Drawn:
        try:
            return self._attempt(request)
        except ChildEnded as ended:
            self._let_go()
            if ended.is_foreign and again:  # nothing is known against the page
                return self._drawn(request, again=False)
            raise _not_drawn(request, f"the process that draws {ended}") from ended

    def _attempt(self, request: DrawRequest) -> Drawn:
        """Raises `ChildEnded`."""
        process = self._ready()
        process.ask(request)
        end = monotonic() + self._limits.picture_s
        drawn: Drawn | None = None
        failure: Exception | None = None
        while True:
            received = process.receive(max(0.0, end - monotonic()))
            if received is None:
                self._let_go()
                raise _not_drawn(request, f"it takes more than {self._limits.picture_s:g} seconds")
            kind, value = received
            if kind is Kind.DRAWN:
                drawn = value
            elif kind in (Kind.ERROR, Kind.FAULT):
                failure = self._failure(request, value)
            elif kind is Kind.DONE:
                break
        if failure is not None or drawn is None:
            raise failure or _not_drawn(request, "nothing came back")
        return drawn

    def _failure(self, request: DrawRequest, value: IngestionError | Fault) -> Exception:
        if isinstance(value, IngestionError):
            return value
        if value.name == "MemoryError":
            return _not_drawn(request, f"it takes more than {self._limits.memory_mb:,} MB of memory")
        _LOG.error("Drawing page %d of %s failed.\n%s", request.page.number, request.page.file, value.traceback)
        reason = f"{value.name}: {value.message[:200]}"
        return _not_drawn(request, f"it holds something that nobody expects ({reason})")

    def _ready(self) -> ParserProcess:
        if self._process is None or not self._process.is_alive() or self._process.files >= _MOST_DRAWINGS:
            self._let_go()
            self._process = ParserProcess(self._limits.memory_mb, _FILE_BYTES)
            if self._process.receive(_SECONDS_TO_START) is None:
                self._let_go()
                raise TransientError(f"The process that draws pages has not started within {_SECONDS_TO_START:g} s.")
        return self._process

    def _let_go(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process = None


def _not_drawn(request: DrawRequest, reason: str) -> ParserFailed:
    return ParserFailed(f"Page {request.page.number} cannot be shown, because {reason}.")
