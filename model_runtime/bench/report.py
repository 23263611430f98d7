"""The result of `runtime bench`, as a table for people and as JSON for programs. Measures nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from model_runtime.bench.bound import BoundShare
from model_runtime.bench.figures import Quantiles, ratio
from model_runtime.bench.load_generator import GeneratorCost
from model_runtime.bench.sweep import Cell
from model_runtime.text_table import text_table

_HEAD = (
    *("prompt", "streams", "at", "real prompt", "out", "answers", "errors", "tokens/s", "answers/s"),
    *("first p50", "p99", "between p50", "p99", "ratio"),
)


@dataclass(frozen=True)
class Result:
    """All that was measured. `straight` and `through` name the targets; without the second there is no ratio.

    `shares` are those of the cells, in their order; empty on a machine without a bound, and `no_bound` says why.
    """

    address: str
    model: str
    output_tokens: int
    seed: int
    cells: tuple[Cell, ...]
    generator: GeneratorCost
    straight: str = "model"
    through: str = "answerdesk"
    shares: tuple[BoundShare | None, ...] = ()
    no_bound: str = ""
    notes: tuple[str, ...] = field(default=())

    @property
    def has_errors(self) -> bool:
        return any(figures.errors for cell in self.cells for figures in cell.figures.values())


def throughput_ratio(result: Result, cell: Cell) -> float | None:
    """Output tokens a second through Answerdesk by those straight at the server."""
    if result.through not in cell.figures:
        return None
    return ratio(cell.figures[result.through].output_tokens_per_s, cell.figures[result.straight].output_tokens_per_s)


def as_json(result: Result) -> dict[str, Any]:
    """Every field but the single answers, with the ratio and the share of the bound in each cell."""
    whole = asdict(result)
    whole["shares"] = None
    for number, (cell, shown) in enumerate(zip(result.cells, whole["cells"], strict=True)):
        del shown["legs"]
        shown["throughput_ratio"] = throughput_ratio(result, cell)
        share = result.shares[number] if result.shares else None
        shown["bound"] = asdict(share) if share else None
    del whole["shares"]
    return whole


def as_text(result: Result) -> str:
    rows = [row for cell in result.cells for row in _rows(result, cell)]
    lines = [f"{result.model} at {result.address}, {result.output_tokens} tokens of answer, seed {result.seed}", ""]
    lines += text_table(_HEAD, rows)
    lines += ["Times in milliseconds; ratio: output tokens a second through Answerdesk by those straight at the model."]
    lines += ["", *_errors(result), *_cuts(result), *_bounds(result), *_generator(result), *result.notes]
    return "\n".join(lines) + "\n"


def milliseconds(value: float | None) -> str:
    return "-" if value is None else f"{value:,.1f}" if value < 1000 else f"{value:,.0f}"


def _rows(result: Result, cell: Cell) -> Iterator[tuple[str, ...]]:
    for name, figures in cell.figures.items():
        by = throughput_ratio(result, cell) if name == result.through else None
        yield (
            f"{cell.prompt_tokens:,}",
            str(cell.streams),
            name,
            f"{figures.prompt_tokens:,.0f}",
            f"{figures.output_tokens:.0f}",
            str(figures.requests),
            str(sum(figures.errors.values())),
            f"{figures.output_tokens_per_s:,.1f}",
            f"{figures.requests_per_s:.2f}",
            *_both(figures.first_token_ms),
            *_both(figures.inter_token_ms),
            "" if by is None else f"{by:.3f}",
        )


def _both(quantiles: Quantiles) -> tuple[str, str]:
    return milliseconds(quantiles.p50), milliseconds(quantiles.p99)


def _errors(result: Result) -> Iterator[str]:
    for cell in result.cells:
        for name, figures in cell.figures.items():
            for text, count in figures.errors.items():
                yield f"error, {cell.prompt_tokens} tokens, {cell.streams} streams, {name}: {count} x {text}"


def _cuts(result: Result) -> Iterator[str]:
    for cell in result.cells:
        for name, figures in cell.figures.items():
            if figures.cut:
                yield (
                    f"cut, {cell.prompt_tokens} tokens, {cell.streams} streams, {name}: {figures.cut} of"
                    f" {figures.requests} answers were broken off before the model had ended them (it"
                    " repeated itself, or went on for too long)"
                )


def _bounds(result: Result) -> Iterator[str]:
    if result.no_bound:
        yield f"No bound on decode: {result.no_bound}"
    for cell, share in zip(result.cells, result.shares, strict=False):
        if share is None:
            continue
        bandwidth = "" if share.bandwidth_gb_s is None else f", {share.bandwidth_gb_s:,.0f} GB/s of a GPU's memory"
        yield (
            f"decode, {cell.prompt_tokens} tokens, {cell.streams} streams: {share.achieved_tokens_per_s:,.0f} of at"
            f" most {share.bound_tokens_per_s:,.0f} tokens/s, {share.share:.0%} of the bound by"
            f" {share.limited_by}{bandwidth}"
        )


def _generator(result: Result) -> Iterator[str]:
    cost = result.generator
    fastest = max((speed for cell in result.cells for speed in _speeds(cell)), default=0.0)
    share = cost.share_of_core(fastest, relayed=True)
    yield (
        f"The load generator takes {cost.token_us:.0f} us of processor time a token, its relay {cost.relayed_us:.0f} us"
        f" more: {share:.1%} of one core at {fastest:,.0f} tokens/s. Time to first token where nothing is computed:"
        f" {cost.first_token_ms:.1f} ms."
    )


def _speeds(cell: Cell) -> list[float]:
    return [figures.output_tokens_per_s for figures in cell.figures.values()]
