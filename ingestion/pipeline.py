"""The way of a document: detect, parse, chunk, embed, hand over to storage.

Owns the order of the stages, the batches that are embedded across documents, and what a failure leaves behind:
nothing. Does not know SQL or indexes; `app` implements `Sink` over them. Expanding folders is the caller's work.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from time import perf_counter
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from ingestion.chunker import Chunker, ChunkerSettings
from ingestion.detect import parser_for
from ingestion.errors import Cancelled, IngestionError, NoText, PermanentError
from ingestion.language import language_of
from ingestion.parsers.base import Limits, Source
from ingestion.parsers.reading import reading
from ingestion.types import NO_PAGE, DocumentStart, PageWarning, ParsedPage, PassageDraft, RecordFailed
from model_runtime.embedder import Embedder

_Item = TypeVar("_Item")
_DOCUMENTS_PER_STORE = 200
_WINDOWS_PER_STORE = 2_000
_SECONDS_BETWEEN_REPORTS = 0.25


@dataclass(frozen=True, slots=True)
class ReadyDocument:
    """A document with all that is to be stored. `vectors[i]` is float16 [1 + windows, dimension] of passage i.

    `content_hash` is the SHA-256 of the file, or of the record where the file holds several documents.
    `language` is "zh", "en" or "" for others. The passages' `embedded` texts have been let go.
    """

    start: DocumentStart
    content_hash: str
    language: str
    media_type: str
    pages: tuple[ParsedPage, ...]
    passages: tuple[PassageDraft, ...]
    vectors: tuple[NDArray[np.float16], ...]
    warnings: tuple[PageWarning, ...]


@dataclass(frozen=True, slots=True)
class IngestSummary:
    """What became of a source. `seconds` are those spent on each stage: parse, chunk, embed, store."""

    stored: int
    unchanged: int
    failed: int
    pages: int
    passages: int
    windows: int
    seconds: Mapping[str, float]


class Sink(Protocol):
    """Storage as the pipeline sees it."""

    def is_current(self, external_id: str, content_hash: str) -> bool:
        """Whether this very content of the document is stored already, so that there is nothing to do."""
        ...

    def store(self, documents: Sequence[ReadyDocument]) -> None:
        """Stores complete documents in one transaction."""
        ...

    def failed(self, external_id: str, title: str, error: IngestionError) -> None:
        """Notes that a document cannot be read, and why."""
        ...

    def progress(self, stage: str, done: int, total: int | None) -> None:
        """At most a few times a second: pages done in stage "parsing", windows done in stage "embedding".

        `total` is None while it cannot be known, and an estimate for "embedding" until all pages are parsed.
        """
        ...

    def cancelled(self) -> bool:
        """Whether someone wants the work to stop."""
        ...


def ingest_source(
    source: Source,
    embedder: Embedder,
    sink: Sink,
    *,
    chunker: ChunkerSettings,
    limits: Limits,
    batch_windows: int = 512,
) -> IngestSummary:
    """Reads one file and hands its documents, complete with passages and vectors, to the sink.

    A document that cannot be read goes to `sink.failed`, the others of its file go on. Pages are read, cut and
    embedded as they come; held in memory are the pages and vectors of documents not yet stored, and one batch
    of at least `batch_windows` texts. Raises `TransientError` (try again) and `Cancelled`; documents stored
    before that stay and are passed over the next time.
    """
    work = _Work(embedder, sink, batch_windows)
    try:
        parser = parser_for(source.path, limits)
        cutter = Chunker(embedder, chunker)
        for document in _documents(work.timed("parse", parser.parse(source, limits))):
            if isinstance(document, RecordFailed):
                work.fail(document.external_id, document.title, document.error)
                continue
            start, pages = document
            content_hash = start.content_hash or _file_hash(source)
            if sink.is_current(start.external_id, content_hash):
                work.unchanged += 1
                if start.content_hash:
                    continue
                break  # nothing else in the file: its pages need not be read
            draft = work.begin(start, content_hash, parser.media_type)
            for passage in work.timed("chunk", cutter.chunk(start.title, work.read(draft, pages))):
                work.add(draft, passage)
            work.end(draft)
    except PermanentError as error:
        work.fail(source.external_id, source.title or source.path.name, error)
    return work.finish()


def _documents(
    items: Iterator[DocumentStart | ParsedPage | RecordFailed],
) -> Iterator[RecordFailed | tuple[DocumentStart, Iterator[ParsedPage]]]:
    """Each document with its pages, which are read from the parser as they are asked for."""
    following = next(items, None)
    while following is not None:
        if isinstance(following, RecordFailed):
            yield following
            following = next(items, None)
        elif isinstance(following, DocumentStart):
            rest: list[DocumentStart | RecordFailed] = []
            pages = _pages(items, rest)
            yield following, pages
            for _ in pages:
                pass  # what the caller did not read
            following = rest[0] if rest else None
        else:
            raise TypeError("a parser must yield a DocumentStart before the first page")


def _pages(
    items: Iterator[DocumentStart | ParsedPage | RecordFailed], rest: list[DocumentStart | RecordFailed]
) -> Iterator[ParsedPage]:
    """The pages up to the next document, which goes to `rest`."""
    for item in items:
        if not isinstance(item, ParsedPage):
            rest.append(item)
            return
        yield item


def _file_hash(source: Source) -> str:
    with reading(source.path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(slots=True)
class _Draft:
    """A document under way. It is complete when its last passage is known, ready when all have vectors."""

    start: DocumentStart
    content_hash: str
    media_type: str
    pages: list[ParsedPage] = field(default_factory=list)
    passages: list[PassageDraft] = field(default_factory=list)
    vectors: list[NDArray[np.float16]] = field(default_factory=list)
    complete: bool = False

    @property
    def ready(self) -> bool:
        return self.complete and len(self.vectors) == len(self.passages)

    @property
    def windows(self) -> int:
        return sum(len(passage.windows) for passage in self.passages)

    def document(self) -> ReadyDocument:
        warnings = (PageWarning(page.number, page.warning) for page in self.pages if page.warning)
        return ReadyDocument(
            start=self.start,
            content_hash=self.content_hash,
            language=language_of(page.text for page in self.pages),
            media_type=self.media_type,
            pages=tuple(self.pages),
            passages=tuple(self.passages),
            vectors=tuple(self.vectors),
            warnings=tuple(warnings),
        )


class _Work:
    """What is under way between parser and sink: drafts, the texts waiting to be embedded, and the counts."""

    def __init__(self, embedder: Embedder, sink: Sink, batch_windows: int) -> None:
        self._embedder = embedder
        self._sink = sink
        self._batch_windows = batch_windows
        self._drafts: list[_Draft] = []
        self._waiting: list[tuple[_Draft, Sequence[str]]] = []
        self._waiting_texts = 0
        self._seconds = dict.fromkeys(("parse", "chunk", "embed", "store", "other"), 0.0)
        self._stage = "other"
        self._stage_began = perf_counter()
        self._reported = {"parsing": 0.0, "embedding": 0.0}
        self._page_count: int | None = None
        self._embedded_windows = 0
        self.stored = self.unchanged = self.failed = 0
        self.pages = self.passages = self.windows = 0

    def begin(self, start: DocumentStart, content_hash: str, media_type: str) -> _Draft:
        self._page_count = None if start.content_hash else start.page_count
        self._drafts.append(_Draft(start, content_hash, media_type))
        return self._drafts[-1]

    def read(self, draft: _Draft, pages: Iterator[ParsedPage]) -> Iterator[ParsedPage]:
        for page in pages:
            draft.pages.append(page)
            self.pages += 1
            self._report("parsing", self.pages, self._page_count)
            yield page

    def add(self, draft: _Draft, passage: PassageDraft) -> None:
        self._waiting.append((draft, passage.embedded))
        self._waiting_texts += len(passage.embedded)
        draft.passages.append(replace(passage, embedded=()))
        self.passages += 1
        self.windows += len(passage.windows)
        if self._waiting_texts >= self._batch_windows:
            self._embed()
            self._store(at_once=False)

    def end(self, draft: _Draft) -> None:
        draft.complete = True
        if not draft.passages:
            self._drafts.remove(draft)
            has_pages = any(page.number != NO_PAGE for page in draft.pages)
            advice = ": if its pages are pictures, run it through OCR first" if has_pages else ""
            error = NoText(f"{draft.start.title} holds no text{advice}")
            self.fail(draft.start.external_id, draft.start.title, error)

    def fail(self, external_id: str, title: str, error: PermanentError) -> None:
        """Notes a failure and forgets the document that was under way."""
        self._drafts = [draft for draft in self._drafts if draft.complete]
        self._waiting = [(draft, texts) for draft, texts in self._waiting if draft.complete]
        self._waiting_texts = sum(len(texts) for _, texts in self._waiting)
        self.failed += 1
        self._sink.failed(external_id, title, error)

    def finish(self) -> IngestSummary:
        self._page_count = self.pages
        self._embed()
        self._store(at_once=True)
        self._reported = dict.fromkeys(self._reported, 0.0)
        self._report("parsing", self.pages, self.pages)
        self._report("embedding", self._embedded_windows, self.windows)
        self._switch("other")
        return IngestSummary(
            stored=self.stored,
            unchanged=self.unchanged,
            failed=self.failed,
            pages=self.pages,
            passages=self.passages,
            windows=self.windows,
            seconds=self._seconds,
        )

    def timed(self, stage: str, items: Iterator[_Item]) -> Iterator[_Item]:
        """The same items; the time until each comes is counted for the stage."""
        while True:
            before = self._switch(stage)
            try:
                item = next(items)
            except StopIteration:
                return
            finally:
                self._switch(before)
            yield item

    def _embed(self) -> None:
        """Embeds all that waits, across documents, in one call."""
        if not self._waiting:
            return
        before = self._switch("embed")
        texts = list(chain.from_iterable(texts for _, texts in self._waiting))
        rows = iter(self._embedder.embed_passages(texts).astype(np.float16))
        for draft, embedded in self._waiting:
            draft.vectors.append(np.stack(list(islice(rows, len(embedded)))))
            self._embedded_windows += len(embedded) - 1
        self._waiting, self._waiting_texts = [], 0
        self._switch(before)
        self._report("embedding", self._embedded_windows, self._expected_windows())

    def _store(self, *, at_once: bool) -> None:
        """Hands over what is ready, when it is enough for a transaction or nothing more will come."""
        ready = [draft for draft in self._drafts if draft.ready]
        enough = len(ready) >= _DOCUMENTS_PER_STORE or sum(d.windows for d in ready) >= _WINDOWS_PER_STORE
        if not ready or not (enough or at_once):
            return
        before = self._switch("store")
        self._drafts = [draft for draft in self._drafts if not draft.ready]
        self._sink.store([draft.document() for draft in ready])
        self.stored += len(ready)
        self._switch(before)

    def _expected_windows(self) -> int | None:
        if self._page_count is None:
            return None
        return round(self.windows * max(1.0, self._page_count / max(self.pages, 1)))

    def _report(self, stage: str, done: int, total: int | None) -> None:
        now = perf_counter()
        if now - self._reported[stage] >= _SECONDS_BETWEEN_REPORTS:
            self._reported[stage] = now
            if self._sink.cancelled():
                raise Cancelled("stopped on request")
            self._sink.progress(stage, done, total)

    def _switch(self, stage: str) -> str:
        now = perf_counter()
        self._seconds[self._stage] += now - self._stage_began
        before, self._stage, self._stage_began = self._stage, stage, now
        return before
