"""Settings in, vLLM's command line out: a table of cases, all that is refused before a start, and what is looked up."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from model_runtime.plan.models import load_model, shipped_models
from model_runtime.plan.shape import ModelShape
from model_runtime.server.command import Command, vllm_command
from model_runtime.server.control import interpreter_of, prepare, visible_gpus
from model_runtime.server.errors import NotInstalled, Refused
from model_runtime.server.machine import Machine
from model_runtime.server.settings import Device, RuntimeSettings

GPU = Machine(Device.GPU)
ONE_GPU = Machine(Device.GPU, gpus=1)
CPU = Machine(Device.CPU, cores=(0, 1, 2, 3))
ALWAYS = {
    *("--model=m", "--host=127.0.0.1", "--port=8000", "--tensor-parallel-size=1", "--pipeline-parallel-size=1"),
    *("--data-parallel-size=1", "--kv-cache-dtype=auto", "--max-num-seqs=64", "--enable-prefix-caching"),
    "--disable-uvicorn-access-log",
}
ON_GPU = ALWAYS | {"--gpu-memory-utilization=0.9"}

SHAPES = {"head-of-80": replace(load_model("llama-3.1-8b"), head_size=80)}


def made(machine: Machine, shape: ModelShape | None = None, **fields: Any) -> Command:
    return vllm_command(RuntimeSettings(**{"model": "m", **fields}), machine, shape)


@pytest.mark.parametrize(
    ("machine", "fields", "without", "with_"),
    [
        (GPU, {}, set(), set()),
        (CPU, {}, {"--gpu-memory-utilization=0.9"}, {"--enforce-eager"}),
        (CPU, {"eager": False}, {"--gpu-memory-utilization=0.9"}, set()),
        (GPU, {"eager": True}, set(), {"--enforce-eager"}),
        (GPU, {"prefix_caching": False}, {"--enable-prefix-caching"}, {"--no-enable-prefix-caching"}),
        (
            GPU,
            {"tensor_parallel_size": 8, "data_parallel_size": 2, "expert_parallel": True},
            {"--tensor-parallel-size=1", "--data-parallel-size=1"},
            {"--tensor-parallel-size=8", "--data-parallel-size=2", "--enable-expert-parallel"},
        ),
        (GPU, {"quantization": "int8"}, set(), {"--quantization=compressed-tensors"}),
        (GPU, {"quantization": "awq"}, set(), {"--quantization=awq"}),
        (GPU, {"kv_cache_dtype": "fp8"}, {"--kv-cache-dtype=auto"}, {"--kv-cache-dtype=fp8"}),
        (
            GPU,
            {"context_length": 4096, "max_batched_tokens": 2048, "served_name": "chat"},
            set(),
            {"--max-model-len=4096", "--max-num-batched-tokens=2048", "--served-model-name=chat"},
        ),
        (
            GPU,
            {"speculative_tokens": 2},
            set(),
            {'--speculative-config={"method": "mtp", "num_speculative_tokens": 2}'},
        ),
        (
            GPU,
            {"lora_adapters": ["tv=/a", "phone=/b"], "max_lora_rank": 32},
            set(),
            {"--enable-lora", "--max-lora-rank=32", "--max-loras=2", "--lora-modules", "tv=/a", "phone=/b"},
        ),
        (
            GPU,
            {"nodes": "ray", "head_address": "10.0.0.1:6379", "tensor_parallel_size": 16},
            {"--tensor-parallel-size=1"},
            {"--tensor-parallel-size=16", "--distributed-executor-backend=ray"},
        ),
        (
            GPU,
            {"nodes": "native", "node_count": 2, "head_address": "[fd00::1]:29500", "pipeline_parallel_size": 2},
            {"--pipeline-parallel-size=1"},
            {
                *("--pipeline-parallel-size=2", "--nnodes=2", "--node-rank=0"),
                *("--master-addr=fd00::1", "--master-port=29500"),
            },
        ),
        (
            GPU,
            {"extra_arguments": ["--seed=1", "--enable-chunked-prefill"]},
            set(),
            {"--seed=1", "--enable-chunked-prefill"},
        ),
    ],
)
def test_the_options(machine: Machine, fields: dict[str, Any], without: set[str], with_: set[str]) -> None:
    command = made(machine, **fields)
    assert command.arguments[:2] == ("-m", "vllm.entrypoints.openai.api_server")
    assert sorted(command.arguments[2:]) == sorted((ON_GPU - without) | with_)
    assert command.health == "http://127.0.0.1:8000/health"


@pytest.mark.parametrize(
    ("machine", "fields", "environment"),
    [
        (GPU, {}, {}),
        (CPU, {"cpu_kv_cache_gib": 2}, {"VLLM_CPU_KVCACHE_SPACE": "2"}),
        (
            CPU,
            {"tensor_parallel_size": 2},
            {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "0,1|2,3"},
        ),
        (GPU, {"api_key": "secret-of-vllm"}, {"VLLM_API_KEY": "secret-of-vllm"}),
        (GPU, {"nodes": "ray", "head_address": "head:6379"}, {"RAY_ADDRESS": "head:6379"}),
    ],
)
def test_the_environment(machine: Machine, fields: dict[str, Any], environment: dict[str, str]) -> None:
    command = made(machine, **fields)
    assert command.environment == environment
    assert "secret-of-vllm" not in " ".join(command.arguments)


def test_a_following_machine_serves_no_http() -> None:
    command = made(GPU, nodes="native", node_count=2, node_rank=1, head_address="h:1", tensor_parallel_size=2)
    assert command.arguments[:4] == ("-m", "vllm.entrypoints.cli.main", "serve", "m")
    assert "--headless" in command.arguments
    assert not any(argument.startswith(("--host", "--port")) for argument in command.arguments)
    assert (command.address, command.health) == ("", "")


def test_a_checkpoint_known_to_be_packed_keeps_the_faster_kernels() -> None:
    packed = replace(load_model("qwen2.5-7b"), checkpoint_quantization="awq")
    assert not any("quantization" in each for each in made(GPU, packed, quantization="awq").arguments)


def test_the_cpu_has_no_prefix_cache_for_latent_attention_and_that_is_said() -> None:
    command = made(CPU, load_model("deepseek-v2-lite"))
    assert "--no-enable-prefix-caching" in command.arguments
    assert "no prefix cache" in command.notes[0]
    assert made(GPU, load_model("deepseek-v2-lite")).notes == ()


@pytest.mark.parametrize(
    ("machine", "model", "fields", "says"),
    [
        (GPU, None, {"model": ""}, "ANSWERDESK_RUNTIME__MODEL"),
        (GPU, None, {"model": "--api-key=x"}, "is an option"),
        (GPU, None, {"host": "0.0.0.0"}, "ANSWERDESK_RUNTIME__API_KEY"),
        (GPU, None, {"max_batched_tokens": 32}, "has not one for each of 64 answers"),
        (ONE_GPU, None, {"tensor_parallel_size": 2}, "2 ranks on this machine need a GPU each, and vLLM may use 1"),
        (
            ONE_GPU,
            None,
            {"nodes": "native", "node_count": 2, "head_address": "h:1", "tensor_parallel_size": 4},
            "2 ranks on this machine",
        ),
        (CPU, "deepseek-v2-lite", {"kv_cache_dtype": "fp8"}, "latent attention (MLA)"),
        (CPU, "deepseek-v2-lite", {"kv_cache_dtype": "bfloat16"}, "latent attention (MLA)"),
        (CPU, "head-of-80", {"kv_cache_dtype": "fp8"}, "multiple of 32"),
        (CPU, None, {"expert_parallel": True}, "dies at the first request"),
        (CPU, None, {"nodes": "ray", "head_address": "h:1"}, "one machine"),
        (CPU, None, {"tensor_parallel_size": 8}, "8 ranks need a core each, and there are 4"),
        (GPU, "smollm2-135m", {"tensor_parallel_size": 2}, "9 attention heads are not divisible by TP 2"),
        (GPU, "llama-3.1-8b", {"pipeline_parallel_size": 64}, "32 layers cannot fill PP 64"),
        (GPU, "qwen3-8b", {"context_length": 40_961}, "reads at most 40,960 tokens; context_length is 40,961"),
        (GPU, "qwen3-8b", {"speculative_tokens": 1}, "no prediction module"),
        (GPU, "qwen3-8b", {"expert_parallel": True}, "has no experts"),
        (GPU, "deepseek-v3", {"speculative_tokens": 1, "pipeline_parallel_size": 2}, "exclude each other"),
        (GPU, "qwen3-8b", {"quantization": "awq"}, "stored as bf16, and vLLM cannot make awq of it"),
        (GPU, "deepseek-v3", {"quantization": "int8"}, "stored as fp8"),
        (GPU, "deepseek-v3", {"tensor_parallel_size": 32}, "is not a multiple of the fp8 block's 128"),
        (GPU, None, {"node_count": 2}, "need nodes=ray or nodes=native"),
        (GPU, None, {"nodes": "ray"}, "host:port"),
        (GPU, None, {"nodes": "ray", "head_address": ":6379"}, "host:port"),
        (GPU, None, {"nodes": "ray", "head_address": "h:99999"}, "host:port"),
        (GPU, None, {"nodes": "native", "head_address": "h:1"}, "node_count of 2 or more"),
        (GPU, None, {"nodes": "native", "head_address": "h:1", "node_count": 2, "node_rank": 2}, "does not exist"),
        (GPU, None, {"nodes": "native", "head_address": "h:1", "node_count": 2}, "cannot be shared evenly"),
        (GPU, None, {"extra_arguments": ["--api-key=abc"]}, "--api-key has a setting of its own"),
        (GPU, None, {"extra_arguments": ["--tensor_parallel_size", "2"]}, "has a setting of its own"),
        (GPU, None, {"extra_arguments": ["--api=abc"]}, "may be read as --api-key"),
        (GPU, None, {"extra_arguments": ["-tp=2"]}, "has a setting of its own"),
    ],
)
def test_what_is_refused(machine: Machine, model: str | None, fields: dict[str, Any], says: str) -> None:
    with pytest.raises(Refused) as refused:
        made(machine, SHAPES.get(model) or load_model(model) if model else None, **fields)
    assert says in str(refused.value)


def test_what_is_possible_is_not_refused() -> None:
    v3 = load_model("deepseek-v3")
    made(GPU, v3, tensor_parallel_size=8, expert_parallel=True, speculative_tokens=1, kv_cache_dtype="fp8")
    # 128 experts over 12 ranks: some hold one more.
    made(GPU, load_model("qwen3-30b-a3b"), data_parallel_size=12, expert_parallel=True)
    made(GPU, load_model("qwen3-8b"), context_length=131_072, extra_arguments=["--hf-overrides={}"])
    made(GPU, load_model("llama-3.1-8b"), quantization="fp8")
    made(GPU, max_sequences=64, max_batched_tokens=64)
    # On CPU an fp8 cache is possible for ordinary heads, on a GPU for all; ranks of other machines need no GPU here.
    made(CPU, load_model("llama-3.1-8b"), kv_cache_dtype="fp8")
    made(GPU, SHAPES["head-of-80"], kv_cache_dtype="fp8")
    made(ONE_GPU, nodes="native", node_count=2, head_address="h:1", tensor_parallel_size=2)
    made(ONE_GPU, nodes="ray", head_address="h:1", tensor_parallel_size=16)


@pytest.mark.parametrize("adapters", [["tv"], ["=x"], ["tv="], ["tv=/a", "tv=/b"]])
def test_adapters_have_a_name_each(adapters: list[str]) -> None:
    with pytest.raises(ValidationError):
        RuntimeSettings(model="m", lora_adapters=tuple(adapters))


@settings(deadline=None)
@given(
    model=st.sampled_from(shipped_models()),
    tensor=st.sampled_from([1, 2, 3, 4, 6, 8, 16]),
    pipeline=st.integers(1, 5),
    data=st.integers(1, 5),
    experts=st.booleans(),
    key=st.text(min_size=1, max_size=20),
)
def test_every_wish_is_a_command_or_a_sentence(
    model: str, tensor: int, pipeline: int, data: int, experts: bool, key: str
) -> None:
    try:
        command = made(
            GPU,
            load_model(model),
            tensor_parallel_size=tensor,
            pipeline_parallel_size=pipeline,
            data_parallel_size=data,
            expert_parallel=experts,
            api_key=key,
        )
    except Refused as refused:
        sentence = str(refused)
    else:
        sentence = ""
    if sentence:
        assert 20 < len(sentence) < 300
        return
    assert command.environment == {"VLLM_API_KEY": key}
    options = [argument.partition("=")[0] for argument in command.arguments if argument.startswith("--")]
    assert len(options) == len(set(options))
    assert load_model(model).heads % tensor == 0
    json.dumps(command.arguments)


def nvidia_smi(folder: Path, script: str) -> None:
    folder.mkdir(exist_ok=True)
    tool = folder / "nvidia-smi"
    tool.write_text(f'#!/bin/sh\n[ "$1" = --list-gpus ] || exit 9\n{script}\n')
    tool.chmod(0o755)


@pytest.mark.parametrize(
    ("script", "chosen", "gpus"),
    [
        ("echo 'GPU 0: NVIDIA H100 (UUID: GPU-a)'; echo 'GPU 1: NVIDIA H100 (UUID: GPU-b)'", None, 2),
        ("echo 'GPU 0: NVIDIA H100 (UUID: GPU-a)'; echo 'GPU 1: NVIDIA H100 (UUID: GPU-b)'", "1", 1),
        ("echo 'GPU 0: NVIDIA H100 (UUID: GPU-a)'", "0,1,2", 1),
        ("echo 'GPU 0: NVIDIA H100 (UUID: GPU-a)'", "", 0),
        ("echo 'GPU 0: NVIDIA H100 (UUID: GPU-a)'; echo '  MIG 1g.10gb Device 0: (UUID: MIG-c)'", None, None),
        ("echo 'no driver'; exit 6", None, None),
    ],
)
def test_gpus_are_counted_where_nvidias_tool_tells(
    script: str, chosen: str | None, gpus: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nvidia_smi(tmp_path / "bin", script)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert visible_gpus({} if chosen is None else {"CUDA_VISIBLE_DEVICES": chosen}) == gpus
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    assert visible_gpus({}) is None


def test_a_start_counts_gpus_and_looks_for_adapters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nvidia_smi(tmp_path / "bin", "echo 'GPU 0: NVIDIA H100 (UUID: GPU-a)'")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    (tmp_path / "bin/python").touch()
    adapter = tmp_path / "tv"
    adapter.mkdir()
    wished = RuntimeSettings(model="some/model", environment=tmp_path, device="gpu", lora_adapters=(f"tv={adapter}",))
    with pytest.raises(Refused, match=r"adapter tv is not in .*no adapter_config\.json"):
        prepare(wished)
    (adapter / "adapter_config.json").write_text("{}")
    machine, command = prepare(wished)
    assert machine.gpus == 1
    assert f"tv={adapter}" in command.arguments
    prepare(wished.model_copy(update={"lora_adapters": ("tv=owner/tv",)}))  # of the hub
    with pytest.raises(Refused, match="2 ranks on this machine need a GPU each"):
        prepare(wished.model_copy(update={"tensor_parallel_size": 2}))


def test_the_environment_is_found_here_then_in_the_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkout, here = tmp_path / "checkout", tmp_path / "here"
    for folder in (checkout / "model_runtime", checkout / "runtime/bin", here):
        folder.mkdir(parents=True)
    (checkout / "runtime/bin/python").touch()
    monkeypatch.setattr("model_runtime.server.control.__file__", str(checkout / "model_runtime/server/control.py"))
    monkeypatch.chdir(here)
    wished = RuntimeSettings(model="m", environment=Path("runtime"))
    assert interpreter_of(wished) == checkout / "runtime/bin/python"
    (here / "runtime/bin").mkdir(parents=True)
    (here / "runtime/bin/python").touch()
    assert interpreter_of(wished) == here / "runtime/bin/python"
    with pytest.raises(NotInstalled, match=re.escape(str(here / "nowhere"))):
        interpreter_of(RuntimeSettings(environment=Path("nowhere")))
