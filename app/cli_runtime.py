"""The commands `answerdesk runtime ...`: what a model needs, before it is bought.

Owns arguments and printing. What is planned is in `model_runtime.planner`.
"""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from model_runtime.plan_errors import PlanError
from model_runtime.plan_gpus import find_gpu
from model_runtime.plan_memory import KvType
from model_runtime.plan_models import load_model
from model_runtime.plan_quantization import Quantization
from model_runtime.plan_report import as_json as plan_as_json
from model_runtime.plan_report import as_text
from model_runtime.planner import MOST_GPUS, Wish, checkpoint_quantization, default_context
from model_runtime.planner import plan as make_plan

runtime = typer.Typer(help="Plan the model server.", no_args_is_help=True)
messages = Console(stderr=True)


@runtime.callback()
def group() -> None:
    """Keeps `plan` a command of its own: Typer would otherwise fold a group of one into its only command."""


@runtime.command("plan")
def plan(
    model: Annotated[str, typer.Option(help="Short name, config.json or folder, or a hub id in the local cache.")],
    gpu: Annotated[str, typer.Option(help="Short name, such as h100-80g.")],
    gpus: Annotated[int, typer.Option(min=1, max=MOST_GPUS, help="How many of them.")] = 1,
    context: Annotated[
        int | None, typer.Option(min=1, help="Tokens of a conversation; left out: the model's, at most 32768.")
    ] = None,
    quantization: Annotated[
        Quantization | None, typer.Option(help="Format of the weights; left out: that of the checkpoint.")
    ] = None,
    kv_cache_dtype: Annotated[KvType, typer.Option(help="Format of the KV cache.")] = KvType.BF16,
    gpu_memory_utilization: Annotated[float, typer.Option(min=0.1, max=1, help="As in vLLM.")] = 0.9,
    max_sequences: Annotated[int, typer.Option(min=1, max=65536, help="Conversations at once on a replica.")] = 256,
    max_batched_tokens: Annotated[int, typer.Option(min=1, max=1_048_576, help="Tokens of a prefill step.")] = 8192,
    reserve_gib: Annotated[
        float | None, typer.Option(min=0, help="GiB a GPU keeps besides weights and KV cache; left out: estimated.")
    ] = None,
    hub_cache: Annotated[Path | None, typer.Option(help="Folder of the Hugging Face cache.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything, as JSON.")] = False,
) -> None:
    """Say what GPUs can serve of a model, from its config.json alone: memory, conversations, bounds on speed."""
    try:
        shape = load_model(model, hub_cache)
        wish = Wish(
            shape=shape,
            gpu=find_gpu(gpu),
            gpus=gpus,
            context=context if context is not None else default_context(shape),
            quantization=quantization or checkpoint_quantization(shape),
            kv_type=kv_cache_dtype,
            gpu_memory_utilization=gpu_memory_utilization,
            max_sequences=max_sequences,
            max_batched_tokens=max_batched_tokens,
            reserve_gib=reserve_gib,
        )
        made = make_plan(wish)
    except PlanError as error:
        messages.print("Error:", style="bold red", end=" ")
        messages.print(str(error), markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(2) from error
    sys.stdout.write(json.dumps(plan_as_json(made), ensure_ascii=False, indent=2) + "\n" if as_json else as_text(made))
    if made.recommended is None:
        raise typer.Exit(1)
