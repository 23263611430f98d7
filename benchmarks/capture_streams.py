"""Captures answers of a served model, with the moments of their pieces, for `answering_overhead.py` to replay.

    answerdesk runtime start --model smollm2-moe
    python -m benchmarks.capture_streams http://127.0.0.1:8000 [--answers 24] [--tokens 160]

Asks the questions of the sample manuals one at a time through an Answerdesk made for it, and writes what the model
said, as it came, to benchmarks/captured_streams.json. The file is shipped; capturing anew changes the figures.
"""

import argparse
import asyncio
import itertools
import json
from pathlib import Path
from typing import Any

from app.settings import Settings
from app.throwaway import throwaway_answerdesk
from benchmarks.sample_questions import NAME, sample_questions, upload_sample
from model_runtime.bench.load_generator import http_client, serving
from model_runtime.bench.relay import Relay, RelayedAnswer
from model_runtime.bench.streams import answerdesk_stream
from model_runtime.bench.targets import inspect_server

CAPTURED = Path(__file__).parent / "captured_streams.json"
SHORTEST = 8
"""Pieces of an answer worth replaying; of one that Answerdesk broke off, what came until then is as good."""


async def main() -> None:
    arguments = _arguments()
    async with http_client(arguments.address) as server:
        model = (await inspect_server(server)).model
        relay = Relay(server)
        async with serving(relay.handle) as address:
            try:
                await _ask(f"{address}/v1", model, arguments)
            finally:
                _write(model, relay, arguments.answers)  # what there is, also after Ctrl-C


def _write(model: str, relay: Relay, answers: int) -> None:
    captured = [_stream(each) for each in relay.answers if len(each.pieces) >= SHORTEST][:answers]
    content = {
        "model": model,
        "tokens": sum(len(each["pieces"]) for each in captured),
        "streams": captured,
    }
    CAPTURED.write_text(json.dumps(content, ensure_ascii=False, indent=None) + "\n", encoding="utf-8")
    print(f"{len(captured)} answers, {content['tokens']} pieces, {CAPTURED.stat().st_size:,} bytes")


async def _ask(chat_base_url: str, model: str, arguments: argparse.Namespace) -> None:
    limits = {"ANSWERDESK_ANSWERS__MAX_TOKENS": str(arguments.tokens)}
    with throwaway_answerdesk(Settings(), chat_base_url, model, streams=1, extra=limits) as started:
        async with http_client(started.address, started.key) as answerdesk:
            await upload_sample(answerdesk)
            await asyncio.to_thread(started.worker.stop)
            for number, question in enumerate(sample_questions("en")[: arguments.answers + 8]):
                begun = await answerdesk.post("/api/conversations", json={"knowledge_base": NAME})
                record = await answerdesk_stream(answerdesk, begun.raise_for_status().json()["id"], question)
                print(number, len(record.arrivals), record.error or "", flush=True)


def _stream(answer: RelayedAnswer) -> dict[str, Any]:
    moments = [answer.started, *answer.arrivals]
    gaps = [(after - before) * 1000 for before, after in itertools.pairwise(moments)]
    return {"prompt_tokens": answer.prompt_tokens, "gaps_ms": [round(gap, 1) for gap in gaps], "pieces": answer.pieces}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("address", help="of the model server")
    parser.add_argument("--answers", type=int, default=24)
    parser.add_argument("--tokens", type=int, default=160, help="of the longest answer")
    return parser.parse_args()


if __name__ == "__main__":
    asyncio.run(main())
