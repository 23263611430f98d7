"""`answerdesk runtime bench`: how fast the model server answers, and how fast through Answerdesk.

Owns arguments, printing, and what there is to measure: the model server that runs, and an Answerdesk started for the
measurement (`app.throwaway`), so that the installation's data and caches neither disturb nor are touched. What is
measured is in `model_runtime.bench.measure`.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated

import httpx
import typer
from rich.status import Status

from app.cli_output import JsonOption, errors_for_people, messages
from app.settings import Settings
from app.throwaway import Throwaway, throwaway_answerdesk
from model_runtime.addresses import as_reached
from model_runtime.bench.bound import ServedModel, gpu_named, shares
from model_runtime.bench.errors import BenchError
from model_runtime.bench.load_generator import generator_cost, http_client, serving
from model_runtime.bench.manuals import Manuals
from model_runtime.bench.measure import Load, Through, measure
from model_runtime.bench.relay import Relay
from model_runtime.bench.report import Result, as_json, as_text
from model_runtime.bench.targets import Server, inspect_server
from model_runtime.nvidia import NotTold, gpus
from model_runtime.plan.errors import PlanError
from model_runtime.plan.gpus import Gpu, find_gpu
from model_runtime.plan.memory import Split, split_named
from model_runtime.plan.models import load_model
from model_runtime.server.in_the_plan import kv_type_of, quantization_of, split_of
from model_runtime.server.settings import Device, RuntimeSettings
from model_runtime.server.state import LIVE, RuntimeFolder

_DRIVER_WITHIN_S = 20.0


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
    split: Annotated[
        str, typer.Option(help='As `runtime plan` names it ("TP4 EP4"), for the bound; left out: as in the settings.')
    ] = "",
    seed: Annotated[int, typer.Option(help="Of the random prompts.")] = 1,
    as_json_: JsonOption = False,
) -> None:
    """Measure the running model server, straight and through Answerdesk in turn: throughput, times to tokens, ratio."""
    with errors_for_people(BenchError, PlanError, httpx.HTTPError):
        settings = Settings()
        chosen = _Chosen(address.rstrip("/").removesuffix("/v1"), model, find_gpu(gpu) if gpu else None, _split(split))
        load = Load(_numbers(streams, "streams"), _numbers(prompt_tokens, "prompt-tokens"), output_tokens, rounds, seed)
        with messages.status("Measuring") as status:
            result = asyncio.run(_measured(settings, load, chosen, through_api, _reporting(status)))
    sys.stdout.write(json.dumps(as_json(result), indent=2) + "\n" if as_json_ else as_text(result))
    if result.has_errors:
        raise typer.Exit(1)


@dataclass(frozen=True)
class _Chosen:
    """What the command line says of the server; what is empty or None is found out, or as in the settings."""

    address: str
    model: str
    gpu: Gpu | None
    split: Split | None


async def _measured(
    settings: Settings, load: Load, chosen: _Chosen, through_api: bool, report: Callable[[str], None]
) -> Result:
    runtime = settings.runtime
    address = chosen.address or _own_address(settings)
    report("measuring the load generator itself")
    cost = await generator_cost()
    async with http_client(address, runtime.api_key.get_secret_value() if runtime.api_key else "") as client:
        server = await inspect_server(client, chosen.model)
        load.require_fits(server, through=through_api)
        served, no_bound = _served(settings, server, chosen)
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


def _served(settings: Settings, server: Server, chosen: _Chosen) -> tuple[ServedModel | None, str]:
    """What the planner's bound depends on, or why there is none."""
    runtime = settings.runtime
    is_ours = chosen.address in ("", _own_address(settings))
    if not is_ours and not (chosen.gpu and chosen.split):
        return None, "what serves at another address is not known here; name it with --gpu and --split."
    if is_ours and not chosen.gpu and RuntimeFolder(settings.runtime_folder).read().device == Device.CPU:
        return None, "the model is served on a CPU, and the planner's table has GPUs only."
    gpu = chosen.gpu or _installed_gpu()
    if gpu is None:
        return None, "no GPU of the planner's table was found here; name it with --gpu."
    try:
        shape = load_model(server.root)
    except PlanError as error:
        return None, str(error)
    told = runtime if is_ours else RuntimeSettings()
    quantization = quantization_of(told, shape)
    if quantization is None:
        return None, f"the configuration of {shape.name} does not tell how its weights are packed."
    return ServedModel(shape, chosen.split or split_of(told), gpu, quantization, kv_type_of(told)), ""


def _installed_gpu() -> Gpu | None:
    """The first GPU that NVIDIA's driver names, if the planner knows it."""
    try:
        first = next(iter(gpus(_DRIVER_WITHIN_S)), None)
    except NotTold:
        return None
    return gpu_named(first.name, first.total_bytes / 2**20) if first and first.total_bytes else None


def _split(text: str) -> Split | None:
    """Raises `BenchError`."""
    try:
        return split_named(text) if text else None
    except ValueError as error:
        raise BenchError(f"--split takes what `runtime plan` prints, such as 'TP4 EP4': {error}") from error


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
