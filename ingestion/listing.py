"""Which documents a file holds, told without reading them.

Owns nothing but the shortcut: records are parsed, because their names are inside of them; of an archive's members only
names and hashes are looked at. What is said here of a file is what its parser yields, the pages left out.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ingestion import detect
from ingestion.archives import ZipParser
from ingestion.parsers.base import Limits, Parser, Source
from ingestion.types import DocumentStart, ParsedPage, RecordFailed


def documents_in(source: Source, limits: Limits) -> Iterator[DocumentStart | RecordFailed]:
    """The documents of a file that may hold several (`detect.HOLDS_SEVERAL`), and what cannot be one.

    Raises what the parser of such a file raises. A document may turn out to be broken when it is read.
    """
    parser = detect.parser_for(source.path, limits)
    listing = ZipParser(_naming_parser) if isinstance(parser, ZipParser) else parser
    for item in listing.parse(source, limits):
        if not isinstance(item, ParsedPage):
            yield item


@dataclass(slots=True)
class _Name:
    """Stands for the parser of a file that is one document."""

    media_type: str

    def parse(self, source: Source, limits: Limits) -> Iterator[DocumentStart]:
        yield DocumentStart(source.external_id, PurePosixPath(source.external_id).stem)


def _naming_parser(path: Path, limits: Limits) -> Parser:
    parser = detect.parser_for(path, limits)
    return parser if parser.media_type in detect.HOLDS_SEVERAL else _Name(parser.media_type)
