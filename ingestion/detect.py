"""Chooses the parser for a file by its name, and checks that the content agrees.

Owns the list of formats. Does not know how they are read.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from ingestion.errors import EncryptedFile, UnsupportedType, WrongType
from ingestion.parsers.base import Limits, Parser
from ingestion.parsers.packages import password_message
from ingestion.parsers.reading import check_size, reading


def _pdf() -> Parser:
    from ingestion.parsers.pdf import PdfParser

    return PdfParser()


def _text() -> Parser:
    from ingestion.parsers.text import TextParser

    return TextParser()


def _markdown() -> Parser:
    from ingestion.parsers.markdown import MarkdownParser

    return MarkdownParser()


def _html() -> Parser:
    from ingestion.parsers.html import HtmlParser

    return HtmlParser()


def _docx() -> Parser:
    from ingestion.parsers.docx import DocxParser

    return DocxParser()


def _pptx() -> Parser:
    from ingestion.parsers.pptx import PptxParser

    return PptxParser()


def _xlsx() -> Parser:
    from ingestion.parsers.xlsx import XlsxParser

    return XlsxParser()


def _delimited() -> Parser:
    from ingestion.parsers.delimited import DelimitedParser

    return DelimitedParser()


def _epub() -> Parser:
    from ingestion.parsers.epub import EpubParser

    return EpubParser()


def _image(media_type: str) -> Parser:
    from ingestion.parsers.image import ImageParser

    return ImageParser(media_type)


def _zip() -> Parser:
    from ingestion.archives import ZipParser

    return ZipParser(parser_for)


def _jsonl() -> Parser:
    from ingestion.parsers.jsonl import JsonlParser

    return JsonlParser()


_WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
_POWERPOINT = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
_EXCEL = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

MEDIA_TYPES = {
    ".pdf": "application/pdf",
    ".docx": _WORD,
    ".docm": _WORD,
    ".pptx": _POWERPOINT,
    ".pptm": _POWERPOINT,
    ".xlsx": _EXCEL,
    ".xlsm": _EXCEL,
    ".csv": "text/csv",
    ".tsv": "text/csv",
    ".epub": "application/epub+zip",
    ".html": "text/html",
    ".htm": "text/html",
    ".xhtml": "text/html",
    ".md": "text/markdown",
    ".markdown": "text/markdown",
    ".txt": "text/plain",
    ".jsonl": "application/jsonl",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
    ".webp": "image/webp",
    ".bmp": "image/bmp",
    ".zip": "application/zip",
}
"""What a file with this extension is, as its parser calls it. A type's first extension is its usual one."""

SUPPORTED_SUFFIXES = tuple(MEDIA_TYPES)

HOLDS_SEVERAL = frozenset({"application/jsonl", "application/zip"})
"""Media types whose files hold many documents, each with an external id of its own."""

# Imported when wanted: a worker that reads Markdown does not load a PDF library.
_PARSERS: dict[str, Callable[[], Parser]] = {
    "application/pdf": _pdf,
    _WORD: _docx,
    _POWERPOINT: _pptx,
    _EXCEL: _xlsx,
    "text/csv": _delimited,
    "application/epub+zip": _epub,
    "text/html": _html,
    "text/markdown": _markdown,
    "text/plain": _text,
    "application/jsonl": _jsonl,
    **{name: partial(_image, name) for name in MEDIA_TYPES.values() if name.startswith("image/")},
    "application/zip": _zip,
}

# What the first bytes of a file say. https://en.wikipedia.org/wiki/List_of_file_signatures
_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"%PDF-", "a PDF document"),
    (b"\x89PNG\r\n", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"II*\x00", "a TIFF image"),
    (b"MM\x00*", "a TIFF image"),
    (b"RIFF", "a WebP image"),
    (b"PK\x03\x04", "a ZIP archive or an Office document"),
    (b"PK\x05\x06", "an empty ZIP archive"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office document (.doc, .xls) or an encrypted one"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"Rar!", "a RAR archive"),
    (b"{\\rtf", "a Rich Text document"),
    (b"\x7fELF", "a program"),
    (b"MZ\x90\x00", "a Windows program"),
    (b"SQLite format 3\x00", "a database"),
)
_ZIPPED = "a ZIP archive or an Office document"
_OFFICE = (".docx", ".docm", ".pptx", ".pptm", ".xlsx", ".xlsm")
_EXPECTED = {
    ".pdf": "a PDF document",
    **dict.fromkeys((*_OFFICE, ".epub", ".zip"), _ZIPPED),
    ".png": "a PNG image",
    **dict.fromkeys((".jpg", ".jpeg"), "a JPEG image"),
    **dict.fromkeys((".tif", ".tiff"), "a TIFF image"),
    ".webp": "a WebP image",
    ".bmp": "a BMP image",
}


def parser_for(path: Path, limits: Limits) -> Parser:
    """The parser of a file that is there, not empty, not too large, of a known format, and what its name says.

    Raises `UnsupportedType`, `EmptyFile`, `TooLarge`, `WrongType`, `EncryptedFile`, or `TransientError` when it cannot
    be read. Only the first bytes are read here.
    """
    suffix = path.suffix.lower()
    if suffix not in MEDIA_TYPES:
        named = f'"{suffix}" files' if suffix else "files without an extension"
        raise UnsupportedType(
            f"{path.name}: {named} cannot be read; save it as one of {', '.join(SUPPORTED_SUFFIXES)} and upload that"
        )
    check_size(path, limits)
    with reading(path) as file:
        beginning = file.read(1024)
    found = _signature(beginning, suffix)
    expected = _EXPECTED.get(suffix)
    if suffix in _OFFICE and found.startswith("an old Office"):
        raise EncryptedFile(password_message(path.name))
    if found != (expected or ""):
        named = found or f"not {expected}"
        raise WrongType(
            f"{path.name} is named {suffix} but is {named}: give it its right extension or upload the right file"
        )
    return _PARSERS[MEDIA_TYPES[suffix]]()


def _signature(beginning: bytes, suffix: str) -> str:
    """What the first bytes say, or "" where they say nothing. A PDF may begin after some other bytes."""
    if suffix == ".pdf" and b"%PDF-" in beginning:
        return "a PDF document"
    if suffix == ".bmp" and beginning.startswith(b"BM"):
        return "a BMP image"  # two letters that a text may begin with as well
    return next((name for signature, name in _SIGNATURES if beginning.startswith(signature)), "")
