"""vLLM's fused mixture of experts against Hugging Face's eager one: same model, machine, type, threads and prompts.

    answerdesk runtime build smollm2-moe
    python -m benchmarks.moe_kernels [--model FOLDER] [--batches 1,8] [--rounds 3] [--experts eager]

Prefill of 512 tokens and 128 decode steps of every prompt, in bfloat16, both without compiling, each in a process of
vLLM's environment on the same processors. The two take turns; the one that waits is stopped, so that it takes nothing
from the other. Without a model in the cache a small random Mixtral is made.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from app.settings import Settings
from model_runtime.bench.sweep import round_orders
from model_runtime.server.control import interpreter_of
from model_runtime.text_table import text_table

SIDES = Path(__file__).with_name("moe_kernels_sides.py")
PROMPT, NEW = 512, 128
NAMES = ("vllm", "transformers")
HEAD = ("batch", "stage", "vLLM tokens/s", "Hugging Face tokens/s", "ratio", "of rounds")


def main() -> None:
    arguments = _arguments()
    settings = Settings()
    interpreter = interpreter_of(settings.runtime)
    with ExitStack() as stack:
        model = arguments.model or _cached(settings.cache_folder) or _random(interpreter, stack)
        sides = {name: stack.enter_context(_side(interpreter, name, model, arguments.experts)) for name in NAMES}
        measured = {batch: _measure(sides, batch, arguments.rounds) for batch in arguments.batches}
    print(
        f"{model.name}, bfloat16, {len(os.sched_getaffinity(0))} threads, experts of Hugging Face: {arguments.experts}"
    )
    print("\n".join(text_table(HEAD, [row for batch, rounds in measured.items() for row in _rows(batch, rounds)])))


class Side:
    """One framework in its process; stopped while it is not its turn."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def wait_until_ready(self) -> None:
        if self._read() != "ready":
            raise SystemExit("a side did not start; its last words are above")
        os.killpg(self._process.pid, signal.SIGSTOP)

    def run(self, batch: int, seed: int) -> dict[str, float]:
        os.killpg(self._process.pid, signal.SIGCONT)
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"batch": batch, "prompt": PROMPT, "new": NEW, "seed": seed}) + "\n")
        self._process.stdin.flush()
        answer = self._read()
        if not answer:
            raise SystemExit(f"a side ended with status {self._process.wait()}; its last words are above")
        os.killpg(self._process.pid, signal.SIGSTOP)
        seconds: dict[str, float] = json.loads(answer)
        return seconds

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


def _measure(sides: dict[str, Side], batch: int, rounds: int) -> list[dict[str, dict[str, float]]]:
    """Seconds by round and side; a first round that warms up is left out."""
    measured = []
    for number, order in enumerate(round_orders(NAMES, rounds + 1)):
        seconds = {name: sides[name].run(batch, seed=number) for name in order}
        print(f"batch {batch}, round {number} of {rounds}: {seconds}", file=sys.stderr, flush=True)
        if number:
            measured.append(seconds)
    return measured


def _rows(batch: int, rounds: Sequence[dict[str, dict[str, float]]]) -> Iterator[list[str]]:
    for stage, tokens in (("prefill_s", PROMPT), ("decode_s", NEW)):
        speeds = {
            name: statistics.median(batch * tokens / seconds[name][stage] for seconds in rounds) for name in NAMES
        }
        ratios = [seconds["transformers"][stage] / seconds["vllm"][stage] for seconds in rounds]
        yield [
            str(batch),
            stage.removesuffix("_s"),
            f"{speeds['vllm']:,.1f}",
            f"{speeds['transformers']:,.1f}",
            f"{statistics.median(ratios):.2f}",
            f"{min(ratios):.2f} to {max(ratios):.2f}",
        ]


@contextmanager
def _side(interpreter: Path, name: str, model: Path, experts: str) -> Iterator[Side]:
    process = subprocess.Popen(
        [str(interpreter), str(SIDES), name, str(model), experts],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=_environment(),
        start_new_session=True,
    )
    side = Side(process)
    try:
        side.wait_until_ready()
        yield side
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def _environment() -> dict[str, str]:
    """The same processors for both: vLLM binds a thread to each that is named here, torch takes as many."""
    cores = ",".join(map(str, sorted(os.sched_getaffinity(0))))
    return {
        **os.environ,
        "VLLM_CPU_OMP_THREADS_BIND": cores,
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "VLLM_LOGGING_LEVEL": "ERROR",
        "HF_HUB_OFFLINE": "1",
    }


def _cached(cache: Path) -> Path | None:
    """The newest demonstration model that `answerdesk runtime build smollm2-moe` has made."""
    made = [path for path in cache.glob("smollm2-moe*") if (path / "config.json").exists()]
    return max(made, key=lambda path: path.stat().st_mtime, default=None)


def _random(interpreter: Path, stack: ExitStack) -> Path:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "random-mixtral"
    subprocess.run([str(interpreter), str(SIDES), "make", str(folder), ""], check=True, env=_environment())
    return folder


def _arguments() -> Any:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, help="folder; left out: smollm2-moe from the cache, or a random one")
    parser.add_argument("--batches", type=lambda text: [int(each) for each in text.split(",")], default=[1, 8])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--experts", default="eager", help="Hugging Face's: eager, batched_mm or grouped_mm")
    return parser.parse_args()


if __name__ == "__main__":
    main()
