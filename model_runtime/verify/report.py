"""What `runtime verify` found, as text for people and as JSON for programs."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from model_runtime.text_table import text_table
from model_runtime.verify.comparison import Comparison
from model_runtime.verify.verdict import KvCheck, ModelVerdict, RunVerdict, Verdict


def as_json(verdict: Verdict) -> dict[str, Any]:
    """Everything but the answers themselves; distances in nats, sizes in bytes."""
    return {
        "agrees": verdict.agrees,
        "device": verdict.device,
        "precision": verdict.precision,
        "served_mutant": verdict.mutant,
        "models": [_model_json(model) for model in verdict.models],
    }


def as_text(verdict: Verdict) -> str:
    """Two tables and a verdict; ends with a line break."""
    tolerance = verdict.models[0].runs[0].with_reference.tolerance
    allowed = f" at all but {tolerance.share:.0%} of the positions" if tolerance.share else " at every position"
    lines = [
        f"vLLM on {verdict.device} in {verdict.precision} against transformers in float32.",
        f"Agreement: log-probabilities within {tolerance.nats:g} nats{allowed}.",
        "",
        *_table(_MODEL_HEAD, (_model_row(model) for model in verdict.models)),
        "",
        *_table(_RUN_HEAD, (row for model in verdict.models for run in model.runs for row in _run_rows(model, run))),
        "",
        *_differences(verdict),
    ]
    if verdict.mutant:
        lines.append(
            f"Served was the mutant {verdict.mutant}: the check {'misses' if verdict.agrees else 'rejects'} it."
        )
    else:
        lines.append("vLLM serves what the models are." if verdict.agrees else "NOT the same: see above.")
    return "\n".join([*lines, ""])


_MODEL_HEAD = ("model", "first over second token", "clear by a nat", "wrong models rejected", "hardest to see")
_RUN_HEAD = ("model", "served", "compared with", "positions", "median", "largest", "tokens alike", "")


def _model_row(model: ModelVerdict) -> tuple[str, ...]:
    reference = model.reference
    rejected = sum(not comparison.agrees for comparison in reference.mutants.values())
    name, weakest = min(reference.mutants.items(), key=lambda item: item[1].share_beyond)
    return (
        reference.architecture,
        f"{reference.median_margin:.1f} nats (median)",
        f"{reference.clear_share:.0%}",
        f"{rejected} of {len(reference.mutants)}",
        f"{name}: off at {weakest.share_beyond:.0%}, by up to {weakest.largest:.1f} nats",
    )


def _run_rows(model: ModelVerdict, run: RunVerdict) -> list[tuple[str, ...]]:
    name, served = model.reference.architecture, str(run.ranks)
    rows = [(name, served, "transformers", *_comparison(run.with_reference))]
    if run.with_first:
        rows.append((name, served, str(model.runs[0].ranks), *_comparison(run.with_first)))
    return [*rows, (name, served, "plan", *_kv_cache(run.kv_cache))]


def _comparison(comparison: Comparison) -> tuple[str, ...]:
    return (
        str(comparison.positions),
        f"{comparison.median:.1e}",
        f"{comparison.largest:.1e}",
        f"{comparison.tokens_alike} of {comparison.tokens}",
        _word(comparison.agrees),
    )


def _kv_cache(check: KvCheck) -> tuple[str, ...]:
    if check.logged is None:
        return ("KV cache", "", "", "not logged", "not compared")
    planned = f"{check.bytes_per_token:,} B a token"
    return ("KV cache", "", "", f"{check.logged:,} x {planned}", _word(check.agrees))


def _differences(verdict: Verdict) -> list[str]:
    lines = []
    for model in verdict.models:
        name = model.reference.architecture
        missed = [mutant for mutant, comparison in model.reference.mutants.items() if comparison.agrees]
        if missed:
            lines.append(f"{name}: the comparison does not see {', '.join(missed)}, so it proves nothing.")
        for run in model.runs:
            for other, comparison in (("transformers", run.with_reference), ("the first", run.with_first)):
                if comparison and not comparison.agrees:
                    lines.append(
                        f"{name} {run.ranks} and {other}: {comparison.beyond} of {comparison.positions} positions"
                        f" differ, most at {comparison.largest_at}, by {comparison.largest:.3g} nats."
                    )
            if not run.kv_cache.agrees:
                planned = run.kv_cache.cache_bytes // run.kv_cache.bytes_per_token
                lines.append(
                    f"{name} {run.ranks}: the plan has {planned:,} tokens of KV cache, vLLM {run.kv_cache.logged:,}."
                )
    return lines


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    return text_table(head, tuple(rows), left=len(head), is_ruled=False)


def _word(agrees: bool) -> str:
    return "agrees" if agrees else "DIFFERS"


def _model_json(model: ModelVerdict) -> dict[str, Any]:
    reference = model.reference
    return {
        "architecture": reference.architecture,
        "agrees": model.agrees,
        "median_margin": reference.median_margin,
        "clear_share": reference.clear_share,
        "mutants": {name: _comparison_json(comparison) for name, comparison in reference.mutants.items()},
        "runs": [_run_json(run) for run in model.runs],
    }


def _run_json(run: RunVerdict) -> dict[str, Any]:
    return {
        "ranks": str(run.ranks),
        "agrees": run.agrees,
        "with_transformers": _comparison_json(run.with_reference),
        "with_first": _comparison_json(run.with_first) if run.with_first else None,
        "kv_cache": {**asdict(run.kv_cache), "agrees": run.kv_cache.agrees},
        "ready_after_s": run.ready_after_s,
    }


def _comparison_json(comparison: Comparison) -> dict[str, Any]:
    # JSON has no infinity, which is the distance to what is no number.
    largest = comparison.largest if math.isfinite(comparison.largest) else None
    return {**asdict(comparison), "largest": largest, "agrees": comparison.agrees}
