"""What vLLM would refuse, ignore or die with, said before it is started: judgements on settings, machine and model.

Owns the sentences. Writes no option and starts nothing; they were true of vLLM 0.22 to 0.32.
"""

from __future__ import annotations

from dataclasses import replace

from model_runtime.addresses import is_loopback
from model_runtime.plan.memory import refusal
from model_runtime.plan.quantization import Quantization
from model_runtime.plan.shape import ModelShape
from model_runtime.server.in_the_plan import quantization_of, ranks_of, split_of
from model_runtime.server.machine import Machine
from model_runtime.server.settings import Device, KvCacheType, Nodes, RuntimeSettings, WeightFormat

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


def refusal_of(settings: RuntimeSettings, machine: Machine, shape: ModelShape | None) -> str:
    """Why vLLM cannot serve so, as a sentence that begins in lower case; empty when it can. `shape`: of the model,
    None where its configuration cannot be read."""
    reason = _contradiction(settings) or _machine_refusal(settings, machine)
    if not reason and shape is not None:
        reason = _model_refusal(settings, shape) or _kernel_refusal(settings, machine, shape)
    return reason


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
    if ranks_of(settings) % settings.node_count:
        return f"{ranks_of(settings)} ranks cannot be shared evenly by {settings.node_count} machines"
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
    if ranks_of(settings) > len(machine.cores):
        return f"{ranks_of(settings)} ranks need a core each, and there are {len(machine.cores)}"
    return ""


def _gpus_refusal(settings: RuntimeSettings, gpus: int | None) -> str:
    if gpus is None or settings.nodes is Nodes.RAY:  # Ray places the ranks on machines that we do not see
        return ""
    here = ranks_of(settings) // settings.node_count
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
    split = split_of(settings)
    if split.experts_whole and shape.experts is None:
        return f"{shape.name} has no experts: leave expert_parallel off"
    if split.experts_whole and shape.experts is not None:
        # The planner plans even shares only; vLLM also starts with some ranks holding an expert more.
        even = -(-shape.experts.count // split.expert_ways) * split.expert_ways
        shape = replace(shape, experts=replace(shape.experts, count=even))
    packing = quantization_of(settings, shape) or Quantization.BF16
    reason = refusal(shape, split, packing)
    return f"vLLM would not start {shape.name} so: {reason}" if reason else ""
