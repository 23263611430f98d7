"""Opens a PDF through pdfium and hands out pages, labels and the outline.

Owns the lock that guards pdfium (it is not thread-safe), the checks before a file is opened, and the step from
PDF coordinates to the displayed page. Does not know what the text means.
"""

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pypdfium2
import pypdfium2.raw as pdfium

from ingestion.errors import BrokenFile, EmptyFile, EncryptedFile, TooLarge, TransientError, WrongType
from ingestion.parsers.base import Limits

PDFIUM_LOCK = threading.RLock()
"""Held around every call into pdfium, closing included; never across a `yield`."""

SIGNATURE_WITHIN = 1024  # readers accept junk before "%PDF-", up to here (PDF 1.7, implementation note 13)
OUTLINE_DEPTH = 8
OUTLINE_ENTRIES = 100_000
DEVICE_SCALE = 1000  # pdfium's device coordinates are whole numbers: a thousandth of a point each


@dataclass(frozen=True, slots=True)
class OutlineEntry:
    """A bookmark. `page` counts from 0; `y` is in PDF units of the page, None when the target is the whole page."""

    level: int
    title: str
    page: int
    y: float | None


@dataclass(frozen=True, slots=True)
class Frame:
    """The displayed page: its size in points, and the affine step from PDF user space to it.

    Displayed coordinates have their origin top-left, after cropping and rotation.
    """

    width: float
    height: float
    matrix: tuple[float, float, float, float, float, float]

    def point(self, x: float, y: float) -> tuple[float, float]:
        a, b, c, d, e, f = self.matrix
        return a * x + c * y + e, b * x + d * y + f

    def box(self, left: float, bottom: float, right: float, top: float) -> tuple[float, float, float, float]:
        """(x0, y0, x1, y1) of a rectangle, top-left first."""
        (ax, ay), (bx, by) = self.point(left, bottom), self.point(right, top)
        return min(ax, bx), min(ay, by), max(ax, bx), max(ay, by)


@contextmanager
def open_pdf(path: Path, limits: Limits) -> Iterator[Any]:
    """A `pypdfium2.PdfDocument`, closed afterwards.

    Raises `EmptyFile`, `WrongType`, `BrokenFile`, `EncryptedFile`, `TooLarge`, and `TransientError` when the
    file cannot be read at all.
    """
    check_file(path, limits)
    with PDFIUM_LOCK:
        try:
            document = pypdfium2.PdfDocument(path)
        except pypdfium2.PdfiumError as error:
            if getattr(error, "err_code", None) == pdfium.FPDF_ERR_PASSWORD:
                raise EncryptedFile(
                    "This PDF needs a password to open. Save a copy without a password and upload that."
                ) from error
            raise BrokenFile(
                "This PDF is damaged and cannot be opened. Download or export it again and upload the new file."
            ) from error
    try:
        with PDFIUM_LOCK:
            pages = len(document)
        if pages == 0:
            raise BrokenFile("This PDF has no pages. Export it again and upload the new file.")
        if pages > limits.pages:
            raise TooLarge(
                f"This PDF has {pages} pages, more than the {limits.pages} allowed. "
                "Split it, or raise the limit in the settings."
            )
        yield document
    finally:
        with PDFIUM_LOCK:
            document.close()


def check_file(path: Path, limits: Limits) -> None:
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(SIGNATURE_WITHIN)
    except OSError as error:
        raise TransientError(f"The file could not be read ({error.strerror}). Upload it again.") from error
    if size == 0:
        raise EmptyFile("This file is empty. Check the original and upload it again.")
    if size > limits.file_bytes:
        raise TooLarge(
            f"This file has {size / 2**20:.0f} MB, more than the {limits.file_bytes / 2**20:.0f} MB allowed. "
            "Split it, or raise the limit in the settings."
        )
    if b"%PDF-" not in head:
        raise WrongType("This file is called a PDF but is not one. Upload it with its true extension.")


@contextmanager
def open_page(document: Any, index: int) -> Iterator[tuple[Any, Any]]:
    """The raw page and text page of page `index` (from 0). The caller holds `PDFIUM_LOCK`.

    Raises `pypdfium2.PdfiumError` when this page is damaged.
    """
    page = pdfium.FPDF_LoadPage(document.raw, index)
    if not page:
        raise pypdfium2.PdfiumError(f"page {index + 1} cannot be loaded")
    try:
        text = pdfium.FPDFText_LoadPage(page)
        if not text:
            raise pypdfium2.PdfiumError(f"the text of page {index + 1} cannot be loaded")
        try:
            yield page, text
        finally:
            pdfium.FPDFText_ClosePage(text)
    finally:
        pdfium.FPDF_ClosePage(page)


def page_frame(page: Any) -> Frame:
    """The displayed frame of a raw page, as pdfium itself would draw it."""
    width, height = pdfium.FPDF_GetPageWidthF(page), pdfium.FPDF_GetPageHeightF(page)
    across, down = round(width * DEVICE_SCALE), round(height * DEVICE_SCALE)
    device_x, device_y = ctypes.c_int(), ctypes.c_int()

    def displayed(x: float, y: float) -> tuple[float, float]:
        pdfium.FPDF_PageToDevice(page, 0, 0, across, down, 0, x, y, device_x, device_y)
        return device_x.value / DEVICE_SCALE, device_y.value / DEVICE_SCALE

    (e, f), (ax, ay), (cx, cy) = displayed(0, 0), displayed(1000, 0), displayed(0, 1000)
    matrix = ((ax - e) / 1000, (ay - f) / 1000, (cx - e) / 1000, (cy - f) / 1000, e, f)
    return Frame(width, height, matrix)


def page_label(document: Any, index: int) -> str | None:
    """The printed page label, None where the file names none. The caller holds `PDFIUM_LOCK`."""
    size = pdfium.FPDF_GetPageLabel(document.raw, index, None, 0)
    if size <= 2:
        return None
    buffer = ctypes.create_string_buffer(size)
    pdfium.FPDF_GetPageLabel(document.raw, index, buffer, size)
    return buffer.raw[: size - 2].decode("utf-16-le", "replace").strip() or None


def read_outline(document: Any) -> dict[int, list[OutlineEntry]]:
    """The outline's entries by page (from 0), in outline order. The caller holds `PDFIUM_LOCK`."""
    by_page: dict[int, list[OutlineEntry]] = {}
    for number, bookmark in enumerate(document.get_toc(max_depth=OUTLINE_DEPTH)):
        if number >= OUTLINE_ENTRIES:
            break
        target = bookmark.get_dest()
        page = None if target is None else target.get_index()
        title = " ".join(bookmark.get_title().split())
        if target is None or page is None or not title:
            continue
        mode, view = target.get_view()
        y = None
        if mode == pdfium.PDFDEST_VIEW_XYZ and len(view) > 1:
            y = view[1]
        elif mode in (pdfium.PDFDEST_VIEW_FITH, pdfium.PDFDEST_VIEW_FITBH) and view:
            y = view[0]
        by_page.setdefault(page, []).append(OutlineEntry(bookmark.level, title, page, y))
    return by_page
