"""The errors of planning, drawn as a tree; every message says what to do.

PlanError
├── UnknownModel      no short name, file or cached hub model of that name
├── BadConfig         the config.json is unreadable, incomplete, or of an architecture that is not counted
├── UnknownGpu        no such entry in the table of GPUs
└── ImpossiblePlan    what was asked for contradicts the model or the GPU (a context beyond the model's, ...)
"""

from __future__ import annotations


class PlanError(Exception):
    """Base of everything that planning raises on purpose; its text is meant for people."""


class UnknownModel(PlanError):
    """Nothing is known under that name."""


class BadConfig(PlanError):
    """A configuration that cannot be counted."""


class UnknownGpu(PlanError):
    """A GPU that is not in the table."""


class ImpossiblePlan(PlanError):
    """Options that exclude each other, or that the model or the GPU rules out."""
