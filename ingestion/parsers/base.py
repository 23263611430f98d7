"""What every parser is: a file in, a stream of documents and their pages out.

Owns the seam and its values. Which parser reads which file is decided in `ingestion.detect`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ingestion.types import DocumentStart, ParsedPage, RecordFailed


@dataclass(frozen=True, slots=True)
class Source:
    """One file to read. `external_id` names its document, unless the file holds several (JSONL)."""

    path: Path
    external_id: str
    title: str | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds beyond which a file is refused with `TooLarge`. Bytes, pages, characters, records."""

    file_bytes: int = 500 * 1024 * 1024
    pages: int = 50_000
    page_characters: int = 2_000_000
    record_characters: int = 2_000_000


class Parser(Protocol):
    """Reads one format.

    `parse` yields a `DocumentStart` and then that document's pages, for each document of the file, lazily:
    memory must not grow with the number of pages. A document that cannot be read, in a file with several, is a
    `RecordFailed` among them. Raises `ingestion.errors.PermanentError` subclasses with a
    message that says what to do.
    """

    media_type: str

    def parse(self, source: Source, limits: Limits) -> Iterator[DocumentStart | ParsedPage | RecordFailed]: ...
