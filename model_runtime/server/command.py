"""From settings to vLLM's command line and environment: a pure function.

Owns which option of vLLM stands for which setting. What vLLM would refuse, ignore or die with is `refusals`. Starts
nothing and reads no file; option names are those of vLLM 0.22 to 0.32.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from model_runtime.addresses import as_reached
from model_runtime.plan.shape import ModelShape
from model_runtime.server.errors import Refused
from model_runtime.server.in_the_plan import ranks_of
from model_runtime.server.machine import Machine
from model_runtime.server.refusals import refusal_of
from model_runtime.server.settings import Device, Nodes, RuntimeSettings, WeightFormat

_SERVER = ("-m", "vllm.entrypoints.openai.api_server")
# The other machines of a native group serve no HTTP; only vLLM's own command line can start them.
_FOLLOWER = ("-m", "vllm.entrypoints.cli.main", "serve")

_METHOD = {WeightFormat.INT8: "compressed-tensors"}


@dataclass(frozen=True)
class Command:
    """`arguments` follow the interpreter of vLLM's environment; `environment` is added to ours and may hold secrets.

    `address` is where the server answers, without a path; empty for a machine that only helps another one.
    """

    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    address: str
    notes: tuple[str, ...] = ()

    @property
    def health(self) -> str:
        return f"{self.address}/health" if self.address else ""


def vllm_command(settings: RuntimeSettings, machine: Machine, shape: ModelShape | None = None) -> Command:
    """The command that serves `settings.model`. `shape`: the model's configuration where it can be read; without it
    vLLM itself is left to judge what depends on the model. Raises `Refused` with a sentence."""
    if reason := refusal_of(settings, machine, shape):
        raise Refused(reason)
    follows = settings.nodes is Nodes.NATIVE and settings.node_rank > 0
    arguments = [
        *((*_FOLLOWER, settings.model) if follows else (*_SERVER, f"--model={settings.model}")),
        *(() if follows else _listening(settings)),
        *_parallel(settings),
        *_memory(settings, machine, shape),
        *_features(settings),
        *settings.extra_arguments,
    ]
    return Command(
        arguments=tuple(arguments),
        environment=_environment(settings, machine),
        address="" if follows else f"http://{as_reached(settings.host)}:{settings.port}",
        notes=_notes(settings, machine, shape),
    )


def _listening(settings: RuntimeSettings) -> list[str]:
    name = [f"--served-model-name={settings.served_name}"] if settings.served_name else []
    # Our health checks, two a second, would push everything else out of the log.
    return [*name, f"--host={settings.host}", f"--port={settings.port}", "--disable-uvicorn-access-log"]


def _parallel(settings: RuntimeSettings) -> list[str]:
    arguments = [
        f"--tensor-parallel-size={settings.tensor_parallel_size}",
        f"--pipeline-parallel-size={settings.pipeline_parallel_size}",
        f"--data-parallel-size={settings.data_parallel_size}",
    ]
    if settings.expert_parallel:
        arguments.append("--enable-expert-parallel")
    if settings.nodes is Nodes.RAY:
        arguments.append("--distributed-executor-backend=ray")
    if settings.nodes is Nodes.NATIVE:
        host, _, port = settings.head_address.rpartition(":")
        arguments += [f"--nnodes={settings.node_count}", f"--node-rank={settings.node_rank}"]
        arguments += [f"--master-addr={host.strip('[]')}", f"--master-port={port}"]
        if settings.node_rank > 0:
            arguments.append("--headless")
    return arguments


def _memory(settings: RuntimeSettings, machine: Machine, shape: ModelShape | None) -> list[str]:
    arguments = [f"--kv-cache-dtype={settings.kv_cache_dtype}", f"--max-num-seqs={settings.max_sequences}"]
    if settings.context_length is not None:
        arguments.append(f"--max-model-len={settings.context_length}")
    if settings.max_batched_tokens is not None:
        arguments.append(f"--max-num-batched-tokens={settings.max_batched_tokens}")
    if machine.device is Device.GPU:
        arguments.append(f"--gpu-memory-utilization={settings.gpu_memory_utilization:g}")
    if _names_its_packing(settings.quantization, shape):
        arguments.append(f"--quantization={_METHOD.get(settings.quantization, settings.quantization.value)}")
    eager = settings.eager if settings.eager is not None else machine.device is Device.CPU
    return [*arguments, *(["--enforce-eager"] if eager else []), _prefix_option(settings, machine, shape)]


def _names_its_packing(wanted: WeightFormat, shape: ModelShape | None) -> bool:
    """Whether vLLM must be told. Told `awq` or `gptq` it takes the plain kernels where, reading the checkpoint itself,
    it takes the faster Marlin ones; so a checkpoint that is known to be so packed is left to it."""
    if wanted in (WeightFormat.AWQ, WeightFormat.GPTQ):
        return shape is None or shape.checkpoint_quantization != wanted.value
    return wanted is not WeightFormat.CHECKPOINT


def _prefix_option(settings: RuntimeSettings, machine: Machine, shape: ModelShape | None) -> str:
    possible = not _lacks_prefix_cache(machine, shape)
    return "--enable-prefix-caching" if settings.prefix_caching and possible else "--no-enable-prefix-caching"


def _lacks_prefix_cache(machine: Machine, shape: ModelShape | None) -> bool:
    return machine.device is Device.CPU and shape is not None and shape.latent is not None


def _features(settings: RuntimeSettings) -> list[str]:
    arguments = []
    if settings.speculative_tokens:
        speculation = {"method": "mtp", "num_speculative_tokens": settings.speculative_tokens}
        arguments.append(f"--speculative-config={json.dumps(speculation)}")
    if settings.lora_adapters:
        arguments += ["--enable-lora", f"--max-lora-rank={settings.max_lora_rank}"]
        arguments += [f"--max-loras={len(settings.lora_adapters)}", "--lora-modules", *settings.lora_adapters]
    return arguments


def _environment(settings: RuntimeSettings, machine: Machine) -> dict[str, str]:
    environment = {}
    if settings.api_key is not None:
        # Not an argument: every user of the machine can read the command lines of all.
        environment["VLLM_API_KEY"] = settings.api_key.get_secret_value()
    if settings.nodes is Nodes.RAY:
        environment["RAY_ADDRESS"] = settings.head_address
    if machine.device is Device.CPU:
        environment["VLLM_CPU_KVCACHE_SPACE"] = str(settings.cpu_kv_cache_gib)
        if ranks_of(settings) > 1:
            environment["VLLM_CPU_OMP_THREADS_BIND"] = _shares(machine.cores, ranks_of(settings))
    return environment


def _shares(cores: Sequence[int], ranks: int) -> str:
    """The cores of each rank, in vLLM's form: `0,1|2,3`. Left to itself vLLM binds all ranks to one memory node's."""
    size = len(cores) // ranks
    return "|".join(",".join(map(str, cores[rank * size : (rank + 1) * size])) for rank in range(ranks))


def _notes(settings: RuntimeSettings, machine: Machine, shape: ModelShape | None) -> tuple[str, ...]:
    notes = []
    if settings.prefix_caching and _lacks_prefix_cache(machine, shape):
        notes.append("The CPU build has no prefix cache for models with latent attention (MLA): it is off.")
    if shape is None:
        notes.append(f"The configuration of {settings.model} could not be read here, so its fit is for vLLM to judge.")
    return tuple(notes)
