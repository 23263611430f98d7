"""Are the words that an extractive answer cites really on the page that it names?

    python -m benchmarks.citation_precision KNOWLEDGE_BASE [--home FOLDER] [--questions 1000] [--files FOLDER] [--show]

Makes questions of the words of random sentences of the knowledge base, in several forms, and asks them with abstention
off, so that each is answered. Every citation is looked up: its spans on the stored text of the pages that it names must
be its quote, character by character. Every line of an answer must be quoted, but for those that say where it is from.
With `--files`, the folder of the PDF files that were ingested, every cited line is looked for once more in what pdfium
itself reads on that page, white space and punctuation left out: that page numbers are those of the file. Ends with
status 1 when any citation is not where it is said to be.
"""

import argparse
import random
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import pypdfium2 as pdfium
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.cli_verbs import services_for
from app.errors import NotFound
from app.models import Document, KnowledgeBase, Page
from app.settings import Settings
from rag.answerers.extractive.answerer import ExtractiveAnswerer, ExtractiveSettings
from rag.chain import AnswerChain
from rag.language import PHRASES, language_of
from rag.products.search import whole_searcher
from rag.sentences import sentence_spans
from rag.types import Answer, Citation, Passage, Question

FORMS = {
    "en": ("{}?", "How do I {}?", "What is {}?", "Why {}?", "How many {}?", "Explain {}"),
    "zh": ("{}？", "怎么{}？", "什么是{}？", "为什么{}？", "{}是多少？", "请说明{}"),
}
LONGEST_QUESTION = 120
_WORD = re.compile(r"[\u3400-\u9fff]{1,4}|\S+")
_MARKER = re.compile(r" \[\d+\]")
_BARE = re.compile(r"[\W_]+")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("knowledge_base")
    parser.add_argument("--home", type=Path, help="the installation; by default the one configured")
    parser.add_argument("--questions", type=int, default=1000)
    parser.add_argument("--files", type=Path, help="folder of the PDF files, to read their pages anew")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--show", action="store_true", help="print every citation that is not found")
    arguments = parser.parse_args()
    services = services_for(Settings() if arguments.home is None else Settings(home=arguments.home))
    with services.database.read() as session:
        row = session.scalar(select(KnowledgeBase).where(KnowledgeBase.name == arguments.knowledge_base))
        if row is None:
            raise NotFound(f"There is no knowledge base {arguments.knowledge_base}; `answerdesk kb list` shows them.")
        pages = _pages(session, row)
    store = services.passages(row)
    passages = list(store.hydrate(store.live_keys().tolist()).values())
    chain = AnswerChain(whole_searcher(services.retriever(row)), ExtractiveAnswerer(ExtractiveSettings(0, 0)))
    counts: Counter[str] = Counter()
    for text in questions(passages, arguments.questions, random.Random(arguments.seed)):
        answer = chain.answer(Question(text))
        counts["questions"] += 1
        counts["answers"] += bool(answer.citations)
        counts["words not quoted"] += unquoted(answer) != ""
        for citation in answer.citations:
            counts["citations"] += 1
            found = is_verbatim(citation, pages)
            counts["verbatim"] += found
            if not found and arguments.show:
                print(f"not there: {citation.external_id} {citation.spans}: {citation.quote!r}")
            if arguments.files is not None:
                look_in_file(arguments.files / citation.external_id, citation, counts)
    print(summary(counts))
    sys.exit(counts["verbatim"] < counts["citations"] or counts["words not quoted"] > 0)


def questions(passages: Sequence[Passage], wanted: int, chance: random.Random) -> Iterator[str]:
    """Some words in a row of a random sentence, about one in four left out, in one of the forms of its language."""
    for _ in range(wanted):
        words: list[str] = []
        while not words:
            text = chance.choice(passages).text
            start, end = chance.choice(sentence_spans(text) or [(0, 0)])
            words = _WORD.findall(text[start:end])
        first = chance.randrange(len(words))
        kept = [word for word in words[first : first + 10] if chance.random() > 0.25] or words[first : first + 1]
        language = language_of(" ".join(kept))
        joined = ("" if language == "zh" else " ").join(kept)[:LONGEST_QUESTION]
        yield chance.choice(FORMS[language]).format(joined.rstrip(".?!。？！"))


def is_verbatim(citation: Citation, pages: dict[tuple[str, int], str]) -> bool:
    """Whether the spans, cut out of their pages' text, are the quote."""
    slices = [pages.get((citation.document_id, span.page), "")[span.start : span.end] for span in citation.spans]
    return bool(citation.quote) and "".join(slices) == citation.quote


def unquoted(answer: Answer) -> str:
    """What an answer says beyond its quotes, its markers and the product's own lines; normally nothing."""
    told = _MARKER.sub("", answer.text).replace("\u2060", "").replace("…", "")
    phrases = PHRASES[language_of(answer.searched_for)]
    for citation in sorted(answer.citations, key=lambda each: -len(each.quote)):
        told = told.replace(citation.quote.replace("…", ""), "", 1)
    lead = re.escape(phrases.from_here).replace(r"\{\}", ".*") + re.escape(phrases.colon)
    own = re.compile(rf"{lead}\s*$|^- .*$|{re.escape(phrases.not_in_manuals)}|{re.escape(phrases.nearest_pages)}", re.M)
    return own.sub("", told).strip()


def look_in_file(path: Path, citation: Citation, counts: Counter[str]) -> None:
    """Counts the lines of a quote, and those that pdfium reads on one of the cited pages."""
    if path.suffix.lower() != ".pdf" or not path.exists():
        return
    words = "".join(bare_page(path, span.page) for span in citation.spans)
    for line in re.split(r"\n|\s\|\s", citation.quote):
        if bare := _BARE.sub("", line).casefold():
            counts["lines"] += 1
            counts["lines in the file"] += bare in words


@lru_cache(maxsize=4096)
def bare_page(path: Path, number: int) -> str:
    """Letters and digits of a page as pdfium reads it; its mark for a hyphen at a line's end is none of them."""
    with pdfium.PdfDocument(path) as document:
        return _BARE.sub("", document[number - 1].get_textpage().get_text_range()).casefold()


def summary(counts: Counter[str]) -> str:
    told = (
        f"{counts['questions']:,} questions, {counts['answers']:,} answered, {counts['citations']:,} citations:"
        f" {counts['verbatim'] / max(counts['citations'], 1):.4f} verbatim on the cited page;"
        f" {counts['words not quoted']} answers with words that are not quoted"
    )
    if counts["lines"]:
        told += f"; {counts['lines in the file'] / counts['lines']:.4f} of {counts['lines']:,} lines read in the file"
    return told


def _pages(session: Session, row: KnowledgeBase) -> dict[tuple[str, int], str]:
    """The text of every page of what answers, by document and number."""
    query = (
        select(Document.id, Page.number, Page.text)
        .join(Document, Document.key == Page.document_key)
        .where(Document.knowledge_base_id == row.id, Page.generation_id == row.generation_id)
    )
    return {(document, number): text for document, number, text in session.execute(query)}


if __name__ == "__main__":
    main()
