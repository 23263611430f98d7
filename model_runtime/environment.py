"""What of the environment's variables is ours. Reads no environment itself."""

from __future__ import annotations

from collections.abc import Mapping

OUR_PREFIX = "ANSWERDESK_"
"""How the names of all our settings begin."""


def without_ours(environment: Mapping[str, str]) -> dict[str, str]:
    """What a program that is not ours may inherit: our settings hold keys that are none of its business."""
    return {name: value for name, value in environment.items() if not name.startswith(OUR_PREFIX)}
