"""How well and how fast scanned PDF files are read: `python -m benchmarks.ocr FILE.pdf [--pages 10] [--at-most 0.03]`.

Pages with enough text, evenly spread over the file, are drawn at 150 dots per inch and made into a PDF of nothing but
these pictures, which the product then reads as any upload: in its confined process, page by page. The file's own text
layer is the truth. Printed are, for each page and all together, the character error rate (the edit distance by the
length of the truth) and pages per second. White space is left out, and what the parser takes away or puts in on
purpose: hyphens at line ends, and the bars between the cells of a table. The first page's time, in which process and
engine start, does not count. Exits with 1 when the error rate is above `--at-most`.
"""

import argparse
import re
import sys
import tempfile
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
import pypdfium2
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from ingestion.confined.sandbox import Sandbox, SandboxLimits
from ingestion.parsers.base import Limits, Resume, Source
from ingestion.parsers.ocr import READ_BY_OCR
from ingestion.parsers.ocr_layout import CELL_SEPARATOR
from ingestion.types import ParsedPage

_DOTS_PER_INCH = 150
_POINTS_PER_INCH = 72
_ENOUGH = 400  # characters: title pages say little
_LEADERS = re.compile(r"(?:[.…]\s*){5,}")  # of contents lists: nobody counts their dots


@dataclass(frozen=True, slots=True)
class _Read:
    """A page as read from the scan, and the seconds that it took."""

    page: ParsedPage
    seconds: float


def main() -> int:
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as folder:
        document = pypdfium2.PdfDocument(arguments.file)
        chosen = _chosen(document, arguments.pages)
        truths = [_squeezed(document[index].get_textpage().get_text_range()) for index in chosen]
        scanned = _scanned(document, chosen, Path(folder) / "scanned.pdf")
        read = _read(scanned)
    errors = 0
    for index, truth, each in zip(chosen, truths, read, strict=True):
        distance = edit_distance(truth, _squeezed(each.page.text.replace(CELL_SEPARATOR, "")))
        errors += distance
        marked = "" if each.page.warning == READ_BY_OCR else f", {each.page.warning or 'not read by OCR'}"
        print(f"page {index + 1:>4}: {distance / len(truth):7.4f} of {len(truth):>5} characters{marked}")
    rate = errors / sum(map(len, truths))
    speed = (len(read) - 1) / sum(each.seconds for each in read[1:])
    print(f"{arguments.file.name}: character error rate {rate:.4f} over {len(read)} pages, {speed:.2f} pages/s")
    return int(rate > arguments.at_most)


def edit_distance(left: str, right: str) -> int:
    """The fewest insertions, deletions and replacements that make one text the other (Wagner and Fischer, 1974)."""
    codes = np.frombuffer(right.encode("utf-32-le"), dtype=np.uint32)
    steps = np.arange(len(right) + 1)
    row = steps.copy()
    for number, character in enumerate(left, start=1):
        replaced = row[:-1] + (codes != ord(character))
        best = np.concatenate(([number], np.minimum(replaced, row[1:] + 1)))
        row = np.minimum.accumulate(best - steps) + steps  # insertions run on from the best cell to the left
    return int(row[-1])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Character error rate and speed of text recognition on scanned PDFs.")
    parser.add_argument("file", type=Path, help="a PDF with a text layer")
    parser.add_argument("--pages", type=int, default=10, help="2 or more")
    parser.add_argument("--at-most", type=float, default=1.0, help="greatest error rate that is good enough")
    return parser.parse_args()


def _chosen(document: pypdfium2.PdfDocument, count: int) -> list[int]:
    """Pages with enough text, evenly spread."""
    full = [index for index in range(len(document)) if _is_body(document[index].get_textpage().get_text_range())]
    if len(full) < 2:
        raise SystemExit("This PDF has no two pages with a text layer to compare with.")
    places = (np.arange(max(2, count)) + 0.5) / max(2, count) * len(full)
    return [full[at] for at in np.unique(places.astype(int)).tolist()]


def _is_body(text: str) -> bool:
    return len(_squeezed(text)) >= _ENOUGH and len(_LEADERS.findall(text)) < 3


def _scanned(document: pypdfium2.PdfDocument, chosen: list[int], path: Path) -> Path:
    """A PDF of the same pages as pictures, without any text."""
    canvas = Canvas(str(path))
    for index in chosen:
        page = document[index]
        size = page.get_size()
        picture = page.render(scale=_DOTS_PER_INCH / _POINTS_PER_INCH).to_pil().convert("RGB")
        canvas.setPageSize(size)
        canvas.drawImage(ImageReader(picture), 0, 0, *size)
        canvas.showPage()
    canvas.save()
    return path


def _read(path: Path) -> list[_Read]:
    found = []
    with Sandbox(SandboxLimits()) as sandbox:
        began = perf_counter()
        for item in sandbox.read(Source(path, path.name), Limits(), Resume()):
            if isinstance(item, ParsedPage):
                now = perf_counter()
                found.append(_Read(item, now - began))
                began = now
    return found


def _squeezed(text: str) -> str:
    """Without white space and hyphens at line ends; wide and narrow forms are one."""
    text = text.replace("\ufffe", "").replace("\x02", "")
    return "".join(unicodedata.normalize("NFKC", text).split())


if __name__ == "__main__":
    sys.exit(main())
