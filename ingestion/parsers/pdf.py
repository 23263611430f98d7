"""The PDF parser: a file in, its pages out, one at a time.

Owns the order of the work: open, learn from a sample, then for each page read its lines, drop the running ones, find
the headings, group the rest and build the text; or recognise the text of its picture. How each is done is in the
`pdf_*` modules beside this one. Memory holds one page, the outline and what the sample taught; pdfium's lock is never
held across a `yield`, nor while text is recognised.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pypdfium2

from ingestion.errors import TooLarge
from ingestion.parsers.base import Limits, Resume, Source
from ingestion.parsers.pdf_blocks import group_lines
from ingestion.parsers.pdf_columns import Tables
from ingestion.parsers.pdf_document import PDFIUM_LOCK, Frame, open_page, open_pdf, page_label, read_outline
from ingestion.parsers.pdf_headings import Sections
from ingestion.parsers.pdf_lines import Glyphs, Line, PageLines, read_lines
from ingestion.parsers.pdf_ocr import RECOGNISED_RATIOS, PagePicture, picture_to_read, read_picture
from ingestion.parsers.pdf_page import build_page
from ingestion.parsers.pdf_profile import Profile, learn, sampled_pages, without_running
from ingestion.parsers.pdf_rules import read_grids
from ingestion.parsers.pdf_tables import may_hold_table, place_in_columns, place_in_grids
from ingestion.parsers.stated import stated_facets
from ingestion.types import DocumentStart, ParsedPage

DAMAGED = "This page is damaged and could not be read. Export the file again to include it."
PAGE_FAULTS = (TooLarge, ArithmeticError, LookupError, ValueError, TypeError, RecursionError)
"""What a page can make us stumble over that no other page need share; memory is a matter for the whole process."""
REOPENED_AFTER = 500
"""Pages after which the file is opened anew: pdfium keeps what it has read, some 17 KB a page, until it is closed."""
UNTITLED = re.compile(
    r"(?i)untitled|microsoft word|document\d*$|.*\.(?:docx?|dvi|tex|indd|fm|rtf|odt|pptx?|xlsx?|qxd|ps|pdf)$"
)


class PdfParser:
    """Reads PDF files: their text layer, and from their pictures the pages whose text layer is missing or garbled."""

    media_type = "application/pdf"

    def parse(self, source: Source, limits: Limits) -> Iterator[DocumentStart | ParsedPage]:
        """The document and then every page of it, empty ones too.

        A page that cannot be read has a warning, and one that was read from its picture another.

        Raises, all with a message that says what to do: `EmptyFile`, `WrongType`, `BrokenFile`, `EncryptedFile`,
        `TooLarge`; `TransientError` when the file cannot be read from disk.
        """
        return self.parse_from(source, limits, Resume())

    def parse_from(self, source: Source, limits: Limits, resume: Resume) -> Iterator[DocumentStart | ParsedPage]:
        """As `parse`, from the page after `resume.pages` on; its unreadable pages are not opened."""
        with open_pdf(source.path, limits) as document, PDFIUM_LOCK:
            pages = len(document)
            profile = learn(_sample(document, pages, limits, resume))
            if not profile.words:  # what recognition will find has sizes of its own
                profile = replace(profile, sizes=tuple(profile.body_size * ratio for ratio in RECOGNISED_RATIOS))
            resume.opening(0)
            sections = Sections(read_outline(document), profile, resume.sections)
            tables = Tables(resume.table)
            title = source.title or _metadata_title(document) or profile.title or source.path.stem
            facets = _stated_facets(document)
        yield DocumentStart(source.external_id, title, pages, facets)
        for first in range(resume.pages, pages, REOPENED_AFTER):
            with open_pdf(source.path, limits) as document:
                for index in range(first, min(first + REOPENED_AFTER, pages)):
                    if index + 1 in resume.unreadable:
                        page = ParsedPage(index + 1, "", (), warning=resume.unreadable[index + 1])
                    else:
                        resume.opening(index + 1)
                        page = _readable_page(document, index, sections, tables, limits)
                    if page.warning:
                        tables.interrupt()  # its rows are not known, or not for sure
                    yield replace(page, open_sections=sections.open, open_table=tables.open)


@dataclass(frozen=True, slots=True)
class _Opened:
    """What has been read and drawn of a page, which is closed again."""

    characters: str
    lines: list[Line]
    frame: Frame
    picture: PagePicture | None


def _sample(document: Any, pages: int, limits: Limits, resume: Resume) -> Iterator[tuple[int, PageLines]]:
    for index in sampled_pages(pages):
        if index + 1 in resume.unreadable:
            continue
        resume.opening(index + 1)
        try:
            with open_page(document, index) as (page, text):
                yield index, read_lines(page, text, limits.page_characters)
        except (pypdfium2.PdfiumError, *PAGE_FAULTS):
            continue  # told as a warning when the page's turn comes


def _readable_page(document: Any, index: int, sections: Sections, tables: Tables, limits: Limits) -> ParsedPage:
    """The page, or a warning in its place: what one page holds never costs the others."""
    label = None
    try:
        with PDFIUM_LOCK:
            label = page_label(document, index)
            opened = _open(document, index, label, sections.profile, limits)
        return _parse_page(opened, index, label, sections, tables, limits)
    except TooLarge as error:
        return ParsedPage(index + 1, "", (), label, warning=str(error))
    except pypdfium2.PdfiumError:
        return ParsedPage(index + 1, "", (), label, warning=DAMAGED)
    except PAGE_FAULTS as error:
        return ParsedPage(index + 1, "", (), label, warning=f"{DAMAGED} ({type(error).__name__})")


def _open(document: Any, index: int, label: str | None, profile: Profile, limits: Limits) -> _Opened:
    with open_page(document, index) as (page, text):
        read = read_lines(page, text, limits.page_characters)
        picture = picture_to_read(document, index, page, read.characters, read.frame)
        lines = _with_tables(page, text, read, without_running(read, profile, label, index), profile)
    return _Opened(read.characters, lines, read.frame, picture)


def _parse_page(
    opened: _Opened, index: int, label: str | None, sections: Sections, tables: Tables, limits: Limits
) -> ParsedPage:
    """The page as its picture shows it, where that is the better text, else as its text layer says."""
    warning = None
    if opened.picture is not None:
        read = read_picture(opened.picture, index + 1, label, sections, opened.frame, limits)
        if isinstance(read, ParsedPage):
            return read
        warning = read
    path = sections.path
    marks = sections.mark(index, opened.lines, opened.frame)
    groups = group_lines(opened.lines, marks, path, sections.profile)
    tables.name_columns(groups)
    content, blocks, source_map = build_page(opened.characters, groups, sections.profile)
    return ParsedPage(index + 1, content, blocks, label, source_map, warning)


def _with_tables(page: Any, text: Any, read: PageLines, lines: list[Line], profile: Profile) -> list[Line]:
    if not may_hold_table(lines):
        return lines
    glyphs = Glyphs(text, read.frame)
    lines = place_in_grids(lines, read_grids(page, read.frame), read.characters, glyphs)
    return place_in_columns(lines, read.characters, glyphs, profile)


def _stated_facets(document: Any) -> dict[str, str]:
    """What the file's information dictionary says of the product; writers add entries of their own to it."""
    properties = {name: document.get_metadata_value(name) for name in ("Product", "Model", "Version", "Audience")}
    return stated_facets(properties, [document.get_metadata_value(name) for name in ("Keywords", "Subject", "Title")])


def _metadata_title(document: Any) -> str | None:
    """The title that the file names, unless it is a program's or a file's name."""
    title = " ".join(document.get_metadata_value("Title").split())
    return None if len(title) < 3 or UNTITLED.match(title) else title
