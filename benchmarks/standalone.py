"""Whether questions that stand alone keep what they find: `python -m benchmarks.standalone FOLDER [--cache FOLDER]`.

FOLDER holds the public sets (`benchmarks.question_sets`). A sample of each set's questions is asked by itself, after
turns about something else (questions of another set) and after turns about the same manual (other questions of the
set), answers included. Printed is the share that finds the same five passages in the same order. Exits with 1 when one
is below `--at-least`.
"""

import argparse
import random
import sys
from collections.abc import Sequence
from pathlib import Path

from langchain_core.embeddings import Embeddings

from benchmarks.question_sets import EmbeddedSet, QuestionSet, default_embedder, load_sets
from model_runtime.embedder import Embedder
from rag.follow_up import stands_alone
from rag.products.scope import KnownProducts
from rag.products.search import ProductSearcher
from rag.retriever import HybridRetriever
from rag.types import Turn

SETS = ("xquad en", "xquad zh", "cmrc2018", "emanual_smart_tv")
TURNS = 2
_TOLD = 600


def main() -> int:
    arguments = _arguments()
    embedder = default_embedder(arguments.model_cache)
    sets = {each.name: each for each in load_sets(arguments.folder) if each.name in SETS}
    worst = 1.0
    for place, name in enumerate(SETS):
        searcher = _searcher(sets[name], embedder, arguments.cache)
        other = sets[SETS[(place + 1) % len(SETS)]]
        random_ = random.Random(arguments.seed)
        sample = random_.sample([asked.text for asked in sets[name].questions], arguments.questions)
        kept = {"unrelated": 0, "same manual": 0}
        for question in sample:
            alone = _found(searcher, question, ())
            for kind, source in (("unrelated", other), ("same manual", sets[name])):
                turns = _turns(source, random_)
                kept[kind] += _found(searcher, question, turns) == alone
        shares = {kind: count / len(sample) for kind, count in kept.items()}
        leaning = sum(not stands_alone(question) for question in sample) / len(sample)
        figures = ", ".join(f"after turns about {kind} {share:.3f}" for kind, share in shares.items())
        print(f"{name}, {len(sample)} questions, same top 5: {figures}; taken for follow-ups {leaning:.3f}", flush=True)
        worst = min(worst, *shares.values())
    return int(worst < arguments.at_least)


class _KnownOrEmbedded(Embeddings):
    """Vectors computed before, and others as they are asked for."""

    def __init__(self, known: Embeddings, embedder: Embedder) -> None:
        self._known = known
        self._embedder = embedder

    def embed_query(self, text: str) -> list[float]:
        try:
            return self._known.embed_query(text)
        except KeyError:
            vector: list[float] = self._embedder.embed_question(text).tolist()
            return vector

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.embed_query(text) for text in texts]


def _searcher(questions: QuestionSet, embedder: Embedder, cache: Path) -> ProductSearcher:
    embedded = EmbeddedSet(questions, embedder, cache)
    retriever: HybridRetriever = embedded.retriever(range(len(questions.documents)))
    retriever.embeddings = _KnownOrEmbedded(embedded.embeddings, embedder)
    return ProductSearcher(retriever, KnownProducts())


def _found(searcher: ProductSearcher, question: str, turns: Sequence[Turn]) -> list[str]:
    return [hit.passage.id for hit in searcher.search(question, top_k=5, history=turns).hits]


def _turns(source: QuestionSet, random_: random.Random) -> list[Turn]:
    """Questions of a set, each with what its document says as the answer."""
    turns: list[Turn] = []
    for asked in random_.sample(source.questions, TURNS):
        turns.append(Turn("customer", asked.text))
        turns.append(Turn("assistant", source.documents[asked.document][1][:_TOLD]))
    return turns


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Standalone questions after other turns.")
    parser.add_argument("folder", type=Path, help="where the public sets are")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "answerdesk" / "vectors")
    parser.add_argument("--model-cache", type=Path, default=Path.home() / ".cache" / "answerdesk")
    parser.add_argument("--questions", type=int, default=300, help="sample of each set")
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--at-least", type=float, default=0.98)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
