"""From a question to a cited answer: understand which product is meant, retrieve, answer, finish.

Owns the order of the stages and their times, when the customer is asked back instead, and when headings are told.
Does not know storage, conversations or HTTP; the retriever, the products and the answerer are handed in.
"""

import re
import time
import unicodedata
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from rag.answerers.base import Answerer
from rag.answerers.extractive.answerer import ExtractiveAnswerer
from rag.answerers.small_talk import small_talk_in, small_talk_reply
from rag.follow_up import stands_alone
from rag.language import language_of
from rag.overview import Contents, Overview, asks_what_is_covered, overview
from rag.products.questions import what_about, which_product
from rag.products.scope import PRODUCT, ProductScope
from rag.products.search import ProductSearcher
from rag.rewrite import Rewriter
from rag.types import Answer, AnswerEvent, AnswerKind, Cited, Finished, Question, Retrieved, Token

PRODUCTS = "products"
"""Among an answer's details: the products that it is about, as their documents' facets name them."""

PRODUCTS_FROM = "products_from"
"""Among an answer's details: what named them (`rag.products.scope.ScopeSource`)."""

CHOICES = "choices"
"""Among the details of a `question_back`: the products to choose from."""

_GAP = re.compile(r"[^\S\n\r]+")


@dataclass(frozen=True, slots=True)
class ChainSettings:
    """How much is retrieved. `candidates` passages are judged, the best `shown` of them are handed to readers."""

    candidates: int = 8
    shown: int = 3


class AnswerChain:
    """Answers questions about one knowledge base with one answerer. Safe for threads if its parts are."""

    def __init__(
        self,
        searcher: ProductSearcher,
        answerer: Answerer,
        settings: ChainSettings | None = None,
        rewriter: Rewriter | None = None,
        contents: Contents | None = None,
    ) -> None:
        """`searcher` is a `whole_searcher`, unless something is to be measured without a part of it.

        `contents` are the documents, for questions about a manual as a whole; without it those are searched for.
        """
        self._rewriter = rewriter
        self._searcher = searcher
        self._answerer = answerer
        self._settings = settings or ChainSettings()
        self._contents = contents

    def answer(self, question: Question) -> Answer:
        """The finished answer. Raises `rag.errors.RagError` subclasses as `stream` does."""
        return next(event.answer for event in self.stream(question) if isinstance(event, Finished))

    def stream(self, question: Question) -> Generator[AnswerEvent]:
        """`Retrieved`, then `Token` and `Cited` as the text grows, then one `Finished`.

        Closing the iterator aborts the answer, a model's generation included. Raises `UnknownFilter`,
        `IndexDamaged` or `ModelFailed`; what was yielded before stays valid as a partial text.
        """
        question = replace(question, text=normalised(question.text))
        if kind := small_talk_in(question.text):
            yield from self._polite(small_talk_reply(kind, language_of(question.text)))
            return
        timings: dict[str, float] = {}
        started = time.perf_counter()
        text = self._rewritten(question, timings) or question.text
        found = self._searcher.search(
            text,
            top_k=self._settings.candidates,
            filter=question.filter,
            history=question.history,
            timings=timings,
            context=question.context,
        )
        timings["retrieval"] = _milliseconds_since(started)
        scope = found.scope
        language = language_of(scope.question)
        if scope.is_only_named:
            yield from self._asked_back(what_about(scope.products, language), scope, timings)
            return
        if covered := self._covered(question, scope):
            yield from _told(covered, found.searched_for, {**timings, "total": _milliseconds_since(started)}, scope)
            return
        yield Retrieved(tuple(found.hits[: self._settings.shown]), found.searched_for)
        if found.choices:
            yield from self._asked_back(which_product(found.choices, language), scope, timings, found.choices)
            return
        answering = time.perf_counter()
        asked = question if scope.question == text else replace(question, text=scope.question)
        with closing(self._answerer.answer(asked, found)) as events:
            for event in events:
                if isinstance(event, Finished):
                    timings["answering"] = _milliseconds_since(answering)
                    timings["total"] = _milliseconds_since(started)
                    answer = event.answer
                    details = {**answer.details, **_understood(scope)}
                    shown = answer.hits[: self._settings.shown]
                    event = Finished(replace(answer, hits=shown, timings_ms=timings, details=details))
                elif "first_token" not in timings and isinstance(event, Token):
                    timings["first_token"] = _milliseconds_since(started)
                yield event

    def _covered(self, question: Question, scope: ProductScope) -> Overview | None:
        """What the manuals cover, where that is asked and their headings tell it."""
        if self._contents is None or not asks_what_is_covered(question.text):
            return None
        of_products = {PRODUCT: list(scope.products)} if scope.source is not None and scope.products else {}
        return overview(question.text, {**of_products, **question.filter}, self._contents)

    def _rewritten(self, question: Question, timings: dict[str, float]) -> str | None:
        """A follow-up as a question of its own, where a model writes it; None where it is searched for in context."""
        if self._rewriter is None or not question.history or stands_alone(question.text):
            return None
        started = time.perf_counter()
        text = self._rewriter.rewritten(question.text, question.history)
        timings["rewriting"] = _milliseconds_since(started)
        return text

    def _asked_back(
        self, text: str, scope: ProductScope, timings: dict[str, float], choices: Sequence[str] = ()
    ) -> Generator[AnswerEvent]:
        """`question_back`: what the customer says next is understood as the answer to it."""
        yield Token(text)
        timings["total"] = timings["retrieval"]
        told = {CHOICES: list(choices), **_understood(scope)}
        kind = AnswerKind.QUESTION_BACK
        yield Finished(Answer(kind, text, (), (), scope.question, self._answerer.name, None, timings, told))

    def _polite(self, reply: str) -> Generator[AnswerEvent]:
        yield Token(reply)
        yield Finished(Answer(AnswerKind.CHAT, reply, (), (), "", self._answerer.name, None))


def _told(
    covered: Overview, searched_for: str, timings: dict[str, float], scope: ProductScope
) -> Generator[AnswerEvent]:
    """The overview as an answer's events; no passage was found for it, its headings are quoted."""
    yield Retrieved((), searched_for)
    yield Token(covered.text)
    citations = tuple(covered.citations.citations)
    yield from map(Cited, citations)
    name = ExtractiveAnswerer.name
    details = _understood(scope)
    yield Finished(Answer(AnswerKind.ANSWER, covered.text, citations, (), searched_for, name, None, timings, details))


def _understood(scope: ProductScope) -> dict[str, object]:
    if scope.source is None:
        return {}
    return {PRODUCTS: list(scope.products), PRODUCTS_FROM: scope.source.value}


def normalised(text: str) -> str:
    """A question as it is asked: composed characters (NFC), one space for any gap within a line, none around it.

    Nothing else is brought together: case, width and punctuation may change an answer. All questions are asked in
    this form, so that two with the same form cannot have different answers.
    """
    return _GAP.sub(" ", unicodedata.normalize("NFC", text)).strip()


def _milliseconds_since(start: float) -> float:
    return (time.perf_counter() - start) * 1000
