"""The way of a document with a fake embedder and a sink that remembers: what is stored, failed and reported."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ingestion.chunker import ChunkerSettings
from ingestion.errors import Cancelled, IngestionError
from ingestion.parsers.base import Limits, Source
from ingestion.pipeline import IngestSummary, ReadyDocument, ingest_source
from model_runtime.fakes import HashingEmbedder


@dataclass
class MemorySink:
    current: dict[str, str] = field(default_factory=dict)
    documents: list[ReadyDocument] = field(default_factory=list)
    groups: list[int] = field(default_factory=list)
    failures: list[tuple[str, str, str]] = field(default_factory=list)
    reports: list[tuple[str, int, int | None]] = field(default_factory=list)
    stop: bool = False

    def is_current(self, external_id: str, content_hash: str) -> bool:
        return self.current.get(external_id) == content_hash

    def store(self, documents: Sequence[ReadyDocument]) -> None:
        self.documents.extend(documents)
        self.groups.append(len(documents))
        self.current.update({document.start.external_id: document.content_hash for document in documents})

    def failed(self, external_id: str, title: str, error: IngestionError) -> None:
        self.failures.append((external_id, title, error.code))

    def progress(self, stage: str, done: int, total: int | None) -> None:
        self.reports.append((stage, done, total))

    def cancelled(self) -> bool:
        return self.stop


class CountingEmbedder(HashingEmbedder):
    def __init__(self) -> None:
        super().__init__()
        self.calls: list[int] = []

    def embed_passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.calls.append(len(texts))
        return super().embed_passages(texts)


def ingest(path: Path, sink: MemorySink, embedder: HashingEmbedder | None = None, **options: int) -> IngestSummary:
    source = Source(path, path.name)
    return ingest_source(
        source, embedder or HashingEmbedder(), sink, chunker=ChunkerSettings(), limits=Limits(), **options
    )


def write_records(path: Path, records: Sequence[object]) -> Path:
    path.write_text("\n".join(json.dumps(record) for record in records))
    return path


def test_records_are_embedded_across_documents_and_stored_in_groups(tmp_path: Path) -> None:
    records = [
        {"_id": str(n), "title": f"T{n}", "text": f"Open lid {n}. Then close it.", "product": "P"} for n in range(1000)
    ]
    sink, embedder = MemorySink(), CountingEmbedder()
    summary = ingest(write_records(tmp_path / "r.jsonl", records), sink, embedder, batch_windows=300)
    assert (summary.stored, summary.failed, summary.passages, summary.windows) == (1000, 0, 1000, 1000)
    assert embedder.calls == [300] * 6 + [200]
    assert len(sink.groups) <= 5
    assert [document.start.external_id for document in sink.documents] == [str(n) for n in range(1000)]
    document = sink.documents[7]
    assert document.start.facets == {"product": "P"}
    assert (document.language, document.media_type) == ("en", "application/jsonl")
    [passage], [vectors] = document.passages, document.vectors
    expected = HashingEmbedder().embed_passages(["T7: Open lid 7. Then close it."] * 2).astype(np.float16)
    assert np.array_equal(vectors, expected)
    assert vectors.dtype == np.float16
    assert passage.embedded == ()


def test_the_same_content_again_is_passed_over_and_changed_records_are_not(tmp_path: Path) -> None:
    records = [{"_id": "a", "text": "One."}, {"_id": "b", "text": "Two."}]
    sink = MemorySink()
    ingest(write_records(tmp_path / "r.jsonl", records), sink)
    records[1]["product"] = "P"
    summary = ingest(write_records(tmp_path / "r.jsonl", records), sink)
    assert (summary.stored, summary.unchanged) == (1, 1)
    (tmp_path / "a.md").write_text("# A\n\nText.")
    assert ingest(tmp_path / "a.md", sink).stored == 1
    assert ingest(tmp_path / "a.md", sink).unchanged == 1


def test_failures_are_told_and_the_rest_goes_on(tmp_path: Path) -> None:
    records = [{"_id": "a", "text": "One."}, {"text": "no id"}, {"_id": "b", "text": " "}, {"_id": "c", "text": "Two."}]
    sink = MemorySink()
    summary = ingest(write_records(tmp_path / "r.jsonl", records), sink)
    assert (summary.stored, summary.failed) == (2, 2)
    assert sink.failures == [("r.jsonl#2", "line 2", "bad_record"), ("b", "b", "no_text")]
    (tmp_path / "a.md").write_bytes(b"")
    (tmp_path / "b.pdf").write_bytes(b"\x89PNG\r\n")
    (tmp_path / "c.txt").write_bytes(b" \n ")
    for name in ("a.md", "b.pdf", "c.txt"):
        assert ingest(tmp_path / name, sink).stored == 0
    assert [code for *_, code in sink.failures[2:]] == ["empty_file", "wrong_type", "no_text"]


def test_progress_ends_with_everything_done(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("\n\n".join(f"# H{n}\n\n" + "Open the lid now. " * 60 for n in range(9)))
    sink = MemorySink()
    summary = ingest(tmp_path / "a.md", sink, batch_windows=8)
    assert ("parsing", 1, 1) in sink.reports
    assert sink.reports[-1] == ("embedding", summary.windows, summary.windows)
    assert set(summary.seconds) == {"parse", "chunk", "embed", "store", "other"}


def test_a_cancelled_source_stores_nothing_half_done(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# A\n\n" + "Open the lid now. " * 500)
    sink = MemorySink(stop=True)
    with pytest.raises(Cancelled):
        ingest(tmp_path / "a.md", sink)
    assert sink.documents == []


def test_the_language_is_told(tmp_path: Path) -> None:
    sink = MemorySink()
    texts = {
        "zh": "打开 Smart Hub 阀门，等待十秒以后再关闭。",
        "en": "Open the valve and wait.",
        "": "Öffnen Sie das Gerät für die Übergänge.",
    }
    ingest(
        write_records(
            tmp_path / "r.jsonl", [{"_id": language or "de", "text": text} for language, text in texts.items()]
        ),
        sink,
    )
    assert [document.language for document in sink.documents] == list(texts)
