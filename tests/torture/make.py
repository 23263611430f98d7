"""Broken and hostile files of every format, made by code: for the torture test, and for trying by hand.

    python -m tests.torture.make FOLDER

Nothing here is anyone's real document. `files()` gives names and contents, the same each time.
"""

import io
import json
import random
import sys
import zipfile
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path

from tests.torture.mutations import mutations
from tests.torture.office_files import office_files, samples, wrongly_named
from tests.torture.pdf_files import SENTENCE, good, pdf_files
from tests.torture.pdf_kinds import pdf_kinds
from tests.torture.picture_files import picture_files

_WORDS = SENTENCE.decode()
_TYPES = (
    '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Default Extension="xml" ContentType="application/xml"/>'
    '<Override PartName="/word/document.xml" '
    'ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>'
)
_RELATIONS = (
    '<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    '<Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" '
    'Target="word/document.xml"/></Relationships>'
)
_W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'


def files() -> Iterator[tuple[str, bytes]]:
    """(file name, content) of every file; several hundred megabytes in all are never in memory at once."""
    for name, content in chain(pdf_files(), pdf_kinds()):
        yield f"{name}.pdf", content
    yield from word_files()
    yield from office_files()
    yield from picture_files()
    yield from wrongly_named()
    yield from folders()
    yield from archive_files()
    yield from markup_files()
    yield from text_files()
    yield from record_files()


def archive(parts: Mapping[str, str | bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as package:
        for name, content in parts.items():
            package.writestr(name, content)
    return buffer.getvalue()


def word(body: str, prologue: str = "", **parts: str | bytes) -> bytes:
    document = f'<?xml version="1.0"?>{prologue}<w:document {_W}><w:body>{body}</w:body></w:document>'
    others = {name.replace("__", "/") + ".xml": content for name, content in parts.items()}
    base = {"[Content_Types].xml": _TYPES, "_rels/.rels": _RELATIONS, "word/document.xml": document}
    return archive(base | others)


def paragraph(words: str) -> str:
    return f"<w:p><w:r><w:t>{words}</w:t></w:r></w:p>"


def word_files() -> Iterator[tuple[str, bytes]]:
    whole = word(paragraph(_WORDS) * 50)
    for part in range(1, 8):
        yield f"truncated-{part}.docx", whole[: len(whole) * part // 8]
    for seed in range(8):
        damage = random.Random(seed)
        content = bytearray(whole)
        for _ in range(damage.randint(1, 60)):
            content[damage.randrange(len(content))] = damage.randrange(256)
        yield f"bits-{seed}.docx", bytes(content)
    entities = '<!DOCTYPE a [<!ENTITY a0 "lol">' + "".join(
        f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12)
    )
    yield "entity-bomb.docx", word(paragraph("&a11;"), entities + "]>")
    yield "entity-long.docx", word(paragraph("&a;" * 50_000), f'<!DOCTYPE a [<!ENTITY a "{_WORDS * 1_000}">]>')
    yield "entity-file.docx", word(paragraph("&a;"), '<!DOCTYPE a [<!ENTITY a SYSTEM "file:///etc/passwd">]>')
    yield "entity-parameter.docx", word(paragraph("x"), '<!DOCTYPE a [<!ENTITY % a SYSTEM "file:///dev/zero"> %a;]>')
    yield "nested-tables.docx", word("<w:tbl><w:tr><w:tc>" * 3_000 + "</w:tc></w:tr></w:tbl>" * 3_000)
    yield "nested-250-tables.docx", word("<w:tbl><w:tr><w:tc>" * 80 + paragraph(_WORDS) + "</w:tc></w:tr></w:tbl>" * 80)
    yield "nested-content.docx", word("<w:sdt><w:sdtContent>" * 100 + paragraph("x") + "</w:sdtContent></w:sdt>" * 100)
    yield "million-runs.docx", word("<w:p>" + "<w:r><w:t>a</w:t></w:r>" * 600_000 + "</w:p>")
    yield "empty-paragraphs.docx", word("<w:p/>" * 1_000_000)
    yield "million-characters-in-a-line.docx", word(paragraph(_WORDS * 20_000))
    yield "columns-20000.docx", word("<w:tbl><w:tr>" + f"<w:tc>{paragraph('c')}</w:tc>" * 20_000 + "</w:tr></w:tbl>")
    huge_span = '<w:tc><w:tcPr><w:gridSpan w:val="2000000000"/></w:tcPr><w:p/></w:tc>'
    yield "span-huge.docx", word(f"<w:tbl><w:tr>{huge_span}</w:tr></w:tbl>" + paragraph(_WORDS))
    yield "no-document.docx", archive({"[Content_Types].xml": _TYPES, "_rels/.rels": _RELATIONS})
    yield "empty-archive.docx", archive({})
    yield (
        "wrong-root.docx",
        archive({"[Content_Types].xml": _TYPES, "_rels/.rels": _RELATIONS, "word/document.xml": "<a/>"}),
    )
    yield "part-outside.docx", archive({"../../etc/passwd": "x", "/abs": "y", "[Content_Types].xml": _TYPES})


def archive_files() -> Iterator[tuple[str, bytes]]:
    zeros = bytes(300_000_000)
    bomb = archive({"zeros.txt": zeros, "word/document.xml": zeros[:1000]})
    epub: dict[str, str | bytes] = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": zeros,
        "a.xhtml": zeros,
    }
    lying = bytearray(archive({"a.txt": zeros[:50_000_000]}))
    place = lying.rindex(b"PK\x01\x02") + 24
    lying[place : place + 4] = (10).to_bytes(4, "little")  # the directory says ten bytes
    inner = archive({"a.txt": _WORDS})
    for _ in range(50):
        inner = archive({"a.zip": inner, "b.zip": inner} if len(inner) < 100_000 else {"a.zip": inner})
    many = archive({f"{number}.txt": "" for number in range(30_000)}, zipfile.ZIP_STORED)
    for suffix in ("docx", "pptx", "xlsx", "epub", "zip"):
        yield f"zip-bomb.{suffix}", bomb
        yield f"size-lies.{suffix}", bytes(lying)
        yield f"zip-in-zip.{suffix}", inner
        yield f"many-parts.{suffix}", many
        yield f"cut.{suffix}", bomb[: len(bomb) // 2]
        yield f"not-a-zip.{suffix}", b"PK\x03\x04" + random.Random(1).randbytes(10_000)
    yield "container-bomb.epub", archive(epub)


def folders() -> Iterator[tuple[str, bytes]]:
    """Archives in which good documents lie beside bad ones."""
    folder: dict[str, str | bytes] = dict(samples())
    folder.update(each for each in markup_files() if each[0] == "nested-inline.html")
    folder["inner.zip"] = archive({f"{'d/' * 200}{name}": content for name, content in folder.items()})
    folder.update({"manual.pdf": good(), "cut.pdf": good()[:900]})
    yield "folder.zip", archive(folder)
    yield "pictures-of-zeros.zip", archive({f"{number}.png": bytes(50_000_000) for number in range(10)})
    yield (
        "names.zip",
        archive(dict.fromkeys(("con.txt", " .txt", "a" * 900 + ".txt", "\u202e.txt", "a//b.txt"), _WORDS)),
    )
    yield "same-name-twice.zip", b"".join((archive({"a.txt": "one"}), archive({"a.txt": _WORDS})))
    yield "after-a-program.zip", b"MZ\x90\x00" + bytes(5_000) + archive({"a.txt": _WORDS})


def markup_files() -> Iterator[tuple[str, bytes]]:
    html = {
        "nested-100000": "<div>" * 100_000 + _WORDS,
        "nested-inline": "<b><i>" * 50_000 + _WORDS,
        "nested-lists": "<ul><li>" * 2_000 + _WORDS,
        "nested-tables": "<table><tr><td>" * 1_500 + _WORDS,
        "nested-unknown": "".join(f"<x{n}>" for n in range(50_000)) + _WORDS,
        "nested-svg": "<svg><g>" * 40_000 + _WORDS,
        "million-attributes": "<p " + " ".join(f"a{n}=1" for n in range(200_000)) + f">{_WORDS}</p>",
        "attribute-without-end": '<p class="' + "a" * 3_000_000,
        "comment-without-end": "<!--" + _WORDS * 20_000,
        "open-angles": "<" * 1_000_000,
        "entities": "&amp;&#x1F600;&nosuch;&#999999999;" * 100_000,
        "tables-wide": "<table><tr>" + "<td>c" * 100_000 + "</table>",
        "spans-huge": "<table><tr><td rowspan=65534 colspan=1000>a<td rowspan=65534>b"
        + "<tr><td>c" * 3_000
        + "</table>",
        "formatting-unclosed": "<p><a><b><font>" * 20_000 + _WORDS,
        "no-text": "<html><body></body></html>",
        "script-only": f"<script>{_WORDS * 1000}</script>",
        "charset-unknown": '<meta charset="no-such">' + _WORDS,
        "charset-of-another": '<meta charset="utf-16">' + _WORDS,
        "bidi": "<p>\u202e" + _WORDS + "\u2066\u2069\u200f</p>" * 100,
    }
    for name, content in html.items():
        yield f"{name}.html", content.encode()
    markdown = {
        "quotes": "> " * 20_000 + _WORDS,
        "quotes-in-lists": "> - " * 10_000 + _WORDS,
        "brackets": "[" * 100_000 + _WORDS,
        "brackets-closed": "[a](" * 50_000 + ")" * 50_000,
        "images": "![" * 50_000 + "](" * 50_000,
        "stars": "*a **a " * 50_000,
        "stars-alternating": "*_" * 50_000 + _WORDS,
        "backticks": "".join("e" + "`" * n for n in range(1, 1_200)),
        "lists-deep": "\n".join("  " * n + "- a" for n in range(1_500)),
        "references": "".join(f"[{n}]: /url\n" for n in range(50_000)) + "[a]" * 50_000,
        "angles": "<a href='" * 50_000,
        "entities": "&" * 200_000,
        "tables-wide": "|" + "a|" * 20_000 + "\n|" + "-|" * 20_000 + "\n" + "|" + "b|" * 20_000,
        "tables-half": "\n".join(["|a" * 3_000, "|-" * 3_000] + ["|"] * 3_000),
        "setext": "a\n=\n" * 100_000,
        "front-matter-without-end": "---\ntitle: x\n" + "a: b\n" * 200_000,
        "headings": "".join(f"{'#' * (n % 7)} H{n}\n" for n in range(100_000)),
        "html-blocks": "<div>\n" * 50_000,
    }
    for name, content in markdown.items():
        yield f"{name}.md", content.encode()


def text_files() -> Iterator[tuple[str, bytes]]:
    line = (_WORDS * 20_000).encode()
    texts = {
        "million-characters-in-a-line": line,
        "million-characters-in-a-word": b"a" * 1_000_000,
        "million-chinese-in-a-line": "水".encode() * 600_000,
        "million-empty-lines": b"\n" * 1_000_000 + b"end",
        "million-short-lines": b"a\n" * 700_000,
        "million-headings": b"A\n=\n\n" * 100_000,
        "nothing": b"",
        "spaces": b" \t\r\n" * 10_000,
        "zeros": bytes(500_000),
        "binary": random.Random(1).randbytes(500_000),
        "utf-16-without-mark": (_WORDS * 100).encode("utf-16-le"),
        "utf-16-big-without-mark": ("打开阀门，等待十秒以后再关闭。" * 100).encode("utf-16-be"),
        "utf-16-odd": b"\xff\xfe" + (_WORDS * 100).encode("utf-16-le") + b"a",
        "utf-8-cut": "水".encode()[:2],
        "utf-8-overlong": b"\xc0\xaf" * 1_000 + line[:1_000],
        "utf-8-surrogates": b"\xed\xa0\x80" * 1_000 + line[:1_000],
        "utf-16-mark": (_WORDS * 100).encode("utf-16"),
        "gbk": ("打开阀门，等待十秒以后再关闭。\n" * 100).encode("gbk"),
        "big5": ("打開閥門，等待十秒以後再關閉。\n" * 100).encode("big5"),
        "shift-jis": ("バルブを開き、十秒待ってから閉じます。\n" * 100).encode("shift-jis"),
        "line-of-10-million": b"a b " * 2_500_000,
        "latin-1": "Öffnen Sie das Gerät für die Übergänge.".encode("latin-1") * 100,
        "controls": bytes(range(1, 32)) * 100 + line[:100_000],
        "bidi": ("\u202e\u2066" + _WORDS + "\u202c\u2069\ufeff\u200b").encode() * 2_000,
        "combining": ("e" + "\u0301" * 20_000 + " ").encode() * 10,
        "emoji": "👩‍👩‍👧‍👦".encode() * 50_000,
        "unassigned": "\U000e0001\U0010ffff\ufdd0\uffff".encode() * 50_000,
        "vertical-tabs": (_WORDS + "\x0b\x0c\x85\u2028\u2029").encode() * 5_000,
        "full-stops": b". " * 500_000,
        "numbers": b"1.1.1.1.1 " * 100_000,
        "numbered-lines": b"".join(b"%d. a\n" % n for n in range(100_000)),
    }
    for name, content in texts.items():
        yield f"{name}.txt", content
    for suffix in ("pdf", "docx", "html", "md", "jsonl"):
        yield f"nothing.{suffix}", b""
        yield f"binary.{suffix}", random.Random(2).randbytes(200_000)
        yield f"zeros.{suffix}", bytes(200_000)


def record_files() -> Iterator[tuple[str, bytes]]:
    good = json.dumps({"_id": "good", "title": "T", "text": _WORDS})
    records = {
        "line-of-20-million": '{"_id": "1", "text": "' + "a" * 20_000_000 + '"}',
        "line-without-end": '{"_id": "1", "text": "' + "a" * 3_000_000,
        "deep-arrays": '{"_id": "1", "text": "x", "a": ' + "[" * 200_000 + "]" * 200_000 + "}",
        "deep-objects": '{"a": ' * 100_000 + "1" + "}" * 100_000,
        "number-huge": '{"_id": "1", "text": "x", "n": ' + "9" * 1_000_000 + "}",
        "exponent-huge": '{"_id": "1", "text": "x", "n": 1e999999}',
        "keys-100000": json.dumps({"_id": "1", "text": "x"} | {f"k{n}": n for n in range(100_000)}),
        "id-huge": json.dumps({"_id": "i" * 500_000, "text": _WORDS}),
        "id-number-huge": '{"_id": ' + "9" * 5_000 + ', "text": "x"}',
        "surrogate": '{"_id": "1", "text": "\\ud800 alone"}',
        "nul": '{"_id": "1", "text": "a\\u0000b"}',
        "same-keys": '{"_id": "1", "_id": "2", "text": "x", "text": "y"}',
        "blank-lines": "\n" * 500_000,
        "no-records": "1\n2\n[]\nnull\n",
        "text-of-full-stops": json.dumps({"_id": "1", "text": ". " * 300_000}),
    }
    for name, content in records.items():
        yield f"{name}.jsonl", f"{content}\n{good}\n".encode()


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in chain(files(), mutations(200)):
        (folder / name).write_bytes(content)


if __name__ == "__main__":
    main()
