"""Passages, hits and a searcher for tests of answers, made without an index."""

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from ingestion.windows import window_spans
from rag.types import Hit, Passage, QuestionVector, Span, Turn


def passage(
    text: str,
    *,
    key: int = 1,
    pages: Sequence[int] = (),
    heading_path: Sequence[str] = ("Care and cleaning",),
    title: str = "Kettle manual",
    page_label: str | None = None,
) -> Passage:
    """A passage over one page, 41, or cut at the offsets `pages` over several pages from 41 on."""
    cuts = [0, *pages, len(text)]
    spans = tuple(
        Span(41 + number, 100 if number == 0 else 0, (100 if number == 0 else 0) + end - start)
        for number, (start, end) in enumerate(pairwise(cuts))
    )
    return Passage(
        key=key,
        id=f"p{key}",
        document_key=1,
        document_id="d1",
        document_version=2,
        external_id="kettle.pdf",
        title=title,
        heading_path=tuple(heading_path),
        spans=spans,
        page_label=page_label,
        text=text,
        windows=tuple(window_spans(text)),
    )


def page_texts(of: Passage) -> dict[int, str]:
    """Page texts that the spans of a passage fit."""
    texts: dict[int, str] = {}
    offset = 0
    for span in of.spans:
        length = span.end - span.start
        texts[span.page] = "#" * span.start + of.text[offset : offset + length] + "#"
        offset += length
    return texts


def hit(text: str, *, near: str = "", best: float = 0.9, score: float = 2.0, key: int = 1, **more: object) -> Hit:
    """A hit whose windows score `best` where they hold `near`, else a good deal less."""
    of = passage(text, key=key, **more)  # type: ignore[arg-type]
    scores = tuple(best if near in of.text[start:end] else best - 0.08 for start, end in of.windows)
    return Hit(of, score, {}, scores)


@dataclass
class FakeSearcher:
    """Finds the same hits for every question, and remembers what it was asked."""

    hits: Sequence[Hit] = ()
    asked: list[str] = field(default_factory=list)

    def search(
        self,
        question: str,
        *,
        top_k: int,
        filter: Mapping[str, object],
        history: Sequence[Turn],
        timings: MutableMapping[str, float],
    ) -> "FakeFound":
        self.asked.append(question)
        timings["embedding"] = 1.0
        return FakeFound(self.hits[:top_k], question)


@dataclass(frozen=True)
class FakeFound:
    hits: Sequence[Hit]
    searched_for: str
    question_vector: QuestionVector | None = None
