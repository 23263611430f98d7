"""Which documents a file holds and with which contents, told without reading those of an archive.

Owns nothing but the shortcut: records are parsed, because their names are inside of them; of an archive's members only
names and hashes are looked at. Titles and facets are not told: they are inside of the members.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ingestion import detect
from ingestion.archives import ZipParser
from ingestion.parsers.base import Limits, Parser, Source
from ingestion.types import DocumentStart, RecordFailed


def documents_in(source: Source, limits: Limits) -> dict[str, str]:
    """External ids and content hashes of the documents in a file that may hold several (`detect.HOLDS_SEVERAL`).

    The hash is "" for what cannot be a document; one that has a hash may turn out to be broken when it is read. Raises
    what the parser of such a file raises.
    """
    parser = detect.parser_for(source.path, limits)
    listing = ZipParser(_naming_parser) if isinstance(parser, ZipParser) else parser
    hashes: dict[str, str] = {}
    unreadable: dict[str, str] = {}
    for item in listing.parse(source, limits):
        if isinstance(item, DocumentStart):
            hashes[item.external_id] = item.content_hash
        elif isinstance(item, RecordFailed):
            unreadable[item.external_id] = ""
    return hashes | unreadable


@dataclass(slots=True)
class _Name:
    """Stands for the parser of a file that is one document."""

    media_type: str

    def parse(self, source: Source, limits: Limits) -> Iterator[DocumentStart]:
        yield DocumentStart(source.external_id, source.external_id)


def _naming_parser(path: Path, limits: Limits) -> Parser:
    parser = detect.parser_for(path, limits)
    return parser if parser.media_type in detect.HOLDS_SEVERAL else _Name(parser.media_type)
