"""Asks one golden question and judges what comes back.

Owns the outcome of a question, with the reason when it did not pass, and its measures, each under the name of the
figure that is their mean. Retriever, chain and pages are handed in. Does not know how many questions there are.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from rag.answerers.base import Searcher
from rag.evaluation.questions import Expected, GoldenQuestion
from rag.evaluation.retrieval import NDCG_AT, RECALL_AT, hit_at_1, is_at, ndcg_at, ranked_documents, recall_at
from rag.evaluation.wording import cited_sentences, is_contained, own_text, token_f1, token_recall
from rag.language import word_count
from rag.types import Answer, AnswerKind, Citation, Hit, Question

ANSWERED_RECALL = 0.8
"""So much of an expected answer's words must be in the cited sentences when it does not stand there as it is: people
write golden answers in words of their own."""

SHORT_ANSWER_WORDS = 60
PAGE_AT = (1, 5)
_GIVES_AN_ANSWER = frozenset((AnswerKind.ANSWER, AnswerKind.UNCERTAIN))

PageText = Callable[[Citation, int], str | None]
"""The text of a page that a citation is on, None when it is not there any more."""


class Outcome(StrEnum):
    """What became of a question. `not_answered`: the right place was found, but the answer does not say it.
    `not_asked`: its filter names nothing that there is, or it is too long; whoever asks several says so.
    """

    PASSED = "passed"
    NOT_RETRIEVED = "not_retrieved"
    NOT_ANSWERED = "not_answered"
    REFUSED = "refused"
    WRONGLY_ANSWERED = "wrongly_answered"
    NOT_ASKED = "not_asked"


class Chain(Protocol):
    """What answers; `rag.chain.AnswerChain` is one."""

    def answer(self, question: Question) -> Answer: ...


@dataclass(frozen=True, slots=True)
class Bench:
    """What questions are asked of. `chain` None: only retrieval is measured, over the first `top_k` passages."""

    searcher: Searcher
    chain: Chain | None
    page_text: PageText
    top_k: int = 10


@dataclass(frozen=True, slots=True)
class Asked:
    """A question that was asked. `values` are its measures by the name of the figure that is their mean.

    `documents` are external ids, best first, each once. `confidence` is the answerer's probability of a right answer,
    None where it gives none. The milliseconds are those of the search (its embedding included) and of the answer.
    """

    question: GoldenQuestion
    outcome: Outcome
    values: Mapping[str, float]
    documents: tuple[str, ...]
    scores: tuple[float, ...]
    searched_for: str
    milliseconds: float
    answer: Answer | None = None
    answer_milliseconds: float | None = None
    confidence: float | None = None


def ask(bench: Bench, question: GoldenQuestion) -> Asked:
    """Searches for the question and has it answered. Raises what retriever and chain raise."""
    began = time.perf_counter()
    found = bench.searcher.search(
        question.text, top_k=bench.top_k, filter=question.filter, history=question.history, timings={}
    )
    searched = time.perf_counter()
    answer = None
    if bench.chain is not None:
        answer = bench.chain.answer(Question(question.text, question.history, question.filter))
    answered = time.perf_counter()
    ranked = ranked_documents(found.hits)
    values = _values(question, found.hits, tuple(ranked), answer, bench.page_text)
    outcome = _outcome(question, found.hits, answer)
    values["passed"] = float(outcome is Outcome.PASSED)
    return Asked(
        question=question,
        outcome=outcome,
        values=values,
        documents=tuple(ranked),
        scores=tuple(ranked.values()),
        searched_for=found.searched_for,
        milliseconds=1000 * (searched - began),
        answer=answer,
        answer_milliseconds=None if answer is None else 1000 * (answered - searched),
        confidence=_confidence(answer),
    )


def gives_an_answer(answer: Answer) -> bool:
    """Whether it answers from the manuals, surely or not: everything else counts as a refusal."""
    return answer.kind in _GIVES_AN_ANSWER


def _outcome(question: GoldenQuestion, hits: Sequence[Hit], answer: Answer | None) -> Outcome:
    expected = question.expected
    answers = answer is not None and gives_an_answer(answer)
    if expected is None:
        return Outcome.WRONGLY_ANSWERED if answers else Outcome.PASSED
    # The answerer may have found it where this search looked no further: a right answer was retrieved somewhere.
    if answer is not None and answers and _is_right(expected, answer):
        return Outcome.PASSED
    if expected.documents and not any(is_at(hit, expected.documents, expected.pages) for hit in hits):
        return Outcome.NOT_RETRIEVED
    if answer is None:
        return Outcome.PASSED
    return Outcome.NOT_ANSWERED if answers else Outcome.REFUSED


def _is_right(expected: Expected, answer: Answer) -> bool:
    """Whether the cited sentences hold the expected answer; where none is given, whether they stand where expected."""
    if expected.answers:
        quoted = _quoted(answer)
        return is_contained(quoted, expected.answers) or token_recall(quoted, expected.answers) >= ANSWERED_RECALL
    return any(
        citation.external_id in expected.documents
        and (not expected.pages or any(span.page in expected.pages for span in citation.spans))
        for citation in answer.citations
    )


def _values(
    question: GoldenQuestion,
    hits: Sequence[Hit],
    documents: Sequence[str],
    answer: Answer | None,
    page_text: PageText,
) -> dict[str, float]:
    values: dict[str, float] = {}
    if question.expected is not None and question.expected.documents:
        values |= _of_retrieval(question.expected, hits, documents)
    if answer is not None:
        values |= _of_citations(answer, page_text)
        values |= _of_abstention(question, answer)
        if question.expected is not None and question.expected.answers:
            values |= _of_answer(question.expected.answers, answer)
    return values


def _of_retrieval(expected: Expected, hits: Sequence[Hit], documents: Sequence[str]) -> dict[str, float]:
    grades = dict.fromkeys(expected.documents, 1)
    values = {f"recall@{k}": recall_at(documents, grades, k) for k in RECALL_AT}
    values["hit@1"] = hit_at_1(documents, grades)
    values |= {f"ndcg@{k}": ndcg_at(documents, grades, k) for k in NDCG_AT}
    if expected.pages:
        for k in PAGE_AT:
            values[f"page@{k}"] = float(any(is_at(hit, expected.documents, expected.pages) for hit in hits[:k]))
    return values


def _of_answer(golds: Sequence[str], answer: Answer) -> dict[str, float]:
    """A refusal contains nothing; lengths are of answers alone."""
    if not gives_an_answer(answer):
        return {"answer_contained": 0.0, "answer_contained_in_60_words": 0.0, "answer_f1": 0.0}
    said = own_text(answer.text)
    words = word_count(said)
    contained = float(is_contained(_quoted(answer), golds))
    return {
        "answer_contained": contained,
        "answer_contained_in_60_words": contained if words <= SHORT_ANSWER_WORDS else 0.0,
        "answer_f1": token_f1(said, golds),
        "answer_words": words,
        "answer_characters": float(len(said)),
    }


def _of_citations(answer: Answer, page_text: PageText) -> dict[str, float]:
    values = {}
    if found := [each for citation in answer.citations for each in _spans_found(citation, page_text)]:
        values["citation_precision"] = sum(found) / len(found)
    if gives_an_answer(answer):
        cited, sentences = cited_sentences(answer.text, [citation.quote for citation in answer.citations])
        if sentences:
            values["citation_coverage"] = cited / sentences
    return values


def _spans_found(citation: Citation, page_text: PageText) -> list[bool]:
    """For each span whether its part of the quote stands there, character for character."""
    found, offset = [], 0
    for number, span in enumerate(citation.spans, start=1):
        length = span.end - span.start
        is_last = number == len(citation.spans)
        part = citation.quote[offset:] if is_last else citation.quote[offset : offset + length]
        text = page_text(citation, span.page)
        found.append(text is not None and bool(part) and text[span.start : span.end] == part)
        offset += length
    return found


def _of_abstention(question: GoldenQuestion, answer: Answer) -> dict[str, float]:
    answers = gives_an_answer(answer)
    if question.expected is not None:
        return {"false_refusals": float(not answers)}
    return {
        "false_answers": float(answers),
        "false_sure_answers": float(answer.kind is AnswerKind.ANSWER),
    }


def _quoted(answer: Answer) -> str:
    return "\n".join(citation.quote for citation in answer.citations)


def _confidence(answer: Answer | None) -> float | None:
    value = None if answer is None else answer.details.get("confidence")
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
