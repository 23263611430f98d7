"""Presentations, spreadsheets and Word tables, made by the libraries that others use to write them."""

import io
import zipfile
from datetime import date, datetime
from pathlib import Path
from typing import Any

import docx
import openpyxl
import pptx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pptx.util import Inches

from ingestion.detect import parser_for
from ingestion.parsers.base import Limits, Source
from ingestion.parsers.delimited import chosen_delimiter
from ingestion.parsers.xlsx_formats import shown
from ingestion.types import DocumentStart, ParsedPage

Blocks = list[tuple[str, tuple[str, ...], str]]


def parse(path: Path, limits: Limits = Limits()) -> tuple[DocumentStart, list[ParsedPage]]:
    start, *pages = parser_for(path, limits).parse(Source(path, path.name), limits)
    assert isinstance(start, DocumentStart)
    return start, [page for page in pages if isinstance(page, ParsedPage)]


def blocks(page: ParsedPage) -> Blocks:
    return [
        (each.kind.value, (*each.heading_path, *filter(None, [each.columns])), page.text[each.start : each.end])
        for each in page.blocks
    ]


def test_a_workbook_shows_what_excel_shows(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    prices: Any = book.active
    prices.title = "Prices"
    prices.append(["Price list 2026"])
    prices.merge_cells("A1:E1")
    prices.append(["Model", "Price", "From", "Share", "In stock"])
    prices.append(["LT-300", 1234.5, datetime(2026, 3, 5), 0.125, True])
    prices.append([None, 7, date(2026, 12, 24), 1, False])
    prices.merge_cells("A3:A4")
    for row in (3, 4):
        prices.cell(row, 2).number_format = '#,##0.00 "EUR"'
        prices.cell(row, 3).number_format = "d mmmm yyyy"
        prices.cell(row, 4).number_format = "0.0%"
    prices["F3"] = "=B3*2"
    internal = book.create_sheet("Margins")
    internal.append(["secret", 1])
    internal.sheet_state = "hidden"
    grouped = book.create_sheet("Sales")
    grouped.append(["Region", "2025", None, "2026", None])
    grouped.merge_cells("B1:C1")
    grouped.merge_cells("D1:E1")
    grouped.append([None, "Q1", "Q2", "Q1", "Q2"])
    grouped.append(["North", 1, 2, 3, 4])
    grouped.append(["South", 5, 6, 7, 8])
    grouped.row_dimensions[4].hidden = True
    grouped.append(["West", 9, None, 11, 12])
    book.save(tmp_path / "a.xlsx")

    start, [first, second] = parse(tmp_path / "a.xlsx")
    assert start.title == "a"
    title = ("Prices", "Price list 2026")
    columns = "Model | Price | From | Share | In stock"
    assert blocks(first) == [
        ("heading", title, "Price list 2026"),
        ("table_row", title, columns),
        ("table_row", (*title, columns), "LT-300 | 1,234.50 EUR | 5 March 2026 | 12.5% | TRUE"),
        ("table_row", (*title, columns), "LT-300 | 7.00 EUR | 24 December 2026 | 100.0% | FALSE"),
    ]
    assert (first.number, first.label, first.blocks[2].anchor) == (1, "Prices", "A3:E3")
    under = ("Sales", "Region | 2025 Q1 | 2025 Q2 | 2026 Q1 | 2026 Q2")
    assert blocks(second)[2:] == [
        ("table_row", under, "North | 1 | 2 | 3 | 4"),
        ("table_row", under, "West | 9 |  | 11 | 12"),
    ]
    assert second.warning is not None
    assert "1 hidden sheets were left out (Margins)" in second.warning
    assert "Prices: 1 formulas have no saved result" in second.warning
    assert "Sales: hidden rows" in second.warning


def test_a_long_sheet_comes_in_pages_whose_every_row_names_its_columns(tmp_path: Path) -> None:
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("Parts")
    sheet.append(["Part", "Torque (Nm)"])
    for number in range(2_000):
        sheet.append([f"bolt {number}", number])
    book.save(tmp_path / "a.xlsx")
    _, pages = parse(tmp_path / "a.xlsx")
    assert [page.number for page in pages] == [1, 2, 3, 4, 5]
    rows = [block for page in pages for block in blocks(page)][1:]
    assert rows == [("table_row", ("Parts", "Part | Torque (Nm)"), f"bolt {n} | {n}") for n in range(2_000)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_csv_in_any_encoding_with_any_delimiter(tmp_path: Path, encoding: str, delimiter: str) -> None:
    lines = [["型号", "价格", "说明"], ["LT-300", "1,5", '"打开\n阀门"'], ["LT-400", "", "关闭"]]
    quoted = [[f'"{cell}"' if delimiter in cell else cell for cell in line] for line in lines]
    (tmp_path / "价目.csv").write_bytes("\r\n".join(delimiter.join(line) for line in quoted).encode(encoding))
    start, [page] = parse(tmp_path / "价目.csv")
    assert start.title == "价目"
    names = "型号 | 价格 | 说明"
    assert blocks(page) == [
        ("table_row", (), names),
        ("table_row", (names,), "LT-300 | 1,5 | 打开阀门"),
        ("table_row", (names,), "LT-400 |  | 关闭"),
    ]


@given(
    st.lists(st.lists(st.text("abc ,;|\t'", max_size=5), min_size=3, max_size=3), min_size=2, max_size=6),
    st.sampled_from(",;\t|"),
)
def test_the_delimiter_is_the_one_that_the_rows_agree_on(rows: list[list[str]], delimiter: str) -> None:
    cells = [[cell.translate(dict.fromkeys(map(ord, ",;|\t"), " ")) + "x" for cell in row] for row in rows]
    assert chosen_delimiter("\n".join(delimiter.join(row) for row in cells)) == delimiter


@pytest.mark.parametrize(
    ("value", "code", "text"),
    [
        (0.5, "General", "0.5"),
        (12345678901.0, "General", "12345678901"),
        (-1234.567, "#,##0.00", "-1,234.57"),
        (-1234.567, "#,##0.00;[Red](#,##0.00)", "(1,234.57)"),
        (0, '0.0;-0.0;"none"', "none"),
        (1234567, "0.0,,\\ \\M", "1.2 M"),
        (7, "000", "007"),
        (0.5, "#.##", ".5"),
        (1.5, "0.0##", "1.5"),
        (1234.5, "[$€-407] #,##0", "€ 1,234"),
        (1234.5, "0.00E+00", "1.23E+03"),
        (46086, "yyyy-mm-dd", "2026-03-05"),
        (46086.75, 'yyyy"年"m"月"d"日" h:mm', "2026年3月5日 18:00"),
        (46086.5, "dddd, mmm d h:mm AM/PM", "Thursday, Mar 5 12:00 PM"),
        (1.5, "[h]:mm", "36:00"),
        (59, "d mmm yyyy", "28 Feb 1900"),
        (-1, "yyyy-mm-dd", "-1"),
        (1e300, "yyyy", "1E+300"),
        (5, '"a;b" 0', "a;b 5"),
        (0.25, "# ?/?", "0.25"),
        (5, "@", "5"),
    ],
)
def test_numbers_look_as_their_format_says(value: float, code: str, text: str) -> None:
    assert shown(value, code) == text


@given(st.floats(), st.text('0#?.,%;@"\\[]$_*yYmMdDhHsSEAP/+- e', max_size=40), st.booleans())
def test_any_format_shows_something_or_nothing(value: float, code: str, from_1904: bool) -> None:
    assert isinstance(shown(value, code, from_1904=from_1904), str)


def test_slides_are_pages_with_their_title_tables_and_notes(tmp_path: Path) -> None:
    deck = pptx.Presentation()
    first = deck.slides.add_slide(deck.slide_layouts[1])
    first.shapes.title.text = "Pump P-1"
    body = first.placeholders[1].text_frame
    body.text = "Open the lid"
    lower = body.add_paragraph()
    lower.text, lower.level = "by hand", 1
    for top, text in ((5, "below"), (4, "above")):
        first.shapes.add_textbox(Inches(1), Inches(top), Inches(2), Inches(1)).text_frame.text = text
    first.notes_slide.notes_text_frame.text = "Say it slowly."
    second = deck.slides.add_slide(deck.slide_layouts[5])
    second.shapes.title.text = "Codes"
    table = second.shapes.add_table(3, 2, Inches(1), Inches(2), Inches(4), Inches(1)).table
    for row, texts in enumerate([("Code", "Meaning"), ("E-42", "Door open"), ("", "Lid open")]):
        for column, text in enumerate(texts):
            table.cell(row, column).text = text
    table.cell(1, 0).merge(table.cell(2, 0))
    hidden = deck.slides.add_slide(deck.slide_layouts[5])
    hidden.shapes.title.text = "Secret"
    hidden._element.set("show", "0")
    deck.save(str(tmp_path / "a.pptx"))

    start, pages = parse(tmp_path / "a.pptx")
    assert (start.title, start.page_count, [page.number for page in pages]) == ("Pump P-1", 3, [1, 2, 3])
    top = ("Pump P-1",)
    assert blocks(pages[0]) == [
        ("heading", top, "Pump P-1"),
        ("paragraph", top, "Open the lid"),
        ("list_item", top, "- by hand"),
        ("paragraph", top, "above"),
        ("paragraph", top, "below"),
        ("paragraph", top, "Say it slowly."),
    ]
    assert [text for _, _, text in blocks(pages[1])] == [
        "Codes",
        "Code | Meaning",
        "E-42 | Door open",
        "E-42 | Lid open",
    ]
    assert (pages[2].text, pages[2].warning) == (
        "",
        "This slide is hidden and was left out; unhide it to include it.",
    )


def test_word_tables_repeat_merged_cells_and_long_ones_name_their_columns(tmp_path: Path) -> None:
    document = docx.Document()
    document.add_heading("Codes", 1)
    table = document.add_table(42, 3)
    for cell, text in zip(table.rows[0].cells, ("Group", "Code", "Meaning"), strict=True):
        cell.text = text
    for number in range(1, 42):
        table.cell(number, 1).text = f"E-{number}"
        table.cell(number, 2).text = f"The door of chamber {number} does not close"
    table.cell(1, 0).text = "Doors"
    table.cell(1, 0).merge(table.cell(41, 0))
    table.cell(41, 1).merge(table.cell(41, 2))
    document.save(str(tmp_path / "a.docx"))
    _, [page] = parse(tmp_path / "a.docx")
    under = ("Codes", "Group | Code | Meaning")
    found = blocks(page)
    assert found[1] == ("table_row", ("Codes",), "Group | Code | Meaning")
    assert found[2] == ("table_row", under, "Doors | E-1 | The door of chamber 1 does not close")
    assert found[42][2].startswith("Doors | E-41 ")
    assert {path for _, path, _ in found[2:]} == {under}


def test_word_footnotes_stand_below_what_refers_to_them(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    docx.Document().save(buffer)
    names = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
    body = (
        '<w:p><w:r><w:t>Turn it off</w:t></w:r><w:r><w:footnoteReference w:id="2"/></w:r></w:p>'
        "<w:p><w:r><w:t>Go on</w:t></w:r></w:p>"
    )
    note = '<w:footnote w:id="2"><w:p><w:r><w:footnoteRef/></w:r><w:r><w:t>At the wall.</w:t></w:r></w:p></w:footnote>'
    with zipfile.ZipFile(buffer) as template, zipfile.ZipFile(tmp_path / "a.docx", "w") as made:
        for name in template.namelist():
            content = template.read(name)
            if name == "word/document.xml":
                content = f"<w:document {names}><w:body>{body}</w:body></w:document>".encode()
            elif name == "word/_rels/document.xml.rels":
                kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/footnotes"
                relation = f'<Relationship Id="rId99" Type="{kind}" Target="footnotes.xml"/>'
                content = content.replace(b"</Relationships>", f"{relation}</Relationships>".encode())
            made.writestr(name, content)
        made.writestr("word/footnotes.xml", f"<w:footnotes {names}>{note}</w:footnotes>")
    _, [page] = parse(tmp_path / "a.docx")
    assert page.text == "Turn it off\n\nAt the wall.\n\nGo on\n"
