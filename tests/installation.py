"""What tests do to an installation: upload, let a worker work, search; or queue jobs and store documents directly."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

import numpy as np
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from app import jobs
from app.bootstrap import Services
from app.db import Database
from app.jobs import Claim, JobQueue
from app.models import Document, Generation, Job, KnowledgeBase, new_id
from app.passages import SqlPassageStore
from app.settings import Settings
from app.sink import SqlSink
from app.worker import run_until_idle
from ingestion.pipeline import ReadyDocument
from ingestion.types import DocumentStart, ParsedPage, PassageDraft, Span

DIMENSION = 4


class Installation:
    """One knowledge base, `manuals`, reached as users reach it: over HTTP, with a worker beside it."""

    def __init__(self, client: TestClient, services: Services) -> None:
        self.client = client
        self.services = services
        self.knowledge_base: str = self.post("/api/knowledge-bases", json={"name": "manuals"})["id"]

    def upload(self, *files: tuple[str, str | bytes], **fields: str) -> dict[str, Any]:
        """The answer to an upload of (name, content) files, which must be accepted."""
        answer: dict[str, Any] = self.post("/api/knowledge-bases/manuals/documents", files=form(files), data=fields)
        return answer

    def work(self) -> None:
        run_until_idle(self.services)

    def documents(self, **parameters: Any) -> dict[str, dict[str, Any]]:
        """All documents by external id."""
        return {each["external_id"]: each for each in self.listing(**parameters)["documents"]}

    def listing(self, **parameters: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self.get("/api/knowledge-bases/manuals/documents", **parameters)
        return answer

    def search(self, query: str, filter: Mapping[str, Any] | None = None, top_k: int = 10) -> list[dict[str, Any]]:
        request = {"query": query, "top_k": top_k, "filter": dict(filter or {})}
        hits: list[dict[str, Any]] = self.post("/api/knowledge-bases/manuals/search", json=request)["hits"]
        return hits

    def texts(self, query: str) -> str:
        """All that a search finds, as one text."""
        return "\n".join(hit["text"] for hit in self.search(query))

    def get(self, path: str, **parameters: Any) -> Any:
        response = self.client.get(path, params=parameters)
        assert response.status_code == 200, response.text
        return response.json()

    def post(self, path: str, **arguments: Any) -> Any:
        response = self.client.post(path, **arguments)
        assert response.status_code in (200, 201, 202), response.text
        return response.json()

    def stored_files(self) -> list[str]:
        """Names of all uploaded files that are kept."""
        folder = self.services.settings.files_folder
        return sorted(path.name for path in folder.rglob("*") if path.is_file())


def form(files: Sequence[tuple[str, str | bytes]]) -> list[tuple[str, tuple[str, bytes]]]:
    return [("files", (name, text.encode() if isinstance(text, str) else text)) for name, text in files]


def new_knowledge_base(database: Database, name: str = "manuals") -> str:
    """The id of a new knowledge base whose vectors have 4 dimensions."""
    row = KnowledgeBase(id=new_id(), name=name, generation_id=new_id())
    with database.write() as session:
        session.add(row)
        session.flush()
        session.add(new_generation(row))
    return row.id


def new_generation(knowledge_base: KnowledgeBase, dimension: int = DIMENSION) -> Generation:
    """The one that answers, of an embedder that does not exist."""
    return Generation(
        id=knowledge_base.generation_id,
        knowledge_base_id=knowledge_base.id,
        embedder="test",
        dimension=dimension,
        chunker_version="1",
    )


def generation_of(database: Database, knowledge_base_id: str) -> Generation:
    """The one that answers."""
    with database.read() as session:
        return session.get_one(KnowledgeBase, knowledge_base_id).generation


def store_of(database: Database, knowledge_base_id: str) -> SqlPassageStore:
    """The passages that answer."""
    generation = generation_of(database, knowledge_base_id)
    return SqlPassageStore(database, knowledge_base_id, generation.id, generation.dimension)


def new_job(
    session: Session, knowledge_base_id: str, external_id: str, *, is_new_document: bool = True, **values: Any
) -> Job:
    """Queues a source with the document that an upload would make, unless it is there."""
    job = Job(
        id=new_id(),
        knowledge_base_id=knowledge_base_id,
        source_name=external_id,
        source_path=f"{knowledge_base_id}/none/{external_id}",
        external_id=external_id,
        **values,
    )
    jobs.enqueue(session, job)
    if is_new_document:
        values = {"knowledge_base_id": knowledge_base_id, "external_id": external_id, "title": external_id}
        session.add(Document(job_id=job.id, **values))
    return job


def claimed_sink(database: Database, settings: Settings, knowledge_base_id: str) -> tuple[JobQueue, Claim, SqlSink]:
    """A job for a JSONL source, claimed, and its sink."""
    queue = JobQueue(database, lease_s=30, max_attempts=3)
    with database.write() as session:
        job = Job(
            id=new_id(),
            knowledge_base_id=knowledge_base_id,
            source_name="records.jsonl",
            source_path=f"{knowledge_base_id}/none/records.jsonl",
            external_id=f"records-{new_id()}.jsonl",
            media_type="application/jsonl",
        )
        jobs.enqueue(session, job)
    claim = queue.claim()
    assert claim is not None
    return queue, claim, SqlSink(queue, claim, settings, generation_of(database, knowledge_base_id), lambda: False)


def ready_document(external_id: str, texts: Sequence[str], **facets: object) -> ReadyDocument:
    """A document of one page a text, each text a passage with one window; vectors tell texts apart."""
    pages = tuple(
        ParsedPage(number, text + "\n", (), label=f"p-{number}", source_map=((0, 5, len(text)),))
        for number, text in enumerate(texts, start=1)
    )
    passages = tuple(
        PassageDraft(("Chapter", f"Section {number}"), (Span(number, 0, len(text)),), text, ((0, len(text)),), ())
        for number, text in enumerate(texts, start=1)
    )
    return ReadyDocument(
        start=DocumentStart(external_id, f"Title of {external_id}", len(pages), facets),
        content_hash=sha256("\0".join(texts).encode()).hexdigest(),
        language="en",
        media_type="application/pdf",
        pages=pages,
        passages=passages,
        vectors=tuple(vectors_of(text) for text in texts),
        text_hashes=tuple(sha256(text.encode()).digest() for text in texts),  # two of 16 bytes, as there are vectors
        warnings=(),
    )


def vectors_of(text: str) -> np.ndarray[Any, np.dtype[np.float16]]:
    """float16 [2, 4], made from the text."""
    numbers = np.frombuffer(sha256(text.encode()).digest()[: 2 * DIMENSION], np.uint8).reshape(2, DIMENSION)
    return (numbers / np.float32(255)).astype(np.float16)
