"""Writes a PDF of any length: `python -m benchmarks.long_pdf FILE.pdf [--pages 20000] [--lines 44] [--seed 1]`.

Every page is a page of prose: sentences of made-up words, the frequent ones as frequent as in a language (Zipf), under
chapter and section headings that the outline leads to, with running heads and page numbers. The same for the same
seed. Pages are written one by one, so that making it takes no memory worth mentioning.
"""

import argparse
import random
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BufferedWriter
from itertools import accumulate
from pathlib import Path

SECTION_PAGES = 5
CHAPTER_PAGES = 40
_WORDS = 20_000
_SYLLABLES = (
    "ka",
    "lo",
    "mi",
    "re",
    "san",
    "tor",
    "ve",
    "dal",
    "un",
    "ish",
    "per",
    "gre",
    "con",
    "ta",
    "bel",
    "no",
    "fu",
)
LINES = 44
_LINE_CHARACTERS = 78
_PAGES_A_NODE = 100
_CATALOG, _TREE, _OUTLINE, _PROSE_FONT, _HEADING_FONT = range(1, 6)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--pages", type=int, default=20_000)
    parser.add_argument("--lines", type=int, default=LINES, help="of a page")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    write_long_pdf(arguments.file, arguments.pages, arguments.seed, arguments.lines)
    print(f"{arguments.file}: {arguments.pages:,} pages, {arguments.file.stat().st_size / 2**20:.1f} MB")


def write_long_pdf(path: Path, pages: int, seed: int = 1, lines: int = LINES) -> None:
    """A PDF with so many pages of prose, an outline of chapters and sections, and a page tree of two levels."""
    prose = Prose(seed)
    with path.open("wb") as file:
        pdf = _Writer(file)
        page_numbers, headings = [], []
        nodes = [pdf.reserve() for _ in range(-(-pages // _PAGES_A_NODE))]
        for index in range(pages):
            heading = _heading(index, prose)
            page_numbers.append(pdf.page(nodes[index // _PAGES_A_NODE], _content(index, heading, prose, lines)))
            if heading:
                headings.append((index % CHAPTER_PAGES > 0, heading, page_numbers[-1]))
        for place, node in enumerate(nodes):
            kids = page_numbers[place * _PAGES_A_NODE : (place + 1) * _PAGES_A_NODE]
            pdf.add(node, f"<< /Type /Pages /Parent {_TREE} 0 R /Count {len(kids)} /Kids [{_references(kids)}] >>")
        pdf.add(_TREE, f"<< /Type /Pages /Count {pages} /Kids [{_references(nodes)}] >>")
        _write_outline(pdf, headings)
        pdf.add(_PROSE_FONT, "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>")
        pdf.add(_HEADING_FONT, "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica-Bold >>")
        pdf.add(_CATALOG, f"<< /Type /Catalog /Pages {_TREE} 0 R /Outlines {_OUTLINE} 0 R >>")
        pdf.close()


class Prose:
    """Endless sentences of a vocabulary."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._words = sorted({self._word() for _ in range(_WORDS)})
        self._random.shuffle(self._words)
        self._weights = list(accumulate(1 / rank for rank in range(1, len(self._words) + 1)))

    def words(self, count: int) -> list[str]:
        return self._random.choices(self._words, cum_weights=self._weights, k=count)

    def sentence(self) -> str:
        return f"{' '.join(self.words(self._random.randint(6, 22))).capitalize()}."

    def lines(self, count: int) -> Iterator[str]:
        """So many lines of running text, none longer than a line may be."""
        line = ""
        while count:
            for word in self.sentence().split():
                if len(line) + len(word) >= _LINE_CHARACTERS:
                    yield line
                    count, line = count - 1, ""
                    if not count:
                        return
                line = f"{line} {word}".lstrip()

    def _word(self) -> str:
        syllables = self._random.choices(_SYLLABLES, k=4)
        return "".join(syllables[: self._random.choice((1, 2, 2, 3, 3, 4))])


@dataclass
class _Writer:
    """Objects one after another, and where each of them is. The first five numbers are the caller's."""

    file: BufferedWriter
    places: dict[int, int] = field(default_factory=dict)
    last: int = _HEADING_FONT

    def __post_init__(self) -> None:
        self.file.write(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")

    def reserve(self) -> int:
        self.last += 1
        return self.last

    def add(self, number: int, content: str, stream: bytes | None = None) -> None:
        self.places[number] = self.file.tell()
        self.file.write(f"{number} 0 obj\n{content}\n".encode("latin-1"))
        if stream is not None:
            self.file.write(b"stream\n%s\nendstream\n" % stream)
        self.file.write(b"endobj\n")

    def page(self, parent: int, content: str) -> int:
        packed = zlib.compress(content.encode("latin-1"))
        contents, number = self.reserve(), self.reserve()
        self.add(contents, f"<< /Length {len(packed)} /Filter /FlateDecode >>", packed)
        fonts = f"<< /F1 {_PROSE_FONT} 0 R /F2 {_HEADING_FONT} 0 R >>"
        self.add(
            number,
            f"<< /Type /Page /Parent {parent} 0 R /MediaBox [0 0 595 842] /Contents {contents} 0 R "
            f"/Resources << /Font {fonts} >> >>",
        )
        return number

    def close(self) -> None:
        start = self.file.tell()
        table = "".join(f"{self.places[number]:010} 00000 n \n" for number in range(1, self.last + 1))
        self.file.write(f"xref\n0 {self.last + 1}\n0000000000 65535 f \n{table}".encode())
        self.file.write(f"trailer\n<< /Size {self.last + 1} /Root {_CATALOG} 0 R >>\n".encode())
        self.file.write(f"startxref\n{start}\n%%EOF\n".encode())


def _heading(index: int, prose: Prose) -> str:
    if index % SECTION_PAGES:
        return ""
    title = " ".join(prose.words(3)).capitalize()
    chapter, section = index // CHAPTER_PAGES + 1, index % CHAPTER_PAGES // SECTION_PAGES
    return f"{chapter}.{section} {title}" if section else f"{chapter} {title}"


def _content(index: int, heading: str, prose: Prose, lines: int) -> str:
    """The page's operators: running head, heading, prose, number."""
    head = f"BT /F1 9 Tf 60 805 Td (The long manual, chapter {index // CHAPTER_PAGES + 1}) Tj ET"
    title = f"BT /F2 16 Tf 60 770 Td ({heading}) Tj ET" if heading else ""
    text = "".join(f"({line}) Tj T* " for line in prose.lines(lines))
    return f"{head} {title} BT /F1 10 Tf 15 TL 60 740 Td {text} ET BT /F1 9 Tf 290 30 Td ({index + 1}) Tj ET"


def _write_outline(pdf: _Writer, headings: list[tuple[bool, str, int]]) -> None:
    """Chapters and the sections below them; `headings` are (is a section, title, page object)."""
    chapters: list[tuple[int, str, int, list[tuple[int, str, int]]]] = []
    for is_section, title, page in headings:
        number = pdf.reserve()
        if is_section:
            chapters[-1][3].append((number, title, page))
        else:
            chapters.append((number, title, page, []))
    for number, title, page, sections in chapters:
        below = f"/First {sections[0][0]} 0 R /Last {sections[-1][0]} 0 R /Count {len(sections)}" if sections else ""
        _write_entry(pdf, number, title, page, _OUTLINE, _beside(number, [each[0] for each in chapters]), below)
        for section, section_title, section_page in sections:
            beside = _beside(section, [each[0] for each in sections])
            _write_entry(pdf, section, section_title, section_page, number, beside)
    first, last = chapters[0][0], chapters[-1][0]
    pdf.add(_OUTLINE, f"<< /Type /Outlines /First {first} 0 R /Last {last} 0 R /Count {len(chapters)} >>")


def _write_entry(pdf: _Writer, number: int, title: str, page: int, parent: int, beside: str, below: str = "") -> None:
    target = f"/Dest [{page} 0 R /XYZ 60 790 null]"
    pdf.add(number, f"<< /Title ({title}) /Parent {parent} 0 R {target} {beside} {below} >>")


def _beside(number: int, siblings: list[int]) -> str:
    place = siblings.index(number)
    before = f"/Prev {siblings[place - 1]} 0 R" if place else ""
    return f"{before} /Next {siblings[place + 1]} 0 R" if place + 1 < len(siblings) else before


def _references(numbers: list[int]) -> str:
    return " ".join(f"{number} 0 R" for number in numbers)


if __name__ == "__main__":
    main()
