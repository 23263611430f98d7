"""Whether text is lost or changed in parsing: `python -m benchmarks.fidelity FILE.pdf [--show] [--at-least 0.99]`.

Random body sentences as poppler's pdftotext reads them (`pdftotext -bbox-layout`, package poppler-utils) are looked up
in the product's text of the same page. White space, hyphens and forms of the same character (NFKC) do not count: both
programs undo hyphenation, each in its way. Printed is the share found, with `--show` also each sentence that was not.

What a body sentence is, is decided from poppler's blocks, lines and words alone:

- A sentence is a piece of one block that ends in a stop and has five words, or ten characters of Chinese, Japanese or
  Korean; a block is what poppler holds to be a paragraph.
- Running heads and feet are left out: blocks whose text, numbers aside, is the topmost or the lowest of three pages.
- Contents lines are left out: sentences with five leader dots or more.
- Tables are left out: a block that has another one beside it, to its left or right, unless both have five lines and
  more, as on pages set in columns. Labels make no table: blocks of up to three characters, list numbers and bullets.
- What poppler is not sure of is left out: sentences that it reads otherwise in the order in which the file draws them
  (`pdftotext -raw`). These are cells of tables that it takes for one paragraph, and marks that overlap. Their number is
  printed.
"""

import argparse
import random
import re
import shutil
import subprocess
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lxml import etree

from ingestion.parsers.base import Limits, Resume, Source
from ingestion.reader import HereReader
from ingestion.types import ParsedPage

_XHTML = "{http://www.w3.org/1999/xhtml}"
_CJK = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_SENTENCE_ENDS = re.compile(rf"(?<=[.!?])\s+|(?<=[。！？])|(?<=[.!?])(?=[{_CJK}])")
_LEADERS = re.compile(r"(?:[.…·]\s*){5,}")
_LIST_MARK = re.compile(r"[\u0080-\u009f•◦▪‣·*–—-]\s+")  # a bullet of a symbol font comes as a control character
_FEWEST_WORDS = 5
_FEWEST_CJK = 10
_ON_SO_MANY_PAGES = 3
_COLUMN_LINES = 5
_LABEL_CHARACTERS = 3
_NOT_COUNTED = re.compile(r"[\s\u00ad\u2010\u2011\u2212\ufffe-]+")


@dataclass(frozen=True, slots=True)
class _Block:
    """A paragraph as poppler sees it. Points, origin top-left."""

    x0: float
    y0: float
    x1: float
    y1: float
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        return " ".join(self.lines)

    def stands_beside(self, other: "_Block") -> bool:
        overlap = min(self.y1, other.y1) - max(self.y0, other.y0)
        is_apart = self.x1 <= other.x0 or other.x1 <= self.x0
        return is_apart and overlap > min(self.y1 - self.y0, other.y1 - other.y0) / 2


@dataclass(frozen=True, slots=True)
class Sentence:
    page: int
    text: str


def main() -> int:
    arguments = _arguments()
    sentences, unsure = body_sentences(arguments.file)
    chosen = random.Random(arguments.seed).sample(sentences, min(arguments.sentences, len(sentences)))
    pages = _our_pages(arguments.file)
    lost = [each for each in chosen if squeezed(each.text) not in pages[each.page]]
    if arguments.show:
        for each in sorted(lost, key=lambda sentence: sentence.page):
            print(f"page {each.page}: {each.text}")
    share = 1 - len(lost) / len(chosen)
    print(
        f"{arguments.file.name}: {share:.4f} of {len(chosen)} sentences found ({len(sentences):,} to choose from; "
        f"{unsure:,} left out that poppler itself reads in two ways)"
    )
    return int(share < arguments.at_least)


def body_sentences(file: Path) -> tuple[list[Sentence], int]:
    """All of the file, in poppler's order, and how many it reads in two ways."""
    pages = list(_poppler_pages(file))
    running = _running(pages)
    drawn = [squeezed(page) for page in _pdftotext(file, "-raw").decode("utf-8", "replace").split("\f")]
    sure, unsure = [], 0
    for number, blocks in enumerate(pages, 1):
        for block in _without_tables(blocks):
            for sentence in [] if _named(block) in running else _sentences(block):
                if squeezed(sentence) in drawn[number - 1]:
                    sure.append(Sentence(number, sentence))
                else:
                    unsure += 1
    return sure, unsure


def squeezed(text: str) -> str:
    return _NOT_COUNTED.sub("", unicodedata.normalize("NFKC", text))


def _poppler_pages(file: Path) -> Iterator[list[_Block]]:
    # Control characters of broken fonts come through, and XML has no place for them.
    document = etree.fromstring(re.sub(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]", b"", _pdftotext(file, "-bbox-layout")))
    for page in document.iter(f"{_XHTML}page"):
        yield [_block(each) for each in page.iter(f"{_XHTML}block")]


def _pdftotext(file: Path, way: str) -> bytes:
    program = shutil.which("pdftotext")
    if program is None:
        raise SystemExit("This benchmark compares with pdftotext: install the package poppler-utils.")
    return subprocess.run([program, way, str(file), "-"], capture_output=True, check=True).stdout


def _block(element: etree._Element) -> _Block:
    x0, y0, x1, y1 = (float(element.get(name, "0")) for name in ("xMin", "yMin", "xMax", "yMax"))
    lines = tuple(" ".join(word.text or "" for word in line) for line in element.iter(f"{_XHTML}line"))
    return _Block(x0, y0, x1, y1, lines)


def _running(pages: list[list[_Block]]) -> set[str]:
    """What stands at the top or at the bottom of several pages, numbers aside."""
    edges: Counter[str] = Counter()
    for blocks in pages:
        outermost = {min((each.y0 for each in blocks), default=0.0), max((each.y1 for each in blocks), default=0.0)}
        edges.update({_named(each) for each in blocks if {each.y0, each.y1} & outermost})
    return {name for name, count in edges.items() if count >= _ON_SO_MANY_PAGES}


def _named(block: _Block) -> str:
    return re.sub(r"[\d\sivxlc]+", "", block.text.lower())


def _without_tables(blocks: list[_Block]) -> Iterator[_Block]:
    full = [each for each in blocks if len(squeezed(each.text)) > _LABEL_CHARACTERS]
    for block in full:
        beside = [each for each in full if each is not block and block.stands_beside(each)]
        if all(len(each.lines) >= _COLUMN_LINES for each in [block, *beside] if beside):
            yield block


def _sentences(block: _Block) -> Iterator[str]:
    text = block.text.strip()
    for sentence in _SENTENCE_ENDS.split(text[mark.end() :] if (mark := _LIST_MARK.match(text)) else text):
        is_long = len(sentence.split()) >= _FEWEST_WORDS or len(re.findall(f"[{_CJK}]", sentence)) >= _FEWEST_CJK
        if is_long and sentence.rstrip()[-1:] in tuple(".!?。！？") and not _LEADERS.search(sentence):
            yield sentence.strip()


def _our_pages(file: Path) -> dict[int, str]:
    items = HereReader().read(Source(file, file.name), Limits(), Resume())
    return {item.number: squeezed(item.text) for item in items if isinstance(item, ParsedPage)}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, help="a PDF with a text layer")
    parser.add_argument("--sentences", type=int, default=300, help="how many are looked up")
    parser.add_argument("--seed", type=int, default=1, help="another seed, other sentences")
    parser.add_argument("--show", action="store_true", help="print the sentences that were not found")
    parser.add_argument("--at-least", type=float, default=0.0, help="smallest share that is good enough")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
