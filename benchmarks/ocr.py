"""How well and how fast pages are read from their pictures: `python -m benchmarks.ocr FILE.pdf [--pages 10]`.

Pages with enough text, evenly spread over the file, are drawn at 150 dots per inch and read by text recognition; the
file's own text layer is the truth. Printed are, a page and all together, the character error rate (the edit distance
by the length of the truth, white space left out) and pages per second; the first page, which loads the engine, is
read twice and its first time left out.
"""

import argparse
import re
import unicodedata
from pathlib import Path
from time import perf_counter

import numpy as np
import pypdfium2
from numpy.typing import NDArray

from ingestion.parsers.ocr import DOTS_PER_INCH, OcrSettings, read_lines

_ENOUGH = 400  # characters: title pages say little
_LEADERS = re.compile(r"(?:[.…]\s*){5,}")  # of contents lists: nobody counts their dots
_POINTS_PER_INCH = 72


def main() -> None:
    arguments = _arguments()
    document = pypdfium2.PdfDocument(arguments.file)
    settings = OcrSettings(threads=arguments.threads)
    chosen = _chosen(document, arguments.pages)
    read_lines(_drawn(document, chosen[0]), settings)
    errors = characters = 0
    seconds = 0.0
    for index in chosen:
        truth = _squeezed(document[index].get_textpage().get_text_range())
        picture = _drawn(document, index)
        began = perf_counter()
        lines = read_lines(picture, settings)
        spent = perf_counter() - began
        distance = edit_distance(truth, _squeezed("".join(line.text for line in lines)))
        print(f"page {index + 1:>4}: {distance / len(truth):7.4f} of {len(truth):>5} characters, {spent:.2f} s")
        errors, characters, seconds = errors + distance, characters + len(truth), seconds + spent
    rate = errors / characters
    print(f"{arguments.file.name}: character error rate {rate:.4f} over {len(chosen)} pages, ", end="")
    print(f"{len(chosen) / seconds:.2f} pages/s with {settings.threads} threads")


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
    parser = argparse.ArgumentParser(description="Character error rate and speed of text recognition on a PDF.")
    parser.add_argument("file", type=Path, help="a PDF with a text layer")
    parser.add_argument("--pages", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def _chosen(document: pypdfium2.PdfDocument, count: int) -> list[int]:
    """Pages with enough text, evenly spread."""
    full = [index for index in range(len(document)) if _is_body(document[index].get_textpage().get_text_range())]
    if not full:
        raise SystemExit("This PDF has no page with a text layer to compare with.")
    return [full[at] for at in np.unique(((np.arange(count) + 0.5) / count * len(full)).astype(int)).tolist()]


def _is_body(text: str) -> bool:
    return len(_squeezed(text)) >= _ENOUGH and len(_LEADERS.findall(text)) < 3


def _drawn(document: pypdfium2.PdfDocument, index: int) -> NDArray[np.uint8]:
    picture = document[index].render(scale=DOTS_PER_INCH / _POINTS_PER_INCH).to_numpy()
    return np.ascontiguousarray(picture)


def _squeezed(text: str) -> str:
    """Without white space, and with line-end hyphens as they are drawn; wide and narrow forms are one."""
    text = text.replace("\ufffe", "-").replace("\x02", "-")
    return "".join(unicodedata.normalize("NFKC", text).split())


if __name__ == "__main__":
    main()
