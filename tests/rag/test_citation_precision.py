"""The measure of citations notices a shifted span, another page and a word that nobody wrote."""

from dataclasses import replace

from benchmarks.citation_precision import is_verbatim, unquoted
from rag.answerers.extractive.answerer import ExtractiveAnswerer, ExtractiveSettings
from rag.types import Answer, Finished, Question
from tests.rag.answering import FakeFound, hit, page_texts

STEPS = "To descale the kettle:\n1. Fill it with water.\n2. Add vinegar, see x[1].\n3. Rinse it."


def test_only_what_stands_on_the_page_counts_as_cited() -> None:
    found = hit(STEPS, pages=[50])
    question = "How do I descale the kettle?"
    *_, last = ExtractiveAnswerer(ExtractiveSettings(0, 0)).answer(Question(question), FakeFound([found], question))
    assert isinstance(last, Finished)
    answer: Answer = last.answer
    (citation,) = answer.citations
    pages = {(citation.document_id, number): text for number, text in page_texts(found.passage).items()}
    assert len(citation.spans) == 2
    assert is_verbatim(citation, pages)
    first, *rest = citation.spans
    assert not is_verbatim(replace(citation, spans=(replace(first, start=first.start + 1), *rest)), pages)
    assert not is_verbatim(replace(citation, spans=(replace(first, page=first.page + 1), *rest)), pages)
    assert not is_verbatim(replace(citation, quote=""), pages)
    assert unquoted(answer) == ""
    assert unquoted(replace(answer, text=answer.text.replace("Rinse", "Rinse twice"))) != ""
    assert unquoted(replace(answer, text=answer.text + "\nNever use vinegar.")) == "Never use vinegar."
