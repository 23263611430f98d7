"""Tables in PDF files, through the parser: each row is one block, whatever its cells look like on paper."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from reportlab.lib import colors
from reportlab.lib.enums import TA_CENTER, TA_RIGHT
from reportlab.lib.styles import ParagraphStyle
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import PageBreak, Paragraph, Preformatted, SimpleDocTemplate, Spacer, Table

from ingestion.parsers.base import Limits, Resume, Source
from ingestion.parsers.pdf import PdfParser
from ingestion.types import BlockKind, ParsedPage
from tests.ingestion.pdf_making import blocks, check_page, make_pdf, parse, void, write

CHINESE = "STSong-Light"
pdfmetrics.registerFont(UnicodeCIDFont(CHINESE))
TEXT = ParagraphStyle("text", fontName="Helvetica", fontSize=9, leading=11, spaceAfter=6)
CHINESE_TEXT = ParagraphStyle("chinese", TEXT, fontName=CHINESE, wordWrap="CJK")

Rows = Sequence[Sequence[str]]
Commands = Sequence[tuple[Any, ...]]

GRID = [("GRID", (0, 0), (-1, -1), 0.5, colors.black)]
BOXES = [("BOX", (0, 0), (-1, -1), 1, colors.black), ("INNERGRID", (0, 0), (-1, -1), 0.25, colors.grey)]
OPEN_SIDES = [("LINEBELOW", (0, 0), (-1, -1), 0.5, colors.black), ("LINEBEFORE", (1, 0), (-1, -1), 0.5, colors.black)]
BACKGROUNDS = [
    ("BACKGROUND", (0, 0), (-1, 0), colors.grey),
    ("ROWBACKGROUNDS", (0, 1), (-1, -1), [colors.lightgrey, colors.white]),
    ("GRID", (0, 0), (-1, -1), 0.5, colors.white),
]
PROSE = (
    "Descaling takes a while. Keep the machine switched on until the display says that it has finished, and do not "
    "open the service door in the meantime, or the whole programme will have to be run again from its beginning."
)
CODES = [
    ["Code", "Model", "Cause", "Remedy"],
    ["E-10", "Both", "Overheated", "Switch it off and let it cool down for half an hour at the least."],
    ["E-11", "LT-300S", "Sensor of the steam boiler is broken", "Unplug it. Coffee can still be made, milk cannot."],
    ["E-12", "Both", "", "Push the container on until it clicks."],
    ["E-13", "Both", "Descaling is overdue", "Descale. Drinks are locked three litres after this message came up."],
]
WIDTHS = [45, 60, 75, 110]


def table(
    rows: Rows, widths: Sequence[float], commands: Commands, style: ParagraphStyle = TEXT, **options: Any
) -> Table:
    cells = [[Paragraph(cell, style) for cell in row] for row in rows]
    made = Table(cells, colWidths=widths, **options)
    made.setStyle(list(commands))
    return made


def document(path: Path, flowables: Sequence[Any]) -> list[ParsedPage]:
    """The pages of a document with these flowables, checked for what holds of every page."""
    SimpleDocTemplate(str(path), pagesize=(400, 560), leftMargin=50, rightMargin=50).build(list(flowables))
    pages = parse(path)[1]
    for page in pages:
        check_page(path, page)
    return pages


def rows_of(pages: Sequence[ParsedPage]) -> list[str]:
    return [text for page in pages for kind, text in blocks(page) if kind is BlockKind.TABLE_ROW]


def joined(rows: Rows) -> list[str]:
    """What rows are to read like: empty cells keep their place, those at the end go."""
    return [" | ".join(row).rstrip(" |").lstrip(" ") for row in rows]


@pytest.mark.parametrize("valign", ["TOP", "MIDDLE", "BOTTOM"])
@pytest.mark.parametrize("rules", [GRID, BOXES, OPEN_SIDES, BACKGROUNDS], ids=["grid", "boxes", "open", "background"])
def test_a_row_of_a_ruled_table_is_one_block(tmp_path: Path, rules: Commands, valign: str) -> None:
    ruled = table(CODES, WIDTHS, [*rules, ("VALIGN", (0, 0), (-1, -1), valign)])
    title = Paragraph("Table 13 Error codes", TEXT)
    [page] = document(tmp_path / "a.pdf", [Paragraph(PROSE, TEXT), title, ruled, Paragraph(PROSE, TEXT)])
    assert blocks(page) == [
        (BlockKind.PARAGRAPH, PROSE),
        (BlockKind.PARAGRAPH, "Table 13 Error codes"),
        *[(BlockKind.TABLE_ROW, row) for row in joined(CODES)],
        (BlockKind.PARAGRAPH, PROSE),
    ]


def test_chinese_cells_join_without_spaces(tmp_path: Path) -> None:
    rows = [
        ["代码", "原因", "处理方法"],
        ["E-02", "咖啡渣盒已满或者未装好", "在开机状态下倒空咖啡渣盒，然后重新推入，直到听见咔嗒一声为止。"],
        ["E-05", "磨豆器卡住", "关机，拔下插头，取出异物。"],
    ]
    for valign in ("TOP", "MIDDLE"):
        made = table(rows, [40, 60, 120], [*GRID, ("VALIGN", (0, 0), (-1, -1), valign)], CHINESE_TEXT)
        assert rows_of(document(tmp_path / "a.pdf", [made])) == joined(rows)


def test_merged_cells_stand_once_and_in_their_column(tmp_path: Path) -> None:
    rows = [
        ["Water and descaling of both models", "", ""],
        ["Hardness level", "LT-300", "LT-300S"],
        ["soft", "70 L and a good deal more than that", "90 L"],
        ["", "35 L", ""],
        ["hard", "", "25 L"],
    ]
    spans = [("SPAN", (0, 0), (-1, 0)), ("SPAN", (0, 2), (0, 3)), ("VALIGN", (0, 0), (-1, -1), "MIDDLE")]
    [page] = document(tmp_path / "a.pdf", [table(rows, [80, 90, 60], [*GRID, *spans])])
    assert rows_of([page]) == [
        "Water and descaling of both models",
        "Hardness level | LT-300 | LT-300S",
        "soft | 70 L and a good deal more than that | 90 L",
        "| 35 L",
        "hard |  | 25 L",
    ]


def test_numbers_set_right_or_in_the_middle_keep_their_columns(tmp_path: Path) -> None:
    rows = [["Year", "Pages", "Price"], ["2021", "7", "1,250.00"], ["2022", "", "9.50"], ["2023", "1,024", "12.00"]]
    styles = [TEXT, ParagraphStyle("right", TEXT, alignment=TA_RIGHT), ParagraphStyle("mid", TEXT, alignment=TA_CENTER)]
    cells = [[Paragraph(cell, style) for cell, style in zip(row, styles, strict=True)] for row in rows]
    made = Table(cells, colWidths=[60, 60, 90], style=list(GRID))
    assert rows_of(document(tmp_path / "a.pdf", [made])) == joined(rows)


def test_rows_go_on_over_the_page(tmp_path: Path) -> None:
    words = PROSE.split()
    rows = [["No.", "What to do"], *([f"{n}", " ".join(words[n:] + words[:n])] for n in range(25))]
    pages = document(tmp_path / "a.pdf", [table(rows, [40, 100], GRID, repeatRows=1)])
    assert len(pages) > 1
    assert rows_of(pages) == joined(rows)


def test_a_table_ruled_only_around_has_a_row_a_line(tmp_path: Path) -> None:
    rows = [["Code", "Symbol", "Name"], ["alpha", "a", "first"], ["beta", "b", "second"], ["gamma", "c", "third"]]
    outside = [
        ("BOX", (0, 0), (-1, -1), 0.5, colors.black),
        ("LINEBELOW", (0, 0), (-1, 0), 0.5, colors.black),
        ("LINEBEFORE", (1, 0), (-1, -1), 0.5, colors.black),
    ]
    assert rows_of(document(tmp_path / "a.pdf", [table(rows, [70, 70, 70], outside)])) == joined(rows)


WORDS = ["a", "oil", "Water", "descaler", "10", "0.5", "E-42", "LT-300S", "thermoblock", "Menu"]
CELLS = st.lists(st.sampled_from(WORDS), min_size=1, max_size=9).map(" ".join)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.integers(2, 4).flatmap(
        lambda count: st.lists(st.lists(CELLS, min_size=count, max_size=count), min_size=3, max_size=7)
    ),
    empty=st.sets(st.tuples(st.integers(0, 6), st.integers(1, 3)), max_size=4),
    valign=st.sampled_from(["TOP", "MIDDLE", "BOTTOM"]),
)
def test_any_grid_reads_row_by_row(
    tmp_path: Path, rows: list[list[str]], empty: set[tuple[int, int]], valign: str
) -> None:
    """Every row has its first two cells; others may be empty."""
    filled = [["" if (y, x) in empty and x > 1 else cell for x, cell in enumerate(row)] for y, row in enumerate(rows)]
    filled[0] = [f"Column{x}" for x in range(len(rows[0]))]
    assume(min(len(cell.split()) for cell in filled[-1]) < 4)  # four lines in every cell may as well be four rows
    made = table(filled, [75] * len(rows[0]), [*GRID, ("VALIGN", (0, 0), (-1, -1), valign)])
    assert rows_of(document(tmp_path / "any.pdf", [made])) == joined(filled)


@pytest.mark.parametrize("valign", ["TOP", "MIDDLE"])
def test_wrapped_cells_of_a_table_without_rules(tmp_path: Path, valign: str) -> None:
    rows = [row for row in CODES if all(row)]
    made = table(rows, [45, 60, 90, 110], [("VALIGN", (0, 0), (-1, -1), valign)])
    [page] = document(tmp_path / "a.pdf", [Paragraph(PROSE, TEXT), made, Paragraph(PROSE, TEXT)])
    assert blocks(page) == [
        (BlockKind.PARAGRAPH, PROSE),
        *[(BlockKind.TABLE_ROW, row) for row in joined(rows)],
        (BlockKind.PARAGRAPH, PROSE),
    ]


@pytest.mark.parametrize(
    "rules",
    [
        [("LINEBELOW", (0, 0), (-1, -1), 0.5, colors.black)],
        [("ROWBACKGROUNDS", (0, 0), (-1, -1), [colors.lightgrey, colors.white])],
    ],
    ids=["lines", "bands"],
)
def test_wrapped_cells_between_lines_or_on_bands(tmp_path: Path, rules: Commands) -> None:
    rows = [row for row in CODES if all(row)]
    made = table(rows, [45, 60, 90, 110], [*rules, ("VALIGN", (0, 0), (-1, -1), "MIDDLE")])
    assert rows_of(document(tmp_path / "a.pdf", [made])) == joined(rows)


@pytest.mark.parametrize("rules", [False, True])
def test_prose_in_columns_is_no_table(tmp_path: Path, rules: bool) -> None:
    """Prose beside prose, and the same with a rule between the columns, as in many manuals."""
    words = [f"{first}{second}{third}" for first in "aeiou" for second in "bcdfgh" for third in "mnop"]

    def draw(canvas: Canvas) -> None:
        write(canvas, [" ".join(words[n : n + 4]) for n in range(0, 60, 4)], x=30, y=480)
        write(canvas, [" ".join(words[n : n + 4]) for n in range(60, 120, 4)], x=220, y=480)
        if rules:
            canvas.line(30, 495, 380, 495)
            canvas.line(30, 200, 380, 200)
            canvas.line(205, 495, 205, 200)

    path = make_pdf(tmp_path / "a.pdf", [draw])
    [page] = parse(path)[1]
    check_page(path, page)
    assert page.text.split() == words
    assert BlockKind.TABLE_ROW not in {block.kind for block in page.blocks}


def test_boxes_around_code_and_prose_are_no_tables(tmp_path: Path) -> None:
    numbers, code = "1\n2\n3", "for page in pages:\n    if page.text:\n        print(page)"
    style = ParagraphStyle("code", fontName="Courier", fontSize=9, leading=11)
    box = Table([[Preformatted(numbers, style), Preformatted(code, style)]], colWidths=[20, 250], style=list(GRID))
    framed = Table([[Paragraph(PROSE, TEXT)]], colWidths=[280], style=list(GRID))
    [page] = document(tmp_path / "a.pdf", [framed, Spacer(1, 10), box])
    assert blocks(page)[0] == (BlockKind.PARAGRAPH, PROSE)
    assert {block.kind for block in page.blocks[1:]} == {BlockKind.CODE}


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_tables_on_turned_pages(tmp_path: Path, rotation: int) -> None:
    def draw(canvas: Canvas) -> None:
        canvas.setPageRotation(rotation)
        canvas.rotate(rotation)
        canvas.translate(*{0: (0, 0), 90: (0, -400), 180: (-400, -560), 270: (-560, 0)}[rotation])
        made = table(CODES, WIDTHS, [*GRID, ("VALIGN", (0, 0), (-1, -1), "MIDDLE")])
        made.wrapOn(canvas, 400, 400)
        made.drawOn(canvas, 50, 100)

    path = make_pdf(tmp_path / "a.pdf", [draw])
    [page] = parse(path)[1]
    check_page(path, page)
    assert rows_of([page]) == joined(CODES)


def test_a_plot_full_of_lines_is_read_as_before(tmp_path: Path) -> None:
    def draw(canvas: Canvas) -> None:
        for step in range(1000):
            canvas.line(50 + step % 300, 100 + step % 17, 80 + step % 290, 100 + step % 17)
            canvas.line(50 + step % 300, 100, 50 + step % 300, 117)
        void(write(canvas, ["Volts over time", "0 10 20 30"], x=60, y=111))

    path = make_pdf(tmp_path / "a.pdf", [draw])
    [page] = parse(path)[1]
    check_page(path, page)
    assert page.text.split() == ["Volts", "over", "time", "0", "10", "20", "30"]


def columns_of(pages: Sequence[ParsedPage]) -> list[tuple[int, str, str]]:
    """Page, columns and text of every row."""
    return [
        (page.number, block.columns, page.text[block.start : block.end].rstrip("\n"))
        for page in pages
        for block in page.blocks
        if block.kind is BlockKind.TABLE_ROW
    ]


ERRORS = [["Code", "Cause"], *([f"E-{n}", f"The pump of circuit {n} stands still"] for n in range(90))]
FAULTS = [["代码", "原因"], *([f"E-{n}", f"第{n}路的水泵停止转动，请立即断电"] for n in range(90))]


@pytest.mark.parametrize("repeated", [0, 1], ids=["header once", "header on each page"])
@pytest.mark.parametrize("rules", [GRID, []], ids=["ruled", "unruled"])
@pytest.mark.parametrize(("rows", "style"), [(ERRORS, TEXT), (FAULTS, CHINESE_TEXT)], ids=["en", "zh"])
def test_rows_of_later_pages_have_the_names_of_their_columns(
    tmp_path: Path, rows: Rows, style: ParagraphStyle, rules: Commands, repeated: int
) -> None:
    made = table(rows, [60, 200], rules, style, repeatRows=repeated)
    pages = document(tmp_path / "a.pdf", [made, Paragraph("The end of the table.", TEXT)])
    assert len(pages) > 2
    header, *body = joined(rows)
    [(_, of_header, first), *named] = columns_of(pages)
    assert (of_header, first) == ("", header)
    assert [(columns, row) for _, columns, row in named] == [(header, row) for row in body]
    again = [text for page in pages for kind, text in blocks(page) if kind is BlockKind.REPEATED]
    assert again == [header] * repeated * (len(pages) - 1)


def test_reading_on_from_any_page_names_the_same_columns(tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    pages = document(path, [table(ERRORS, [60, 200], GRID)])
    for page in pages[:-1]:
        resume = Resume(page.number, page.open_sections, table=page.open_table)
        _, *rest = PdfParser().parse_from(Source(path, path.name), Limits(), resume)
        assert rest == pages[page.number :]


def test_another_table_on_the_next_page_has_names_of_its_own(tmp_path: Path) -> None:
    first = [["Model", "Weight"], *([f"P-{n}", f"{n} kg"] for n in range(40))]
    second = [["Part", "Price"], *([f"ring {n}", f"{n},50"] for n in range(5))]
    for between in ([PageBreak()], [PageBreak(), Paragraph("Spare parts", TEXT)]):
        pages = document(tmp_path / "a.pdf", [table(first, [60, 100], GRID), *between, table(second, [60, 100], GRID)])
        found = {row: columns for _, columns, row in columns_of(pages)}
        assert (found["P-39 | 39 kg"], found["ring 4 | 4,50"]) == ("Model | Weight", "Part | Price")
        assert found["Part | Price"] == ""


def test_prose_ends_a_table(tmp_path: Path) -> None:
    """Rows after it are of a table whose names nobody knows."""
    first = [["Model", "Weight"], *([f"P-{n}", f"{n} kg"] for n in range(5))]
    second = [[f"ring {n}", f"{n},50"] for n in range(5)]
    between = [Paragraph(PROSE, TEXT), PageBreak()]
    pages = document(tmp_path / "a.pdf", [table(first, [60, 100], GRID), *between, table(second, [60, 100], GRID)])
    assert {columns for number, columns, _ in columns_of(pages) if number == 2} == {""}


def test_merged_names_and_labels_stand_with_the_rows_that_they_reach_over(tmp_path: Path) -> None:
    rows = [
        ["Model", "Power", "", "Noise"],
        ["", "usual", "highest", ""],
        ["P-1", "20 W", "35 W", "40 dB"],
        ["", "22 W", "37 W", "41 dB"],
        ["P-2", "50 W", "75 W", "48 dB"],
    ]
    spans = [("SPAN", (0, 0), (0, 1)), ("SPAN", (1, 0), (2, 0)), ("SPAN", (3, 0), (3, 1)), ("SPAN", (0, 2), (0, 3))]
    pages = document(tmp_path / "a.pdf", [table(rows, [60, 60, 60, 60], [*GRID, *spans])])
    names = "Model | Power usual | Power highest | Noise"
    assert [(columns, row) for _, columns, row in columns_of(pages)][2:] == [
        (names, "P-1 | 20 W | 35 W | 40 dB"),
        (f"{names} > P-1", "| 22 W | 37 W | 41 dB"),
        (names, "P-2 | 50 W | 75 W | 48 dB"),
    ]


def test_pairs_without_a_header_name_nothing(tmp_path: Path) -> None:
    options = [["reset the counter", "Menu 1"], ["set the clock", "Menu 2"], ["lock the door", "Menu 3"]]
    words = [["zeros", "a matrix of zeros"], ["ones", "a matrix of ones"], ["eye", "an identity matrix"]]
    for rows in (options, words):
        pages = document(tmp_path / "a.pdf", [table(rows, [100, 120], GRID)])
        assert [columns for _, columns, _ in columns_of(pages)] == [""] * 3
