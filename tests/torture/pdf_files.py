"""Broken and hostile PDFs, written object by object.

Owns a writer that lies on demand: offsets, counts and lengths are what the caller says. Every file is made by code
and the same each time.
"""

import random
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

FONT = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"
SENTENCE = b"Press the red button and wait until the water boils. "


@dataclass
class Pdf:
    """Objects by number; 1 is the catalog, 2 the page tree, 3 the font. `render` writes the file."""

    objects: dict[int, bytes] = field(default_factory=dict)
    last: int = 3

    def add(self, content: bytes) -> int:
        self.last += 1
        while self.last in self.objects:
            self.last += 1
        self.objects[self.last] = content
        return self.last

    def stream(self, content: bytes, entries: bytes = b"", *, length: int | None = None) -> int:
        return self.add(stream(content, entries, length))

    def page(self, content: bytes, entries: bytes = b"", *, box: bytes = b"[0 0 600 800]") -> int:
        contents = self.stream(content)
        resources = b"" if b"/Resources" in entries else b"/Resources << /Font << /F 3 0 R >> >>"
        return self.add(
            b"<< /Type /Page /Parent 2 0 R /MediaBox %s /Contents %d 0 R %s %s >>" % (box, contents, resources, entries)
        )

    def render(self, *pages: int, count: int | None = None, trailer: bytes = b"", root: bytes = b"") -> bytes:
        kids = b" ".join(b"%d 0 R" % page for page in pages)
        self.objects.setdefault(1, b"<< /Type /Catalog /Pages 2 0 R %s >>" % root)
        self.objects.setdefault(
            2, b"<< /Type /Pages /Kids [%s] /Count %d >>" % (kids, len(pages) if count is None else count)
        )
        self.objects.setdefault(3, FONT)
        return written(self.objects, trailer)


def stream(content: bytes, entries: bytes = b"", length: int | None = None) -> bytes:
    said = len(content) if length is None else length
    return b"<< /Length %d %s >>\nstream\n%s\nendstream" % (said, entries, content)


def written(objects: Mapping[int, bytes], trailer: bytes = b"") -> bytes:
    out = bytearray(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
    places: dict[int, int] = {}
    for number, content in sorted(objects.items()):
        places[number] = len(out)
        out += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    start = len(out)
    size = max(places) + 1
    out += b"xref\n0 %d\n0000000000 65535 f \n" % size
    for number in range(1, size):
        place = places.get(number)
        out += b"0000000000 65535 f \n" if place is None else b"%010d 00000 n \n" % place
    out += b"trailer\n<< /Size %d /Root 1 0 R %s >>\nstartxref\n%d\n%%%%EOF\n" % (size, trailer, start)
    return bytes(out)


def text(words: bytes = SENTENCE, y: int = 700) -> bytes:
    return b"BT /F 12 Tf 50 %d Td (%s) Tj ET\n" % (y, words)


def prose(number: int) -> bytes:
    """A paragraph in the middle of the page, with words of its own."""
    lines = [b"Valve %d-%d opens when lamp %d turns green." % (number, line, number * 31 + line) for line in range(8)]
    return b"".join(text(words, 500 - 15 * line) for line, words in enumerate(lines))


def good(pages: int = 3) -> bytes:
    pdf = Pdf()
    return pdf.render(*[pdf.page(prose(number)) for number in range(1, pages + 1)])


def among_good(make: Callable[[Pdf], int]) -> bytes:
    """A bad page between two good ones."""
    pdf = Pdf()
    return pdf.render(pdf.page(prose(1)), make(pdf), pdf.page(prose(2)))


def bomb(size: int, times: int = 1) -> bytes:
    """Zeros deflated, `times` times over."""
    packed = bytes(size)
    for _ in range(times):
        packed = zlib.compress(packed, 9)
    return packed


def pdf_files() -> Iterator[tuple[str, bytes]]:
    yield from damaged()
    yield from lying_structure()
    yield from hostile_content()
    yield from hostile_streams()


def damaged() -> Iterator[tuple[str, bytes]]:
    whole = good(12)
    for part in range(1, 12):
        yield f"truncated-{part:02}", whole[: len(whole) * part // 12]
    yield "header-only", b"%PDF-1.7\n"
    yield "header-then-binary", b"%PDF-1.7\n" + random.Random(1).randbytes(100_000)
    yield "zeros-after-header", b"%PDF-1.7\n" + bytes(1_000_000)
    for seed in range(12):
        damage = random.Random(seed)
        content = bytearray(whole)
        for _ in range(damage.randint(1, 200)):
            content[damage.randrange(len(content))] = damage.randrange(256)
        yield f"bits-{seed:02}", bytes(content)
    for seed in range(6):
        damage = random.Random(100 + seed)
        start, end = sorted(damage.sample(range(len(whole)), 2))
        yield f"hole-{seed}", whole[:start] + whole[end:]
        yield f"twice-{seed}", whole[:end] + whole[start:]
    yield "startxref-beyond", whole.replace(b"startxref\n", b"startxref\n9999999999")
    yield "no-xref", whole[: whole.rindex(b"xref\n0")]
    yield "crlf-mangled", whole.replace(b"\n", b"\r\n")
    yield "as-text-8-bit-lost", bytes(byte & 0x7F for byte in whole)


def lying_structure() -> Iterator[tuple[str, bytes]]:
    pdf = Pdf()
    page = pdf.page(text())
    yield "count-says-a-billion", pdf.render(page, count=1_000_000_000)
    yield "count-says-forty-thousand", Pdf(dict(pdf.objects) | {2: _tree(b"%d 0 R" % page, 40_000)}).render()
    yield "count-says-minus-one", Pdf(dict(pdf.objects) | {2: _tree(b"%d 0 R" % page, -1)}).render()
    yield "tree-holds-itself", Pdf(dict(pdf.objects) | {2: _tree(b"2 0 R", 5)}).render()
    yield "tree-holds-itself-and-a-page", Pdf(dict(pdf.objects) | {2: _tree(b"2 0 R %d 0 R 2 0 R" % page, 30)}).render()
    two = Pdf(dict(pdf.objects))
    first = two.add(b"<< /Type /Pages /Parent 2 0 R /Kids [%d 0 R] /Count 9 >>" % (max(two.objects) + 2))
    two.add(b"<< /Type /Pages /Parent %d 0 R /Kids [%d 0 R] /Count 9 >>" % (first, first))
    two.objects[2] = _tree(b"%d 0 R" % first, 9)
    yield "two-trees-hold-each-other", two.render()
    deep = Pdf()
    page = deep.page(text())
    for _ in range(20_000):
        page = deep.add(b"<< /Type /Pages /Kids [%d 0 R] /Count 1 >>" % page)
    yield "tree-20000-deep", deep.render(page)
    wide = Pdf()
    page = wide.page(text())
    for _ in range(12):
        page = wide.add(b"<< /Type /Pages /Kids [%s] /Count 1 >>" % (b"%d 0 R " % page * 12))
    yield "tree-of-twelve-to-the-twelfth", wide.render(page)
    yield "same-page-30000-times", Pdf(dict(pdf.objects) | {2: _tree(b"4 0 R " * 30_000, 30_000)}).render()
    many = Pdf()
    for _ in range(100_000):
        many.add(b"<< /Nothing null >>")
    yield "100000-objects", many.render(many.page(text()))
    yield "array-in-array", Pdf({5: b"[" * 100_000 + b"]" * 100_000}).render(4)
    nested = Pdf()
    nested.page(text(), b"/Odd " + b"<< /A " * 50_000 + b"1" + b" >>" * 50_000)
    yield "dictionary-in-dictionary", nested.render(max(nested.objects))
    yield "catalog-is-a-page", Pdf({1: b"4 0 R", 4: b"<< /Type /Page >>"}).render(4)
    chain = {number: b"%d 0 R" % (number + 1) for number in range(10, 5_000)} | {5_000: b"10 0 R"}
    yield "references-in-a-ring", Pdf(chain | {2: _tree(b"10 0 R", 1)}).render()
    outline = Pdf()
    page = outline.page(text())
    item = outline.add(b"")
    outline.objects[item] = b"<< /Title (Loop) /Parent %d 0 R /Next %d 0 R /First %d 0 R /Dest [%d 0 R /Fit] >>" % (
        item,
        item,
        item,
        page,
    )
    yield "outline-holds-itself", outline.render(page, root=b"/Outlines %d 0 R" % item)
    labels = Pdf()
    page = labels.page(text())
    node = labels.add(b"")
    labels.objects[node] = b"<< /Kids [%d 0 R %d 0 R] >>" % (node, node)
    yield "labels-hold-themselves", labels.render(page, root=b"/PageLabels %d 0 R" % node)
    yield from _broken_xrefs()


def _tree(kids: bytes, count: int) -> bytes:
    return b"<< /Type /Pages /Kids [%s] /Count %d >>" % (kids, count)


def _broken_xrefs() -> Iterator[tuple[str, bytes]]:
    whole = good(2)
    start = whole.rindex(b"xref\n0")
    yield "previous-is-itself", whole.replace(b"/Root 1 0 R", b"/Root 1 0 R /Prev %d" % start)
    yield "xref-says-a-billion", whole.replace(b"xref\n0 ", b"xref\n0 99999999")
    yield "size-is-huge", whole.replace(b"/Size ", b"/Size 2147483")
    pdf = Pdf()
    page = pdf.page(text())
    inner = pdf.add(b"")
    pdf.objects[inner] = stream(b"%d 0 1 8 << /Type /Catalog /Pages 2 0 R >>" % inner, b"/Type /ObjStm /N 2 /First 8")
    whole = pdf.render(page)
    table = b"".join(bytes((2, 0, inner, index)) for index in range(inner + 1))
    cross = stream(table, b"/Type /XRef /Size %d /W [1 2 1] /Root 1 0 R" % (inner + 1))
    body = whole[: whole.rindex(b"xref\n0")]
    yield (
        "objects-in-a-stream-within-itself",
        body + b"99 0 obj\n%s\nendobj\nstartxref\n%d\n%%%%EOF" % (cross, len(body)),
    )
    cross = stream(table, b"/Type /XRef /Size 2147483647 /W [1 2147483647 1] /Root 1 0 R")
    yield "xref-fields-huge", body + b"99 0 obj\n%s\nendobj\nstartxref\n%d\n%%%%EOF" % (cross, len(body))
    ring = Pdf()
    page = ring.page(text())
    ring.objects[page] = ring.objects[page].replace(b"/Contents 4 0 R", b"/Contents 8 0 R")
    ring.objects[8] = b"<< /Length 8 0 R >>\nstream\nBT ET\nendstream"
    yield "length-is-the-stream-itself", ring.render(page)


def hostile_content() -> Iterator[tuple[str, bytes]]:
    contents = {
        "q-200000-deep": b"q " * 200_000 + text() + b"Q " * 200_000,
        "q-without-end": b"q " * 1_000_000,
        "arrays-in-content": b"[" * 200_000 + b"]" * 200_000,
        "dictionaries-in-content": b"/A << " * 100_000 + b">> " * 100_000 + b"BDC " + text(),
        "string-without-end": b"BT /F 12 Tf (" + b"(" * 500_000,
        "million-operands": b"1 " * 1_000_000 + text(),
        "million-tiny-texts": b"BT /F 1 Tf " + b"0.01 0 Td (a) Tj " * 1_000_000 + b"ET",
        "million-blocks": b"BT /F 1 Tf (a) Tj ET " * 200_000,
        "million-characters-in-a-line": b"BT /F 0.001 Tf (" + SENTENCE * 20_000 + b") Tj ET",
        "all-in-one-place": b"BT /F 12 Tf " + b"1 0 0 1 50 50 Tm (x) Tj " * 100_000 + b"ET",
        "texts-everywhere": b"BT /F 9 Tf "
        + b"".join(b"1 0 0 1 %d %d Tm (w%d) Tj " % (n * 7919 % 600, n * 104_729 % 800, n) for n in range(60_000))
        + b"ET",
        "words-of-one-letter": b"BT /F 9 Tf "
        + b"".join(b"1 0 0 1 %d %d Tm (a) Tj " % (n % 100 * 6, 800 - n // 100) for n in range(60_000))
        + b"ET",
        "rules-everywhere": b"".join(b"0 %d m 600 %d l S " % (n % 800, n % 800) for n in range(100_000)) + text(),
        "grid-of-rules": b"".join(b"%d 0 m %d 800 l S 0 %d m 600 %d l S " % (n, n, n, n) for n in range(0, 600, 2))
        + b"".join(text(b"a  b", y) for y in range(0, 800, 3)),
        "columns-in-columns": b"".join(
            b"BT /F 6 Tf 1 0 0 1 %d %d Tm (c) Tj ET " % (x, y) for y in range(0, 800, 5) for x in range(0, 600, 15)
        ),
        "bad-numbers": b"BT /F 1e99 Tf -1e99 1e99 Td (" + SENTENCE + b") Tj 99999999999999999999 Tz (x) Tj ET",
        "zero-matrix": b"BT /F 12 Tf 0 0 0 0 0 0 Tm (" + SENTENCE + b") Tj ET",
        "size-zero": b"BT /F 0 Tf 50 700 Td (" + SENTENCE + b") Tj ET",
        "size-negative": b"BT /F -12 Tf 50 700 Td (" + SENTENCE + b") Tj ET",
        "controls": b"BT /F 12 Tf 50 700 Td <" + bytes(range(256)).hex().encode() + b"> Tj ET",
        "binary-content": random.Random(7).randbytes(300_000),
        "inline-image-without-end": b"BI /W 9999 /H 9999 /BPC 8 /CS /RGB ID " + bytes(1000),
    }
    for name, content in contents.items():
        yield name, among_good(lambda pdf, content=content: pdf.page(content))  # type: ignore[misc]
    boxes = {
        "box-enormous": b"[0 0 1e30 1e30]",
        "box-not-a-number": b"[(a) null /b 4 0 R]",
        "box-upside-down": b"[600 800 0 0]",
        "box-empty": b"[0 0 0 0]",
        "box-missing": b"null",
        "box-far-away": b"[-2147483648 -2147483648 2147483647 2147483647]",
    }
    for name, box in boxes.items():
        yield name, among_good(lambda pdf, box=box: pdf.page(text(), box=box))  # type: ignore[misc]
    yield "rotated-by-17", among_good(lambda pdf: pdf.page(text(), b"/Rotate 17 /UserUnit 1e20"))
    yield "form-draws-itself", among_good(_form_in_itself)
    yield "forms-draw-two-each", among_good(lambda pdf: _forms(pdf, 30, 2))
    yield "forms-in-a-row-5000", among_good(lambda pdf: _forms(pdf, 5_000, 1))
    yield "pattern-in-itself", among_good(_pattern_in_itself)
    yield from _bad_fonts()


def _form_in_itself(pdf: Pdf) -> int:
    form = pdf.add(b"")
    entries = b"/Type /XObject /Subtype /Form /BBox [0 0 600 800] /Resources << /XObject << /X %d 0 R >> >>" % form
    pdf.objects[form] = stream(b"/X Do /X Do", entries)
    return pdf.page(b"/X Do " + text(), b"/Resources << /Font << /F 3 0 R >> /XObject << /X %d 0 R >> >>" % form)


def _forms(pdf: Pdf, depth: int, times: int) -> int:
    content, resources = text(), b"/Font << /F 3 0 R >>"
    for _ in range(depth):
        entries = b"/Type /XObject /Subtype /Form /BBox [0 0 600 800] /Resources << %s >>" % resources
        form = pdf.stream(content, entries)
        content, resources = b"/X Do " * times, b"/XObject << /X %d 0 R >>" % form
    return pdf.page(content, b"/Resources << %s >>" % resources)


def _pattern_in_itself(pdf: Pdf) -> int:
    pattern = pdf.add(b"")
    entries = (
        b"/PatternType 1 /PaintType 1 /TilingType 1 /BBox [0 0 1 1] /XStep 0.0001 /YStep 0.0001 "
        b"/Resources << /Pattern << /P %d 0 R >> >>" % pattern
    )
    pdf.objects[pattern] = stream(b"/Pattern cs /P scn 0 0 1 1 re f", entries)
    resources = b"/Resources << /Font << /F 3 0 R >> /Pattern << /P %d 0 R >> >>" % pattern
    return pdf.page(b"/Pattern cs /P scn 0 0 600 800 re f " + text(), resources)


def _bad_fonts() -> Iterator[tuple[str, bytes]]:
    type0 = b"/Type /Font /Subtype /Type0 /BaseFont /None"
    fonts = {
        "font-missing": b"null",
        "font-without-map": b"<< %s /Encoding /Identity-H /DescendantFonts [<< /Type /Font /Subtype /CIDFontType2 "
        b"/BaseFont /None /CIDSystemInfo << /Registry (A) /Ordering (I) /Supplement 0 >> >>] >>" % type0,
        "font-descends-from-itself": b"<< %s /Encoding /Identity-H /DescendantFonts [3 0 R] >>" % type0,
        "font-without-descendants": b"<< %s /Encoding /Nowhere-H /DescendantFonts [] >>" % type0,
        "font-widths-endless": b"<< /Type /Font /Subtype /TrueType /BaseFont /X /FirstChar 0 /LastChar 2147483647 "
        b"/Widths [1e30 -1e30] >>",
        "font-type3-draws-itself": b"<< /Type /Font /Subtype /Type3 /FontBBox [0 0 9 9] /FontMatrix [1 0 0 1 0 0] "
        b"/CharProcs << /P 90 0 R >> /Encoding << /Differences [0 /P /P /P] >> /FirstChar 80 /LastChar 81 "
        b"/Widths [9 9] /Resources << /Font << /F 3 0 R >> >> >>",
        "font-file-is-garbage": b"<< /Type /Font /Subtype /TrueType /BaseFont /X /FontDescriptor << /Type "
        b"/FontDescriptor /FontName /X /Flags 4 /FontFile2 91 0 R >> >>",
        "font-map-is-garbage": b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /ToUnicode 92 0 R >>",
    }
    for name, font in fonts.items():
        pdf = Pdf({3: font})
        pages = [pdf.page(text()) for _ in range(3)]
        pdf.objects[90] = stream(b"9 0 0 0 9 9 d1 BT /F 9 Tf (P) Tj ET")
        pdf.objects[91] = stream(b"\x00\x01\x00\x00\xff\xff" + random.Random(3).randbytes(50_000))
        ranges = b"<00> <FF> <0041>\n" * 50_000 + b"<0000> <FFFFFFFF> <D800>\n"
        pdf.objects[92] = stream(b"begincmap 99999 beginbfrange\n" + ranges + b"endbfrange endcmap")
        yield name, pdf.render(*pages)


def hostile_streams() -> Iterator[tuple[str, bytes]]:
    def packed(content: bytes, filters: bytes, entries: bytes = b"") -> bytes:
        def make(pdf: Pdf) -> int:
            page = pdf.page(text())
            contents = pdf.stream(content, b"/Filter %s %s" % (filters, entries))
            pdf.objects[page] = pdf.objects[page].replace(b"/Contents", b"/Contents %d 0 R /Old" % contents)
            return page

        return among_good(make)

    flate = b"/FlateDecode"
    yield "flate-500-mb", packed(bomb(500_000_000), flate)
    yield "flate-3-gb-in-three-layers", packed(bomb(1_000_000_000, 3), b"[%s %s %s]" % (flate, flate, flate))
    yield "flate-of-spaces-and-texts", packed(zlib.compress(b"BT /F 1 Tf (aa) Tj ET " * 3_000_000, 9), flate)
    yield "flate-truncated", packed(zlib.compress(text() * 1_000)[:-50], flate)
    yield "flate-garbage", packed(random.Random(2).randbytes(100_000), flate)
    yield "filters-1000", packed(text(), b"[%s]" % (b"/ASCIIHexDecode " * 1_000))
    yield "filter-unknown", packed(text(), b"/NoSuchDecode")
    predictor = b"/DecodeParms << /Predictor 12 /Columns 2147483647 /Colors 32 /BitsPerComponent 16 >>"
    yield "predictor-huge", packed(zlib.compress(text()), flate, predictor)
    yield "lzw-garbage", packed(random.Random(4).randbytes(100_000), b"/LZWDecode")
    yield "run-length-bomb", packed(b"\x81 " * 3_000_000, b"/RunLengthDecode")
    yield "length-lies", among_good(lambda pdf: pdf.add(b"<< /Type /Page /Parent 2 0 R /Contents 2000 0 R >>"))
    images = {
        "jbig2-garbage": (b"/JBIG2Decode", random.Random(5).randbytes(20_000), 100),
        "jbig2-enormous": (b"/JBIG2Decode", b"\x00\x00\x00\x00\x30\x00\x01\x00\x00\x00\x13" + b"\x7f" * 19, 2**31 - 1),
        "dct-garbage": (b"/DCTDecode", b"\xff\xd8\xff\xe0" + random.Random(6).randbytes(20_000), 100),
        "jpx-garbage": (b"/JPXDecode", b"\x00\x00\x00\x0cjP  \r\n\x87\n" + random.Random(8).randbytes(20_000), 100),
        "ccitt-garbage": (b"/CCITTFaxDecode", random.Random(9).randbytes(20_000), 60_000),
        "image-enormous": (flate, bomb(1_000_000), 60_000),
    }
    for name, (decode, content, side) in images.items():
        yield name, among_good(lambda pdf, a=decode, b=content, c=side: _image(pdf, a, b, c))  # type: ignore[misc]
        scan = Pdf()
        yield f"{name}-alone", scan.render(_image(scan, decode, content, side, words=b""))


def _image(pdf: Pdf, decode: bytes, content: bytes, side: int, words: bytes | None = None) -> int:
    entries = b"/Type /XObject /Subtype /Image /Width %d /Height %d /ColorSpace /DeviceGray /BitsPerComponent 1" % (
        side,
        side,
    )
    image = pdf.stream(content, entries + b" /Filter " + decode)
    resources = b"/Resources << /Font << /F 3 0 R >> /XObject << /I %d 0 R >> >>" % image
    return pdf.page(b"q 600 0 0 800 0 0 cm /I Do Q " + (text() if words is None else words), resources)
