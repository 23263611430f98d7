"""A parser process that is kept from one request to the next.

Owns when it is started, and when it is let go: after long service, or when it has grown. Does not know what is asked
of it.
"""

from ingestion.confined.child_frames import Done
from ingestion.confined.sandbox_process import ParserProcess
from ingestion.errors import TransientError

_SECONDS_TO_START = 60.0
_MOST_REQUESTS = 500  # what opens files keeps a little of each
_LARGEST_KEPT_MB = 256
"""A process that has grown beyond this is replaced after its file: a fresh one costs 0.4 s, fragments stay for good."""


class KeptProcess:
    """For one thread, with which the process dies on Linux. `close` ends it; it starts again when it is wanted.

    `peak_mb` is the most memory that a process has held, as each says after a request.
    """

    def __init__(self, memory_mb: int) -> None:
        self.memory_mb = memory_mb
        self.peak_mb = 0
        self.process: ParserProcess | None = None

    def ready(self, file_bytes: int) -> ParserProcess:
        """A process that can be asked, and may write files of so many bytes.

        Raises `TransientError` when none comes up in time, and `ChildEnded` when it ends instead.
        """
        process = self.process
        if process is None or not process.is_alive() or process.file_bytes != file_bytes:
            self.close()
            self.process = process = ParserProcess(self.memory_mb, file_bytes)
            if process.receive(_SECONDS_TO_START) is None:
                self.close()
                raise TransientError(f"The parser process has not started within {_SECONDS_TO_START:g} seconds.")
        return process

    def keep(self, done: Done) -> None:
        """After a request: lets the process go if it has served long or grown."""
        self.peak_mb = max(self.peak_mb, done.peak_mb)
        if self.process is not None and (self.process.files >= _MOST_REQUESTS or done.peak_mb > _LARGEST_KEPT_MB):
            self.close()

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process = None
