"""Reads the writing in the pictures of a presentation: screenshots, photographs of labels, diagrams that were pasted.

Owns which pictures are worth a look, and what a slide may spend on them. Recognition is `ocr`'s, opening `image`'s.
"""

import io

from lxml.etree import _Element

from ingestion.errors import BrokenFile, TooLarge
from ingestion.parsers.base import Limits
from ingestion.parsers.image import open_picture, pixels_of
from ingestion.parsers.ocr import READ_BY_OCR, read_lines
from ingestion.parsers.ocr_layout import ocr_page
from ingestion.parsers.ocr_rows import OcrLine
from ingestion.parsers.packages import Package
from ingestion.parsers.page_builder import PageBuilder
from ingestion.types import BlockKind

PICTURE = "{http://schemas.openxmlformats.org/presentationml/2006/main}pic"
_BLIP = "{http://schemas.openxmlformats.org/drawingml/2006/main}blip"
_EMBEDDED = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}embed"
_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp")
_FEWEST_PIXELS = 60_000
"""Smaller pictures are icons and signs; 300 by 200 can hold a few lines of a screen."""

_MOST_A_SLIDE = 6
_MOST_A_FILE = 300
_TOO_MANY = "Not all of its pictures were looked at for writing: there are too many."


class Pictures:
    """The pictures of one presentation, slide after slide. `warnings` are those of the slide at hand."""

    def __init__(self, package: Package, limits: Limits) -> None:
        self.warnings: list[str] = []
        self._package = package
        self._limits = limits
        self._targets: dict[str, str] = {}
        self._known: set[str] = set()
        self._on_slide = self._in_file = 0

    def begin_slide(self, part: str) -> None:
        self._targets = {key: relation.target for key, relation in self._package.relations(part).items()}
        self._on_slide = 0
        self.warnings = []

    def write(self, shape: _Element, builder: PageBuilder) -> None:
        """Writes what the picture in a shape says. One that has come before is decoration, and says nothing new."""
        blip = next(shape.iter(_BLIP), None)
        part = "" if blip is None else self._targets.get(blip.get(_EMBEDDED, ""), "")
        if part in self._known or not part.lower().endswith(_SUFFIXES):
            return
        self._known.add(part)
        name = part.rpartition("/")[2]
        try:
            lines = self._lines(part, name)
        except (BrokenFile, TooLarge, FileNotFoundError) as error:
            self._warn(f"A picture on it could not be read: {error}")
            return
        if lines:
            self._warn(READ_BY_OCR)
        page = ocr_page(lines, 1, name, self._limits, warning=None)
        for block in page.blocks:
            kind = BlockKind.PARAGRAPH if block.kind is BlockKind.HEADING else block.kind
            builder.block(kind, page.text[block.start : block.end])

    def _lines(self, part: str, name: str) -> list[OcrLine]:
        with self._package.open(part) as stream:
            picture = open_picture(io.BytesIO(stream.read()), name)
        if picture.width * picture.height < _FEWEST_PIXELS:
            return []
        if self._on_slide >= _MOST_A_SLIDE or self._in_file >= _MOST_A_FILE:
            self._warn(_TOO_MANY)
            return []
        self._on_slide += 1
        self._in_file += 1
        return read_lines(pixels_of(picture, name))

    def _warn(self, warning: str) -> None:
        if warning not in self.warnings:
            self.warnings.append(warning)
