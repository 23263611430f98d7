"""Small PDFs made here, and what the parser reads from them."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import pypdfium2
import pypdfium2.raw as pdfium
from PIL import Image
from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen.canvas import Canvas

from ingestion.parsers.base import Limits, Source
from ingestion.parsers.pdf import PdfParser
from ingestion.types import BlockKind, DocumentStart, ParsedPage

WIDTH, HEIGHT = 400, 560
CHINESE = "STSong-Light"
pdfmetrics.registerFont(UnicodeCIDFont(CHINESE))

Draw = Callable[[Canvas], None]


def make_pdf(path: Path, pages: Sequence[Draw], *, encrypt: StandardEncryption | None = None, title: str = "") -> Path:
    canvas = Canvas(str(path), pagesize=(WIDTH, HEIGHT), encrypt=encrypt)
    canvas.setTitle(title)
    for draw in pages:
        draw(canvas)
        canvas.showPage()
    canvas.save()
    return path


def write(
    canvas: Canvas, lines: Sequence[str], *, y: float = 500, x: float = 50, font: str = "Helvetica", size: float = 10
) -> float:
    """Draws lines one under the other; returns the next baseline."""
    canvas.setFont(font, size)
    for line in lines:
        canvas.drawString(x, y, line)
        y -= 1.2 * size
    return y


def parse(
    path: Path, *, title: str | None = None, limits: Limits | None = None
) -> tuple[DocumentStart, list[ParsedPage]]:
    start, *pages = PdfParser().parse(Source(path, path.name, title), limits or Limits())
    assert isinstance(start, DocumentStart)
    return start, [page for page in pages if isinstance(page, ParsedPage)]


def blocks(page: ParsedPage) -> list[tuple[BlockKind, str]]:
    return [(block.kind, page.text[block.start : block.end].rstrip("\n")) for block in page.blocks]


def check_page(path: Path, page: ParsedPage) -> None:
    """What holds of every page: contiguous blocks over the whole text, and a source map that is exact."""
    assert page.text == "" or page.text.endswith("\n")
    position = 0
    for block in page.blocks:
        assert block.start == position < block.end
        position = block.end
    assert position == len(page.text)
    if not page.text:
        return
    document = pypdfium2.PdfDocument(path)
    try:
        text = document[page.number - 1].get_textpage()
        before = 0
        for start, first, length in page.source_map:
            assert length > 0
            assert start >= before
            before = start + length
            for offset in range(length):
                assert ord(page.text[start + offset]) == pdfium.FPDFText_GetUnicode(text.raw, first + offset)
        assert before <= len(page.text)
    finally:
        document.close()


SENTENCES = [
    "Switch the printer off before you open the cover, and wait for a minute",
    "until the lamp has gone out. The fuser stays hot for a long while, so be",
    "careful and keep small children away from it at all times.",
]


def void(_: object) -> None:
    return None


def picture(canvas: Canvas) -> None:
    file = io.BytesIO()
    Image.new("RGB", (20, 20), "red").save(file, "PNG")
    file.seek(0)
    canvas.drawImage(ImageReader(file), 50, 50)
