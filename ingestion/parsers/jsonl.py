"""Reads JSONL: one record a line, each a document with its own external id.

Owns what a record is. A line that is not one fails alone, with its number; the rest goes on.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

from ingestion.errors import BadRecord, PermanentError, TooLarge
from ingestion.parsers.base import Limits, Source
from ingestion.parsers.plain_blocks import plain_page
from ingestion.parsers.reading import check_size, reading
from ingestion.types import DocumentStart, ParsedPage, RecordFailed

_CORRECT = "correct it and upload the file again"
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


class JsonlParser:
    """Records `{"_id": ..., "title": ..., "text": ...}` in UTF-8; all other fields become facets."""

    media_type = "application/jsonl"

    def parse(self, source: Source, limits: Limits) -> Iterator[DocumentStart | ParsedPage | RecordFailed]:
        """A `DocumentStart` and one page for each record, or a `RecordFailed`; empty lines are passed over."""
        check_size(source.path, limits)
        seen: set[str] = set()
        for number, line in _lines(source.path, limits):
            try:
                start, page = _document(line, number, limits)
                if start.external_id in seen:
                    raise BadRecord(
                        f'line {number}: the _id "{start.external_id[:100]}" occurs twice in this file; {_CORRECT}'
                    )
            except PermanentError as error:
                yield RecordFailed(f"{source.external_id}#{number}", f"line {number}", error)
                continue
            seen.add(start.external_id)
            yield start
            yield page


def _lines(path: Path, limits: Limits) -> Iterator[tuple[int, bytes]]:
    """Number and bytes of each line that is not empty; of a line beyond the limit only its beginning."""
    longest = 8 * limits.record_characters + 1
    with reading(path) as file:
        number = 0
        while line := file.readline(longest):
            number += 1
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
            whole = line
            while len(whole) == longest and not whole.endswith(b"\n"):
                whole = file.readline(longest)
            if line.strip():
                yield number, line


def _document(line: bytes, number: int, limits: Limits) -> tuple[DocumentStart, ParsedPage]:
    if len(line) > 8 * limits.record_characters:
        raise TooLarge(f"line {number}: longer than {limits.record_characters:,} characters; split the record")
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise BadRecord(f"line {number} is not JSON in UTF-8 ({error}); {_CORRECT}") from error
    if not isinstance(record, dict):
        raise BadRecord(f"line {number} is not a JSON object; {_CORRECT}")
    external_id = record.pop("_id", None)
    if isinstance(external_id, bool) or not isinstance(external_id, str | int) or external_id == "":
        raise BadRecord(f"line {number}: _id is missing, or neither a text nor a whole number; {_CORRECT}")
    title = record.pop("title", None) or ""
    text = record.pop("text", None)
    if not isinstance(title, str) or not isinstance(text, str):
        raise BadRecord(f"line {number}: title and text must be texts; {_CORRECT}")
    if len(text) > limits.record_characters:
        raise TooLarge(f"line {number}: longer than {limits.record_characters:,} characters; split the record")
    content_hash = _hash({"_id": external_id, "title": title, "text": text, "facets": record}, number)
    page = plain_page(text if text.strip() else title)  # a help page may be all said with its title
    return DocumentStart(str(external_id), title or str(external_id), 1, record, content_hash), page


def _hash(content: dict[str, object], number: int) -> str:
    """SHA-256 of the record's canonical JSON. Raises `BadRecord` for what no database can store."""
    try:
        canonical = json.dumps(content, ensure_ascii=False, sort_keys=True, allow_nan=False).encode()
    except UnicodeEncodeError as error:
        raise BadRecord(
            f"line {number} holds half a character (a lone surrogate: {error.reason}); {_CORRECT}"
        ) from error
    except ValueError as error:
        raise BadRecord(f"line {number} holds NaN or Infinity, which are not JSON; {_CORRECT}") from error
    if _NUL.search(canonical):
        raise BadRecord(f"line {number} holds the character NUL; {_CORRECT}")
    return hashlib.sha256(canonical).hexdigest()
