"""The PDF parser: a file in, its pages out, one at a time.

Owns the order of the work: open, learn from a sample, then for each page read its lines, drop the running ones, find
the headings, group the rest and build the text. How each is done is in the `pdf_*` modules beside this one. Memory
holds one page, the outline and what the sample taught; pdfium's lock is never held across a `yield`.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pypdfium2
import pypdfium2.raw as pdfium

from ingestion.errors import NoText, TooLarge
from ingestion.parsers.base import Limits, Resume, Source
from ingestion.parsers.pdf_blocks import group_lines
from ingestion.parsers.pdf_document import PDFIUM_LOCK, open_page, open_pdf, page_label, read_outline
from ingestion.parsers.pdf_headings import Sections
from ingestion.parsers.pdf_lines import Glyphs, Line, PageLines, read_lines
from ingestion.parsers.pdf_page import build_page, unreadable_share
from ingestion.parsers.pdf_profile import Profile, learn, sampled_pages, without_running
from ingestion.parsers.pdf_rules import read_grids
from ingestion.parsers.pdf_tables import may_hold_table, place_in_columns, place_in_grids
from ingestion.parsers.pdf_text import UNREADABLE
from ingestion.types import DocumentStart, ParsedPage

SCANNED = "No text on this page; it may be a scan. Run text recognition (OCR) over the file to include it."
DAMAGED = "This page is damaged and could not be read. Export the file again to include it."
GARBLED = "Much of this page's text cannot be read as letters; its fonts are damaged. Text recognition (OCR) may help."
NO_TEXT = (
    "This PDF has no text layer: its pages are pictures, as scans are. "
    "Run text recognition (OCR) over it first and upload the result."
)
GARBLED_SHARE = 0.3
PAGE_FAULTS = (TooLarge, ArithmeticError, LookupError, ValueError, TypeError, RecursionError)
"""What a page can make us stumble over that no other page need share; memory is a matter for the whole process."""
REOPENED_AFTER = 500
"""Pages after which the file is opened anew: pdfium keeps what it has read, some 17 KB a page, until it is closed."""
UNTITLED = re.compile(
    r"(?i)untitled|microsoft word|document\d*$|.*\.(?:docx?|dvi|tex|indd|fm|rtf|odt|pptx?|xlsx?|qxd|ps|pdf)$"
)


class PdfParser:
    """Reads PDF files that have a text layer."""

    media_type = "application/pdf"

    def parse(self, source: Source, limits: Limits) -> Iterator[DocumentStart | ParsedPage]:
        """The document and then every page of it, empty ones too; a page that cannot be read has a warning.

        Raises, all with a message that says what to do: `EmptyFile`, `WrongType`, `BrokenFile`, `EncryptedFile`,
        `TooLarge`, `NoText`; `TransientError` when the file cannot be read from disk.
        """
        return self.parse_from(source, limits, Resume())

    def parse_from(self, source: Source, limits: Limits, resume: Resume) -> Iterator[DocumentStart | ParsedPage]:
        """As `parse`, from the page after `resume.pages` on; its unreadable pages are not opened."""
        with open_pdf(source.path, limits) as document, PDFIUM_LOCK:
            pages = len(document)
            profile = learn(_sample(document, pages, limits, resume))
            if not profile.words and not _has_text(document, pages, resume):
                raise NoText(NO_TEXT)
            resume.opening(0)
            sections = Sections(read_outline(document), profile, resume.sections)
            title = source.title or _metadata_title(document) or profile.title or source.path.stem
        yield DocumentStart(source.external_id, title, pages)
        for first in range(resume.pages, pages, REOPENED_AFTER):
            with open_pdf(source.path, limits) as document:
                for index in range(first, min(first + REOPENED_AFTER, pages)):
                    if index + 1 in resume.unreadable:
                        page = ParsedPage(index + 1, "", (), warning=resume.unreadable[index + 1])
                    else:
                        resume.opening(index + 1)
                        with PDFIUM_LOCK:
                            page = _readable_page(document, index, profile, sections, limits)
                    yield replace(page, open_sections=sections.open)


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


def _readable_page(document: Any, index: int, profile: Profile, sections: Sections, limits: Limits) -> ParsedPage:
    """The page, or a warning in its place: what one page holds never costs the others."""
    try:
        return _parse_page(document, index, profile, sections, limits)
    except TooLarge as error:
        return ParsedPage(index + 1, "", (), warning=str(error))
    except PAGE_FAULTS as error:
        return ParsedPage(index + 1, "", (), warning=f"{DAMAGED} ({type(error).__name__})")


def _parse_page(document: Any, index: int, profile: Profile, sections: Sections, limits: Limits) -> ParsedPage:
    label = page_label(document, index)
    try:
        with open_page(document, index) as (page, text):
            read = read_lines(page, text, limits.page_characters)
            if not read.lines:
                warning = SCANNED if _has_picture(page) else None
                sections.mark(index, (), read.frame)
                return ParsedPage(index + 1, "", (), label, warning=warning)
            lines = _with_tables(page, text, read, without_running(read, profile, label, index), profile)
    except pypdfium2.PdfiumError:
        return ParsedPage(index + 1, "", (), label, warning=DAMAGED)
    path = sections.path
    marks = sections.mark(index, lines, read.frame)
    groups = group_lines(lines, marks, path, profile)
    content, blocks, source_map = build_page(read.characters, groups, profile)
    warning = GARBLED if unreadable_share(read.characters, UNREADABLE) > GARBLED_SHARE else None
    return ParsedPage(index + 1, content, blocks, label, source_map, warning)


def _with_tables(page: Any, text: Any, read: PageLines, lines: list[Line], profile: Profile) -> list[Line]:
    if not may_hold_table(lines):
        return lines
    glyphs = Glyphs(text, read.frame)
    lines = place_in_grids(lines, read_grids(page, read.frame), read.characters, glyphs)
    return place_in_columns(lines, read.characters, glyphs, profile)


def _has_text(document: Any, pages: int, resume: Resume) -> bool:
    for index in range(pages):
        if index + 1 in resume.unreadable:
            continue
        resume.opening(index + 1)
        try:
            with open_page(document, index) as (_, text):
                if pdfium.FPDFText_CountChars(text) > 0:
                    return True
        except pypdfium2.PdfiumError:
            continue
    return False


def _has_picture(page: Any) -> bool:
    """Whether a page without text shows something; blank pages between chapters do not."""
    objects = range(pdfium.FPDFPage_CountObjects(page))
    shown = (pdfium.FPDF_PAGEOBJ_IMAGE, pdfium.FPDF_PAGEOBJ_FORM)
    return any(pdfium.FPDFPageObj_GetType(pdfium.FPDFPage_GetObject(page, number)) in shown for number in objects)


def _metadata_title(document: Any) -> str | None:
    """The title that the file names, unless it is a program's or a file's name."""
    title = " ".join(document.get_metadata_value("Title").split())
    return None if len(title) < 3 or UNTITLED.match(title) else title
