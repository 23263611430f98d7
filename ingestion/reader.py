"""What reads files for the pipeline, and the way without a process of its own.

Owns the seam and what all readers do to what a parser yields. `confined.sandbox` is the reader that workers use;
inside its child process stands a `HereReader`.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Protocol

from ingestion.detect import parser_for
from ingestion.parsers.base import Limits, PagedParser, Resume, Source
from ingestion.types import DocumentStart, ParsedPage, RecordFailed

Item = DocumentStart | ParsedPage | RecordFailed


def nobody_waits() -> None:
    """For readers that are not to be stopped."""


class Reader(Protocol):
    """Reads one file at a time."""

    def read(
        self, source: Source, limits: Limits, resume: Resume, waiting: Callable[[], None] = nobody_waits
    ) -> Iterator[Item]:
        """What the file's parser yields, each `DocumentStart` with its media type, without `resume.pages` pages.

        Raises what the parser raises. `waiting` is called about twice a second while nothing comes, and may raise.
        """
        ...


class HereReader:
    """Reads in this process and without limits of time and memory: for files that one trusts."""

    def read(
        self, source: Source, limits: Limits, resume: Resume, waiting: Callable[[], None] = nobody_waits
    ) -> Iterator[Item]:
        parser = parser_for(source.path, limits)
        if isinstance(parser, PagedParser):
            items: Iterator[Item] = parser.parse_from(source, limits, resume)
        else:
            items = _without_pages(parser.parse(source, limits), resume.pages)
        for item in items:
            if isinstance(item, DocumentStart) and not item.media_type:
                item = replace(item, media_type=parser.media_type)
            yield item


def _without_pages(items: Iterator[Item], pages: int) -> Iterator[Item]:
    """What comes after the first `pages` pages, and all that is no page."""
    for item in items:
        if isinstance(item, ParsedPage) and pages:
            pages -= 1
            continue
        yield item
