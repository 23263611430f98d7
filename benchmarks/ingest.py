"""What ingestion costs beyond embedding: the whole way of a document against embedding its texts alone.

    python -m benchmarks.ingest manual.pdf [--rounds 3]
    python -m benchmarks.ingest long.pdf --without-embedding
    python -m benchmarks.ingest long.pdf --memory

Prints pages per second, the ratio of the two times, and peak memory. The times are taken in turn, each in a process of
its own: (a) a worker's way from the queued file to a written index, (b) the same embedder over the same texts in the
same batches. The embedder is loaded before either clock starts. Memory is that of (a): the worker's, that of the
parser process below it, and their sum (`benchmarks.memory`).

`--without-embedding` is for files that would take hours to embed: random unit vectors take the place of the model, and
only (a) is measured, so that the memory printed is that of everything but the embedder. `--memory` measures (a) alone
with the embedder. Needs the default install only.
"""

import argparse
import hashlib
import json
import multiprocessing
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import select

from app.bootstrap import Services, build_services
from app.cli_verbs import SCOPE, migrate
from app.documents import accept
from app.knowledge_bases import NewKnowledgeBase, create_knowledge_base
from app.models import Document
from app.settings import Settings
from app.uploads import ReceivedFile, Upload
from app.worker import run_until_idle
from benchmarks.memory import watched_memory
from ingestion.parsers.base import Source
from ingestion.pipeline import ingest_source
from model_runtime.embedder import Embedder
from model_runtime.fakes import HashingEmbedder


def main() -> None:
    arguments = _arguments()
    whole, alone = [], []
    for _ in range(arguments.rounds):
        whole.append(in_process(ingest_whole, arguments.file, arguments.without_embedding))
        if not (arguments.without_embedding or arguments.memory):
            alone.append(in_process(embed_alone, arguments.file))
    seconds = statistics.median(each["seconds"] for each in whole)
    result = {
        "file": arguments.file.name,
        **{name: whole[0][name] for name in ("pages", "passages", "windows")},
        "ingestion_s": round(seconds, 1),
        "pages_per_s": round(whole[0]["pages"] / seconds, 1),
        **max((each["memory"] for each in whole), key=lambda memory: memory["sum_of_peaks_mb"]),
    }
    if alone:
        embedding = statistics.median(each["seconds"] for each in alone)
        result |= {"embedding_alone_s": round(embedding, 1), "ratio": round(seconds / embedding, 3)}
    print(json.dumps(result, indent=2))


def ingest_whole(pipe: Any, file: Path, without_embedding: bool = False) -> None:
    """From the queued file to documents that can be asked, the index on disk included."""
    with tempfile.TemporaryDirectory() as home:
        settings = Settings(home=Path(home))
        migrate(settings)
        services = build_services(settings, RandomEmbedder() if without_embedding else None)
        services.prepare()
        services.embedder.embed_question("warm up")
        create_knowledge_base(services, SCOPE, NewKnowledgeBase(name="benchmark"))
        with watched_memory() as peaks:
            started = time.perf_counter()
            queue(services, file)
            run_until_idle(services)
            seconds = time.perf_counter() - started
        pipe.send({"seconds": seconds, "memory": peaks.as_row(), **counts(services)})
        services.close()


def queue(services: Services, file: Path) -> None:
    """Uploads a copy of the file, as the API would."""
    folder = services.settings.files_folder / "incoming" / "benchmark"
    folder.mkdir(parents=True)
    copy = shutil.copyfile(file, folder / file.name)
    with copy.open("rb") as content:
        content_hash = hashlib.file_digest(content, "sha256").hexdigest()
    received = ReceivedFile(file.name, copy, copy.stat().st_size, content_hash)
    accept(services, SCOPE, "benchmark", Upload(files=[received]))


def counts(services: Services) -> dict[str, int]:
    """Pages, passages and windows of all documents; one that failed ends the benchmark."""
    with services.database.read() as session:
        documents = session.scalars(select(Document)).all()
    for each in documents:
        if not each.status.startswith("ready"):
            raise SystemExit(f"{each.external_id}: {each.status}: {each.message}")
    columns = {"pages": "page_count", "passages": "passage_count", "windows": "window_count"}
    return {name: sum(getattr(each, column) for each in documents) for name, column in columns.items()}


def embed_alone(pipe: Any, file: Path) -> None:
    """The very batches of the ingestion, recorded first, then embedded with nothing else to do."""
    services = build_services(Settings())
    recorder = Recorder(services.embedder)
    limits, chunker = services.limits, services.chunker_settings
    ingest_source(
        Source(file, file.name), recorder, NoSink(), chunker=chunker, limits=limits,
        batch_windows=services.settings.ingestion.batch_windows,
    )  # fmt: skip
    services.embedder.embed_question("warm up")
    started = time.perf_counter()
    for batch in recorder.batches:
        services.embedder.embed_passages(batch)
    pipe.send({"seconds": time.perf_counter() - started})


class RandomEmbedder(HashingEmbedder):
    """Counts words as tokens and answers with random vectors of the default embedder's dimension."""

    identity = "random@1"

    def __init__(self) -> None:
        super().__init__(dimension=384)
        self._random = np.random.default_rng(1)

    def embed_passages(self, texts: Sequence[str]) -> Any:
        vectors = self._random.standard_normal((len(texts), self.dimension), dtype=np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


class Recorder(Embedder):
    """An embedder that notes what it is asked to embed, and answers with unit vectors."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self.batches: list[list[str]] = []
        for name in ("identity", "dimension", "max_tokens", "overhead_tokens", "backend", "precision"):
            setattr(self, name, getattr(embedder, name))
        self.passage_prefix, self.query_prefix = embedder.passage_prefix, embedder.query_prefix

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return self._embedder.count_tokens(texts)

    def token_offsets(self, text: str) -> list[tuple[int, int]]:
        return self._embedder.token_offsets(text)

    def embed_passages(self, texts: Sequence[str]) -> Any:
        self.batches.append(list(texts))
        return np.full((len(texts), self.dimension), self.dimension**-0.5, dtype=np.float32)

    def embed_question(self, text: str) -> Any:
        return self._embedder.embed_question(text)


class NoSink:
    """Storage that keeps nothing."""

    def is_current(self, external_id: str, content_hash: str) -> bool:
        return False

    def known_documents(self) -> dict[str, str]:
        return {}

    def known_vectors(self, external_ids: Collection[str], text_hashes: Collection[bytes]) -> dict[bytes, Any]:
        return {}

    def store(self, documents: Sequence[Any]) -> None: ...

    def failed(self, external_id: str, title: str, error: Exception) -> None:
        raise error

    def progress(self, stage: str, done: int, total: int | None) -> None: ...

    def cancelled(self) -> bool:
        return False


def in_process(work: Any, *arguments: Any) -> dict[str, Any]:
    """What `work(pipe, *arguments)` sends from a process of its own. Ends the benchmark when it sends nothing."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=work, args=(sender, *arguments))
    process.start()
    sender.close()
    try:
        result: dict[str, Any] = receiver.recv()
    except EOFError:
        process.join()
        raise SystemExit(f"{work.__name__} failed with status {process.exitcode}") from None
    process.join()
    return result


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, help="the document to ingest")
    parser.add_argument("--rounds", type=int, default=1, help="how often both are measured in turn")
    parser.add_argument("--memory", action="store_true", help="the whole way alone, for files that take long")
    parser.add_argument("--without-embedding", action="store_true", help="random vectors: all but the model's own cost")
    return parser.parse_args()


if __name__ == "__main__":
    os.environ.setdefault("PYTHONHASHSEED", "0")
    main()
