"""Passages in, cited answer out. Sees storage only as `rag.types.PassageStore`."""
