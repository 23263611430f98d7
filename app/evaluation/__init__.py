"""Golden questions: kept, asked and compared. Begin with `app.evaluation.runs`; asking itself is `rag.evaluation`.

api ──> questions, candidates, runs, calibration        worker ──> lease, bench: how a run is asked in the worker
"""
