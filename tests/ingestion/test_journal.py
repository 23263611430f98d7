"""A long document is kept on disk, and taken up where an attempt that died had come to."""

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ingestion.chunker import ChunkerSettings
from ingestion.journal import Journal, digest
from ingestion.parsers.base import Limits, Resume, Source
from ingestion.pipeline import ReadyDocument, ingest_source
from ingestion.reader import Item
from ingestion.types import Block, BlockKind, DocumentStart, ParsedPage, PassageDraft, Span
from model_runtime.fakes import HashingEmbedder

PAGES = 60


class Dead(BaseException):
    """The worker has been killed, as far as a test can do that to itself."""


class Pages:
    """A reader of a made-up manual, which notes the pages that it was asked to read."""

    def __init__(self, count: int = PAGES) -> None:
        self.count = count
        self.read_pages: list[int] = []

    def read(self, source: Source, limits: Limits, resume: Resume, waiting: Any = None) -> Iterator[Item]:
        yield DocumentStart(source.external_id, "Manual", self.count, media_type="text/made-up")
        for number in range(resume.pages + 1, self.count + 1):
            self.read_pages.append(number)
            chapter = (f"Chapter {number // 7}",)
            text = (
                "".join(f"On page {number} press button {line} and wait for the light. " for line in range(20)) + "\n"
            )
            warning = "Smudged." if number == 5 else None
            block = Block(BlockKind.PARAGRAPH, 0, len(text), chapter)
            yield ParsedPage(number, text, (block,), str(number), ((0, 0, len(text)),), warning)


class Mortal(HashingEmbedder):
    """An embedder that notes its texts, and with which the worker dies after some calls."""

    def __init__(self, calls: int = 1_000_000) -> None:
        super().__init__()
        self.calls = calls
        self.texts: list[str] = []

    def embed_passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        if self.calls == 0:
            raise Dead
        self.calls -= 1
        self.texts += texts
        return super().embed_passages(texts)


class Shelf:
    """A sink that copies what it is given."""

    def __init__(self) -> None:
        self.stored: list[tuple[Any, ...]] = []
        self.most_pages = 0

    def is_current(self, external_id: str, content_hash: str) -> bool:
        return False

    def known_documents(self) -> dict[str, str]:
        return {}

    def known_vectors(self, external_ids: Collection[str], text_hashes: Collection[bytes]) -> dict[bytes, Any]:
        return {}

    def store(self, documents: Sequence[ReadyDocument]) -> None:
        for each in documents:
            vectors = [of_passage.tobytes() for of_passage in each.vectors]
            assert len(each.pages) == len(list(each.pages))
            assert len(each.passages) == len(vectors)
            self.stored.append(
                (each.language, *map(tuple, (each.pages, each.passages, vectors, each.warnings, each.text_hashes)))
            )

    def failed(self, external_id: str, title: str, error: Exception) -> None:
        raise error

    def progress(self, stage: str, done: int, total: int | None) -> None: ...

    def cancelled(self) -> bool:
        return False


def ingest(
    path: Path, journal: Journal | None, embedder: HashingEmbedder, reader: Pages, words: int = 40
) -> tuple[Any, ...]:
    shelf = Shelf()
    ingest_source(
        Source(path, "manual"), embedder, shelf,
        chunker=ChunkerSettings(window_words=words), limits=Limits(), reader=reader, journal=journal, batch_windows=16,
    )  # fmt: skip
    (document,) = shelf.stored
    return document


@pytest.fixture
def manual(tmp_path: Path) -> Path:
    path = tmp_path / "manual.any"
    path.write_text("what is in the file names the journal's recipe")
    return path


def test_a_long_document_comes_out_of_the_journal_as_it_went_in(manual: Path, tmp_path: Path) -> None:
    in_memory = ingest(manual, None, HashingEmbedder(), Pages())
    assert ingest(manual, Journal(tmp_path / "j" / "1"), HashingEmbedder(), Pages()) == in_memory
    assert len(in_memory[1]) == PAGES
    assert [(warning.page, warning.message) for warning in in_memory[4]] == [(5, "Smudged.")]


def die(manual: Path, journal: Path, calls: int) -> None:
    with pytest.raises(Dead):
        ingest(manual, Journal(journal), Mortal(calls), Pages())


def test_nothing_is_done_twice_after_a_death(manual: Path, tmp_path: Path) -> None:
    whole, everything = Mortal(), Pages()
    expected = ingest(manual, None, whole, everything)
    die(manual, tmp_path / "1", 2)
    die(manual, tmp_path / "1", 3)
    embedder, reader = Mortal(), Pages()
    assert ingest(manual, Journal(tmp_path / "1"), embedder, reader) == expected
    assert len(embedder.texts) < 0.9 * len(whole.texts)
    assert reader.read_pages[0] > 10
    assert set(embedder.texts) < set(whole.texts)


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_a_torn_or_damaged_journal_costs_work_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("torn")
    (folder / "manual").write_text("manual")
    expected = ingest(folder / "manual", None, HashingEmbedder(), Pages(24))
    journal = folder / "1"
    with pytest.raises(Dead):
        ingest(folder / "manual", Journal(journal), Mortal(2), Pages(24))
    content = bytearray(journal.read_bytes())
    del content[data.draw(st.integers(0, len(content))) :]
    if content and data.draw(st.booleans()):
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    journal.write_bytes(content)
    assert ingest(folder / "manual", Journal(journal), HashingEmbedder(), Pages(24)) == expected


def test_another_file_chunker_or_embedder_begins_anew(manual: Path, tmp_path: Path) -> None:
    def pages_read(words: int = 40) -> int:
        reader = Pages()
        ingest(manual, Journal(tmp_path / "1"), Mortal(), reader, words)
        return len(reader.read_pages)

    die(manual, tmp_path / "1", 2)
    assert pages_read(words=20) == PAGES
    (tmp_path / "1").unlink()
    die(manual, tmp_path / "1", 2)
    manual.write_text("another file")
    assert pages_read() == PAGES


def test_who_was_thought_dead_cannot_spoil_the_successors_journal(tmp_path: Path) -> None:
    def page(number: int) -> ParsedPage:
        return ParsedPage(number, f"Page {number}\n", ())

    passage = PassageDraft(("A",), (Span(1, 0, 4, "a"),), "Page", ((0, 4),), ("Page", "A: Page"))
    before, after = Journal(tmp_path / "1"), Journal(tmp_path / "1")
    before.begin("recipe")
    before.add_page(page(1))
    after.begin("recipe")
    before.add_page(page(2))
    vectors = np.arange(8, dtype=np.float16).reshape(2, 4)
    after.add_passage(passage, digest(passage), vectors, b"a text hash twice")
    after.close()
    successor = Journal(tmp_path / "1")
    successor.begin("recipe")
    assert [each.number for each in successor.pages] == [1]
    assert successor.has_passage(0, digest(passage))
    assert [each.text for each in successor.passages] == ["Page"]
    assert np.array_equal(next(iter(successor.vectors)), vectors)
    assert list(successor.text_hashes) == [b"a text hash twice"]
    successor.remove()
    assert not successor.exists
    assert list(tmp_path.iterdir()) == []
