"""The order of a measurement: for each prompt length and number of streams, rounds in which the targets take turns.

Owns who is asked when, and the clock of a leg. A leg is one target in one round: so many streams at once, each
asking its next question when the last one is answered. The order within a round is turned over from round to round, so
that a machine that grows slower or quicker does not favour one side.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from model_runtime.bench.figures import Figures, Round, StreamRecord, figures_of
from model_runtime.bench.targets import Target


@dataclass(frozen=True, slots=True)
class Cell:
    """The figures of every target under the same load, by its name, and the rounds that they are made of.

    `prompt_tokens` are those that were wanted.
    """

    prompt_tokens: int
    streams: int
    rounds: int
    figures: dict[str, Figures]
    legs: dict[str, list[Round]] = field(default_factory=dict, repr=False)


def round_orders(names: Sequence[str], rounds: int) -> list[list[str]]:
    """The order of each round: A B, then B A, then A B."""
    return [list(names) if number % 2 == 0 else list(reversed(names)) for number in range(rounds)]


async def measure_cell(
    targets: Sequence[Target],
    *,
    prompt_tokens: int,
    streams: int,
    rounds: int,
    questions: int = 1,
    report: Callable[[str], None] = lambda _: None,
) -> Cell:
    """`rounds` legs of every target, each stream of a leg asking `questions` in a row."""
    by_name = {target.name: target for target in targets}
    measured: dict[str, list[Round]] = {name: [] for name in by_name}
    for number, order in enumerate(round_orders(list(by_name), rounds), start=1):
        for name in order:
            report(f"prompts of {prompt_tokens}, {streams} streams, round {number} of {rounds}: {name}")
            measured[name].append(await measure_leg(by_name[name], streams=streams, questions=questions))
    return Cell(prompt_tokens, streams, rounds, {name: figures_of(legs) for name, legs in measured.items()}, measured)


async def measure_leg(target: Target, *, streams: int, questions: int) -> Round:
    """One leg; its wall time is from the first question to the end of the last answer.

    Which stream asks which number is the same in every leg, so that replayed answers of unequal length compare.
    """
    await target.prepare(streams * questions)

    async def stream(first: int) -> list[StreamRecord]:
        return [await target.ask(number) for number in range(first, first + questions)]

    started = time.perf_counter()
    answered = await asyncio.gather(*(stream(number * questions) for number in range(streams)))
    wall = time.perf_counter() - started
    records = [record for records in answered for record in records]
    return Round(tuple(await target.counted(records)), wall)
