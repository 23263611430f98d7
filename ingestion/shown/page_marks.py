"""Marks on pictures of pages: which part of a recognised line is meant, and how marks look.

Owns colours and the arithmetic of rectangles. Opens no files.
"""

import io
from collections.abc import Iterable, Iterator, Sequence

from PIL import Image, ImageChops, ImageDraw

from ingestion.shown.page_request import Spans
from ingestion.types import LineBox

Rectangle = tuple[float, float, float, float]
"""(x0, y0, x1, y1) from the top-left."""

STRONG = (255, 221, 51)
STRONG_EDGE = (214, 158, 0)
LIGHT = (255, 247, 204)


def recognised_rectangles(spans: Spans, line_boxes: Sequence[LineBox]) -> list[Rectangle]:
    """Where spans of a recognised text stand on the page, in points, a rectangle for each line.

    Of a line that is only meant in part, the part is estimated: its characters count as equally wide.
    """
    return [
        _part((max(start, first) - first) / length, (min(end, first + length) - first) / length, corners)
        for start, end in sorted(spans)
        for first, length, *corners in line_boxes
        if max(start, first) < min(end, first + length)
    ]


def _part(begin: float, end: float, corners: Sequence[int]) -> Rectangle:
    """From `begin` to `end` (0 to 1) of a line, along the way in which it is read."""
    x0, y0, x1, y1 = (edge / 100 for edge in corners)
    if (x1 >= x0) == (y1 >= y0):  # upright or on its head; else it runs up or down the page
        x0, x1 = x0 + (x1 - x0) * begin, x0 + (x1 - x0) * end
    else:
        y0, y1 = y0 + (y1 - y0) * begin, y0 + (y1 - y0) * end
    return min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)


def scaled(rectangles: Iterable[Rectangle], scale: float) -> Iterator[Rectangle]:
    return ((x0 * scale, y0 * scale, x1 * scale, y1 * scale) for x0, y0, x1, y1 in rectangles)


def marked_png(picture: Image.Image, light: Iterable[Rectangle], strong: Iterable[Rectangle]) -> bytes:
    """The picture as PNG with marks multiplied in, as a highlighter does: letters stay black.

    Strong marks get an edge, so that they show on dark ground too.
    """
    strong = list(strong)
    marks = Image.new("RGB", picture.size, "white")
    draw = ImageDraw.Draw(marks)
    for rectangles, colour, padding in ((light, LIGHT, 3), (strong, STRONG, 1)):
        for x0, y0, x1, y1 in rectangles:
            draw.rectangle((x0 - padding, y0 - padding, x1 + padding, y1 + padding), fill=colour)
    marked = ImageChops.multiply(picture, marks)
    edge = ImageDraw.Draw(marked)
    for x0, _, x1, y1 in strong:
        edge.line((x0 - 1, y1 + 1, x1 + 1, y1 + 1), fill=STRONG_EDGE, width=2)
    file = io.BytesIO()
    marked.save(file, "PNG", compress_level=3)
    return file.getvalue()
