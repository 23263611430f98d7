"""Whether short records are embedded as fast as one long document: `python -m benchmarks.records [--records 1000]`.

The same prose (`benchmarks.long_pdf`) is ingested twice in turn, each time in a process of its own and from the queued
file to the written index: as JSONL of so many records, which are one job, and as one Markdown document with a section
for every record, or for as many as one file of text may hold. Printed of each are windows and tokens per second, how
often the embedder was called and how many texts it got at a time, in the round whose speed is the middle one. With the
sentences that it has unless told otherwise (`--sentences`) a record is cut in two passages; with two it is one window,
as an entry of an FAQ is. The ratio is that of tokens per second. Exits with 1 when it is below `--at-least`.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from app.bootstrap import build_services
from app.cli_verbs import SCOPE, migrate
from app.knowledge_bases import NewKnowledgeBase, create_knowledge_base
from app.settings import Settings
from app.worker import run_until_idle
from benchmarks.ingest import Recorder, counts, in_process, queue
from benchmarks.long_pdf import Prose
from ingestion.parsers.base import Limits


def main() -> int:
    arguments = _arguments()
    measured: dict[str, list[dict[str, Any]]] = {"records": [], "document": []}
    with tempfile.TemporaryDirectory() as folder:
        files = _write(Path(folder), arguments.records, arguments.sentences)
        for _ in range(arguments.rounds):
            for name, file in files.items():
                measured[name].append(in_process(ingest_counting, file))
    middle = {name: sorted(rows, key=_speed)[len(rows) // 2] for name, rows in measured.items()}
    for name, row in middle.items():
        print(json.dumps({"as": name, **row}))
    records, document = map(_speed, middle.values())
    print(f"records at {records / document:.3f} of the document's speed")
    return int(records / document < arguments.at_least)


def ingest_counting(pipe: Any, file: Path) -> None:
    """Sends what was embedded, in how many calls, and how fast."""
    with tempfile.TemporaryDirectory() as home:
        settings = Settings(home=Path(home))
        migrate(settings)
        embedder = Embedding(build_services(settings).embedder)
        services = build_services(settings, embedder)
        services.prepare()
        embedder.embed_question("warm up")
        create_knowledge_base(services, SCOPE, NewKnowledgeBase(name="benchmark"))
        started = time.perf_counter()
        queue(services, file)
        run_until_idle(services)
        seconds = time.perf_counter() - started
        found = counts(services)
        tokens = sum(sum(embedder.count_tokens(batch)) for batch in embedder.batches)
        pipe.send(
            {
                "seconds": round(seconds, 1),
                **found,
                "windows_per_s": round(found["windows"] / seconds, 1),
                "tokens_per_s": round(tokens / seconds, 1),
                "calls": len(embedder.batches),
                "texts_a_call": round(sum(map(len, embedder.batches)) / len(embedder.batches), 1),
            }
        )
        services.close()


def _speed(row: dict[str, Any]) -> float:
    speed: float = row["tokens_per_s"]
    return speed


class Embedding(Recorder):
    """Notes what it is asked to embed, and has it embedded."""

    def embed_passages(self, texts: Sequence[str]) -> Any:
        self.batches.append(list(texts))
        return self._embedder.embed_passages(texts)


def _write(folder: Path, count: int, sentences: int) -> dict[str, Path]:
    prose = Prose(seed=1)
    texts = [" ".join(prose.sentence() for _ in range(sentences)) for _ in range(count)]
    records, document = folder / "records.jsonl", folder / "document.md"
    lines = (json.dumps({"_id": str(at), "title": f"Record {at}", "text": text}) for at, text in enumerate(texts))
    records.write_text("\n".join(lines))
    sections = [f"# Record {at}\n\n{text}" for at, text in enumerate(texts)]
    lengths = accumulate(len(section) + 2 for section in sections)
    fitting = sum(length <= Limits().page_characters for length in lengths)
    document.write_text("\n\n".join(sections[:fitting]))
    return {"records": records, "document": document}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=1_000)
    parser.add_argument("--sentences", type=int, default=14, help="of a record")
    parser.add_argument("--rounds", type=int, default=1, help="how often both are measured in turn")
    parser.add_argument("--at-least", type=float, default=0.0, help="smallest ratio that is good enough")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
