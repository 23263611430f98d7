"""What an operator chooses about the model server. A section of the settings; reads no environment itself."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator


class Device(StrEnum):
    """What a build of vLLM computes on."""

    CPU = "cpu"
    GPU = "gpu"


class WeightFormat(StrEnum):
    """How the weights are packed. vLLM makes `fp8` of a 16-bit checkpoint; others must come packed."""

    CHECKPOINT = "checkpoint"
    FP8 = "fp8"
    AWQ = "awq"
    GPTQ = "gptq"
    INT8 = "int8"


class KvCacheType(StrEnum):
    AUTO = "auto"
    BFLOAT16 = "bfloat16"
    FP8 = "fp8"


class Nodes(StrEnum):
    """How several machines serve one model together."""

    ONE = "one"
    RAY = "ray"
    NATIVE = "native"


class RuntimeSettings(BaseModel):
    """The section `runtime`. Bounds are here; what depends on the model or the machine is in `command`."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    model: str = Field("", description="Folder of the model to serve, or its hub id.")
    served_name: str = Field("", description="Name under which the model is asked; empty means as `model`.")
    environment: Path = Field(Path(".venv-runtime"), description="Where `make runtime` has put vLLM.")
    device: Literal["auto", "cpu", "gpu"] = Field("auto", description="cpu or gpu; auto is what vLLM was built for.")
    host: str = Field("127.0.0.1", description="Address vLLM listens on.")
    port: int = Field(8000, ge=1, le=65535, description="Port of vLLM.")
    api_key: SecretStr | None = Field(
        None, description="Key that requests to vLLM must bear. Needed to listen beyond loopback."
    )
    tensor_parallel_size: int = Field(1, ge=1, le=1024, description="Ranks that share each layer.")
    pipeline_parallel_size: int = Field(1, ge=1, le=1024, description="Stages that share the layers.")
    data_parallel_size: int = Field(1, ge=1, le=1024, description="Replicas of the attention layers.")
    expert_parallel: bool = Field(False, description="Whole experts on each rank instead of slices of all (GPU).")
    quantization: WeightFormat = Field(
        WeightFormat.CHECKPOINT, description="checkpoint (as it is), fp8, awq, gptq or int8 (compressed-tensors)."
    )
    kv_cache_dtype: KvCacheType = Field(KvCacheType.AUTO, description="auto (as the weights), bfloat16 or fp8.")
    context_length: int | None = Field(
        None, ge=16, le=16_777_216, description="Longest prompt and answer together, in tokens; empty: the model's own."
    )
    max_sequences: int = Field(64, ge=1, le=65536, description="Answers written at the same time.")
    max_batched_tokens: int | None = Field(
        None, ge=16, le=1_048_576, description="Tokens of one step; empty: vLLM chooses."
    )
    prefix_caching: bool = Field(True, description="Keeps the KV cache of beginnings that prompts share.")
    speculative_tokens: int = Field(
        0, ge=0, le=8, description="Tokens proposed a step by the model's own prediction module (MTP); 0 is off."
    )
    lora_adapters: tuple[str, ...] = Field(
        (), description='LoRA adapters, each name=folder, as JSON: ["tv=/models/tv"].'
    )
    max_lora_rank: Literal[8, 16, 32, 64, 128, 256, 320, 512] = Field(16, description="Largest rank of an adapter.")
    gpu_memory_utilization: float = Field(0.9, ge=0.1, le=1, description="Share of each GPU's memory (GPU).")
    cpu_kv_cache_gib: int = Field(1, ge=1, le=4096, description="KV cache of each rank, in GiB (CPU).")
    eager: bool | None = Field(
        None, description="Without compiling the model: starts in a quarter of the time. Empty: yes on CPU, no on GPU."
    )
    nodes: Nodes = Field(Nodes.ONE, description="one machine, or several: through ray, or native (vLLM's own).")
    node_count: int = Field(1, ge=1, le=1024, description="Machines that serve together (native).")
    node_rank: int = Field(0, ge=0, le=1023, description="Which of them this is; 0 is the one that answers (native).")
    head_address: str = Field("", description="host:port of the Ray cluster, or of machine 0 (native).")
    extra_arguments: tuple[str, ...] = Field((), description='More arguments for vLLM, as JSON: ["--seed=1"].')
    ready_timeout_s: float = Field(1800, gt=0, le=86400, description="Longest wait for a start, in seconds.")
    restarts: int = Field(5, ge=0, le=100, description="Restarts in a row before the runtime is given up.")
    first_pause_s: float = Field(
        1.0, gt=0, le=600, description="Pause before a restart, doubled each time, in seconds."
    )
    longest_pause_s: float = Field(60.0, gt=0, le=3600, description="The longest such pause, in seconds.")
    steady_after_s: float = Field(
        300.0, gt=0, le=86400, description="After this long without a failure the restarts are forgotten, in seconds."
    )
    silent_after_s: float = Field(
        60.0, gt=0, le=3600, description="A server that answers no health check this long is started anew, in seconds."
    )
    stop_within_s: float = Field(
        15.0, gt=0, le=600, description="Time to end by itself before it is killed, in seconds."
    )

    @field_validator("max_lora_rank", mode="before")
    @classmethod
    def _number(cls, rank: object) -> object:
        # The environment has text alone, and pydantic takes no text for one of several numbers.
        return int(rank) if isinstance(rank, str) and rank.isdecimal() else rank

    @field_validator("lora_adapters")
    @classmethod
    def _named_once(cls, adapters: tuple[str, ...]) -> tuple[str, ...]:
        names = [adapter.partition("=")[0].strip() for adapter in adapters]
        for adapter, name in zip(adapters, names, strict=True):
            if not name or not adapter.partition("=")[2].strip():
                raise ValueError(f"{adapter!r} is not name=folder")
        if len(set(names)) < len(names):
            raise ValueError("two adapters have the same name")
        return adapters
