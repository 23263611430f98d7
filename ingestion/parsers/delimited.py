"""Reads tables in text files: CSV and TSV, whatever divides their columns.

Owns the choice of the delimiter. The encoding is `reading`'s, the pages are `sheet_pages`'s.
"""

import csv
import io
from collections import Counter
from collections.abc import Iterator

from ingestion.errors import BrokenFile
from ingestion.parsers.base import Limits, Source
from ingestion.parsers.reading import decode, read_bytes
from ingestion.parsers.sheet_pages import Cell, Row, SheetPages
from ingestion.types import DocumentStart, ParsedPage

_DELIMITERS = ",;\t|"
_SAMPLE = 64_000
_SAMPLE_ROWS = 100
_NUMBER_SIGNS = frozenset("0123456789.,+-%/:()  €$£¥")
_LONGEST_FIELD = 1_000_000


class DelimitedParser:
    """CSV and TSV: a row a line, with the names of its columns, some hundred rows a page."""

    media_type = "text/csv"

    def parse(self, source: Source, limits: Limits) -> Iterator[DocumentStart | ParsedPage]:
        """One document. Raises `BrokenFile` for what is no text or no table, `EmptyFile`, `TooLarge`."""
        name = source.path.name
        text = decode(read_bytes(source.path, limits), name)
        yield DocumentStart(source.external_id, source.title or source.path.stem)
        delimiter = "\t" if source.path.suffix.lower() == ".tsv" else ""
        yield from SheetPages(name, limits).pages("", _rows(text, delimiter, name))


def _rows(text: str, delimiter: str, name: str) -> Iterator[Row]:
    first, _, rest = text.partition("\n")
    if first.lower().startswith("sep=") and len(first.strip()) == 5:  # what Excel writes to tell itself
        text, delimiter = rest, first.strip()[4]
    csv.field_size_limit(_LONGEST_FIELD)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter or chosen_delimiter(text))
    number = 0
    try:
        for values in reader:
            number += 1
            cells = {at: Cell(value.strip(), not _is_number(value)) for at, value in enumerate(values) if value.strip()}
            if cells:
                yield Row(number, cells)
    except csv.Error as error:
        raise BrokenFile(f"{name}: row {number + 1} cannot be read ({error}); export the table again") from error


def chosen_delimiter(text: str) -> str:
    """The sign that cuts the first rows into the most columns that they agree on; a comma for a single column."""
    sample = text[:_SAMPLE]
    if len(text) > _SAMPLE:
        sample = sample[: sample.rfind("\n") + 1] or sample
    best, best_score = ",", 0.0
    for delimiter in _DELIMITERS:
        try:
            reader = csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter)
            widths = Counter(len(row) for row, _ in zip(reader, range(_SAMPLE_ROWS), strict=False) if row)
        except csv.Error:
            continue  # not this sign: the text breaks its rules
        if not widths:
            continue
        width, count = max(widths.items(), key=lambda item: (item[1] * (item[0] > 1), item[0]))
        score = count / widths.total() + min(width, 50) / 1000 if width > 1 else 0.0
        if score > best_score:
            best, best_score = delimiter, score
    return best


def _is_number(value: str) -> bool:
    return any("0" <= sign <= "9" for sign in value) and _NUMBER_SIGNS.issuperset(value.strip())
