"""The PDF parser through its public seam, on PDFs made here: what pages say, in which order, under which headings."""

from pathlib import Path

import pytest
from reportlab.pdfgen.canvas import Canvas

from ingestion.types import BlockKind, DocumentStart
from tests.ingestion.pdf_making import CHINESE, SENTENCES, Draw, blocks, check_page, make_pdf, parse, void, write


def test_wrapped_lines_become_a_paragraph(tmp_path: Path) -> None:
    path = make_pdf(tmp_path / "a.pdf", [lambda canvas: void(write(canvas, SENTENCES))], title="Printer guide")
    start, [page] = parse(path)
    assert start == DocumentStart("a.pdf", "Printer guide", 1)
    assert page.text == " ".join(SENTENCES) + "\n"
    assert blocks(page) == [(BlockKind.PARAGRAPH, " ".join(SENTENCES))]
    check_page(path, page)


def test_a_number_keeps_to_its_unit_at_the_end_of_a_line(tmp_path: Path) -> None:
    """There was room for "15", but not for "15 minutes"; a line that ends far from the margin ended on purpose."""
    flowing = [
        "Descaler is an acid. Wear gloves and glasses, and rinse splashes",
        "in your eyes with plenty of fresh clean water for at least",
        "15 minutes. Then see a doctor.",
    ]
    broken = ["What you need", "2 sponges and a bucket"]

    def draw(canvas: Canvas) -> None:
        y = write(canvas, flowing)
        write(canvas, broken, y=y - 40)

    _, [page] = parse(make_pdf(tmp_path / "a.pdf", [draw]))
    assert [text for _, text in blocks(page)] == [" ".join(flowing), "\n".join(broken)]


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


def test_short_pages_keep_their_only_lines(tmp_path: Path) -> None:
    """However alike: a line runs over pages when there is something that it runs above."""
    cards = [[f"Press button {number} to call floor {number}."] for number in range(1, 13)]
    path = make_pdf(tmp_path / "a.pdf", [lambda canvas, card=card: void(write(canvas, card, y=540)) for card in cards])  # type: ignore[misc]
    assert [page.text for page in parse(path)[1]] == [f"{card[0]}\n" for card in cards]

    def headed(lines: list[str], number: int) -> Draw:
        def draw(canvas: Canvas) -> None:
            write(canvas, ["Lift guide"], y=540, size=8)
            write(canvas, lines, y=420 - 3 * number)
            write(canvas, [str(number)], y=20, x=200, size=8)

        return draw

    path = make_pdf(
        tmp_path / "b.pdf",
        [headed([*card, *SENTENCES] * 6, n) for n, card in enumerate(cards[:9], 1)]
        + [headed([], 10), headed(cards[9], 11)],
    )
    pages = parse(path)[1]
    assert not any("Lift guide" in page.text for page in pages)
    assert [page.text for page in pages[9:]] == ["", f"{cards[9][0]}\n"]


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
