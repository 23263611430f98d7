"""What passes between a process and the one that parses or draws for it: frames, and how values are written into them.

A frame is one byte that says what it is, four bytes of length (big endian) and that many bytes of JSON in UTF-8,
lone surrogates kept. Nothing in a frame is executed, a frame has a greatest length, and what does not decode to
exactly what its kind promises is a `BadFrame`: whoever writes the frames may have been taken over by a hostile file.
"""

import json
import struct
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from ingestion import errors
from ingestion.errors import IngestionError, ParserFailed, PermanentError
from ingestion.parsers.base import Limits, Resume, Source
from ingestion.reader import Item
from ingestion.shown.page_request import Drawn, DrawRequest, drawn_fields, drawn_of, request_fields, request_of
from ingestion.types import Block, BlockKind, DocumentStart, OpenTable, ParsedPage, RecordFailed

HEADER = struct.Struct(">cI")
LONGEST_FRAME = 128 * 2**20
"""Bytes. A page of 2,000,000 characters, each in a run of its own, takes less."""

_LONGEST_MESSAGE = 4_000


class Kind(Enum):
    """REQUEST, DRAW and STOP go to the child, the others come from it."""

    REQUEST = b"R"  # a file to parse
    DRAW = b"W"  # a page to draw
    STOP = b"C"  # no more of it is wanted
    OPENING = b"A"  # the number of the page that is read next
    MEMBER = b"M"  # the number and the external id of an archive's member that is read next
    START = b"S"
    PAGE = b"P"
    RECORD_FAILED = b"F"
    ERROR = b"E"  # the file cannot be read, for a reason that a parser knows
    FAULT = b"X"  # the file cannot be read: an exception that no parser foresaw
    DRAWN = b"I"
    DONE = b"D"  # nothing more will come for the last request, if there was one: ready for the next


class BadFrame(Exception):
    """The other side does not keep to the protocol."""


@dataclass(frozen=True, slots=True)
class Request:
    """One file to parse. `cpu_seconds` is what may be spent on it at most."""

    source: Source
    limits: Limits
    resume: Resume
    cpu_seconds: int


@dataclass(frozen=True, slots=True)
class Fault:
    """An exception of the parser's that is no `IngestionError`."""

    name: str
    message: str
    traceback: str


@dataclass(frozen=True, slots=True)
class Done:
    """`peak_mb` is the most memory that the child has ever held."""

    peak_mb: int


def frame(kind: Kind, value: object = None) -> bytes:
    payload = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
    return HEADER.pack(kind.value, len(payload)) + payload


def read_header(header: bytes) -> tuple[Kind, int]:
    """The kind and the length of what follows. Raises `BadFrame`."""
    mark, length = HEADER.unpack(header)
    if length > LONGEST_FRAME:
        raise BadFrame(f"a frame of {length:,} bytes")
    try:
        return Kind(mark), length
    except ValueError as error:
        raise BadFrame(f"a frame of the unknown kind {mark!r}") from error


def request_frame(request: Request) -> bytes:
    source, resume = request.source, request.resume
    return frame(
        Kind.REQUEST,
        {
            "source": [str(source.path), source.external_id, source.title],
            "limits": asdict(request.limits),
            "resume": [resume.pages, resume.sections, sorted(resume.unreadable.items()), _table_fields(resume.table)],
            "members": [resume.members, resume.unreadable_members, dict(resume.known)],
            "cpu_seconds": request.cpu_seconds,
        },
    )


def draw_frame(request: DrawRequest) -> bytes:
    return frame(Kind.DRAW, request_fields(request))


def drawn_frame(drawn: Drawn) -> bytes:
    return frame(Kind.DRAWN, drawn_fields(drawn))


def item_frame(item: Item) -> bytes:
    if isinstance(item, ParsedPage):
        blocks = [
            (each.kind, each.start, each.end, each.heading_path, each.anchor, each.columns) for each in item.blocks
        ]
        runs = [number for run in item.source_map for number in run]
        boxes = [number for box in item.line_boxes for number in box]
        left_open = [item.open_sections, _table_fields(item.open_table)]
        return frame(Kind.PAGE, [item.number, item.text, blocks, item.label, runs, item.warning, left_open, boxes])
    if isinstance(item, DocumentStart):
        facets = dict(item.facets)
        fields = [item.external_id, item.title, item.page_count, facets, item.content_hash, item.media_type]
        return frame(Kind.START, fields)
    return frame(Kind.RECORD_FAILED, [item.external_id, item.title, item.error.code, str(item.error)])


def error_frame(error: IngestionError) -> bytes:
    return frame(Kind.ERROR, [error.code, str(error)[:_LONGEST_MESSAGE]])


def fault_frame(fault: Fault) -> bytes:
    return frame(Kind.FAULT, [fault.name, fault.message[:_LONGEST_MESSAGE], fault.traceback[-8 * _LONGEST_MESSAGE :]])


def decode(kind: Kind, payload: bytes) -> Any:
    """The value of a frame: `Request`, `DrawRequest`, an int (OPENING), (int, str) (MEMBER), `Item`,
    `IngestionError`, `Fault`, `Drawn`, `Done` or None (STOP).

    Raises `BadFrame`.
    """
    try:
        return _DECODERS[kind](json.loads(payload.decode("utf-8", "surrogatepass")))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise BadFrame(f"a {kind.name} frame that cannot be read ({type(error).__name__}: {error})") from error


def _request(value: Any) -> Request:
    path, external_id, title = value["source"]
    pages, sections, unreadable, table = value["resume"]
    members, unreadable_members, known = value["members"]
    return Request(
        Source(Path(path), external_id, title),
        Limits(**value["limits"]),
        Resume(
            pages,
            _sections(sections),
            dict(unreadable),
            members=_whole(members),
            unreadable_members=tuple(map(_whole, unreadable_members)),
            table=_table(table),
            known={_text(external_id): _text(content_hash) for external_id, content_hash in known.items()},
        ),
        value["cpu_seconds"],
    )


def _page(value: Any) -> ParsedPage:
    number, text, blocks, label, runs, warning, (sections, table), boxes = value
    length = len(_text(text))
    source_map = tuple(zip(runs[::3], runs[1::3], runs[2::3], strict=True))
    line_boxes = tuple(zip(*(boxes[place::6] for place in range(6)), strict=True))
    if not all(type(place) is int and 0 <= place < 2**31 for place in (number, *runs, *boxes)):
        raise ValueError("a number out of its range")
    return ParsedPage(
        number,
        text,
        tuple(_block(block, length) for block in blocks),
        _optional(label),
        source_map,
        _optional(warning),
        _sections(sections),
        line_boxes,
        _table(table),
    )


def _block(value: Any, length: int) -> Block:
    kind, start, end, path, anchor, columns = value
    if not (type(start) is int and type(end) is int and 0 <= start <= end <= length):
        raise ValueError("a block outside its page")
    return Block(BlockKind(kind), start, end, tuple(map(_text, path)), _optional(anchor), _text(columns))


def _start(value: Any) -> DocumentStart:
    external_id, title, page_count, facets, content_hash, media_type = value
    if not isinstance(facets, dict) or not (page_count is None or type(page_count) is int):
        raise TypeError("facets or a page count of the wrong type")
    texts = [_text(text) for text in (external_id, title, content_hash, media_type)]
    return DocumentStart(texts[0], texts[1], page_count, facets, texts[2], texts[3])


def _member(value: Any) -> tuple[int, str]:
    number, external_id = value
    return _whole(number), _text(external_id)


def _record_failed(value: Any) -> RecordFailed:
    external_id, title, code, message = value
    error = _error([code, message])
    if not isinstance(error, PermanentError):
        raise TypeError("a record can only fail for good")
    return RecordFailed(_text(external_id), _text(title), error)


def _error(value: Any) -> IngestionError:
    code, message = value
    return _ERRORS.get(code, ParserFailed)(_text(message))


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise TypeError("not a whole number")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value


def _optional(value: Any) -> str | None:
    return None if value is None else _text(value)


def _sections(value: Any) -> tuple[tuple[int, int, str], ...]:
    return tuple((_whole(rank), _whole(level), _text(title)) for rank, level, title in value)


def _table_fields(table: OpenTable | None) -> list[Any] | None:
    return None if table is None else [table.names, table.header, table.columns, table.label]


def _table(value: Any) -> OpenTable | None:
    if value is None:
        return None
    names, header, columns, label = value
    return OpenTable(_text(names), tuple(map(_text, header)), _whole(columns), _text(label))


def _errors_by_code() -> Mapping[str, type[IngestionError]]:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, IngestionError)]
    return {kind.code: kind for kind in kinds}


_ERRORS = _errors_by_code()
_DECODERS: Mapping[Kind, Callable[[Any], Any]] = {
    Kind.REQUEST: _request,
    Kind.DRAW: request_of,
    Kind.DRAWN: drawn_of,
    Kind.STOP: lambda _: None,
    Kind.OPENING: _whole,
    Kind.MEMBER: _member,
    Kind.START: _start,
    Kind.PAGE: _page,
    Kind.RECORD_FAILED: _record_failed,
    Kind.ERROR: _error,
    Kind.FAULT: lambda value: Fault(*(_text(each) for each in value)),
    Kind.DONE: lambda value: Done(_whole(value)),
}
