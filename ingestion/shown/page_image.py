"""Pictures of pages with the cited words marked, and where on a page they stand.

Owns the step from spans of our page text to boxes on the displayed page, and the drawing: pages of a PDF by pdfium,
pictures as they are. Opens files that may be hostile: whoever serves others asks `shown.page_drawer`, which has
this done in a process of its own. Knows nothing of passages or HTTP.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import pypdfium2
import pypdfium2.raw as pdfium
from PIL import Image

from ingestion.errors import BrokenFile, PermanentError
from ingestion.parsers.base import Limits
from ingestion.parsers.image import open_picture, pixels_of, points_a_pixel
from ingestion.parsers.pdf_document import PDFIUM_LOCK, Frame, open_page, open_pdf, page_frame
from ingestion.parsers.reading import reading
from ingestion.shown.page_marks import Rectangle, marked_png, recognised_rectangles, scaled
from ingestion.shown.page_request import PDF, Box, Drawn, DrawRequest, PageSource, Spans

NO_LIMITS = Limits(file_bytes=1 << 62, pages=1 << 31)  # the file was admitted when it was uploaded
MOST_PIXELS = 36_000_000
LINE_OVERLAP = 0.5  # of the lower of two glyphs, for them to stand on one line
CELL_HEIGHTS = 2.5  # a gap wider than this many line heights parts two boxes of a line


class NoSuchPage(PermanentError):
    """The document has no page of this number."""


def draw(request: DrawRequest) -> Drawn:
    """What is asked for. Raises `NoSuchPage`, and what the parsers raise when the file has gone or changed."""
    page = request.page
    if request.scale is None:
        return Drawn(b"", tuple(boxes_for(page, request.marked)))
    return Drawn(render_page(page, request.marked, scale=request.scale, passage_spans=request.around), ())


def boxes_for(page: PageSource, spans: Spans) -> list[Box]:
    """Where spans of a parsed page's text stand on it, one box a line. Raises as `draw`."""
    if page.line_boxes or page.media_type != PDF:
        return [Box(page.number, *found) for found in recognised_rectangles(spans, page.line_boxes)]
    with open_pdf(page.file, NO_LIMITS) as document, PDFIUM_LOCK, _page(document, page.number) as (raw, text):
        return [Box(page.number, *found) for found in _rectangles(text, page_frame(raw), spans, page)]


def render_page(page: PageSource, spans: Spans, *, scale: float = 2.0, passage_spans: Spans = ()) -> bytes:
    """A PNG of a page as displayed, `spans` marked strongly and `passage_spans` lightly.

    `scale` is pixels a point; huge pages are drawn smaller, and pictures no larger than they are. Raises as `draw`.
    """
    if page.media_type != PDF:
        picture, scale = _picture(page, scale)
        strong, light = (recognised_rectangles(each, page.line_boxes) for each in (spans, passage_spans))
    else:
        with open_pdf(page.file, NO_LIMITS) as document, PDFIUM_LOCK, _page(document, page.number) as (raw, text):
            frame = page_frame(raw)
            scale = min(scale, (MOST_PIXELS / max(1.0, frame.width * frame.height)) ** 0.5)
            strong, light = (_rectangles(text, frame, each, page) for each in (spans, passage_spans))
            picture = document[page.number - 1].render(scale=scale).to_pil().convert("RGB")
    return marked_png(picture, scaled(light, scale), scaled(strong, scale))


def _picture(page: PageSource, scale: float) -> tuple[Image.Image, float]:
    """A picture document's page, and its true scale in pixels a point."""
    with reading(page.file) as file:
        opened = open_picture(file, page.file.name)
        try:
            opened.seek(page.number - 1)
        except (EOFError, ValueError) as error:
            raise NoSuchPage(f"The picture has no page {page.number}.") from error
        pixels = pixels_of(opened, page.file.name)
    points = points_a_pixel(pixels)
    picture = Image.fromarray(pixels[:, :, ::-1])
    if scale * points >= 1:
        return picture, 1 / points
    size = (max(1, round(picture.width * points * scale)), max(1, round(picture.height * points * scale)))
    return picture.resize(size, reducing_gap=2.0), scale


def _page(document: Any, page: int) -> Any:
    if not 1 <= page <= len(document):
        raise NoSuchPage(f"The document has {len(document)} pages; there is no page {page}.")
    try:
        return open_page(document, page - 1)
    except pypdfium2.PdfiumError as error:
        raise BrokenFile(f"Page {page} is damaged and cannot be shown.") from error


def _rectangles(text: Any, frame: Frame, spans: Spans, page: PageSource) -> list[Rectangle]:
    if page.line_boxes:
        return recognised_rectangles(spans, page.line_boxes)
    return _line_boxes(text, frame, spans, page.source_map)


def _line_boxes(text: Any, frame: Frame, spans: Spans, source_map: Sequence[tuple[int, int, int]]) -> list[Rectangle]:
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


def _glyphs(spans: Spans, source_map: Sequence[tuple[int, int, int]]) -> Iterator[int]:
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
