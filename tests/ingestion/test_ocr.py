"""Text recognition: what is read from pictures, in which order, and when a page wants it. The real engine runs."""

import socket
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pptx
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont
from pptx.util import Inches

from ingestion.detect import parser_for
from ingestion.errors import NoText
from ingestion.parsers.base import Limits, Source
from ingestion.parsers.ocr import READ_BY_OCR, read_lines
from ingestion.parsers.ocr_layout import ocr_page
from ingestion.parsers.ocr_rows import OcrLine, rows_of
from ingestion.parsers.readability import is_garbled, needs_ocr
from ingestion.types import DocumentStart, ParsedPage

TEXTS = ["Press and hold the power button", "for ten seconds until it blinks.", "打开阀门，等待十秒。", "错误代码 E-42"]


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("text recognition reached for a network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def drawn(texts: list[str], size: int = 26) -> Image.Image:
    picture = Image.new("RGB", (620, 60 + 70 * len(texts)), "white")
    pen = ImageDraw.Draw(picture)
    with files("justmytype_intl_cjk").joinpath("fonts/ofl/notosanssc/NotoSansSC[wght].ttf").open("rb") as file:
        font = ImageFont.truetype(file, size)
    for row, text in enumerate(texts):
        pen.text((40, 30 + 70 * row), text, "black", font)
    return picture


def squeezed(text: str) -> str:
    return "".join(text.split()).replace("，", ",").replace("。", ".")


@pytest.mark.parametrize(("suffix", "turn"), [("png", 0), ("jpg", 0), ("tiff", 180), ("webp", 90), ("bmp", 270)])
def test_a_picture_is_one_page_marked_as_read_by_ocr(tmp_path: Path, suffix: str, turn: int) -> None:
    path = tmp_path / f"scan.{suffix}"
    drawn(TEXTS).rotate(turn, expand=True).save(path)
    start, page = parser_for(path, Limits()).parse(Source(path, path.name), Limits())
    assert isinstance(start, DocumentStart)
    assert isinstance(page, ParsedPage)
    assert (start.title, start.page_count, page.number, page.warning) == ("scan", 1, 1, READ_BY_OCR)
    assert squeezed(page.text) == squeezed("".join(TEXTS))


def test_pages_of_a_tiff_transparent_grey_and_empty_ones(tmp_path: Path) -> None:
    path = tmp_path / "scan.tif"
    clear = Image.new("RGBA", (620, 200), (0, 0, 0, 0))
    clear.paste(drawn(["Clear"]).crop((0, 0, 620, 130)), (0, 0))
    deep = Image.fromarray(np.asarray(drawn(["Deep"]).convert("L"), dtype=np.uint16) * 12)
    pages = [drawn(["First"]), Image.new("RGB", (300, 300), "white"), clear, deep]
    pages[0].save(path, save_all=True, append_images=pages[1:])
    _, *found = parser_for(path, Limits()).parse(Source(path, path.name), Limits())
    assert [page.text.strip() for page in found if isinstance(page, ParsedPage)] == ["First", "", "Clear", "Deep"]


def test_a_picture_without_writing_says_so(tmp_path: Path) -> None:
    path = tmp_path / "sky.png"
    Image.new("RGB", (200, 100), "skyblue").save(path)
    with pytest.raises(NoText, match="no writing"):
        list(parser_for(path, Limits()).parse(Source(path, path.name), Limits()))


def test_boxes_stand_around_the_lines() -> None:
    lines = sorted(read_lines(np.asarray(drawn(TEXTS[:2]))), key=lambda line: line.box[1])
    assert [line.text for line in lines] == TEXTS[:2]
    for row, line in enumerate(lines):
        x0, y0, x1, y1 = line.box
        assert 25 < x0 < 45 < 300 < x1 < 620
        assert 20 + 70 * row < y0 < y1 < 90 + 70 * row


def line(text: str, x0: float, y0: float, width: float, height: float = 20) -> OcrLine:
    return OcrLine(text, (x0, y0, x0 + width, y0 + height), 1.0)


def two_columns() -> Iterator[OcrLine]:
    yield line("title", 300, 0, 400, 40)
    for row in range(6):
        yield line(f"left {row}", 0, 100 + 30 * row, 450)
        yield line(f"right {row}", 550, 103 + 30 * row, 450)
    yield line("footer", 100, 400, 800)


@given(st.randoms())
def test_columns_of_prose_are_read_one_after_another(random: object) -> None:
    lines = list(two_columns())
    random.shuffle(lines)  # type: ignore[attr-defined]
    expected = ["title", *(f"left {n}" for n in range(6)), *(f"right {n}" for n in range(6)), "footer"]
    assert [row.text for row in rows_of(lines)] == expected


def test_rows_of_tables_stay_rows_and_paragraphs_are_put_together() -> None:
    lines = [
        line("Error codes", 0, 0, 300, 44),
        line("Each code has one mean-", 0, 80, 480),
        line("ing only.", 0, 104, 100),
        *(line(f"E-{row}", 0, 200 + 30 * row, 60) for row in range(5)),
        *(line(f"door {row}", 300, 202 + 30 * row, 90) for row in range(5)),
        line("1. Open it", 0, 400, 200),
        line("打开阀", 0, 460, 200),
        line("门。", 0, 484, 60),
    ]
    page = ocr_page(lines, 3, "scan", Limits(), warning=None, points=0.5)
    assert page.number == 3
    assert [page.text[start : start + length] for start, length, *_ in page.line_boxes[:3]] == [
        "Error codes",
        "Each code has one mean",
        "ing only.",
    ]
    assert page.line_boxes[1][2:] == (0, 4000, 24000, 5000)
    assert [(block.kind.value, page.text[block.start : block.end]) for block in page.blocks] == [
        ("heading", "Error codes"),
        ("paragraph", "Each code has one meaning only."),
        *(("table_row", f"E-{row} | door {row}") for row in range(5)),
        ("step", "1. Open it"),
        ("paragraph", "打开阀门。"),
    ]


box = st.tuples(st.floats(0, 1000), st.floats(0, 1000), st.floats(1, 800), st.floats(1, 60))


@given(st.lists(box, max_size=40))
def test_any_boxes_are_ordered_without_loss(boxes: list[tuple[float, float, float, float]]) -> None:
    lines = [line(f"word{number}", *place) for number, place in enumerate(boxes)]
    assert sorted(each.text for row in rows_of(lines) for each in row.pieces) == sorted(each.text for each in lines)
    page = ocr_page(lines, 1, "scan", Limits(), warning=None)
    found = {page.text[start : start + length]: tuple(edges) for start, length, *edges in page.line_boxes}
    assert found == {each.text: tuple(round(100 * edge) for edge in each.box) for each in lines}


ENGLISH = "Press and hold the power button for ten seconds until the indicator blinks twice, then let it go again. "
CHINESE = "目前安装最容易的方法是使用一组官方的安装映像，可以从一个销售商处购买光盘，如果有高速网络也可以自己刻录。"


@pytest.mark.parametrize(
    "text",
    [
        ENGLISH,
        CHINESE,
        "臺灣繁體中文的使用手冊，請先關閉電源，再將濾網取出並以清水沖洗，待其完全乾燥後裝回機器內部。",
        "E-42 | 0x1F3A | 230 V | 50 Hz | LT-300 | QN65Q60RAFXZA | 1,234.50 EUR | 2026-03-05 | 12.5 %",
        "for (i = 0; i < n; i++) { ptr[i] = src[i] << 4; } /* http://example.org/x?y=z */ #define XYZ_QWRT 1",
        "Le réglage de l'appareil s'effectue à l'aide du bouton situé à côté de l'écran, après l'étape précédente.",
    ],
)
def test_ordinary_text_is_not_garbled(text: str) -> None:
    assert not is_garbled(text * 3)
    assert not needs_ocr(text * 3, 0.0)


@given(st.integers(0, 2**32), st.sampled_from([ENGLISH, CHINESE]))
def test_text_whose_characters_stand_for_none_is_garbled(seed: int, text: str) -> None:
    random = np.random.default_rng(seed)
    for first in (0xE000, 0xFFFD, 0x01):
        spoilt = [chr(first) if random.random() < 0.3 and not each.isspace() else each for each in text * 3]
        assert is_garbled("".join(spoilt))


@given(st.integers(0, 2**32))
def test_chinese_made_of_characters_that_nobody_uses_is_garbled(seed: int) -> None:
    random = np.random.default_rng(seed)
    assert is_garbled("".join(chr(code) for code in random.integers(0x4E00, 0x9FFF, 200)))


@given(st.integers(1, 25))
def test_latin_letters_of_a_renamed_font_are_garbled(shift: int) -> None:
    moved = "".join(chr((ord(c) - 97 + shift) % 26 + 97) if c.islower() else c for c in ENGLISH * 3)
    letters = [letter for word in set(moved.split()) if len(word) > 3 for letter in word if letter.isalpha()]
    assume(sum(letter in "aeiouyAEIOUY" for letter in letters) < 0.2 * len(letters))
    assert is_garbled(moved)


def test_chinese_that_was_read_as_latin_is_garbled() -> None:
    assert is_garbled(CHINESE.encode("gb18030").decode("latin-1"))


@given(st.text(max_size=400), st.floats(0, 1))
def test_pages_are_judged_whatever_their_text(text: str, share: float) -> None:
    assert is_garbled(text) <= needs_ocr(text, share) <= True
    assert needs_ocr("", share) == (share >= 0.4)
    assert needs_ocr("Page 7", share) == (share >= 0.4)
    assert not needs_ocr(ENGLISH, share)


def test_pictures_on_slides_are_read_where_they_stand(tmp_path: Path) -> None:
    """Once each: what stands on slide after slide is decoration. A damaged one costs a warning."""
    drawn(TEXTS).save(tmp_path / "screen.png")
    drawn(["Logo"], size=12).resize((120, 60)).save(tmp_path / "logo.png")
    Image.effect_noise((400, 300), 90).save(tmp_path / "photo.png")
    deck = pptx.Presentation()
    for texts, pictures in ((("Above", "Below"), ["screen", "logo"]), (("Only",), ["screen"]), ((), ["photo"])):
        slide = deck.slides.add_slide(deck.slide_layouts[6])
        for number, text in enumerate(texts):
            slide.shapes.add_textbox(Inches(1), Inches(6 * number), Inches(5), Inches(1)).text_frame.text = text
        for name in pictures:
            slide.shapes.add_picture(str(tmp_path / f"{name}.png"), Inches(1), Inches(2))
    deck.save(str(tmp_path / "whole.pptx"))
    with ZipFile(tmp_path / "whole.pptx") as whole, ZipFile(tmp_path / "a.pptx", "w") as made:
        photo = (tmp_path / "photo.png").read_bytes()
        for info in whole.infolist():
            content = whole.read(info)
            made.writestr(info.filename, content[:200] if content == photo else content)
    _, *pages = parser_for(tmp_path / "a.pptx", Limits()).parse(Source(tmp_path / "a.pptx", "a"), Limits())
    first, second, third = (page for page in pages if isinstance(page, ParsedPage))
    assert squeezed(first.text) == squeezed("".join(["Above", *TEXTS, "Below"]))
    assert (first.warning, second.text, second.warning) == (READ_BY_OCR, "Only\n", None)
    assert (third.text, (third.warning or "")[:34]) == ("", "A picture on it could not be read:")
