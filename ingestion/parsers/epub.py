"""Reads e-books (EPUB 2 and 3): the files of the spine in their order.

Owns the book: its spine, its title, what is navigation and not text. A chapter's HTML is `html`'s, the package
`packages`'s. Nothing outside the book is ever fetched.
"""

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from lxml.etree import _Element

from ingestion.errors import BrokenFile, PermanentError, TooLarge
from ingestion.parsers.base import Limits, Source
from ingestion.parsers.html import html_page
from ingestion.parsers.packages import Package, open_package, resolved
from ingestion.types import DocumentStart, ParsedPage

_OPF_TYPE = "application/oebps-package+xml"
_NCX_TYPE = "application/x-dtbncx+xml"
_TEXT_TYPES = ("application/xhtml+xml", "text/html", "application/x-dtbook+xml", "text/x-oeb1-document")
_TITLE = "{http://purl.org/dc/elements/1.1/}title"
_LONGEST_LABEL = 40
_SELF_CLOSED = re.compile(rb"<([A-Za-z][A-Za-z0-9]*)((?:\s[^<>]*)?)/>")
_VOID = frozenset(b"area base br col embed hr img input link meta param source track wbr".split())


@dataclass(frozen=True, slots=True)
class _Book:
    """The book's description: its title, and the names of its texts in reading order."""

    title: str
    texts: list[str]
    chapters: dict[str, str]


class EpubParser:
    """E-books: a page for each file of the spine, which is a chapter as a rule; the table of contents is left out."""

    media_type = "application/epub+zip"

    def parse(self, source: Source, limits: Limits) -> Iterator[DocumentStart | ParsedPage]:
        """One document. A chapter that is damaged or missing is a page with a warning.

        Raises `EncryptedFile` for copy-protected books, `BrokenFile`, `EmptyFile`, `TooLarge`.
        """
        with open_package(source.path, limits) as package:
            book = _book(package)
            if len(book.texts) > limits.pages:
                raise TooLarge(f"{package.name} has more than {limits.pages:,} chapters: split it, or raise the limit")
            yield DocumentStart(source.external_id, source.title or book.title or source.path.stem, len(book.texts))
            for number, part in enumerate(book.texts, start=1):
                yield _page(package, part, number, book, limits)


def _page(package: Package, part: str, number: int, book: _Book, limits: Limits) -> ParsedPage:
    try:
        _, _, page = html_page(_SELF_CLOSED.sub(_closed, package.read(part)), package.name, limits)
    except TooLarge:
        raise
    except PermanentError as error:
        return ParsedPage(number, "", (), warning=f"This chapter could not be read. {error}")
    chapter = book.chapters.get(part, "")
    blocks = page.blocks
    if chapter and not any(block.heading_path for block in blocks):
        blocks = tuple(replace(block, heading_path=(chapter,)) for block in blocks)
    return replace(page, number=number, blocks=blocks, label=chapter[:_LONGEST_LABEL] or None)


def _closed(match: re.Match[bytes]) -> bytes:
    """An empty XHTML element as HTML has it, which would take `<title/>` for the beginning of a title without end."""
    name, attributes = match.groups()
    return match.group() if name.lower() in _VOID else b"<%b%b></%b>" % (name, attributes, name)


def _book(package: Package) -> _Book:
    """Reads the package document. https://www.w3.org/TR/epub-33/#sec-package-doc"""
    opf = _package_document(package)
    root = package.xml(opf)
    folder = posixpath.dirname(opf)
    title = next((text for each in root.iter(_TITLE) if (text := " ".join((each.text or "").split()))), "")
    items = {item.get("id", ""): item for item in root.iterfind("{*}manifest/{*}item")}
    spine = root.find("{*}spine")
    if spine is None:
        raise BrokenFile(f"{package.name} is damaged: the book has no reading order; export it again")
    texts: list[str] = []
    for reference in spine.iterfind("{*}itemref"):
        item = items.get(reference.get("idref", ""))
        if item is None or item.get("media-type") not in _TEXT_TYPES or "nav" in item.get("properties", "").split():
            continue
        part = resolved(folder, item.get("href", ""))
        if part not in texts:
            texts.append(part)
    if not texts:
        raise BrokenFile(f"{package.name} is damaged: its reading order names no text; export it again")
    ncx = next((item for item in items.values() if item.get("media-type") == _NCX_TYPE), None)
    return _Book(title, texts, _chapters(package, resolved(folder, ncx.get("href", ""))) if ncx is not None else {})


def _package_document(package: Package) -> str:
    if "META-INF/container.xml" not in package:
        raise BrokenFile(
            f"{package.name} is not an e-book: it has no META-INF/container.xml;"
            " give it its right extension, or export it again"
        )
    files = package.xml("META-INF/container.xml").iterfind("{*}rootfiles/{*}rootfile")
    paths = [each.get("full-path", "") for each in files if each.get("media-type", _OPF_TYPE) == _OPF_TYPE]
    if not paths:
        raise BrokenFile(f"{package.name} is damaged: it names no package document; export it again")
    return resolved("", paths[0])


def _chapters(package: Package, ncx: str) -> dict[str, str]:
    """The names that an EPUB 2's contents give to whole files, for those whose text has no heading."""
    if ncx not in package:
        return {}
    try:
        root: _Element = package.xml(ncx)
    except BrokenFile:
        return {}  # the text is worth more than its contents list
    folder, found = posixpath.dirname(ncx), dict[str, str]()
    for point in root.iter("{*}navPoint"):
        label, content = point.find("{*}navLabel/{*}text"), point.find("{*}content")
        name = " ".join((label.text or "").split()) if label is not None else ""
        if content is not None and name:
            found.setdefault(resolved(folder, content.get("src", "")), name)
    return found
