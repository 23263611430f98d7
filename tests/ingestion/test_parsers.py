"""Parsers of documents without pages: exact blocks, and what is refused."""

import io
import json
import zipfile
from pathlib import Path

import docx
import pytest
from docx.oxml import parse_xml
from docx.oxml.ns import nsdecls
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingestion.detect import parser_for
from ingestion.errors import (
    BadRecord,
    BrokenFile,
    EmptyFile,
    EncryptedFile,
    IngestionError,
    TooLarge,
    TransientError,
    UnsupportedType,
    WrongType,
)
from ingestion.parsers.base import Limits, Source
from ingestion.parsers.jsonl import JsonlParser
from ingestion.parsers.reading import decode
from ingestion.types import DocumentStart, ParsedPage, RecordFailed

Items = list[DocumentStart | ParsedPage | RecordFailed]


def parse(path: Path, content: bytes | str, limits: Limits = Limits(), name: str = "file") -> Items:
    path = path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return list(parser_for(path, limits).parse(Source(path, name), limits))


def blocks(items: Items) -> list[tuple[str, tuple[str, ...], str]]:
    [start, page] = items
    assert isinstance(start, DocumentStart)
    assert isinstance(page, ParsedPage)
    return [(b.kind.value, b.heading_path, page.text[b.start : b.end]) for b in page.blocks]


def test_text_has_underlined_and_numbered_headings_lists_and_steps(tmp_path: Path) -> None:
    text = """Manual
======

Some text
that wraps.

1. Introduction

Read this.
1. First step
   goes on
2. Second step
- a bullet

1.1 Scope

All pumps.

第二章 安装

打开阀门。
"""
    items = parse(tmp_path, text, name="a.txt")
    manual, intro, scope = ("Manual",), ("1. Introduction",), ("1. Introduction", "1.1 Scope")
    assert blocks(items) == [
        ("heading", manual, "Manual\n======"),
        ("paragraph", manual, "Some text\nthat wraps."),
        ("heading", intro, "1. Introduction"),
        ("paragraph", intro, "Read this."),
        ("step", intro, "1. First step\n   goes on"),
        ("step", intro, "2. Second step"),
        ("list_item", intro, "- a bullet"),
        ("heading", scope, "1.1 Scope"),
        ("paragraph", scope, "All pumps."),
        ("heading", ("第二章 安装",), "第二章 安装"),
        ("paragraph", ("第二章 安装",), "打开阀门。"),
    ]


def test_steps_apart_are_not_taken_for_headings(tmp_path: Path) -> None:
    found = blocks(parse(tmp_path, "1. Open the lid\n\n2. Close the lid\n", name="a.txt"))
    assert [kind for kind, _, _ in found] == ["step", "step"]


def test_markdown(tmp_path: Path) -> None:
    text = """---
title: "The *Pump*"
---
# Pump *P-1*

See [the site](http://a.b) and `code`,
wrapped. Break  
here ![a picture](p.png)<br>there.

## 安装

3. Open
   the lid

   and wait

   ```
   run  it
   ```
4. Close
   - bullet

| Code | Meaning |
|------|---------|
| E-42 | `Door` open |
|      |  |

<div>raw <b>html</b></div>
"""
    items = parse(tmp_path, text, name="a.md")
    assert isinstance(items[0], DocumentStart)
    assert items[0].title == "The *Pump*"
    top, setup = ("Pump P-1",), ("Pump P-1", "安装")
    assert blocks(items) == [
        ("heading", top, "Pump P-1"),
        ("paragraph", top, "See the site and code, wrapped. Break\nhere a picture\nthere."),
        ("heading", setup, "安装"),
        ("step", setup, "3. Open the lid"),
        ("step", setup, "and wait"),
        ("code", setup, "run  it"),
        ("step", setup, "4. Close"),
        ("list_item", setup, "- bullet"),
        ("table_row", setup, "Code | Meaning"),
        ("table_row", setup, "E-42 | Door open"),
        ("paragraph", setup, "raw html"),
    ]


HTML = """<html><head><title>泵 Manual</title><style>x{}</style></head><body>
<nav>Home</nav><header>Company</header><div class="navheader">Prev Next</div>
<div id="sec-0"><h2>泵 Manual</h2><p>Text <b>E</b>-42 of
one line.<br>And another.</p><script>alert(1)</script>
<ol start="3"><li>Open <p>the lid</p></li><li value="7"><pre>  run
  it</pre></li></ol><ul><li>bullet</li></ul></div>
<h2 id="sec-1">Codes<a class="headerlink" href="#sec-1">¶</a></h2>
<table><tr><th>Code</th><th>Meaning</th></tr><tr><td><b>E</b>-42</td><td><p>Door</p><p>open</p></td></tr><tr><td></td></tr></table>
<dl><dt>FORMAT</dt><dt>F</dt><dd><p>Selects.</p><p>More.</p></dd><dt>ALONE</dt></dl>
<div class="note"><h3>Note</h3><p>Careful.</p></div><p>打开
阀门</p><footer>(c)</footer></body></html>"""


def test_html(tmp_path: Path) -> None:
    items = parse(tmp_path, HTML, name="a.html")
    assert isinstance(items[0], DocumentStart)
    assert items[0].title == "泵 Manual"
    top, codes = ("泵 Manual",), ("泵 Manual", "Codes")
    assert blocks(items) == [
        ("heading", top, "泵 Manual"),
        ("paragraph", top, "Text E-42 of one line.\nAnd another."),
        ("step", top, "3. Open"),
        ("step", top, "the lid"),
        ("step", top, "7."),
        ("code", top, "  run\n  it"),
        ("list_item", top, "- bullet"),
        ("heading", codes, "Codes"),
        ("table_row", codes, "Code | Meaning"),
        ("table_row", codes, "E-42 | Door open"),
        ("list_item", codes, "FORMAT\nF\nSelects."),
        ("list_item", codes, "More."),
        ("list_item", codes, "ALONE"),
        ("paragraph", codes, "Note"),
        ("paragraph", codes, "Careful."),
        ("paragraph", codes, "打开阀门"),
    ]
    assert isinstance(items[1], ParsedPage)
    assert [block.anchor for block in items[1].blocks] == ["sec-0"] * 7 + ["sec-1"] * 9


def test_html_that_is_only_navigation_is_read_whole(tmp_path: Path) -> None:
    assert blocks(parse(tmp_path, "<div class=toc>Chapter 1</div>", name="a.htm"))[0][2] == "Chapter 1"


@pytest.mark.parametrize(
    "content",
    [
        "<meta charset=gb2312><p>打开阀门</p>".encode("gbk"),
        '<?xml version="1.0" encoding="gbk"?><p>打开阀门</p>'.encode("gbk"),
        "<p>打开阀门</p>".encode("utf-16"),
        "<meta charset=ascii><p>打开阀门</p>".encode(),
        "<meta charset=nonsense><p>打开阀门</p>".encode("gb18030"),
    ],
)
def test_html_is_decoded_as_declared_or_as_found(tmp_path: Path, content: bytes) -> None:
    assert blocks(parse(tmp_path, content, name="a.html"))[-1][2] == "打开阀门"


def test_html_nested_without_end_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(BrokenFile, match="levels deep"):
        parse(tmp_path, "<div>" * 500_000, name="a.html")


TAGS = ["p", "ol", "li", "pre", "table", "tr", "td", "dl", "dt", "dd", "h1", "b", "br", "main", "div", "a id=x"]
PIECES = [*(f"<{tag}>" for tag in TAGS), *(f"</{tag}>" for tag in TAGS), "text", "阀", "<!--", "-->"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.sampled_from(PIECES)))
def test_any_html_gives_sound_blocks(tmp_path: Path, tags: list[str]) -> None:
    html = " ".join(tags)
    [_, page] = parse(tmp_path, "<body>" + html, name="a.html")
    assert isinstance(page, ParsedPage)
    end = 0
    for block in page.blocks:
        assert end <= block.start < block.end <= len(page.text)
        assert page.text[block.start : block.end].strip()
        end = block.end


def docx_bytes(document: object) -> bytes:
    buffer = io.BytesIO()
    document.save(buffer)  # type: ignore[attr-defined]
    return buffer.getvalue()


def test_docx(tmp_path: Path) -> None:
    document = docx.Document()
    document.add_heading("The Pump", 0)
    document.add_heading("Set-up", 1)
    document.add_paragraph("Open\nit.")
    for text in ("First", "Second"):
        document.add_paragraph(text, style="List Number")
    document.add_paragraph("bullet", style="List Bullet")
    table = document.add_table(2, 2)
    for cell, text in zip(table._cells, ("Code", "Meaning", "E-42", "Door\nopen"), strict=True):
        cell.text = text
    changed = document.add_paragraph("kept ")
    changed._p.append(parse_xml(f"<w:ins {nsdecls('w')}><w:r><w:t>new</w:t></w:r></w:ins>"))
    changed._p.append(parse_xml(f"<w:del {nsdecls('w')}><w:r><w:delText>old</w:delText></w:r></w:del>"))
    items = parse(tmp_path, docx_bytes(document), name="a.docx")
    assert isinstance(items[0], DocumentStart)
    assert items[0].title == "The Pump"
    top, setup = ("The Pump",), ("The Pump", "Set-up")
    assert blocks(items) == [
        ("heading", top, "The Pump"),
        ("heading", setup, "Set-up"),
        ("paragraph", setup, "Open\nit."),
        ("step", setup, "1. First"),
        ("step", setup, "2. Second"),
        ("list_item", setup, "- bullet"),
        ("table_row", setup, "Code | Meaning"),
        ("table_row", setup, "E-42 | Door open"),
        ("paragraph", setup, "kept new"),
    ]


def test_docx_that_would_unpack_to_too_much_is_refused_before(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as package:
        package.writestr("word/document.xml", b" " * 100_000_000)
    with pytest.raises(TooLarge, match="unpacks"):
        parse(tmp_path, buffer.getvalue(), name="a.docx")


def test_jsonl_records_are_documents_and_bad_lines_fail_alone(tmp_path: Path) -> None:
    lines = [
        '\ufeff{"_id": "a", "title": "Lid", "text": "Open.\\n\\nClose.", "section_path": "A > B", "n": [1]}',
        "",
        "not json",
        '{"_id": 7, "text": "x"}',
        '{"_id": "a", "text": "again"}',
        '{"title": "no id", "text": "x"}',
        '{"_id": "b"}',
        '{"_id": "c", "text": "\\ud800"}',
        '{"_id": "d", "text": "\\u0000"}',
        '{"_id": "e", "text": "x", "n": NaN}',
        '["_id"]',
        "[" * 100_000,
        '{"_id": "f", "text": "the escape \\\\u0000"}',
        json.dumps({"_id": "g", "text": "y" * 1000}),
    ]
    items = parse(tmp_path, "\n".join(lines), Limits(record_characters=200), name="a.jsonl")
    starts = [item for item in items if isinstance(item, DocumentStart)]
    assert [(s.external_id, s.title) for s in starts] == [("a", "Lid"), ("7", "7"), ("f", "f")]
    assert starts[0].facets == {"section_path": "A > B", "n": [1]}
    assert len({start.content_hash for start in starts}) == 3
    failed = [item for item in items if isinstance(item, RecordFailed)]
    assert [item.external_id for item in failed] == [f"a.jsonl#{n}" for n in (3, 5, 6, 7, 8, 9, 10, 11, 12, 14)]
    assert all(isinstance(item.error, BadRecord) for item in failed[:8])
    assert isinstance(failed[-1].error, TooLarge)
    assert all(f"line {n}" in str(item.error) for n, item in zip((3, 5, 6), failed, strict=False))


TRADITIONAL = [
    "請先關閉電源，再打開機器的上蓋。",
    "等待冷卻系統停止運轉之後，才能更換濾芯，否則可能會燙傷。",
    "錯誤代碼 E-42 表示水箱沒有安裝好，請重新安裝並聽到喀嗒一聲。",
    "若顯示螢幕沒有反應，請與經銷商聯絡，並告知產品型號與序號。",
]
OTHERS = [
    ("euc-kr", "전원을 끄고 기계의 덮개를 여십시오. 필터를 교체하기 전에 기다리십시오."),
    ("euc-jp", "電源を切ってから機械のカバーを開けてください。フィルターを交換する前にお待ちください。"),
    ("shift_jis", "電源を切ってから機械のカバーを開けてください。"),
    ("cp1251", "Выключите питание, прежде чем открывать крышку машины."),
    ("koi8-r", "Выключите питание, прежде чем открывать крышку машины."),
    ("cp1252", "Éteignez l'appareil avant d'ouvrir le couvercle supérieur, s'il vous plaît."),
    ("cp1252", "Größe überprüfen"),
]


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        *(
            (encoding, text)
            for encoding in ("big5", "cp950", "big5hkscs", "gb18030")
            for text in ("\n".join(TRADITIONAL), *TRADITIONAL[:3])
        ),
        ("big5", "型號,價格,說明\nLT-300,1.5,打開閥門\n"),
        ("big5hkscs", "上環碼頭喺邊度？佢哋嘅電話係乜嘢？" + TRADITIONAL[0]),
        *((encoding, "打开阀门") for encoding in ("utf-8", "utf-8-sig", "gbk", "gb18030", "utf-16", "utf-32")),
        *((encoding, "Press 打开阀门，等待十秒。\r\nThen go.\r") for encoding in ("gbk", "utf-16-le", "utf-16-be")),
    ],
)
def test_encodings_are_told_apart(encoding: str, text: str) -> None:
    assert decode(text.encode(encoding), "a.txt") == text.replace("\r\n", "\n").replace("\r", "\n")


@pytest.mark.parametrize(
    "content",
    [
        *(text.encode(encoding) for encoding, text in OTHERS),
        bytes(range(256)) * 9,
        b"\xff\xfea",
        "Ger\xe4t f\xfcr \xe9t\xe9 \xc0 \xf1".encode("latin-1"),
        b"a\x01\x02" * 9,
    ],
)
def test_what_is_no_text_is_refused(content: bytes) -> None:
    with pytest.raises(BrokenFile, match="a\\.txt"):
        decode(content, "a.txt")


@pytest.mark.parametrize(
    ("name", "content", "error", "message"),
    [
        ("a.pdf", b"\x89PNG\r\n\x1a\n", WrongType, "named .pdf but is a PNG image"),
        ("a.txt", b"%PDF-1.7", WrongType, "named .txt but is a PDF document"),
        ("a.pdf", b"hello", WrongType, "not a PDF document"),
        ("a.docx", b"hello", WrongType, "named .docx"),
        ("a.docx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", EncryptedFile, "password"),
        ("a.docx", b"PK\x03\x04broken", BrokenFile, "damaged"),
        ("a.md", b"", EmptyFile, "empty"),
        ("a.html", b"x" * 101, TooLarge, "limit"),
        ("a.doc", b"\xd0\xcf", UnsupportedType, r"save it as one of \.pdf, \.docx"),
        ("README", b"x", UnsupportedType, "without an extension"),
    ],
)
def test_bad_files_are_refused_with_what_to_do(
    tmp_path: Path, name: str, content: bytes, error: type[IngestionError], message: str
) -> None:
    with pytest.raises(error, match=message):
        parse(tmp_path, content, Limits(file_bytes=100), name=name)


def test_a_file_that_has_gone_is_worth_another_attempt(tmp_path: Path) -> None:
    with pytest.raises(TransientError):
        parser_for(tmp_path / "gone.md", Limits())


def test_a_record_without_text_is_its_title(tmp_path: Path) -> None:
    file = tmp_path / "records.jsonl"
    file.write_text('{"_id": "a", "title": "Connecting a soundbar", "text": ""}\n', encoding="utf-8")
    start, page = JsonlParser().parse(Source(file, "records.jsonl"), Limits())
    assert isinstance(start, DocumentStart)
    assert isinstance(page, ParsedPage)
    assert (start.title, page.text.strip()) == ("Connecting a soundbar", "Connecting a soundbar")
