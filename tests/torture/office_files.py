"""Workbooks, presentations, e-books and tables that are broken or mean harm, beside good ones to damage.

Owns the good samples of every format but PDF, and the hostile ones of those that `tests.torture.make` does not write.
"""

import io
import zipfile
from collections.abc import Iterator, Mapping

import docx
import openpyxl
import pptx
from pptx.util import Inches

_WORDS = "Press the red button and wait until the water boils. "
_SHEET = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_SLIDE = "http://schemas.openxmlformats.org/presentationml/2006/main"
_DRAWING = "http://schemas.openxmlformats.org/drawingml/2006/main"
_RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"


def samples() -> Iterator[tuple[str, bytes]]:
    """A good file of each format, with something of everything that its parser knows."""
    yield "good.docx", _saved(_letter())
    yield "good.pptx", _saved(_talk())
    yield "good.xlsx", _saved(_table())
    yield "good.epub", epub({f"{number}.xhtml": f"<h1>Part {number}</h1><p>{_WORDS * 9}</p>" for number in range(3)})
    rows = "".join(f"<tr><td>E-{number}<td>Lamp {number}</tr>" for number in range(9))
    page = f"<title>Kettle</title><nav><a href=/>Home</a></nav><h1 id=a>Kettle</h1><p>{_WORDS * 9}<table>{rows}</table>"
    yield "good.html", page.encode()
    yield "good.csv", "".join(f'E-{number},"Lamp, {number}",{number * 7}\r\n' for number in range(60)).encode()
    records = (f'{{"_id": "{number}", "title": "T{number}", "text": "{_WORDS}", "n": 1.5}}\n' for number in range(30))
    yield "good.jsonl", "".join(records).encode()
    yield (
        "good.md",
        f"---\ntitle: Kettle\n---\n# Kettle\n\n{_WORDS}\n\n1. One\n   - two\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n"
        "```sh\nboil --now\n```\n\n> [a](b) **c** 水壶\n".encode(),
    )


def office_files() -> Iterator[tuple[str, bytes]]:
    for name, parts in {**_workbooks(), **_presentations()}.items():
        yield name, zipped(parts)
    yield from _e_books()
    yield "encrypted.docx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(10_000)
    tables = {
        "quote-without-end": b'a,b\n"' + b"c,d\n" * 400_000,
        "line-of-10-million": b"a" * 10_000_000,
        "columns-100000": b",".join(b"c%d" % number for number in range(100_000)) + b"\n1,2\n",
        "rows-100000": b"1,2\n" * 100_000,
        "quotes": b'"' * 1_000_000,
        "nul": b"a,b\0\n1,2\n",
        "commas": b"," * 2_000_000,
        "separator-odd": b"sep=\n\n" + b"a,b\n" * 9,
        "utf-16": "名称,值\n阀门,打开\n".encode("utf-16"),
        "gbk": ("名称,值\n阀门,打开\n" * 20).encode("gbk"),
        "big5": ("名稱,值\n閥門,打開\n" * 20).encode("big5"),
        "carriage-returns": b"a,b\r1,2\r" * 1_000,
    }
    for name, content in tables.items():
        yield f"{name}.csv", content


def wrongly_named() -> Iterator[tuple[str, bytes]]:
    """Every good sample under every other extension."""
    good = list(samples())
    suffixes = [name.rpartition(".")[2] for name, _ in good] + ["pdf", "zip", "png", "txt", "tiff", "doc", "xyz"]
    for name, content in good:
        for suffix in suffixes:
            if not name.endswith(suffix):
                yield f"{name.replace('.', '-is-')}.{suffix}", content


def zipped(parts: Mapping[str, str | bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as package:
        for name, content in parts.items():
            package.writestr(name, content)
    return buffer.getvalue()


def epub(chapters: Mapping[str, str], spine: str = "") -> bytes:
    items = "".join(
        f'<item id="i{n}" href="{name}" media-type="application/xhtml+xml"/>' for n, name in enumerate(chapters)
    )
    spine = spine or "".join(f'<itemref idref="i{n}"/>' for n in range(len(chapters)))
    container = '<container><rootfiles><rootfile full-path="book.opf"/></rootfiles></container>'
    book = f'<package xmlns="http://www.idpf.org/2007/opf"><manifest>{items}</manifest><spine>{spine}</spine></package>'
    named = container.replace("<container>", '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container">')
    return zipped({"META-INF/container.xml": named, "book.opf": book, **chapters})


def _workbooks() -> dict[str, dict[str, str]]:
    cell = '<c r="{0}" t="inlineStr"><is><t>x</t></is></c>'
    far = f'<row r="1048576">{cell.format("XFD1048576")}</row>'
    cells = "".join(f'<row r="{row}">{cell.format(f"A{row}")}</row>' for row in range(1, 30_001))
    merges = "".join(f'<mergeCell ref="A1:XFD{row}"/>' for row in range(1, 20_000))
    sheets = {
        "far-away": far,
        "rows-30000": cells,
        "row-number-huge": f'<row r="99999999999999">{cell.format("A99999999999999")}</row>',
        "cell-name-odd": f'<row r="1">{cell.format("ÄÖ-1")}{cell.format("")}{cell.format("A" * 5_000 + "1")}</row>',
        "string-number-odd": '<row r="1"><c r="A1" t="s"><v>-1</v></c><c r="B1" t="s"><v>1e99</v></c></row>',
        "rows-nested": "<row>" * 100_000,
        "text-50-million": f'<row r="1"><c r="A1" t="inlineStr"><is><t>{"a" * 50_000_000}</t></is></c></row>',
    }
    made = {f"{name}.xlsx": _workbook(f"<sheetData>{rows}</sheetData>") for name, rows in sheets.items()}
    made["merges-huge.xlsx"] = _workbook(f"<sheetData>{cells[:5_000]}</sheetData><mergeCells>{merges}</mergeCells>")
    made["sheet-cut.xlsx"] = _workbook(f"<sheetData>{cells[:4_000]}")
    bomb = '<!DOCTYPE a [<!ENTITY b "' + "c" * 1_000 + '">]>'
    made["entities.xlsx"] = _workbook("<sheetData/>") | {"xl/s.xml": f"{bomb}<worksheet>{'&b;' * 10_000}</worksheet>"}
    made["points-at-itself.xlsx"] = _workbook("<sheetData/>", target="../xl/workbook.xml")
    return made


def _workbook(content: str, target: str = "s.xml") -> dict[str, str]:
    sheets = '<sheets><sheet name="S" sheetId="1" r:id="r1"/></sheets>'
    return {
        "_rels/.rels": _related("officeDocument", "xl/workbook.xml"),
        "xl/workbook.xml": f'<workbook xmlns="{_SHEET}" xmlns:r="{_OFFICE}">{sheets}</workbook>',
        "xl/_rels/workbook.xml.rels": _related("worksheet", target),
        "xl/s.xml": f'<worksheet xmlns="{_SHEET}">{content}</worksheet>',
    }


def _presentations() -> dict[str, dict[str, str]]:
    shape = f"<p:sp><p:txBody><a:p><a:r><a:t>{_WORDS}</a:t></a:r></a:p></p:txBody></p:sp>"
    cell = f"<a:tc><a:txBody><a:p><a:r><a:t>{_WORDS}</a:t></a:r></a:p></a:txBody></a:tc>"
    table = f'<p:graphicFrame><a:graphic><a:graphicData uri="{_DRAWING}/table"><a:tbl>'
    table_end = "</a:tbl></a:graphicData></a:graphic></p:graphicFrame>"
    wide = cell.replace("<a:tc>", '<a:tc gridSpan="2147483647" rowSpan="2147483647">')
    trees = {
        "groups-5000-deep": "<p:grpSp>" * 5_000 + shape + "</p:grpSp>" * 5_000,
        "groups-200-deep": "<p:grpSp>" * 200 + shape + "</p:grpSp>" * 200,
        "shapes-100000": shape * 100_000,
        "paragraphs-300000": f"<p:sp><p:txBody>{'<a:p/>' * 300_000}</p:txBody></p:sp>",
        "span-huge": f"{table}<a:tr>{wide}</a:tr>{table_end}",
        "cells-50000": f"{table}<a:tr>{cell * 50_000}</a:tr>{table_end}",
    }
    made = {f"{name}.pptx": _presentation({"s1.xml": tree}) for name, tree in trees.items()}
    made["slides-3000.pptx"] = _presentation({f"s{number}.xml": shape for number in range(3_000)})
    made["slide-missing.pptx"] = {**_presentation({"s1.xml": shape}), "ppt/s1.xml": ""}
    notes = _presentation({"s1.xml": shape})
    notes["ppt/_rels/s1.xml.rels"] = _related("notesSlide", "s1.xml")
    made["slide-is-its-own-notes.pptx"] = notes
    return made


def _presentation(slides: Mapping[str, str]) -> dict[str, str]:
    listed = "".join(f'<p:sldId id="{256 + at}" r:id="r{at}"/>' for at in range(len(slides)))
    names = f'xmlns:p="{_SLIDE}" xmlns:a="{_DRAWING}" xmlns:r="{_OFFICE}"'
    targets = "".join(
        f'<Relationship Id="r{at}" Type="{_OFFICE}/slide" Target="{name}"/>' for at, name in enumerate(slides)
    )
    return {
        "_rels/.rels": _related("officeDocument", "ppt/presentation.xml"),
        "ppt/presentation.xml": f"<p:presentation {names}><p:sldIdLst>{listed}</p:sldIdLst></p:presentation>",
        "ppt/_rels/presentation.xml.rels": f'<Relationships xmlns="{_RELATIONS}">{targets}</Relationships>',
        **{
            f"ppt/{name}": f"<p:sld {names}><p:cSld><p:spTree>{tree}</p:spTree></p:cSld></p:sld>"
            for name, tree in slides.items()
        },
    }


def _related(kind: str, target: str) -> str:
    relation = f'<Relationship Id="r1" Type="{_OFFICE}/{kind}" Target="{target}"/>'
    return f'<Relationships xmlns="{_RELATIONS}">{relation}</Relationships>'


def _e_books() -> Iterator[tuple[str, bytes]]:
    chapter = f"<html><body><h1>One</h1><p>{_WORDS}</p></body></html>"
    yield "chapters-5000.epub", epub({f"{number}.xhtml": chapter for number in range(5_000)})
    yield "same-chapter-100000-times.epub", epub({"a.xhtml": chapter}, '<itemref idref="i0"/>' * 100_000)
    yield "chapter-deep.epub", epub({"a.xhtml": "<div>" * 50_000 + _WORDS})
    yield "chapter-is-a-picture.epub", epub({"a.png": "\x89PNG\r\n" + "x" * 1_000, "b.xhtml": chapter})
    yield "chapter-outside.epub", epub({"../../etc/passwd": chapter, "http://127.0.0.1/a": chapter})
    yield "chapter-is-the-book.epub", epub({"b.xhtml": chapter}, '<itemref idref="nothing"/>')
    yield "no-chapters.epub", epub({})
    yield "container-of-itself.epub", zipped({"META-INF/container.xml": '<a full-path="META-INF/container.xml"/>'})


def _saved(made: object) -> bytes:
    buffer = io.BytesIO()
    made.save(buffer)  # type: ignore[attr-defined]
    return buffer.getvalue()


def _letter() -> object:
    made = docx.Document()
    made.add_heading("Kettle", 1)
    for style in (None, "List Bullet", "List Number"):
        made.add_paragraph(_WORDS * 3, style)
    table = made.add_table(4, 3)
    for at, cell in enumerate(table._cells):
        cell.text = f"cell {at}"
    table.cell(0, 0).merge(table.cell(1, 0))
    return made


def _talk() -> object:
    made = pptx.Presentation()
    for number in range(4):
        slide = made.slides.add_slide(made.slide_layouts[1])
        slide.shapes.title.text = f"Slide {number}"
        slide.placeholders[1].text = _WORDS * 3
        slide.notes_slide.notes_text_frame.text = "Say it slowly."
    made.slides[0].shapes.add_table(2, 2, *(Inches(each) for each in (1, 1, 4, 2))).table.cell(0, 0).text = "cell"
    return made


def _table() -> object:
    made = openpyxl.Workbook()
    made.active.append(["Code", "Meaning", "Since"])
    for number in range(40):
        made.active.append([f"E-{number}", _WORDS, number * 1.5])
    made.active.merge_cells("A3:A5")
    made.create_sheet("Other").append(["a", "b"])
    return made
