"""Highlights sit on the words they name, on pages cropped and turned too."""

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image
from reportlab.pdfbase.pdfmetrics import stringWidth
from reportlab.pdfgen.canvas import Canvas

from ingestion.errors import TransientError
from ingestion.parsers.base import Limits, Source
from ingestion.parsers.pdf import PdfParser
from ingestion.shown import page_image, page_marks
from ingestion.shown.page_image import NoSuchPage, boxes_for, render_page
from ingestion.shown.page_request import PDF, Box, PageSource
from ingestion.shown.text_image import render_text_page
from ingestion.types import ParsedPage

WIDTH, HEIGHT = 400, 300
WORDS = "Pull the GREEN lever until it clicks"
SECOND = "and close the cover."
X, Y, SIZE = 60, 200, 12


def manual(path: Path, *, rotation: int = 0, crop: tuple[int, int, int, int] | None = None) -> Path:
    canvas = Canvas(str(path), pagesize=(WIDTH, HEIGHT))
    canvas.setPageRotation(rotation)
    if crop:
        canvas.setCropBox(crop)
    canvas.setFont("Helvetica", SIZE)
    canvas.drawString(X, Y, WORDS)
    canvas.drawString(X, Y - 15, SECOND)
    canvas.showPage()
    canvas.save()
    return path


def parsed(path: Path) -> ParsedPage:
    _, page = PdfParser().parse(Source(path, "manual"), Limits())
    assert isinstance(page, ParsedPage)
    return page


def source(path: Path, page: ParsedPage | None = None) -> PageSource:
    return PageSource(path, PDF, 1, () if page is None else page.source_map)


def span_of(page: ParsedPage, words: str) -> tuple[int, int]:
    start = page.text.index(words)
    return start, start + len(words)


def ink_box(picture: Image.Image) -> tuple[int, int, int, int]:
    """The box around all that is dark."""
    box = picture.convert("L").point(lambda value: 255 if value < 90 else 0).getbbox()
    assert box is not None
    return box


@pytest.mark.parametrize("crop", [None, (40, 150, 380, 290)])
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_a_box_holds_its_word_and_little_else(
    tmp_path: Path, rotation: int, crop: tuple[int, int, int, int] | None
) -> None:
    path = manual(tmp_path / "a.pdf", rotation=rotation, crop=crop)
    page = parsed(path)
    whole = boxes_for(source(path, page), [(0, len(page.text))])
    plain = Image.open(io.BytesIO(render_page(source(path), [], scale=2)))
    ink = ink_box(plain)
    edges = [min(b.x0 for b in whole), min(b.y0 for b in whole), max(b.x1 for b in whole), max(b.y1 for b in whole)]
    for drawn, edge in zip(ink, edges, strict=True):
        assert abs(drawn / 2 - edge) < 5
    if rotation == 0:
        [box] = boxes_for(source(path, page), [span_of(page, "GREEN")])
        left, top = (crop[0], crop[3]) if crop else (0, HEIGHT)
        assert box.page == 1
        assert abs(box.x0 - (X - left + stringWidth("Pull the ", "Helvetica", SIZE))) < 0.1
        assert box.y0 < top - Y < box.y1
        assert box.x1 - box.x0 < 50


def test_marks_are_strong_on_the_sentence_and_light_on_the_passage(tmp_path: Path) -> None:
    path = manual(tmp_path / "a.pdf")
    page = parsed(path)
    strong, passage = span_of(page, "GREEN"), (0, len(page.text))
    png = render_page(source(path, page), [strong], scale=3, passage_spans=[passage])
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    assert picture.size == (3 * WIDTH, 3 * HEIGHT)
    [green] = boxes_for(source(path, page), [strong])
    [_, below] = boxes_for(source(path, page), [passage])
    colours = {"strong": picture.getpixel((round(3 * green.x0 - 1), round(3 * green.y0 + 1)))}
    colours["light"] = picture.getpixel((round(3 * below.x0 - 2), round(3 * below.y1 - 2)))
    assert colours == {"strong": page_marks.STRONG, "light": page_marks.LIGHT}
    assert ink_box(picture) == ink_box(Image.open(io.BytesIO(render_page(source(path), [], scale=3))))


def test_a_span_over_two_lines_is_one_box_a_line(tmp_path: Path) -> None:
    path = manual(tmp_path / "a.pdf")
    page = parsed(path)
    boxes = boxes_for(source(path, page), [span_of(page, "it clicks and close")])
    assert [type(box) for box in boxes] == [Box, Box]
    assert boxes[0].x0 > boxes[1].x0 == X
    assert boxes[0].y1 <= boxes[1].y0 + 3


def test_spans_from_another_version_mark_nothing(tmp_path: Path) -> None:
    path = manual(tmp_path / "a.pdf")
    assert boxes_for(PageSource(path, PDF, 1, ((0, 5000, 10),)), [(0, 10)]) == []
    assert render_page(source(path, parsed(path)), [(9000, 9100)])


def test_missing_pages_and_files(tmp_path: Path) -> None:
    path = manual(tmp_path / "a.pdf")
    for number in (0, 2):
        with pytest.raises(NoSuchPage):
            render_page(PageSource(path, PDF, number), [])
    with pytest.raises(TransientError):
        boxes_for(source(tmp_path / "gone.pdf"), [])


def test_huge_pages_are_drawn_smaller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_image, "MOST_PIXELS", 30_000)
    picture = Image.open(io.BytesIO(render_page(source(manual(tmp_path / "a.pdf")), [], scale=8)))
    assert 0.9 * 30_000 < picture.width * picture.height < 1.1 * 30_000


@pytest.mark.parametrize(("orientation", "shown"), [(1, (300, 120)), (6, (120, 300))])
def test_pictures_are_drawn_as_they_are_looked_at(tmp_path: Path, orientation: int, shown: tuple[int, int]) -> None:
    """On the side by their EXIF data too; never larger than they are, and the pages of a TIFF by number."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "scan.tiff"
    pages = [Image.new("RGB", (300, 120), colour) for colour in ("white", "silver")]
    pages[0].save(path, save_all=True, append_images=pages[1:], exif=exif)
    lines = ((0, 4, 1000, 480, 5000, 960), (5, 4, 1000, 1440, 5000, 1920))  # 21 to 104 pixels across
    page = PageSource(path, "image/tiff", 1, (), lines)
    picture = Image.open(io.BytesIO(render_page(page, [(0, 4)], scale=4, passage_spans=[(0, 9)]))).convert("RGB")
    assert picture.size == shown
    assert picture.getpixel((60, 15)) == page_marks.STRONG
    assert picture.getpixel((60, 35)) == page_marks.LIGHT
    assert boxes_for(page, [(7, 9)]) == [Box(1, 30.0, 14.4, 50.0, 19.2)]
    small = Image.open(io.BytesIO(render_page(page, [], scale=0.5)))
    assert small.size == (round(0.24 * shown[0]), round(0.24 * shown[1]))
    assert Image.open(io.BytesIO(render_page(PageSource(path, "image/tiff", 2), []))).getpixel((5, 5)) == (192,) * 3
    with pytest.raises(NoSuchPage):
        render_page(PageSource(path, "image/tiff", 3), [])


def test_threads_may_draw_and_parse_at_once(tmp_path: Path) -> None:
    path = manual(tmp_path / "a.pdf")
    page = parsed(path)
    expected = render_page(source(path, page), [(0, 10)])
    with ThreadPoolExecutor(8) as pool:
        drawn = [pool.submit(render_page, source(path, page), [(0, 10)]) for _ in range(40)]
        read = [pool.submit(parsed, path) for _ in range(40)]
        assert {future.result() for future in drawn} == {expected}
        assert {future.result() for future in read} == {page}


def test_a_document_without_pages_is_drawn_around_the_citation() -> None:
    text = "\n".join(f"Line {number} of a long help page about printers and their paper." for number in range(500))
    start = text.index("Line 250")
    marked = Image.open(io.BytesIO(render_text_page("Help", text, [(start, start + 60)]))).convert("RGB")
    plain = Image.open(io.BytesIO(render_text_page("Help", text, []))).convert("RGB")
    assert marked.height < 3000
    assert page_marks.STRONG in dict.fromkeys(marked.get_flattened_data())
    assert page_marks.STRONG not in dict.fromkeys(plain.get_flattened_data())


@pytest.mark.parametrize("text", ["", "x" * 5000, "\n\n\n", " " * 3000, "word " * 2000])
def test_any_text_can_be_drawn(text: str) -> None:
    picture = Image.open(io.BytesIO(render_text_page("T" * 300, text, [(len(text) // 2, len(text))])))
    assert picture.height < 6000


def test_chinese_is_drawn_whatever_fonts_the_machine_has() -> None:
    pictures = [render_text_page("帮助", text, []) for text in ("打开前盖", "关闭后门")]
    assert pictures[0] != pictures[1], "boxes for missing glyphs would look the same"
