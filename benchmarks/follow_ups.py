"""How well later turns are understood: `python -m benchmarks.follow_ups FOLDER [--home FOLDER] [--misses]`.

FOLDER holds the manuals (octave.pdf, gnuplot.pdf, install.en.pdf, install.zh_CN.pdf, debian-reference.zh-cn.pdf,
tv.jsonl); each becomes a knowledge base of the installation in `--home`, read once. `follow_ups.jsonl` names for each
later turn the questions before it, the same question written so that it stands alone, and where its answer is: pages
or records. Printed is recall at 5 of the turn by itself, after the turns before it, and rewritten by hand; the same of
answers whose first citation is from there. Exits with 1 when the second recall is more than `--within` below the third.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.installed import knowledge_base, services_in
from rag.answerers.base import Found
from rag.answerers.extractive.answerer import ExtractiveAnswerer
from rag.chain import ChainSettings
from rag.language import language_of
from rag.products.search import ProductSearcher
from rag.retriever import pages_of
from rag.types import AnswerKind, Finished, Hit, Question, Turn

SET = Path(__file__).with_name("follow_ups.jsonl")
_CANDIDATES = ChainSettings().candidates
"""Passages that an answer is made from."""
_TOLD = 600
"""Characters of a passage that stand for the answer to an earlier question."""

WAYS = ("alone", "after its turns", "rewritten")


@dataclass(frozen=True)
class FollowUp:
    """A later turn, and where its answer is."""

    id: str
    manual: str
    history: tuple[str, ...]
    question: str
    rewritten: str
    places: frozenset[object]

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> "FollowUp":
        places = frozenset(record.get("pages") or record["documents"])
        history = tuple(record["history"])
        return cls(record["_id"], record["manual"], history, record["question"], record["rewritten"], places)


def main() -> int:
    arguments = _arguments()
    services = services_in(arguments.home)
    asked = [FollowUp.of(json.loads(line)) for line in SET.read_text(encoding="utf-8").splitlines()]
    found: list[tuple[FollowUp, tuple[bool, ...]]] = []
    for manual in dict.fromkeys(each.manual for each in asked):
        searcher = services.searcher(knowledge_base(services, manual, _file(arguments.folder, manual)))
        found += [(each, _found(searcher, each)) for each in asked if each.manual == manual]
    groups = {each.manual for each in asked}
    for name in sorted(groups):
        _print(name, [hits for each, hits in found if each.manual == name])
    for language in ("en", "zh"):
        _print(f"all {language}", [hits for each, hits in found if language_of(each.rewritten) == language])
    alone, after, rewritten, *_ = _print("all", [hits for _, hits in found])
    if arguments.misses:
        for each, hits in found:
            if hits[2] > hits[1]:
                print(f"{each.id}: {' | '.join(each.history)} || {each.question}")
    return int(rewritten - after > arguments.within or after < alone)


def _found(searcher: ProductSearcher, asked: FollowUp) -> tuple[bool, ...]:
    """Whether its place is among the first five: by itself, after its turns, rewritten; the same of answers from it."""
    history = _answered(searcher, asked.history)
    ways: list[tuple[str, Sequence[Turn]]] = [(asked.question, ()), (asked.question, history), (asked.rewritten, ())]
    searched = [(text, turns, searcher.search(text, top_k=_CANDIDATES, history=turns)) for text, turns in ways]
    return (
        *(any(_places(hit) & asked.places for hit in hits.hits[:5]) for _, _, hits in searched),
        *(_answers_from(asked.places, Question(text, tuple(turns)), hits) for text, turns, hits in searched),
    )


def _answers_from(places: frozenset[object], question: Question, found: Found) -> bool:
    """Whether the question is answered, and first by one of the places."""
    *_, last = ExtractiveAnswerer().answer(question, found)
    if not isinstance(last, Finished) or last.answer.kind is AnswerKind.NOT_IN_MANUALS:
        return False
    first = next((citation.passage_id for citation in last.answer.citations), None)
    return any(_places(hit) & places for hit in found.hits if hit.passage.id == first)


def _answered(searcher: ProductSearcher, questions: Sequence[str]) -> list[Turn]:
    """The turns as they would stand in a conversation: each question, and the passage found for it as its answer."""
    turns: list[Turn] = []
    for question in questions:
        hits = searcher.search(question, top_k=1, history=turns).hits
        turns.append(Turn("customer", question))
        turns += [Turn("assistant", hit.passage.text[:_TOLD], (hit.passage.id,)) for hit in hits]
    return turns


def _places(hit: Hit) -> set[object]:
    return {*pages_of(hit.passage), hit.passage.external_id, *(place.external_id for place in hit.also_at)}


def _print(name: str, hits: Sequence[tuple[bool, ...]]) -> tuple[float, ...]:
    means = tuple(float(value) for value in np.mean(np.array(hits, np.float64), axis=0)) if hits else (0.0,) * 6
    for what, shares in (("recall@5", means[: len(WAYS)]), ("answered from there", means[len(WAYS) :])):
        figures = ", ".join(f"{way} {mean:.3f}" for way, mean in zip(WAYS, shares, strict=True))
        print(f"{name}, {len(hits)} turns, {what}: {figures}")
    return means


def _file(folder: Path, manual: str) -> Path:
    files = [path for path in folder.iterdir() if path.stem == manual]
    if len(files) != 1:
        raise SystemExit(f"{folder} must hold one file named {manual}, a PDF or JSONL.")
    return files[0]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Recall of later turns.")
    parser.add_argument("folder", type=Path, help="where the manuals are")
    parser.add_argument("--home", type=Path, default=Path("/tmp/answerdesk-follow-ups"), help="the installation")
    parser.add_argument("--within", type=float, default=0.05, help="how far below the rewritten ones is good enough")
    parser.add_argument("--misses", action="store_true", help="print the turns that only their rewriting finds")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
