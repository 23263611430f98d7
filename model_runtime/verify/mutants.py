"""Models that are a little wrong, each as an implementation that forgot something would compute it.

Owns what is spoiled: the configuration, or the weights of the last layer alone, where a mistake has the least left to
spoil. A comparison that lets one of them pass proves nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from model_runtime.verify.choices import Architecture
from model_runtime.verify.small_models import SmallModel

Spoil = Callable[[SmallModel], SmallModel]


def mutants_of(architecture: Architecture) -> Mapping[str, Spoil]:
    """By name, what makes a wrong model of a right one of this architecture."""
    everywhere: dict[str, Spoil] = {
        "two-experts-swapped": _swap_two_experts,
        "one-expert-fewer": lambda model: _count_experts(model, -1),
        "one-expert-more": lambda model: _count_experts(model, +1),
    }
    gates: dict[str, Spoil] = {"gates-not-normalised": lambda model: _configured(model, norm_topk_prob=False)}
    deepseek: dict[str, Spoil] = {
        "score-bias-zeroed": lambda model: _zeroed(model, "mlp.gate.e_score_correction_bias"),
        "shared-expert-left-out": lambda model: _zeroed(model, "mlp.shared_experts.down_proj.weight"),
        "groups-ignored": lambda model: _configured(model, n_group=1, topk_group=1),
        "routed-experts-not-scaled": lambda model: _configured(model, routed_scaling_factor=1.0),
        "positions-not-stretched": lambda model: _configured(model, rope_scaling=None),
    }
    return {
        Architecture.DEEPSEEK_V3: everywhere | gates | deepseek,
        Architecture.MIXTRAL: everywhere,
        Architecture.QWEN3_MOE: everywhere | gates,
    }[architecture]


def _configured(model: SmallModel, **changes: Any) -> SmallModel:
    return replace(model, config={**model.config, **changes})


def _count_experts(model: SmallModel, more: int) -> SmallModel:
    return _configured(model, num_experts_per_tok=model.config["num_experts_per_tok"] + more)


def _zeroed(model: SmallModel, part: str) -> SmallModel:
    name = f"{_last_layer(model)}.{part}"
    return replace(model, tensors={**model.tensors, name: np.zeros_like(model.tensors[name])})


def _swap_two_experts(model: SmallModel) -> SmallModel:
    """The weights of experts 0 and 1 change places; the router goes on meaning the old ones."""
    changed = dict(model.tensors)
    for name in model.tensors:
        if name.startswith(_last_layer(model)) and ".experts.0." in name:
            other = name.replace(".experts.0.", ".experts.1.")
            changed[name], changed[other] = model.tensors[other], model.tensors[name]
    return replace(model, tensors=changed)


def _last_layer(model: SmallModel) -> str:
    return f"model.layers.{model.config['num_hidden_layers'] - 1}"
