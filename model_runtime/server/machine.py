"""What is served on, as far as starting a server needs to know it."""

from __future__ import annotations

from dataclasses import dataclass

from model_runtime.server.settings import Device


@dataclass(frozen=True)
class Machine:
    """What is computed on: `cores` are the processors this process may use, by number; needed on CPU only. `gpus`: how
    many GPUs vLLM may use here, None where that is not known."""

    device: Device
    cores: tuple[int, ...] = ()
    gpus: int | None = None
