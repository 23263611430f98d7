"""HTML as web sites and e-books have it: navigation told from content, tables, chapters."""

import io
import zipfile
from pathlib import Path

from ingestion.detect import parser_for
from ingestion.parsers.base import Limits, Source
from ingestion.types import DocumentStart, ParsedPage


def read(folder: Path, name: str, content: str | bytes) -> tuple[DocumentStart, list[ParsedPage]]:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    start, *pages = parser_for(path, Limits()).parse(Source(path, name), Limits())
    assert isinstance(start, DocumentStart)
    return start, [page for page in pages if isinstance(page, ParsedPage)]


LINKS = "".join(f'<li><a href="page{n}.html">Other page {n}</a></li>' for n in range(8))


def test_parts_named_like_navigation_go_when_they_are_mostly_links(tmp_path: Path) -> None:
    html = f"""<body><div class="site-header"><a href="/">Home</a> <a href="/help">Help</a></div>
    <div class="sphinxsidebarwrapper"><ul>{LINKS}</ul></div>
    <h1>Menus</h1><div class="menu-settings"><p>The menu <a href="#a">Sound</a> holds the tone, the balance and
    the <a href="#b">equaliser</a> of the device.</p></div>
    <div class="page-footer"><a href="a.html">Previous</a> | <a href="b.html">Next</a></div></body>"""
    _, [page] = read(tmp_path, "a.html", html)
    assert page.text == "Menus\n\nThe menu Sound holds the tone, the balance and the equaliser of the device.\n"


def test_long_lists_of_links_go_unless_they_stand_in_the_marked_content(tmp_path: Path) -> None:
    content = "<h1>Devices</h1><p>These are supported.</p>"
    _, [unmarked] = read(tmp_path, "a.html", f"<body><ul>{LINKS}</ul>{content}</body>")
    assert unmarked.text == "Devices\n\nThese are supported.\n"
    _, [marked] = read(tmp_path, "b.html", f"<body><main>{content}<ul>{LINKS}</ul></main></body>")
    assert marked.text.startswith("Devices\n\nThese are supported.\n\n- Other page 0\n- Other page 1\n")
    outside = LINKS.replace('href="', 'href="https://example.org/')
    _, [mirrors] = read(tmp_path, "c.html", f"<body>{content}<ul>{outside}</ul></body>")
    assert "- Other page 7" in mirrors.text


def test_table_cells_that_span_are_repeated(tmp_path: Path) -> None:
    html = """<table><caption>Codes</caption><tr><th>Group</th><th colspan=2>Code</th></tr>
    <tr><td rowspan="2">Doors</td><td>E-1</td><td>front</td></tr><tr><td>E-2</td><td>back</td></tr>
    <tr><td colspan="99999999999">x</td></tr></table>"""
    _, [page] = read(tmp_path, "a.html", html)
    lines = page.text.splitlines()
    assert lines[0] == "Codes"
    assert lines[2:5] == ["Group | Code | Code", "Doors | E-1 | front", "Doors | E-2 | back"]


def test_rows_of_a_long_table_have_the_names_of_its_columns(tmp_path: Path) -> None:
    rows = "".join(f"<tr><td>E-{n}</td><td>Door number {n} does not close</td></tr>" for n in range(60))
    _, [page] = read(tmp_path, "a.html", f"<h1>Codes</h1><table><tr><th>Code<th>Meaning</tr>{rows}</table><p>End</p>")
    assert {block.heading_path for block in page.blocks} == {("Codes",)}
    assert [block.columns for block in page.blocks] == [""] * 2 + ["Code | Meaning"] * 60 + [""]


def test_a_book_is_its_chapters_in_reading_order_without_its_contents_list(tmp_path: Path) -> None:
    opf = """<package xmlns="http://www.idpf.org/2007/opf" xmlns:dc="http://purl.org/dc/elements/1.1/">
    <metadata><dc:title>The  Pump</dc:title></metadata><manifest>
    <item id="n" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>
    <item id="two" href="text/b%20b.xhtml" media-type="application/xhtml+xml"/>
    <item id="one" href="text/a.xhtml" media-type="application/xhtml+xml"/>
    <item id="ncx" href="toc.ncx" media-type="application/x-dtbncx+xml"/>
    <item id="cover" href="cover.png" media-type="image/png"/></manifest>
    <spine toc="ncx"><itemref idref="n"/><itemref idref="cover"/><itemref idref="one"/><itemref idref="two"/>
    <itemref idref="gone"/></spine></package>"""
    ncx = """<ncx xmlns="http://www.daisy.org/z3986/2005/ncx/"><navMap><navPoint><navLabel><text>Care</text></navLabel>
    <content src="text/b%20b.xhtml#top"/></navPoint></navMap></ncx>"""
    container = (
        '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles><rootfile '
        'full-path="OPS/book.opf" media-type="application/oebps-package+xml"/></rootfiles></container>'
    )
    html = '<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><head><title/></head><body>{}</body></html>'
    parts = {
        "META-INF/container.xml": container,
        "OPS/book.opf": opf,
        "OPS/toc.ncx": ncx,
        "OPS/nav.xhtml": html.format("<p>Contents</p>"),
        "OPS/text/a.xhtml": html.format('<h1>打开</h1><a id="x"/><p>First<br/>page</p>'),
        "OPS/text/b b.xhtml": html.format("<p>Second page</p>"),
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as book:
        for name, content in parts.items():
            book.writestr(name, content)
    start, pages = read(tmp_path, "pump.epub", buffer.getvalue())
    assert (start.title, start.page_count) == ("The Pump", 2)
    assert [(page.number, page.label, page.text) for page in pages] == [
        (1, None, "打开\n\nFirst\npage\n"),
        (2, "Care", "Second page\n"),
    ]
    assert [block.heading_path for block in pages[1].blocks] == [("Care",)]
