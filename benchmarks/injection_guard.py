"""How often the default guard notices injections in questions, and honest questions that it takes for some.

    python -m benchmarks.injection_guard DATA_FOLDER [--cache FOLDER]

Detection on the injections of notinject's `valid.json`, by source; false positives on its 339 prompts full of trigger
words and on questions that people put to manuals and assistants (xquad, cmrc2018, squad2, emanual_smart_tv, the test
part of clinc150). Each with the question's vector (the default
embedder's), and by the signs alone as with another embedder.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.question_sets import default_embedder, load_sets
from model_runtime.embedder import Embedder
from rag.guard.judge import InjectionGuard

PROMPTS = ("NotInject_one", "NotInject_two", "NotInject_three")


@dataclass(frozen=True)
class Texts:
    """Texts of one kind."""

    name: str
    texts: Sequence[str]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "answerdesk")
    parser.add_argument("--sample", type=int, default=300, help="questions of each other set, evenly spread")
    arguments = parser.parse_args()
    embedder = default_embedder(arguments.cache)
    guard = InjectionGuard()
    if guard.embedder != embedder.identity:
        parser.error(f"The guard was fitted for another embedder than {embedder.identity}; fit it again.")
    print(f"{'':<44}{'texts':>7}{'noticed':>10}{'by signs alone':>16}")
    injections, honest = _valid(arguments.data / "notinject")
    prompts = _prompts(arguments.data / "notinject")
    everything = [
        Texts("injections of valid.json", [text for each in injections for text in each.texts]),
        *injections,
        Texts("NotInject, all", [text for each in prompts for text in each.texts]),
        *prompts,
        honest,
        *_questions(arguments.data, arguments.sample),
    ]
    for each in everything:
        _print(guard, embedder, each)


def _valid(folder: Path) -> tuple[list[Texts], Texts]:
    records = json.loads((folder / "valid.json").read_text(encoding="utf-8"))
    sources = sorted({record["source"] for record in records if record["label"]})
    injections = [
        Texts(f"  {source}", [r["prompt"] for r in records if r["label"] and r["source"] == source])
        for source in sources
    ]
    return injections, Texts("honest texts of valid.json", [r["prompt"] for r in records if not r["label"]])


def _prompts(folder: Path) -> list[Texts]:
    files = [(name, json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))) for name in PROMPTS]
    return [Texts(f"  {name}", [record["prompt"] for record in records]) for name, records in files]


def _questions(data: Path, sample: int) -> list[Texts]:
    sets = [Texts(each.name, [asked.text for asked in each.questions]) for each in load_sets(data)]
    intents = json.loads((data / "clinc150" / "data_full.json").read_text(encoding="utf-8"))
    sets.append(Texts("clinc150, test", [text for text, _ in intents["test"]]))
    return [Texts(each.name, each.texts[:: max(1, len(each.texts) // sample)]) for each in sets]


def _print(guard: InjectionGuard, embedder: Embedder, texts: Texts) -> None:
    both = sum(guard.judge(text, embedder.embed_question(text)).is_injection for text in texts.texts)
    signs = sum(guard.judge(text).is_injection for text in texts.texts)
    count = len(texts.texts)
    print(f"{texts.name:<44}{count:>7}{both / count:>10.3f}{signs / count:>16.3f}", flush=True)


if __name__ == "__main__":
    main()
