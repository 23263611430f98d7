"""The way of a document: detect, parse, chunk, embed, hand over to storage.

Owns the order of the stages, the batches that are embedded across documents, and what a failure leaves behind:
nothing. Does not know SQL or indexes; `app` implements `Sink` over them. Expanding folders is the caller's work.
"""

import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import cache, partial
from importlib.metadata import version
from itertools import chain
from time import perf_counter
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from ingestion.archives import is_archive
from ingestion.chunker import CHUNKER_VERSION, Chunker, ChunkerSettings
from ingestion.documents import BrokenOff, documents_of
from ingestion.draft import Draft, ReadyDocument
from ingestion.errors import Cancelled, IngestionError, NoText, PermanentError
from ingestion.journal import Journal, digest
from ingestion.parsers.base import Limits, Resume, Source
from ingestion.parsers.reading import reading
from ingestion.reader import HereReader, Reader
from ingestion.types import DocumentStart, ParsedPage, PassageDraft, RecordFailed
from ingestion.waiting import Waiting
from model_runtime.embedder import Embedder

__all__ = ["IngestSummary", "ReadyDocument", "Sink", "ingest_source"]

_Item = TypeVar("_Item")
_DOCUMENTS_PER_STORE = 200
_WINDOWS_PER_STORE = 2_000
_LONGEST_SHOWN = 100
_MOST_PAGES_IN_MEMORY = 16
_SECONDS_BETWEEN_REPORTS = 0.25


@dataclass(frozen=True, slots=True)
class IngestSummary:
    """What became of a source. `seconds` are those spent on each stage: parse, chunk, embed, store.

    Of the texts of its passages and windows `embedded` were given to the embedder, and the vectors of `reused` were
    there from the version before or from an attempt before; the rest were equal to one that was embedded with them.
    """

    stored: int
    unchanged: int
    failed: int
    pages: int
    passages: int
    windows: int
    embedded: int
    reused: int
    seconds: Mapping[str, float]


class Sink(Protocol):
    """Storage as the pipeline sees it."""

    def is_current(self, external_id: str, content_hash: str) -> bool:
        """Whether this very content of the document is stored already, so that there is nothing to do."""
        ...

    def known_documents(self) -> Mapping[str, str]:
        """Content hashes, by external id, of documents of the source that are stored already; at most `MOST_MEMBERS`.

        Asked once, before the source is read, and only of an archive, so that members that have not changed are not
        parsed. To know fewer costs time and nothing else.
        """
        ...

    def known_vectors(
        self, external_ids: Collection[str], text_hashes: Collection[bytes]
    ) -> Mapping[bytes, NDArray[np.float16]]:
        """Vectors, float16 [dimension], that are stored with these documents now, of those texts that have one.

        A text goes by the hash under which its vector was stored (`ReadyDocument.text_hashes`). Asked batch by batch
        with the documents that are under way; to find fewer costs time and nothing else.
        """
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
    reader: Reader | None = None,
    journal: Journal | None = None,
    batch_windows: int = 512,
) -> IngestSummary:
    """Reads one file and hands its documents, complete with passages and vectors, to the sink.

    `reader` reads the file, by default in this process: for files that one trusts. A document that cannot be read
    goes to `sink.failed`, the others of its file go on. Pages are read, cut and embedded as they come; held in memory
    are the pages and vectors of short documents not yet stored, and one batch of at least `batch_windows` texts. Long
    ones are kept in the `journal`, and taken up from there when it holds an earlier attempt's work; without one, in
    memory. Raises `TransientError` (try again) and `Cancelled`; documents stored before that stay and are passed over
    the next time, the journal stays too.
    """
    file_hash = cache(partial(_file_hash, source))  # of a large file it takes seconds
    recipe = partial(_recipe, embedder, chunker, file_hash)
    with closing(_Work(embedder, sink, journal, batch_windows)) as work:
        try:
            cutter = Chunker(embedder, chunker)
            known = sink.known_documents() if is_archive(source.path) else {}
            items = (reader or HereReader()).read(source, limits, work.resume(recipe, known), work.check)
            for document in documents_of(work.timed("parse", items)):
                if isinstance(document, RecordFailed):
                    work.fail(document.external_id, document.title, document.error)
                    continue
                start, pages = document
                content_hash = start.content_hash or file_hash()
                is_known = known.get(start.external_id) == content_hash  # it comes without pages, also if deleted since
                if sink.is_current(start.external_id, content_hash) or is_known:
                    work.unchanged += 1
                    if start.content_hash:
                        continue
                    break  # nothing else in the file: its pages need not be read
                draft = work.begin(start, content_hash, recipe)
                try:
                    for passage in work.timed("chunk", cutter.chunk(start.title, work.read(draft, pages))):
                        work.add(draft, passage)
                    work.end(draft)
                except BrokenOff as broken:
                    work.fail(broken.failed.external_id, broken.failed.title, broken.failed.error)
        except PermanentError as error:
            work.fail(source.external_id, source.title or source.path.name, error)
        return work.finish()


def _shown(title: str) -> str:
    """A title as messages name it: a broken file's may be anything."""
    line = " ".join("".join(character if character.isprintable() else " " for character in title[:1_000]).split())
    return line if len(line) <= _LONGEST_SHOWN else f"{line[:_LONGEST_SHOWN]}…"


def _file_hash(source: Source) -> str:
    with reading(source.path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _recipe(embedder: Embedder, chunker: ChunkerSettings, file_hash: Callable[[], str]) -> str:
    """What a journal's pages, passages and vectors depend on."""
    return json.dumps([version("answerdesk"), CHUNKER_VERSION, asdict(chunker), embedder.identity, file_hash()])


class _Work:
    """What is under way between parser and sink: drafts, the texts waiting to be embedded, and the counts."""

    def __init__(self, embedder: Embedder, sink: Sink, journal: Journal | None, batch_windows: int) -> None:
        self._sink = sink
        self._journal = journal
        self._batch_windows = batch_windows
        self._drafts: list[Draft] = []
        self._waiting = Waiting(embedder, sink.known_vectors)
        self._seconds = dict.fromkeys(("parse", "chunk", "embed", "store", "other"), 0.0)
        self._stage = "other"
        self._stage_began = perf_counter()
        self._reported = {"parsing": 0.0, "embedding": 0.0}
        self._page_count: int | None = None
        self._embedded_windows = 0
        self.stored = self.unchanged = self.failed = 0
        self.pages = self.passages = self.windows = self.kept = 0

    def close(self) -> None:
        if self._journal is not None:
            self._journal.close()

    def check(self) -> None:
        """Called while the parser works: raises `Cancelled` when the work is to stop."""
        self._report("parsing", self.pages, self._page_count)

    def resume(self, recipe: Callable[[], str], known: Mapping[str, str]) -> Resume:
        """From where the file is to be read: after what the journal holds, which is no archive's."""
        if self._journal is None or not self._journal.exists:
            return Resume(known=known)
        self._journal.begin(recipe())
        last = self._journal.last_page
        return Resume() if last is None else Resume(self._journal.page_count, last.open_sections, table=last.open_table)

    def begin(self, start: DocumentStart, content_hash: str, recipe: Callable[[], str]) -> Draft:
        self._page_count = None if start.content_hash else start.page_count
        self._recipe = recipe
        self._drafts.append(Draft(start, content_hash))
        if self._journal is not None and self._journal.exists and not start.content_hash:
            self._drafts[-1].move_to(self._journal, recipe())
        return self._drafts[-1]

    def read(self, draft: Draft, pages: Iterator[ParsedPage]) -> Iterator[ParsedPage]:
        earlier = () if draft.journal is None else draft.journal.pages
        for page in chain(earlier, pages):
            draft.add_page(page)
            if draft.page_count == _MOST_PAGES_IN_MEMORY:
                self._keep_on_disk(draft)
            self.pages += 1
            self._report("parsing", self.pages, self._page_count)
            yield page

    def add(self, draft: Draft, passage: PassageDraft) -> None:
        self.passages += 1
        self.windows += len(passage.windows)
        name = digest(passage)
        if draft.is_embedded(passage, name):
            self._embedded_windows += len(passage.windows)
            self.kept += len(passage.embedded)
            return
        self._waiting.add(draft, passage, name)
        if self._waiting.texts >= self._batch_windows:
            self._embed()
            self._keep_on_disk(draft)
            self._store(at_once=False)

    def _keep_on_disk(self, draft: Draft) -> None:
        """A document alone in its file that turns out to be long is kept in the journal."""
        if self._journal is not None and draft.journal is None and not draft.start.content_hash:
            draft.move_to(self._journal, self._recipe())

    def end(self, draft: Draft) -> None:
        draft.complete = True
        if not draft.passage_count:
            self._drafts.remove(draft)
            pictures = "; if its pages are pictures, upload them as a PDF, large and sharp enough to be read"
            advice = f": look whether it is the right file{pictures if draft.has_numbered_pages else ''}"
            if draft.warnings:
                advice += f". Page {draft.warnings[0].page}: {draft.warnings[0].message}"
            error = NoText(f"{_shown(draft.start.title)} holds no text{advice}")
            self.fail(draft.start.external_id, draft.start.title, error)

    def fail(self, external_id: str, title: str, error: PermanentError) -> None:
        """Notes a failure and forgets the document that was under way."""
        self._drafts = [draft for draft in self._drafts if draft.complete]
        self._waiting.forget_incomplete()
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
            embedded=self._waiting.embedded,
            reused=self._waiting.reused + self.kept,
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
        """Gives all that waits its vectors, across documents; progress counts them whether or not they are new."""
        if not self._waiting.texts:
            return
        before = self._switch("embed")
        self._embedded_windows += self._waiting.embed()
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
