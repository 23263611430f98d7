"""Chooses the parser for a file by its name, and checks that the content agrees.

Owns the list of formats. Does not know how they are read.
"""

from collections.abc import Callable
from pathlib import Path

from ingestion.errors import EncryptedFile, UnsupportedType, WrongType
from ingestion.parsers.base import Limits, Parser
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


def _jsonl() -> Parser:
    from ingestion.parsers.jsonl import JsonlParser

    return JsonlParser()


# Imported when wanted: a worker that reads Markdown does not load a PDF library.
_PARSERS: dict[str, Callable[[], Parser]] = {
    ".pdf": _pdf,
    ".docx": _docx,
    ".html": _html,
    ".htm": _html,
    ".md": _markdown,
    ".markdown": _markdown,
    ".txt": _text,
    ".jsonl": _jsonl,
}
SUPPORTED_SUFFIXES = tuple(_PARSERS)

# What the first bytes of a file say. https://en.wikipedia.org/wiki/List_of_file_signatures
_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"%PDF-", "a PDF document"),
    (b"\x89PNG\r\n", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"II*\x00", "a TIFF image"),
    (b"MM\x00*", "a TIFF image"),
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
_EXPECTED = {".pdf": "a PDF document", ".docx": "a ZIP archive or an Office document"}


def parser_for(path: Path, limits: Limits) -> Parser:
    """The parser of a file that is there, not empty, not too large, of a known format, and what its name says.

    Raises `UnsupportedType`, `EmptyFile`, `TooLarge`, `WrongType`, `EncryptedFile`, or `TransientError` when it cannot
    be read. Only the first bytes are read here.
    """
    suffix = path.suffix.lower()
    if suffix not in _PARSERS:
        named = f'"{suffix}" files' if suffix else "files without an extension"
        raise UnsupportedType(f"{path.name}: {named} cannot be read; supported are {', '.join(SUPPORTED_SUFFIXES)}")
    check_size(path, limits)
    with reading(path) as file:
        beginning = file.read(1024)
    found = _signature(beginning, suffix)
    expected = _EXPECTED.get(suffix)
    if suffix == ".docx" and found.startswith("an old Office"):
        raise EncryptedFile(f"{path.name} is encrypted, or an old .doc: save it as .docx without a password")
    if found != (expected or ""):
        named = found or f"not {expected}"
        raise WrongType(
            f"{path.name} is named {suffix} but is {named}: give it its right extension or upload the right file"
        )
    return _PARSERS[suffix]()


def _signature(beginning: bytes, suffix: str) -> str:
    """What the first bytes say, or "" where they say nothing. A PDF may begin after some other bytes."""
    if suffix == ".pdf" and b"%PDF-" in beginning:
        return "a PDF document"
    return next((name for signature, name in _SIGNATURES if beginning.startswith(signature)), "")
