"""The PDF parser through its public seam, on PDFs made here."""

import io
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pypdfium2
import pypdfium2.raw as pdfium
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen.canvas import Canvas

from ingestion.errors import (
    BrokenFile,
    EmptyFile,
    EncryptedFile,
    IngestionError,
    NoText,
    PermanentError,
    TooLarge,
    TransientError,
    WrongType,
)
from ingestion.parsers import pdf
from ingestion.parsers.base import Limits, Resume, Source
from ingestion.parsers.pdf import PdfParser
from ingestion.types import BlockKind, DocumentStart, ParsedPage

WIDTH, HEIGHT = 400, 560
CHINESE = "STSong-Light"
pdfmetrics.registerFont(UnicodeCIDFont(CHINESE))

Draw = Callable[[Canvas], None]


def make_pdf(path: Path, pages: Sequence[Draw], *, encrypt: StandardEncryption | None = None, title: str = "") -> Path:
    canvas = Canvas(str(path), pagesize=(WIDTH, HEIGHT), encrypt=encrypt)
    canvas.setTitle(title)
    for draw in pages:
        draw(canvas)
        canvas.showPage()
    canvas.save()
    return path


def write(
    canvas: Canvas, lines: Sequence[str], *, y: float = 500, x: float = 50, font: str = "Helvetica", size: float = 10
) -> float:
    """Draws lines one under the other; returns the next baseline."""
    canvas.setFont(font, size)
    for line in lines:
        canvas.drawString(x, y, line)
        y -= 1.2 * size
    return y


def parse(
    path: Path, *, title: str | None = None, limits: Limits | None = None
) -> tuple[DocumentStart, list[ParsedPage]]:
    start, *pages = PdfParser().parse(Source(path, path.name, title), limits or Limits())
    assert isinstance(start, DocumentStart)
    return start, [page for page in pages if isinstance(page, ParsedPage)]


def blocks(page: ParsedPage) -> list[tuple[BlockKind, str]]:
    return [(block.kind, page.text[block.start : block.end].rstrip("\n")) for block in page.blocks]


def check_page(path: Path, page: ParsedPage) -> None:
    """What holds of every page: contiguous blocks over the whole text, and a source map that is exact."""
    assert page.text == "" or page.text.endswith("\n")
    position = 0
    for block in page.blocks:
        assert block.start == position < block.end
        position = block.end
    assert position == len(page.text)
    if not page.text:
        return
    document = pypdfium2.PdfDocument(path)
    try:
        text = document[page.number - 1].get_textpage()
        before = 0
        for start, first, length in page.source_map:
            assert length > 0
            assert start >= before
            before = start + length
            for offset in range(length):
                assert ord(page.text[start + offset]) == pdfium.FPDFText_GetUnicode(text.raw, first + offset)
        assert before <= len(page.text)
    finally:
        document.close()


SENTENCES = [
    "Switch the printer off before you open the cover, and wait for a minute",
    "until the lamp has gone out. The fuser stays hot for a long while, so be",
    "careful and keep small children away from it at all times.",
]


def test_wrapped_lines_become_a_paragraph(tmp_path: Path) -> None:
    path = make_pdf(tmp_path / "a.pdf", [lambda canvas: void(write(canvas, SENTENCES))], title="Printer guide")
    start, [page] = parse(path)
    assert start == DocumentStart("a.pdf", "Printer guide", 1)
    assert page.text == " ".join(SENTENCES) + "\n"
    assert blocks(page) == [(BlockKind.PARAGRAPH, " ".join(SENTENCES))]
    check_page(path, page)


def void(_: object) -> None:
    return None


@pytest.mark.parametrize(
    ("given_title", "metadata", "expected"),
    [
        ("Given", "Printer guide", "Given"),
        (None, "Printer guide", "Printer guide"),
        (None, "Microsoft Word - guide.doc", "All about printers"),
        (None, "untitled", "All about printers"),
    ],
)
def test_title(tmp_path: Path, given_title: str | None, metadata: str, expected: str) -> None:
    def draw(canvas: Canvas) -> None:
        y = write(canvas, ["All about printers"], size=24)
        write(canvas, SENTENCES, y=y - 20)

    path = make_pdf(tmp_path / "guide.pdf", [draw], title=metadata)
    assert parse(path, title=given_title)[0].title == expected


def test_outline_gives_nested_heading_paths_across_pages(tmp_path: Path) -> None:
    def first(canvas: Canvas) -> None:
        for key, level, title, y in [("a", 0, "Maintenance", 500), ("b", 1, "Cleaning the rollers", 400)]:
            canvas.bookmarkHorizontal(key, 0, y + 12)
            canvas.addOutlineEntry(title, key, level)
        write(canvas, ["4 Maintenance"], y=500, size=16)
        write(canvas, SENTENCES, y=460)
        write(canvas, ["4.1  Cleaning the rollers"], y=400, font="Helvetica-Bold", size=10)
        write(canvas, SENTENCES, y=380)

    def second(canvas: Canvas) -> None:
        write(canvas, SENTENCES, y=500)
        canvas.bookmarkHorizontal("c", 0, 412)
        canvas.addOutlineEntry("Not printed", "c", 0)
        write(canvas, SENTENCES, y=400)

    path = make_pdf(tmp_path / "a.pdf", [first, second])
    _, pages = parse(path)
    outer, inner = "4 Maintenance", "4.1 Cleaning the rollers"
    assert [(block.kind, block.heading_path) for block in pages[0].blocks] == [
        (BlockKind.HEADING, (outer,)),
        (BlockKind.PARAGRAPH, (outer,)),
        (BlockKind.HEADING, (outer, inner)),
        (BlockKind.PARAGRAPH, (outer, inner)),
    ]
    assert [block.heading_path for block in pages[1].blocks] == [(outer, inner), ("Not printed",)]


def test_headings_without_outline_come_from_size_and_number(tmp_path: Path) -> None:
    def draw(canvas: Canvas) -> None:
        y = write(canvas, ["2 Printing"], size=18)
        y = write(canvas, SENTENCES, y=y - 10)
        y = write(canvas, ["2.1 From a phone"], y=y - 10, size=13)
        y = write(canvas, SENTENCES, y=y - 10)
        y = write(canvas, ["2.2 From a memory card"], y=y - 10, size=13)
        write(canvas, SENTENCES, y=y - 10)

    path = make_pdf(tmp_path / "a.pdf", [draw, draw])
    _, pages = parse(path)
    for page in pages:
        assert [block.heading_path for block in page.blocks if block.kind is BlockKind.PARAGRAPH] == [
            ("2 Printing",),
            ("2 Printing", "2.1 From a phone"),
            ("2 Printing", "2.2 From a memory card"),
        ]


def test_running_lines_go_and_what_looks_like_them_stays(tmp_path: Path) -> None:
    def chapter(number: int) -> Draw:
        def draw(canvas: Canvas) -> None:
            name = "Paper" if number < 12 else "Ink"
            write(canvas, [f"Printer guide  {name}"], y=540, size=8)
            write(canvas, [str(number)], y=20, x=200, size=8)
            write(canvas, [f"Heading of its own number {number}"], y=500, size=14)
            write(canvas, [*SENTENCES, str(number)], y=470)

        return draw

    path = make_pdf(tmp_path / "a.pdf", [chapter(number) for number in range(1, 25)])
    for page in parse(path)[1]:
        kinds = blocks(page)
        assert kinds[0] == (BlockKind.HEADING, f"Heading of its own number {page.number}")
        assert kinds[1:] == [(BlockKind.PARAGRAPH, " ".join(SENTENCES)), (BlockKind.PARAGRAPH, str(page.number))]
        assert "Printer guide" not in page.text


def test_slides_keep_their_titles(tmp_path: Path) -> None:
    titles = ["Why we print", "Choosing ink", "Colour and light", "Paper weights", "Care", "Questions asked often"]

    def slide(title: str) -> Draw:
        def draw(canvas: Canvas) -> None:
            write(canvas, [title], y=520, size=20)
            write(canvas, SENTENCES, y=400)

        return draw

    path = make_pdf(tmp_path / "a.pdf", [slide(title) for title in titles])
    assert [page.blocks[0].heading_path for page in parse(path)[1]] == [(title,) for title in titles]


def test_hyphens_at_line_ends(tmp_path: Path) -> None:
    lines = [
        "The transparency adapter and the multi-purpose tray are sold apart. Use MS-DOS or the trans-",
        "parency adapter; the multi-",
        "purpose tray is only for MS-",
        "DOS users, and part TX-",
        "400 is for the docu-",
        "ment feeder.",
    ]
    path = make_pdf(tmp_path / "a.pdf", [lambda canvas: void(write(canvas, lines, size=7))])
    _, [page] = parse(path)
    assert page.text == (
        "The transparency adapter and the multi-purpose tray are sold apart. Use MS-DOS or the transparency "
        "adapter; the multi-purpose tray is only for MS-DOS users, and part TX-400 is for the document feeder.\n"
    )
    check_page(path, page)


def test_chinese_lines_join_without_spaces(tmp_path: Path) -> None:
    lines = [
        "打开打印机的前盖之前，请先关闭电源并等待一分钟，直到指示灯",
        "完全熄灭。定影器在很长一段时间内仍然很热，请务必小心操作。",
    ]

    def draw(canvas: Canvas) -> None:
        y = write(canvas, ["第 一 章 清 洁"], font=CHINESE, size=18)
        y = write(canvas, lines, y=y - 20, font=CHINESE)
        write(canvas, ["第一步 打开前盖", "第二步 取出墨盒"], y=y - 20, font=CHINESE)

    path = make_pdf(tmp_path / "a.pdf", [draw])
    _, [page] = parse(path)
    assert blocks(page) == [
        (BlockKind.HEADING, "第一章清洁"),
        (BlockKind.PARAGRAPH, "".join(lines)),
        (BlockKind.STEP, "第一步 打开前盖"),
        (BlockKind.STEP, "第二步 取出墨盒"),
    ]
    assert {block.heading_path for block in page.blocks} == {("第一章清洁",)}
    check_page(path, page)


def test_steps_bullets_code_and_rows(tmp_path: Path) -> None:
    def draw(canvas: Canvas) -> None:
        y = write(canvas, ["1. Open the front cover of the printer and look at the green lever that holds"])
        y = write(canvas, ["the cartridge in its place."], x=62, y=y)
        y = write(canvas, ["2. Pull the lever.", "10. Close the cover."], y=y)
        y = write(canvas, ["\u2022 Do not shake it.", "- Nor drop it."], y=y - 8)
        y = write(canvas, ["for page in pages:", "    print(page)"], y=y - 8, font="Courier")
        for row in [
            ("Code", "Meaning", "Remedy"),
            ("E-42", "Paper jam", "Open the cover"),
            ("E-43", "No ink", "Refill"),
        ]:
            for column, cell in enumerate(row):
                write(canvas, [cell], y=y - 12, x=50 + 110 * column)
            y -= 14

    path = make_pdf(tmp_path / "a.pdf", [draw])
    _, [page] = parse(path)
    assert blocks(page) == [
        (
            BlockKind.STEP,
            "1. Open the front cover of the printer and look at the green lever that holds the cartridge in its place.",
        ),
        (BlockKind.STEP, "2. Pull the lever."),
        (BlockKind.STEP, "10. Close the cover."),
        (BlockKind.LIST_ITEM, "\u2022 Do not shake it."),
        (BlockKind.LIST_ITEM, "- Nor drop it."),
        (BlockKind.CODE, "for page in pages:\n    print(page)"),
        (BlockKind.TABLE_ROW, "Code | Meaning | Remedy"),
        (BlockKind.TABLE_ROW, "E-42 | Paper jam | Open the cover"),
        (BlockKind.TABLE_ROW, "E-43 | No ink | Refill"),
    ]
    check_page(path, page)


def test_contents_lines_are_no_headings(tmp_path: Path) -> None:
    entries = [f"{number} Chapter on matter {number} . . . . . . . . . . . . {number * 7}" for number in range(1, 8)]

    def contents(canvas: Canvas) -> None:
        y = write(canvas, ["Contents"], size=18)
        write(canvas, entries, y=y - 10, size=12)

    path = make_pdf(tmp_path / "a.pdf", [contents, *[lambda canvas: void(write(canvas, SENTENCES * 4))] * 2])
    _, [page, *_] = parse(path)
    assert blocks(page) == [(BlockKind.HEADING, "Contents"), *[(BlockKind.CONTENTS, entry) for entry in entries]]
    assert {block.heading_path for block in page.blocks} == {("Contents",)}


def test_columns_are_read_one_after_the_other(tmp_path: Path) -> None:
    left = ["Left column begins here and its", "text goes on for some lines until", "the column ends with the word"]
    right = ["paper at its very top. The right", "column ends here for good.", "Not before."]

    def draw(canvas: Canvas) -> None:
        write(canvas, left, x=30)
        write(canvas, right, x=220)

    path = make_pdf(tmp_path / "a.pdf", [draw])
    _, [page] = parse(path)
    assert page.text.replace("\n", " ").split() == " ".join(left + right).split()
    assert "the word paper at its very top" in page.text


def picture(canvas: Canvas) -> None:
    file = io.BytesIO()
    Image.new("RGB", (20, 20), "red").save(file, "PNG")
    file.seek(0)
    canvas.drawImage(ImageReader(file), 50, 50)


def test_pages_without_text(tmp_path: Path) -> None:
    path = make_pdf(tmp_path / "a.pdf", [picture, lambda canvas: void(write(canvas, SENTENCES)), lambda canvas: None])
    _, pages = parse(path)
    assert [page.number for page in pages] == [1, 2, 3]
    assert pages[0].text == pages[2].text == ""
    assert "scan" in (pages[0].warning or "")
    assert pages[1].warning is pages[2].warning is None  # a blank page is nothing to worry about


def refusal(path: Path, limits: Limits | None = None) -> IngestionError:
    with pytest.raises(IngestionError) as caught:
        list(PdfParser().parse(Source(path, "x"), limits or Limits()))
    assert len(str(caught.value)) > 30
    return caught.value


def test_refusals_say_what_to_do(tmp_path: Path) -> None:
    good = make_pdf(tmp_path / "good.pdf", [lambda canvas: void(write(canvas, SENTENCES))] * 3)
    (tmp_path / "empty.pdf").touch()
    (tmp_path / "text.pdf").write_text("Not a PDF at all, whatever its name says.")
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.7\n" + b"\x00garbage" * 50)
    locked = make_pdf(
        tmp_path / "locked.pdf", [lambda canvas: void(write(canvas, SENTENCES))], encrypt=StandardEncryption("secret")
    )
    scanned = make_pdf(tmp_path / "scanned.pdf", [picture, picture])
    assert isinstance(refusal(tmp_path / "empty.pdf"), EmptyFile)
    assert isinstance(refusal(tmp_path / "text.pdf"), WrongType)
    assert isinstance(refusal(tmp_path / "broken.pdf"), BrokenFile)
    assert isinstance(refusal(locked), EncryptedFile)
    assert isinstance(refusal(scanned), NoText)
    assert "OCR" in str(refusal(scanned))
    assert isinstance(refusal(good, Limits(file_bytes=100)), TooLarge)
    assert isinstance(refusal(good, Limits(pages=2)), TooLarge)
    assert isinstance(refusal(tmp_path / "gone.pdf"), TransientError)


def test_a_page_with_too_much_costs_only_itself(tmp_path: Path) -> None:
    texts = [["Open the lid."], SENTENCES, ["Press red."]]
    path = make_pdf(tmp_path / "a.pdf", [partial(write, lines=lines, y=300) for lines in texts])  # type: ignore[list-item]
    _, pages = parse(path, limits=Limits(page_characters=20))
    assert [page.text for page in pages] == ["Open the lid.\n", "", "Press red.\n"]
    assert "more than the 20 allowed" in (pages[1].warning or "")


@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_reading_on_gives_what_reading_through_gives(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """From any page on, and with any pages left out, what is read is what would have been read."""

    def chapter(number: int) -> Callable[[Canvas], None]:
        def draw(canvas: Canvas) -> None:
            if number % 3 == 0:
                canvas.bookmarkPage(f"c{number}")
                canvas.addOutlineEntry(f"Chapter {number}", f"c{number}", number % 2)
                write(canvas, [f"Chapter {number}"], size=18)
            write(canvas, SENTENCES, y=400)

        return draw

    path = make_pdf(tmp_path_factory.mktemp("on") / "a.pdf", [chapter(number) for number in range(12)])
    source = Source(path, "x")
    whole = [item for item in PdfParser().parse(source, Limits()) if isinstance(item, ParsedPage)]
    pages = data.draw(st.integers(0, 12))
    left_out = data.draw(st.sets(st.integers(pages + 1, 13)))
    sections = whole[pages - 1].open_sections if pages else ()
    resume = Resume(pages, sections, dict.fromkeys(left_out, "left out"))
    start, *rest = PdfParser().parse_from(source, Limits(), resume)
    assert isinstance(start, DocumentStart)
    assert [page.number for page in rest] == list(range(pages + 1, 13))  # type: ignore[union-attr]
    for page in rest:
        assert isinstance(page, ParsedPage)
        if page.number in left_out:
            assert (page.text, page.warning) == ("", "left out")
        elif not left_out:
            assert page == whole[page.number - 1]
            assert page.open_sections == whole[page.number - 1].open_sections


def test_an_owner_password_alone_is_no_obstacle(tmp_path: Path) -> None:
    encryption = StandardEncryption("", ownerPassword="owner", canCopy=0)
    path = make_pdf(tmp_path / "a.pdf", [lambda canvas: void(write(canvas, SENTENCES))], encrypt=encryption)
    assert parse(path)[1][0].text == " ".join(SENTENCES) + "\n"


@settings(max_examples=25, deadline=None)
@given(cut=st.integers(10, 3000), flip=st.binary(min_size=1, max_size=8))
def test_damage_ends_in_pages_or_in_a_refusal(tmp_path_factory: pytest.TempPathFactory, cut: int, flip: bytes) -> None:
    folder = tmp_path_factory.mktemp("damage")
    path = make_pdf(folder / "a.pdf", [lambda canvas: void(write(canvas, SENTENCES))] * 2)
    content = path.read_bytes()
    path.write_bytes(content[:cut])
    survives(path)
    path.write_bytes(content[:cut] + flip + content[cut + len(flip) :])
    survives(path)


def survives(path: Path) -> None:
    try:
        _, pages = parse(path)
    except PermanentError:
        return
    for page in pages:
        check_page(path, page)


LETTERS = st.text(
    st.sampled_from("abcdefghij ABC 0123 .,;:-/()  \u00e9\u00fc\u00df\u2022\u2013中文测试打印机。，（）"),
    min_size=1,
    max_size=60,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lines=st.lists(
        st.tuples(LETTERS, st.sampled_from([8, 10, 14]), st.sampled_from([50, 62, 200]), st.integers(0, 3)),
        min_size=1,
        max_size=25,
    ),
    rotation=st.sampled_from([0, 90, 180, 270]),
)
def test_any_page_is_mapped_exactly(tmp_path: Path, lines: list[tuple[str, int, int, int]], rotation: int) -> None:
    def draw(canvas: Canvas) -> None:
        canvas.setPageRotation(rotation)
        y = 540.0
        for text, size, x, gap in lines:
            write(canvas, [text], x=x, y=y, size=size, font=CHINESE)
            y -= 6.0 * gap

    path = make_pdf(tmp_path / "any.pdf", [draw])
    try:
        _, [page] = parse(path)
    except NoText:
        return
    check_page(path, page)


def test_parsing_is_lazy_and_closing_early_is_clean(tmp_path: Path) -> None:
    path = make_pdf(tmp_path / "a.pdf", [lambda canvas: void(write(canvas, SENTENCES))] * 5)
    reading = PdfParser().parse(Source(path, "a"), Limits())
    assert isinstance(next(reading), DocumentStart)
    assert isinstance(next(reading), ParsedPage)
    reading.close()  # type: ignore[attr-defined]
    assert len(parse(path)[1]) == 5


def test_reopening_the_file_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def draw(canvas: Canvas) -> None:
        if canvas.getPageNumber() == 1:
            canvas.bookmarkHorizontal("a", 0, 530)
            canvas.addOutlineEntry("Care", "a", 0)
        write(canvas, SENTENCES)

    path = make_pdf(tmp_path / "a.pdf", [draw] * 5)
    once = parse(path)
    monkeypatch.setattr(pdf, "REOPENED_AFTER", 2)
    assert parse(path) == once
    assert {block.heading_path for page in once[1] for block in page.blocks} == {("Care",)}
