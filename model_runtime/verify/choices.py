"""What can be chosen about a check: light to import, for the command line."""

from __future__ import annotations

from enum import StrEnum


class Architecture(StrEnum):
    DEEPSEEK_V3 = "deepseek-v3"
    MIXTRAL = "mixtral"
    QWEN3_MOE = "qwen3-moe"


class Precision(StrEnum):
    """What the server computes in."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
