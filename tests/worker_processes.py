"""What tests run in processes of their own around a worker and a reader."""

import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import select

from app import sink
from app.bootstrap import Services, build_services
from app.models import KnowledgeBase
from app.settings import Settings
from app.worker import run_until_idle
from ingestion import pipeline
from ingestion.pipeline import ReadyDocument
from model_runtime.fakes import HashingEmbedder


def search_when_told(settings: Settings, folder: Path) -> None:
    """Searches once at the start and once after each `go-N` appears; writes the texts found to `found-N`."""
    services = build_services(settings, HashingEmbedder())
    for number in range(4):
        while not (folder / f"go-{number}").exists():
            time.sleep(0.01)
        (folder / "partial").write_text(_found(services))
        (folder / "partial").rename(folder / f"found-{number}")


def _found(services: Services) -> str:
    with services.database.read() as session:
        knowledge_base = session.scalars(select(KnowledgeBase)).one()
    return "\n".join(hit.passage.text for hit in services.retriever(knowledge_base).search("boil water", top_k=9).hits)


def die_while_storing(settings: Settings) -> None:
    """Works, and is killed when all rows of a document are written but not yet committed."""
    write_passages = sink._write_passages

    def write_and_die(*arguments: object) -> None:
        write_passages(*arguments)  # type: ignore[arg-type]
        os.kill(os.getpid(), signal.SIGKILL)

    sink._write_passages = write_and_die
    run_until_idle(build_services(settings, HashingEmbedder()))


def die_after_storing(settings: Settings, documents: int) -> None:
    """Works, storing one document at a time, and is killed when so many are stored."""
    pipeline._DOCUMENTS_PER_STORE = 1
    ingestion = settings.ingestion.model_copy(update={"batch_windows": 1})
    store, left = sink.SqlSink.store, [documents]

    def store_and_die(of_job: sink.SqlSink, ready: Sequence[ReadyDocument]) -> None:
        store(of_job, ready)
        left[0] -= len(ready)
        if left[0] <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

    sink.SqlSink.store = store_and_die  # type: ignore[method-assign]
    run_until_idle(build_services(settings.model_copy(update={"ingestion": ingestion}), HashingEmbedder()))


def die_while_embedding(settings: Settings, calls: int) -> None:
    """Works, and is killed when it is about to embed for the `calls`-th time."""
    embedder = HashingEmbedder()
    embed = embedder.embed_passages
    left = [calls]

    def embed_or_die(texts: Sequence[str]) -> Any:
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        return embed(texts)

    embedder.embed_passages = embed_or_die  # type: ignore[method-assign]
    run_until_idle(build_services(settings, embedder))
