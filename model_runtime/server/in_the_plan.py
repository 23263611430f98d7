"""The runtime's settings in the planner's terms: its split, its formats."""

from __future__ import annotations

from model_runtime.plan.memory import KvType, Split
from model_runtime.plan.quantization import Quantization
from model_runtime.plan.shape import ModelShape
from model_runtime.server.settings import KvCacheType, RuntimeSettings, WeightFormat


def split_of(settings: RuntimeSettings) -> Split:
    sizes = (settings.tensor_parallel_size, settings.pipeline_parallel_size, settings.data_parallel_size)
    return Split(*sizes, experts_whole=settings.expert_parallel)


def ranks_of(settings: RuntimeSettings) -> int:
    """Processes that compute, on all machines together."""
    return split_of(settings).gpus


def quantization_of(settings: RuntimeSettings, shape: ModelShape) -> Quantization | None:
    """Of the weights as served; None when they stay as they are and the model's configuration does not say how."""
    if settings.quantization is not WeightFormat.CHECKPOINT:
        return Quantization(settings.quantization.value)
    return Quantization(shape.checkpoint_quantization) if shape.checkpoint_quantization else None


def kv_type_of(settings: RuntimeSettings) -> KvType:
    return KvType.FP8 if settings.kv_cache_dtype is KvCacheType.FP8 else KvType.BF16
