"""How fast PDFs are parsed, beside raw pdfium: `python -m benchmarks.parse FILE.pdf [--rounds 3] [--at-least 0.33]`.

In turn, over the same pages: (a) the product's parsing, in its confined process as the worker does it; (b) what any
parser has to do at the least: load each page in pdfium, take its text, and ask for the box of every character. Printed
are pages per second and the ratio of (a) to (b), each by the clock and by the processor's time, the latter summed over
the processes: on a busy machine it is the fairer one, the confined process being nice to others. What starting that
process costs does not count. Exits with 1 when the ratio by processor's time is below `--at-least`.
"""

import argparse
import ctypes
import os
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, process_time

import pypdfium2
import pypdfium2.raw as pdfium

from benchmarks.memory import children
from ingestion.confined.sandbox import Sandbox, SandboxLimits
from ingestion.parsers.base import Limits, Resume, Source
from ingestion.types import ParsedPage

_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class _Speed:
    """Pages per second, by the clock and by the processor's time."""

    clock: float
    processor: float


def main() -> int:
    arguments = _arguments()
    ours, raw = [], []
    with Sandbox(SandboxLimits()) as sandbox:
        _parse(sandbox, arguments.file)  # starts the process and fills the system's cache of the file
        for _ in range(arguments.rounds):
            ours.append(_timed(lambda: _parse(sandbox, arguments.file)))
            raw.append(_timed(lambda: read_raw(arguments.file)))
    product, least = _middle(ours), _middle(raw)
    ratio = product.processor / least.processor
    print(f"{arguments.file.name}: pages per second by the clock, by processor's time")
    print(f"the product's parsing   {product.clock:8.1f} {product.processor:8.1f}")
    print(f"raw pdfium with boxes   {least.clock:8.1f} {least.processor:8.1f}")
    print(f"ratio                   {product.clock / least.clock:8.3f} {ratio:8.3f}")
    return int(ratio < arguments.at_least)


def read_raw(file: Path) -> int:
    """Takes text and character boxes of every page; the number of pages."""
    document = pypdfium2.PdfDocument(file)
    left, right, bottom, top = (ctypes.c_double() for _ in range(4))
    for index in range(len(document)):
        page = pdfium.FPDF_LoadPage(document.raw, index)
        text = pdfium.FPDFText_LoadPage(page)
        count = pdfium.FPDFText_CountChars(text)
        buffer = (ctypes.c_ushort * (count + 1))()
        pdfium.FPDFText_GetText(text, 0, count, buffer)
        for character in range(count):
            pdfium.FPDFText_GetCharBox(text, character, left, right, bottom, top)
        pdfium.FPDFText_ClosePage(text)
        pdfium.FPDF_ClosePage(page)
    pages = len(document)
    document.close()
    return pages


def _parse(sandbox: Sandbox, file: Path) -> int:
    items = sandbox.read(Source(file, file.name), Limits(), Resume())
    return sum(isinstance(item, ParsedPage) for item in items)


def _timed(work: Callable[[], int]) -> _Speed:
    clock, processor = perf_counter(), _processor_seconds()
    pages = work()
    return _Speed(pages / (perf_counter() - clock), pages / (_processor_seconds() - processor))


def _processor_seconds() -> float:
    """Of this process and those below it (proc(5): fields 14 and 15 of `stat`, after the name in brackets)."""
    total = process_time()
    for pid in children():
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += (int(fields[11]) + int(fields[12])) / _TICKS_A_SECOND
    return total


def _middle(speeds: list[_Speed]) -> _Speed:
    clock, processor = ([getattr(each, name) for each in speeds] for name in ("clock", "processor"))
    return _Speed(statistics.median(clock), statistics.median(processor))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, help="a PDF with a text layer")
    parser.add_argument("--rounds", type=int, default=3, help="how often both are measured in turn")
    parser.add_argument("--at-least", type=float, default=0.0, help="smallest ratio that is good enough")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
