"""What Answerdesk adds to a model's answer: the same replayed streams, straight and through the API, in turn.

    python -m benchmarks.answering_overhead [--streams 1,8,16] [--rounds 2] [--speed 1] [--json]

A stub plays captured answers of a real model back at their pace (`captured_streams.json`), so that nothing computes
but what is measured: a real API process with SQLite, the sample manuals and the generative answerer in front of the
stub. Goal at 8 streams: at most 5 % of throughput and 15 ms of time to first token beyond retrieval.
"""

import argparse
import asyncio
import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx

from app.processes import Child
from app.settings import Settings
from app.throwaway import throwaway_answerdesk
from benchmarks.capture_streams import CAPTURED
from benchmarks.sample_questions import NAME, sample_questions, upload_sample
from model_runtime.bench.figures import Quantiles, added_first_token_ms, ratio
from model_runtime.bench.load_generator import http_client, stub_process
from model_runtime.bench.report import milliseconds
from model_runtime.bench.stub_server import MODEL
from model_runtime.bench.sweep import Cell, measure_cell
from model_runtime.bench.targets import AnswerdeskTarget, ChatTarget, Target
from model_runtime.text_table import text_table

ANSWERS_PER_STREAM = {1: 6, 8: 3, 16: 2}
GOAL_LOST, GOAL_FIRST_MS = 0.05, 15.0
HEAD = (
    *(
        "streams",
        "answers",
        "errors",
        "tokens/s stub",
        "tokens/s API",
        "lost",
        "first p50 stub",
        "API",
        "retrieval p50",
    ),
    *("beyond p50", "beyond p99", "between p99 stub", "API", "stub late p99", "API processor an answer"),
)


async def main() -> None:
    arguments = _arguments()
    last_core = max(os.sched_getaffinity(0))
    replay = ["--replay", str(CAPTURED), "--speed", str(arguments.speed), "--core", str(last_core)]
    with (
        stub_process(replay) as stub_address,
        throwaway_answerdesk(Settings(), f"{stub_address}/v1", MODEL, streams=max(arguments.streams)) as started,
    ):
        async with http_client(stub_address) as stub, http_client(started.address, started.key) as answerdesk:
            await upload_sample(answerdesk)
            await asyncio.to_thread(started.worker.stop)
            measured = [
                await _measure(stub, answerdesk, streams, arguments.rounds, started.api)
                for streams in arguments.streams
            ]
    if arguments.json:
        print(json.dumps([{**asdict(cell), "stub": stats} for cell, stats in measured], indent=2))
        return
    print("\n".join(text_table(HEAD, [_row(cell, stats) for cell, stats in measured])))
    print(
        f"Milliseconds; goal at 8 streams: lost at most {GOAL_LOST:.0%}, beyond retrieval at most {GOAL_FIRST_MS} ms."
    )


@dataclass(frozen=True)
class ReplayedAnswer:
    """One answer of the stub; it has no tokens but its pieces."""

    output_tokens: int
    was_cut: bool
    prompt_tokens: int = 0


@dataclass(frozen=True)
class StubCounter:
    """The stub counts what it sent: the tokens of answers whose text is all that the API passes on."""

    stub: httpx.AsyncClient

    async def answer_to(self, question: str) -> ReplayedAnswer | None:
        written = (await self.stats())["written"].get(question.rpartition("#")[2])
        return ReplayedAnswer(written[0], was_cut=not written[1]) if written else None

    async def stats(self) -> dict[str, Any]:
        stats: dict[str, Any] = (await self.stub.get("/stats")).raise_for_status().json()
        return stats


async def _measure(
    stub: httpx.AsyncClient, answerdesk: httpx.AsyncClient, streams: int, rounds: int, api: Child
) -> tuple[Cell, dict[str, Any]]:
    """The cell; what the stub says of its own pacing meanwhile, and what the API computed for an answer."""
    each = ANSWERS_PER_STREAM.get(streams, 3)
    known = sample_questions("en")
    questions = [f"{known[number % len(known)]} #{number}" for number in range(streams * each)]
    counter = StubCounter(stub)
    targets: list[Target] = [
        ChatTarget(stub, MODEL, questions),
        AnswerdeskTarget(answerdesk, NAME, questions, counter, once=False),
    ]
    await measure_cell(targets, prompt_tokens=0, streams=min(streams, 4), rounds=1)  # connections, first runs of code
    (await stub.post("/reset")).raise_for_status()
    used = _processor_s(api)
    cell = await measure_cell(targets, prompt_tokens=0, streams=streams, rounds=rounds, questions=each, report=_report)
    answers = max(cell.figures["answerdesk"].requests, 1)
    return cell, {**await counter.stats(), "api_processor_ms": (_processor_s(api) - used) * 1000 / answers}


def _processor_s(child: Child) -> float:
    """Seconds that a child has computed in all its threads; the fields are named in proc(5)."""
    assert child.process is not None
    fields = Path(f"/proc/{child.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _report(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _row(cell: Cell, stats: dict[str, Any]) -> list[str]:
    stub, api = cell.figures["model"], cell.figures["answerdesk"]
    kept = ratio(api.output_tokens_per_s, stub.output_tokens_per_s)
    beyond = Quantiles.of(added_first_token_ms(cell.legs["model"], cell.legs["answerdesk"]))
    return [
        str(cell.streams),
        str(api.requests),
        str(sum(stub.errors.values()) + sum(api.errors.values())),
        f"{stub.output_tokens_per_s:,.1f}",
        f"{api.output_tokens_per_s:,.1f}",
        "-" if kept is None else f"{1 - kept:.1%}",
        milliseconds(stub.first_token_ms.p50),
        milliseconds(api.first_token_ms.p50),
        milliseconds(api.retrieval_ms.p50),
        milliseconds(beyond.p50),
        milliseconds(beyond.p99),
        milliseconds(stub.inter_token_ms.p99),
        milliseconds(api.inter_token_ms.p99),
        milliseconds(stats["late_p99_ms"]),
        milliseconds(stats["api_processor_ms"]),
    ]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--streams", type=lambda text: [int(each) for each in text.split(",")], default=[1, 8, 16])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--speed", type=float, default=1.0, help="of the replay: 2 is twice as fast as the model was")
    parser.add_argument("--json", action="store_true", help="everything, single answers included")
    return parser.parse_args()


if __name__ == "__main__":
    asyncio.run(main())
