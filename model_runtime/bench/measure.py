"""`runtime bench`: the sweep from its wishes to its cells. Reads like the measurement.

Owns which cells there are and what each is made of. Servers and knowledge bases come from outside; printing is
`report`'s.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import httpx

from model_runtime.bench.errors import BenchError
from model_runtime.bench.manuals import MOST_QUESTIONS, Manuals, tokens_per_word
from model_runtime.bench.relay import Relay
from model_runtime.bench.sweep import Cell, measure_cell
from model_runtime.bench.targets import AnswerdeskTarget, ModelTarget, Server, Target
from model_runtime.bench.words import PromptSize

_WARM_UP_STREAMS = 2


@dataclass(frozen=True, slots=True)
class Load:
    """What is asked for: every prompt length with every number of streams, `rounds` times."""

    streams: tuple[int, ...] = (1, 2, 4, 8, 16)
    prompt_tokens: tuple[int, ...] = (512, 2048)
    output_tokens: int = 128
    rounds: int = 2
    seed: int = 1

    @property
    def questions(self) -> int:
        """Of each prompt length, those for warming up included."""
        return _WARM_UP_STREAMS + self.rounds * sum(self.streams)

    def require_fits(self, server: Server, *, through: bool) -> None:
        """Raises `BenchError` when the server cannot read that much, or more is asked than can be prepared."""
        longest = max(self.prompt_tokens) + self.output_tokens
        if server.context and longest > server.context:
            raise BenchError(
                f"prompt and answer of {longest} tokens: {server.model} is served with a context of {server.context}. "
                "Ask for less with --prompt-tokens, or serve more with ANSWERDESK_RUNTIME__CONTEXT_LENGTH."
            )
        if through and self.questions > MOST_QUESTIONS:
            raise BenchError(f"{self.questions} questions of a length are too many; {MOST_QUESTIONS} are the most")


@dataclass(frozen=True)
class Through:
    """An Answerdesk made for the measurement, whose model is reached through `relay`."""

    client: httpx.AsyncClient
    relay: Relay
    manuals: Manuals


async def measure(
    load: Load,
    client: httpx.AsyncClient,
    server: Server,
    through: Through | None,
    *,
    reading_done: Callable[[], None] = lambda: None,
    report: Callable[[str], None] = lambda _: None,
) -> tuple[Cell, ...]:
    """All cells. `reading_done` is called when no more manuals are read: what reads them may stop.

    Raises `BenchError`.
    """
    load.require_fits(server, through=through is not None)
    questions: dict[int, list[str]] = {}
    if through is not None:
        report("making the manuals to ask about")
        sizes = await through.manuals.sizes(load.prompt_tokens, await tokens_per_word(client, server.model))
        for prompt_tokens, size in zip(load.prompt_tokens, sizes, strict=True):
            questions[prompt_tokens] = await _manuals(through, load, prompt_tokens, size)
    reading_done()
    cells = []
    for prompt_tokens in load.prompt_tokens:
        targets = _targets(load, prompt_tokens, client, server, through, questions.get(prompt_tokens, []))
        report(f"prompts of {prompt_tokens}: warming up")
        await measure_cell(targets, prompt_tokens=prompt_tokens, streams=_WARM_UP_STREAMS, rounds=1)
        for streams in load.streams:
            cell = await measure_cell(
                targets, prompt_tokens=prompt_tokens, streams=streams, rounds=load.rounds, report=report
            )
            cells.append(cell)
    return tuple(cells)


async def _manuals(through: Through, load: Load, prompt_tokens: int, size: PromptSize) -> list[str]:
    return await through.manuals.knowledge_base(_name(prompt_tokens), size, load.questions)


def _targets(
    load: Load,
    prompt_tokens: int,
    client: httpx.AsyncClient,
    server: Server,
    through: Through | None,
    questions: list[str],
) -> list[Target]:
    dice = random.Random(f"{load.seed} {prompt_tokens}")
    targets: list[Target] = [
        ModelTarget(client, server.model, server.vocabulary, prompt_tokens, load.output_tokens, dice)
    ]
    if through is not None:
        targets.append(AnswerdeskTarget(through.client, _name(prompt_tokens), questions, through.relay))
    return targets


def _name(prompt_tokens: int) -> str:
    return f"prompts-{prompt_tokens}"
