"""PDFs of kinds that ought to be read, or refused with a reason: locked, with forms, attachments, odd pages."""

import io
import zlib
from collections.abc import Iterator

from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.pdfgen.canvas import Canvas

from tests.torture.pdf_files import Pdf, among_good, bomb, good, prose, stream, text


def pdf_kinds() -> Iterator[tuple[str, bytes]]:
    yield "locked-with-a-password", _locked("secret")
    yield "locked-without-a-password", _locked("")
    yield "locked-by-an-unknown-handler", good().replace(b"/Root 1 0 R", b"/Root 1 0 R /Encrypt << /Filter /No /V 9 >>")
    yield "locked-by-nothing", good().replace(b"/Root 1 0 R", b"/Root 1 0 R /Encrypt 999 0 R /ID [<00> <00>]")
    yield from _with_catalog_entries()
    boxes = {
        "box-negative": b"[-600 -800 0 0]",
        "box-of-one-point": b"[0 0 1 1]",
        "box-of-a-hair": b"[0 0 0.0001 800]",
        "box-of-200-inches": b"[0 0 14400 14400]",
        "box-of-a-mile": b"[0 0 4000000 4000000]",
        "box-of-three": b"[0 0 600]",
    }
    for name, box in boxes.items():
        yield name, among_good(lambda pdf, box=box: pdf.page(text(), box=box))  # type: ignore[misc]
        scan = Pdf()
        image = scan.stream(bomb(100_000), b"/Type /XObject /Subtype /Image /Width 800 /Height 800 /BitsPerComponent 8 "
                            b"/ColorSpace /DeviceGray /Filter /FlateDecode")  # fmt: skip
        resources = b"/Resources << /XObject << /I %d 0 R >> >>" % image
        yield f"{name}-and-a-scan", scan.render(scan.page(b"14400 0 0 14400 0 0 cm /I Do", resources, box=box))
    yield "crop-box-outside", among_good(lambda pdf: pdf.page(text(), b"/CropBox [9000 9000 9600 9800]"))
    yield "page-without-resources", among_good(lambda pdf: pdf.page(text(), b"/Resources null"))
    yield "no-pages", Pdf({2: b"<< /Type /Pages /Kids [] /Count 0 >>"}).render()
    yield "pages-are-null", Pdf({2: b"<< /Type /Pages /Kids [null 7 (a) /b] /Count 4 >>"}).render()
    yield "outline-of-200000", _long_outline(200_000)
    yield "outline-5000-deep", _deep_outline(5_000)
    yield "labels-of-200000", _long_labels(200_000)
    yield "two-versions", good(2) + _appended()
    yield "two-thousand-pages", good(2_000)
    yield "scans-100", _scans(100)


def _locked(password: str) -> bytes:
    buffer = io.BytesIO()
    canvas = Canvas(buffer, encrypt=StandardEncryption(password, ownerPassword="owner", strength=128))
    for line in range(9):
        canvas.drawString(72, 700 - 15 * line, f"Valve {line} opens when lamp {line * 31} turns green.")
    canvas.save()
    return buffer.getvalue()


def _with_catalog_entries() -> Iterator[tuple[str, bytes]]:
    """Good pages, and in the catalog what readers run, show or unpack; a parser must not."""
    attachment = b"/Names << /EmbeddedFiles << /Names [(a) << /Type /Filespec /F (a) /EF << /F 90 0 R >> >>] >> >>"
    entries = {
        "script-when-opened": b"/OpenAction << /S /JavaScript /JS (while (true) { app.alert('a') }) >>",
        "launches-a-program": b"/OpenAction << /S /Launch /F (/bin/sh) >>",
        "form-in-xml": b"/AcroForm << /Fields [] /XFA [(template) 90 0 R (datasets) 90 0 R] >>",
        "form-fields-in-a-ring": b"/AcroForm << /Fields [91 0 R] >>",
        "attachment-is-a-bomb": attachment,
        "names-hold-themselves": b"/Names << /Dests 92 0 R >>",
        "structure-holds-itself": b"/StructTreeRoot 93 0 R /MarkInfo << /Marked true >>",
        "layers-in-a-ring": b"/OCProperties << /OCGs [94 0 R] /D << /Order [94 0 R [94 0 R]] >> >>",
    }
    for name, root in entries.items():
        pdf = Pdf()
        pages = [pdf.page(prose(number)) for number in (1, 2)]
        pdf.objects[90] = stream(bomb(200_000_000), b"/Type /EmbeddedFile /Filter /FlateDecode")
        pdf.objects[91] = b"<< /T (a) /Kids [91 0 R 91 0 R] /Parent 91 0 R >>"
        pdf.objects[92] = b"<< /Kids [92 0 R 92 0 R] >>"
        pdf.objects[93] = b"<< /Type /StructTreeRoot /K 93 0 R /ParentTree 93 0 R >>"
        pdf.objects[94] = b"<< /Type /OCG /Name (a) /Usage 94 0 R >>"
        yield name, pdf.render(*pages, root=root)


def _long_outline(count: int) -> bytes:
    pdf = Pdf()
    page = pdf.page(prose(1))
    first, root = page + 2, page + 1
    for number in range(first, first + count):
        pdf.objects[number] = b"<< /Title (A) /Parent %d 0 R /Next %d 0 R /Dest [%d 0 R /Fit] >>" % (
            root, number + 1 if number + 1 < first + count else first, page
        )  # fmt: skip
    pdf.objects[root] = b"<< /First %d 0 R /Last %d 0 R /Count %d >>" % (first, first + count - 1, count)
    return pdf.render(page, root=b"/Outlines %d 0 R" % root)


def _deep_outline(depth: int) -> bytes:
    pdf = Pdf()
    page = pdf.page(prose(1))
    first = page + 1
    for number in range(first, first + depth):
        pdf.objects[number] = b"<< /Title (A) /First %d 0 R /Last %d 0 R /Count 1 /Dest [%d 0 R /Fit] >>" % (
            number + 1, number + 1, page
        )  # fmt: skip
    pdf.objects[first + depth] = b"<< /Title (Z) >>"
    return pdf.render(page, root=b"/Outlines %d 0 R" % first)


def _long_labels(count: int) -> bytes:
    pdf = Pdf()
    pages = [pdf.page(prose(number)) for number in range(2)]
    ranges = b"".join(b"%d << /S /r /P (%s) >> " % (number, b"p" * 300) for number in range(count))
    return pdf.render(*pages, root=b"/PageLabels << /Nums [%s] >>" % ranges)


def _appended() -> bytes:
    """An update that points back into nowhere."""
    empty = b"4 0 obj\n<< /Length 4 >>\nstream\nBT ET\nendstream\nendobj\n"
    return empty + b"xref\n4 1\n0000000009 00000 n \ntrailer\n<< /Size 5 /Root 1 0 R /Prev 7 >>\nstartxref\n9\n%%EOF\n"


def _scans(count: int) -> bytes:
    """Pages that are all picture, with nothing on them to be read."""
    pdf = Pdf()
    image = pdf.stream(
        zlib.compress(b"\xff" * 1_000_000, 9),
        b"/Type /XObject /Subtype /Image /Width 1000 /Height 1000 /BitsPerComponent 8 /ColorSpace /DeviceGray "
        b"/Filter /FlateDecode",
    )
    resources = b"/Resources << /XObject << /I %d 0 R >> >>" % image
    return pdf.render(*[pdf.page(b"q 600 0 0 800 0 0 cm /I Do Q", resources) for _ in range(count)])
