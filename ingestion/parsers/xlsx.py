"""Reads Excel workbooks (.xlsx, .xlsm): what each visible sheet shows.

Owns the workbook: which sheets there are, their order, what is hidden, and what an admin should be told. One sheet is
`xlsx_sheet`'s, how numbers look `xlsx_formats`'s, the pages `sheet_pages`'s. Macros and formulas are never run: a
formula shows the result that was saved with it.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from lxml.etree import _Element

from ingestion.errors import BrokenFile
from ingestion.parsers.base import Limits, Source
from ingestion.parsers.packages import Package, open_package, relation_id, too_large
from ingestion.parsers.sheet_pages import Row, SheetPages
from ingestion.parsers.xlsx_formats import BUILT_IN, GENERAL
from ingestion.parsers.xlsx_sheet import SheetReader, Workbook
from ingestion.types import DocumentStart, ParsedPage

_SHARED_CHARACTERS_A_PAGE = 50
"""Shared strings are held in memory: as many times the characters of one page are the most."""

_NAMED_IN_WARNING = 5


class XlsxParser:
    """Excel: a sheet is one page or, when it is long, several; its name is their heading and label."""

    media_type = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

    def parse(self, source: Source, limits: Limits) -> Iterator[DocumentStart | ParsedPage]:
        """One document; rows carry the names of their columns, merged cells are repeated in every row they span.

        Hidden sheets, rows and columns are left out, which the first page's warning says. Raises `EncryptedFile`,
        `BrokenFile`, `EmptyFile`, `TooLarge`.
        """
        with open_package(source.path, limits) as package:
            workbook, visible, hidden = _opened(package, limits)
            yield DocumentStart(source.external_id, source.title or package.core_title() or source.path.stem)
            yield from _pages(package, workbook, visible, hidden, limits)


def rows_of_sheets(path: Path, limits: Limits) -> Iterator[tuple[str, Row]]:
    """Each visible sheet's name with its rows, as they show them, for readers of tables. Raises as `parse` does."""
    with open_package(path, limits) as package:
        workbook, visible, _ = _opened(package, limits)
        for name, part in visible:
            for row in SheetReader(package, part, workbook).rows():
                yield name, row


def _opened(package: Package, limits: Limits) -> tuple[Workbook, list[tuple[str, str]], list[str]]:
    """What cells refer to, the visible sheets with their parts, and the names of the hidden ones."""
    main = package.main_part("xl")
    root = package.xml(main)
    relations = package.relations(main)
    parts = {relation.kind: relation.target for relation in relations.values()}
    sheets = [
        (element.get("name", ""), element.get("state", "visible"), relations[relation_id(element)])
        for element in root.iterfind("{*}sheets/{*}sheet")
        if relation_id(element) in relations
    ]
    if not sheets:
        raise BrokenFile(f"{package.name} has no sheets: open it in Excel and save it again")
    workbook = Workbook(
        _shared_strings(package, parts.get("sharedStrings", ""), limits),
        _formats(package, parts.get("styles", "")),
        _is_from_1904(root),
    )
    sheets = [each for each in sheets if each[2].kind == "worksheet"]
    hidden = [name for name, state, _ in sheets if state != "visible"]
    visible = [(name, relation.target) for name, state, relation in sheets if state == "visible"]
    return workbook, visible, hidden


def _pages(
    package: Package, workbook: Workbook, visible: list[tuple[str, str]], hidden: list[str], limits: Limits
) -> Iterator[ParsedPage]:
    """All pages, each held back by one, so that the last can carry what was found out on the way."""
    pages = SheetPages(package.name, limits)
    last: ParsedPage | None = None
    notes = [_hidden_sheets(hidden)] if hidden else []
    for name, part in visible:
        reader = SheetReader(package, part, workbook)
        for page in pages.pages(name, reader.rows()):
            if last is not None:
                yield last
            last = page
        notes += [f"Sheet {name}: {note}" for note in reader.notes()]
    if last is None:
        last = ParsedPage(1, "", ())
    yield replace(last, warning=" ".join(notes) or None)


def _hidden_sheets(names: list[str]) -> str:
    listed = ", ".join(names[:_NAMED_IN_WARNING]) + (", …" if len(names) > _NAMED_IN_WARNING else "")
    return f"{len(names)} hidden sheets were left out ({listed}); unhide them to include them."


def _shared_strings(package: Package, part: str, limits: Limits) -> list[str]:
    """The texts that cells refer to by number, without the phonetic guides of Chinese and Japanese."""
    found: list[str] = []
    if part not in package:
        return found
    pieces: list[str] = []
    state = {"text": False, "guide": False, "characters": 0}

    def start(name: str, _: dict[str, str]) -> None:
        if name == "rPh":
            state["guide"] = True
        state["text"] = name == "t" and not state["guide"]

    def end(name: str) -> None:
        state["text"] = False
        if name == "rPh":
            state["guide"] = False
        elif name == "si":
            found.append("".join(pieces))
            pieces.clear()

    def text(content: str) -> None:
        if state["text"]:
            pieces.append(content)
            state["characters"] += len(content)

    for _ in package.scan(part, start, end, text):
        if state["characters"] > _SHARED_CHARACTERS_A_PAGE * limits.page_characters:
            raise too_large(package.name)
    return found


def _formats(package: Package, part: str) -> list[str]:
    """The format code of each cell style."""
    if part not in package:
        return []
    root = package.xml(part)
    codes = dict(BUILT_IN)
    for element in root.iterfind("{*}numFmts/{*}numFmt"):
        if element.get("numFmtId", "").isdigit():
            codes[int(element.get("numFmtId"))] = element.get("formatCode", GENERAL)
    ids = (style.get("numFmtId", "0") for style in root.iterfind("{*}cellXfs/{*}xf"))
    return [codes.get(int(number), GENERAL) if number.isdigit() else GENERAL for number in ids]


def _is_from_1904(root: _Element) -> bool:
    properties = root.find("{*}workbookPr")
    return properties is not None and properties.get("date1904", "0") in ("1", "true")
