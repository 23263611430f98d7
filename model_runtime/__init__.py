"""Everything about models: embedders now, the vLLM server, client, planner and verifier beside them.

Import from the modules (`from model_runtime.embedder import load_embedder`). Nothing is imported here, so
that a process that only embeds does not load a language-model client, and the reverse.
"""
