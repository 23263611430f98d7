"""`answerdesk runtime bench`: how fast the model server answers, and how fast through Answerdesk.

Owns arguments, printing, and what there is to measure: the model server that runs, and an Answerdesk started for the
measurement (`app.throwaway`), so that the installation's data and caches neither disturb nor are touched. What is
measured is in `model_runtime.bench`.
"""

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated, NoReturn

import httpx
import typer
from pydantic import ValidationError
from rich.console import Console
from rich.status import Status

from app.processes import ChildGaveUp
from app.settings import Settings
from app.throwaway import Throwaway, throwaway_answerdesk
from model_runtime.addresses import as_reached
from model_runtime.bench import Load, Through, measure
from model_runtime.bench_bound import Served, gpu_named, shares
from model_runtime.bench_errors import BenchError
from model_runtime.bench_generator import generator_cost, http_client, serving
from model_runtime.bench_manuals import Manuals
from model_runtime.bench_relay import Relay
from model_runtime.bench_report import Result, as_json, as_text
from model_runtime.bench_targets import Server, inspect_server
from model_runtime.plan_errors import PlanError
from model_runtime.plan_gpus import Gpu, find_gpu
from model_runtime.plan_memory import KvType, Split
from model_runtime.plan_models import load_model
from model_runtime.plan_quantization import Quantization
from model_runtime.planner import checkpoint_quantization
from model_runtime.vllm_settings import Device, KvCacheType, RuntimeSettings, WeightFormat
from model_runtime.vllm_state import LIVE, RuntimeFolder

messages = Console(stderr=True)


def bench(
    streams: Annotated[str, typer.Option(help="Answers at once, a list.")] = "1,2,4,8,16",
    prompt_tokens: Annotated[str, typer.Option(help="Tokens of a prompt, a list.")] = "512,2048",
    output_tokens: Annotated[int, typer.Option(min=2, max=8192, help="Tokens of every answer.")] = 128,
    rounds: Annotated[int, typer.Option(min=1, max=100, help="Turns of both sides in each cell.")] = 2,
    through_api: Annotated[
        bool, typer.Option("--through-api/--no-through-api", help="Also through an Answerdesk started for it.")
    ] = True,
    address: Annotated[str, typer.Option(help="Of the vLLM server; left out: the one of `runtime start`.")] = "",
    model: Annotated[str, typer.Option(help="Name under which it is served; left out: the first one.")] = "",
    gpu: Annotated[
        str, typer.Option(help="Short name as in `runtime plan`, for the bound; left out: what the driver says.")
    ] = "",
    seed: Annotated[int, typer.Option(help="Of the random prompts.")] = 1,
    as_json_: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure the running model server, straight and through Answerdesk in turn: throughput, times to tokens, ratio."""
    try:
        settings = Settings()
        load = Load(_numbers(streams, "streams"), _numbers(prompt_tokens, "prompt-tokens"), output_tokens, rounds, seed)
        with messages.status("Measuring") as status:
            result = asyncio.run(_measured(settings, load, address, model, gpu, through_api, _reporting(status)))
    except ValidationError as error:
        _fail("; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()))
    except (BenchError, PlanError, ChildGaveUp, httpx.HTTPError) as error:
        _fail(str(error) or type(error).__name__)
    sys.stdout.write(json.dumps(as_json(result), indent=2) + "\n" if as_json_ else as_text(result))
    if result.has_errors:
        raise typer.Exit(1)


async def _measured(
    settings: Settings,
    load: Load,
    address: str,
    model: str,
    gpu: str,
    through_api: bool,
    report: Callable[[str], None],
) -> Result:
    runtime = settings.runtime
    address = (address or _own_address(settings)).rstrip("/").removesuffix("/v1")
    report("measuring the load generator itself")
    cost = await generator_cost()
    async with http_client(address, runtime.api_key.get_secret_value() if runtime.api_key else "") as client:
        server = await inspect_server(client, model)
        load.require_fits(server, through=through_api)
        served, no_bound = _served(settings, server, gpu)
        if through_api:
            async with _through(settings, load, client, server, report) as (through, reading_done):
                cells = await measure(load, client, server, through, reading_done=reading_done, report=report)
        else:
            cells = await measure(load, client, server, None, report=report)
    share = shares(served, "model") if served else None
    return Result(
        address=address,
        model=server.model,
        output_tokens=load.output_tokens,
        seed=load.seed,
        cells=cells,
        generator=cost,
        shares=tuple(share(cell) for cell in cells) if share else (),
        no_bound=no_bound,
    )


@asynccontextmanager
async def _through(
    settings: Settings, load: Load, client: httpx.AsyncClient, server: Server, report: Callable[[str], None]
) -> AsyncIterator[tuple[Through, Callable[[], None]]]:
    """An Answerdesk whose model is the server behind a relay, and what stops its worker."""
    report("starting an Answerdesk to measure")
    relay = Relay(client, load.output_tokens)
    async with serving(relay.handle) as relay_address:
        made = throwaway_answerdesk(settings, f"{relay_address}/v1", server.model, streams=max(load.streams))
        started: Throwaway = await asyncio.to_thread(made.__enter__)
        try:
            async with http_client(started.address, started.key) as answerdesk:
                yield Through(answerdesk, relay, Manuals(answerdesk, relay, load.seed)), started.worker.stop
        finally:
            await asyncio.to_thread(made.__exit__, None, None, None)


def _own_address(settings: Settings) -> str:
    status = RuntimeFolder(settings.runtime_folder).read()
    if status.state in LIVE and status.address:
        return status.address
    return f"http://{as_reached(settings.runtime.host)}:{settings.runtime.port}"


def _served(settings: Settings, server: Server, gpu: str) -> tuple[Served | None, str]:
    """What the planner's bound depends on, or why there is none."""
    runtime = settings.runtime
    if not gpu and RuntimeFolder(settings.runtime_folder).read().device == Device.CPU:
        return None, "the model is served on a CPU, and the planner's table has GPUs only."
    found = find_gpu(gpu) if gpu else _installed_gpu()
    if found is None:
        return None, "no GPU of the planner's table was found here; name it with --gpu."
    try:
        shape = load_model(server.root)
        quantization = (
            checkpoint_quantization(shape)
            if runtime.quantization is WeightFormat.CHECKPOINT
            else Quantization(runtime.quantization.value)
        )
    except PlanError as error:
        return None, str(error)
    kv_type = KvType.FP8 if runtime.kv_cache_dtype is KvCacheType.FP8 else KvType.BF16
    return Served(shape, _split(runtime), found, quantization, kv_type), ""


def _split(runtime: RuntimeSettings) -> Split:
    sizes = (runtime.tensor_parallel_size, runtime.pipeline_parallel_size, runtime.data_parallel_size)
    return Split(*sizes, experts_whole=runtime.expert_parallel)


def _installed_gpu() -> Gpu | None:
    """The first GPU that NVIDIA's driver names, if the planner knows it."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    command = [program, "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]
    said = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    name, _, memory = (said.stdout.splitlines() or [""])[0].rpartition(",")
    return gpu_named(name, float(memory)) if said.returncode == 0 and name else None


def _numbers(text: str, option: str) -> tuple[int, ...]:
    """A list such as 1,2,4. Raises `BenchError`."""
    try:
        numbers = tuple(int(each) for each in text.split(","))
    except ValueError:
        numbers = ()
    if not numbers or min(numbers) < 1 or len(set(numbers)) < len(numbers):
        raise BenchError(f"--{option} takes different whole numbers above 0 with commas between, not {text!r}")
    return numbers


def _reporting(status: Status) -> Callable[[str], None]:
    return lambda text: status.update(f"Measuring: {text}")


def _fail(text: str) -> NoReturn:
    messages.print("Error:", style="bold red", end=" ")
    messages.print(text, markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(2)
