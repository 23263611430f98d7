"""Reads Word documents (.docx).

Owns the order of a document's body: paragraphs, headings, lists, tables and footnotes. The package is `packages`'s,
the numbers of lists `docx_numbering`'s. Macros are never run.
"""

from collections.abc import Iterator

from lxml.etree import _Element

from ingestion.parsers.base import Limits, Source
from ingestion.parsers.docx_numbering import Numbering, W
from ingestion.parsers.packages import Package, open_package
from ingestion.parsers.page_builder import PageBuilder, tidy
from ingestion.parsers.tables import write_table
from ingestion.types import BlockKind, DocumentStart, ParsedPage

_SKIPPED = frozenset(f"{W}{name}" for name in ("del", "moveFrom", "txbxContent", "pPr", "rPr", "instrText"))
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_LINE_BREAK = "\u2028"
_WIDEST_REPEATED = 64


class DocxParser:
    """Word: headings by style or outline level, lists and steps with their numbers, table rows, in their order."""

    media_type = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"

    def parse(self, source: Source, limits: Limits) -> Iterator[DocumentStart | ParsedPage]:
        """One document of one page; page headers, footers, text boxes, deleted text and contents lists are left out.

        Raises `EncryptedFile`, `BrokenFile`, `EmptyFile`, and `TooLarge` before anything is unpacked.
        """
        builder = PageBuilder(source.path.name, limits)
        with open_package(source.path, limits) as package:
            package.check_xml()
            body = _Body(package, package.main_part("word"), builder)
            core_title, facets = package.core_title(), package.stated_facets()
        body.read()
        page = builder.page()
        first = next((block for block in page.blocks if block.kind is BlockKind.HEADING), None)
        heading = page.text[first.start : first.end] if first else ""
        title = source.title or body.title or core_title or heading or source.path.stem
        yield DocumentStart(source.external_id, title, 1, facets)
        yield page


class _Body:
    """Walks the body's elements in order and hands each block to the builder."""

    def __init__(self, package: Package, main: str, builder: PageBuilder) -> None:
        self._builder = builder
        parts = {relation.kind: relation.target for relation in package.relations(main).values()}
        self._root = package.xml(main)
        styles = _root(package, parts.get("styles"))
        self._styles: dict[str, _Element] = {
            style.get(f"{W}styleId", ""): style for style in (styles.iter(f"{W}style") if styles is not None else ())
        }
        self._numbering = Numbering(_root(package, parts.get("numbering")))
        notes = (_root(package, parts.get(kind)) for kind in ("footnotes", "endnotes"))
        self._notes = [{note.get(f"{W}id", ""): note for note in root} if root is not None else {} for root in notes]
        self.title = ""

    def read(self) -> None:
        """Hands every block of the body to the builder."""
        body = self._root.find(f"{W}body")
        waiting = list(reversed(body)) if body is not None else []
        while waiting:
            child = waiting.pop()
            if child.tag == f"{W}p":
                self._paragraph(child)
            elif child.tag == f"{W}tbl":
                write_table(self._builder, _rows(child))
                self._write_notes(child)
            elif child.tag == f"{W}sdt":
                gallery = child.find(f"{W}sdtPr/{W}docPartObj/{W}docPartGallery")
                content = child.find(f"{W}sdtContent")
                if content is not None and (gallery is None or gallery.get(f"{W}val") != "Table of Contents"):
                    waiting.extend(reversed(content))
            elif child.tag in (f"{W}ins", f"{W}moveTo", f"{W}customXml", f"{W}smartTag"):
                waiting.extend(reversed(child))

    def _paragraph(self, paragraph: _Element) -> None:
        text = "\n".join(filter(None, map(tidy, _text(paragraph).split(_LINE_BREAK))))
        chain = list(self._style_chain(paragraph))
        names = [_attribute(style, "name").lower() for style in chain]
        num_id, level = _numbering_of([paragraph, *chain])
        mark, is_number = self._numbering.next_mark(num_id, level) if num_id else ("", False)
        if not text or any(name.startswith("toc ") for name in names):
            return
        outline = _outline_level([paragraph, *chain], names)
        if outline is not None:
            self.title = self.title or (text if outline == 0 else "")
            self._builder.heading(outline, tidy(f"{mark} {text}"), _bookmark(paragraph))
        elif mark:
            self._builder.block(BlockKind.STEP if is_number else BlockKind.LIST_ITEM, f"{mark} {text}")
        else:
            self._builder.block(BlockKind.PARAGRAPH, text)
        self._write_notes(paragraph)

    def _write_notes(self, element: _Element) -> None:
        """Writes the foot- and endnotes that an element refers to, below it."""
        for kind, notes in zip(("footnote", "endnote"), self._notes, strict=True):
            for reference in element.iter(f"{W}{kind}Reference"):
                note = notes.get(reference.get(f"{W}id", ""))
                if note is not None:
                    self._builder.block(BlockKind.PARAGRAPH, tidy(" ".join(_text(each) for each in note.iter(f"{W}p"))))

    def _style_chain(self, paragraph: _Element) -> Iterator[_Element]:
        """The paragraph's style and those it is based on."""
        style_id = _attribute(paragraph, f"pPr/{W}pStyle")
        seen: set[str] = set()
        while style_id in self._styles and style_id not in seen:
            seen.add(style_id)
            yield self._styles[style_id]
            style_id = _attribute(self._styles[style_id], "basedOn")


def _root(package: Package, part: str | None) -> _Element | None:
    return package.xml(part) if part is not None and part in package else None


def _rows(table: _Element) -> list[list[str]]:
    """The cells of each row, by columns of the table's grid; merged cells are repeated in all that they cover."""
    rows: list[list[str]] = []
    for row in table.iter(f"{W}tr"):
        if next(row.iterancestors(f"{W}tbl")) is not table:
            continue  # of a table within a cell: read with the cell
        skipped = _attribute(row, f"trPr/{W}gridBefore")
        cells = [""] * _width(skipped, 0)
        for cell in row.iter(f"{W}tc"):
            if next(cell.iterancestors(f"{W}tr")) is not row:
                continue
            merged = cell.find(f"{W}tcPr/{W}vMerge")
            goes_on = merged is not None and merged.get(f"{W}val", "continue") != "restart"
            above = rows[-1][len(cells)] if goes_on and rows and len(cells) < len(rows[-1]) else ""
            text = above or " ".join(_text(paragraph) for paragraph in cell.iter(f"{W}p"))
            cells += [text] * _width(_attribute(cell, f"tcPr/{W}gridSpan"), 1)
        rows.append(cells)
    return rows


def _width(value: str, default: int) -> int:
    return min(int(value), _WIDEST_REPEATED) if value.isdigit() and len(value) < 9 else default


def _text(paragraph: _Element) -> str:
    """The text of a paragraph, that of text boxes and deletions apart; line breaks as `_LINE_BREAK`."""
    parts: list[str] = []
    waiting = [paragraph]
    while waiting:
        element = waiting.pop()
        if element.tag in _SKIPPED or element.tag == _FALLBACK:
            continue
        if element.tag == f"{W}t":
            parts.append(element.text or "")
        elif element.tag == f"{W}tab":
            parts.append(" ")
        elif element.tag in (f"{W}br", f"{W}cr"):
            parts.append(_LINE_BREAK)
        elif element.tag == f"{W}noBreakHyphen":
            parts.append("-")
        waiting.extend(reversed(element))
    return "".join(parts)


def _attribute(element: _Element, path: str) -> str:
    found = element.find(f"{W}{path}")
    return "" if found is None else found.get(f"{W}val", "")


def _numbering_of(sources: list[_Element]) -> tuple[str, int]:
    """The list that a paragraph belongs to, itself or by its style, and the level; numId 0 means none."""
    num_id = next(filter(None, (_attribute(source, f"pPr/{W}numPr/{W}numId") for source in sources)), "")
    level = next(filter(None, (_attribute(source, f"pPr/{W}numPr/{W}ilvl") for source in sources)), "0")
    return ("" if num_id == "0" else num_id), int(level) if level.isdigit() else 0


def _outline_level(sources: list[_Element], style_names: list[str]) -> int | None:
    """0 for the title, 1 to 9 for headings, None for body text."""
    if "title" in style_names:
        return 0
    for name in style_names:
        if name.startswith("heading ") and name[8:].isdigit():
            return int(name[8:])
    outline = next(filter(None, (_attribute(source, f"pPr/{W}outlineLvl") for source in sources)), "9")
    return int(outline) + 1 if outline in tuple("012345678") else None


def _bookmark(paragraph: _Element) -> str | None:
    names = (bookmark.get(f"{W}name") for bookmark in paragraph.iter(f"{W}bookmarkStart"))
    return next((name for name in names if name and name != "_GoBack"), None)
