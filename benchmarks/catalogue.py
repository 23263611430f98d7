"""How well questions to product catalogues are understood, and what searching a large one costs.

`python -m benchmarks.catalogue` reads hand-written catalogues of four trades (tests/app/service/shelves.py) with
English and Chinese questions, and prints for each: precision and recall of the filters (products that are admitted
against those that fit), recall@10 of what is shown, and whether the product that must come first does.
`--scale 100000` makes a catalogue of so many products with random vectors, and prints the time of a search as a ratio
to embedding its question.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from app.service.catalogue.index import CatalogueIndex, text_of
from app.service.catalogue.products import Item
from app.service.catalogue.reading import read_catalogue
from app.settings import Settings
from model_runtime.embedder import Embedder, load_embedder
from rag.dictionary import Dictionary
from tests.app.service.shelves import HELD_OUT, SHELVES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=int, default=0, help="products of a made-up catalogue to search in")
    parser.add_argument("--verbose", action="store_true", help="print what was understood of each question")
    arguments = parser.parse_args()
    cache = Settings().cache_folder
    embedder = load_embedder("", "openvino", cache, 1)
    if arguments.scale:
        scale(embedder, arguments.scale)
        return
    for dictionary in (None, Dictionary(cache)):
        print("with the dictionary" if dictionary else "without the dictionary")
        quality(embedder, dictionary, verbose=arguments.verbose)


def quality(embedder: Embedder, dictionary: Dictionary | None, *, verbose: bool) -> None:
    for shelf in (*SHELVES, *HELD_OUT):
        with tempfile.TemporaryDirectory() as folder:
            items = read_catalogue(shelf.write(Path(folder) / "shelf.csv"), "shelf.csv")
        vectors = embedder.embed_passages([text_of(item) for item in items]).astype(np.float16)
        index = CatalogueIndex(items, vectors, dictionary)
        admitted = fitting = both = shown = right_first = firsts = 0
        for asked in shelf.asked:
            fits = {row["sku"] for row in shelf.rows if asked.fits(row)}
            ranking = index.search(asked.text, len(items), embedder.embed_question)
            found = [items[number].sku for number in ranking.numbers]
            matching = set(found) if ranking.matching == len(found) else set(found[: ranking.matching])
            admitted += len(matching)
            fitting += len(fits)
            both += len(matching & fits)
            shown += len(set(found[:10]) & fits)
            firsts += bool(asked.first)
            right_first += bool(asked.first) and found[:1] == [asked.first]
            if verbose or matching != fits or (asked.first and found[:1] != [asked.first]):
                said = ", ".join(each.words for each in ranking.understood)
                given_up = ", ".join(each.words for each in ranking.relaxed)
                print(f"    {asked.text}: [{said}] relaxed [{given_up}] {found[:4]} missing {sorted(fits - matching)}")
        print(
            f"  {shelf.name}: {len(shelf.asked)} questions, filters {both / admitted:.3f} precision, "
            f"{both / fitting:.3f} recall, recall@10 {shown / fitting:.3f}, first {right_first}/{firsts}"
        )


def scale(embedder: Embedder, count: int) -> None:
    chance = np.random.default_rng(0)
    colours, kinds = ("black", "white", "red", "blue", "green"), ("kettle", "printer", "boot", "lamp", "chair", "phone")
    items = [
        Item(
            f"X{number}",
            f"{kinds[number % 6]} {number % 977} {'pro' if number % 3 else 'basic'}",
            attributes={
                "colour": colours[int(chance.integers(5))],
                "weight": f"{chance.integers(100, 9000)} g",
                "waterproof": bool(chance.integers(2)),
                "category": kinds[number % 6],
            },
            price=float(chance.integers(5, 900)),
            currency="EUR",
        )
        for number in range(count)
    ]
    vectors = chance.standard_normal((count, embedder.dimension), np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    began = time.perf_counter()
    index = CatalogueIndex(items, vectors.astype(np.float16))
    print(f"{count:,} products: opened in {time.perf_counter() - began:.1f} s")
    questions = (
        "waterproof black boot under 200",
        "cheapest red kettle lighter than 1 kg",
        "phone pro",
        "防水 200 元以下",
    )
    for question in questions:
        vector = embedder.embed_question(question)
        embedding = _median(lambda each=question: embedder.embed_question(each))  # type: ignore[misc]
        searching = _median(lambda each=question, made=vector: index.search(each, 10, lambda _: made))  # type: ignore[misc]
        print(f"  {question}: search / embedding {searching / embedding:.2f}")


def _median(work: Callable[[], object], times: int = 15) -> float:
    taken: list[float] = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


if __name__ == "__main__":
    main()
