"""Reads Word documents (.docx).

Owns the order of a document's body: paragraphs, headings, lists and tables. The package and its styles are
python-docx's, the numbers of lists `docx_numbering`'s.
"""

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docx
from docx.opc.exceptions import OpcError
from lxml.etree import XMLSyntaxError, _Element  # type: ignore[import-untyped]

from ingestion.errors import BrokenFile, EncryptedFile, TooLarge
from ingestion.parsers.base import Limits, Source
from ingestion.parsers.docx_numbering import Numbering, W
from ingestion.parsers.page_builder import PageBuilder, tidy
from ingestion.parsers.reading import check_size, reading
from ingestion.types import BlockKind, DocumentStart, ParsedPage

_MOST_PARTS = 20_000
_XML_BYTES_PER_CHARACTER = 40
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_SKIPPED = frozenset(f"{W}{name}" for name in ("del", "moveFrom", "txbxContent", "pPr", "rPr", "instrText"))
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_LINE_BREAK = "\u2028"


class DocxParser:
    """Word: headings by style or outline level, lists and steps with their numbers, table rows, in their order."""

    media_type = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"

    def parse(self, source: Source, limits: Limits) -> Iterator[DocumentStart | ParsedPage]:
        """One document of one page; page headers, footers, text boxes, deleted text and contents lists are left out.

        Raises `EncryptedFile`, `BrokenFile`, `EmptyFile`, and `TooLarge` before anything is unpacked.
        """
        name = source.path.name
        check_size(source.path, limits)
        _check_package(source.path, limits)
        document = _open(source.path)
        builder = PageBuilder(name, limits)
        body = _Body(document, builder)
        body.read(document.element.body)
        page = builder.page()
        first = next((block for block in page.blocks if block.kind is BlockKind.HEADING), None)
        heading = page.text[first.start : first.end] if first else ""
        title = source.title or body.title or (document.core_properties.title or "").strip() or heading
        yield DocumentStart(source.external_id, title or source.path.stem, 1)
        yield page


def _check_package(path: Path, limits: Limits) -> None:
    """Refuses what would unpack to more than the limits, by the sizes that the archive declares."""
    with reading(path) as file:
        if file.read(len(_OLE)) == _OLE:
            raise EncryptedFile(f"{path.name} is encrypted: save it without a password and upload it again")
    try:
        with zipfile.ZipFile(path) as package:
            parts = package.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise BrokenFile(f"{path.name} is damaged ({error}): open it in Word and save it again") from error
    xml_bytes = sum(part.file_size for part in parts if part.filename.endswith((".xml", ".rels")))
    if (
        len(parts) > _MOST_PARTS
        or sum(part.file_size for part in parts) > limits.file_bytes
        or xml_bytes > _XML_BYTES_PER_CHARACTER * limits.page_characters
    ):
        raise TooLarge(
            f"{path.name} unpacks to more than the limits allow: split it, or raise the limit in the settings"
        )
    if any(part.flag_bits & 1 for part in parts):
        raise EncryptedFile(f"{path.name} is encrypted: save it without a password and upload it again")


def _open(path: Path) -> Any:
    """The document, as python-docx (which is untyped for our purposes) gives it."""
    try:
        return docx.Document(str(path))
    except (zipfile.BadZipFile, XMLSyntaxError, KeyError, ValueError, EOFError, NotImplementedError) as error:
        raise BrokenFile(f"{path.name} is damaged ({error}): open it in Word and save it again") from error
    except OpcError as error:
        raise BrokenFile(f"{path.name} is not a Word document: {error}") from error


class _Body:
    """Walks the body's elements in order and hands each block to the builder."""

    def __init__(self, document: Any, builder: PageBuilder) -> None:
        self._builder = builder
        self._styles: dict[str, _Element] = {
            style.get(f"{W}styleId", ""): style for style in document.styles.element.iter(f"{W}style")
        }
        numbering = [part for part in document.part.package.iter_parts() if part.partname.endswith("/numbering.xml")]
        self._numbering = Numbering(numbering[0].element if numbering else None)
        self.title = ""

    def read(self, container: _Element) -> None:
        for child in container:
            if child.tag == f"{W}p":
                self._paragraph(child)
            elif child.tag == f"{W}tbl":
                self._table(child)
            elif child.tag == f"{W}sdt":
                gallery = child.find(f"{W}sdtPr/{W}docPartObj/{W}docPartGallery")
                content = child.find(f"{W}sdtContent")
                if content is not None and (gallery is None or gallery.get(f"{W}val") != "Table of Contents"):
                    self.read(content)
            elif child.tag in (f"{W}ins", f"{W}moveTo", f"{W}customXml", f"{W}smartTag"):
                self.read(child)

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

    def _table(self, table: _Element) -> None:
        for row in table.iter(f"{W}tr"):
            if next(row.iterancestors(f"{W}tbl")) is not table:
                continue  # of a table within a cell: read with the cell
            cells = (cell for cell in row.iter(f"{W}tc") if next(cell.iterancestors(f"{W}tr")) is row)
            self._builder.row(" ".join(_text(paragraph) for paragraph in cell.iter(f"{W}p")) for cell in cells)

    def _style_chain(self, paragraph: _Element) -> Iterator[_Element]:
        """The paragraph's style and those it is based on."""
        style_id = _attribute(paragraph, f"pPr/{W}pStyle")
        seen: set[str] = set()
        while style_id in self._styles and style_id not in seen:
            seen.add(style_id)
            yield self._styles[style_id]
            style_id = _attribute(self._styles[style_id], "basedOn")


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
