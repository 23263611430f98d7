"""Pictures of documents without pages: the text around a citation, with the cited words marked.

Owns the layout of such a picture and its font. Opens no documents.
"""

import io
from collections.abc import Iterator
from functools import lru_cache
from importlib.resources import files
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from ingestion.parsers.pdf_text import CJK_CHARACTER
from ingestion.shown.page_marks import Rectangle, marked_png
from ingestion.shown.page_request import Spans

BEFORE, AFTER = 900, 1500  # characters that are drawn around the citation
TEXT_WIDTH, MARGIN, TEXT_SIZE, TITLE_SIZE, LEADING = 820, 48, 17, 21, 1.55

FONT_PACKAGE, FONT = "justmytype_intl_cjk", "fonts/ofl/notosanssc/NotoSansSC[wght].ttf"
REGULAR_WEIGHT, TITLE_WEIGHT = 400, 600


def render_text_page(title: str, text: str, spans: Spans, *, passage_spans: Spans = ()) -> bytes:
    """A PNG of the text around `spans` for a document without pages; marks as on pages.

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
    return marked_png(picture, light, strong)


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
