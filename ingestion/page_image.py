"""Pictures of pages with the cited words marked, and where on a page they stand.

Owns the step from spans of our page text to boxes on the displayed page, and the drawing. Pages of a PDF are drawn
by pdfium; documents without pages get a picture of the text around the citation. Knows nothing of passages or HTTP.
"""

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import pypdfium2
import pypdfium2.raw as pdfium
from PIL import Image, ImageChops, ImageDraw, ImageFont

from ingestion.errors import BrokenFile
from ingestion.parsers.base import Limits
from ingestion.parsers.pdf_document import PDFIUM_LOCK, Frame, open_page, open_pdf, page_frame
from ingestion.parsers.pdf_text import CJK_CHARACTER

SourceMap = Sequence[tuple[int, int, int]]
Spans = Sequence[tuple[int, int]]
Rectangle = tuple[float, float, float, float]

STRONG = (255, 221, 51)
STRONG_EDGE = (214, 158, 0)
LIGHT = (255, 247, 204)
NO_LIMITS = Limits(file_bytes=1 << 62, pages=1 << 31)  # the file was admitted when it was uploaded
MOST_PIXELS = 36_000_000
LINE_OVERLAP = 0.5  # of the lower of two glyphs, for them to stand on one line
CELL_HEIGHTS = 2.5  # a gap wider than this many line heights parts two boxes of a line

BEFORE, AFTER = 900, 1500  # characters of a text without pages that are drawn around the citation
TEXT_WIDTH, MARGIN, TEXT_SIZE, TITLE_SIZE, LEADING = 820, 48, 17, 21, 1.55

FONT_PACKAGE, FONT = "justmytype_intl_cjk", "fonts/ofl/notosanssc/NotoSansSC[wght].ttf"
REGULAR_WEIGHT, TITLE_WEIGHT = 400, 600


class NoSuchPage(LookupError):
    """The document has no page of this number."""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle around words of one line, in PDF points on the page as displayed; origin top-left."""

    page: int
    x0: float
    y0: float
    x1: float
    y1: float


def boxes_for(pdf: Path, page: int, spans: Spans, source_map: SourceMap) -> list[Box]:
    """Where spans of a parsed page's text stand on it, one box a line. `page` counts from 1.

    Raises `NoSuchPage`, and what `open_pdf` raises when the file has gone or changed.
    """
    with open_pdf(pdf, NO_LIMITS) as document, PDFIUM_LOCK, _page(document, page) as (raw, text):
        return [Box(page, *found) for found in _line_boxes(text, page_frame(raw), spans, source_map)]


def render_page(
    pdf: Path,
    page: int,
    spans: Spans,
    source_map: SourceMap,
    *,
    scale: float = 2.0,
    passage_spans: Spans = (),
) -> bytes:
    """A PNG of a page as displayed, `spans` marked strongly and `passage_spans` lightly.

    `scale` is pixels a point; huge pages are drawn smaller. Raises as `boxes_for`.
    """
    with open_pdf(pdf, NO_LIMITS) as document, PDFIUM_LOCK, _page(document, page) as (raw, text):
        frame = page_frame(raw)
        scale = min(scale, (MOST_PIXELS / max(1.0, frame.width * frame.height)) ** 0.5)
        light = _line_boxes(text, frame, passage_spans, source_map)
        strong = _line_boxes(text, frame, spans, source_map)
        picture = document[page - 1].render(scale=scale).to_pil().convert("RGB")
    return _png(_marked(picture, _scaled(light, scale), _scaled(strong, scale)))


def _page(document: Any, page: int) -> Any:
    if not 1 <= page <= len(document):
        raise NoSuchPage(f"The document has {len(document)} pages; there is no page {page}.")
    try:
        return open_page(document, page - 1)
    except pypdfium2.PdfiumError as error:
        raise BrokenFile(f"Page {page} is damaged and cannot be shown.") from error


def _line_boxes(text: Any, frame: Frame, spans: Spans, source_map: SourceMap) -> list[Rectangle]:
    """The glyph boxes of spans, merged along each line, in reading order."""
    merged: list[Rectangle] = []
    box = pdfium.FS_RECTF()
    for index in _glyphs(spans, source_map):
        if not pdfium.FPDFText_GetLooseCharBox(text, index, box) or box.right <= box.left:
            continue
        glyph = frame.box(box.left, box.bottom, box.right, box.top)
        if merged and _on_one_line(merged[-1], glyph):
            last = merged[-1]
            merged[-1] = (
                min(last[0], glyph[0]),
                min(last[1], glyph[1]),
                max(last[2], glyph[2]),
                max(last[3], glyph[3]),
            )
        else:
            merged.append(glyph)
    return merged


def _glyphs(spans: Spans, source_map: SourceMap) -> Iterator[int]:
    """pdfium's character indices of spans of our text, in order; characters that we added have none."""
    for start, end in sorted(spans):
        for text_start, first, length in source_map:
            for offset in range(max(start, text_start), min(end, text_start + length)):
                yield first + offset - text_start


def _on_one_line(line: Rectangle, glyph: Rectangle) -> bool:
    overlap = min(line[3], glyph[3]) - max(line[1], glyph[1])
    height = min(line[3] - line[1], glyph[3] - glyph[1])
    gap = max(glyph[0] - line[2], line[0] - glyph[2])
    return height > 0 and overlap > LINE_OVERLAP * height and gap < CELL_HEIGHTS * height


def _scaled(rectangles: Iterable[Rectangle], scale: float) -> list[Rectangle]:
    return [(x0 * scale, y0 * scale, x1 * scale, y1 * scale) for x0, y0, x1, y1 in rectangles]


def _marked(picture: Image.Image, light: Sequence[Rectangle], strong: Sequence[Rectangle]) -> Image.Image:
    """The picture with marks multiplied in, as a highlighter does: letters stay black. Strong marks get an edge,
    so that they show on dark ground too."""
    marks = Image.new("RGB", picture.size, "white")
    draw = ImageDraw.Draw(marks)
    for rectangles, colour, padding in ((light, LIGHT, 3), (strong, STRONG, 1)):
        for x0, y0, x1, y1 in rectangles:
            draw.rectangle((x0 - padding, y0 - padding, x1 + padding, y1 + padding), fill=colour)
    marked = ImageChops.multiply(picture, marks)
    edge = ImageDraw.Draw(marked)
    for x0, _, x1, y1 in strong:
        edge.line((x0 - 1, y1 + 1, x1 + 1, y1 + 1), fill=STRONG_EDGE, width=2)
    return marked


def _png(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=3)
    return file.getvalue()


def render_text_page(title: str, text: str, spans: Spans, *, passage_spans: Spans = ()) -> bytes:
    """A PNG of the text around `spans` for a document without pages; marks as in `render_page`.

    Drawn with Noto Sans SC, which comes with a package: it has Latin and Chinese letters on every machine.
    """
    start, end = _surroundings(text, spans or passage_spans)
    body, heading = _font(TEXT_SIZE, REGULAR_WEIGHT), _font(TITLE_SIZE, TITLE_WEIGHT)
    lines = list(_wrapped(text, start, end, body))
    leading = round(TEXT_SIZE * LEADING)
    titles = [title[a:b].strip() for a, b in _wrapped(title, 0, len(title), heading)]
    top = MARGIN + len(titles) * round(TITLE_SIZE * LEADING) + leading // 2
    picture = Image.new("RGB", (TEXT_WIDTH + 2 * MARGIN, top + len(lines) * leading + MARGIN), "white")
    draw = ImageDraw.Draw(picture)
    for number, line in enumerate(titles):
        draw.text((MARGIN, MARGIN + number * round(TITLE_SIZE * LEADING)), line, font=heading, fill="black")
    light: list[Rectangle] = []
    strong: list[Rectangle] = []
    for number, (first, last) in enumerate(lines):
        y = top + number * leading
        draw.text((MARGIN, y), text[first:last], font=body, fill=(34, 34, 34))
        for wanted, found in ((passage_spans, light), (spans, strong)):
            for a, b in wanted:
                if max(a, first) < min(b, last):
                    x0 = MARGIN + body.getlength(text[first : max(a, first)])
                    x1 = MARGIN + body.getlength(text[first : min(b, last)])
                    found.append((x0, y - 2, x1, y + leading - 6))
    return _png(_marked(picture, light, strong))


def _surroundings(text: str, spans: Spans) -> tuple[int, int]:
    """The part of a text to draw: around the first span, from the beginning of a line."""
    centre, reach = (min(spans)[0], max(end for _, end in spans)) if spans else (0, 0)
    start = max(0, centre - BEFORE)
    if start:
        start = text.find("\n", start, centre) + 1 or start
    end = min(len(text), max(centre + AFTER, min(reach + BEFORE, centre + 3 * AFTER)))
    line_end = text.find("\n", end, end + BEFORE)
    return start, line_end if line_end != -1 else end


def _wrapped(text: str, start: int, end: int, font: Any) -> Iterator[tuple[int, int]]:
    """(start, end) of the lines that fit the width: broken at spaces, and anywhere within Chinese."""
    while start < end:
        stop = text.find("\n", start, end)
        stop = end if stop == -1 else stop
        while font.getlength(text[start : min(stop, start + 400)]) > TEXT_WIDTH:
            fits, over = 1, min(stop - start, 400)
            while over - fits > 1:
                middle = (fits + over) // 2
                if font.getlength(text[start : start + middle]) > TEXT_WIDTH:
                    over = middle
                else:
                    fits = middle
            cut = start + fits
            space = text.rfind(" ", start + 1, cut + 1)
            if space > start and not CJK_CHARACTER.match(text[cut]):
                cut = space + 1
            yield start, cut
            start = cut
        yield start, stop
        start = stop + 1


def _font(size: int, weight: int) -> ImageFont.FreeTypeFont:
    """A font object of its own for each image: FreeType's are not safe to share between threads."""
    font = ImageFont.truetype(io.BytesIO(_font_bytes()), size)
    font.set_variation_by_axes([weight])
    return font


@lru_cache(maxsize=1)
def _font_bytes() -> bytes:
    return files(FONT_PACKAGE).joinpath(FONT).read_bytes()
