"""PDF pages that are read from their pictures: scans and broken text layers. The real engine runs."""

from collections.abc import Iterator, Sequence
from functools import lru_cache, partial
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase import pdfmetrics, ttfonts
from reportlab.pdfgen.canvas import Canvas

from ingestion.confined.sandbox import Sandbox, SandboxLimits
from ingestion.errors import BrokenFile
from ingestion.parsers import pdf_ocr
from ingestion.parsers.base import Limits, Resume, Source
from ingestion.parsers.ocr import READ_BY_OCR
from ingestion.parsers.ocr_rows import OcrLine
from ingestion.parsers.pdf import PdfParser
from ingestion.shown.page_image import boxes_for
from ingestion.shown.page_request import PDF, PageSource
from ingestion.types import BlockKind, ParsedPage
from tests.ingestion.pdf_making import HEIGHT, SENTENCES, WIDTH, Draw, blocks, make_pdf, parse, void, write

SCANNED = ["Press and hold the green button", "for ten seconds until it blinks.", "打开阀门，等待十秒钟。"]
PLAIN = [(text, 12) for text in SCANNED]
PIXELS_A_POINT = 3


@lru_cache
def font(size: int) -> ImageFont.FreeTypeFont:
    with files("justmytype_intl_cjk").joinpath("fonts/ofl/notosanssc/NotoSansSC[wght].ttf").open("rb") as file:
        return ImageFont.truetype(file, size)


def paper(lines: Sequence[tuple[str, int]], *, only: int | None = None) -> Image.Image:
    """A scanned sheet with (text, points) one under the other, or with the line `only` alone in its place."""
    sheet = Image.new("L", (WIDTH * PIXELS_A_POINT, HEIGHT * PIXELS_A_POINT), "white")
    pen = ImageDraw.Draw(sheet)
    y = 60 * PIXELS_A_POINT
    for number, (text, points) in enumerate(lines):
        if only in (None, number):
            pen.text((40 * PIXELS_A_POINT, y), text, "black", font(points * PIXELS_A_POINT))
        y += round(1.6 * points * PIXELS_A_POINT)
    return sheet


def scan(lines: Sequence[tuple[str, int]] = PLAIN, turn: int = 0) -> Draw:
    def draw(canvas: Canvas) -> None:
        sheet = paper(lines).rotate(turn, expand=True)
        if turn % 180:
            canvas.setPageSize((HEIGHT, WIDTH))
        canvas.drawImage(ImageReader(sheet), 0, 0, *((HEIGHT, WIDTH) if turn % 180 else (WIDTH, HEIGHT)))

    return draw


def printed(canvas: Canvas) -> None:
    write(canvas, SENTENCES)


def squeezed(text: str) -> str:
    return "".join(text.split()).replace("，", ",")


def test_each_page_is_read_as_it_needs(tmp_path: Path) -> None:
    def stamped(canvas: Canvas) -> None:
        scan()(canvas)
        write(canvas, ["Page 4"], y=30)

    def photo(canvas: Canvas) -> None:
        noise = np.random.default_rng(1).integers(0, 255, (30, 20, 3), dtype=np.uint8)
        canvas.drawImage(ImageReader(Image.fromarray(noise)), 0, 0, WIDTH, HEIGHT)

    path = make_pdf(tmp_path / "a.pdf", [printed, scan(), lambda canvas: None, stamped, photo])
    start, pages = parse(path)
    assert start.page_count == 5
    assert [page.warning for page in pages[:4]] == [None, READ_BY_OCR, None, READ_BY_OCR]
    assert pages[0].text == " ".join(SENTENCES) + "\n"
    assert squeezed(pages[1].text) == squeezed("".join(SCANNED))
    assert blocks(pages[1])[0][1].startswith(f"{SCANNED[0]} {SCANNED[1]} ")
    assert "Page 4" in pages[3].text
    assert pages[2].text == pages[4].text == ""
    assert "no writing was found" in (pages[4].warning or "")
    for page in pages:
        assert not (page.source_map and page.line_boxes)
        assert bool(page.line_boxes) == (page.warning == READ_BY_OCR)


@pytest.fixture
def broken_font(monkeypatch: pytest.MonkeyPatch) -> str:
    """A font whose letters look right and are mapped to characters that mean nothing."""
    table = ttfonts.makeToUnicodeCMap
    monkeypatch.setattr(ttfonts, "makeToUnicodeCMap", lambda name, codes: table(name, [0xE000 + c for c in codes]))
    pdfmetrics.registerFont(ttfonts.TTFont("Broken", "Vera.ttf"))
    return "Broken"


def test_a_broken_text_layer_is_read_from_the_page(tmp_path: Path, broken_font: str) -> None:
    broken_page = partial(write, lines=SENTENCES, font=broken_font, size=8)
    path = make_pdf(tmp_path / "a.pdf", [printed, lambda canvas: void(broken_page(canvas))])
    _, [good, broken] = parse(path)
    assert broken.warning == READ_BY_OCR
    assert squeezed(broken.text) == squeezed(good.text)


def test_sections_go_on_over_scanned_pages(tmp_path: Path) -> None:
    def outlined(canvas: Canvas) -> None:
        canvas.bookmarkHorizontal("a", 0, 510)
        canvas.addOutlineEntry("Care", "a", 0)
        scan([("2 Care", 12), *PLAIN])(canvas)

    titled = scan([("Valves", 30), *PLAIN, ("Seals", 20), *PLAIN])
    path = make_pdf(tmp_path / "a.pdf", [titled, scan(), outlined, scan()])
    _, pages = parse(path)
    assert [block.heading_path for block in pages[0].blocks] == [
        *[("Valves",)] * 2,
        *[("Valves", "Seals")] * 2,
    ]
    assert [kind for kind, _ in blocks(pages[0])] == [BlockKind.HEADING, BlockKind.PARAGRAPH] * 2
    assert {block.heading_path for block in pages[1].blocks} == {("Valves", "Seals")}
    assert blocks(pages[2])[0] == (BlockKind.HEADING, "2 Care")
    assert {block.heading_path for page in pages[2:] for block in page.blocks} == {("2 Care",)}
    resume = Resume(2, pages[1].open_sections)
    assert list(PdfParser().parse_from(Source(path, "a"), Limits(), resume))[1:] == pages[2:]


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_boxes_stand_where_the_words_are_shown(tmp_path: Path, turn: int) -> None:
    lines = [(text, 12) for text in [*SCANNED[:2], "Then close the red lever", "and wait for the sound."]]
    path = make_pdf(tmp_path / "a.pdf", [scan(lines, turn)])
    _, [page] = parse(path)
    source = PageSource(path, PDF, 1, page.source_map, page.line_boxes)

    def box_of(words: str) -> list[float]:
        start = page.text.index(words)
        [box] = boxes_for(source, [(start, start + len(words))])
        return [box.x0, box.y0, box.x1, box.y1]

    ink = paper(lines, only=2).rotate(turn, expand=True).point(lambda grey: 255 - grey).getbbox()
    assert ink is not None
    whole = box_of(lines[2][0])
    assert whole == pytest.approx([edge / PIXELS_A_POINT for edge in ink], abs=6)  # lines are 19 apart
    part = box_of("red lever")
    begins, ends = ((0, 2), (3, 1), (2, 0), (1, 3))[turn // 90]  # the edges at which the line begins and ends
    assert part[ends] == pytest.approx(whole[ends], abs=0.02)
    share = abs(part[ends] - part[begins]) / abs(whole[ends] - whole[begins])
    assert share == pytest.approx(len("red lever") / len(lines[2][0]), abs=0.01)


def test_recognition_that_fails_costs_its_page_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers: Iterator[object] = iter([BrokenFile("it failed"), [OcrLine("Read at last", (0, 0, 90, 9), 1.0)]])

    def read(_: NDArray[np.uint8]) -> list[OcrLine]:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer  # type: ignore[return-value]

    monkeypatch.setattr(pdf_ocr, "read_lines", read)
    _, pages = parse(make_pdf(tmp_path / "a.pdf", [scan(), printed, scan()]))
    assert [page.text[:12] for page in pages] == ["", SENTENCES[0][:12], "Read at last"]
    assert "it failed" in (pages[0].warning or "")
    assert pages[1].warning is None


def test_a_garbled_text_stays_where_recognition_finds_less(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken_font: str
) -> None:
    monkeypatch.setattr(pdf_ocr, "read_lines", lambda _: [OcrLine("Short", (0, 0, 90, 9), 1.0)])
    shown = [*SENTENCES, "Words that anybody can read."]

    def draw(canvas: Canvas) -> None:
        write(canvas, shown[:3], font=broken_font)
        write(canvas, shown[3:], y=300)

    _, [page] = parse(make_pdf(tmp_path / "a.pdf", [draw]))
    assert "Words that anybody can read." in page.text
    assert "damaged" in (page.warning or "")
    assert page.source_map


@pytest.mark.parametrize(("width", "height"), [(14_400, 14_400), (14_400, 3), (3, 14_400)])
def test_drawings_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, width: int, height: int) -> None:
    sizes: list[tuple[int, ...]] = []
    monkeypatch.setattr(pdf_ocr, "read_lines", lambda pixels: sizes.append(pixels.shape) or [])

    def draw(canvas: Canvas) -> None:
        canvas.setPageSize((width, height))
        canvas.drawImage(ImageReader(Image.new("L", (8, 8), "grey")), 0, 0, width, height)

    _, [page] = parse(make_pdf(tmp_path / "a.pdf", [draw]))
    assert max(sizes[0]) <= pdf_ocr.LONGEST_SIDE + 1
    assert page.text == ""


def test_pictures_count_by_what_they_cover(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Strips of a scan count together; a logo does not make a scan; many paths on an empty page may be letters."""
    read: list[int] = []
    monkeypatch.setattr(pdf_ocr, "read_lines", lambda _: read.append(len(read)) or [])
    grey = ImageReader(Image.new("L", (8, 8), "grey"))

    def strips(canvas: Canvas) -> None:
        for number in range(20):
            canvas.drawImage(grey, 0, number * HEIGHT / 20, WIDTH, HEIGHT / 20)

    def outlines(canvas: Canvas) -> None:
        for number in range(400):
            canvas.circle(20 + 8 * (number % 40), 500 - 10 * (number // 40), 3)

    def in_a_form(canvas: Canvas) -> None:
        canvas.beginForm("sheet")
        canvas.drawImage(grey, 0, 0, WIDTH, HEIGHT)
        canvas.endForm()
        canvas.doForm("sheet")

    def logo(canvas: Canvas) -> None:
        canvas.drawImage(grey, 50, 50, 60, 60)

    _, pages = parse(make_pdf(tmp_path / "a.pdf", [strips, outlines, in_a_form, logo]))
    assert [page.number for page in pages if page.warning] == [1, 2, 3]
    assert len(read) == 3


def test_the_confined_process_reads_scans_too(tmp_path: Path) -> None:
    path = make_pdf(tmp_path / "a.pdf", [printed, scan(), printed])
    here = [item for item in PdfParser().parse(Source(path, "a"), Limits()) if isinstance(item, ParsedPage)]
    with Sandbox(SandboxLimits()) as sandbox:
        assert list(sandbox.read(Source(path, "a"), Limits(), Resume()))[1:] == here
    many = make_pdf(tmp_path / "b.pdf", [printed, *[scan()] * 12, printed])
    with Sandbox(SandboxLimits(memory_mb=512)) as sandbox:
        _, *pages = sandbox.read(Source(many, "b"), Limits(), Resume())
    texts = [page.text for page in pages if isinstance(page, ParsedPage)]
    assert texts == [here[0].text, *[""] * 12, here[0].text]
    assert all("PARSER_MEMORY_MB" in str(page.warning) for page in pages[1:-1] if isinstance(page, ParsedPage))
