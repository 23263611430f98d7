"""Pages of stored documents as they are cited: their text, their file, pictures of them, boxes on them.

Owns the step from rows (document, page, passage, citation) to those who draw, who know no rows. Does not know routes.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app import files, source_maps
from app.bootstrap import Services
from app.errors import Gone, NotFound, Unavailable
from app.models import Citation, Document, KnowledgeBase, Page, Passage
from app.shapes import CitationShape, spans_from_row
from ingestion.archives import member_file
from ingestion.errors import IngestionError, TransientError
from ingestion.shown.page_request import PageSource, has_page_pictures
from ingestion.shown.text_image import render_text_page
from rag.types import NO_PAGE, Span

_LOG = logging.getLogger(__name__)

ARCHIVE = ".zip"

Ranges = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class CitedPage:
    """One page with what is to be marked on it: `marked` strongly, `around` lightly, as ranges of its text."""

    document: Document
    page: Page
    marked: Ranges
    around: Ranges

    @property
    def identity(self) -> tuple[str, int, int, Ranges, Ranges]:
        """What its picture depends on, scale apart."""
        return self.document.id, self.document.version, self.page.number, self.marked, self.around

    def picture(self, services: Services, scale: float) -> bytes:
        """A PNG. Raises `Gone` when the page cannot be drawn, and `Unavailable` when it may be another time."""
        if not has_page_pictures(self.document.media_type):
            return render_text_page(self.document.title, self.page.text, self.marked, passage_spans=self.around)
        try:
            with _file_of(services, self.document) as file:
                page = _page_source(file, self.document, self.page.number, self.page.source_map)
                return services.page_drawer.picture(page, self.marked, scale=scale, around=self.around)
        except TransientError as error:
            raise Unavailable(f"The page cannot be shown now: {error}", {"document": self.document.id}) from error
        except IngestionError as error:
            raise Gone(f"The page cannot be shown any more: {error}", {"document": self.document.id}) from error


def page_of_document(session: Session, document: Document, number: int, passage_id: str | None) -> CitedPage:
    """A page, and on it a passage. Raises `NotFound`. A document without pages is one page, number 1."""
    generation_id = _generation_of(session, document, passage_id)
    page = session.get(Page, (document.key, generation_id, number))
    if page is None and number == 1:
        page = session.get(Page, (document.key, generation_id, NO_PAGE))
    if page is None:
        raise NotFound(
            f"{document.title!r} has no page {number}; it has {document.page_count}.",
            {"document": document.id, "page": number, "pages": document.page_count},
        )
    spans = _passage_spans(session, document, passage_id) if passage_id else ()
    if passage_id and not spans:
        raise NotFound(f"{document.title!r} has no passage {passage_id!r}.", {"passage": passage_id})
    return CitedPage(document, page, _on_page(spans, page.number), ())


def page_of_citation(session: Session, citation: Citation, number: int | None) -> CitedPage:
    """The page as cited: its first, or page `number` of those that the quote is on.

    Raises `Gone` when the document has been deleted, replaced by a newer version or read anew to another text, and
    `NotFound` for other pages.
    """
    document = session.scalars(select(Document).where(Document.id == citation.document_id)).first()
    if document is None or document.version != citation.document_version:
        what = "has been deleted" if document is None else f"was replaced by version {document.version}"
        raise Gone(
            f"{citation.title!r} {what}, so the cited page cannot be shown. The quote is still in the citation.",
            {"citation": citation.id, "document": citation.document_id, "version": citation.document_version},
        )
    spans = spans_from_row(citation.spans)
    wanted = spans[0].page if number is None else number
    page = session.get(Page, (document.key, _generation_of(session, document, citation.passage_id), wanted))
    if page is None or wanted not in {span.page for span in spans}:
        raise NotFound(f"The citation is not on page {wanted}.", {"citation": citation.id, "page": wanted})
    if not _reads_as_quoted(page, citation):
        raise Gone(
            f"{citation.title!r} has been read anew since, and the text of page {wanted} is another now, so the quote "
            "cannot be shown on it. It is still in the citation.",
            {"citation": citation.id, "document": citation.document_id, "page": wanted},
        )
    around = _passage_spans(session, document, citation.passage_id)
    return CitedPage(document, page, _on_page(spans, wanted), _on_page(around, wanted))


def boxes_of(services: Services, citations: Sequence[CitationShape]) -> dict[str, list[dict[str, Any]]]:
    """Where the quotes stand on the pages of PDFs and pictures, by citation id; other citations are left out.

    So are those of a document that cannot be drawn, from the first that cannot: a page may cost 20 seconds to say so.
    The log says why.
    """
    of_documents: dict[int, list[_Quoted]] = {}
    with services.database.read() as session:
        for citation in citations:
            quoted = _quoted(session, session.get_one(Citation, citation.id))
            if quoted is not None:
                of_documents.setdefault(quoted.document.key, []).append(quoted)
    found: dict[str, list[dict[str, Any]]] = {}
    for of_document in of_documents.values():
        document = of_document[0].document
        try:
            with _file_of(services, document) as file:
                for quoted in of_document:
                    found[quoted.citation_id] = _boxes(services, file, quoted)
        except IngestionError as error:
            _LOG.warning("Quotes of document %s stay without boxes on its pages: %s", document.id, error)
    return found


@dataclass(frozen=True, slots=True)
class _Quoted:
    """A citation's quote with those of its pages, in order, that still read as it does."""

    citation_id: str
    document: Document
    spans: Sequence[Span]
    pages: Sequence[Page]


def _quoted(session: Session, citation: Citation) -> _Quoted | None:
    """None for a document that has no pictures of its pages, or not of the version that was cited."""
    document = session.scalars(select(Document).where(Document.id == citation.document_id)).first()
    if document is None or document.version != citation.document_version:
        return None
    if not has_page_pictures(document.media_type):
        return None
    spans = spans_from_row(citation.spans)
    of_quote = select(Page).where(
        Page.document_key == document.key,
        Page.generation_id == _generation_of(session, document, citation.passage_id),
        Page.number.in_({span.page for span in spans}),
    )
    pages = session.scalars(of_quote.order_by(Page.number)).all()
    return _Quoted(citation.id, document, spans, [page for page in pages if _reads_as_quoted(page, citation)])


def _boxes(services: Services, file: Path, quoted: _Quoted) -> list[dict[str, Any]]:
    """Raises `IngestionError`."""
    return [
        {"page": box.page, "x0": box.x0, "y0": box.y0, "x1": box.x1, "y1": box.y1}
        for page in quoted.pages
        for box in services.page_drawer.boxes(
            _page_source(file, quoted.document, page.number, page.source_map), _on_page(quoted.spans, page.number)
        )
    ]


def _reads_as_quoted(page: Page, citation: Citation) -> bool:
    """Whether the quote stands where it was cited: another generation may have read the page otherwise."""
    offset = 0
    for span in spans_from_row(citation.spans):
        length = span.end - span.start
        if span.page == page.number and page.text[span.start : span.end] != citation.quote[offset : offset + length]:
            return False
        offset += length
    return True


@contextmanager
def _file_of(services: Services, document: Document) -> Iterator[Path]:
    """The document's own file: of one that came in an archive, unpacked as long as it is wanted."""
    stored = files.open_path(services.settings.files_folder, document.file_path)
    if stored.suffix.lower() != ARCHIVE:
        yield stored
        return
    with member_file(stored, document.external_id, services.limits) as member:
        yield member


def _page_source(file: Path, document: Document, number: int, source_map: bytes) -> PageSource:
    places = source_maps.unpack(source_map)
    return PageSource(file, document.media_type, number, places.runs, places.line_boxes)


def _generation_of(session: Session, document: Document, passage_id: str | None) -> str:
    """The generation whose pages a passage was cut from; the one that answers when it has gone, or none is meant."""
    of_passage = select(Passage.generation_id).where(Passage.id == passage_id, Passage.document_key == document.key)
    found = session.scalar(of_passage) if passage_id else None
    if found is not None:
        return found
    answers = select(KnowledgeBase.generation_id).where(KnowledgeBase.id == document.knowledge_base_id)
    return session.scalar(answers) or ""


def _passage_spans(session: Session, document: Document, passage_id: str) -> tuple[Span, ...]:
    of_document = select(Passage.spans).where(Passage.id == passage_id, Passage.document_key == document.key)
    row = session.scalars(of_document).first()
    return () if row is None else spans_from_row(row)


def _on_page(spans: Iterable[Span], number: int) -> Ranges:
    return tuple((span.start, span.end) for span in spans if span.page == number)
