"""A document under way, from its first page to all that is to be stored of it.

Owns what is kept meanwhile and where: short documents in memory, long ones in a journal. Does not know the order of
the work, which is the pipeline's.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ingestion.journal import Journal, Many
from ingestion.language import LanguageCount
from ingestion.types import NO_PAGE, DocumentStart, PageWarning, ParsedPage, PassageDraft


@dataclass(frozen=True, slots=True)
class ReadyDocument:
    """A document with all that is to be stored. `vectors[i]` is float16 [1 + windows, dimension] of passage i.

    `text_hashes[i]` names the texts that these were made from (`ingestion.waiting`), 16 bytes a row in their order.
    `content_hash` is the SHA-256 of the file, or of the record where the file holds several documents.
    `language` is as `ingestion.language` tells it. The passages' `embedded` texts have been let go. Of a long document
    pages, passages and vectors are on disk, and read each time that they are gone through.
    """

    start: DocumentStart
    content_hash: str
    language: str
    media_type: str
    pages: Many[ParsedPage]
    passages: Many[PassageDraft]
    vectors: Many[NDArray[np.float16]]
    text_hashes: Many[bytes]
    warnings: tuple[PageWarning, ...]


class Draft:
    """A document under way. It is complete when its last passage is known, ready when all have vectors."""

    def __init__(self, start: DocumentStart, content_hash: str) -> None:
        self.start = start
        self.content_hash = content_hash
        self.journal: Journal | None = None
        self.pages: list[ParsedPage] = []  # these five only while there is no journal
        self.passages: list[PassageDraft] = []
        self.vectors: list[NDArray[np.float16]] = []
        self.text_hashes: list[bytes] = []
        self.names: list[str] = []
        self.page_count = self.passage_count = self.vector_count = self.windows = 0
        self.warnings: list[PageWarning] = []
        self.language = LanguageCount()
        self.has_numbered_pages = False
        self.complete = False

    @property
    def ready(self) -> bool:
        return self.complete and self.vector_count == self.passage_count

    def add_page(self, page: ParsedPage) -> None:
        self.page_count += 1
        self.has_numbered_pages |= page.number != NO_PAGE
        if page.warning:
            self.warnings.append(PageWarning(page.number, page.warning))
        self.language.add(page.text)
        if self.journal is None:
            self.pages.append(page)
        elif self.page_count > self.journal.page_count:
            self.journal.add_page(page)

    def is_embedded(self, passage: PassageDraft, name: str) -> bool:
        """Counts the next passage; whether an earlier attempt has its vectors."""
        embedded = self.journal is not None and self.journal.has_passage(self.passage_count, name)
        self.passage_count += 1
        self.vector_count += embedded
        self.windows += len(passage.windows)
        return embedded

    def add_vectors(self, passage: PassageDraft, name: str, vectors: NDArray[np.float16], text_hashes: bytes) -> None:
        self.vector_count += 1
        if self.journal is not None:
            self.journal.add_passage(passage, name, vectors, text_hashes)
            return
        self.passages.append(replace(passage, embedded=()))
        self.vectors.append(vectors)
        self.text_hashes.append(text_hashes)
        self.names.append(name)

    def move_to(self, journal: Journal, recipe: str) -> None:
        """From now on, and with all that there is already, the document is kept in the journal."""
        journal.begin(recipe)
        for page in self.pages[journal.page_count :]:
            journal.add_page(page)
        passages = zip(self.passages, self.names, self.vectors, self.text_hashes, strict=True)
        for ordinal, (passage, name, vectors, text_hashes) in enumerate(passages):
            if not journal.has_passage(ordinal, name):
                journal.add_passage(passage, name, vectors, text_hashes)
        self.journal = journal
        self.pages, self.passages, self.vectors, self.text_hashes, self.names = [], [], [], [], []

    def document(self) -> ReadyDocument:
        kept = self if self.journal is None else self.journal
        return ReadyDocument(
            start=self.start,
            content_hash=self.content_hash,
            language=self.language.language,
            media_type=self.start.media_type,
            pages=kept.pages,
            passages=kept.passages,
            vectors=kept.vectors,
            text_hashes=kept.text_hashes,
            warnings=tuple(self.warnings),
        )
