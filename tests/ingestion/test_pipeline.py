"""The way of a document with a fake embedder and a sink that remembers: what is stored, failed and reported."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ingestion.chunker import ChunkerSettings
from ingestion.errors import Cancelled, IngestionError
from ingestion.parsers.base import Limits, Source
from ingestion.pipeline import IngestSummary, ReadyDocument, ingest_source
from ingestion.waiting import HASH_LENGTH
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

    def known_documents(self) -> dict[str, str]:
        return dict(self.current)

    def known_vectors(
        self, external_ids: Collection[str], text_hashes: Collection[bytes]
    ) -> dict[bytes, NDArray[np.float16]]:
        latest = {document.start.external_id: document for document in self.documents}
        known = {
            hashes[HASH_LENGTH * row :][:HASH_LENGTH]: vector
            for external_id in external_ids & latest.keys()
            for hashes, vectors in zip(latest[external_id].text_hashes, latest[external_id].vectors, strict=True)
            for row, vector in enumerate(vectors)
        }
        return {each: known[each] for each in known.keys() & text_hashes}

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
        self.texts: list[str] = []

    def embed_passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.calls.append(len(texts))
        self.texts += texts
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
        {
            "_id": str(n),
            "title": f"T{n}",
            "text": f"Open the lid {n} and wait. Then close it for the day.",
            "product": "P",
        }
        for n in range(1000)
    ]
    sink, embedder = MemorySink(), CountingEmbedder()
    summary = ingest(write_records(tmp_path / "r.jsonl", records), sink, embedder, batch_windows=300)
    assert (summary.stored, summary.failed, summary.passages, summary.windows) == (1000, 0, 1000, 1000)
    assert embedder.calls == [150] * 6 + [100]  # of a passage that is a single window one text is embedded
    assert len(sink.groups) <= 5
    assert [document.start.external_id for document in sink.documents] == [str(n) for n in range(1000)]
    document = sink.documents[7]
    assert document.start.facets == {"product": "P"}
    assert (document.language, document.media_type) == ("en", "application/jsonl")
    [passage], [vectors] = document.passages, document.vectors
    expected = (
        HashingEmbedder()
        .embed_passages(["T7: Open the lid 7 and wait. Then close it for the day."] * 2)
        .astype(np.float16)
    )
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
        "de": "Öffnen Sie das Gerät für die Übergänge.",
        "": "E-42",
    }
    ingest(
        write_records(
            tmp_path / "r.jsonl", [{"_id": language or "none", "text": text} for language, text in texts.items()]
        ),
        sink,
    )
    assert [document.language for document in sink.documents] == list(texts)


_SENTENCE = st.sampled_from([f"Turn valve {n} until the lamp {chr(97 + n)} is green." for n in range(26)])
_SECTIONS = st.lists(st.lists(_SENTENCE, min_size=1, max_size=40), min_size=1, max_size=4)


def write_manual(folder: Path, sections: Sequence[Sequence[str]]) -> Path:
    path = folder / "manual.md"
    path.write_text("\n\n".join(f"# Chapter {n}\n\n{' '.join(each)}" for n, each in enumerate(sections)))
    return path


@settings(max_examples=60, deadline=None)
@given(before=_SECTIONS, after=_SECTIONS, batch_windows=st.sampled_from([1, 7, 500]))
def test_a_new_version_is_as_if_embedded_anew_and_no_known_text_is_embedded(
    tmp_path_factory: pytest.TempPathFactory,
    before: list[list[str]],
    after: list[list[str]],
    batch_windows: int,
) -> None:
    folder = tmp_path_factory.mktemp("versions")
    sink, fresh = MemorySink(), MemorySink()
    first, second, anew = CountingEmbedder(), CountingEmbedder(), CountingEmbedder()
    ingest(write_manual(folder, before), sink, first, batch_windows=batch_windows)
    sink.current.clear()
    summary = ingest(write_manual(folder, after), sink, second, batch_windows=batch_windows)
    ingest(folder / "manual.md", fresh, anew, batch_windows=batch_windows)
    ours, expected = sink.documents[-1], fresh.documents[-1]
    assert list(ours.passages) == list(expected.passages)
    assert [each.tobytes() for each in ours.vectors] == [each.tobytes() for each in expected.vectors]
    assert list(ours.text_hashes) == list(expected.text_hashes)
    assert set(second.texts) == set(anew.texts) - set(first.texts)
    assert summary.embedded == len(second.texts)
    assert summary.reused <= summary.passages + summary.windows - summary.embedded
    assert sink.reports[-1] == ("embedding", summary.windows, summary.windows)


def test_another_embedder_takes_nothing_over(tmp_path: Path) -> None:
    sink = MemorySink()
    path = write_manual(tmp_path, [["Turn the valve."], ["Wait for the lamp."]])

    def embedded(**attributes: str) -> tuple[int, int]:
        embedder = CountingEmbedder()
        for name, value in attributes.items():
            setattr(embedder, name, value)
        sink.current.clear()
        summary = ingest(path, sink, embedder)
        return summary.embedded, summary.reused

    assert embedded() == (2, 0)
    assert embedded() == (0, 4)
    assert embedded(identity="hashing@2") == (2, 0)
    assert embedded(identity="hashing@2", passage_prefix="text: ") == (2, 0)


def test_records_find_their_own_vectors_again(tmp_path: Path) -> None:
    """The same words elsewhere are another document's; a record whose metadata alone has changed embeds nothing."""
    records = [{"_id": str(n), "title": f"T{n}", "text": f"Open lid {n}."} for n in range(50)]
    sink, embedder = MemorySink(), CountingEmbedder()
    ingest(write_records(tmp_path / "r.jsonl", records), sink)
    records[3]["product"] = "P"
    records[4]["text"] = "Close the lid."
    records.append({"_id": "new", "title": "T7", "text": "Open lid 7."})
    summary = ingest(write_records(tmp_path / "r.jsonl", records), sink, embedder)
    assert (summary.stored, summary.unchanged, summary.reused) == (3, 48, 2)
    assert embedder.texts == ["T4: Close the lid.", "T7: Open lid 7."]
