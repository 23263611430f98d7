"""Pages of stored documents as they are cited: their text, their file, pictures of them, boxes on them.

Owns the step from rows (document, page, passage, citation) to `ingestion.page_image`, which knows no rows. Does
not know routes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app import files
from app.db import Database
from app.errors import Gone, NotFound
from app.models import Citation, Document, Page, Passage
from app.passages import unpack_source_map
from app.shapes import CitationShape, spans_from_row
from ingestion import page_image
from ingestion.errors import IngestionError
from rag.types import NO_PAGE, Span

PDF = "application/pdf"

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

    def picture(self, files_folder: Path, scale: float) -> bytes:
        """A PNG. Raises `Gone` when the file is not there any more."""
        try:
            if self.document.media_type != PDF:
                return page_image.render_text_page(
                    self.document.title, self.page.text, self.marked, passage_spans=self.around
                )
            return page_image.render_page(
                files.open_path(files_folder, self.document.file_path),
                self.page.number,
                self.marked,
                unpack_source_map(self.page.source_map).tolist(),
                scale=scale,
                passage_spans=self.around,
            )
        except (IngestionError, page_image.NoSuchPage) as error:
            raise Gone(f"The page cannot be shown any more: {error}", {"document": self.document.id}) from error


def page_of_document(session: Session, document: Document, number: int, passage_id: str | None) -> CitedPage:
    """A page, and on it a passage. Raises `NotFound`. A document without pages is one page, number 1."""
    page = session.get(Page, (document.key, number))
    if page is None and number == 1:
        page = session.get(Page, (document.key, NO_PAGE))
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

    Raises `Gone` when the document has been deleted or replaced by a newer version, `NotFound` for other pages.
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
    page = session.get(Page, (document.key, wanted))
    if page is None or wanted not in {span.page for span in spans}:
        raise NotFound(f"The citation is not on page {wanted}.", {"citation": citation.id, "page": wanted})
    around = _passage_spans(session, document, citation.passage_id)
    return CitedPage(document, page, _on_page(spans, wanted), _on_page(around, wanted))


def boxes_of(
    database: Database, files_folder: Path, citations: Sequence[CitationShape]
) -> dict[str, list[dict[str, Any]]]:
    """Where the quotes stand on the pages of PDFs, by citation id; other citations are left out.

    Raises `IngestionError` and `page_image.NoSuchPage` when a file has gone or changed.
    """
    with database.read() as session:
        of_pdfs = select(Document.id).where(
            Document.id.in_({each.document_id for each in citations}), Document.media_type == PDF
        )
        pdfs = set(session.scalars(of_pdfs))
    found: dict[str, list[dict[str, Any]]] = {}
    for citation in (each for each in citations if each.document_id in pdfs):
        with database.read() as session:
            row = session.get_one(Citation, citation.id)
            document = session.scalars(select(Document).where(Document.id == row.document_id)).first()
            if document is None or document.version != row.document_version:
                continue
            spans = spans_from_row(row.spans)
            wanted = {span.page for span in spans}
            of_pages = select(Page.number, Page.source_map).where(
                Page.document_key == document.key, Page.number.in_(wanted)
            )
            maps = {row.number: row.source_map for row in session.execute(of_pages)}
        file = files.open_path(files_folder, document.file_path)
        found[citation.id] = [
            {"page": box.page, "x0": box.x0, "y0": box.y0, "x1": box.x1, "y1": box.y1}
            for number, source_map in sorted(maps.items())
            for box in page_image.boxes_for(
                file, number, _on_page(spans, number), unpack_source_map(source_map).tolist()
            )
        ]
    return found


def _passage_spans(session: Session, document: Document, passage_id: str) -> tuple[Span, ...]:
    of_document = select(Passage.spans).where(Passage.id == passage_id, Passage.document_key == document.key)
    row = session.scalars(of_document).first()
    return () if row is None else spans_from_row(row)


def _on_page(spans: Iterable[Span], number: int) -> Ranges:
    return tuple((span.start, span.end) for span in spans if span.page == number)
