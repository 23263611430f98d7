"""Parses files in a process of their own, so that a hostile file costs its document and never the worker.

Owns what a parser may spend (memory, time, output), and how a page that kills it is passed over. When the process
is kept for the next file is `confined.kept_process`'s, the process itself is held by `confined.sandbox_process`; how
a file is read is the parsers' matter, which run in `ingestion.confined.child`.

A page at which the child crashes, hangs, runs out of memory or comes upon what no parser foresaw is left out with a
warning, and a fresh child reads on after it. A file that does this too often, or outside any page, fails; in an
archive only the member at hand does.
"""

import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from time import monotonic
from typing import Any

from ingestion.confined.child_frames import Fault, Kind, Request
from ingestion.confined.kept_process import KeptProcess
from ingestion.confined.sandbox_process import ChildEnded, ParserProcess
from ingestion.errors import IngestionError, ParserFailed, TooLarge, TransientError
from ingestion.parsers.base import Limits, Resume, Source
from ingestion.reader import Item, nobody_waits
from ingestion.types import DocumentStart, ParsedPage, RecordFailed

_LOG = logging.getLogger(__name__)
_MOST_RESTARTS = 5
_PAGES_A_RESTART = 200  # a long file may lose more pages than a short one
_MOST_LOST_MEMBERS = 20
_MEMBERS_A_LOST_ONE = 10
_WAIT_S = 0.5
_SECONDS_TO_STOP = 2.0
_MEMORY_FAULTS = ("MemoryError",)
_LONGEST_REASON = 200
_SAVE_AGAIN = "Open it in the program it was made with, save it again and upload that."


@dataclass(frozen=True, slots=True)
class SandboxLimits:
    """What a file may cost. Megabytes of private memory; seconds of waiting for one page and for a whole file.

    With each page that has come, the whole file may take `more_a_page_s` longer: a long scan takes hours.
    """

    memory_mb: int = 2048
    page_s: float = 60.0
    document_s: float = 14_400.0
    more_a_page_s: float = 4.0

    def whole_s(self, pages: int) -> float:
        """How long a file may take of which so many pages have been read."""
        return self.document_s + pages * self.more_a_page_s


@dataclass(slots=True)
class _Progress:
    """How far a file has been read, over all children that tried."""

    resume: Resume
    opened: int | None = None  # the page that the child at hand began last
    blamed: int | None = None  # the page at which a child was killed from outside, once
    member: str | None = None  # the external id of the archive's member that is being read
    is_started: bool = False
    is_continued: bool = False  # by the child at hand: an earlier one has begun the document
    restarts: int = 0  # of a file, or of an archive's member
    lost_members: int = 0
    pages: int = 0
    characters: int = 0
    waited_s: float = 0.0

    def begin_attempt(self) -> None:
        self.opened = None
        self.is_continued = self.is_started

    def begin_member(self, number: int, external_id: str) -> None:
        if external_id != self.member or number != self.resume.members:
            self._go_to_member(number, self.resume.unreadable_members)
            self.member, self.blamed, self.is_started, self.restarts = external_id, None, False, 0
        self.begin_attempt()

    def pass_over_member(self, error: ParserFailed | TooLarge) -> RecordFailed:
        """What the member at hand has come to. Raises where the file is no archive, or one that lost too many."""
        if self.member is None:
            raise error
        number, external_id = self.resume.members, self.member
        self.lost_members += 1
        if self.lost_members > _MOST_LOST_MEMBERS + number // _MEMBERS_A_LOST_ONE:
            raise ParserFailed(
                f"Too many files of this archive could not be read, the last of them {external_id}. Take out those "
                f"that are named as failed, and pack it again. {error}"
            )
        self._go_to_member(number + 1, (*self.resume.unreadable_members, number))
        self.is_started = False
        return RecordFailed(external_id, PurePosixPath(external_id).stem, error)

    def _go_to_member(self, number: int, unreadable: tuple[int, ...]) -> None:
        """What was said of the pages of the one before does not hold of this one."""
        self.resume = Resume(members=number, unreadable_members=unreadable, known=self.resume.known)

    def note(self, item: Item, limits: Limits) -> None:
        if isinstance(item, DocumentStart):
            self.is_started = True
            self.characters = 0
        elif isinstance(item, ParsedPage):
            self.resume = replace(self.resume, pages=item.number, sections=item.open_sections, table=item.open_table)
            self.pages += 1
            self.characters += len(item.text)
            if self.characters > limits.document_characters:
                raise TooLarge(
                    f"This document has more than {limits.document_characters:,} characters of text. Split it."
                )


class Sandbox:
    """A `Reader` with a process that is kept from file to file. One thread at a time; `close` ends the process."""

    def __init__(self, limits: SandboxLimits) -> None:
        self._limits = limits
        self._kept = KeptProcess(limits.memory_mb)

    @property
    def peak_mb(self) -> int:
        """The most memory that a parser process has held, as each says after a file."""
        return self._kept.peak_mb

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._kept.close()

    def read(
        self, source: Source, limits: Limits, resume: Resume, waiting: Callable[[], None] = nobody_waits
    ) -> Iterator[Item]:
        """See `Reader`. Raises `ParserFailed` when the file cannot be read within the limits of this sandbox."""
        progress = _Progress(resume)
        while True:
            try:
                yield from self._attempt(source, limits, progress, waiting)
                return
            except ChildEnded as ended:
                _LOG.warning("Reading %s: the parser %s.", progress.member or source.external_id, ended)
                failed = _go_on_after(ended, progress)
            except TooLarge as error:
                failed = progress.pass_over_member(error)
            if failed is not None:
                yield failed

    def _attempt(
        self, source: Source, limits: Limits, progress: _Progress, waiting: Callable[[], None]
    ) -> Iterator[Item]:
        """Items from one child, until it is done with the file. Raises `ChildEnded` when it does not come so far."""
        process = self._kept.ready(limits.file_bytes)
        progress.begin_attempt()
        is_over = False
        try:
            cpu_s = max(1, round(self._limits.whole_s(limits.pages) - progress.waited_s)) * (os.cpu_count() or 1)
            process.ask(Request(source, limits, progress.resume, cpu_s))
            while not is_over:
                kind, value = self._receive(process, progress, waiting)
                if kind is Kind.OPENING:
                    progress.opened = value or None
                elif kind is Kind.MEMBER:
                    progress.begin_member(*value)
                elif kind is Kind.DONE:
                    is_over = True
                    self._kept.keep(value)
                elif kind in (Kind.ERROR, Kind.FAULT):
                    raise self._failure(source, value)
                elif not (progress.is_continued and isinstance(value, DocumentStart)):
                    progress.note(value, limits)
                    yield value
        finally:
            if not is_over:
                self._leave(process)

    def _receive(self, process: ParserProcess, progress: _Progress, waiting: Callable[[], None]) -> tuple[Kind, Any]:
        """The next frame. Raises `ChildEnded`, having killed the child, when it comes too late."""
        began = monotonic()
        while True:
            received = process.receive(_WAIT_S)
            waited = monotonic() - began
            if received is not None:
                progress.waited_s += waited
                return received
            if waited > self._limits.page_s:
                process.kill()
                progress.waited_s += waited
                raise ChildEnded(f"had not finished after {self._limits.page_s:g} seconds")
            if progress.waited_s + waited > (most := self._limits.whole_s(progress.pages)):
                raise ParserFailed(
                    f"This file took more than {most:g} seconds to read: after {progress.pages:,} pages "
                    "it was given up. Split it, or raise ANSWERDESK_INGESTION__PARSER_TIMEOUT_S."
                )
            waiting()

    def _failure(self, source: Source, value: IngestionError | Fault) -> Exception:
        """What to raise for a file that the child could not read."""
        if isinstance(value, IngestionError):
            return value
        if value.name in _MEMORY_FAULTS:
            self.close()
            return ChildEnded(f"needed more than {self._limits.memory_mb:,} MB of memory")
        _LOG.error("Reading %s: a parser failed unexpectedly.\n%s", source.external_id, value.traceback)
        return ChildEnded(f"came upon something unexpected ({value.name}: {value.message[:_LONGEST_REASON]})")

    def _leave(self, process: ParserProcess) -> None:
        """Ends what is under way: the child stays if it is done with the file soon."""
        end = monotonic() + _SECONDS_TO_STOP
        try:
            if process.is_alive():
                process.stop()
                while (left := end - monotonic()) > 0:
                    received = process.receive(left)
                    if received is not None and received[0] is Kind.DONE:
                        self._kept.keep(received[1])
                        return
        except ChildEnded as ended:
            _LOG.info("The parser process %s while it was told to stop.", ended)
        self.close()


def _go_on_after(ended: ChildEnded, progress: _Progress) -> RecordFailed | None:
    """Prepares another attempt that leaves out the page at fault, or the archive's member, whose failure is returned.

    Raises when there is neither, or when there were too many.
    """
    page = progress.opened
    progress.restarts += 1
    if page is None and ended.is_foreign and progress.restarts <= _MOST_RESTARTS:
        if progress.is_started:  # it cannot be begun in the middle, and what came before has been taken
            raise TransientError(f"The parser {ended}. It is tried again.")
        return None
    if page is None:
        return progress.pass_over_member(
            ParserFailed(
                f"This file could not be read: the parser {ended}. It may be damaged or made to do harm. {_SAVE_AGAIN}"
            )
        )
    if progress.restarts > _MOST_RESTARTS + progress.pages // _PAGES_A_RESTART:
        return progress.pass_over_member(
            ParserFailed(
                f"Too many pages of this file could not be read, the last of them page {page:,}: the parser {ended}. "
                "Export the file again and upload the new one."
            )
        )
    if ended.is_foreign and progress.blamed != page:
        progress.blamed = page
        return None
    warning = f"This page could not be read: the parser {ended}. Export the file again to include it."
    progress.resume = replace(progress.resume, unreadable={**progress.resume.unreadable, page: warning})
    return None
