"""From settings to vLLM's command line and environment: a pure function, and what it refuses.

Owns which option of vLLM stands for which setting, and the sentences about settings that vLLM would refuse, ignore or
die with. Starts nothing and reads no file; option names are those of vLLM 0.22 to 0.32.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from model_runtime.addresses import as_reached, is_loopback
from model_runtime.plan_memory import Split, refusal
from model_runtime.plan_quantization import Quantization
from model_runtime.plan_shape import ModelShape
from model_runtime.vllm_errors import Refused
from model_runtime.vllm_settings import Device, KvCacheType, Nodes, RuntimeSettings, WeightFormat

_SERVER = ("-m", "vllm.entrypoints.openai.api_server")
# The other machines of a native group serve no HTTP; only vLLM's own command line can start them.
_FOLLOWER = ("-m", "vllm.entrypoints.cli.main", "serve")

_PACKED = {
    WeightFormat.FP8: Quantization.FP8,
    WeightFormat.AWQ: Quantization.AWQ,
    WeightFormat.GPTQ: Quantization.GPTQ,
    WeightFormat.INT8: Quantization.INT8,
}
_METHOD = {WeightFormat.INT8: "compressed-tensors"}

# Options that settings stand for, with vLLM's short forms: given twice, the last would win without a word.
_OWN_OPTIONS = frozenset(
    (
        *("--model", "--served-model-name", "--host", "--port", "--api-key"),
        *("--tensor-parallel-size", "-tp", "--pipeline-parallel-size", "-pp", "--data-parallel-size", "-dp"),
        *("--enable-expert-parallel", "-ep", "--distributed-executor-backend", "--nnodes", "-n", "--node-rank", "-r"),
        *("--master-addr", "--master-port", "--headless", "--quantization", "-q", "--kv-cache-dtype"),
        *("--max-model-len", "--max-num-seqs", "--max-num-batched-tokens", "--gpu-memory-utilization"),
        *("--enable-prefix-caching", "--no-enable-prefix-caching", "--enforce-eager", "--no-enforce-eager"),
        *("--speculative-config", "-sc", "--enable-lora", "--lora-modules", "--max-lora-rank", "--max-loras"),
    )
)
# Each of these changes how far the model reads.
_CONTEXT_OPTIONS = ("--hf-overrides", "--rope-scaling", "--rope-theta")


@dataclass(frozen=True)
class Machine:
    """What is computed on: `cores` are the processors this process may use, by number; needed on CPU only. `gpus`: how
    many GPUs vLLM may use here, None where that is not known."""

    device: Device
    cores: tuple[int, ...] = ()
    gpus: int | None = None


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
    reason = _contradiction(settings) or _machine_refusal(settings, machine)
    if not reason and shape is not None:
        reason = _model_refusal(settings, shape) or _kernel_refusal(settings, machine, shape)
    if reason:
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
        if _ranks(settings) > 1:
            environment["VLLM_CPU_OMP_THREADS_BIND"] = _shares(machine.cores, _ranks(settings))
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


def _contradiction(settings: RuntimeSettings) -> str:
    """What no model and no machine could make right."""
    if not settings.model:
        return "there is no model to serve: set ANSWERDESK_RUNTIME__MODEL to a folder or a hub id"
    if settings.model.startswith("-"):
        return f"{settings.model!r} is an option, not a model"
    if not is_loopback(settings.host) and settings.api_key is None:
        return f"vLLM on {settings.host} would answer anyone on the network: set ANSWERDESK_RUNTIME__API_KEY"
    if settings.max_batched_tokens is not None and settings.max_batched_tokens < settings.max_sequences:
        return (
            f"a step of {settings.max_batched_tokens} tokens has not one for each of {settings.max_sequences} answers:"
            " raise max_batched_tokens or lower max_sequences"
        )
    return _extra_refusal(settings) or _nodes_refusal(settings) or _speculation_refusal(settings)


def _extra_refusal(settings: RuntimeSettings) -> str:
    for argument in settings.extra_arguments:
        option = argument.partition("=")[0].strip()
        # vLLM's parser takes underscores for dashes, and any beginning that is unique.
        plain = option.replace("_", "-")
        if not plain.startswith("-"):
            continue
        if plain in _OWN_OPTIONS:
            return f"{option} has a setting of its own and cannot be an extra argument; docs/settings.md names it"
        shortened = [own for own in sorted(_OWN_OPTIONS) if len(plain) > 3 and own.startswith(plain)]
        if plain.startswith("--") and shortened:
            return f"{option} may be read as {shortened[0]}, which has a setting of its own; write the option in full"
    return ""


def _nodes_refusal(settings: RuntimeSettings) -> str:
    if settings.nodes is Nodes.ONE:
        if settings.head_address or settings.node_count > 1 or settings.node_rank:
            return "head_address, node_count and node_rank need nodes=ray or nodes=native"
        return ""
    _, _, port = settings.head_address.rpartition(":")
    if not port.isdecimal() or not 1 <= int(port) <= 65535 or len(settings.head_address) <= len(port) + 1:
        return f"nodes={settings.nodes} needs head_address as host:port, not {settings.head_address!r}"
    if settings.nodes is Nodes.RAY:
        if settings.node_count > 1 or settings.node_rank:
            return "Ray places the ranks itself: node_count and node_rank are for nodes=native"
        return ""
    if settings.node_count < 2:
        return "nodes=native needs node_count of 2 or more"
    if settings.node_rank >= settings.node_count:
        return f"node_rank {settings.node_rank} does not exist among {settings.node_count} machines, counted from 0"
    if _ranks(settings) % settings.node_count:
        return f"{_ranks(settings)} ranks cannot be shared evenly by {settings.node_count} machines"
    return ""


def _speculation_refusal(settings: RuntimeSettings) -> str:
    if settings.speculative_tokens and settings.pipeline_parallel_size > 1:
        return (
            "speculative decoding and pipeline parallelism exclude each other: the prediction module runs with the last"
            " stage, and vLLM either refuses that or writes wrong answers"
        )
    return ""


def _machine_refusal(settings: RuntimeSettings, machine: Machine) -> str:
    if machine.device is Device.GPU:
        return _gpus_refusal(settings, machine.gpus)
    if settings.expert_parallel:
        return "the CPU build of vLLM dies at the first request with expert parallelism: leave expert_parallel off"
    if settings.nodes is not Nodes.ONE:
        return "the CPU build of vLLM serves on one machine: set nodes=one"
    if _ranks(settings) > len(machine.cores):
        return f"{_ranks(settings)} ranks need a core each, and there are {len(machine.cores)}"
    return ""


def _gpus_refusal(settings: RuntimeSettings, gpus: int | None) -> str:
    if gpus is None or settings.nodes is Nodes.RAY:  # Ray places the ranks on machines that we do not see
        return ""
    here = _ranks(settings) // settings.node_count
    return f"{here} ranks on this machine need a GPU each, and vLLM may use {gpus}" if here > gpus else ""


def _model_refusal(settings: RuntimeSettings, shape: ModelShape) -> str:
    overridden = any(argument.startswith(_CONTEXT_OPTIONS) for argument in settings.extra_arguments)
    context = settings.context_length
    if context is not None and context > shape.longest_context and not overridden:
        return f"{shape.name} reads at most {shape.longest_context:,} tokens; context_length is {context:,}"
    if settings.speculative_tokens and not shape.extra_prediction_layers:
        return f"{shape.name} has no prediction module (MTP): set speculative_tokens to 0"
    packing = _packing_refusal(settings.quantization, shape)
    return packing or _split_refusal(settings, shape)


def _kernel_refusal(settings: RuntimeSettings, machine: Machine, shape: ModelShape) -> str:
    """What the CPU build has no kernels for, as vLLM 0.32 tells while it loads the model or at the first request."""
    if machine.device is not Device.CPU:
        return ""
    # v1/attention/backends/mla/cpu_mla.py names "auto" alone, and amx_mla.py beside it asserts that.
    if shape.latent is not None and settings.kv_cache_dtype is not KvCacheType.AUTO:
        return (
            f"the CPU build keeps the cache of latent attention (MLA), which {shape.name} has, as the weights are:"
            " leave kv_cache_dtype at auto"
        )
    # _get_attn_isa in v1/attention/backends/cpu_attn.py.
    odd = shape.latent is None and shape.head_size % 32 == 16
    if settings.kv_cache_dtype is KvCacheType.FP8 and odd:
        return (
            f"the CPU build has an fp8 KV cache for heads of a multiple of 32, and those of {shape.name} have"
            f" {shape.head_size}: leave kv_cache_dtype at auto"
        )
    return ""


def _packing_refusal(wanted: WeightFormat, shape: ModelShape) -> str:
    stored = shape.checkpoint_quantization
    if wanted is WeightFormat.CHECKPOINT or stored == wanted.value:
        return ""
    # An empty one is packed in a way that its configuration does not tell, as compressed-tensors int8 and fp8 are.
    possible = {WeightFormat.FP8: ("", "bf16"), WeightFormat.INT8: ("",)}.get(wanted, ())
    if stored not in possible:
        return (
            f"{shape.name} is stored as {stored or 'compressed-tensors'}, and vLLM cannot make {wanted} of it: take a"
            " checkpoint so packed, or leave quantization at checkpoint"
        )
    return ""


def _split_refusal(settings: RuntimeSettings, shape: ModelShape) -> str:
    split = Split(
        settings.tensor_parallel_size,
        settings.pipeline_parallel_size,
        settings.data_parallel_size,
        settings.expert_parallel,
    )
    if split.experts_whole and shape.experts is None:
        return f"{shape.name} has no experts: leave expert_parallel off"
    if split.experts_whole and shape.experts is not None:
        # The planner plans even shares only; vLLM also starts with some ranks holding an expert more.
        even = -(-shape.experts.count // split.expert_ways) * split.expert_ways
        shape = replace(shape, experts=replace(shape.experts, count=even))
    packing = _PACKED.get(settings.quantization) or Quantization(shape.checkpoint_quantization or Quantization.BF16)
    reason = refusal(shape, split, packing)
    return f"vLLM would not start {shape.name} so: {reason}" if reason else ""


def _ranks(settings: RuntimeSettings) -> int:
    return settings.tensor_parallel_size * settings.pipeline_parallel_size * settings.data_parallel_size
