"""Reads PowerPoint presentations (.pptx, .pptm): a slide is a page.

Owns the order of what stands on a slide: title, texts from top to bottom, tables, charts' and diagrams' texts, notes.
The package is `packages`'s, tables are `tables`'s, the writing in pictures is `pptx_pictures`'s. Macros are never run.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from lxml.etree import _Element

from ingestion.errors import BrokenFile, TooLarge
from ingestion.parsers.base import Limits, Source
from ingestion.parsers.packages import Package, open_package, relation_id
from ingestion.parsers.page_builder import PageBuilder, tidy
from ingestion.parsers.pptx_pictures import PICTURE, Pictures
from ingestion.parsers.tables import write_table
from ingestion.types import BlockKind, DocumentStart, ParsedPage

A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
P = "{http://schemas.openxmlformats.org/presentationml/2006/main}"
_TITLES = frozenset(["title", "ctrTitle"])
_FURNITURE = frozenset(["dt", "ftr", "sldNum", "hdr", "sldImg"])
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_DEEPEST_GROUP = 32
_MOST_SHAPES = 20_000
_WIDEST_REPEATED = 64
_LINE_BREAK = "\u2028"


@dataclass(frozen=True, slots=True)
class _Shape:
    """A text, table or picture on a slide, and where it stands (EMU from the top-left); None if its layout does."""

    element: _Element
    place: tuple[int, int] | None
    role: str | None  # the placeholder's type; None for what is no placeholder


class PptxParser:
    """PowerPoint: slides in their order, hidden ones left out, each with its title as heading and its notes."""

    media_type = "application/vnd.openxmlformats-officedocument.presentationml.presentation"

    def parse(self, source: Source, limits: Limits) -> Iterator[DocumentStart | ParsedPage]:
        """One document, a page a slide, numbered as PowerPoint does. A damaged slide is a page with a warning.

        Raises `EncryptedFile`, `BrokenFile`, `EmptyFile`, `TooLarge`.
        """
        name = source.path.name
        with open_package(source.path, limits) as package:
            main = package.main_part("ppt")
            relations = package.relations(main)
            ids = [relation_id(element) for element in package.xml(main).iterfind("{*}sldIdLst/{*}sldId")]
            slides = [relations[each].target for each in ids if each in relations]
            if not slides:
                raise BrokenFile(f"{name} has no slides: open it in PowerPoint and save it again")
            if len(slides) > limits.pages:
                raise TooLarge(
                    f"{name} has {len(slides):,} slides, the limit is {limits.pages:,}: split it, or raise the limit"
                )
            title = source.title or package.core_title()
            if title.lower() in ("", "powerpoint presentation", "powerpoint 演示文稿"):
                title = _first_title(package, slides[0]) or source.path.stem
            yield DocumentStart(source.external_id, title, len(slides))
            pictures = Pictures(package, limits)
            for number, part in enumerate(slides, start=1):
                yield _page(package, part, number, limits, pictures)


def _page(package: Package, part: str, number: int, limits: Limits, pictures: Pictures) -> ParsedPage:
    try:
        pictures.begin_slide(part)
        slide = package.xml(part)
        notes = next((each.target for each in package.relations(part).values() if each.kind == "notesSlide"), "")
        notes_root = package.xml(notes) if notes in package else None
    except BrokenFile as error:
        return ParsedPage(number, "", (), warning=f"This slide is damaged and was left out. {error}")
    if slide.get("show") in ("0", "false"):
        return ParsedPage(number, "", (), warning="This slide is hidden and was left out; unhide it to include it.")
    builder = PageBuilder(package.name, limits)
    shapes = _in_reading_order(_shapes(slide))
    heading = next((shape for shape in shapes if shape.role in _TITLES), None)
    if heading is not None:
        builder.heading(1, tidy(" ".join(_paragraph_text(each) for each in heading.element.iter(f"{A}p"))))
    for shape in shapes:
        if shape.element.tag == PICTURE:
            pictures.write(shape.element, builder)
        elif shape is not heading and shape.role not in _FURNITURE:
            _write(shape.element, builder)
    if notes_root is not None:
        _write_notes(notes_root, builder)
    return builder.page(number, warning=" ".join(pictures.warnings) or None)


def _first_title(package: Package, part: str) -> str:
    try:
        shapes = _shapes(package.xml(part))
    except BrokenFile:
        return ""  # told as the slide's warning when its turn comes
    titles = (shape.element for shape in shapes if shape.role in _TITLES)
    return next((tidy(" ".join(_paragraph_text(each) for each in title.iter(f"{A}p"))) for title in titles), "")


def _shapes(slide: _Element) -> list[_Shape]:
    """The slide's texts, tables and pictures, groups opened, in the file's order."""
    tree = slide.find(f"{P}cSld/{P}spTree")
    found: list[_Shape] = []
    waiting: list[tuple[_Element, int, tuple[int, int] | None]] = []
    waiting.extend((child, 0, None) for child in (reversed(tree) if tree is not None else ()))
    while waiting and len(found) < _MOST_SHAPES:
        element, depth, place = waiting.pop()
        if element.tag == _FALLBACK or not isinstance(element.tag, str):
            continue
        if element.tag in (f"{P}sp", f"{P}graphicFrame", PICTURE):
            found.append(_Shape(element, place or _place(element), _role(element)))
        elif depth < _DEEPEST_GROUP:  # groups, and the choices between what newer and older programs show
            # Positions inside a group have a scale of their own: its parts stay together where the group stands.
            own = (place or _place(element)) if element.tag == f"{P}grpSp" else place
            waiting.extend((child, depth + 1, own) for child in reversed(element))
    return found


def _place(element: _Element) -> tuple[int, int] | None:
    offset = next(element.iter(f"{A}off"), None)
    if offset is None:
        return None
    x, y = offset.get("x", ""), offset.get("y", "")
    digits = x.lstrip("-").isdigit() and y.lstrip("-").isdigit()
    return (int(y[:15]), int(x[:15])) if digits else None


def _role(element: _Element) -> str | None:
    placeholder = element.find(f"{P}nvSpPr/{P}nvPr/{P}ph")
    if placeholder is None:
        placeholder = element.find(f"{P}nvGraphicFramePr/{P}nvPr/{P}ph")
    return None if placeholder is None else str(placeholder.get("type", "body"))


def _in_reading_order(shapes: list[_Shape]) -> list[_Shape]:
    """Placeholders in the file's order, as their layout means them; the other shapes after them from top to bottom."""
    placeholders = [shape for shape in shapes if shape.role is not None]
    others = [shape for shape in shapes if shape.role is None]
    return placeholders + sorted(others, key=lambda shape: shape.place or (0, 0))


def _write(element: _Element, builder: PageBuilder) -> None:
    table = next(element.iter(f"{A}tbl"), None)
    if table is not None:
        properties = table.find(f"{A}tblPr")
        write_table(builder, _rows(table), has_header=properties is not None and properties.get("firstRow") == "1")
        return
    numbers: dict[int, int] = {}
    for paragraph in element.iter(f"{A}p"):
        text = "\n".join(filter(None, map(tidy, _paragraph_text(paragraph).split(_LINE_BREAK))))
        if text:
            kind, mark = _mark(paragraph, numbers)
            builder.block(kind, mark + text)


def _mark(paragraph: _Element, numbers: dict[int, int]) -> tuple[BlockKind, str]:
    """What a paragraph is by its own bullet or number; bullets that only its layout gives it are not seen here."""
    properties = paragraph.find(f"{A}pPr")
    if properties is None:
        return BlockKind.PARAGRAPH, ""
    level = int(properties.get("lvl", "0")) if properties.get("lvl", "0").isdigit() else 0
    numbered = properties.find(f"{A}buAutoNum")
    if numbered is not None:
        start = numbered.get("startAt", "1")
        first = int(start) if start.isdigit() and len(start) < 6 else 1
        numbers[level] = numbers.get(level, first - 1) + 1
        return BlockKind.STEP, f"{numbers[level]}. "
    is_item = properties.find(f"{A}buChar") is not None or level > 0
    return (BlockKind.LIST_ITEM, "- ") if is_item else (BlockKind.PARAGRAPH, "")


def _rows(table: _Element) -> list[list[str]]:
    """The table's cells; a merged cell's text is repeated in every cell that it covers."""
    rows: list[list[str]] = []
    for row in table.iterfind(f"{A}tr"):
        cells: list[str] = []
        for column, cell in enumerate(row.iterfind(f"{A}tc")):
            if cell.get("hMerge") in ("1", "true") and cells and column < _WIDEST_REPEATED:
                cells.append(cells[-1])
            elif cell.get("vMerge") in ("1", "true") and rows and column < len(rows[-1]):
                cells.append(rows[-1][column])
            else:
                cells.append(" ".join(_paragraph_text(each) for each in cell.iter(f"{A}p")).replace(_LINE_BREAK, " "))
        rows.append(cells)
    return rows


def _paragraph_text(paragraph: _Element) -> str:
    parts: list[str] = []
    for element in paragraph.iter(f"{A}t", f"{A}br", f"{A}tab"):
        parts.append(element.text or "" if element.tag == f"{A}t" else _LINE_BREAK if element.tag == f"{A}br" else " ")
    return "".join(parts)


def _write_notes(notes: _Element, builder: PageBuilder) -> None:
    bodies = [shape for shape in _shapes(notes) if shape.role == "body"]
    for shape in bodies:
        for paragraph in shape.element.iter(f"{A}p"):
            builder.block(BlockKind.PARAGRAPH, tidy(_paragraph_text(paragraph).replace(_LINE_BREAK, "\n")))
