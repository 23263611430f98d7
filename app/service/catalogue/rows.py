"""The rows of a catalogue file as names and values, whatever its format: CSV, JSONL or XLSX.

Owns what a record is in each format. What its columns mean is `reading`'s. Nothing in a file is computed: a formula of
a workbook counts as the result that was saved with it.
"""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from app.service.catalogue.errors import BadCatalogue, RowProblem
from ingestion.errors import PermanentError
from ingestion.parsers.base import Limits
from ingestion.parsers.delimited import chosen_delimiter
from ingestion.parsers.reading import decode, read_bytes
from ingestion.parsers.xlsx import rows_of_sheets

MOST_ROWS = 200_000
MOST_COLUMNS = 200
LARGEST_FILE = 64 * 2**20

_LIMITS = Limits(file_bytes=LARGEST_FILE)
_LONGEST_FIELD = 100_000
_DEEPEST = 100  # levels of brackets in a line of JSON


class Record(NamedTuple):
    """A row of the file: values by header, as they stand there, empty ones left out."""

    number: int
    values: dict[str, Any]


def records(path: Path, name: str) -> Iterator[Record]:
    """The rows of a file, read as its name's ending says. Raises `BadCatalogue` for what cannot be read as a whole."""
    suffix = Path(name).suffix.lower()
    try:
        match suffix:
            case ".csv" | ".tsv" | ".txt":
                yield from _limited(name, _table(name, _delimited(path, name, suffix)))
            case ".xlsx" | ".xlsm":
                yield from _limited(name, _table(name, _sheet(path)))
            case ".jsonl" | ".ndjson":
                yield from _limited(name, _lines(path, name))
            case _:
                raise refused(name, 0, "", "a catalogue is a file in CSV, JSONL or XLSX, and its name ends so")
    except PermanentError as error:
        raise refused(name, 0, "", str(error)) from error


def refused(name: str, row: int, column: str, reason: str) -> BadCatalogue:
    return BadCatalogue(name, [RowProblem(row, column, reason)])


def _limited(name: str, found: Iterator[Record]) -> Iterator[Record]:
    for count, record in enumerate(found):
        if count >= MOST_ROWS:
            raise refused(name, record.number, "", f"a catalogue has at most {MOST_ROWS:,} products")
        if len(record.values) > MOST_COLUMNS:
            raise refused(name, record.number, "", f"a product has at most {MOST_COLUMNS} attributes")
        yield record


def _table(name: str, rows: Iterator[tuple[int, dict[int, str]]]) -> Iterator[Record]:
    header: dict[int, str] | None = None
    for number, cells in rows:
        if header is None:
            header = {at: " ".join(text.split()) for at, text in cells.items()}
            if len(header) > MOST_COLUMNS:
                raise refused(name, number, "", f"a catalogue has at most {MOST_COLUMNS} columns")
            twice = {text for text in header.values() if list(header.values()).count(text) > 1}
            if twice:
                raise refused(name, number, min(twice), "two columns have this name")
            continue
        beyond = sorted(cells.keys() - header.keys())
        if beyond:
            shown = cells[beyond[0]][:40]
            raise refused(name, number, "", f"{shown!r} stands in a column without a name: is a value not quoted?")
        yield Record(number, {header[at]: text for at, text in sorted(cells.items())})
    if header is None:
        raise refused(name, 0, "", "is empty")


def _delimited(path: Path, name: str, suffix: str) -> Iterator[tuple[int, dict[int, str]]]:
    text = decode(read_bytes(path, _LIMITS), name)
    delimiter = "\t" if suffix == ".tsv" else ""
    first, _, rest = text.partition("\n")
    if first.lower().startswith("sep=") and len(first.strip()) == 5:  # what Excel writes to tell itself
        text, delimiter = rest, first.strip()[4]
    csv.field_size_limit(_LONGEST_FIELD)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter or chosen_delimiter(text), strict=True)
    number = 0
    try:
        for number, values in enumerate(reader, start=1):
            if cells := {at: value.strip() for at, value in enumerate(values) if value.strip()}:
                yield number, cells
    except csv.Error as error:
        raise refused(name, number + 1, "", f"cannot be read ({error})") from error


def _sheet(path: Path) -> Iterator[tuple[int, dict[int, str]]]:
    """The rows of the first visible sheet that has any."""
    first = None
    for sheet, row in rows_of_sheets(path, _LIMITS):
        if first is None:
            first = sheet
        if sheet != first:
            return
        yield row.number, {at: cell.text for at, cell in row.cells.items()}


def _lines(path: Path, name: str) -> Iterator[Record]:
    text = decode(read_bytes(path, _LIMITS), name)
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        if len(line) > _LONGEST_FIELD:
            raise refused(name, number, "", f"is longer than {_LONGEST_FIELD:,} characters")
        try:
            value = json.loads(line, parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            raise refused(name, number, "", f"is not JSON: {error}") from error
        if not isinstance(value, dict):
            raise refused(name, number, "", "is not a JSON object")
        inner = value.pop("attributes", {})
        if not isinstance(inner, dict) or value.keys() & inner.keys():
            raise refused(name, number, "attributes", "must be an object whose names are not also outside of it")
        yield Record(number, {key: each for key, each in (value | inner).items() if each not in (None, "", [])})


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")
