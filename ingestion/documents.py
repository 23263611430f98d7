"""Sorts what a reader yields into documents, each with its pages.

Owns the grammar of that stream: a `DocumentStart` before a document's pages, records that failed in between; a failure
right after the pages of the document that it names says that these are not all. Reads nothing ahead, so that memory
holds one page at a time.
"""

from collections.abc import Iterator
from contextlib import suppress

from ingestion.reader import Item
from ingestion.types import DocumentStart, ParsedPage, RecordFailed


class BrokenOff(Exception):
    """Raised among a document's pages: the rest of them cannot be read, and the document has failed."""

    def __init__(self, failed: RecordFailed) -> None:
        super().__init__(str(failed.error))
        self.failed = failed


def documents_of(
    items: Iterator[Item],
) -> Iterator[RecordFailed | tuple[DocumentStart, Iterator[ParsedPage]]]:
    """Each document with its pages, which are read from the parser as they are asked for, and may raise `BrokenOff`."""
    following = next(items, None)
    while following is not None:
        if isinstance(following, RecordFailed):
            yield following
            following = next(items, None)
        elif isinstance(following, DocumentStart):
            rest: list[DocumentStart | RecordFailed] = []
            pages = _pages(following, items, rest)
            yield following, pages
            with suppress(BrokenOff):
                for _ in pages:
                    pass  # what the caller did not read
            following = rest[0] if rest else next(items, None)
        else:
            raise TypeError("a parser must yield a DocumentStart before the first page")


def _pages(
    start: DocumentStart, items: Iterator[Item], rest: list[DocumentStart | RecordFailed]
) -> Iterator[ParsedPage]:
    """The pages up to what follows the document, which goes to `rest`."""
    for item in items:
        if isinstance(item, ParsedPage):
            yield item
        elif isinstance(item, RecordFailed) and item.external_id == start.external_id:
            raise BrokenOff(item)
        else:
            rest.append(item)
            return
