"""How much of a long document is embedded again when a little of it changes.

    python -m benchmarks.edits manual.pdf

The file is parsed once. Then its pages are edited as a new version would be, and both versions go the pipeline's whole
way into a storage that remembers what was embedded; only the embedder's vectors are made up, its tokenizer is real.
Printed is, for each kind of edit, the share of the new version's windows, and of all its texts (whole passages and
windows), that are embedded again, in percent, worst of all rounds last:

    words_changed        one word in 1% of all sentences, wherever they are
    sentences_rewritten  1% of all sentences by others that are up to a third shorter or longer
    sentences_replaced   1% of all sentences by others of any length: a code example in place of a title, say
    sentences_inserted   a sentence on 1% of the pages
    sentences_deleted    a sentence on 1% of the pages
    page_in_front        a page of new text before all others
    pages_shifted        an empty page before all others: nothing may be embedded

Needs the default install only.
"""

import argparse
import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.bootstrap import build_services
from app.settings import Settings
from benchmarks.ingest import NoSink, Recorder
from ingestion.parsers.base import Limits, Resume, Source
from ingestion.pipeline import IngestSummary, ReadyDocument, ingest_source
from ingestion.reader import HereReader, Item
from ingestion.types import Block, BlockKind, DocumentStart, ParsedPage
from ingestion.waiting import HASH_LENGTH
from rag.sentences import sentence_spans

SHARE = 0.01
_SHORTEST = 4  # words of what counts as a sentence


@dataclass(frozen=True, slots=True)
class Sentence:
    """Sentence `text[start:end]` of page number `page` in the list of pages."""

    page: int
    start: int
    end: int


def main() -> None:
    arguments = _arguments()
    services = build_services(Settings())
    embedder = Recorder(services.embedder)
    source = Source(arguments.file, arguments.file.name)
    start, *items = HereReader().read(source, services.limits, Resume())
    pages = [item for item in items if isinstance(item, ParsedPage)]
    assert isinstance(start, DocumentStart)

    def ingest(some: Sequence[Any], sink: Remembers) -> IngestSummary:
        reader = Pages(start, some)
        return ingest_source(
            source, embedder, sink, chunker=services.chunker_settings, limits=services.limits, reader=reader
        )

    vector = np.zeros(embedder.dimension, np.float16)
    before = Remembers(vector)
    whole = ingest(pages, before)
    results: dict[str, Any] = {}
    for edit in EDITS:
        shares = []
        for seed in range(arguments.rounds):
            after = Remembers(vector, before.stored)
            summary = ingest(edit(Random(seed), pages), after)
            texts = summary.passages + summary.windows
            shares.append((100 * after.new_windows / summary.windows, 100 * summary.embedded / texts))
        windows, of_all = (sorted(round(each, 2) for each in every) for every in zip(*shares, strict=True))
        results[edit.__name__] = {"windows": windows, "texts": of_all}
    counts = {"pages": whole.pages, "passages": whole.passages, "windows": whole.windows}
    print(json.dumps({"file": arguments.file.name, **counts, "embedded_again_percent": results}, indent=2))


def sentences_rewritten(random: Random, pages: Sequence[ParsedPage]) -> Sequence[ParsedPage]:
    return _with_other_sentences(random, pages, tolerance=1 / 3)


def sentences_replaced(random: Random, pages: Sequence[ParsedPage]) -> Sequence[ParsedPage]:
    return _with_other_sentences(random, pages, tolerance=float("inf"))


def _with_other_sentences(random: Random, pages: Sequence[ParsedPage], tolerance: float) -> Sequence[ParsedPage]:
    sentences = _sentences(pages)
    edited = list(pages)
    for each in _from_the_back(random.sample(sentences, round(SHARE * len(sentences)))):
        length = each.end - each.start
        alike = [other for other in sentences if abs(other.end - other.start - length) <= tolerance * length]
        edited[each.page] = _with(edited[each.page], each.start, each.end, _new_sentence(random, pages, alike))
    return edited


def words_changed(random: Random, pages: Sequence[ParsedPage]) -> Sequence[ParsedPage]:
    sentences = _sentences(pages)
    edited = list(pages)
    for each in _from_the_back(random.sample(sentences, round(SHARE * len(sentences)))):
        words = pages[each.page].text[each.start : each.end].split(" ")
        words[random.randrange(len(words))] = "entirely"
        edited[each.page] = _with(edited[each.page], each.start, each.end, " ".join(words))
    return edited


def sentences_inserted(random: Random, pages: Sequence[ParsedPage]) -> Sequence[ParsedPage]:
    sentences = _sentences(pages)
    edited = list(pages)
    for each in _one_a_page(random, pages, sentences):
        edited[each.page] = _with(edited[each.page], each.end, each.end, " " + _new_sentence(random, pages, sentences))
    return edited


def sentences_deleted(random: Random, pages: Sequence[ParsedPage]) -> Sequence[ParsedPage]:
    edited = list(pages)
    for each in _one_a_page(random, pages, _sentences(pages)):
        edited[each.page] = _with(edited[each.page], each.start, each.end, "")
    return edited


def page_in_front(random: Random, pages: Sequence[ParsedPage]) -> Sequence[ParsedPage]:
    sentences = _sentences(pages)
    text = " ".join(_new_sentence(random, pages, sentences) for _ in range(20)) + "\n"
    block = Block(BlockKind.PARAGRAPH, 0, len(text), ("What is new in this edition",))
    return [ParsedPage(1, text, (block,)), *pages_shifted(random, pages)[1:]]


def pages_shifted(random: Random, pages: Sequence[ParsedPage]) -> Sequence[ParsedPage]:
    return [ParsedPage(1, "", ()), *(replace(page, number=page.number + 1) for page in pages)]


EDITS = (
    words_changed,
    sentences_rewritten,
    sentences_replaced,
    sentences_inserted,
    sentences_deleted,
    page_in_front,
    pages_shifted,
)


def _sentences(pages: Sequence[ParsedPage]) -> list[Sentence]:
    """All sentences of some words, in order, other than headings and lines of contents."""
    return [
        Sentence(number, block.start + start, block.start + end)
        for number, page in enumerate(pages)
        for block in page.blocks
        if block.kind not in (BlockKind.HEADING, BlockKind.CONTENTS)
        for start, end in sentence_spans(page.text[block.start : block.end])
        if page.text.count(" ", block.start + start, block.start + end) >= _SHORTEST - 1
    ]


def _new_sentence(random: Random, pages: Sequence[ParsedPage], sentences: Sequence[Sentence]) -> str:
    """The words of some sentence in another order."""
    model = random.choice(sentences)
    words = pages[model.page].text[model.start : model.end].rstrip(".").split()
    random.shuffle(words)
    return " ".join(words).capitalize() + "."


def _one_a_page(random: Random, pages: Sequence[ParsedPage], sentences: Sequence[Sentence]) -> list[Sentence]:
    on_page: dict[int, list[Sentence]] = {}
    for each in sentences:
        on_page.setdefault(each.page, []).append(each)
    chosen = random.sample(sorted(on_page), round(SHARE * len(pages)))
    return [random.choice(on_page[page]) for page in chosen]


def _from_the_back(sentences: Sequence[Sentence]) -> list[Sentence]:
    """Such that an edit moves none of those that are still to be edited."""
    return sorted(sentences, key=lambda each: (each.page, each.start), reverse=True)


def _with(page: ParsedPage, start: int, end: int, text: str) -> ParsedPage:
    """The page with `text` in place of what is there, inside of one of its blocks; the others move."""
    shift = len(text) - (end - start)

    def moved(place: int) -> int:
        return place + shift if place >= end else place

    blocks = tuple(
        replace(block, start=block.start if block.start <= start else moved(block.start), end=moved(block.end))
        for block in page.blocks
        if (block.start, block.end) != (start, end) or text
    )
    return replace(page, text=page.text[:start] + text + page.text[end:], blocks=blocks, source_map=())


@dataclass(frozen=True, slots=True)
class Pages:
    """A reader of pages that were parsed before."""

    start: DocumentStart
    pages: Sequence[Item]

    def read(self, source: Source, limits: Limits, resume: Resume, waiting: Any = None) -> Iterator[Item]:
        yield replace(self.start, page_count=len(self.pages))
        yield from self.pages


class Remembers(NoSink):
    """Storage that remembers which texts have vectors; `new_windows` are those that had none before."""

    def __init__(self, vector: NDArray[np.float16], known: frozenset[bytes] = frozenset()) -> None:
        self._vector = vector  # the one of every text: what matters is which texts have one
        self._known = known
        self.stored: frozenset[bytes] = frozenset()
        self.new_windows = 0

    def known_vectors(self, external_ids: Collection[str], text_hashes: Collection[bytes]) -> dict[bytes, Any]:
        return {each: self._vector for each in text_hashes if each in self._known}

    def store(self, documents: Sequence[ReadyDocument]) -> None:
        stored: set[bytes] = set()
        for of_passage in documents[0].text_hashes:
            texts = [of_passage[at : at + HASH_LENGTH] for at in range(0, len(of_passage), HASH_LENGTH)]
            self.new_windows += sum(each not in self._known for each in texts[1:])
            stored.update(texts)
        self.stored = frozenset(stored)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, help="a long document")
    parser.add_argument("--rounds", type=int, default=3, help="how often each kind of edit is drawn anew")
    return parser.parse_args()


if __name__ == "__main__":
    main()
