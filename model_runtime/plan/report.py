"""A plan as text for people and as JSON for programs. The text has the same width everywhere, so that the pages of
the documentation can be compared with it."""

from __future__ import annotations

import textwrap
from dataclasses import asdict
from typing import Any

from model_runtime.plan.gpus import GIB
from model_runtime.plan.planner import Plan, SplitPlan
from model_runtime.plan.quantization import describe
from model_runtime.text_table import text_table

_WIDTH = 118
_MOST_ROWS = 12


def as_json(plan: Plan) -> dict[str, Any]:
    """Everything in the plan, with a `name` for each split; sizes in bytes."""
    data = asdict(plan)
    for made, source in zip(data["splits"], plan.splits, strict=True):
        made["split"]["name"] = str(source.split)
    if plan.recommended:
        data["recommended"]["split"]["name"] = str(plan.recommended.split)
    return data


def as_text(plan: Plan) -> str:
    """The plan for people, several paragraphs and two tables; ends with a line break."""
    return "\n".join(
        [*_model(plan), *_assumptions(plan), "", *_splits(plan), "", *_formats(plan), "", *_verdict(plan), ""]
    )


def _model(plan: Plan) -> list[str]:
    counts, shape = plan.parameters, plan.shape
    lines = [f"{shape.name} on {plan.gpus} x {plan.gpu.name}", ""]
    active = (
        f"{_billions(counts.active_without_embedding)} active ({_billions(counts.active)} with the embedding table)"
    )
    lines += [f"  parameters  {_billions(counts.total)}, {active}"]
    if counts.extra_prediction:
        apart = f"without the multi-token prediction module ({_billions(counts.extra_prediction)} more, optional)"
        lines += [f"              {apart}"]
    fp = describe(plan.quantization, shape)
    lines += [f"  weights     {_gib(plan.checkpoint_bytes)} in {plan.quantization}: {fp}"]
    kind = "MLA: compressed, the same on every tensor-parallel rank" if shape.latent else "keys and values of all heads"
    lines += [f"  KV cache    {plan.kv_bytes_per_token:,} bytes a token in {plan.kv_type} ({kind})"]
    return lines


def _assumptions(plan: Plan) -> list[str]:
    usable = plan.gpu.memory_gib * plan.gpu_memory_utilization
    reserve = sorted(each.reserve for each in plan.splits)
    kept = " to ".join(dict.fromkeys(_gib(each) for each in (reserve[:1] + reserve[-1:]))) or "nothing"
    return [
        f"  each GPU    {plan.gpu.memory_gib:.1f} GiB visible x {plan.gpu_memory_utilization:g} = {usable:.1f} GiB,"
        f" {plan.gpu.bandwidth_gb_s:,g} GB/s ({plan.gpu.source})",
        f"  reserve     {kept} a GPU for activations, logits, graphs and buffers (estimate)",
        f"  context     {plan.context:,} tokens, at most {plan.max_sequences} conversations at once on a replica",
    ]


def _splits(plan: Plan) -> list[str]:
    if not plan.splits:
        return ["vLLM would refuse every split:", *(f"  {name}: {why}" for name, why in plan.refused.items())]
    ordered = sorted(plan.splits, key=_by_speed, reverse=True)
    head = (
        "split",
        "weights/GPU",
        "KV B/token/GPU",
        "KV tokens",
        "conversations",
        "tok/s of one",
        "tok/s of all",
        "prefill tok/s",
    )
    lines = text_table(head, [_row(each) for each in ordered[:_MOST_ROWS]], left=1)
    if len(ordered) > _MOST_ROWS:
        lines.append(f"... and {len(ordered) - _MOST_ROWS} more (--json)")
    lines += _wrap("Speeds are upper bounds from the data sheet; every conversation counts as long as the context.")
    if plan.refused:
        name, why = next(iter(plan.refused.items()))
        lines += _wrap(f"vLLM would refuse {len(plan.refused)} more splits, such as {name}: {why}.")
    return lines


def _row(planned: SplitPlan) -> tuple[str, ...]:
    one, largest = planned.decode_one, planned.decode_largest
    return (
        str(planned.split),
        _gib(max(planned.weights_per_rank)),
        f"{planned.kv_bytes_per_token_per_rank:,}",
        f"{planned.kv_tokens:,}",
        f"{planned.conversations:,}" if planned.fits else "does not fit",
        f"{one.tokens_per_second:,.0f}" if one else "-",
        f"{largest.tokens_per_second:,.0f} at {largest.batch:,}" if largest else "-",
        f"{planned.prefill_tokens_per_second:,.0f}" if planned.fits else "-",
    )


def _formats(plan: Plan) -> list[str]:
    rows = []
    for each in plan.formats:
        smallest = min(each.weights_per_rank.values(), default=None)
        verdict = "cannot run here" if each.unsupported else "fits" if each.fits else "does not fit"
        held = "refused" if smallest is None else f"from {_gib(smallest)}"
        rows.append((str(each.quantization), _gib(each.checkpoint_bytes), held, verdict))
    return text_table(("format", "weights", "weights/GPU", "on these GPUs"), rows, left=1)


def _verdict(plan: Plan) -> list[str]:
    if plan.recommended:
        options = plan.recommended.split.vllm_options
        return [*_wrap(f"Take {plan.reason}"), *([f"  vllm serve ... {options}"] if options else [])]
    lines = _wrap(plan.reason)
    if plan.would_fit:
        lines += ["What would fit:", *(f"  - {each}" for each in plan.would_fit)]
    else:
        lines += ["No single change of format, context, number or kind of GPU in the table makes it fit."]
    return lines


def _by_speed(planned: SplitPlan) -> tuple[float, int]:
    speed = planned.decode_largest.tokens_per_second if planned.decode_largest else 0.0
    return speed, planned.kv_space


def _wrap(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH)


def _billions(number: int) -> str:
    return f"{number / 1e9:,.2f} B" if number >= 1e9 else f"{number / 1e6:,.1f} M"


def _gib(size: int) -> str:
    return f"{size / GIB:,.1f} GiB"
