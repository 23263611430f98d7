"""What ingestion costs beyond embedding: the whole way of a document against embedding its texts alone.

    python benchmarks/ingest.py manual.pdf

Prints pages per second, peak memory, and the ratio of the two times, measured in turn, each in a process of its
own: (a) a worker's way from the queued file to a written index, (b) the same embedder over the same texts in the
same batches. The embedder is loaded before either clock starts. Needs the default install only.
"""

import argparse
import json
import multiprocessing
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from app.bootstrap import build_services
from app.cli_ingest import ingest
from app.cli_verbs import services_for
from app.settings import Settings
from ingestion.parsers.base import Source
from ingestion.pipeline import ingest_source
from model_runtime.embedder import Embedder


def main() -> None:
    arguments = _arguments()
    context = multiprocessing.get_context("spawn")
    whole, alone = [], []
    for _ in range(arguments.rounds):
        whole.append(_in_process(context, ingest_whole, arguments.file))
        alone.append(_in_process(context, embed_alone, arguments.file))
    seconds = statistics.median(each["seconds"] for each in whole)
    embedding = statistics.median(each["seconds"] for each in alone)
    result = {
        "file": arguments.file.name,
        "pages": whole[0]["pages"],
        "passages": whole[0]["passages"],
        "windows": whole[0]["windows"],
        "ingestion_s": round(seconds, 1),
        "embedding_alone_s": round(embedding, 1),
        "ratio": round(seconds / embedding, 3),
        "pages_per_s": round(whole[0]["pages"] / seconds, 1),
        "peak_memory_mb": max(each["peak_mb"] for each in whole),
    }
    print(json.dumps(result, indent=2))


def ingest_whole(file: Path, pipe: Any) -> None:
    """From the queued file to documents that can be asked, the index on disk included."""
    with tempfile.TemporaryDirectory() as home:
        settings = Settings(home=Path(home))
        services_for(settings).embedder.embed_question("warm up")
        started = time.perf_counter()
        outcome = ingest(settings, "benchmark", [file], console=Console(quiet=True))
        seconds = time.perf_counter() - started
        document = outcome.documents[0]
        if not document.status.startswith("ready"):
            raise SystemExit(f"{document.external_id}: {document.status}: {document.message}")
        counts = {"pages": document.pages, "passages": document.passages, "windows": document.windows}
        pipe.send({"seconds": seconds, "peak_mb": _peak_mb(), **counts})


def embed_alone(file: Path, pipe: Any) -> None:
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

    def store(self, documents: Sequence[Any]) -> None: ...

    def failed(self, external_id: str, title: str, error: Exception) -> None:
        raise error

    def progress(self, stage: str, done: int, total: int | None) -> None: ...

    def cancelled(self) -> bool:
        return False


def _in_process(context: Any, work: Any, file: Path) -> dict[str, Any]:
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=work, args=(file, sender))
    process.start()
    sender.close()
    try:
        result: dict[str, Any] = receiver.recv()
    except EOFError:
        process.join()
        raise SystemExit(f"{work.__name__} failed with status {process.exitcode}") from None
    process.join()
    return result


def _peak_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, help="the document to ingest")
    parser.add_argument("--rounds", type=int, default=1, help="how often both are measured in turn")
    return parser.parse_args()


if __name__ == "__main__":
    os.environ.setdefault("PYTHONHASHSEED", "0")
    main()
