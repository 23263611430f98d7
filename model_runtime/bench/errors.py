"""What `runtime bench` raises on purpose."""

from __future__ import annotations


class BenchError(Exception):
    """The measurement cannot be made; the text says why and what to do."""
