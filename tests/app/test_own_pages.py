"""Documents are shown as their own pages: PDF files, scans and pictures, alone and out of archives."""

import io
import zipfile
from importlib.resources import files

import pytest
from PIL import Image, ImageDraw, ImageFont
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from app import files as stored_files
from app.models import Document
from ingestion import archives
from ingestion.parsers.ocr import READ_BY_OCR
from ingestion.shown.page_marks import STRONG
from tests.installation import Installation

WIDTH, HEIGHT = 400, 300
LINES = ["Hold the orange handle firmly.", "Turn it until the bolt clicks."]


def sheet() -> Image.Image:
    """A scanned page, 3 pixels a point, with lines at 60 and 180 points from the top."""
    picture = Image.new("RGB", (3 * WIDTH, 3 * HEIGHT), "white")
    with files("justmytype_intl_cjk").joinpath("fonts/ofl/notosanssc/NotoSansSC[wght].ttf").open("rb") as file:
        font = ImageFont.truetype(file, 42)
    for number, line in enumerate(LINES):
        ImageDraw.Draw(picture).text((60, 180 + 360 * number), line, "black", font)
    return picture


def png() -> bytes:
    file = io.BytesIO()
    sheet().save(file, "PNG")
    return file.getvalue()


def pdf(*, scanned: bool) -> bytes:
    file = io.BytesIO()
    canvas = Canvas(file, pagesize=(WIDTH, HEIGHT), invariant=True)
    canvas.drawString(40, 200, "The purple pump needs oil every month.")
    canvas.showPage()
    if scanned:
        canvas.drawImage(ImageReader(sheet()), 0, 0, WIDTH, HEIGHT)
        canvas.showPage()
    canvas.save()
    return file.getvalue()


def archive(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in members.items():
            packed.writestr(name, content)
    return file.getvalue()


def picture_of(installation: Installation, hit: dict[str, object], number: int) -> Image.Image:
    answer = installation.client.get(
        f"/api/documents/{hit['document_id']}/pages/{number}.png", params={"passage": str(hit["passage_id"])}
    )
    assert answer.status_code == 200, answer.text
    return Image.open(io.BytesIO(answer.content)).convert("RGB")


def marked_rows(picture: Image.Image, height: float) -> list[float]:
    """The first and last height at which something is marked strongly, on a page so high."""
    rows = [y for y in range(picture.height) if STRONG in {picture.getpixel((x, y)) for x in range(picture.width)}]
    return [edge * height / picture.height for edge in (rows[0], rows[-1])]


def test_scans_and_pictures_are_marked_where_they_were_read(installation: Installation) -> None:
    installation.upload(("scan.pdf", pdf(scanned=True)), ("photo.png", png()))
    installation.work()
    documents = installation.documents()
    assert {name: each["status"] for name, each in documents.items()} == dict.fromkeys(
        ("scan.pdf", "photo.png"), "ready_with_warnings"
    )
    assert documents["scan.pdf"]["warnings"] == [{"page": 2, "message": READ_BY_OCR}]
    for hit in (each for each in installation.search("orange handle bolt") if LINES[0] in each["text"]):
        first, last = marked_rows(picture_of(installation, hit, hit["spans"][-1]["page"]), HEIGHT)
        assert 55 < first < 66
        assert 190 < last < 205


def test_documents_of_an_archive_have_the_pictures_that_they_have_alone(installation: Installation) -> None:
    folder = archive({"guide.pdf": pdf(scanned=False)})
    installation.upload(
        ("alone.pdf", pdf(scanned=False)),
        (
            "all.zip",
            archive({"docs/guide.pdf": pdf(scanned=False), "more.zip": folder, "notes.md": b"# Notes\n\nOil."}),
        ),
    )
    installation.work()
    documents = installation.documents()
    assert {name: each["media_type"] for name, each in documents.items()} == {
        "alone.pdf": "application/pdf",
        "docs/guide.pdf": "application/pdf",
        "more.zip/guide.pdf": "application/pdf",
        "notes.md": "text/markdown",
    }
    addresses = {name: f"/api/documents/{each['id']}/pages/1.png" for name, each in documents.items()}
    pictures = {name: installation.client.get(address).content for name, address in addresses.items()}
    assert pictures["alone.pdf"] == pictures["docs/guide.pdf"] == pictures["more.zip/guide.pdf"]
    assert pictures["notes.md"] != pictures["alone.pdf"]


def test_an_archive_that_no_longer_holds_the_file_is_gone_and_not_a_bug(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation.upload(("all.zip", archive({"docs/guide.pdf": pdf(scanned=False), "b.md": b"Oil."})))
    installation.work()
    document = installation.documents()["docs/guide.pdf"]
    address = f"/api/documents/{document['id']}/pages/1.png"
    assert installation.client.get(address).status_code == 200
    with monkeypatch.context() as patch:
        patch.setattr(archives, "_MOST_RATIO", 0)
        patch.setattr(archives, "_RATIO_MATTERS_FROM", 0)
        refused = installation.client.get(address, params={"scale": 1})
        assert refused.status_code == 410
        assert "as attacks do" in refused.json()["error"]["message"]
    with installation.services.database.read() as session:
        path = session.query(Document.file_path).filter(Document.id == document["id"]).scalar()
    place = stored_files.open_path(installation.services.settings.files_folder, path)
    for content in (archive({"other.pdf": b"%PDF-"}), b"PK\x03\x04 no archive", b""):
        place.write_bytes(content)
        refused = installation.client.get(address)
        assert (refused.status_code, refused.json()["error"]["code"]) == (410, "gone")
