"""What every parser is: a file in, a stream of documents and their pages out.

Owns the seam and its values. Which parser reads which file is decided in `ingestion.detect`.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from ingestion.types import DocumentStart, OpenTable, ParsedPage, RecordFailed


@dataclass(frozen=True, slots=True)
class Source:
    """One file to read. `external_id` names its document, unless the file holds several (JSONL, ZIP)."""

    path: Path
    external_id: str
    title: str | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds beyond which a file is refused with `TooLarge`. Bytes, pages, characters of a page, record, document."""

    file_bytes: int = 500 * 1024 * 1024
    pages: int = 50_000
    page_characters: int = 2_000_000
    record_characters: int = 2_000_000
    document_characters: int = 250_000_000


def _ignore(*_: object) -> None:
    return


@dataclass(frozen=True, slots=True)
class Resume:
    """Where a parser that reads page by page begins, and what it must not touch.

    `pages` have been read before, the last of them left `sections` and `table` open. `unreadable` are pages (from 1)
    that an earlier attempt died of, each with the warning that takes their place. `opening` is called with a page's
    number before anything of it is read, and with 0 when what follows concerns no single page, so that whoever watches
    knows the page when the parser never comes back.

    Of an archive `members` have been read before (numbered from 0 in the order of reading, archives inside included);
    what is above is then said of the next one. `unreadable_members` are those that an earlier attempt died of, told
    of by whoever noticed. `opening_member` is called with the number and the external id of a member before it is
    unpacked. `known` are documents that are stored already, content hashes by external id: a member that is one of
    them is not read, its `DocumentStart` comes without pages.
    """

    pages: int = 0
    sections: tuple[tuple[int, int, str], ...] = ()
    unreadable: Mapping[int, str] = field(default_factory=dict)
    opening: Callable[[int], None] = _ignore
    members: int = 0
    unreadable_members: tuple[int, ...] = ()
    opening_member: Callable[[int, str], None] = _ignore
    table: OpenTable | None = None
    known: Mapping[str, str] = field(default_factory=dict)


class Parser(Protocol):
    """Reads one format.

    `parse` yields a `DocumentStart` and then that document's pages, for each document of the file, lazily:
    memory must not grow with the number of pages. A document that cannot be read, in a file with several, is a
    `RecordFailed` among them. Raises `ingestion.errors.PermanentError` subclasses with a
    message that says what to do.
    """

    media_type: str

    def parse(self, source: Source, limits: Limits) -> Iterator[DocumentStart | ParsedPage | RecordFailed]: ...


@runtime_checkable
class PagedParser(Protocol):
    """A parser that can begin at any page, so that one page can cost no more than itself."""

    media_type: str

    def parse(self, source: Source, limits: Limits) -> Iterator[DocumentStart | ParsedPage | RecordFailed]: ...

    def parse_from(
        self, source: Source, limits: Limits, resume: Resume
    ) -> Iterator[DocumentStart | ParsedPage | RecordFailed]:
        """As `parse`, the `DocumentStart` included; the first page is the one after `resume.pages`.

        The pages are those that `parse` would have yielded, but for the unreadable ones.
        """
        ...
