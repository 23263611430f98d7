"""What a question costs through the API, against embedding the question alone with torch in float32.

    answerdesk ingest --kb manual manual.pdf
    python -m benchmarks.question --kb manual

Asks 200 questions, made from the headings of the knowledge base, over HTTP, each in a conversation of its own,
answer included; after each one the torch path embeds the same question in this process. Prints both medians,
their ratio, the share of each stage, and the 95th percentile with 1, 8 and 32 clients at once. Needs `make torch`.
"""

import argparse
import json
import os
import random
import statistics
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
from sqlalchemy import select

from app.cli_verbs import SCOPE, services_for
from app.models import Passage
from app.processes import python_child, wait_until_answering
from app.settings import Settings
from model_runtime.addresses import free_port
from model_runtime.embedder import load_embedder

FRAMES = ("How do I use {}?", "What is {}?", "How does {} work?", "Where do I find {}?")


def main() -> None:
    arguments = _arguments()
    settings = Settings()
    questions = _questions(settings, arguments.kb, arguments.questions)
    torch_embedder = load_embedder("", "torch", settings.cache_folder)
    torch_embedder.embed_question("warm up")
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    with TemporaryDirectory() as logs:
        environment = {"ANSWERDESK_SERVER__PORT": str(port)}
        server = python_child("api", ["app.cli", "serve"], Path(logs), environment)
        server.start()
        try:
            wait_until_answering(f"{address}/ready", [server])
            begin, ask = _asker(address, arguments.kb)
            begin(20 + 4 * len(questions))
            for question in questions[:20]:
                ask(question)
            result = _side_by_side(questions, ask, torch_embedder.embed_question, _http_p50(address))
            result["p95_ms_by_clients"] = {n: _with_clients(questions, ask, n) for n in (1, 8, 32)}
        finally:
            server.stop()
    print(json.dumps(result, indent=2))


def _side_by_side(
    questions: Sequence[str], ask: Callable[[str], dict[str, Any]], embed: Callable[[str], object], http: float
) -> dict[str, Any]:
    """Each question through the API, then through torch alone, in turn, so that both see the same machine.

    `http` is what a request costs that does nothing, in milliseconds.
    """
    whole, alone, stages = [], [], []
    for question in questions:
        started = time.perf_counter()
        message = ask(question)
        answered = time.perf_counter()
        embed(question)
        whole.append((answered - started) * 1000)
        alone.append((time.perf_counter() - answered) * 1000)
        stages.append({**message["timings_ms"], "http_and_storing": whole[-1] - message["timings_ms"]["total"]})
    p50, torch_p50 = statistics.median(whole), statistics.median(alone)
    # Small talk and overviews, which some questions of a manual's words are taken for, have fewer stages.
    names = dict.fromkeys(name for each in stages for name in each)
    of_stage = {name: statistics.median(each.get(name, 0.0) for each in stages) for name in names}
    return {
        "questions": len(questions),
        "api_p50_ms": round(p50, 2),
        "api_p95_ms": round(statistics.quantiles(whole, n=20)[-1], 2),
        "torch_float32_embedding_p50_ms": round(torch_p50, 2),
        "ratio": round(p50 / torch_p50, 3),
        "shares_p50_ms": {
            "embedding": round(of_stage["embedding"], 2),
            "vector_search": round(of_stage["vector_search"], 2),
            "word_search": round(of_stage["word_search"], 2),
            "fusion": round(of_stage["fusion"], 2),
            "answering": round(of_stage["answering"], 2),
            "sql": round(of_stage["refresh"] + of_stage["passages"] + of_stage["http_and_storing"] - http, 2),
            "http": round(http, 2),
        },
    }


def _http_p50(address: str) -> float:
    """Milliseconds that a request costs which does nothing; the rest of a question outside its stages is SQL."""
    times = []
    with httpx.Client(base_url=address) as api:
        for _ in range(200):
            started = time.perf_counter()
            api.get("/health").raise_for_status()
            times.append((time.perf_counter() - started) * 1000)
    return statistics.median(times)


def _with_clients(questions: Sequence[str], ask: Callable[[str], dict[str, Any]], clients: int) -> float:
    """95th percentile in milliseconds, `clients` asking at once."""

    def timed(question: str) -> float:
        started = time.perf_counter()
        ask(question)
        return (time.perf_counter() - started) * 1000

    with ThreadPoolExecutor(clients) as pool:
        return round(statistics.quantiles(pool.map(timed, questions), n=20)[-1], 1)


def _asker(address: str, knowledge_base: str) -> tuple[Callable[[int], None], Callable[[str], dict[str, Any]]]:
    """Asks each question in a conversation of its own, begun beforehand: a customer begins one and asks many."""
    api = httpx.Client(base_url=address, timeout=120)
    begun: deque[str] = deque()

    def begin(count: int) -> None:
        for _ in range(count):
            answer = api.post("/api/conversations", json={"knowledge_base": knowledge_base})
            begun.append(answer.raise_for_status().json()["id"])

    def ask(question: str) -> dict[str, Any]:
        answer = api.post(f"/api/conversations/{begun.popleft()}/messages", json={"text": question})
        message: dict[str, Any] = answer.raise_for_status().json()
        return message

    return begin, ask


def _questions(settings: Settings, knowledge_base: str, wanted: int) -> list[str]:
    """Questions from the headings of the knowledge base, the same for every run."""
    services = services_for(settings)
    with services.database.read() as session:
        row = SCOPE.knowledge_base(session, knowledge_base)
        paths = session.scalars(select(Passage.heading_path).where(Passage.knowledge_base_id == row.id))
        topics = sorted({path[-1].lstrip("0123456789. ") for path in paths if path})
    dice = random.Random(7)
    return [dice.choice(FRAMES).format(dice.choice(topics)) for _ in range(wanted)]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kb", required=True, help="knowledge base to ask")
    parser.add_argument("--questions", type=int, default=200)
    return parser.parse_args()


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    main()
