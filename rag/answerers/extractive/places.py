"""Where quotes stand, for people: the section and the pages.

Owns the choice of the heading and of the page numbers to name. The words around them are `rag.language`'s.
"""

from collections.abc import Sequence

from rag.answerers.extractive.choice import Chosen
from rag.answerers.extractive.ranking import ReadHit
from rag.citations import guarded, printed_page, spans_between
from rag.language import Phrases
from rag.types import NO_PAGE


def place(phrases: Phrases, hits: Sequence[ReadHit], quotes: Sequence[Chosen]) -> str:
    """Heading and pages of the quotes of one section."""
    pages: dict[int, str | None] = {}
    for quote in quotes:
        of = hits[quote.hit].hit.passage
        pages.update((span.page, printed_page(of, span.page)) for span in spans_between(of, quote.start, quote.end))
    numbers = sorted(page for page in pages if page != NO_PAGE)
    first = quotes[0]
    name = guarded(" ".join(hits[first.hit].heading_at(first.start).split()).replace("*", ""))
    return phrases.place(name, [(pages[page], page) for page in numbers])


def section_of(read: ReadHit, position: int) -> tuple[str, tuple[str, ...], str]:
    """What two quotes have in common when one lead line stands for both."""
    passage = read.hit.passage
    return passage.document_id, passage.heading_path, read.heading_at(position)
