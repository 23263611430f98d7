"""Reads pictures of pages (PNG, JPEG, TIFF, WebP, BMP) by text recognition.

Owns opening pictures safely: what they claim to measure is checked before they are unpacked. Recognition is `ocr`'s.
"""

from collections.abc import Iterator
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, ImageSequence, UnidentifiedImageError

from ingestion.errors import BrokenFile, NoText, TooLarge
from ingestion.parsers.base import Limits, Source
from ingestion.parsers.ocr import DOTS_PER_INCH, READ_BY_OCR, read_lines
from ingestion.parsers.ocr_layout import ocr_page
from ingestion.parsers.reading import check_size, reading
from ingestion.types import DocumentStart, ParsedPage

FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "BMP")
_MOST_PIXELS = 89_000_000
"""An A1 sheet at 300 dots per inch is 70 million. Pillow itself warns of more than this."""

LONGEST_PAGE = 1_191
"""Points: the longer side of A3. Pictures know no paper, and are not to be displayed larger than any."""

POINTS_PER_INCH = 72
_LONGEST_SIDE = 4_000
_UNREADABLE = (OSError, ValueError, SyntaxError, IndexError, KeyError, TypeError, EOFError, OverflowError, MemoryError)
"""What Pillow's decoders raise for damaged files."""


class ImageParser:
    """A picture is one page; a TIFF may hold several. Each is marked as read by text recognition."""

    def __init__(self, media_type: str = "image/png") -> None:
        self.media_type = media_type

    def parse(self, source: Source, limits: Limits) -> Iterator[DocumentStart | ParsedPage]:
        """One document. A page that cannot be unpacked has a warning instead of text.

        Raises `BrokenFile`, `EmptyFile`, `TooLarge` before unpacking, and `NoText` for a picture without writing.
        """
        name = source.path.name
        check_size(source.path, limits)
        with reading(source.path) as file:
            picture = open_picture(file, name)
            frames = int(getattr(picture, "n_frames", 1))
            if frames > limits.pages:
                raise TooLarge(f"{name} has {frames:,} pages, the limit is {limits.pages:,}: split it")
            start = DocumentStart(source.external_id, source.title or source.path.stem, frames)
            if frames == 1:
                page = _page(picture, 1, name, limits)
                if not page.text:
                    raise NoText(f"{name} shows no writing that can be read: upload it larger, or leave it out")
                yield start
                yield page
                return
            yield start
            for number, frame in enumerate(ImageSequence.Iterator(picture), start=1):
                try:
                    yield _page(frame, number, name, limits)
                except (BrokenFile, TooLarge) as error:
                    yield ParsedPage(number, "", (), warning=str(error))


def open_picture(file: IO[bytes], name: str) -> Image.Image:
    """The picture in an open file, not unpacked yet. Raises `BrokenFile`, `TooLarge`."""
    try:
        picture = Image.open(file, formats=FORMATS)
        getattr(picture, "n_frames", 1)  # the pages of a TIFF are counted now, where it may be damaged
    except Image.DecompressionBombError as error:
        raise TooLarge(f"{name}: {error}; make the picture smaller") from error
    except (UnidentifiedImageError, *_UNREADABLE) as error:
        raise BrokenFile(f"{name} is damaged or no picture ({error}): save it again as PNG") from error
    _check_pixels(picture, name)
    return picture


def pixels_of(picture: Image.Image, name: str) -> NDArray[np.uint8]:
    """The picture upright, on white, at most 4,000 pixels a side: [height, width, 3] of blue, green, red.

    Raises `BrokenFile`, `TooLarge`.
    """
    _check_pixels(picture, name)
    try:
        return _unpacked(picture)
    except _UNREADABLE as error:
        raise BrokenFile(f"{name} is damaged ({error}): save it again as PNG") from error


def _unpacked(picture: Image.Image) -> NDArray[np.uint8]:
    picture.draft("RGB", (_LONGEST_SIDE, _LONGEST_SIDE))  # JPEG is unpacked no larger than needed
    upright = ImageOps.exif_transpose(picture)
    if upright.mode in ("RGBA", "LA", "PA") or "transparency" in upright.info:
        layer = upright.convert("RGBA")
        upright = Image.new("RGBA", layer.size, "white")
        upright.alpha_composite(layer)
    if upright.mode.startswith("I;16") or upright.mode in ("I", "F"):
        upright = _eight_bits(upright)
    upright.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE))
    return np.asarray(upright.convert("RGB"), dtype=np.uint8)[:, :, ::-1]


def _eight_bits(picture: Image.Image) -> Image.Image:
    """A picture of more than 256 greys, its darkest black and its lightest white."""
    values = np.nan_to_num(np.asarray(picture, dtype=np.float32))
    low, high = float(values.min()), float(values.max())
    return Image.fromarray(((values - low) * (255.0 / max(high - low, 1e-6))).astype(np.uint8))


def _page(picture: Image.Image, number: int, name: str, limits: Limits) -> ParsedPage:
    pixels = pixels_of(picture, name)
    try:
        lines = read_lines(pixels)
    except BrokenFile as error:
        raise BrokenFile(f"{name}: {error}; save it again as PNG, or smaller") from error
    return ocr_page(lines, number, name, limits, warning=READ_BY_OCR, points=points_a_pixel(pixels))


def points_a_pixel(pixels: NDArray[np.uint8]) -> float:
    """How large a pixel of `pixels_of` is on the page as displayed: as scanned for recognition, on A3 at most."""
    height: int = pixels.shape[0]
    width: int = pixels.shape[1]
    return min(POINTS_PER_INCH / DOTS_PER_INCH, LONGEST_PAGE / max(height, width))


def _check_pixels(picture: Image.Image, name: str) -> None:
    width, height = picture.size
    if width * height > _MOST_PIXELS:
        raise TooLarge(
            f"{name} says it has {width:,} x {height:,} pixels, the limit is {_MOST_PIXELS:,} in all: make it smaller"
        )
