"""Where quotes stand, for people: the section and the pages.

Owns the choice of the heading and of the page numbers to name. The words around them are `rag.language`'s.
"""

from collections.abc import Sequence

from rag.answerers.extractive.choice import Chosen
from rag.answerers.extractive.ranking import ReadHit
from rag.citations import guarded, printed_page, spans_between
from rag.language import Phrases
from rag.types import NO_PAGE, Passage


def place(phrases: Phrases, hits: Sequence[ReadHit], quotes: Sequence[Chosen]) -> str:
    """Heading and pages of the quotes of one section."""
    passage = hits[quotes[0].hit].hit.passage
    name = passage.heading_path[-1] if passage.heading_path else passage.title or passage.external_id
    pages: dict[int, str | None] = {}
    for quote in quotes:
        of = hits[quote.hit].hit.passage
        pages.update((span.page, printed_page(of, span.page)) for span in spans_between(of, quote.start, quote.end))
    numbers = sorted(page for page in pages if page != NO_PAGE)
    return phrases.place(guarded(" ".join(name.split()).replace("*", "")), [(pages[page], page) for page in numbers])


def section_of(passage: Passage) -> tuple[str, tuple[str, ...]]:
    """What two passages have in common when one lead line stands for both."""
    return passage.document_id, passage.heading_path
