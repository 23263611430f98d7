"""Pictures of pages with what is cited marked on them, and what becomes of citations when documents change."""

import io
import json
import zipfile
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from PIL import Image
from reportlab.pdfgen.canvas import Canvas
from sqlalchemy import delete, select, update

from app import cited_pages, source_maps
from app.bootstrap import Services
from app.cited_pages import boxes_of
from app.main import create_app
from app.models import Citation, Conversation, Document, KnowledgeBase, Message, Page, Passage, new_id
from app.shapes import CitationShape
from ingestion import archives
from ingestion.parsers.base import Limits, Source
from ingestion.parsers.pdf import PdfParser
from ingestion.types import ParsedPage
from rag.types import Span
from tests.app.live_app import CITATION, Script, ScriptedServices, wait_until
from tests.conftest import settings_in
from tests.installation import new_generation

QUOTE = "Hold the button for five seconds."
YELLOW = (255, 221, 51)


@pytest.fixture
def services(tmp_path: Path) -> Services:
    built = ScriptedServices(settings_in(tmp_path), Script())
    built.prepare()
    return built


@pytest.fixture
def client(services: Services) -> Iterator[TestClient]:
    with TestClient(create_app(services), base_url="http://localhost") as opened:
        yield opened


@pytest.fixture
def stored(services: Services) -> dict[str, str]:
    """A PDF of two pages as the worker would have stored it, and an answer that cites its second page."""
    file = services.settings.files_folder / "manual.pdf"
    file.parent.mkdir(parents=True, exist_ok=True)
    canvas = Canvas(str(file), pagesize=(300, 200))
    canvas.drawString(20, 150, "The first page says little.")
    canvas.showPage()
    canvas.drawString(20, 150, "To reset the device, do this.")
    canvas.drawString(20, 100, QUOTE)
    canvas.save()
    pages = [item for item in PdfParser().parse(Source(file, "manual.pdf"), Limits()) if isinstance(item, ParsedPage)]
    start = pages[1].text.index(QUOTE)
    with services.database.write() as session:
        base = KnowledgeBase(id=new_id(), name="manuals", generation_id=new_id())
        session.add(base)
        session.flush()
        session.add(new_generation(base, dimension=8))
        in_base = {"generation_id": base.generation_id}
        shared = {"knowledge_base_id": base.id, "version": 1, "status": "ready"}
        pdf = Document(**shared, external_id="manual.pdf", title="Manual", media_type="application/pdf", page_count=2)
        pdf.file_path = "manual.pdf"
        text = Document(**shared, external_id="notes.md", title="Notes", media_type="text/markdown")
        conversation = Conversation(knowledge_base_id=base.id)
        session.add_all((pdf, text, conversation))
        session.flush()
        for page in pages:
            packed = source_maps.pack(page)
            session.add(Page(**in_base, document_key=pdf.key, number=page.number, text=page.text, source_map=packed))
        session.add(Page(**in_base, document_key=text.key, number=0, text=f"Notes.\n{QUOTE}\n"))
        passage = Passage(
            **in_base,
            knowledge_base_id=base.id,
            document_key=pdf.key,
            added_change=1,
            ordinal=0,
            heading_path=[],
            spans=[[2, 0, len(pages[1].text), None]],
            windows=[],
            text=pages[1].text,
        )
        message = Message(
            conversation_id=conversation.id, ordinal=1, client_message_id="1", role="assistant", status="answered"
        )
        session.add_all((passage, message))
        session.flush()
        of_message = {"message_id": message.id, "passage_id": passage.id, "heading_path": [], "quote": QUOTE}
        cited = Citation(
            **of_message,
            marker=1,
            document_id=pdf.id,
            document_version=1,
            external_id="manual.pdf",
            title="Manual",
            spans=[[2, start, start + len(QUOTE), None]],
        )
        noted = Citation(
            **of_message,
            marker=2,
            document_id=text.id,
            document_version=1,
            external_id="notes.md",
            title="Notes",
            spans=[[0, 7, 7 + len(QUOTE), None]],
        )
        session.add_all((cited, noted))
        session.flush()
        return {"pdf": pdf.id, "text": text.id, "passage": passage.id, "cited": cited.id, "noted": noted.id}


def yellow_rows(png: bytes, height_points: int = 200) -> set[int]:
    """Heights, in points from the top, at which something is marked strongly."""
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    scale = picture.height / height_points
    return {
        round(y / scale)
        for y in range(picture.height)
        if any(picture.getpixel((x, y)) == YELLOW for x in range(0, picture.width, 2))
    }


def test_page_as_cited_has_the_quote_marked(client: TestClient, stored: dict[str, str]) -> None:
    response = client.get(f"/api/citations/{stored['cited']}/page.png")
    assert response.status_code == 200
    assert response.headers["content-type"] == "image/png"
    assert "private" in response.headers["cache-control"]
    rows = yellow_rows(response.content)
    assert rows
    assert all(85 < row < 110 for row in rows), "the quote's line only, not the line above"
    again = client.get(response.request.url, headers={"If-None-Match": response.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_pages_of_a_document(client: TestClient, stored: dict[str, str]) -> None:
    address = f"/api/documents/{stored['pdf']}/pages"
    assert yellow_rows(client.get(f"{address}/2.png").content) == set()
    assert len(yellow_rows(client.get(f"{address}/2.png", params={"passage": stored["passage"]}).content)) > 20
    assert yellow_rows(client.get(f"{address}/1.png", params={"passage": stored["passage"]}).content) == set()
    sizes = [
        Image.open(io.BytesIO(client.get(f"{address}/1.png", params={"scale": scale}).content)).size
        for scale in (0.5, 4)
    ]
    assert sizes == [(150, 100), (1200, 800)]
    assert client.get(f"/api/documents/{stored['text']}/pages/1.png").status_code == 200


@pytest.mark.parametrize(
    ("page", "status"),
    [
        ("3.png", 404),
        ("0.png", 422),
        ("-1.png", 422),
        ("99999999999.png", 422),
        ("x.png", 422),
        ("1.png?scale=100", 422),
        ("1.png?scale=nan", 422),
        ("1.png?passage=none", 404),
    ],
)
def test_impossible_pages(client: TestClient, stored: dict[str, str], page: str, status: int) -> None:
    refused = client.get(f"/api/documents/{stored['pdf']}/pages/{page}")
    assert refused.status_code == status
    assert refused.json()["error"]["message"]


def test_citations_outlive_their_documents(client: TestClient, services: Services, stored: dict[str, str]) -> None:
    before = client.get(f"/api/citations/{stored['cited']}").json()
    with services.database.write() as session:
        session.execute(update(Document).where(Document.id == stored["pdf"]).values(version=2))
    replaced = client.get(f"/api/citations/{stored['cited']}/page.png")
    with services.database.write() as session:
        session.execute(delete(Document).where(Document.id == stored["pdf"]))
    deleted = client.get(f"/api/citations/{stored['cited']}/page.png")
    for gone, says in ((replaced, "version 2"), (deleted, "deleted")):
        assert gone.status_code == 410
        assert gone.json()["error"]["code"] == "gone"
        assert says in gone.json()["error"]["message"]
    assert client.get(f"/api/citations/{stored['cited']}").json() == before


def test_file_that_is_missing_may_come_back_and_a_broken_one_does_not(
    client: TestClient, services: Services, stored: dict[str, str]
) -> None:
    file = services.settings.files_folder / "manual.pdf"
    address = f"/api/citations/{stored['cited']}/page.png"
    content = file.read_bytes()
    file.unlink()
    missing = client.get(address)
    assert (missing.status_code, missing.json()["error"]["code"]) == (503, "unavailable")
    assert "missing" in missing.json()["error"]["message"]
    file.write_bytes(content[:50])
    assert client.get(address).status_code == 410
    file.write_bytes(content)
    assert client.get(address).status_code == 200


def test_page_that_reads_otherwise_is_not_marked(
    client: TestClient, services: Services, stored: dict[str, str]
) -> None:
    """The generation that was cited has been dropped, and the one that answers has read the page anew."""
    with services.database.write() as session:
        session.execute(delete(Passage).where(Passage.id == stored["passage"]))
        shifted = update(Page).where(Page.number == 2).values(text="Once more. " + Page.text)
        session.execute(shifted)
    gone = client.get(f"/api/citations/{stored['cited']}/page.png")
    assert (gone.status_code, gone.json()["error"]["code"]) == (410, "gone")
    assert "read anew" in gone.json()["error"]["message"]
    shape = CitationShape.model_validate(client.get(f"/api/citations/{stored['cited']}").json())
    assert boxes_of(services, [shape]) == {stored["cited"]: []}


def test_file_is_opened_once_for_all_its_citations(
    monkeypatch: pytest.MonkeyPatch, client: TestClient, services: Services, stored: dict[str, str]
) -> None:
    """A document that came in an archive is unpacked to be looked at."""
    archive = services.settings.files_folder / "manual.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        packed.write(services.settings.files_folder / "manual.pdf", "manual.pdf")
    with services.database.write() as session:
        session.execute(update(Document).where(Document.id == stored["pdf"]).values(file_path="manual.zip"))
    unpacked: list[str] = []

    def member_file(path: Path, external_id: str, limits: Limits) -> AbstractContextManager[Path]:
        unpacked.append(external_id)
        return archives.member_file(path, external_id, limits)

    monkeypatch.setattr(cited_pages, "member_file", member_file)
    shape = CitationShape.model_validate(client.get(f"/api/citations/{stored['cited']}").json())
    assert len(boxes_of(services, [shape, shape, shape])[stored["cited"]]) == 1
    assert unpacked == ["manual.pdf"]


def test_document_that_cannot_be_drawn_costs_no_other_its_boxes(
    client: TestClient, services: Services, stored: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    with services.database.write() as session:
        lost = update(Document).where(Document.id == stored["text"])
        session.execute(lost.values(media_type="application/pdf", file_path="gone.pdf"))
    shapes = [
        CitationShape.model_validate(client.get(f"/api/citations/{stored[each]}").json()) for each in ("noted", "cited")
    ]
    for citations in (shapes, shapes[::-1]):
        found = boxes_of(services, citations)
        assert found.keys() == {stored["cited"]}
        assert len(found[stored["cited"]]) == 1
    assert "gone.pdf is missing" in caplog.text


def test_text_without_pages_is_drawn(client: TestClient, stored: dict[str, str]) -> None:
    response = client.get(f"/api/citations/{stored['noted']}/page.png")
    assert response.status_code == 200
    assert yellow_rows(response.content, 1000)


def test_boxes_follow_the_answer(client: TestClient, services: Services, stored: dict[str, str]) -> None:
    """The chain cites the stored PDF; after the answer has gone out, its citation gets its boxes."""
    with services.database.read() as session:
        row = session.scalars(select(Citation).where(Citation.id == stored["cited"])).one()
    real = replace(
        CITATION,
        document_id=row.document_id,
        passage_id=row.passage_id,
        quote=row.quote,
        spans=tuple(Span(*span) for span in row.spans),
    )
    conversation = client.post("/api/conversations", json={"knowledge_base": "manuals"}).json()["id"]
    script: Script = services.script  # type: ignore[attr-defined]
    script.citation = real
    answer = client.post(f"/api/conversations/{conversation}/messages", json={"text": "How?"}).json()
    address = f"/api/citations/{answer['citations'][0]['id']}"
    wait_until(lambda: client.get(address).json()["boxes"])
    (box,) = client.get(address).json()["boxes"]
    assert box["page"] == 2
    assert 18 <= box["x0"] < 22
    assert 85 < box["y0"] < box["y1"] < 110
    assert json.dumps(box)
