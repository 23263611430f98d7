"""Questions that try to steer the assistant. Begin with `rag.guard.answerer`.

answerer ──> judge ──> features ──> text        guard.json: what `benchmarks/fit_injection_guard.py` fitted
"""
