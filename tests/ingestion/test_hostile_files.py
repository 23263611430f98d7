"""Office files, e-books, archives and pictures that mean harm or are broken: each ends with a message, none hangs."""

import io
import struct
import zipfile
import zlib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import docx
import openpyxl
import pptx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from ingestion.detect import parser_for
from ingestion.errors import BrokenFile, EncryptedFile, IngestionError, TooLarge, WrongType
from ingestion.parsers.base import Limits, Source
from ingestion.types import ParsedPage

OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
SHEET = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"


def zipped(parts: Iterable[tuple[str, str | bytes]]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as package:
        for name, content in parts:
            package.writestr(name, content)
    return buffer.getvalue()


def relations(*targets: tuple[str, str]) -> str:
    entries = (
        f'<Relationship Id="r{at}" Type="{OFFICE}/{kind}" Target="{target}"/>'
        for at, (kind, target) in enumerate(targets)
    )
    return (
        f'<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">{"".join(entries)}'
        "</Relationships>"
    )


def workbook(sheet: str | bytes, *, strings: str = "<sst/>") -> bytes:
    sheets = '<sheets><sheet name="S" sheetId="1" r:id="r0"/></sheets>'
    book = f'<workbook xmlns="{SHEET}" xmlns:r="{OFFICE}">{sheets}</workbook>'
    return zipped(
        [
            ("_rels/.rels", relations(("officeDocument", "xl/workbook.xml"))),
            ("xl/workbook.xml", book),
            (
                "xl/_rels/workbook.xml.rels",
                relations(("worksheet", "worksheets/s.xml"), ("sharedStrings", "strings.xml")),
            ),
            ("xl/worksheets/s.xml", sheet),
            ("xl/strings.xml", strings),
        ]
    )


def word(document: str) -> bytes:
    return zipped(
        [("_rels/.rels", relations(("officeDocument", "word/document.xml"))), ("word/document.xml", document)]
    )


def read(folder: Path, name: str, content: bytes, limits: Limits = Limits()) -> list[ParsedPage]:
    path = folder / name
    path.write_bytes(content)
    return [item for item in parser_for(path, limits).parse(Source(path, name), limits) if isinstance(item, ParsedPage)]


def samples() -> dict[str, bytes]:
    found = {}
    for name, made in (("a.docx", docx.Document()), ("a.pptx", pptx.Presentation()), ("a.xlsx", openpyxl.Workbook())):
        buffer = io.BytesIO()
        if isinstance(made, openpyxl.Workbook):
            made.active.append(["Code", "Meaning"])
            made.active.append(["E-42", 1.5])
        elif name == "a.pptx":
            made.slides.add_slide(made.slide_layouts[0]).shapes.title.text = "Title"
        else:
            made.add_paragraph("text")
        made.save(buffer)
        found[name] = buffer.getvalue()
    found["a.epub"] = epub({"c.xhtml": "<p>text</p>"})
    found["a.zip"] = zipped([("a.txt", "text"), ("b/c.md", "# text")])
    picture = io.BytesIO()
    Image.new("RGB", (64, 64), "white").save(picture, "PNG")
    found["a.png"] = picture.getvalue()
    return found


def epub(chapters: dict[str, str]) -> bytes:
    items = "".join(
        f'<item id="i{n}" href="{name}" media-type="application/xhtml+xml"/>' for n, name in enumerate(chapters)
    )
    spine = "".join(f'<itemref idref="i{n}"/>' for n in range(len(chapters)))
    opf = f'<package xmlns="http://www.idpf.org/2007/opf"><manifest>{items}</manifest><spine>{spine}</spine></package>'
    container = (
        '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
        '<rootfile full-path="b/book.opf" media-type="application/oebps-package+xml"/></rootfiles></container>'
    )
    inside = [(f"b/{name}", text) for name, text in chapters.items() if ".." not in name]
    return zipped([("META-INF/container.xml", container), ("b/book.opf", opf), *inside])


SAMPLES = samples()


@pytest.mark.parametrize("name", SAMPLES)
def test_a_file_cut_off_anywhere_is_refused_with_what_to_do(tmp_path: Path, name: str) -> None:
    content = SAMPLES[name]
    end_mark = 24 if name.endswith(".png") else 1  # a picture is whole before it says so
    for end in range(30, len(content) - end_mark, max(len(content) // 40, 1)):
        with pytest.raises((BrokenFile, WrongType), match=r"again|upload"):
            read(tmp_path, name, content[:end])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=300)
@given(st.data())
def test_a_damaged_file_is_read_or_refused_and_nothing_else(tmp_path: Path, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from([name for name in SAMPLES if name != "a.png"]))
    content = bytearray(SAMPLES[name])
    for at, value in data.draw(
        st.lists(st.tuples(st.integers(0, len(content) - 1), st.integers(0, 255)), min_size=1, max_size=20)
    ):
        content[at] = value
    with suppress(IngestionError):
        read(tmp_path, name, bytes(content))


def test_a_member_without_a_name_is_damage(tmp_path: Path) -> None:
    content = SAMPLES["a.zip"]
    place = content.index(b"PK\x01\x02") + 46  # of the name in the archive's table of contents
    with pytest.raises(BrokenFile, match="no name"):
        read(tmp_path, "a.zip", content[:place] + b"\0" + content[place + 1 :])


BILLION_LAUGHS = (
    '<!DOCTYPE x [<!ENTITY a "ha">'
    + "".join(f'<!ENTITY a{n} "{"&a" + str(n - 1) + ";" if n > 1 else "&a;"}{"&a;" * 9}">' for n in range(1, 10))
    + "]>"
)
EXTERNAL = '<!DOCTYPE x [<!ENTITY a9 SYSTEM "file:///etc/passwd">]>'


@pytest.mark.parametrize("declaration", [BILLION_LAUGHS, EXTERNAL])
def test_xml_entities_are_not_expanded(tmp_path: Path, declaration: str) -> None:
    sheet = f'{declaration}<worksheet xmlns="{SHEET}"><row><c t="inlineStr"><is><t>&a9;</t></is></c></row></worksheet>'
    with pytest.raises(BrokenFile, match="entity"):
        read(tmp_path, "a.xlsx", workbook(sheet))
    with pytest.raises(BrokenFile, match="entity"):
        read(tmp_path, "a.xlsx", workbook("<worksheet/>", strings=f"{declaration}<sst><si><t>&a9;</t></si></sst>"))
    w = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    body = f'<w:document xmlns:w="{w}"><w:body><w:p><w:r><w:t>safe &a9;</w:t></w:r></w:p></w:body></w:document>'
    [page] = read(tmp_path, "a.docx", word(declaration + body))
    assert page.text == "safe\n"


def test_a_sheet_that_claims_to_be_as_large_as_can_be_costs_what_is_in_it(tmp_path: Path) -> None:
    sheet = (
        f'<worksheet xmlns="{SHEET}"><dimension ref="A1:XFD1048576"/><sheetData>'
        '<row r="1"><c r="A1"><v>1</v></c><c r="XFD1"><v>2</v></c></row>'
        '<row r="1048576"><c r="XFD1048576"><v>3</v></c></row></sheetData>'
        '<mergeCells count="1"><mergeCell ref="A1:XFC1048576"/></mergeCells></worksheet>'
    )
    [page] = read(tmp_path, "a.xlsx", workbook(sheet))
    assert len(page.text) < 1_000
    assert page.text.endswith("3\n")


@pytest.mark.parametrize(
    ("sheet", "message"),
    [
        ('<worksheet><row><c r="ZZZ1"><v>1</v></c></row></worksheet>', "more columns"),
        ('<worksheet><row r="99999999"><c><v>1</v></c></row></worksheet>', "more rows"),
        ("<worksheet><row>" + "<c><v>1</v></c>" * 20_000 + "</row></worksheet>", "more columns"),
        ("<worksheet><row></worksheet>", "damaged"),
    ],
)
def test_sheets_beyond_the_format_are_refused(tmp_path: Path, sheet: str, message: str) -> None:
    with pytest.raises(BrokenFile, match=message):
        read(tmp_path, "a.xlsx", workbook(sheet))


def test_references_to_what_is_not_there_are_empty_cells(tmp_path: Path) -> None:
    sheet = '<worksheet><row><c t="s" s="7"><v>99</v></c><c s="-1"><v>x</v></c><c t="b"><v>1</v></c></row></worksheet>'
    [page] = read(tmp_path, "a.xlsx", workbook(sheet))
    assert page.text == "x | TRUE\n"


def test_xml_nested_without_end_is_refused_or_read_flat(tmp_path: Path) -> None:
    assert read(tmp_path, "a.xlsx", workbook("<a>" * 200_000 + "</a>" * 200_000))[0].text == ""
    with pytest.raises(BrokenFile, match="damaged"):
        read(tmp_path, "a.docx", word("<w>" * 200_000 + "</w>" * 200_000))


@pytest.mark.parametrize("name", ["a.docx", "a.pptx", "a.xlsx", "a.epub"])
def test_what_would_unpack_to_too_much_is_refused_before(tmp_path: Path, name: str) -> None:
    bomb = zipped([("word/document.xml", b" " * 30_000_000)])
    with pytest.raises(TooLarge, match="unpacks"):
        read(tmp_path, name, bomb, Limits(file_bytes=20_000_000))


def test_an_archive_that_lies_about_its_sizes_is_damaged(tmp_path: Path) -> None:
    content = bytearray(workbook(b"<worksheet>" + b" " * 5_000_000 + b"</worksheet>"))
    at = content.rindex(b"xl/worksheets/s.xml") - 46
    assert content[at : at + 4] == b"PK\x01\x02"
    content[at + 24 : at + 28] = struct.pack("<I", 1_000)
    with pytest.raises(BrokenFile, match="damaged"):
        read(tmp_path, "a.xlsx", bytes(content))


@pytest.mark.parametrize("name", ["a.docx", "a.docm", "a.pptx", "a.xlsx", "a.xlsm"])
def test_a_password_is_asked_to_be_removed(tmp_path: Path, name: str) -> None:
    with pytest.raises(EncryptedFile, match="remove the password"):
        read(tmp_path, name, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\x00" * 600)


def test_a_copy_protected_book_is_refused_and_one_with_scrambled_fonts_is_not(tmp_path: Path) -> None:
    def protected(address: str) -> bytes:
        buffer = io.BytesIO(epub({"c.xhtml": "<p>text</p>"}))
        with zipfile.ZipFile(buffer, "a") as book:
            book.writestr("META-INF/encryption.xml", f'<encryption><CipherReference URI="{address}"/></encryption>')
        return buffer.getvalue()

    with pytest.raises(EncryptedFile, match="copy protection"):
        read(tmp_path, "a.epub", protected("b/c.xhtml"))
    assert read(tmp_path, "a.epub", protected("b/font.otf"))[0].text == "text\n"


def test_an_office_file_under_the_name_of_another_says_so(tmp_path: Path) -> None:
    for name in ("a.docx", "a.pptx"):
        with pytest.raises(BrokenFile, match="another kind"):
            read(tmp_path, name, SAMPLES["a.xlsx"])
    with pytest.raises(BrokenFile, match="not an e-book"):
        read(tmp_path, "a.epub", SAMPLES["a.docx"])
    with pytest.raises(WrongType, match="is a PNG image"):
        read(tmp_path, "a.jpg", SAMPLES["a.png"])


def test_a_workbook_with_macros_is_read_without_them(tmp_path: Path) -> None:
    buffer = io.BytesIO(SAMPLES["a.xlsx"])
    with zipfile.ZipFile(buffer, "a") as package:
        package.writestr("xl/vbaProject.bin", b"Sub AutoOpen()")
    [page] = read(tmp_path, "a.xlsm", buffer.getvalue())
    assert page.text == "Code | Meaning\nE-42 | 1.5\n"


def test_a_book_reaches_nothing_outside_itself(tmp_path: Path) -> None:
    (tmp_path / "secret.xhtml").write_text("<p>secret</p>")
    found = read(tmp_path, "a.epub", epub({"../../secret.xhtml": "", "good.xhtml": "<title/><p>good</p>"}))
    assert [page.text for page in found] == ["", "good\n"]
    assert found[0].warning is not None
    assert "no part" in found[0].warning


def test_a_damaged_slide_costs_itself_alone(tmp_path: Path) -> None:
    deck = pptx.Presentation()
    for text in ("one", "two"):
        deck.slides.add_slide(deck.slide_layouts[0]).shapes.title.text = text
    buffer = io.BytesIO()
    deck.save(buffer)
    broken = io.BytesIO()
    with zipfile.ZipFile(buffer) as good, zipfile.ZipFile(broken, "w") as bad:
        for name in good.namelist():
            bad.writestr(name, b"<p:sld" if name == "ppt/slides/slide1.xml" else good.read(name))
    pages = read(tmp_path, "a.pptx", broken.getvalue())
    assert [page.text for page in pages] == ["", "two\n"]
    assert pages[0].warning is not None


def bomb_png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("size", [(10_000, 10_000), (200_000, 200_000)])
def test_a_picture_that_claims_too_many_pixels_is_not_unpacked(tmp_path: Path, size: tuple[int, int]) -> None:
    with pytest.raises(TooLarge):
        read(tmp_path, "a.png", bomb_png(*size))


def test_a_picture_that_breaks_off_is_damaged(tmp_path: Path) -> None:
    with pytest.raises(BrokenFile, match="damaged"):
        read(tmp_path, "a.png", bomb_png(3_000, 3_000))
