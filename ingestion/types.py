"""What parsers yield and the chunker cuts: pages, blocks, passage drafts.

Owns the values between file and passage. Knows nothing of SQL, indexes or models.
Offsets are Python string offsets into a page's text, end exclusive.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from ingestion.errors import PermanentError
from rag.types import NO_PAGE, Span

__all__ = [
    "NO_PAGE",
    "Block",
    "BlockKind",
    "DocumentStart",
    "LineBox",
    "OpenTable",
    "PageWarning",
    "ParsedPage",
    "PassageDraft",
    "RecordFailed",
    "Span",
]


class BlockKind(StrEnum):
    HEADING = "heading"
    PARAGRAPH = "paragraph"
    STEP = "step"
    LIST_ITEM = "list_item"
    TABLE_ROW = "table_row"
    CODE = "code"
    CONTENTS = "contents"  # a line of a table of contents or an index: it names places and answers nothing
    REPEATED = "repeated"  # a table's header, printed again on a page that the table goes on over


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph, step, list item, table row, code block or heading: text[start:end] of its page.

    `heading_path` names the section it stands in, outermost first (a heading block stands in itself).
    `anchor` is the fragment that leads to the section in a document without pages. `columns` are the names of a row's
    columns, where it is not the row that names them: for what is embedded, as headings are.
    """

    kind: BlockKind
    start: int
    end: int
    heading_path: tuple[str, ...]
    anchor: str | None = None
    columns: str = ""


@dataclass(frozen=True, slots=True)
class DocumentStart:
    """First item of each document that a parser yields; the pages that follow belong to it.

    `page_count` is the number of pages to come where it is known. `facets` are metadata fields.
    `content_hash` is set where the file holds several documents; otherwise the file's own hash counts.
    `media_type` is "" where it is that of the file.
    """

    external_id: str
    title: str
    page_count: int | None = None
    facets: Mapping[str, object] = field(default_factory=dict)
    content_hash: str = ""
    media_type: str = ""


@dataclass(frozen=True, slots=True)
class RecordFailed:
    """A document of a file with several that cannot be read; the others go on."""

    external_id: str
    title: str
    error: PermanentError


LineBox = tuple[int, int, int, int, int, int]
"""A recognised line: (start in text, length, x0, y0, x1, y1), the last four in hundredths of a point (1/72 inch) on the
page as displayed, origin top-left. (x0, y0) is the corner at which the line begins to be read, (x1, y1) the opposite
one: of a page that lies on its side or on its head they are not the left upper and right lower ones."""


@dataclass(frozen=True, slots=True)
class OpenTable:
    """A table that a page ends in: the names of its columns ("" where none were found), the rows that named them or may
    turn out to, how many columns it has, and the cell that stands for the first of rows to come which lack it."""

    names: str
    header: tuple[str, ...]
    columns: int
    label: str


@dataclass(frozen=True, slots=True)
class ParsedPage:
    """One page. `text` ends with a newline unless empty; blocks are in reading order and do not overlap.

    `source_map` maps text to glyphs for highlighting: runs (start in text, first character index in the
    PDF page's own text, length); characters of `text` outside all runs were added by the parser.
    `line_boxes` take its place on a page that was read from its picture.
    `open_sections` are the sections that go on after the page, outermost first: (rank, level, title), as the parser
    needs them to read on from here; so is `open_table` the table.
    """

    number: int
    text: str
    blocks: tuple[Block, ...]
    label: str | None = None
    source_map: tuple[tuple[int, int, int], ...] = ()
    warning: str | None = None
    open_sections: tuple[tuple[int, int, str], ...] = field(default=(), compare=False)
    line_boxes: tuple[LineBox, ...] = ()
    open_table: OpenTable | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class PageWarning:
    """Something an admin should know about a page that was read all the same (page `NO_PAGE`: the document)."""

    page: int
    message: str


@dataclass(frozen=True, slots=True)
class PassageDraft:
    """A passage before it is stored. `text` is the concatenation of the spans' slices of the page texts.

    `windows` are (start, end) offsets into `text`. `embedded` is what is embedded: row 0 the whole passage,
    row i + 1 window i, each with its heading path in front, none longer than the embedder's limit.
    """

    heading_path: tuple[str, ...]
    spans: tuple[Span, ...]
    text: str
    windows: tuple[tuple[int, int], ...]
    embedded: tuple[str, ...]
