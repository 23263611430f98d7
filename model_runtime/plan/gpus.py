"""GPUs by short name: what a plan needs to know of them. Knows nothing of models.

Memory is what the driver leaves to a program (as CUDA and ROCm report it, ECC on), not the number on the box: an
"L40S 48 GB" has 44.4 GiB. Bandwidth and dense (no sparsity) tensor rates are from the vendors' data sheets, for the
SXM or OAM form where there are several. Rates are with 32-bit accumulation, which is what serving uses.
"""

from __future__ import annotations

from dataclasses import dataclass

from model_runtime.plan.errors import UnknownGpu

GIB = 1024**3


@dataclass(frozen=True)
class Gpu:
    """One GPU. Bandwidth in GB/s (10^9), rates in dense TFLOP/s (int8: TOP/s).

    `fp8_tflops` is None where the hardware has none: weights in fp8 are then only stored, and multiplied in bf16.
    `int8_tops` is None where vLLM has no int8 kernel. `packed_4_bit` says whether vLLM reads AWQ and GPTQ on it.
    `fast_link`: GPUs of a node are joined by NVLink or Infinity Fabric, not by PCIe.
    """

    name: str
    memory_gib: float
    bandwidth_gb_s: float
    bf16_tflops: float
    fp8_tflops: float | None
    int8_tops: float | None
    fast_link: bool
    source: str
    packed_4_bit: bool = True

    @property
    def memory_bytes(self) -> int:
        return int(self.memory_gib * GIB)


_TABLE = (
    Gpu("h100-80g", 79.1, 3350, 989, 1979, 1979, True, "NVIDIA H100 data sheet, SXM"),
    Gpu("h200-141g", 139.8, 4800, 989, 1979, 1979, True, "NVIDIA H200 data sheet, SXM"),
    Gpu("b200-180g", 178.3, 7700, 2250, 4500, None, True, "NVIDIA HGX B200 data sheet"),
    Gpu("a100-80g", 79.1, 2039, 312, None, 624, True, "NVIDIA A100 data sheet, SXM"),
    Gpu("a100-40g", 39.4, 1555, 312, None, 624, True, "NVIDIA A100 data sheet, SXM"),
    Gpu("l40s-48g", 44.4, 864, 362, 733, 733, False, "NVIDIA L40S data sheet"),
    Gpu("l4-24g", 21.9, 300, 121, 242, 242, False, "NVIDIA L4 data sheet"),
    Gpu("rtx4090-24g", 23.5, 1008, 165, 330, 661, False, "NVIDIA Ada architecture white paper"),
    Gpu("mi300x-192g", 191.5, 5300, 1307, 2615, None, True, "AMD Instinct MI300X data sheet", packed_4_bit=False),
)
GPUS: dict[str, Gpu] = {gpu.name: gpu for gpu in _TABLE}


def find_gpu(name: str) -> Gpu:
    """The GPU of that short name. Raises `UnknownGpu` with the names there are."""
    try:
        return GPUS[name.strip().lower()]
    except KeyError:
        raise UnknownGpu(f"no GPU {name!r} in the table; there are: {', '.join(GPUS)}") from None
