"""Whether the right product is searched: `python -m benchmarks.scoping FOLDER --product NAME [--home FOLDER]`.

FOLDER holds the sections of many sibling products in BEIR's format, each with its product (`corpus.jsonl`), and
questions about one of them (`queries.jsonl`, `qrels.tsv`). They become a knowledge base of the installation in
`--home`, read once. Printed are recall at 5 and hit at 1 without the product, with it as a filter, in the page's
context, named in an earlier turn and in the question itself; and of how many questions it is asked which product is
meant when it is not known. Exits with 1 when the filter or the earlier turn find less than wanted.
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.installed import knowledge_base, services_in
from rag.evaluation.files import read_judgements
from rag.evaluation.retrieval import ranked_documents
from rag.products.names import readable
from rag.products.search import ProductSearcher, ScopedFound
from rag.types import Turn

TURN = "I have a {}."
IN_QUESTION = "{} on my {}?"


def main() -> int:
    arguments = _arguments()
    services = services_in(arguments.home)
    searcher: ProductSearcher = services.searcher(
        knowledge_base(services, arguments.folder.name, arguments.folder / "corpus.jsonl")
    )
    lines = (arguments.folder / "queries.jsonl").read_text(encoding="utf-8").splitlines()
    queries = {record["_id"]: str(record["text"]) for record in map(json.loads, lines)}
    judged = read_judgements(arguments.folder / "qrels.tsv")
    asked = [(queries[id_], grades) for id_, grades in judged.items() if id_ in queries]
    product = arguments.product
    name = readable(product)

    def in_question(text: str) -> ScopedFound:
        return searcher.search(IN_QUESTION.format(text.rstrip(" ?"), name), top_k=8)

    ways: dict[str, Callable[[str], ScopedFound]] = {
        "not known": lambda text: searcher.search(text, top_k=8),
        "filter": lambda text: searcher.search(text, top_k=8, filter={"product": product}),
        "context of the page": lambda text: searcher.search(text, top_k=8, context={"product": name}),
        "earlier turn": lambda text: searcher.search(
            text, top_k=8, history=[Turn("customer", TURN.format(name)), Turn("assistant", "Good.")]
        ),
        "question": in_question,
    }
    recall = {way: _print(way, search, asked) for way, search in ways.items()}
    return int(recall["filter"] < arguments.filter_at_least or recall["earlier turn"] < arguments.turn_at_least)


def _print(way: str, search: Callable[[str], ScopedFound], asked: Sequence[tuple[str, Mapping[str, int]]]) -> float:
    """The recall at 5."""
    found = [(search(text), grades) for text, grades in asked]
    ranked = [(list(ranked_documents(each.hits)), grades) for each, grades in found]
    recall = float(np.mean([any(grades.get(id_, 0) > 0 for id_ in ids[:5]) for ids, grades in ranked]))
    first = float(np.mean([any(grades.get(id_, 0) > 0 for id_ in ids[:1]) for ids, grades in ranked]))
    back = float(np.mean([bool(each.choices) for each, _ in found]))
    print(f"{way}: recall@5 {recall:.2f}, hit@1 {first:.2f}, asked which product {back:.2f}", flush=True)
    return recall


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Recall with many sibling products.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--product", required=True, help="the one that the questions are about, as the corpus has it")
    parser.add_argument("--home", type=Path, default=Path("/tmp/answerdesk-scoping"), help="the installation")
    parser.add_argument("--filter-at-least", type=float, default=0.92)
    parser.add_argument("--turn-at-least", type=float, default=0.88)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
