"""The commands `answerdesk runtime ...`: what a model needs, before it is bought; starting and stopping its server.

Owns arguments and printing. What is planned is in `model_runtime.plan.planner`, what is started in
`model_runtime.server.control`.
"""

import json
import os
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer

from app.cli_output import JsonOption, errors_for_people, messages
from app.cli_runtime_bench import bench
from app.cli_runtime_build import build, settings_for
from app.cli_runtime_verify import verify
from app.settings import Settings
from model_runtime.plan.errors import PlanError
from model_runtime.plan.gpus import find_gpu
from model_runtime.plan.memory import KvType
from model_runtime.plan.models import load_model
from model_runtime.plan.planner import MOST_GPUS, PlanRequest, checkpoint_quantization, default_context
from model_runtime.plan.planner import plan as make_plan
from model_runtime.plan.quantization import Quantization
from model_runtime.plan.report import as_json as plan_as_json
from model_runtime.plan.report import as_text
from model_runtime.server.errors import StartFailed
from model_runtime.server.state import LIVE, RuntimeFolder, State, Status

runtime = typer.Typer(help="Plan, start and stop the model server.", no_args_is_help=True)


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
    with errors_for_people(PlanError):
        shape = load_model(model, hub_cache)
        request = PlanRequest(
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
        made = make_plan(request)
    sys.stdout.write(json.dumps(plan_as_json(made), ensure_ascii=False, indent=2) + "\n" if as_json else as_text(made))
    if made.recommended is None:
        raise typer.Exit(1)


@runtime.command("start")
def start(
    model: Annotated[str, typer.Option(help="smollm2-moe, folder or hub id; left out: as in the settings.")] = "",
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until it is ready.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Start the model server and wait until it is ready; it goes on running by itself."""
    from app.processes import require_free_port
    from model_runtime.server.control import start as start_server
    from model_runtime.server.control import stop as stop_server

    with errors_for_people(PlanError):
        settings = Settings()
        wanted = settings_for(settings, model, messages)
        if RuntimeFolder(settings.runtime_folder).read().state not in LIVE:
            require_free_port(wanted.host, wanted.port, "ANSWERDESK_RUNTIME__PORT")
        try:
            with messages.status("Starting the model server (`answerdesk runtime logs -f` shows what it does)"):
                status = start_server(wanted, settings.runtime_folder, os.environ, wait=wait, report=_say)
        except KeyboardInterrupt:
            stop_server(settings.runtime_folder, wanted.stop_within_s)
            raise StartFailed("interrupted before it was ready; it is stopped again") from None
        _print(status, as_json)


@runtime.command("stop")
def stop(as_json: JsonOption = False) -> None:
    """Stop the model server with all its workers, also when what watched over it was killed."""
    from model_runtime.server.control import stop as stop_server

    with errors_for_people(PlanError):
        settings = Settings()
        with messages.status("Stopping the model server"):
            status = stop_server(settings.runtime_folder, settings.runtime.stop_within_s)
        _print(status, as_json)


@runtime.command("status")
def status(as_json: JsonOption = False) -> None:
    """Say how the model server is; exits with 0 when it is ready, with 1 otherwise."""
    with errors_for_people(PlanError):
        found = RuntimeFolder(Settings().runtime_folder).read()
        _print(found, as_json)
    if found.state is not State.READY:
        raise typer.Exit(1)


@runtime.command("logs")
def logs(
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on printing, until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option("-n", "--lines", min=0, max=100_000, help="How many lines of the past.")] = 50,
) -> None:
    """Print the last lines of the model server's log."""
    with errors_for_people(PlanError):
        folder = RuntimeFolder(Settings().runtime_folder)
        past = folder.last_words(lines) if lines else ""
        sys.stdout.write(past + "\n" if past else "")
        sys.stdout.flush()
        if not follow:
            return
        try:
            for text in folder.follow(threading.Event().is_set):
                sys.stdout.write(text)
                sys.stdout.flush()
        except KeyboardInterrupt:
            return


def _print(status: Status, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(status.to_json(), ensure_ascii=False, indent=2) + "\n")
        return
    shown = status.to_json()
    lines = [f"{status.state} since {status.since}" if status.since else "never started"]
    lines += [f"{name:<9} {shown[name]}" for name in ("model", "address", "device", "log") if shown[name]]
    if status.restarts:
        lines.append(f"restarts  {status.restarts}")
    if shown["processes"]:
        lines.append(f"processes {', '.join(map(str, shown['processes']))}")
    if status.last_error:
        lines.append(f"last error: {status.last_error}")
    if status.state is State.LOST and shown["processes"]:
        lines.append("`answerdesk runtime stop` ends the processes that are left.")
    sys.stdout.write("\n".join(lines) + "\n")


def _say(text: str) -> None:
    messages.print(text, markup=False, highlight=False, soft_wrap=True)


runtime.command("build")(build)
runtime.command("bench")(bench)
runtime.command("verify")(verify)
