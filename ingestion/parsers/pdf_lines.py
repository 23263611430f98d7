"""Reads the lines of one PDF page: where they stand, in which size and sort of font.

The text of a page is fetched in one call; fonts and boxes are asked for a few glyphs of each line only, which is
what keeps reading fast. Knows nothing of headings, paragraphs or running headers.
"""

import ctypes
import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import pypdfium2.raw as pdfium

from ingestion.errors import TooLarge
from ingestion.parsers.pdf_document import Frame, page_frame

HYPHEN = "\ufffe"
"""pdfium's mark for a hyphen at the end of a line; the line break itself is not given then."""

LINE = re.compile("[^\r\n\ufffe]*(?:\r\n|\r|\n|\ufffe|$)")
SPACES = " \t\u00a0\u3000"
MONOSPACED = re.compile(
    rb"mono|courier|typewriter|consol|menlo|monaco|code|cmtt|cmsltt|lmtt|sftt|ectt|txtt|nimbusmon|terminal", re.I
)
BOLD = re.compile(rb"bold|black|heavy|semib|demi|cmbx|sfbx|ecbx|-bd", re.I)
FIXED_PITCH = 1  # PDF 32000-1, table 123, font flags
BOLD_WEIGHT = 600
ANOTHER_LINE = 1.4  # of a size: baselines farther apart are two lines
SMALLEST = 0.1
"""Points. Text of size 0 occurs; a negative size draws it mirrored."""
CELL_GAP = 1.3
"""White space wider than this many font sizes parts two cells of a row."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line: characters [start, end) of the page, outer white space left out.

    `x0`, `x1` and the baseline `y` are points on the displayed page, origin top-left. `cells` are the white
    spaces that part cells: (index of the character after it, that character's x). `place` is the row and column
    that `pdf_tables` put the line into: the number of the row's first character, and the column from 0.
    """

    start: int
    end: int
    text: str
    x0: float
    x1: float
    y: float
    size: float
    monospaced: bool
    bold: bool
    hyphenated: bool
    cells: tuple[tuple[int, float], ...] = ()
    place: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class PageLines:
    """A page as read. `characters[i]` is pdfium's character i (`HYPHEN` for a line-end hyphen)."""

    characters: str
    lines: tuple[Line, ...]
    frame: Frame


def read_lines(page: Any, text: Any, limit: int) -> PageLines:
    """The lines of an open page, in pdfium's order. The caller holds the lock.

    Raises `TooLarge` when the page has more than `limit` characters.
    """
    characters = read_characters(text, limit)
    frame = page_frame(page)
    if not characters:
        return PageLines("", (), frame)
    glyphs = Glyphs(text, frame)
    lines = []
    for found in LINE.finditer(characters):
        piece = found.group().rstrip("\r\n\ufffe")
        start = found.start() + len(piece) - len(piece.lstrip(SPACES))
        end = found.start() + len(piece.rstrip(SPACES))
        if start < end:
            lines.append(glyphs.line(characters, start, end, found.group().endswith(HYPHEN)))
    return PageLines(characters, tuple(lines), frame)


def read_characters(text: Any, limit: int) -> str:
    """All characters of a text page, one for each of pdfium's indices. Raises `TooLarge`."""
    count = pdfium.FPDFText_CountChars(text)
    if count <= 0:
        return ""
    if count > limit:
        raise TooLarge(
            f"A page of this PDF has {count} characters, more than the {limit} allowed. "
            "Split the page, or raise the limit in the settings."
        )
    buffer = (ctypes.c_ushort * (count + 1))()
    written = pdfium.FPDFText_GetText(text, 0, count, buffer) - 1
    characters = bytes(buffer)[: 2 * written].decode("utf-16-le", "surrogatepass")
    # pdfium leaves out characters it cannot name and writes two units for those beyond U+FFFF: ask one by one.
    if written == count == len(characters):
        return characters
    return "".join(_character(text, index) for index in range(count))


def _character(text: Any, index: int) -> str:
    if pdfium.FPDFText_IsHyphen(text, index) == 1:
        return HYPHEN
    code = pdfium.FPDFText_GetUnicode(text, index)
    return chr(code) if code <= 0x10FFFF else "\0"


@lru_cache(maxsize=512)
def _font_sort(name: bytes, flags: int) -> tuple[bool, bool]:
    """(monospaced, bold) by name and flags."""
    return bool(flags & FIXED_PITCH) or bool(MONOSPACED.search(name)), bool(BOLD.search(name))


class Glyphs:
    """Single glyphs of one text page, with the buffers that pdfium writes to."""

    def __init__(self, text: Any, frame: Frame) -> None:
        self.text = text
        self.frame = frame
        self.across, slant, turn, _, self.left, _ = frame.matrix
        self.upright = slant == turn == 0 < self.across
        self.rectangle = pdfium.FS_RECTF()
        self.matrix = pdfium.FS_MATRIX()
        self.x, self.y = ctypes.c_double(), ctypes.c_double()
        self.name = ctypes.create_string_buffer(128)
        self.flags = ctypes.c_int()

    def line(self, characters: str, start: int, end: int, hyphenated: bool) -> Line:
        x0, y = self.origin(start)
        x1 = self.edges(end - 1)[1]
        positions = sorted({start, start + (end - start) // 2, end - 1, start + (end - start) // 4})
        fonts = [self.font(index) for index in positions if characters[index] not in SPACES]
        size = sorted(font[0] for font in fonts)[len(fonts) // 2]
        monospaced = all(font[1] for font in fonts)
        piece = characters[start:end]
        return Line(
            start,
            end,
            piece,
            x0,
            max(x0, x1),
            y,
            size,
            monospaced,
            all(font[2] for font in fonts),
            hyphenated,
            () if monospaced or " " not in piece else self.cells(characters, start, end, size * CELL_GAP),
        )

    def piece(self, line: Line, characters: str, start: int, end: int, *, cells: bool = False) -> Line:
        """The part of a line from `start` to `end`, outer white space left out; its gaps are kept if `cells`."""
        end = start + len(characters[start:end].rstrip(SPACES))
        return replace(
            line,
            start=start,
            end=end,
            text=characters[start:end],
            x0=line.x0 if start == line.start else self.edges(start)[0],
            x1=line.x1 if end == line.end else self.edges(end - 1)[1],
            y=line.y if start == line.start else self.baseline(line, start),
            hyphenated=line.hyphenated and end == line.end,
            cells=tuple(gap for gap in line.cells if start < gap[0] < end) if cells else (),
        )

    def cells(self, characters: str, start: int, end: int, wide: float) -> tuple[tuple[int, float], ...]:
        found = []
        edges = self.edges
        space = characters.find(" ", start, end)
        while space != -1:
            after = space + 1
            while characters[after] in SPACES:
                after += 1
            left = edges(after)[0]
            if left - edges(space - 1)[1] > wide:
                found.append((after, left))
            space = characters.find(" ", after, end)
        return tuple(found)

    def baseline(self, line: Line, index: int) -> float:
        """A character's baseline: its line's, unless pdfium took short texts one below the other for one line.

        Signs such as roots hang from an origin of their own, less than a line away.
        """
        y = self.origin(index)[1]
        return y if abs(y - line.y) > ANOTHER_LINE * line.size else line.y

    def origin(self, index: int) -> tuple[float, float]:
        pdfium.FPDFText_GetCharOrigin(self.text, index, self.x, self.y)
        return self.frame.point(self.x.value, self.y.value)

    def edges(self, index: int) -> tuple[float, float]:
        """The displayed left and right edge of a glyph's advance box."""
        box = self.rectangle
        pdfium.FPDFText_GetLooseCharBox(self.text, index, box)
        if self.upright:  # the hottest spot of parsing: nearly every page is neither rotated nor mirrored
            return box.left * self.across + self.left, box.right * self.across + self.left
        x0, _, x1, _ = self.frame.box(box.left, box.bottom, box.right, box.top)
        return x0, x1

    def font(self, index: int) -> tuple[float, bool, bool]:
        """(size in points as drawn, more than none; monospaced, bold)."""
        matrix, text = self.matrix, self.text
        scale = 1.0
        if pdfium.FPDFText_GetMatrix(text, index, matrix):
            scale = abs(matrix.a * matrix.d - matrix.b * matrix.c) ** 0.5 or 1.0
        size = max(abs(pdfium.FPDFText_GetFontSize(text, index)) * scale, SMALLEST)
        pdfium.FPDFText_GetFontInfo(text, index, self.name, 128, self.flags)
        monospaced, bold = _font_sort(self.name.value, self.flags.value)
        return size, monospaced, bold or pdfium.FPDFText_GetFontWeight(text, index) >= BOLD_WEIGHT
